"""Credentials that rotate: kept in a file of mode 0600, refreshed ahead, by one at a time.

What a person put into the configured secret file is where it begins. What the network gave since
lies in the state directory, written and synced before it is used, for a network that rotates a
refresh token takes the old one back at once. A secret file with new content wins over what is kept.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from broadcaster.clock import Clock
from broadcaster.delivery import Failure, NeedsPerson, NotSent

log = structlog.get_logger(__name__)

FAILED_PAUSE_SECONDS = 3600.0  # after a refresh that failed: no alert is to wait for another one
PATIENCE_SECONDS = 3.0  # how long an alert waits for a refresh while the token is still good
KEEP_AGAIN_SECONDS = 60.0  # until a grant that could not be written down is tried again


@dataclass(frozen=True, slots=True, repr=False)
class Grant:
    """What a network granted: an access token, and how long it and its renewal last.

    None means that it has no end, or that the network did not say.
    """

    access_token: str
    expires: datetime | None = None
    refresh_token: str | None = None
    refresh_expires: datetime | None = None
    obtained: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as files hold it."""
        return {
            "access_token": self.access_token,
            "expires": _iso(self.expires),
            "refresh_token": self.refresh_token,
            "refresh_expires": _iso(self.refresh_expires),
            "obtained": _iso(self.obtained),
        }

    @classmethod
    def read(cls, text: str) -> Grant:
        """Read a secret file: a bare access token, or what `channels connect` wrote.

        Raises ValueError with a sentence that shows nothing of it.
        """
        if not text.startswith("{"):
            if len(text.split()) != 1 or not text.isascii():
                raise ValueError("holds no token: one line without spaces")
            return cls(text)
        try:
            return cls.from_json(json.loads(text))
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ValueError("holds no token that can be read: connect the channel again") from None

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Grant:
        """Read what `to_json` wrote. Raises ValueError, TypeError or KeyError."""
        refresh = value.get("refresh_token")
        return cls(
            _word(value["access_token"]),
            _moment(value.get("expires")),
            None if refresh is None else _word(refresh),
            _moment(value.get("refresh_expires")),
            _moment(value.get("obtained")),
        )


Refresh = Callable[[Grant], Awaitable[Grant]]


@dataclass(frozen=True, slots=True)
class OAuth:
    """How a person connects a channel: `broadcaster channels connect NAME`.

    A channel's module offers it as `oauth(setup, settings)`. `authorize(redirect, state)` gives the
    page to open; `exchange(code, redirect)` makes the grant of what came back, and raises a
    Failure. `token_file` is the configured file the grant is written to. `advice` says what must be
    set up at the network beforehand.
    """

    authorize: Callable[[str, str], str]
    exchange: Callable[[str, str], Awaitable[Grant]]
    token_file: str
    advice: str = ""


class Tokens:
    """One channel's rotating credential.

    `given` is the content of the secret file. `refresh` asks the network for the next grant and
    raises a Failure; None where it has no such way. `ahead`: how long before its end a grant is
    refreshed; `not_before`: how old it must be, where the network asks for that. `ends_untold`: a
    grant of which no end is told has one all the same, so that it is refreshed at its first use.
    """

    def __init__(  # noqa: PLR0913 - one credential has so many sides
        self,
        path: Path,
        given: str,
        clock: Clock,
        refresh: Refresh | None,
        *,
        ahead: timedelta,
        not_before: timedelta = timedelta(0),
        ends_untold: bool = False,
    ) -> None:
        self._path = path
        self._given = hashlib.sha256(given.encode()).hexdigest()
        self._start = Grant.read(given)
        self._clock = clock
        self._refresh = refresh
        self._ahead = ahead
        self._not_before = not_before
        self._ends_untold = ends_untold
        self._paused_until = 0.0  # elapsed seconds
        self._unkept_since: float | None = None  # elapsed seconds; the file is older than `grant`
        self._under_way: set[asyncio.Task[str]] = set()
        self._lock = asyncio.Lock()
        self.grant = self._kept() or self._start

    @property
    def days_left(self) -> float | None:
        """Days until a person must act: the end of the grant, or of what renews it; None: never."""
        ends = self.grant.refresh_expires if self._refresh and self.grant.refresh_token else None
        ends = ends or self.grant.expires
        return None if ends is None else (ends - self._clock.now()) / timedelta(days=1)

    async def current(self) -> str:
        """Return the access token; refreshed first if it ends soon.

        A refresh that fails, or hangs, is no trouble while the token is good. Raises NeedsPerson
        where it is over and cannot be renewed.
        """
        self._keep_again()
        if self._due():
            await self._renew_ahead()
        if self._over():
            raise NeedsPerson("the token has expired; connect the channel again")
        return self.grant.access_token

    async def _renew_ahead(self) -> None:
        patience = None if self._over() else PATIENCE_SECONDS
        try:
            async with asyncio.timeout(patience):  # the refresh itself goes on to its end
                await self.renew(self.grant.access_token)
        except TimeoutError:
            self._pause(f"no answer within {PATIENCE_SECONDS:g} s")
        except Failure as failure:
            self._pause(failure.reason)
            if self._over():
                raise

    def _pause(self, reason: str) -> None:
        log.warning("token_not_refreshed", file=self._path.name, reason=reason)
        self._paused_until = self._clock.elapsed() + FAILED_PAUSE_SECONDS

    async def renew(self, old: str) -> str:
        """Refresh now, as after a 401 for `old`; what somebody renewed meanwhile is as good.

        Raises NeedsPerson where there is no way to, else the network's Failure. It is done to its
        end even if nobody waits any more: a network that rotates takes the old one back at once.
        """
        return await asyncio.shield(self._run(self._renewed(old)))

    def _run(self, work: Coroutine[Any, Any, str]) -> asyncio.Task[str]:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[str]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; if nobody did, the next use says it again

    async def _renewed(self, old: str) -> str:
        async with self._lock:
            with _alone(self._path):
                self.grant = self._newest()
                if self.grant.access_token != old:
                    return self.grant.access_token
                if self._refresh is None:
                    raise NeedsPerson("the token is not accepted any more; connect it again")
                grant = await self._refresh(self.grant)
                await self._keep(grant)
                self.grant = grant
        return self.grant.access_token

    def _due(self) -> bool:
        grant, now = self.grant, self._clock.now()
        if self._refresh is None:
            return False
        if self._over():
            return True
        if self._clock.elapsed() < self._paused_until:
            return False
        if grant.expires is None:
            return self._ends_untold
        young = grant.obtained is not None and now - grant.obtained < self._not_before
        return grant.expires - now < self._ahead and not young

    def _over(self) -> bool:
        return self.grant.expires is not None and self.grant.expires <= self._clock.now()

    def _kept(self) -> Grant | None:
        """Read what the network gave since; None where a person has put in something newer."""
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            return Grant.from_json(kept) if kept["given"] == self._given else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("token_not_readable", file=self._path.name, error=type(error).__name__)
            return None

    def _newest(self) -> Grant:
        """What is in the file, unless a newer one could not be written there."""
        kept = self._kept()
        if kept is None or (self._unkept_since is not None and not _is_later(kept, self.grant)):
            return self.grant
        return kept

    def _keep_again(self) -> None:
        """Have written what could not be, in nobody's way, and never beside a newer grant."""
        since = self._unkept_since
        if since is None or self._under_way:
            return
        if self._clock.elapsed() - since >= KEEP_AGAIN_SECONDS:
            self._run(self._kept_again())

    async def _kept_again(self) -> str:
        async with self._lock:
            with suppress(NotSent), _alone(self._path):  # the next use tries again
                self.grant = self._newest()
                await self._keep(self.grant)
        return self.grant.access_token

    async def _keep(self, grant: Grant) -> None:
        """Write a grant down; where that cannot be done it is used all the same, for alerts."""
        text = json.dumps(grant.to_json() | {"given": self._given})
        try:
            await asyncio.shield(asyncio.to_thread(write_secret, self._path, text))
        except OSError as error:
            log.error("token_not_kept", file=self._path.name, error=type(error).__name__)  # noqa: TRY400
            self._unkept_since = self._clock.elapsed()
        else:
            self._unkept_since = None


def _is_later(one: Grant, other: Grant) -> bool:
    return one.obtained is not None and (other.obtained is None or one.obtained > other.obtained)


def write_secret(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all, and synced before this returns."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    place.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes of this machine out: `check` must not refresh beside the daemon.

    Raises NotSent where another is at it: its result will be there at the next try.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise NotSent(f"the token cannot be kept: {type(error).__name__}") from None
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise NotSent("the token is being refreshed by another process") from None


def _word(value: object) -> str:
    if not isinstance(value, str) or len(value.split()) != 1 or not value.isascii():
        raise ValueError("no token")
    return value


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        raise ValueError("a time without offset")
    return moment
