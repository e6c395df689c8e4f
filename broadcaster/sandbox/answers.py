"""Answers in JSON, the answers a fault needs from each network, and rate-limit windows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp.web import Response

from broadcaster.clock import Clock

Rate = Callable[[float], Response]
Plain = Callable[[], Response]

_JSON = "application/json"
PROBLEM = "application/problem+json"


def answer(
    body: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    content_type: str = _JSON,
) -> Response:
    """Return a JSON answer."""
    data = json.dumps(body, ensure_ascii=False).encode()
    return Response(body=data, status=status, headers=headers, content_type=content_type)


def as_object(data: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body is, or None."""
    try:
        value = json.loads(data.decode())
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def problem(status: int, code: str, detail: str) -> Response:
    """Return a problem document of the sandbox's own switches."""
    titles = {400: "Bad Request", 404: "Not Found", 422: "Unprocessable Content"}
    body = {
        "type": "about:blank",
        "title": titles[status],
        "status": status,
        "code": code,
        "detail": detail,
    }
    return answer(body, status, content_type=PROBLEM)


@dataclass(frozen=True, slots=True)
class Answers:
    """How one network says what a fault makes it say; None where it never says such a thing.

    `rate_limited` takes the seconds to wait. `without_id` is a success that names no post.
    """

    refused: Plain
    rate_limited: Rate
    failed: Plain
    without_id: Plain | None = None
    expired_token: Plain | None = None
    duplicate: Plain | None = None


class Window:
    """A rate limit: counted and shown in headers. Only the fault rate-limit ever enforces one.

    A stand-in that refused the hundredth post would make long tests tests of the stand-in; so the
    rest never falls below 1.
    """

    def __init__(self, limit: int, seconds: int, clock: Clock) -> None:
        self.limit = limit
        self.seconds = seconds
        self._clock = clock
        self._ends = 0.0
        self._used = 0

    @property
    def used(self) -> int:
        """How many requests were counted in this window."""
        return self._used

    def use(self) -> tuple[int, int]:
        """Count one request; return how many are left, and when the window ends (epoch seconds)."""
        now = self._clock.now().timestamp()
        if now >= self._ends:
            self._ends, self._used = math.ceil(now) + self.seconds, 0
        self._used += 1
        return max(1, self.limit - self._used), int(self._ends)
