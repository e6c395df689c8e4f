"""What Threads and Instagram do alike with a request: who asks, with which fields, page by page."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp.web import Request, Response

from broadcaster.sandbox import meta_access as access
from broadcaster.sandbox.answers import Window, answer
from broadcaster.sandbox.facebook_access import error, expired, parameters, token_of
from broadcaster.sandbox.meta_access import Access

USED_PERCENT_MAX = 80  # told: a long test would else pull the brakes of whoever asks
PAGE_DEFAULT, PAGE_MAX = 25, 100


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with its parameters, by somebody whose token is good."""

    by: Access
    given: Mapping[str, str]
    node: str
    request: Request


Handling = Callable[[Asked], Awaitable[Response]]


def for_the_known(window: Window, handling: Handling) -> Callable[[Request], Awaitable[Response]]:
    """Let in whoever has a good token, and give every answer the header Meta gives."""

    async def handle(request: Request) -> Response:
        given = await parameters(request)
        by = access.access_of(token_of(request, given))
        if by is None:
            return error(190, "Invalid OAuth access token - Cannot parse access token")
        if not by.valid:
            return expired()
        node = request.match_info.get("node", "")
        done = await handling(Asked(by, given, by.number if node == "me" else node, request))
        left, _ = window.use()
        used = min(USED_PERCENT_MAX, 100 - 100 * left // window.limit)
        done.headers["X-App-Usage"] = json.dumps({"call_count": used, "total_time": 1})
        return done

    return handle


def shown(asked: Asked, every: Mapping[str, Any], known: frozenset[str]) -> Response:
    """Answer with the fields that were asked for."""
    fields = picked(asked, every, known)
    return fields if isinstance(fields, Response) else answer(fields)


def picked(
    asked: Asked, every: Mapping[str, Any], known: frozenset[str]
) -> dict[str, Any] | Response:
    """Return the fields that were asked for, `id` always; refuse one that nothing has."""
    wanted = asked.given.get("fields", "id").split(",")
    if strange := [name for name in wanted if name not in known]:
        return error(100, f"(#100) Tried accessing nonexisting field ({strange[0]})")
    return {name: every[name] for name in every if name in {"id", *wanted}}


def page_of(asked: Asked, found: list[dict[str, Any]], known: frozenset[str]) -> Response:
    """Return one page of a list, as asked by `limit` and `after`."""
    limit = asked.given.get("limit", str(PAGE_DEFAULT))
    if not limit.isdecimal() or not 1 <= int(limit) <= PAGE_MAX:
        return error(100, f"(#100) limit must be from 1 to {PAGE_MAX}")
    after = asked.given.get("after")
    places = [place for place, one in enumerate(found) if one["id"] == after]
    if after and not places:
        return error(100, "(#100) The cursor is not valid")
    rest = found[places[0] + 1 :] if places else found
    page = rest[: int(limit)]
    rows = [picked(asked, one, known) for one in page]
    if fault := next((one for one in rows if isinstance(one, Response)), None):
        return fault
    body: dict[str, Any] = {"data": rows}
    if page:
        body["paging"] = {"cursors": {"before": page[0]["id"], "after": page[-1]["id"]}}
    if len(rest) > len(page):
        body["paging"]["next"] = f"{asked.request.url.path}?after={page[-1]['id']}"
    return answer(body)


def metric(post: str, name: str, value: int) -> dict[str, Any]:
    """Return one row of a post's insights."""
    return {
        "name": name,
        "period": "lifetime",
        "values": [{"value": value}],
        "title": name.capitalize(),
        "id": f"{post}/insights/{name}/lifetime",
    }
