"""Lanes: each channel's way out, and what stops it: a pause, a switch, an account that is another.

A 429, a needs-person or an open circuit pauses the whole channel, not just the row; after it there
is a single trial. A channel that is switched off, or held for its account, waits for a person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from broadcaster.channels import Channel
from broadcaster.clock import Clock
from broadcaster.config import Timing
from broadcaster.delivery import (
    Delivery,
    Failure,
    NeedsPerson,
    NotSent,
    Receipt,
    Rejected,
    backoff,
)
from broadcaster.insisting import insist
from broadcaster.record import NoticeKind
from broadcaster.sending import Overtaken
from broadcaster.store import NewNotice, Store

log = structlog.get_logger(__name__)

ACCOUNT_SECONDS = 5.0  # how long a bound channel waits for the first probe after a start


@dataclass(slots=True)
class Lane:
    """One channel's way out: its slots, its pause, and what is under way."""

    channel: Channel
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)  # delivery id -> attempt
    reading: set[str] = field(default_factory=set)  # delivery ids being read back
    stuck: set[str] = field(default_factory=set)  # attempts past their limit that still run
    paused_until: datetime | None = None
    paused_at: float = 0.0  # elapsed seconds: what began before tells nothing about the pause
    on_trial: bool = False
    failures: int = 0
    switched_off: str | None = None
    held: str | None = None  # the account is another one: nothing is posted before a person looked
    account_by: datetime | None = None  # till then its first probe may find another account
    next_due: datetime | None = None  # the earliest queued or unknown row, as last seen
    kept: int = 0  # slots kept for an alert that is being accepted
    look_anyway: bool = False  # ask the store itself, whatever the counts in memory say

    @property
    def name(self) -> str:
        """The channel's name."""
        return self.channel.config.name

    def free(self, now: datetime) -> int:
        """How many attempts may begin now."""
        paused = self.paused_until and now < self.paused_until
        if self.switched_off or paused or self.is_strange(now):
            return 0
        most = 1 if self.on_trial else self.channel.attempts_at_once
        return max(0, most - len(self.running) - self.kept)

    def is_strange(self, now: datetime) -> bool:
        """Say whether its account is, or may be, another one than it was."""
        return self.held is not None or (self.account_by is not None and now < self.account_by)


@dataclass(slots=True)
class Pauses:
    """Stops lanes and lets them go on; the store knows it too, so that a restart changes nothing.

    `wake` has the dispatcher look at a channel's rows.
    """

    lanes: Mapping[str, Lane]
    store: Store
    timing: Timing
    clock: Clock
    wake: Callable[[set[str]], None]

    def strange(self) -> set[str]:
        """Name the channels whose account is, or may be, another one than it was."""
        now = self.store.due_now()
        return {name for name, lane in self.lanes.items() if lane.is_strange(now)}

    async def take_up(self) -> None:
        """Go on where the last run left each lane."""
        for row in await self.store.channels():
            if lane := self.lanes.get(row.name):
                lane.paused_until = row.paused_until
                lane.on_trial = row.paused_until is not None
                lane.switched_off = row.switched_off
                lane.held = row.held
                if row.bound:  # an account changes while the daemon is down
                    lane.account_by = self.store.due_now() + timedelta(seconds=ACCOUNT_SECONDS)

    async def mind(
        self, lane: Lane, delivery: Delivery, result: Receipt | Failure, started: float
    ) -> None:
        """See what an attempt, begun at `started` elapsed seconds, says of its channel."""
        if isinstance(result, Receipt | Rejected):
            if started >= lane.paused_at:  # else it had begun before the pause, and ends none
                await self._go_on(lane)
            return
        if is_asked_to_wait(result) or isinstance(result, Overtaken):
            return
        lane.failures += 1
        if isinstance(result, NeedsPerson) and result.switch_off:
            await self._switch_off(lane, result.reason)
            return
        wait = self._pause_for(lane, result)
        if wait is not None:
            # What the network asked for counts up to this alert's expiry; the next may try again.
            until = min(self.store.due_now() + wait, delivery.expires)
            lane.paused_until, lane.paused_at, lane.on_trial = until, self.clock.elapsed(), True
            await insist(self.clock, lambda: self.store.pause(lane.name, until, result.reason))
            log.warning("channel_paused", channel=lane.name, seconds=round(wait.total_seconds()))

    def _pause_for(self, lane: Lane, result: Failure) -> timedelta | None:
        if isinstance(result, NotSent) and result.rate_limited:
            return result.retry_after or backoff(lane.failures, self.timing.waits_seconds)
        if isinstance(result, NeedsPerson):
            return timedelta(seconds=self.timing.pause_seconds)
        if lane.failures >= self.timing.circuit_failures:
            return backoff(lane.failures, self.timing.waits_seconds)
        return None

    async def _go_on(self, lane: Lane) -> None:
        lane.failures = 0
        if lane.on_trial or lane.paused_until:
            lane.on_trial, lane.paused_until = False, None
            await insist(self.clock, lambda: self.store.pause(lane.name, None, None))
            self.wake({lane.name})

    async def _switch_off(self, lane: Lane, reason: str) -> None:
        lane.switched_off = reason
        await insist(self.clock, lambda: self.store.switch_off(lane.name, reason))
        text = f"{reason}: the channel is switched off until a person switches it on again"
        notice = NewNotice(NoticeKind.SWITCHED_OFF, text, channel=lane.name)
        await insist(self.clock, lambda: self.store.tell(notice))

    async def resume(self, name: str) -> None:
        """A person says that the channel is well: no pause, switched on, one trial first."""
        if lane := self.lanes.get(name):
            lane.switched_off, lane.paused_until = None, None
            await self.store.switch_off(name, None)
            await self.store.pause(name, None, None)
            await self.store.untell(name, NoticeKind.SWITCHED_OFF)
            self.wake({name})

    async def hold(self, name: str, why: str | None) -> None:
        """A probe has seen the account: post nothing until a person says so, or (None) go on."""
        lane = self.lanes.get(name)
        if lane is None:
            return
        lane.account_by = None
        before, lane.held = lane.held, why or lane.held  # held at once, let go when it is written
        if why or before:
            await self.store.hold(name, why)
        lane.held = why
        self.wake({name})

    async def release(self, name: str, actor: str) -> bool:
        """A person says that the account is right; say whether there is such a channel."""
        known = await self.store.rebind(name, actor)
        await self.store.untell(name, NoticeKind.HELD)
        if lane := self.lanes.get(name):
            lane.held = None
            self.wake({name})
        return known


def is_asked_to_wait(result: Failure) -> bool:
    """Say whether this row alone is to come again soon: a picture that is still being processed.

    That is no failure of the channel, and no reason to wait longer each time.
    """
    return isinstance(result, NotSent) and bool(result.retry_after) and not result.rate_limited
