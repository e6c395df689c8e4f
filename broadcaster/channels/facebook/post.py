"""What Facebook tells of posts: ids, texts and times, who sees one, and how it is taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from broadcaster.channels.meta import graph
from broadcaster.delivery import Delivery, Receipt, Rejected

SITE = "https://www.facebook.com"


def post_of(receipt: Receipt | None) -> str:
    """Return the id of a post or comment. Raises Rejected where a receipt names none."""
    if receipt is None or not graph.is_id(receipt.remote_id):
        raise Rejected("this receipt names no post on Facebook")
    return str(receipt.remote_id)


def text_of(post: Mapping[str, Any]) -> str:
    """Return what a post or a comment says; a photo without a caption says nothing."""
    text = post.get("message")
    return text if isinstance(text, str) else ""


def permalink(post: Mapping[str, Any]) -> str:
    """Return the address Facebook gives a post, else the one that its id makes."""
    url = post.get("permalink_url")
    known = isinstance(url, str) and url.startswith("https://") and len(url) < 500
    return str(url) if known else f"{SITE}/{post['id']}"


def created(post: Mapping[str, Any]) -> datetime:
    """When the post was made; without a time it is no older than what was asked for."""
    return graph.moment(post.get("created_time")) or datetime.max.replace(tzinfo=UTC)


def points(text: str, pointer: str) -> bool:
    """Say whether a text holds the pointer as a piece of its own, and no longer number."""
    words = re.escape(graph.comparable(pointer))
    return re.search(rf"(?<!\S){words}(?!\S)", graph.comparable(text)) is not None


def says(text: str, ours: str, delivery: Delivery) -> bool:
    """Say whether a post says what we posted, or that below a pointer to a later version of it."""
    seen, wanted = graph.comparable(text), graph.comparable(ours)
    if not seen.endswith(wanted):
        return False
    before = seen.removesuffix(wanted)
    incident = re.escape(delivery.reference.rpartition("/")[0])
    return not before or re.search(rf"(?<![\w-]){incident}/[0-9]+(?!\w)", before) is not None


def hidden(post: Mapping[str, Any]) -> str | None:
    """Say why the public does not see a post, None if nothing speaks against it."""
    privacy = post.get("privacy")
    seen_by = privacy.get("value") if isinstance(privacy, dict) else None
    if post.get("is_published") is False:
        return "it is unpublished"
    if post.get("is_hidden") is True:
        return "it is hidden from the Page"
    if isinstance(seen_by, str) and seen_by not in {"", "EVERYONE"}:  # often it is empty
        return f"it is not for everyone, but for {seen_by[:40]}"
    return None


def counts(post: Mapping[str, Any]) -> dict[str, int]:
    """Return the engagement that Facebook tells; what it leaves out is nought or not to be read."""
    shares = post.get("shares")
    found = {
        "likes": _total(post.get("reactions")),
        "replies": _total(post.get("comments")),
        "shares": shares.get("count") if isinstance(shares, dict) else None,
    }
    return {name: count for name, count in found.items() if isinstance(count, int)}


def _total(edge: object) -> object:
    summary = edge.get("summary") if isinstance(edge, dict) else None
    return summary.get("total_count") if isinstance(summary, dict) else None
