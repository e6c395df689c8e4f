"""A status as Mastodon gives it: whether it is ours, whether the public sees it, who reacted.

The network makes HTML of a text: links may be shortened, a mention loses its host. So links are
left out, and words are compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

from broadcaster.delivery import Delivery, Sight, names_reference

ALT_MAX = 1500  # characters of a picture's description, unless the instance says otherwise
_PUBLIC = ("public", "unlisted")
_COUNTS = {
    "replies_count": "replies",
    "reblogs_count": "shares",
    "favourites_count": "likes",
    "quotes_count": "quotes",
}


def sight_of(status: Mapping[str, Any], delivery: Delivery, *, public: bool) -> Sight:
    """Say what looking at a status has shown; `public`: it was read logged out."""
    content = str(status.get("content") or "")
    visibility = status.get("visibility")
    url = status.get("url")
    there = visibility in _PUBLIC
    return Sight(
        there=there,
        text=_read(content, addresses=True).strip(),
        altered=not says(content, delivery),
        reason=None if there else f"it is not public: its visibility is {_word(visibility)}",
        counts={name: status[key] for key, name in _COUNTS.items() if _is_count(status.get(key))},
        url=url if isinstance(url, str) and re.match("https?://", url) else None,
        public=public,
    )


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _word(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[a-z_]{1,20}", value) else "not told"


def says(content: str, delivery: Delivery) -> bool:
    """Say whether a status is this part: it names the reference, and says the same in its language.

    The languages of one alert share its reference.
    """
    text = delivery.message.text if delivery.message else ""
    for addresses in (False, True):
        read = _read(content, addresses=addresses)
        if names_reference(read, delivery.reference) and _words(read) == _words(text):
            return True
    return False


def _read(content: str, *, addresses: bool) -> str:
    read = _Text(addresses=addresses)
    read.feed(content)
    read.close()
    return read.text


def _words(text: str) -> list[str]:
    text = re.sub(r"https?://\S+", " ", unicodedata.normalize("NFC", text))
    return re.findall(r"\w+", re.sub(r"(@[\w.-]+)@[\w.-]+", r"\1", text).casefold())


class _Text(HTMLParser):
    """The text of a status' HTML; with `addresses`, a link's address stands for its words."""

    def __init__(self, *, addresses: bool) -> None:
        super().__init__()
        self.text = ""
        self._addresses = addresses
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag in {"p", "br"}:
            self.text += "\n"
        elif tag == "a" and self._addresses and not _is_name(attributes.get("class") or ""):
            self.text += attributes.get("href") or ""
            self._hidden = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._hidden = False
        elif tag == "p":
            self.text += "\n"

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data


def _is_name(classes: str) -> bool:
    """Say whether a link is a mention or a hashtag, whose words are the author's."""
    return bool({"mention", "hashtag"} & set(classes.split()))
