"""How long a text is, counted as each network counts it.

Every count here is the network's own rule, so that what fits here is not refused there. The fast
paths only skip work whose result is known; the tests hold them against the slow ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol

import grapheme
from grapheme.grapheme_property_group import get_group
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
    @property
    def links_maximum(self) -> int | None: ...


def length(text: str, limits: Counted) -> int:
    """Return the length of `text` in the unit of `limits.measure` (SMS: segments).

    Far beyond the limit it is estimated, never too low: exact counts take their time.
    """
    if limits.measure == "mastodon":
        text = _as_mastodon(text, limits.link_length or LINK_LENGTH)
    if limits.measure == "threads" and len(text) > _FAR_BEYOND * limits.maximum:
        return len(text.encode())
    if limits.measure not in _IN_GRAPHEMES:
        return _COUNTS[limits.measure](text)
    return len(text) if len(text) > _FAR_BEYOND * limits.maximum else graphemes(text)


def fits(text: str, limits: Counted) -> bool:
    """Say whether `text` is within the limits, those on UTF-8 bytes and on links included."""
    if limits.bytes_maximum is not None and len(text.encode()) > limits.bytes_maximum:
        return False
    if limits.links_maximum is not None and len(links(text)) > limits.links_maximum:
        return False
    if limits.measure == "weighted" and _at_least(text) > limits.maximum:
        return False
    return length(text, limits) <= limits.maximum


# Each of these is a grapheme of its own whatever stands beside it: no marks, joiners, emoji.
_LONE = re.compile("[\n -~\u00a0-\u02ff\u2010-\u2027\u20ac]*")


# A blank begins a grapheme, so words can be counted apart. (Behind one of the few Arabic and Indic
# signs that join what follows it does not: there the count is one too high, never too low.)
_WORD = re.compile(r"[ \n]?[^ \n]*")
_IN_GRAPHEMES = frozenset({"graphemes", "mastodon"})
_FAR_BEYOND = 2  # times the limit


def graphemes(text: str) -> int:
    """Count what a reader takes for one character (Bluesky)."""
    if _LONE.fullmatch(text):
        return len(text)
    return sum(map(_in_word, _WORD.findall(text)))


@lru_cache(maxsize=4096)  # a text is measured at many lengths, and its words are always the same
def _in_word(word: str) -> int:
    return len(word) if _LONE.fullmatch(word) else int(grapheme.length(word))


_URL = re.compile(r"https?://[^\s<>\"]*[^\s<>\".,;:!?)\]'“”»]")
_REMOTE_MENTION = re.compile(r"(?<![=/\w])(@[A-Za-z0-9_]+(?:[.-]+[A-Za-z0-9_]+)*)@[\w.-]+\w")


def mastodon(text: str, link_length: int = LINK_LENGTH) -> int:
    """Count graphemes, each http(s) link as `link_length`, and of @user@domain only @user."""
    return graphemes(_as_mastodon(text, link_length))


def _as_mastodon(text: str, link_length: int) -> str:
    text = _URL.sub("x" * link_length, text) if "://" in text else text
    return _REMOTE_MENTION.sub(r"\1", text) if "@" in text else text


# One unit each, and neither part of an emoji (© and ® are) nor composed by NFC.
_X_LIGHT = re.compile("[\n -~\u00a0-\u00a8\u00aa-\u00ad\u00af-\u02ff\u2010-\u201f]*")
_X_MAYBE_LINK = re.compile(r"\S\.\S")


# The library's patterns take minutes for thousands of characters, for "a.a.a.a." without end and
# for labels that no domain has; the path of a link may be as long as an alert's `web`.
_X_CHARACTERS_MAX, _X_DOTS_MAX, _X_PATHS_MAX = 1000, 40, 3
_X_TANGLE = re.compile(r"(?<![^\s.])(?:[^\s.]+\.){13}")
_X_LONG_LABEL = re.compile(r"[^\s./]{64}")
# Neither links nor emoji reach over a blank; but the one before it can decide what a link is.
_X_WORD = re.compile(r"[ \n]?[^ \n]+")
_X_PATH = re.compile(r"(https?://[^\s/]{1,253})/\S{1,500}")


def weighted(text: str, options: Mapping[str, Any] = X_VERSION_3) -> int:
    """Count as X does: twitter-text, by default with its configuration 3.

    Light characters 1, others 2, an emoji 2 however it is composed, a link (a bare domain too) 23.
    What no post looks like is not measured but estimated, never too low.
    """
    if options is not X_VERSION_3:
        return int(parse_tweet(text, options).weightedLength)
    light = _X_LIGHT.fullmatch(text)
    if light and not _X_MAYBE_LINK.search(text):
        return len(text)
    if _is_tangled(text):
        return 2 * len(text) + LINK_LENGTH * text.count(".")
    if light:
        return len(text) + sum(LINK_LENGTH - len(link) for link in _links(text))
    words = _X_WORD.findall(text)
    return len(text) + sum(_weight(word) - len(word) for word in words)


@lru_cache(maxsize=4096)
def _weight(word: str) -> int:
    if _X_LIGHT.fullmatch(word) and not _X_MAYBE_LINK.search(word):
        return len(word)
    return int(parse_tweet(word).weightedLength)


def has_link(text: str) -> bool:
    """Say whether X would make a link of something in it; a bare domain is enough."""
    if not _X_MAYBE_LINK.search(text):
        return False
    return _is_tangled(text) or bool(_links(text))


def _links(text: str) -> list[str]:
    """Find the links. None reaches over a blank or has no dot, so most words need no look."""
    words = _X_WORD.findall(text)
    return [link for word in words if "." in word for link in extract_urls(word)]


def _is_tangled(text: str) -> bool:
    if _X_TANGLE.search(text):
        return True
    plain = text.count(".") <= _X_DOTS_MAX and _X_LIGHT.fullmatch(text)
    if len(text) > _X_CHARACTERS_MAX and not plain:
        return True
    words = _X_PATH.sub(r"\1", text, count=_X_PATHS_MAX).split()
    return any("." in word and _X_LONG_LABEL.search(word) for word in words)


def _at_least(text: str) -> int:
    """Count what weighs one or more on X in any case: letters that are in no link."""
    words = (word for word in text.split() if "." not in word)
    return sum(character.isalpha() for word in words for character in word)


def threads(text: str) -> int:
    """Count as Threads does: an emoji as its UTF-8 bytes, every other character as one.

    Meta says no more than that. What counts as an emoji here is a whole cluster with a picture, a
    flag or a keycap in it, which is never too low.
    """
    if text.isascii():
        return len(text)
    return sum(map(_in_thread, _WORD.findall(text)))


@lru_cache(maxsize=4096)
def _in_thread(word: str) -> int:
    if word.isascii():
        return len(word)
    return sum(map(_cluster, grapheme.graphemes(word)))


# "Show it as a picture", the frame of a keycap, and the five tones of skin.
_EMOJI_SIGNS = frozenset("\ufe0f\u20e3\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff")
_EMOJI_GROUPS = frozenset({"EXTENDED_PICTOGRAPHIC", "REGIONAL_INDICATOR"})


def _cluster(cluster: str) -> int:
    signs = not _EMOJI_SIGNS.isdisjoint(cluster)
    if signs or any(get_group(one).name in _EMOJI_GROUPS for one in cluster):
        return len(cluster.encode())
    return len(cluster)


def links(text: str) -> frozenset[str]:
    """Return the distinct links in a text, as far as they are written as such."""
    return frozenset(_URL.findall(text)) if "://" in text else frozenset()


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


def utf16(text: str) -> int:
    """Count UTF-16 code units, as JavaScript and Java do: what is beyond U+FFFF takes two."""
    return len(text) + sum(character > "\uffff" for character in text)


_COUNTS: Mapping[str, Callable[[str], int]] = {
    "characters": len,
    "threads": threads,
    "weighted": weighted,
    "segments": segments,
    "utf-16": utf16,
}
