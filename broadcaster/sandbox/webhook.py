"""Stand-ins that take JSON: receivers of Standard Webhooks, and on-call phones.

A receiver is `/webhook` or `/webhook/NAME`; it needs no token. It checks the signature with
SANDBOX_WEBHOOK_SECRET and marks the post `verified` true or false, and it drops a repeat of the
same `webhook-id`, as the standard asks of it. `/on-call/NAME` takes what apprise posts to a json://
target.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from aiohttp.web import Request, Response, UrlDispatcher

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import Answers, answer, as_object
from broadcaster.sandbox.faults import CALL, Faults, On, Stage, possible
from broadcaster.sandbox.posts import Post, Posts, account

NAME = "webhook"
ON_CALL = "on-call"
SANDBOX_WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"sandbox-webhook-secret-is-public").decode()
TIMESTAMP_SECONDS = 300


def signature(message_id: str, timestamp: str, body: bytes) -> str:
    """Return the v1 signature of Standard Webhooks under the sandbox's secret."""
    secret = base64.b64decode(SANDBOX_WEBHOOK_SECRET.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def _error(status: int, sentence: str) -> Response:
    return answer({"error": sentence}, status)


def _rate_limited(seconds: float) -> Response:
    refused = _error(429, "Too many requests")
    refused.headers["Retry-After"] = str(int(seconds + 0.999))
    return refused


_ANSWERS = Answers(
    refused=lambda: _error(400, "This receiver does not take such an event"),
    rate_limited=_rate_limited,
    failed=lambda: _error(500, "Internal server error"),
)


class Webhook:
    """Receivers that take webhooks, one per name."""

    def __init__(self, posts: Posts, clock: Clock) -> None:
        self._posts = posts
        self._clock = clock
        self.able = possible(_ANSWERS)

    def route(self, router: UrlDispatcher, faults: Faults) -> None:
        """Put the receivers under /webhook."""
        receive = Stage(NAME, self._posts, faults, _ANSWERS).on(On.CREATE, self.receive)
        router.add_post(f"/{NAME}", receive)
        router.add_post(f"/{NAME}/{{receiver}}", receive)

    async def receive(self, request: Request) -> Response:
        """Take one event: 200, or 400 if it is no JSON object."""
        data = await request.read()
        receiver = request.match_info.get("receiver", NAME)
        key = request.headers.get("webhook-id")
        self._posts.name(NAME, request[CALL], f"{receiver} {key or data!r}")
        event = as_object(data)
        if event is None:
            return _error(400, "The body is no JSON object")
        if key and self._posts.marked(NAME, (receiver, key)):
            return answer({"received": True})
        post = Post(
            NAME,
            key or hashlib.sha256(data).hexdigest()[:32],
            account(receiver),
            data.decode(),
            self._clock.now(),
            language=_language(event),
            key=key,
            details={"receiver": receiver, "verified": self._verified(request, data)},
        )
        post.id = f"{receiver}/{post.id}"
        self._posts.add(post, (receiver, key) if key else None)
        return answer({"received": True})

    def _verified(self, request: Request, data: bytes) -> bool:
        key = request.headers.get("webhook-id", "")
        timestamp = request.headers.get("webhook-timestamp", "")
        given = request.headers.get("webhook-signature", "").split()
        if not key or not (timestamp.isascii() and timestamp.isdigit()):
            return False
        age = self._clock.now().timestamp() - int(timestamp)
        expected = signature(key, timestamp, data).encode()
        return abs(age) <= TIMESTAMP_SECONDS and any(
            hmac.compare_digest(expected, one.encode()) for one in given
        )


class OnCall:
    """Phones of on-call staff: what they are told is a post of its own network, `on-call`."""

    def __init__(self, posts: Posts, clock: Clock) -> None:
        self._posts = posts
        self._clock = clock
        self._count = 0
        self.able = possible(_ANSWERS)

    def route(self, router: UrlDispatcher, faults: Faults) -> None:
        """Put the phones under /on-call."""
        receive = Stage(ON_CALL, self._posts, faults, _ANSWERS).on(On.CREATE, self.receive)
        router.add_post(f"/{ON_CALL}/{{receiver}}", receive)

    async def receive(self, request: Request) -> Response:
        """Take one message of the form {"title", "message"}."""
        event = as_object(await request.read())
        if event is None:
            return _error(400, "The body is no JSON object")
        parts = (str(event.get(name) or "") for name in ("title", "message"))
        text = "\n\n".join(part for part in parts if part)
        self._posts.name(ON_CALL, request[CALL], text)
        self._count += 1
        receiver = request.match_info["receiver"]
        post = Post(
            ON_CALL,
            f"{receiver}/{self._count}",
            account(receiver),
            text,
            self._clock.now(),
            details={"receiver": receiver, "subject": str(event.get("title") or "")},
        )
        self._posts.add(post)
        return answer({"received": True})


def _language(event: dict[str, Any]) -> str | None:
    """Return the language of the alert inside, if there is one."""
    match event:
        case {"data": {"info": [{"language": str(language)}, *_]}}:
            return language
    return None
