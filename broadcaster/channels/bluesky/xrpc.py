"""Calls to an account's data server (XRPC) under one session, which is kept, refreshed and renewed.

What became of a call is noted from its own requests: the library's errors do not tell a request
that was written from one that was not, and it refreshes the session by itself in between.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import structlog
from atproto_client import AsyncClient, Session, SessionEvent
from atproto_client.request import AsyncRequest
from atproto_core.exceptions import AtProtocolError

from broadcaster.channels.http import Answer, retry_after, until
from broadcaster.clock import Clock
from broadcaster.config import Timing
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Unknown

LIMIT_SHARE = 0.9  # of an attempt's limit: a call has ended before the dispatcher calls it late
KEPT_ALIVE_SECONDS = 60.0  # longer than the pause between two warming requests
ANSWER_BYTES_MAX = 65_536  # compressed or not; what we ask for has a few thousand
LOGINS = ((10, 300.0), (100, 86_400.0))  # a third of what servers allow in so many seconds

# What the library raises: errors of its own and of httpx, and what it makes of odd answers.
_LIBRARY = (
    AtProtocolError,
    httpx.HTTPError,
    httpx.InvalidURL,
    OSError,  # TimeoutError is one
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,  # brackets without end
)
_SESSION_OVER = frozenset({"ExpiredToken", "InvalidToken"})

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Seen:
    """The latest request of one call: to which method, whether begun, and what came back."""

    method: str = ""
    begun: bool = False
    answer: Answer | None = None

    async def trace(self, event: str, _details: Mapping[str, Any]) -> None:
        if event.endswith("send_request_headers.started"):
            self.begun = True


_SEEN: ContextVar[_Seen] = ContextVar("seen")


async def _before(request: httpx.Request) -> None:
    seen = _SEEN.get()
    seen.method, seen.begun, seen.answer = request.url.path.rpartition("/")[2], False, None
    request.extensions["trace"] = seen.trace


async def _after(response: httpx.Response) -> None:
    seen = _SEEN.get()
    seen.answer = Answer(response.status_code, response.headers, b"", whole=False)
    if isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _Bounded(response.stream)
    seen.answer = Answer(response.status_code, response.headers, await response.aread())


class _Bounded(httpx.AsyncByteStream):
    """An answer's bytes, and no more of them than an honest answer has."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = ANSWER_BYTES_MAX
        async for piece in self._stream:
            left -= len(piece)
            if left < 0:
                raise httpx.ReadError("the answer is longer than any answer should be")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Requests(AsyncRequest):  # type: ignore[misc] # the library tells no types
    """The library's requests, and one that is nobody's."""

    async def touch(self, url: str) -> None:
        """Read a page without the account's token, which goes with all others."""
        await self._client.get(url)


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in where. `pinned`: no other address is asked, whatever the server names as ours."""

    url: str
    handle: str
    password: str = field(repr=False)
    pinned: bool = False


class Account:
    """One account's session, and the calls made in it.

    The session lives in a file of its own (mode 0600), written before its first use: a refresh
    token that was used is void.
    """

    def __init__(self, login: Login, file: Path, timing: Timing, clock: Clock) -> None:
        self._login = login
        self._file = _SessionFile(file, f"{login.handle} {login.url}")
        self._clock = clock
        self._limit_seconds = timing.attempt_seconds * LIMIT_SHARE
        connect = min(timing.connect_seconds, self._limit_seconds)
        self._requests = _Requests(
            timeout=httpx.Timeout(self._limit_seconds, connect=connect),
            max_redirects=0,
            limits=httpx.Limits(keepalive_expiry=KEPT_ALIVE_SECONDS),
            event_hooks={"request": [_before], "response": [_after]},
            headers={"Accept-Encoding": "identity"},
        )
        self.client = AsyncClient(login.url, request=self._requests)
        self.client.on_session_change(self._changed)
        self._url = login.url
        self._session: Session | None = None
        self._lock = asyncio.Lock()
        self._logins: deque[float] = deque(maxlen=LOGINS[-1][0])

    @property
    def url(self) -> str:
        """Where the account's data is: what was configured, or what the log-in has named."""
        return self._url

    def end(self, seconds: float | None = None) -> float:
        """Give the moment, by the loop's clock, at which a call that begins now must be over."""
        limit = self._limit_seconds if seconds is None else min(seconds, self._limit_seconds)
        return asyncio.get_running_loop().time() + limit

    async def ask(
        self, method: str, call: Callable[[str], Awaitable[object]], end: float
    ) -> Answer:
        """Make one call with the account's DID; give what was answered, errors included.

        A session that is over is renewed once, and the call made again: it had been refused.
        Raises Unknown if the call was begun and no answer came; NotSent, or NeedsPerson where the
        account is not let in, if it was not.
        """
        seen = _Seen()
        before = _SEEN.set(seen)
        try:
            async with asyncio.timeout_at(end):
                await self._within_session(seen, call)
        except _LIBRARY as error:
            if seen.method != method:
                raise _not_let_in(seen.answer, self._clock) from None
            if seen.answer is None:
                raise _unanswered(seen, error) from None
        finally:
            _SEEN.reset(before)
        if seen.answer is None:
            raise Unknown("Bluesky was not asked")
        return seen.answer

    async def warm(self) -> None:
        """Keep the connection of the next call open, by a page that needs no log-in."""
        before = _SEEN.set(_Seen())
        try:
            async with asyncio.timeout(self._limit_seconds):
                await self._requests.touch(f"{self._url}/xrpc/_health")
        except _LIBRARY as error:
            log.debug("not_warm", server=self._url, error=type(error).__name__)
        finally:
            _SEEN.reset(before)

    async def close(self) -> None:
        """Close the connections."""
        await self.client.request.close()

    async def _within_session(self, seen: _Seen, call: Callable[[str], Awaitable[object]]) -> None:
        session = await self._open()
        try:
            await call(session.did)
        except _LIBRARY:
            if not _session_is_over(seen.answer):
                raise
            session = await self._renew(session)
            await call(session.did)

    async def _open(self) -> Session:
        async with self._lock:
            if self._session is None and (kept := await asyncio.to_thread(self._file.read)):
                await self.client.login(session_string=kept, fetch_bsky_profile=False)
        return self._session or await self._renew(None)

    async def _renew(self, old: Session | None) -> Session:
        """Log in, unless another call has done so since `old`."""
        async with self._lock:
            if self._session is not None and self._session is not old:
                return self._session
            self._count_login()
            self._point_to(self._login.url)
            await self.client.login(
                self._login.handle, self._login.password, fetch_bsky_profile=False
            )
            return Session.decode(self.client.export_session_string())

    async def _changed(self, event: SessionEvent, session: Session) -> None:
        # A token must never travel in the clear, whatever address the server gives.
        endpoint = str(session.pds_endpoint or "")
        named = endpoint if endpoint.startswith("https:") and not self._login.pinned else None
        self._point_to(named or self._login.url)
        self._session = session
        if event is not SessionEvent.IMPORT:
            await asyncio.to_thread(self._file.write, session.export())

    def _point_to(self, url: str) -> None:
        self._url = url.rstrip("/").removesuffix("/xrpc")
        self.client.update_base_url(self._url)

    def _count_login(self) -> None:
        """Stay below the server's own limit, which would lock the account out for a day."""
        now = self._clock.elapsed()
        for most, seconds in LOGINS:
            recent = [moment for moment in self._logins if moment > now - seconds]
            if len(recent) >= most:
                wait = timedelta(seconds=recent[-most] + seconds - now)
                raise NotSent("nothing was sent: too many log-ins", wait, rate_limited=True)
        self._logins.append(now)


class _SessionFile:
    """A session on disk, and whose it is: that of another account or server is not read."""

    def __init__(self, path: Path, owner: str) -> None:
        self._path = path
        self._owner = owner

    def read(self) -> str | None:
        """Give the session as it was written; None where there is none that could be used."""
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            session = Session.decode(kept["session"])
            usable = kept["owner"] == self._owner and session.access_jwt_payload.exp
        except FileNotFoundError:
            return None
        except _LIBRARY as error:
            log.warning("session_not_readable", file=self._path.name, error=type(error).__name__)
            return None
        return session.export() if usable else None

    def write(self, session: str) -> None:
        """Put it in place of the one before, durably. A disk that refuses is no reason to fail."""
        new = self._path.with_name(f".{self._path.name}.new")
        try:
            new.unlink(missing_ok=True)
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"owner": self._owner, "session": session}, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            log.warning("session_not_kept", file=self._path.name, error=error.strerror)


def body_of(answer: Answer) -> dict[str, Any]:
    """Give an answer's JSON object; empty if it is none."""
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def error_of(answer: Answer) -> str:
    """Give the name of the error in an answer; empty if it names none."""
    return str(body_of(answer).get("error", ""))


def pause(answer: Answer, clock: Clock) -> timedelta | None:
    """Read for how long a rate limit asks us to wait: `Retry-After`, else `ratelimit-reset`."""
    now = clock.now()
    if wait := retry_after(answer.headers, now):
        return wait
    reset = answer.headers.get("ratelimit-reset", "")
    if not (reset.isascii() and reset.isdecimal() and len(reset) < 12):
        return None
    return until(int(reset), now)


def _session_is_over(answer: Answer | None) -> bool:
    if answer is None:
        return False
    return answer.status == 401 or (answer.status == 400 and error_of(answer) in _SESSION_OVER)


def _not_let_in(answer: Answer | None, clock: Clock) -> Failure:
    """Give what it means that no session could be had: the call itself was never made."""
    if answer is None or not answer.whole:
        return NotSent("nothing was sent: Bluesky did not answer the log-in")
    said = f"nothing was sent: Bluesky answered the log-in with {answer.status} {error_of(answer)}"
    if answer.status == 429:
        return NotSent(said.rstrip(), pause(answer, clock), rate_limited=True)
    if 400 <= answer.status < 500 and answer.status != 408:
        return NeedsPerson(said.rstrip())
    return NotSent(said.rstrip())


def _unanswered(seen: _Seen, error: BaseException) -> Failure:
    if seen.begun:
        return Unknown("Bluesky was sent the request, but no answer came")
    late = isinstance(error, (TimeoutError, httpx.TimeoutException))
    return NotSent(f"nothing was sent: no connection to Bluesky{' within the limit' * late}")
