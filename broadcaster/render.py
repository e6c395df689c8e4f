"""An alert becomes messages: one text per channel and language, made to fit what the network takes.

Called while an alert is being accepted, so nothing here waits. What cannot be made to fit withholds
that delivery alone. Nothing is posted in a language the alert itself does not speak.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from broadcaster import captions, fitting
from broadcaster.alert import Alert, Info
from broadcaster.captions import CardWords, marked, titled
from broadcaster.channels import Channel, Corrects, Escape, Limits, Measure
from broadcaster.delivery import Message
from broadcaster.facts import (
    Facts,
    Words,
    borrowed,
    by_language,
    primary,
    without_borrowed,
    words_of,
)
from broadcaster.fitting import Detail
from broadcaster.measure import fits, has_link, length, links
from broadcaster.texts import TextError, Texts, templates_path
from broadcaster.wording import gsm_spelling

__all__ = ["CardWords", "Facts", "Rendered", "Renderer", "templates_path"]

MINIMAL = "minimal"
BETWEEN = "\n—\n"  # two languages in one post
_HALF = "its description is the {} one, not translated"
_NO_TEXTS = "there are no texts for it"
_LINKLESS = frozenset({"x"})  # families that carry no link at all: on X each one costs money
_UNITS: Mapping[Measure, str] = {
    Measure.CHARACTERS: "characters",
    Measure.GRAPHEMES: "characters",
    Measure.MASTODON: "characters as Mastodon counts them",
    Measure.WEIGHTED: "characters as X counts them",
    Measure.THREADS: "characters as Threads counts them",
    Measure.SEGMENTS: "SMS segments",
    Measure.UTF16: "UTF-16 units",
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """One part of an alert on a channel: its message, or the reason why there is none."""

    part: str
    message: Message | None
    reason: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Form:
    """What a text depends on beside the alert: channels that share it share the rendering."""

    family: str
    languages: tuple[str, ...]
    limits: Limits
    escape: Escape

    @property
    def part(self) -> str:
        """How the part is called: "de", or "de+en" where one post holds both."""
        return "+".join(self.languages)


@dataclass(frozen=True, slots=True)
class _Draft:
    """One try at a text; `said` are the languages' own texts in it."""

    text: str
    said: Sequence[str]
    subject: str | None
    detail: Detail
    fits: bool


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What of an alert can be posted: the block of each language, and why others are left out."""

    infos: Mapping[str, Info]
    left: Mapping[str, str]
    notes: Sequence[str]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the sender should know of it."""
        return (*(f"not posted in {name}: {why}" for name, why in self.left.items()), *self.notes)


class Renderer:
    """Turns alerts into messages. `templates`: a city's own, which come before the project's.

    Raises ConfigError when that directory does not exist; `faults` names templates that are broken.
    """

    def __init__(self, templates: Path | None = None) -> None:
        self._texts = Texts(templates)
        self._facts: Facts | None = None
        self._done: dict[_Form, Rendered] = {}
        self._cards: dict[str, CardWords | None] = {}

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with templates, in sentences for people."""
        return self._texts.faults

    def misses(self, channel: Channel) -> list[str]:
        """Name the languages and templates a channel is configured for and that do not work.

        A channel without `languages` takes all there are.
        """
        wanted = dict.fromkeys(
            map(primary, channel.config.languages or sorted(self._texts.languages))
        )
        unknown = [name for name in wanted if name not in self._texts.languages]
        families = [channel.config.template or channel.template, MINIMAL]
        families += [captions.CARD] if channel.picture else []
        families += [captions.POINTER] if isinstance(channel, Corrects) else []
        tried = (
            self._texts.trial(language, family)
            for language in wanted
            if language not in unknown
            for family in families
        )
        lacking = [fault for fault in tried if fault]
        return [f"there are no texts for the language {name}" for name in unknown] + lacking

    def parts(self, alert: Alert, channel: Channel) -> list[str]:
        """Return the languages in which a channel shows an alert, where its texts fit."""
        return list(self._spoken(alert, channel.config.languages).infos)

    def render(self, facts: Facts, channel: Channel, limits: Limits) -> list[Rendered]:
        """Return the parts of an alert on a channel; at least one, maybe without text.

        One part per language, in the channel's order, or one for all (`parts = "one"`). Never
        raises for what an alert or a template contains: the reason says it.
        """
        self._begin(facts)
        spoken = self._spoken(facts.alert, channel.config.languages)
        if not spoken.infos:
            return [_untold(channel.config.languages, spoken)]
        family = channel.config.template or channel.template
        form = _Form(family, tuple(spoken.infos), limits, channel.escape)
        first, *others = self._as_parts(facts, spoken.infos, form, channel.config.parts)
        return [replace(first, warnings=first.warnings + spoken.warnings), *others]

    def card(self, facts: Facts, language: str) -> CardWords | None:
        """Return the words of an alert's card.

        None where the alert is not posted in that language, or a city's own template for cards does
        not work, as `misses` says: the text goes without a card then.
        """
        self._begin(facts)
        language = primary(language)
        if language not in self._cards:
            self._cards[language] = self._card(facts, language)
        return self._cards[language]

    def pointer(self, facts: Facts, language: str) -> str:
        """Return the line put before an older post in a language; it names the new reference."""
        return captions.pointer(self._texts, facts, primary(language))

    def _begin(self, facts: Facts) -> None:
        if facts != self._facts:
            self._facts, self._done, self._cards = facts, {}, {}

    def _spoken(self, alert: Alert, wanted: Sequence[str] | None) -> _Spoken:
        """Leave out what has no texts, or is only half translated.

        An all-clear says enough by its fixed text, so it goes without the borrowed description.
        """
        infos, left, notes = dict[str, Info](), dict[str, str](), list[str]()
        copies = borrowed(alert)
        for name, info in by_language(alert, wanted).items():
            if name not in self._texts.languages:
                left[name] = _NO_TEXTS
            elif name not in copies:
                infos[name] = info
            elif alert.is_all_clear:
                infos[name] = without_borrowed(info)
                notes.append(f"only the fixed text in {name}: {_HALF.format(copies[name])}")
            else:
                left[name] = _HALF.format(copies[name])
        return _Spoken(infos, left, notes)

    def _card(self, facts: Facts, language: str) -> CardWords | None:
        info = self._spoken(facts.alert, [language]).infos.get(language)
        if info is None:
            return None
        words = words_of(facts, info, Escape.NONE, links=True)
        try:
            return captions.card(self._texts, words, language)
        except TextError:
            return None

    def _as_parts(
        self, facts: Facts, infos: Mapping[str, Info], form: _Form, parts: str
    ) -> list[Rendered]:
        apart: tuple[str, ...] = ()
        if parts == "one" and len(infos) > 1:
            joined = self._part(facts, infos, form)
            if joined.message:
                return [joined]
            apart = (f"the languages are posts of their own: {joined.reason}",)
        forms = (replace(form, languages=(name,)) for name in infos)
        first, *others = (self._part(facts, infos, one) for one in forms)
        rendered = [replace(first, warnings=first.warnings + apart), *others]
        return _answering(rendered) if parts == "replies" else rendered

    def _part(self, facts: Facts, infos: Mapping[str, Info], form: _Form) -> Rendered:
        if form not in self._done:
            links = form.family not in _LINKLESS
            blocks = [infos[language] for language in form.languages]
            words = [words_of(facts, one, form.escape, links=links) for one in blocks]
            try:
                self._done[form] = self._fitted(words, form)
            except TextError as error:
                self._done[form] = Rendered(form.part, None, str(error))
        return self._done[form]

    def _fitted(self, words: Sequence[Words], form: _Form) -> Rendered:
        """Take the fullest text that fits. Each cut says less than the one before it."""
        cuts = list(fitting.cuts(words))
        draft = cache(lambda at: self._draft(words, form, cuts[at]))
        found = draft(fitting.first(len(cuts), lambda at: draft(at).fits))
        if not found.fits:
            return Rendered(form.part, None, _too_long(found.text, form.limits))
        return _accepted(found, words, form)

    def _draft(self, words: Sequence[Words], form: _Form, detail: Detail) -> _Draft:
        pairs = zip(form.languages, words, strict=True)
        said = [self._said(language, one, form.family, detail) for language, one in pairs]
        text, subject = BETWEEN.join(text for text, _ in said), said[0][1]
        if form.limits.measure is Measure.SEGMENTS:
            text = gsm_spelling(text)
        if form.family == captions.YOUTUBE:
            text, subject = text.translate(captions.NO_ANGLES), subject and titled(subject)
        return _Draft(text, [text for text, _ in said], subject, detail, fits(text, form.limits))

    def _said(
        self, language: str, words: Words, family: str, detail: Detail
    ) -> tuple[str, str | None]:
        values = fitting.context(words, detail)
        text, subject = self._texts.fill(language, family, values)
        if detail.minimal:
            text, _ = self._texts.fill(language, MINIMAL, values)
        mark = self._texts.mark(language, words.values["status"])
        return marked(text, mark), subject and marked(subject, mark)


def _untold(wanted: Sequence[str] | None, spoken: _Spoken) -> Rendered:
    if not spoken.left:
        wanted = wanted or ["und"]
        reason = f"the alert has no text in the language of this channel ({', '.join(wanted)})"
        return Rendered(primary(wanted[0]), None, reason)
    reason = f"there are no texts for the language of the alert ({', '.join(spoken.left)})"
    if set(spoken.left.values()) != {_NO_TEXTS}:
        reason = "; ".join(spoken.warnings)
    return Rendered(next(iter(spoken.left)), None, reason)


def _answering(parts: Sequence[Rendered]) -> list[Rendered]:
    """Make the first part that has a text the post, and the others answers to it."""
    head = next((one.part for one in parts if one.message), None)
    return [
        replace(one, message=replace(one.message, after=head))
        if one.message and one.part != head
        else one
        for one in parts
    ]


def _accepted(draft: _Draft, words: Sequence[Words], form: _Form) -> Rendered:
    """Make the message, unless a city's own template left out what a post is found again by."""
    for language, one, said in zip(form.languages, words, draft.said, strict=True):
        if one.values["reference"] not in said:
            missing = f"the template {form.family} ({language}) leaves out the reference"
            return Rendered(form.part, None, missing)
    message = Message(
        draft.text,
        form.languages[0],
        subject=draft.subject,
        length=length(draft.text, form.limits),
        limit=form.limits.maximum,
    )
    return Rendered(form.part, message, warnings=_warnings(words, form, draft.detail))


def _warnings(words: Sequence[Words], form: _Form, detail: Detail) -> tuple[str, ...]:
    warnings = []
    if detail.minimal:
        warnings.append("only the minimal text fits")
    actions = [one.instruction[0] for one in words if one.instruction]
    if form.family in _LINKLESS and any(map(has_link, actions)):
        warnings.append("the first action holds a link, which X bills")
    return tuple(warnings)


def _too_long(text: str, limits: Limits) -> str:
    unit = _UNITS[limits.measure]
    linked = len(links(text))
    if limits.links_maximum is not None and linked > limits.links_maximum:
        return f"even the minimal text has {linked} links; only {limits.links_maximum} fit"
    if limits.bytes_maximum is not None and length(text, limits) <= limits.maximum:
        unit, need, maximum = "bytes", len(text.encode()), limits.bytes_maximum
    else:
        need, maximum = length(text, limits), limits.maximum
    return f"even the minimal text needs {need} {unit}; only {maximum} fit"
