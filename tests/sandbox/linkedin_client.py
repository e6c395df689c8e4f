"""A client of the LinkedIn stand-in: addresses go out as they are written, URNs encoded."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from yarl import URL

from broadcaster.sandbox.posts import account
from tests.sandbox.client import Answer, Client

PAGE = f"urn:li:organization:{account('sandbox-stadt-dortmund').number}"
HEADERS = {
    "Authorization": "Bearer sandbox-stadt-dortmund",
    "LinkedIn-Version": "202608",
    "X-Restli-Protocol-Version": "2.0.0",
}


async def ask(
    client: Client, method: str, path: str, body: Any = None, **headers: str | None
) -> Answer:
    """Send one request under /linkedin; a header of None is left out."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    given = {name: value for name, value in (HEADERS | named).items() if value is not None}
    data = None if body is None else json.dumps(body).encode()
    kind = {"Content-Type": "application/json"} if data else {}
    url = URL(f"{client.sandbox.url}/linkedin{path}", encoded=True)
    async with client._session.request(
        method, url, data=data, headers=given | kind, allow_redirects=False
    ) as answer:
        return Answer(answer.status, answer.headers, await answer.read())


def draft(commentary: str, **more: Any) -> dict[str, Any]:
    """Give the body of a post."""
    return {
        "author": PAGE,
        "commentary": commentary,
        "visibility": "PUBLIC",
        "distribution": {"feedDistribution": "MAIN_FEED"},
        "lifecycleState": "PUBLISHED",
    } | more


async def post(client: Client, commentary: str, **more: Any) -> Answer:
    """Post on LinkedIn."""
    return await ask(client, "POST", "/rest/posts", draft(commentary, **more))


async def urn_of(client: Client, commentary: str) -> str:
    """Post on LinkedIn, and give the post's URN, encoded."""
    made = await post(client, commentary)
    assert made.status == 201
    return quote(made.headers["x-restli-id"], safe="")


async def own(client: Client, query: str = "", **headers: str | None) -> Answer:
    """List own posts."""
    author = quote(PAGE, safe="")
    path = f"/rest/posts?q=author&author={author}{query}"
    return await ask(client, "GET", path, **({"X_RestLi_Method": "FINDER"} | headers))


async def edit(client: Client, urn: str, commentary: str) -> Answer:
    """Change a post's text."""
    body = {"patch": {"$set": {"commentary": commentary}}}
    return await ask(client, "POST", f"/rest/posts/{urn}", body, X_RestLi_Method="PARTIAL_UPDATE")


async def comment(client: Client, urn: str, text: str, **more: Any) -> Answer:
    """Comment on a post in the page's name."""
    body = {"actor": PAGE, "object": URL(urn, encoded=True).path, "message": {"text": text}}
    return await ask(client, "POST", f"/rest/socialActions/{urn}/comments", body | more)
