"""A stand-in for receivers of Standard Webhooks.

A receiver is `/webhook` or `/webhook/NAME`; it needs no token. It checks the signature with
SANDBOX_WEBHOOK_SECRET and marks the post `verified` true or false, and it drops a repeat of the
same `webhook-id`, as the standard asks of it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

from aiohttp.web import Request, Response, UrlDispatcher

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import Answers, answer, as_object
from broadcaster.sandbox.faults import CALL, Faults, On, Stage, possible
from broadcaster.sandbox.looks import Look
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import Post, Posts, account

NAME = "webhook"
LOOK = Look(NAME, "Webhooks", colour="#c2410c", empty="No events yet.")
SANDBOX_WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"sandbox-webhook-secret-is-public").decode()
SECRET_FILE = "fire-brigade-secret"  # noqa: S105 - the name of a file
TIMESTAMP_SECONDS = 300


def channel(url: str) -> str:
    """Return the table of a channel that posts to this stand-in."""
    return f"""\
[channels.fire-brigade]
type = "webhook"
url = {json.dumps(f"{url}/fire-brigade")}
secret_file = "{SECRET_FILE}"

"""


def secrets() -> dict[str, str]:
    """Return the secret files that the table names."""
    return {SECRET_FILE: SANDBOX_WEBHOOK_SECRET}


def signature(message_id: str, timestamp: str, body: bytes) -> str:
    """Return the v1 signature of Standard Webhooks under the sandbox's secret."""
    secret = base64.b64decode(SANDBOX_WEBHOOK_SECRET.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def error(status: int, sentence: str) -> Response:
    """Return what a receiver says when it does not take a request."""
    return answer({"error": sentence}, status)


def _rate_limited(seconds: float) -> Response:
    refused = error(429, "Too many requests")
    refused.headers["Retry-After"] = str(int(seconds + 0.999))
    return refused


ANSWERS = Answers(
    refused=lambda: error(400, "This receiver does not take such an event"),
    rate_limited=_rate_limited,
    failed=lambda: error(500, "Internal server error"),
)


class Webhook:
    """Receivers that take webhooks, one per name."""

    def __init__(self, posts: Posts, clock: Clock, _pictures: Pictures) -> None:
        self._posts = posts
        self._clock = clock
        self.able = possible(ANSWERS)

    def route(self, router: UrlDispatcher, faults: Faults) -> None:
        """Put the receivers under /webhook."""
        receive = Stage(NAME, self._posts, faults, ANSWERS).on(On.CREATE, self.receive)
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
            return error(400, "The body is no JSON object")
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


def _language(event: dict[str, Any]) -> str | None:
    """Return the language of the alert inside, if there is one."""
    match event:
        case {"data": {"info": [{"language": str(language)}, *_]}}:
            return language
    return None
