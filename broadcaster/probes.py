"""Readiness: each channel is probed on a schedule, without posting, and people learn what is wrong.

Probes are spread by +-20 %, so that channels are not all asked at once; X is asked rarely, for it
charges for reads. Probing never touches the way of an alert.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from broadcaster.channels import Channel
from broadcaster.clock import Clock
from broadcaster.config import Timing
from broadcaster.delivery import JITTER, Readiness
from broadcaster.record import NoticeKind
from broadcaster.store import NewNotice, StorageFull, Store, StoreUnavailable

log = structlog.get_logger(__name__)

PROBE_SECONDS_MAX = 60.0


@dataclass(slots=True)
class Probes:
    """Asks every channel whether a post would work now."""

    store: Store
    channels: Mapping[str, Channel]
    timing: Timing
    clock: Clock
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Probe every channel now, and then on its schedule."""
        self._tasks = [asyncio.create_task(self._watch(one)) for one in self.channels.values()]

    async def stop(self) -> None:
        """Ask nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, channel: Channel) -> None:
        while True:
            try:
                await self.look(channel)
            except (StoreUnavailable, StorageFull) as error:
                log.warning("probe_not_kept", channel=channel.config.name, error=str(error))
            spread = 1 + JITTER * random.uniform(-1, 1)  # noqa: S311 - jitter, no secret
            await self.clock.sleep(self._seconds(channel) * spread)

    def _seconds(self, channel: Channel) -> float:
        paid = channel.config.type == "x"
        return self.timing.probe_x_seconds if paid else self.timing.probe_seconds

    async def look(self, channel: Channel) -> Readiness:
        """Probe one channel, keep what was found, and tell people once if it is not ready."""
        name = channel.config.name
        found = await probed(channel)
        await self.store.probed(name, found, found.limits)
        if found.ready:
            await self.store.untell(name, NoticeKind.CHANNEL)
        else:
            log.warning("channel_not_ready", channel=name, sentence=found.sentence)
            text = f"not ready: {found.sentence} {found.remedy or ''}".strip().rstrip(".")
            await self.store.tell(NewNotice(NoticeKind.CHANNEL, text, channel=name))
        return found


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
        return found
    kind = type(found).__name__  # its text may hold anything, a secret too
    log.error("probe_failed", channel=channel.config.name, error=kind)
    sentence = f"The channel could not be examined: an unexpected {kind}."
    return Readiness(
        False, sentence, "Look at the log, and report it; posts may work all the same."
    )
