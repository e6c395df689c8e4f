"""Posting over HTTP so that a failure says what it proves: not sent, or unknown.

An exception's class cannot tell the two apart: a connection that dies raises the same one before
and after the request was written. What decides is whether the body began to be written, for the
head leaves with it. Every channel has a client of its own, so that connections stuck on one
channel take no place from another.
"""

from __future__ import annotations

import contextlib
import email.utils
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.errors import MessageError
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from broadcaster.config import Timing
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Rejected, Unknown

CONNECTIONS_PER_HOST = 16
KEPT_ALIVE_SECONDS = 60.0
BODY_BYTES_MAX = 1_000_000
WAIT_MAX = timedelta(hours=72)  # no alert is tried longer: what asks for more is junk

# RuntimeError: the session was closed under a post, as at the end of the process.
_BROKEN = (aiohttp.ClientError, OSError, ValueError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side answered, redirects and errors included.

    `whole`: the body was read to its end. If not (it broke off, hung, or exceeded
    BODY_BYTES_MAX), `body` is empty, the connection is closed, and only status and headers count.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True


class _Body(aiohttp.BytesPayload):
    """A request body that remembers whether any of it may have left."""

    begun = False

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        transport = getattr(writer, "transport", None)
        # A transport that is closing takes nothing any more; head and body leave together.
        if transport is not None and not transport.is_closing():
            self.begun = True
        await super().write_with_length(writer, content_length)


class Client:
    """The connections of one channel. It is made without a running loop, and opens on first use."""

    def __init__(self, timing: Timing) -> None:
        self._timeout = aiohttp.ClientTimeout(
            total=timing.attempt_seconds,
            connect=timing.connect_seconds,
            sock_connect=timing.connect_seconds,
        )
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: URL, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Post once, and give whatever was answered.

        Raises NotSent if the body was provably not begun, Unknown if it was and no status came
        back within the attempt's limit. Never follows a redirect and never repeats.
        """
        return await self._write("POST", url, body, headers)

    async def put(self, url: URL, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Put bytes in their place, which is safe to repeat, and give whatever was answered.

        Raises as `post`. On a connection that was kept and is dead, aiohttp may put them twice.
        """
        return await self._write("PUT", url, body, headers)

    async def _write(
        self, method: str, url: URL, body: bytes, headers: Mapping[str, str]
    ) -> Answer:
        marked = _Body(body)
        try:
            async with self._open().request(
                method, url, data=marked, headers=headers, allow_redirects=False
            ) as response:
                return await _read(response)
        except _BROKEN as error:
            if marked.begun:
                raise Unknown(f"{_why(error)} after the request had begun") from None
            raise NotSent(f"nothing was sent: {_why(error)}") from None

    async def warm(self, url: URL) -> None:
        """Keep a connection open with a free request; what it answers does not matter."""
        with contextlib.suppress(*_BROKEN):
            async with self._open().head(url, allow_redirects=False) as response:
                await _read(response)

    async def get(self, url: URL, headers: Mapping[str, str]) -> Answer:
        """Read. Raises NotSent when no whole answer could be read: reading is free to repeat."""
        try:
            async with self._open().get(url, headers=headers, allow_redirects=False) as response:
                answer = await _read(response)
        except _BROKEN as error:
            raise NotSent(f"could not be asked: {_why(error)}") from None
        if not answer.whole:
            raise NotSent("could not be asked: the answer broke off")
        return answer

    async def delete(self, url: URL, headers: Mapping[str, str]) -> Answer:
        """Delete, which is safe to repeat. Raises NotSent if no connection stood, else Unknown."""
        try:
            async with self._open().delete(url, headers=headers, allow_redirects=False) as response:
                return await _read(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"nothing was sent: {_why(error)}") from None
        except _BROKEN as error:
            raise Unknown(f"{_why(error)} after the request had begun") from None

    async def close(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    limit_per_host=CONNECTIONS_PER_HOST,
                    keepalive_timeout=KEPT_ALIVE_SECONDS,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
                auto_decompress=False,
                headers={"User-Agent": "crisis-broadcaster", "Accept-Encoding": "identity"},
            )
        return self._session


async def _read(response: aiohttp.ClientResponse) -> Answer:
    """Read the body to its end, or connections could not be kept; within BODY_BYTES_MAX."""
    body = bytearray()
    with contextlib.suppress(*_BROKEN):  # the status was read, and that is an answer
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > BODY_BYTES_MAX:
                break
        else:
            return Answer(response.status, response.headers, bytes(body))
    response.close()
    return Answer(response.status, response.headers, b"", whole=False)


_WHY: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((aiohttp.ClientConnectorDNSError,), "the name of the server could not be resolved"),
    (
        (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError),
        "the server's certificate was not accepted",
    ),
    ((aiohttp.ClientSSLError, ssl.SSLError), "no secure connection could be made"),
    ((aiohttp.ConnectionTimeoutError,), "no connection stood within the limit"),
    ((TimeoutError,), "the time limit was reached"),
    ((aiohttp.ClientConnectorError,), "the connection was refused"),
    ((aiohttp.ClientResponseError,), "the answer could not be read"),
    ((aiohttp.InvalidURL, ValueError), "the request could not be made"),
)


def _why(error: BaseException) -> str:
    """Say what happened, without the error's own text: that may hold the address."""
    says = (sentence for kinds, sentence in _WHY if isinstance(error, kinds))
    return next(says, "the connection broke")


def as_object(answer: Answer) -> dict[str, Any]:
    """Return the JSON object an answer holds; empty where it holds anything else."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def failure_for(answer: Answer, who: str, now: datetime) -> Failure:
    """Give the failure that a status means where the channel's own table says nothing else.

    `who` begins the sentence ("X", "the receiver"). This is the fallback table of the delivery
    contract; a 2xx given here is one that could not be read as a receipt.
    """
    status, said = answer.status, f"{who} answered {answer.status}"
    if status == 429:
        wait = retry_after(answer.headers, now)
        return NotSent(f"{said}: too many requests", wait, rate_limited=True)
    if status == 401:
        return NeedsPerson(f"{said}: the credentials are not accepted")
    if status == 402:
        return NeedsPerson(f"{said}: it wants to be paid first")
    if 400 <= status < 500 and status != 408:
        return Rejected(f"{said}: it refuses this message")
    if 300 <= status < 400:
        return Unknown(f"{said}: it redirects, which is never followed")
    if 200 <= status < 300:
        return Unknown(f"{said}, but the answer does not say what became of the message")
    return Unknown(f"{said}: it may have taken the message all the same")


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Read `Retry-After`, in seconds or as a date; negative, junk or over 72 h is missing."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return sensible(timedelta(seconds=int(value)))
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError, MessageError):
        return None
    if moment.tzinfo is None:  # "-0000": the zone is not told, and HTTP has no other than GMT
        moment = moment.replace(tzinfo=UTC)
    return sensible(moment - now)


def until(epoch_seconds: int, now: datetime) -> timedelta | None:
    """Give the wait until a moment in seconds since 1970; None if it is over or not sensible."""
    try:
        wait = timedelta(seconds=epoch_seconds - now.timestamp())
    except OverflowError:
        return None
    return sensible(wait) if wait > timedelta(0) else None


def sensible(wait: timedelta) -> timedelta | None:
    """Give a wait that a network may ask for, None for any other: it would end nowhere in time."""
    return wait if timedelta(0) <= wait <= WAIT_MAX else None
