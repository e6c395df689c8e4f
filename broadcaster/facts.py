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


@dataclass(frozen=True, slots=True)
class Words:
    """One language of an alert, made harmless for a network and split into sentences."""

    values: Mapping[str, Any]
    description: Sequence[str]
    instruction: Sequence[str]


def primary(language: str) -> str:
    """Return the first subtag: "de" for "de-DE"."""
    return language.partition("-")[0].lower()


def by_language(alert: Alert, wanted: Sequence[str] | None) -> dict[str, Info]:
    """Take the first block of each language, in the channel's order or else the alert's."""
    blocks: dict[str, Info] = {}
    for info in alert.info:
        blocks.setdefault(primary(info.language), info)
    if wanted is None:
        return blocks
    return {name: blocks[name] for name in map(primary, wanted) if name in blocks}


def words_of(facts: Facts, info: Info, escape: Escape, *, links: bool) -> Words:
    """Return the words of one block. Without `links`, sentences that hold one are left out.

    The first action is never left out.
    """
    alert, kind = facts.alert, _kind(facts.alert)
    values = {
        "kind": kind,
        "status": alert.status.value,
        "severity": info.severity.value,
        "reference": facts.reference,
        "replaces": facts.shown.get(primary(info.language), facts.replaces),
        "web": info.web,
        "sent": alert.sent.astimezone(facts.timezone),
        "today": facts.accepted.astimezone(facts.timezone).date(),
        "source": harmless(_source(facts, info), escape),
    }
    values |= _names(info, _place(info, alert), escape, all_clear=kind == _ALL_CLEAR)
    values |= _period(facts, info, all_clear=kind == _ALL_CLEAR)
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
