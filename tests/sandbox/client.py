"""A client of the stand-ins that keeps status, headers and body of every answer."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from PIL import Image

from broadcaster.sandbox import Sandbox
from broadcaster.sandbox.bluesky import tid

TOKEN = {"Authorization": "Bearer sandbox-stadt-dortmund"}
POST = "app.bsky.feed.post"
RKEY = tid(1_700_000_000_000_000, 7)


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        """Give the body as JSON."""
        return json.loads(self.raw)


class Client:
    """Speaks to one sandbox."""

    def __init__(self, sandbox: Sandbox, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self._session = session

    async def ask(self, method: str, url: str, **more: Any) -> Answer:
        """Send one request; `url` may be a path of the sandbox."""
        whole = url if url.startswith("http") else self.sandbox.url + url
        async with self._session.request(method, whole, allow_redirects=False, **more) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def post(self, network: str, path: str, **more: Any) -> Answer:
        """Post to a network."""
        return await self.ask("POST", f"/{network}{path}", **more)

    async def get(self, network: str, path: str, **more: Any) -> Answer:
        """Read from a network."""
        return await self.ask("GET", f"/{network}{path}", **more)

    async def fault(self, network: str, fault: str, **more: Any) -> Answer:
        """Set a fault."""
        body = {"network": network, "fault": fault, **more}
        return await self.ask("PUT", "/_sandbox/faults", json=body)

    async def posts(self, network: str) -> list[dict[str, Any]]:
        """Return what the public sees of a network."""
        answer = await self.ask("GET", "/_sandbox/posts", params={"network": network})
        assert answer.status == 200
        shown: list[dict[str, Any]] = answer.body
        return shown

    async def tweet(self, text: str, **more: Any) -> Answer:
        """Post on X."""
        return await self.post("x", "/2/tweets", json={"text": text, **more}, headers=TOKEN)

    async def toot(self, text: str, key: str | None = None, **more: str) -> Answer:
        """Post on Mastodon."""
        headers = TOKEN | ({"Idempotency-Key": key} if key else {})
        form = {"status": text, **more}
        return await self.post("mastodon", "/api/v1/statuses", data=form, headers=headers)

    async def put(self, bluesky: Mapping[str, Any], text: str, **more: Any) -> Answer:
        """Put a post on Bluesky, created if `swapRecord` is left as it is."""
        body = {
            "repo": bluesky["did"],
            "collection": POST,
            "rkey": RKEY,
            "record": record(text),
            "swapRecord": None,
        } | more
        path = "/xrpc/com.atproto.repo.putRecord"
        return await self.post("bluesky", path, json=body, headers=bluesky["headers"])

    async def event(self, receiver: str = "fire-brigade", key: str = "k1") -> Answer:
        """Post an unsigned event to a webhook."""
        body = {"type": "alert.issued", "data": {"reference": "26-1/1"}}
        return await self.post("webhook", f"/{receiver}", json=body, headers={"webhook-id": key})


def picture(width: int = 40, height: int = 30, form: str = "PNG") -> bytes:
    """Draw a plain picture."""
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, form)
    return file.getvalue()


def record(text: str, **more: Any) -> dict[str, Any]:
    """Return a post as Bluesky keeps it."""
    created = "2026-11-22T01:49:00.000Z"
    return {"$type": POST, "text": text, "langs": ["de"], "createdAt": created, **more}
