"""A post as Bluesky keeps it: the record under its key, and what looking it up shows.

The same delivery, with the same handle, always makes the same record, byte by byte.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from atproto_client.models.utils import get_model_as_dict
from atproto_client.utils import facet_detection

from broadcaster.channels.pictures import drawn, made
from broadcaster.delivery import Delivery, Receipt, Rejected, Sight

COLLECTION = "app.bsky.feed.post"

_SORTABLE = "234567abcdefghijklmnopqrstuvwxyz"
_URI = re.compile(
    r"at://did:[a-z]+:[A-Za-z0-9._:%-]{1,200}/[a-zA-Z.]{1,100}/[A-Za-z0-9._~:-]{1,64}"
)
_HIDING = ("!hide", "!takedown", "!suspend")
_COUNTS = {
    "replyCount": "replies",
    "repostCount": "shares",
    "likeCount": "likes",
    "quoteCount": "quotes",
}


def record_key(stamp: datetime, key: str) -> str:
    """Return the record's key, a TID: the microseconds of `stamp`, and 10 bits of `key` (hex)."""
    microseconds = (stamp - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    number = (microseconds & (1 << 53) - 1) << 10 | int(key, 16) & 0x3FF
    return "".join(_SORTABLE[number >> shift & 31] for shift in range(60, -1, -5))


def record_of(delivery: Delivery) -> dict[str, Any]:
    """Make the record; the same delivery always makes the same one."""
    if delivery.message is None:
        raise Rejected("there is no text in this delivery")
    text = delivery.message.text
    created = delivery.stamp.astimezone(UTC).isoformat(timespec="milliseconds")
    record: dict[str, Any] = {
        "$type": COLLECTION,
        "text": text,
        "createdAt": created.replace("+00:00", "Z"),
        "langs": [delivery.message.language],
    }
    if facets := [get_model_as_dict(facet) for facet in facet_detection.detect_facets(text)]:
        record["facets"] = facets
    if reply := reply_to(delivery.reply_to):
        record["reply"] = reply
    if embed := _embed(delivery):
        record["embed"] = embed
    return record


def _embed(delivery: Delivery) -> dict[str, Any] | None:
    """Give the card as the record holds it, None where it was not uploaded."""
    media, blob = drawn(delivery), made(delivery, "blob")
    if media is None or blob is None:
        return None
    size = {"width": media.width, "height": media.height}
    image = {"alt": media.alt, "image": blob, "aspectRatio": size}
    return {"$type": "app.bsky.embed.images", "images": [image]}


def reply_to(receipt: Receipt | None) -> dict[str, Any] | None:
    """Give a reply's references; None where the receipt lacks them, being a person's own post."""
    parent = {name: receipt.details.get(name) for name in ("uri", "cid")} if receipt else {}
    if receipt is None or not all(parent.values()):
        return None
    return {"root": receipt.details.get("root", parent), "parent": parent}


def same(found: object, record: Mapping[str, Any]) -> bool:
    """Say whether a record that was read is ours.

    Links and hashtags are left out: they follow from the text, by rules that may change with the
    library between two attempts. So is the card: it may have been uploaded afresh in between.
    """
    names = ("$type", "text", "createdAt", "langs", "reply")
    return isinstance(found, dict) and all(found.get(name) == record.get(name) for name in names)


def uri_of(receipt: Receipt | None) -> str:
    """Give the address of the record that a receipt names. Raises Rejected."""
    uri = receipt.remote_id if receipt else None
    if uri is None or not _URI.fullmatch(uri):
        raise Rejected("this receipt names no record")
    return uri


def is_blob(value: object) -> bool:
    """Say whether an answer names an uploaded file as a record has to name it."""
    ref = value.get("ref") if isinstance(value, dict) and value.get("$type") == "blob" else None
    return isinstance(ref, dict) and isinstance(ref.get("$link"), str)


def sight_of(post: Mapping[str, Any], delivery: Delivery) -> Sight:
    """Say what a post shows, as the public view gives it; of a record alone there are no counts."""
    record = post.get("record")
    text = record.get("text") if isinstance(record, dict) else None
    reason = _hidden(post)
    return Sight(
        there=reason is None,
        text=text if isinstance(text, str) else None,
        altered=delivery.message is not None and text != delivery.message.text,
        reason=reason,
        counts={name: post[key] for key, name in _COUNTS.items() if _is_count(post.get(key))},
    )


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _hidden(post: Mapping[str, Any]) -> str | None:
    """Say by which label a post or its account is hidden from everybody, None if it is not."""
    author = post.get("author")
    given = [post.get("labels"), author.get("labels") if isinstance(author, dict) else None]
    labels = [one for some in given if isinstance(some, list) for one in some]
    names = [one.get("val") for one in labels if isinstance(one, dict)]
    found = next((name for name in _HIDING if name in names), None)
    return f"hidden by Bluesky: it is labelled {found}" if found else None
