"""What is known of an alert, and the words of one of its languages as a network takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from broadcaster.alert import Alert, Info, MsgType
from broadcaster.channels import Escape
from broadcaster.measure import has_link
from broadcaster.texts import one_line
from broadcaster.wording import harmless, sentences

_ALL_CLEAR = "all-clear"
_COPIED_MIN = 40  # characters of a description


@dataclass(frozen=True, slots=True)
class Facts:
    """What all texts of one accepted alert are made of.

    `alert` has `info`, also for a Cancel that came without. `replaces`: the reference of the
    version before; `shown`: language -> the reference its readers saw last, where that is another.
    `source`: who warns where a block does not name its sender. `expires`: when the alert ends;
    shown only if the alert names an end itself. `ended`: all that was said in the incident an
    all-clear ends; no sentence of it is said again.
    """

    alert: Alert
    reference: str
    replaces: str | None
    accepted: datetime
    timezone: ZoneInfo
    source: str | None
    expires: datetime
    ended: Sequence[Info] = ()
    shown: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What it is in its incident: "alert", "update" or "all-clear"."""
        return _kind(self.alert)


@dataclass(frozen=True, slots=True)
class Words:
    """One language of an alert, made harmless for a network and split into sentences."""

    values: Mapping[str, Any]
    description: Sequence[str]
    instruction: Sequence[str]


def primary(language: str) -> str:
    """Return which language a tag stands for: "de" for "de-DE", without the region.

    Leichte Sprache is a language of its own, whose readers need its texts: "de-simple", for all the
    ways its tag is written (DE-LS as BBK has it, de-simple, de-x-ls).
    """
    first, *rest = language.lower().split("-")
    simple = "simple" in rest or (first == "de" and "ls" in rest)
    return f"{first}-simple" if simple else first


def by_language(alert: Alert, wanted: Sequence[str] | None) -> dict[str, Info]:
    """Take the first block of each language, in the channel's order or else the alert's."""
    blocks: dict[str, Info] = {}
    for info in alert.info:
        blocks.setdefault(primary(info.language), info)
    if wanted is None:
        return blocks
    return {name: blocks[name] for name in map(primary, wanted) if name in blocks}


def borrowed(alert: Alert) -> dict[str, str]:
    """Return language -> the one whose description it repeats word for word.

    BBK sends blocks whose instruction is translated and whose description is the German one. The
    original is the German block where it is among them, else the first; a short description may
    rightly be the same.
    """
    owners: dict[str, str] = {}
    copies: dict[str, str] = {}
    blocks = by_language(alert, None).items()
    for language, info in sorted(blocks, key=lambda one: one[0] != "de"):
        said = info.description or ""
        owner = owners.setdefault(said, language)
        if owner != language and len(said) >= _COPIED_MIN:
            copies[language] = owner
    return copies


def without_borrowed(info: Info) -> Info:
    """Return a block of an all-clear without the description that is another language's."""
    return info.model_copy(update={"description": None})


def plain_values(facts: Facts) -> dict[str, Any]:
    """Return what every template may know, whatever language there is a block in."""
    return {
        "kind": facts.kind,
        "status": facts.alert.status.value,
        "reference": facts.reference,
        "sent": facts.alert.sent.astimezone(facts.timezone),
        "today": facts.accepted.astimezone(facts.timezone).date(),
    }


def words_of(facts: Facts, info: Info, escape: Escape, *, links: bool) -> Words:
    """Return the words of one block. Without `links`, sentences that hold one are left out.

    The first action is never left out.
    """
    over = facts.kind == _ALL_CLEAR
    values = plain_values(facts) | {
        "severity": info.severity.value,
        "replaces": facts.shown.get(primary(info.language), facts.replaces),
        "web": info.web,
        "source": harmless(_source(facts, info), escape),
    }
    values |= _names(info, _place(info, facts.alert), escape, all_clear=over)
    values |= _period(facts, info, all_clear=over)
    description, instruction = _said(facts, info)
    if not links:
        description = [one for one in description if not has_link(one)]
        instruction = [*instruction[:1], *(one for one in instruction[1:] if not has_link(one))]
    return Words(
        values,
        [harmless(one, escape) for one in description],
        [harmless(one, escape) for one in instruction],
    )


def _kind(alert: Alert) -> str:
    if alert.is_all_clear:
        return _ALL_CLEAR
    return "update" if alert.msg_type is MsgType.UPDATE else "alert"


def _source(facts: Facts, info: Info) -> str:
    return info.sender_name or one_line(facts.source or "") or facts.alert.sender


def _place(info: Info, alert: Alert) -> str:
    """Take the block's own areas; names of places are better than none where only another has."""
    return info.place or next((other.place for other in alert.info if other.area), "")


def _names(info: Info, place: str, escape: Escape, *, all_clear: bool) -> dict[str, Any]:
    """Event, place, headline and contact; the last two belong to a warning that is not over."""
    event, place = harmless(info.event, escape), harmless(place, escape)
    headline = None if all_clear else info.headline and harmless(info.headline, escape)
    return {
        "event": event,
        "place": place,
        "headline": headline,
        "headline_says_all": bool(headline and event in headline and place in headline),
        "contact": None if all_clear else info.contact and harmless(info.contact, escape),
    }


def _period(facts: Facts, info: Info, *, all_clear: bool) -> dict[str, datetime | None]:
    """From when until when it is in force, as far as the alert itself says so."""
    if all_clear:
        return {"onset": None, "expires": None}
    alert = facts.alert
    onset = info.onset if info.onset and info.onset > alert.sent else None
    expires = (info.expires or facts.expires) if alert.expires else None
    return {
        "onset": onset and onset.astimezone(facts.timezone),
        "expires": expires and expires.astimezone(facts.timezone),
    }


def _said(facts: Facts, info: Info) -> tuple[list[str], list[str]]:
    """Return the sentences of description and instruction; an all-clear never instructs."""
    if _kind(facts.alert) != _ALL_CLEAR:
        return list(sentences(info.description or "")), list(sentences(info.instruction or ""))
    return list(unsaid(info.description or "", facts.ended)), []


def unsaid(text: str, ended: Sequence[Info]) -> Iterator[str]:
    """Give the sentences of `text` that no ended block said, instructed or was headed with.

    An all-clear sent with the old content would else warn and instruct once more.
    """
    old = {
        one.strip()
        for block in ended
        for said in (block.headline, block.description, block.instruction)
        for one in sentences(said or "")
    }
    return (one for one in sentences(text) if one.strip() not in old)
