"""An alert becomes messages: one text per channel and language, made to fit what the network takes.

Called while an alert is being accepted, so nothing here waits. Detail is dropped in a fixed order,
whole sentences at a time; never hazard, place, first action, source, time or reference. What cannot
be made to fit withholds that delivery alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from broadcaster.alert import Alert, Info
from broadcaster.channels import Channel, Escape, Limits, Measure
from broadcaster.delivery import Message
from broadcaster.facts import Facts, Words, by_language, primary, words_of
from broadcaster.measure import fits, has_link, length
from broadcaster.texts import TextError, Texts, templates_path
from broadcaster.wording import gsm_spelling

__all__ = ["Facts", "Rendered", "Renderer", "templates_path"]

MINIMAL = "minimal"
_LINKLESS = frozenset({"x"})  # families that carry no link at all: on X each one costs money
_UNITS: Mapping[Measure, str] = {
    Measure.CHARACTERS: "characters",
    Measure.GRAPHEMES: "characters",
    Measure.MASTODON: "characters as Mastodon counts them",
    Measure.WEIGHTED: "characters as X counts them",
    Measure.SEGMENTS: "SMS segments",
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
    language: str
    limits: Limits
    escape: Escape


@dataclass(frozen=True, slots=True)
class _Detail:
    """How much a text says; `description` and `instruction` are numbers of sentences."""

    description: int
    instruction: int
    hashtags: bool = True
    contact: bool = True
    web: bool = True
    headline: bool = True
    replaces: bool = True
    period: bool = True  # from when until when; the time of the alert itself always stays
    minimal: bool = False


@dataclass(frozen=True, slots=True)
class _Draft:
    """One try at a text."""

    text: str
    subject: str | None
    detail: _Detail
    fits: bool


class Renderer:
    """Turns alerts into messages. `templates`: a city's own, which come before the project's.

    Raises ConfigError when that directory does not exist; `faults` names templates that are broken.
    """

    def __init__(self, templates: Path | None = None) -> None:
        self._texts = Texts(templates)
        self._facts: Facts | None = None
        self._done: dict[_Form, Rendered] = {}

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with templates, in sentences for people."""
        return self._texts.faults

    def misses(self, channel: Channel) -> list[str]:
        """Name the languages and templates a channel is configured for and that do not exist.

        A channel without `languages` takes all there are.
        """
        family = channel.config.template or channel.template
        wanted = dict.fromkeys(
            map(primary, channel.config.languages or sorted(self._texts.languages))
        )
        unknown = [name for name in wanted if name not in self._texts.languages]
        lacking = [
            f"there is no template {name} for {language}"
            for language in wanted
            if language not in unknown
            for name in (family, MINIMAL)
            if not self._texts.has(language, name)
        ]
        return [f"there are no texts for the language {name}" for name in unknown] + lacking

    def parts(self, alert: Alert, channel: Channel) -> list[str]:
        """Return the languages in which a channel shows an alert, where its texts fit."""
        languages = by_language(alert, channel.config.languages)
        return [language for language in languages if language in self._texts.languages]

    def render(self, facts: Facts, channel: Channel, limits: Limits) -> list[Rendered]:
        """Return one part per language, in the channel's order; at least one, maybe without text.

        Never raises for what an alert or a template contains: the reason says it.
        """
        if facts != self._facts:
            self._facts, self._done = facts, {}
        wanted = channel.config.languages
        infos = by_language(facts.alert, wanted)
        missing = [language for language in infos if language not in self._texts.languages]
        if len(missing) == len(infos):
            return [_untold(wanted, missing)]
        family = channel.config.template or channel.template
        forms = [
            _Form(family, language, limits, channel.escape)
            for language in infos
            if language not in missing
        ]
        first, *others = [self._part(facts, infos[form.language], form) for form in forms]
        warnings = tuple(f"not posted in {name}: there are no texts for it" for name in missing)
        return [replace(first, warnings=first.warnings + warnings), *others]

    def _part(self, facts: Facts, info: Info, form: _Form) -> Rendered:
        if form not in self._done:
            words = words_of(facts, info, form.escape, links=form.family not in _LINKLESS)
            try:
                self._done[form] = self._fitted(words, form)
            except TextError as error:
                self._done[form] = Rendered(form.language, None, str(error))
        return self._done[form]

    def _fitted(self, words: Words, form: _Form) -> Rendered:
        """Take the fullest text that fits. Each cut says less than the one before it."""
        cuts = list(_cuts(words))
        draft = cache(lambda at: self._draft(words, form, cuts[at]))
        found = draft(_first(len(cuts), lambda at: draft(at).fits))
        if not found.fits:
            return Rendered(form.language, None, _too_long(found.text, form.limits))
        return _accepted(found, words, form)

    def _draft(self, words: Words, form: _Form, detail: _Detail) -> _Draft:
        context = _context(words, detail)
        text, subject = self._texts.fill(form.language, form.family, context)
        if detail.minimal:
            text, _ = self._texts.fill(form.language, MINIMAL, context)
        mark = self._texts.mark(form.language, words.values["status"])
        text, subject = _marked(text, mark, form), subject and _marked(subject, mark, form)
        return _Draft(text, subject, detail, fits(text, form.limits))


def _untold(wanted: Sequence[str] | None, missing: Sequence[str]) -> Rendered:
    if missing:
        reason = f"there are no texts for the language of the alert ({', '.join(missing)})"
        return Rendered(missing[0], None, reason)
    wanted = wanted or ["und"]
    reason = f"the alert has no text in the language of this channel ({', '.join(wanted)})"
    return Rendered(primary(wanted[0]), None, reason)


# An all-clear names what it ends as long as it can: where it is no reply, nothing else does.
_CUTS = ({"headline": False}, {"replaces": False}, {"minimal": True}, {"period": False})
_LAST_CUTS: Mapping[str, Sequence[Mapping[str, bool]]] = {
    "alert": _CUTS,
    "update": _CUTS,
    "all-clear": ({"headline": False}, {"minimal": True}, {"period": False}, {"replaces": False}),
}


def _cuts(words: Words) -> Iterator[_Detail]:
    """Give what a text may say, from everything to the least, in the order in which it is cut."""
    detail = _Detail(len(words.description), len(words.instruction))
    yield detail
    for part in ("hashtags", "contact", "web"):
        detail = replace(detail, **{part: False})
        yield detail
    for count in reversed(range(len(words.description))):
        detail = replace(detail, description=count)
        yield detail
    for count in reversed(range(1, len(words.instruction))):
        detail = replace(detail, instruction=count)
        yield detail
    for change in _LAST_CUTS[words.values["kind"]]:
        detail = replace(detail, **change)
        yield detail


def _first(count: int, fit: Callable[[int], bool]) -> int:
    """Find the first of `count` cuts that fits, the last one where none does."""
    if fit(0):
        return 0
    low, high = 1, count - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fit(middle) else (middle + 1, high)
    return low


def _marked(text: str, mark: str | None, form: _Form) -> str:
    """Put ÜBUNG or PROBEWARNUNG before the text: no template can forget it, no cut drop it."""
    text = f"{mark} \N{EN DASH} {text}" if mark else text
    return gsm_spelling(text) if form.limits.measure is Measure.SEGMENTS else text


def _accepted(draft: _Draft, words: Words, form: _Form) -> Rendered:
    """Make the message, unless a city's own template left out what a post is found again by."""
    if words.values["reference"] not in draft.text:
        missing = f"the template {form.family} ({form.language}) leaves out the reference"
        return Rendered(form.language, None, missing)
    message = Message(
        draft.text,
        form.language,
        subject=draft.subject,
        length=length(draft.text, form.limits),
        limit=form.limits.maximum,
    )
    return Rendered(form.language, message, warnings=_warnings(words, form, draft.detail))


def _context(words: Words, detail: _Detail) -> dict[str, Any]:
    """Give a template its variables; what is cut is empty or None, never undefined."""
    context = dict(words.values)
    for name in ("contact", "web", "headline", "replaces"):
        context[name] = context[name] if getattr(detail, name) else None
    if not detail.headline:
        context["headline_says_all"] = False
    if not detail.period:
        context |= {"onset": None, "expires": None}
    return context | {
        "hashtags": detail.hashtags,
        "description": "".join(words.description[: detail.description]).strip(),
        "instruction": "".join(words.instruction[: detail.instruction]).strip(),
        "first_action": "".join(words.instruction[:1]).strip(),
    }


def _warnings(words: Words, form: _Form, detail: _Detail) -> tuple[str, ...]:
    warnings = []
    if detail.minimal:
        warnings.append("only the minimal text fits")
    if form.family in _LINKLESS and words.instruction and has_link(words.instruction[0]):
        warnings.append("the first action holds a link, which X bills")
    return tuple(warnings)


def _too_long(text: str, limits: Limits) -> str:
    unit = _UNITS[limits.measure]
    if limits.bytes_maximum is not None and length(text, limits) <= limits.maximum:
        unit, need, maximum = "bytes", len(text.encode()), limits.bytes_maximum
    else:
        need, maximum = length(text, limits), limits.maximum
    return f"even the minimal text needs {need} {unit}; only {maximum} fit"
