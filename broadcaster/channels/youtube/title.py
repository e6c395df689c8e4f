"""Titles and descriptions as YouTube takes them: 100 characters, 5000 bytes, no `<` and no `>`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import grapheme

from broadcaster.delivery import Message, Rejected

TITLE_MAX = 100  # UTF-16 units: the strictest way to count YouTube's characters
DESCRIPTION_BYTES_MAX = 5_000
MARK_MAX = 40

_ANGLES = str.maketrans({"<": "\u2039", ">": "\u203a"})  # single quotation marks


def plain(text: str) -> str:
    """Replace the two characters that YouTube refuses by their likes."""
    return text.translate(_ANGLES)


def title_of(message: Message) -> str:
    """Give the subject, or the text's first line, as a title. Raises Rejected if there is none."""
    lines = [message.subject or "", *message.text.splitlines()]
    for line in lines:
        if title := " ".join(plain(line).split()):
            return _cut(title, TITLE_MAX)
    raise Rejected("there is no text in this delivery")


def marked(snippet: Mapping[str, Any], pointer: str) -> dict[str, str]:
    """Give title and description of a video that is overtaken: the pointer comes first."""
    old = str(snippet.get("description", ""))
    mark = _cut(_sentence(pointer), MARK_MAX)
    return {
        "title": _cut(f"{mark}: {snippet.get('title', '')}", TITLE_MAX),
        "description": _cut_bytes(f"{pointer}\n\n{old}", DESCRIPTION_BYTES_MAX),
    }


def begins(text: str, pointer: str) -> bool:
    """Say whether a description begins with the pointer already."""
    return comparable(text).startswith(comparable(pointer))


def comparable(text: str) -> str:
    """Take out what a network may rewrite: invisible characters, white space."""
    normal = unicodedata.normalize("NFC", text)
    seen = "".join(one for one in normal if unicodedata.category(one) != "Cf")
    return " ".join(seen.split())


def _sentence(pointer: str) -> str:
    """Give what stands before the first colon: "Überholt" of "Überholt: siehe Nr. 26-0142/2"."""
    words = " ".join(pointer.split())
    return re.split(r"\s*[:\uff1a]", words, maxsplit=1)[0] or words


def units(text: str) -> int:
    """Count a text in UTF-16 units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _cut(text: str, most: int) -> str:
    """Shorten a title, never inside of what a reader takes for one character."""
    if units(text) <= most:
        return text
    kept = ""
    for one in grapheme.graphemes(text):
        if units(kept + one) > most - 1:
            break
        kept += one
    words = kept.rpartition(" ")[0]
    return f"{(words if units(words) > most // 2 else kept).rstrip()}…"


def _cut_bytes(text: str, most: int) -> str:
    if len(text.encode()) <= most:
        return text
    room = most - len("…".encode())
    return f"{text.encode()[:room].decode('utf-8', 'ignore').rstrip()}…"
