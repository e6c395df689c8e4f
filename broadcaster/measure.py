"""How long a text is, counted as each network counts it.

Every count here is the network's own rule, so that what fits here is not refused there. The fast
paths only skip work whose result is known; the tests hold them against the slow ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import grapheme
from twitter_text import extract_urls, parse_tweet
from twitter_text.config import config as _X  # noqa: N812

X_VERSION_3: Mapping[str, Any] = _X["version3"]
LINK_LENGTH = 23


class Counted(Protocol):
    """What decides whether a text fits: `channels.Limits`, or anything of its shape."""

    @property
    def measure(self) -> str: ...
    @property
    def maximum(self) -> int: ...
    @property
    def bytes_maximum(self) -> int | None: ...
    @property
    def link_length(self) -> int | None: ...


def length(text: str, limits: Counted) -> int:
    """Return the length of `text` in the unit of `limits.measure` (SMS: segments)."""
    if limits.measure == "mastodon":
        return mastodon(text, limits.link_length or LINK_LENGTH)
    return _COUNTS[limits.measure](text)


def fits(text: str, limits: Counted) -> bool:
    """Say whether `text` is within the limits, that on UTF-8 bytes included."""
    if limits.bytes_maximum is not None and len(text.encode()) > limits.bytes_maximum:
        return False
    return length(text, limits) <= limits.maximum


# Each of these is a grapheme of its own whatever stands beside it: no marks, joiners, emoji.
_LONE = re.compile("[\n -~\u00a0-\u02ff\u2010-\u2027\u20ac]*")


def graphemes(text: str) -> int:
    """Count what a reader takes for one character (Bluesky)."""
    if _LONE.fullmatch(text):
        return len(text)
    return int(grapheme.length(text))


_URL = re.compile(r"https?://[^\s<>\"]*[^\s<>\".,;:!?)\]'“”»]")
_REMOTE_MENTION = re.compile(r"(?<![=/\w])(@[A-Za-z0-9_]+(?:[.-]+[A-Za-z0-9_]+)*)@[\w.-]+\w")


def mastodon(text: str, link_length: int = LINK_LENGTH) -> int:
    """Count graphemes, each http(s) link as `link_length`, and of @user@domain only @user."""
    text = _URL.sub("x" * link_length, text) if "://" in text else text
    return graphemes(_REMOTE_MENTION.sub(r"\1", text) if "@" in text else text)


# One unit each, and neither part of an emoji (© and ® are) nor composed by NFC.
_X_LIGHT = re.compile("[\n -~\u00a0-\u00a8\u00aa-\u00ad\u00af-\u02ff\u2010-\u201f]*")
_X_MAYBE_LINK = re.compile(r"\S\.\S")


# The library's patterns take minutes for thousands of characters or for "a.a.a.a." without end.
_X_CHARACTERS_MAX, _X_DOTS_MAX = 1000, 40
_X_TANGLE = re.compile(r"(?<![^\s.])(?:[^\s.]+\.){13}")


def weighted(text: str, options: Mapping[str, Any] = X_VERSION_3) -> int:
    """Count as X does: twitter-text, by default with its configuration 3.

    Light characters 1, others 2, an emoji 2 however it is composed, a link (a bare domain too) 23.
    What no post looks like is not measured but estimated, never too low.
    """
    if options is X_VERSION_3 and _is_tangled(text):
        return 2 * len(text) + LINK_LENGTH * text.count(".")
    if options is X_VERSION_3 and _X_LIGHT.fullmatch(text):
        links = extract_urls(text) if _X_MAYBE_LINK.search(text) else []
        return len(text) + sum(LINK_LENGTH - len(link) for link in links)
    return int(parse_tweet(text, options).weightedLength)


def has_link(text: str) -> bool:
    """Say whether X would make a link of something in it; a bare domain is enough."""
    if not _X_MAYBE_LINK.search(text):
        return False
    return _is_tangled(text) or bool(extract_urls(text))


def _is_tangled(text: str) -> bool:
    if _X_TANGLE.search(text):
        return True
    plain = text.count(".") <= _X_DOTS_MAX and _X_LIGHT.fullmatch(text)
    return len(text) > _X_CHARACTERS_MAX and not plain


# GSM 03.38: the default alphabet, and the table behind the escape, whose characters take two.
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_ESCAPED = frozenset("^{}\\[~]|€\f")
_GSM_SINGLE, _GSM_JOINED = 160, 153
_UCS2_SINGLE, _UCS2_JOINED = 70, 67
_BMP_LAST = 0xFFFF


def is_gsm(text: str) -> bool:
    """Say whether an SMS can carry `text` in GSM-7; one character outside it halves the space."""
    return _GSM.union(_GSM_ESCAPED).issuperset(text)


def segments(text: str) -> int:
    """Count SMS segments: GSM-7 with 160 (153 joined), else UCS-2 with 70 (67 joined) units.

    An escaped GSM-7 character and a surrogate pair are two units that are never split over two
    segments.
    """
    if is_gsm(text):
        widths = [2 if character in _GSM_ESCAPED else 1 for character in text]
        return _filled(widths, _GSM_SINGLE, _GSM_JOINED)
    widths = [2 if ord(character) > _BMP_LAST else 1 for character in text]
    return _filled(widths, _UCS2_SINGLE, _UCS2_JOINED)


def _filled(widths: list[int], single: int, joined: int) -> int:
    if sum(widths) <= single:
        return 1
    count, used = 1, 0
    for width in widths:
        if used + width > joined:
            count, used = count + 1, 0
        used += width
    return count


_COUNTS: Mapping[str, Callable[[str], int]] = {
    "characters": len,
    "graphemes": graphemes,
    "weighted": weighted,
    "segments": segments,
}
