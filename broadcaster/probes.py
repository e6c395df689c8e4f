"""Readiness: each channel is probed on a schedule, without posting, and people learn what is wrong.

Probes are spread by +-20 %, so that channels are not all asked at once; X is asked rarely, for it
charges for reads. Beside that one connection per network is kept warm. Neither touches the way of
an alert.

A channel is bound to the account that its first good probe saw: another one under the same name
holds the channel until a person looked.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import structlog

from broadcaster.channels import Channel, Warms
from broadcaster.clock import Clock
from broadcaster.config import Timing
from broadcaster.delivery import JITTER, Readiness
from broadcaster.record import NoticeKind
from broadcaster.store import NewNotice, StorageFull, Store, StoreUnavailable

log = structlog.get_logger(__name__)

PROBE_SECONDS_MAX = 60.0
WARM_SECONDS_MAX = 10.0
# Days before the end of a token, and what people are told then; each rings once.
ENDS = MappingProxyType(
    {1: NoticeKind.EXPIRES_1, 7: NoticeKind.EXPIRES_7, 30: NoticeKind.EXPIRES_30}
)
_BOUND_BY = ("id", "server")

Hold = Callable[[str, str | None], Awaitable[None]]


async def _hold_nothing(_channel: str, _why: str | None) -> None:
    """Hold no channel: nothing is sent from here."""


@dataclass(slots=True)
class Probes:
    """Asks every channel whether a post would work now. `hold` stops a channel, or (None) not."""

    store: Store
    channels: Mapping[str, Channel]
    timing: Timing
    clock: Clock
    hold: Hold = _hold_nothing
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Probe every channel now, and then on its schedule."""
        channels = self.channels.values()
        self._tasks = [asyncio.create_task(self._watch(one)) for one in channels]
        self._tasks += [
            asyncio.create_task(self._keep_warm(one)) for one in channels if isinstance(one, Warms)
        ]

    async def stop(self) -> None:
        """Ask nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, channel: Channel) -> None:
        while True:
            answered = False
            try:
                answered = bool((await self.look(channel)).identity)
            except (StoreUnavailable, StorageFull) as error:
                log.warning("probe_not_kept", channel=channel.config.name, error=str(error))
            spread = 1 + JITTER * random.uniform(-1, 1)  # noqa: S311 - jitter, no secret
            await self.clock.sleep(self._seconds(channel, answered=answered) * spread)

    def _seconds(self, channel: Channel, *, answered: bool) -> float:
        """Only an answer costs money; after none the next question comes as soon as elsewhere."""
        rarely = channel.paid_reads and answered
        return self.timing.probe_x_seconds if rarely else self.timing.probe_seconds

    async def _keep_warm(self, channel: Warms) -> None:
        """Keep a connection open; whatever comes of it, the next time it is tried again."""
        while True:
            try:
                async with asyncio.timeout(WARM_SECONDS_MAX):
                    (gone_wrong,) = await asyncio.gather(channel.warm(), return_exceptions=True)
                if gone_wrong is not None:
                    log.debug("not_warm", error=type(gone_wrong).__name__)
            except TimeoutError:
                log.debug("not_warm", error="TimeoutError")
            await self.clock.sleep(self.timing.warm_seconds)

    async def look(self, channel: Channel) -> Readiness:
        """Probe one channel, keep what was found, and tell people once if it is not ready."""
        name = channel.config.name
        found = await probed(channel)
        stranger = await self._stranger(name, found)
        if stranger:
            remedy = f"Find out why; if the new one is right: broadcaster channels rebind {name}."
            found = replace(found, ready=False, sentence=stranger, remedy=remedy)
        await self.store.probed(name, found, found.limits)
        await self._tell_end(name, found)
        await self._tell(name, found, NoticeKind.HELD if stranger else NoticeKind.CHANNEL)
        return found

    async def _stranger(self, name: str, found: Readiness) -> str | None:
        """Bind a channel to its first account; hold it, and say so, where it is another one now."""
        if not found.ready or not found.identity:
            return None
        bound = await self.store.bind(name, found.identity)
        if all(bound.get(key) == found.identity.get(key) for key in _BOUND_BY):
            await self.hold(name, None)
            return None
        why = f"The account is {_named(found.identity)}, not {_named(bound)} as it was."
        await self.hold(name, why)
        return why

    async def _tell(self, name: str, found: Readiness, kind: NoticeKind) -> None:
        """Tell people once if a channel is not ready; a hold lasts until the account is right."""
        if found.ready or kind is NoticeKind.HELD:
            await self.store.untell(name, NoticeKind.CHANNEL)
        if found.ready:
            await self.store.untell(name, NoticeKind.HELD)
            return
        log.warning("channel_not_ready", channel=name, sentence=found.sentence)
        text = f"not ready: {found.sentence} {found.remedy or ''}".strip().rstrip(".")
        await self.store.tell(NewNotice(kind, text, channel=name))

    async def _tell_end(self, name: str, found: Readiness) -> None:
        """Tell people 30, 7 and 1 days before a token ends, each time once."""
        days = found.days_left
        if days is None and not found.ready:  # it knows nothing of that: what was told stays told
            return
        near = [] if days is None else [limit for limit in ENDS if days <= limit]
        reached = min(near, default=None)
        for limit, kind in ENDS.items():
            if limit != reached:
                await self.store.untell(name, kind)
        if reached is not None and found.ready:
            text = f"it ends in {days:.0f} days: {found.sentence} {found.remedy or ''}"
            await self.store.tell(NewNotice(ENDS[reached], text.strip().rstrip("."), channel=name))


async def probed(channel: Channel) -> Readiness:
    """Probe a channel; one that does not answer in time, or fails in any way, is not ready."""
    try:
        async with asyncio.timeout(PROBE_SECONDS_MAX):
            # As a result, whatever it is: an error nobody foresaw must not end the probing.
            (found,) = await asyncio.gather(channel.probe(), return_exceptions=True)
    except TimeoutError:
        sentence = f"The network did not answer within {PROBE_SECONDS_MAX:g} s."
        return Readiness(False, sentence, "Look again later, or at the network's status page.")
    if isinstance(found, Readiness):
        return _addressed(found, channel.config.name)
    kind = type(found).__name__  # its text may hold anything, a secret too
    log.error("probe_failed", channel=channel.config.name, error=kind)
    sentence = f"The channel could not be examined: an unexpected {kind}."
    return Readiness(
        False, sentence, "Look at the log, and report it; posts may work all the same."
    )


def _named(identity: Mapping[str, str]) -> str:
    handle, where = identity.get("handle") or identity.get("id"), identity.get("server")
    return f"{handle} on {where} (id {identity.get('id')})"


def _addressed(found: Readiness, name: str) -> Readiness:
    """Let a remedy that names a command name this channel in it."""
    remedy = found.remedy and re.sub(r"\bNAME\b", name, found.remedy)
    return replace(found, remedy=remedy)
