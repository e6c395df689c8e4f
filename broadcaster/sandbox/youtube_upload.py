"""Resumable uploads of the YouTube stand-in, and what it says against a video's title and text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from broadcaster.sandbox.posts import Account, is_text

PIECE_MULTIPLE = 262_144
TITLE_MAX, DESCRIPTION_BYTES_MAX, TAGS_MAX = 100, 5_000, 500
PRIVACY = frozenset({"public", "unlisted", "private"})
_CATEGORIES = frozenset(
    {"1", "2", "10", "15", "17", "19", "20", "22", "23", "24", "25", "26", "27"}
)
_SNIPPET = frozenset(
    {"title", "description", "tags", "categoryId", "defaultLanguage", "defaultAudioLanguage"}
)
_STATUS = frozenset(
    {
        *("privacyStatus", "selfDeclaredMadeForKids", "containsSyntheticMedia", "embeddable"),
        *("license", "publicStatsViewable", "publishAt"),
    }
)
_PLACE = re.compile(r"bytes (?:\*|([0-9]+)-([0-9]+))/([0-9]+)")


@dataclass(frozen=True, slots=True)
class Place:
    """`Content-Range`: which bytes come with a request; none of them asks how far it is."""

    start: int | None
    end: int | None
    size: int

    @property
    def is_last(self) -> bool:
        """Whether the upload is whole with these bytes."""
        return self.end is not None and self.end + 1 == self.size

    @classmethod
    def read(cls, value: str) -> Place | None:
        """Read the header; None if it is none."""
        found = _PLACE.fullmatch(value)
        if not found:
            return None
        start, end = (int(one) if one else None for one in found.group(1, 2))
        return cls(start, end, int(found[3]))


@dataclass(slots=True)
class Session:
    """One upload: what it was begun with, what has arrived, and the video it ended in."""

    author: Account
    video: Mapping[str, Any]
    size: int
    begun: datetime
    data: bytearray = field(default_factory=bytearray)
    ended_in: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """How far it is, as `Range` says it; without bytes there is no such header."""
        return {"Range": f"bytes=0-{len(self.data) - 1}"} if self.data else {}

    def wrong(self, place: Place, sent: int) -> str | None:
        """Say what is wrong with a piece, None if it can be taken."""
        if place.start is None or place.end is None or place.size != self.size:
            return "the range does not fit the upload"
        if place.start != len(self.data) or place.end - place.start + 1 != sent:
            return "the piece does not follow what has arrived"
        if not place.is_last and sent % PIECE_MULTIPLE:
            return f"a piece is a multiple of {PIECE_MULTIPLE} bytes, but for the last"
        return None


def wrong(body: Mapping[str, Any], *, status: bool) -> str | None:
    """Say the reason against a video's title, text or status, None if there is none.

    `status`: whether it takes a status as well.
    """
    snippet, state = body.get("snippet"), body.get("status", {})
    if not isinstance(snippet, dict) or not isinstance(state, dict):
        return "invalidVideoMetadata"
    if set(snippet) - _SNIPPET or set(state) - _STATUS or (state and not status):
        return "invalidVideoMetadata"
    if state.get("privacyStatus", "public") not in PRIVACY:
        return "invalidVideoMetadata"
    if not _fits(snippet.get("title"), TITLE_MAX, 4 * TITLE_MAX) or not snippet["title"].strip():
        return "invalidTitle"
    if not _fits(snippet.get("description", ""), DESCRIPTION_BYTES_MAX, DESCRIPTION_BYTES_MAX):
        return "invalidDescription"
    tags = snippet.get("tags", [])
    if not isinstance(tags, list) or sum(len(str(tag)) for tag in tags) > TAGS_MAX:
        return "invalidTags"
    return None if snippet.get("categoryId") in _CATEGORIES else "invalidCategoryId"


def _fits(text: object, characters: int, octets: int) -> bool:
    if not isinstance(text, str) or not is_text(text) or set("<>") & set(text):
        return False
    return len(text) <= characters and len(text.encode()) <= octets
