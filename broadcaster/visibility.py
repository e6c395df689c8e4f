"""Visible, not just sent: every post is looked up again, as the public sees it where it can be.

Until it is seen it is looked for quickly, and people are told when that takes too long. While its
alert is in force it is looked at now and then: what is gone, hidden or says something else is told
at once. Looking never touches the way of an alert.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TypeGuard

import structlog

from broadcaster.channels import Channel, Looks
from broadcaster.clock import Clock
from broadcaster.config import Timing
from broadcaster.delivery import Failure, Seen, Sight, State
from broadcaster.resolving import PAID_LOOKS, outcome_of
from broadcaster.store import Look, StorageFull, Store, StoreUnavailable, ToLook

log = structlog.get_logger(__name__)

PACE_SECONDS = 0.5  # between two questions to the store
WATCHED = timedelta(hours=12)  # a post is looked at so long at most
LOOK_SECONDS_MAX = 30.0


Observe = Callable[[str, float], None]
Strange = Callable[[], AbstractSet[str]]


def _unobserved(_channel: str, _seconds: float) -> None:
    """Measure nothing."""


@dataclass(slots=True)
class Visibility:
    """Looks posts up. `channels` are those that are configured.

    `observe` is given a channel and how many seconds a post took to be seen, once each. `strange`
    names channels whose account may be another one: what it sees proves nothing of our posts.
    """

    store: Store
    channels: Mapping[str, Channel]
    timing: Timing
    clock: Clock
    observe: Observe = _unobserved
    strange: Strange = frozenset
    _busy: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                await self._begin_or_wait()
                await self.clock.sleep(PACE_SECONDS)
        finally:
            under_way = list(self._busy.values())
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _begin_or_wait(self) -> None:
        try:
            await self._begin()
        except (StoreUnavailable, StorageFull) as error:
            log.warning("looks_wait_for_store", error=str(error))

    async def _begin(self) -> None:
        """Begin looks that are due: one at a time on each channel."""
        for one in await self.store.to_look(self._busy.keys() | self.strange()):
            name = one.delivery.channel
            channel = self.channels.get(name)
            if channel is None or not isinstance(channel, Looks):  # not configured any more
                await self.store.look_later(one.delivery, None)
            else:
                self._busy[name] = asyncio.create_task(self._finish(name, channel, one))

    async def _finish(self, name: str, channel: Channel, one: ToLook) -> None:
        try:
            await self.look(channel, one)
        except (StoreUnavailable, StorageFull) as error:
            log.warning("look_not_kept", channel=name, error=str(error))
        finally:
            del self._busy[name]

    async def look(self, channel: Channel, one: ToLook) -> None:
        """Look one post up, and write down what was seen."""
        sight = await self._seen(channel, one)
        now = self.store.due_now()
        seen = _seen(one, sight, now)
        alarm = self._alarm(one, seen, now)
        due = self._next(channel, one, seen, now)
        url = sight.url if isinstance(sight, Sight) else None
        state = await self.store.saw(Look(one.delivery.id, seen, due, alarm, url))
        if state is State.VISIBLE and (seconds := _first_seen(one.delivery.seen, seen)) is not None:
            self.observe(channel.config.name, seconds)
        if alarm and state:
            log.warning("not_visible", channel=channel.config.name, reason=alarm)

    async def _seen(self, channel: Channel, one: ToLook) -> Sight | Failure:
        assert isinstance(channel, Looks)  # noqa: S101 - `_begin` has seen to it
        try:
            async with asyncio.timeout(LOOK_SECONDS_MAX):
                found = await outcome_of(channel.look(one.delivery))
        except TimeoutError:
            return Failure("the network did not answer in time")
        if isinstance(found, Failure) or _is_sight(found):
            return found
        return Failure("what the network shows cannot be read")

    def _alarm(self, one: ToLook, seen: Seen, now: datetime) -> str | None:
        """Say what people must know, None if nothing."""
        if seen.there:
            return None
        if one.delivery.state is State.VISIBLE:
            return f"no longer as it was posted: {seen.reason}"
        if seen.reason and seen.reason.startswith(ALTERED):
            return seen.reason
        unseen = now - one.sent
        if unseen < timedelta(seconds=self.timing.unseen_told_seconds):
            return None
        return (
            f"sent, but not seen by the public after {unseen.total_seconds():.0f} s: {seen.reason}"
        )

    def _next(self, channel: Channel, one: ToLook, seen: Seen, now: datetime) -> datetime | None:
        """Say when to look again, None: no more."""
        until = min(one.delivery.expires, one.sent + WATCHED)
        if now >= until:
            return None
        waits = self.timing.looks_seconds
        wait = waits[min(one.looks + 1, len(waits) - 1)]
        if seen.there:
            wait = self.timing.look_again_seconds
        return now + timedelta(seconds=wait * (PAID_LOOKS if channel.paid_reads else 1))


ALTERED = "it shows another text"


def _seen(one: ToLook, sight: Sight | Failure, now: datetime) -> Seen:
    """Put a look beside those before it. One that failed has shown nothing new."""
    before, looks = one.delivery.seen, one.looks + 1
    if isinstance(sight, Failure):
        known = before.there if before else False
        reason = f"could not be looked up: {sight.reason}"
        return _kept(before, Seen(now, known, looks, reason=reason))
    there = sight.there and not sight.altered
    found = Seen(
        now,
        there,
        looks,
        (now - one.sent).total_seconds() if there else None,
        None if sight.text is None else _hash(sight.text),
        None if there else _why(sight),
        sight.public,
        dict(sight.counts),
    )
    return _kept(before, found)


def _is_sight(found: object) -> TypeGuard[Sight]:
    return isinstance(found, Sight) and isinstance(found.text, str | None)


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()


def _why(sight: Sight) -> str:
    return f"{ALTERED} than was posted" if sight.there else sight.reason or "it is not there"


def _kept(before: Seen | None, found: Seen) -> Seen:
    """Keep when it was seen first, and what the network has not told this time."""
    if before is None:
        return found
    return Seen(
        found.looked,
        found.there,
        found.looks,
        before.after_seconds if before.after_seconds is not None else found.after_seconds,
        found.text_hash or before.text_hash,
        found.reason,
        found.public,
        found.counts or before.counts,
    )


def _first_seen(before: Seen | None, seen: Seen) -> float | None:
    """Return how long it took, if this look was the first that saw it."""
    known = before is not None and before.after_seconds is not None
    return None if known else seen.after_seconds
