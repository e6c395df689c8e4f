"""What LinkedIn tells of posts and comments, and whether they are ours."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from broadcaster.channels import http
from broadcaster.channels.linkedin import little
from broadcaster.channels.linkedin.access import SITE
from broadcaster.channels.linkedin.api import POST, Api, encoded
from broadcaster.delivery import Delivery, Receipt, Rejected, Unknown, names_reference

PAGE = 20  # posts in one answer: a hundred long ones would exceed what is read of a body
PAGES_MAX = 50


def created_urn(answer: http.Answer) -> str | None:
    """Return the post that an answer says was made, None if it names none."""
    urn = answer.headers.get("x-restli-id", "").strip()
    return urn if answer.status in {200, 201} and re.fullmatch(POST, urn) else None


def urn_of(receipt: Receipt | None) -> str:
    """Return the post that a receipt names. Raises Rejected where it names none."""
    if receipt is None or not re.fullmatch(POST, receipt.remote_id or ""):
        raise Rejected("this receipt names no post on LinkedIn")
    return str(receipt.remote_id)


def permalink(urn: str) -> str:
    """Return where people see a post."""
    return f"{SITE}/feed/update/{urn}/"


def by_author(author: str, count: int, start: int = 0) -> str:
    """Return the query that lists an author's posts, newest first."""
    place = {"start": start} if start else {}
    query = {"q": "author", "author": author, "count": count, **place, "sortBy": "CREATED"}
    return urlencode(query)


async def own_posts(api: Api, author: str, since: datetime) -> AsyncIterator[Mapping[str, Any]]:
    """Give an author's posts since then, newest first. Raises NotSent, NeedsPerson or Unknown.

    Only an empty page is the last: LinkedIn leaves out of a page what it does not show.
    """
    for number in range(PAGES_MAX):
        page = await _page(api, "posts", by_author(author, PAGE, number * PAGE), "FINDER")
        for post in page:
            yield post
        if all(created(post) < since for post in page):
            return
    raise Unknown("LinkedIn lists more posts than can be read back")


async def comments_on(api: Api, urn: str) -> AsyncIterator[Mapping[str, Any]]:
    """Give the comments on a post. Raises NotSent, NeedsPerson or Unknown."""
    for number in range(PAGES_MAX):
        query = urlencode({"count": PAGE, "start": number * PAGE})
        page = await _page(api, f"socialActions/{encoded(urn)}/comments", query)
        if not page:
            return
        for comment in page:
            yield comment
    raise Unknown("LinkedIn lists more comments than can be read back")


async def _page(
    api: Api, path: str, query: str, method: str | None = None
) -> list[Mapping[str, Any]]:
    answer = await api.get(path, query, method)
    page = http.as_object(answer)
    if answer.status != 200 or not is_page(page):
        raise api.unread(answer)
    return list(page["elements"])


async def one_post(api: Api, urn: str) -> dict[str, Any] | None:
    """Read one post, None if it is gone. Raises NotSent or NeedsPerson."""
    answer = await api.get(f"posts/{encoded(urn)}")
    post = http.as_object(answer)
    if answer.status in {404, 410}:
        return None
    if answer.status != 200 or "lifecycleState" not in post:
        raise api.unread(answer)
    return post | {"id": urn}


def is_page(page: Mapping[str, Any]) -> bool:
    """Say whether an answer is a list of posts or comments: anything else proves no absence."""
    rows = page.get("elements")
    return isinstance(rows, list) and all(
        isinstance(row, dict) and isinstance(row.get("id"), str | int) for row in rows
    )


def commentary_of(post: Mapping[str, Any]) -> str:
    """Return a post's text as little text; a post may have none."""
    text = post.get("commentary")
    return text if isinstance(text, str) else ""


def created(post: Mapping[str, Any]) -> datetime:
    """When the post was made; without a time it is no older than what was asked for."""
    stamp = post.get("createdAt")
    if isinstance(stamp, int) and 10**11 < stamp < 10**14:  # milliseconds
        return datetime.fromtimestamp(stamp / 1000, UTC)
    return datetime.max.replace(tzinfo=UTC)


def is_it(post: Mapping[str, Any], delivery: Delivery, since: datetime) -> bool:
    """Say whether a post is this delivery's: its reference, its time and its whole text."""
    if post.get("lifecycleState") in {"DRAFT", "PUBLISH_FAILED"} or created(post) < since:
        return False
    text, ours = commentary_of(post), delivery.message.text if delivery.message else ""
    # The languages of one alert share its reference: the text tells them apart.
    return names_reference(little.read(text), delivery.reference) and says(text, ours, delivery)


def comparable(text: str) -> str:
    """Take out what may differ without a reader seeing it: invisible characters, white space."""
    plain = unicodedata.normalize("NFC", text)
    seen = "".join(one for one in plain if unicodedata.category(one) != "Cf")
    return " ".join(seen.split())


def points(text: str, pointer: str) -> bool:
    """Say whether a text has the pointer as a piece of its own, and no longer number."""
    words = re.escape(comparable(pointer))
    return re.search(rf"(?<!\S){words}(?!\S)", comparable(text)) is not None


def says(commentary: str, ours: str, delivery: Delivery) -> bool:
    """Say whether a post says what we posted, or that below a pointer to a later version of it."""
    wanted, incident = comparable(ours), re.escape(delivery.reference.rpartition("/")[0])
    for seen in (comparable(little.read(commentary)), comparable(commentary)):
        before = seen.removesuffix(wanted)
        if seen == wanted:
            return True
        if before != seen and re.search(rf"(?<![\w-]){incident}/[0-9]+(?!\w)", before):
            return True
    return False


def hidden(post: Mapping[str, Any]) -> str | None:
    """Say why the public does not see a post, None if nothing speaks against it."""
    state, seen_by = post.get("lifecycleState"), post.get("visibility", "PUBLIC")
    if state == "PUBLISH_REQUESTED":
        return "LinkedIn is still processing it"
    if state == "PUBLISH_FAILED":
        return "LinkedIn took it, but failed to publish it"
    if state != "PUBLISHED":
        return "it is not published"
    return None if seen_by == "PUBLIC" else "it is not for everyone"


def counts(metadata: Mapping[str, Any]) -> dict[str, int]:
    """Return the engagement that an answer of /rest/socialMetadata tells."""
    found: dict[str, int] = {}
    reactions, comments = metadata.get("reactionSummaries"), metadata.get("commentSummary")
    if isinstance(reactions, dict):
        found["likes"] = sum(_count(one) or 0 for one in reactions.values())
    if (number := _count(comments)) is not None:
        found["replies"] = number
    return found


def _count(summary: object) -> int | None:
    number = summary.get("count") if isinstance(summary, dict) else None
    return number if isinstance(number, int) and 0 <= number < 10**12 else None
