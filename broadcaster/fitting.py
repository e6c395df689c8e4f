"""How a text is made shorter: what it may say, from everything to the least, and which of it fits.

Detail goes in a fixed order, whole sentences at a time; never hazard, place, first action, source,
time or reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from broadcaster.facts import Words


@dataclass(frozen=True, slots=True)
class Detail:
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


# An all-clear names what it ends as long as it can: where it is no reply, nothing else does.
_CUTS = ({"headline": False}, {"replaces": False}, {"minimal": True}, {"period": False})
_LAST_CUTS: Mapping[str, Sequence[Mapping[str, bool]]] = {
    "alert": _CUTS,
    "update": _CUTS,
    "all-clear": ({"headline": False}, {"minimal": True}, {"period": False}, {"replaces": False}),
}


def whole(words: Sequence[Words]) -> Detail:
    """Return the detail that leaves nothing out, of any of these languages."""
    return Detail(
        max(len(one.description) for one in words), max(len(one.instruction) for one in words)
    )


def cuts(words: Sequence[Words]) -> Iterator[Detail]:
    """Give what a text may say, from everything to the least, in the order in which it is cut.

    Several languages in one post are cut together: none says more than another.
    """
    full = detail = whole(words)
    yield detail
    for part in ("hashtags", "contact", "web"):
        detail = replace(detail, **{part: False})
        yield detail
    for count in reversed(range(full.description)):
        detail = replace(detail, description=count)
        yield detail
    for count in reversed(range(1, full.instruction)):
        detail = replace(detail, instruction=count)
        yield detail
    for change in _LAST_CUTS[words[0].values["kind"]]:
        detail = replace(detail, **change)
        yield detail


def first(count: int, fit: Callable[[int], bool]) -> int:
    """Find the first of `count` cuts that fits, the last one where none does."""
    if fit(0):
        return 0
    low, high = 1, count - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fit(middle) else (middle + 1, high)
    return low


def context(words: Words, detail: Detail) -> dict[str, Any]:
    """Give a template its variables; what is cut is empty or None, never undefined."""
    values = dict(words.values)
    for name in ("contact", "web", "headline", "replaces"):
        values[name] = values[name] if getattr(detail, name) else None
    if not detail.headline:
        values["headline_says_all"] = False
    if not detail.period:
        values |= {"onset": None, "expires": None}
    return values | {
        "hashtags": detail.hashtags,
        "description": "".join(words.description[: detail.description]).strip(),
        "instruction": "".join(words.instruction[: detail.instruction]).strip(),
        "first_action": "".join(words.instruction[:1]).strip(),
    }
