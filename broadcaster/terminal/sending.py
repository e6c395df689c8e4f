"""Handing an alert in: one idempotency key, repeated until an answer comes or the time is over.

The repeats are safe because the key stays the same: whatever the lost answer said, the next one
says it again.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_before_delay,
    wait_exponential_jitter,
)

from broadcaster.terminal.client import Client, Lost, Problem
from broadcaster.terminal.target import Misuse

REPEAT_SECONDS = 30.0
ANSWER_SECONDS = 10.0
_WAITS = wait_exponential_jitter(multiplier=0.5, max=5.0, jitter=0.5)
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """What a person wants handed in: a file, `-` for standard input, and under which key."""

    file: Path
    key: str | None = None  # None makes a fresh one
    allow_duplicate_of: str | None = None

    def letter(self) -> Letter:
        """Read the file. Raises Misuse with what to do."""
        return Letter(read_alert(self.file), self.key or str(uuid.uuid4()), self.allow_duplicate_of)


@dataclass(frozen=True, slots=True)
class Letter:
    """What is handed in: the bytes of a file as they are, and the key they go under."""

    body: bytes
    key: str
    allow_duplicate_of: str | None = None  # the id of the alert this one may say again

    @property
    def headers(self) -> dict[str, str]:
        """The headers it is handed in with."""
        allowed = self.allow_duplicate_of
        return {"Idempotency-Key": self.key} | ({"Allow-Duplicate-Of": allowed} if allowed else {})


def read_alert(file: Path) -> bytes:
    """Return a file's bytes; `-` reads standard input. Raises Misuse with what to do."""
    if str(file) == "-":
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as error:
        raise Misuse(f"Cannot read {file}: {error.strerror}.") from None


async def hand_in(
    client: Client, letter: Letter, tell: Callable[[str], None], *, seconds: float = REPEAT_SECONDS
) -> Json:
    """Return the accepted alert. Repeats under the same key while answers are lost.

    `tell` is called with a sentence before each repeat. Raises Problem when the alert is refused,
    Lost when no answer came within `seconds`: then `sent` says whether it may be accepted.
    """
    doubt = False

    async def once() -> Json:
        nonlocal doubt
        try:
            accepted: Json = await client.post_alert(
                "/v1/alerts", letter.body, headers=letter.headers, seconds=ANSWER_SECONDS
            )
        except Lost as lost:
            doubt = doubt or lost.sent
            raise Lost(str(lost), sent=doubt, hopeless=lost.hopeless) from None
        return accepted

    return await repeat(once, tell, seconds=seconds)


async def repeat(
    once: Callable[[], Awaitable[Json]],
    tell: Callable[[str], None],
    *,
    seconds: float = REPEAT_SECONDS,
) -> Json:
    """Do something that is safe to repeat until an answer comes or the time is over."""

    def before(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        tell(f"{error} Trying again in {state.upcoming_sleep:.1f} s.")

    retrying = AsyncRetrying(
        retry=retry_if_exception(_worth_repeating),
        stop=stop_before_delay(seconds),
        wait=_wait,
        before_sleep=before,
        sleep=asyncio.sleep,
        reraise=True,
    )
    return await retrying(once)


def _worth_repeating(error: BaseException) -> bool:
    if isinstance(error, Lost):
        return not error.hopeless
    if isinstance(error, Problem):
        still_in_flight = error.status == 409 and error.retry_after is not None
        return error.status in _TRY_AGAIN or still_in_flight
    return False


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, Problem) else None
    return _WAITS(state) if asked is None else asked
