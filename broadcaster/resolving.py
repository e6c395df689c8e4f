"""Resolving what is unknown: read back, and then repeat, leave or end, by the channel's class.

Nothing here sends. What is absent goes back into the queue, and only while its alert is unexpired
and the newest of its incident; an undecided row stays `unknown`, and people know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog

from broadcaster.channels import Channel, Looks
from broadcaster.config import Timing
from broadcaster.delivery import (
    Act,
    Delivery,
    Failure,
    Guarantee,
    NeedsPerson,
    NotSent,
    Receipt,
    Unknown,
    backoff,
    noted,
)
from broadcaster.store import Store, ToRead

log = structlog.get_logger(__name__)

SECOND_LOOK = 5  # times as long as until the first look at a post of two steps


class Resolver:
    """Finds out what became of attempts whose answer was lost."""

    def __init__(self, store: Store, timing: Timing) -> None:
        self._store = store
        self._timing = timing

    async def resolve(self, channel: Channel, row: ToRead) -> None:
        """Take one look at one row."""
        message = row.delivery.message
        if message and message.act is Act.CORRECT:
            await self._resolve_by_steps(channel, row)
        else:
            await self._WAYS[channel.guarantee](self, channel, row)

    async def _found(self, channel: Channel, delivery: Delivery, receipt: Receipt) -> None:
        look = first_sight(channel, delivery, self._timing, self._store.due_now())
        await self._store.found(delivery, noted(receipt, delivery), look)

    async def _resolve_by_key(self, channel: Channel, row: ToRead) -> None:
        """Server key or caller's id: read back, then the same key or the same bytes again."""
        if not channel.reads_back:
            await self._repeat_or_leave(channel, row)
            return
        result = await outcome_of(channel.find(row.delivery))
        if isinstance(result, Receipt):
            await self._found(channel, row.delivery, result)
        elif result is None or (
            self._key_is_trusted(channel, row) and not isinstance(result, NeedsPerson)
        ):
            due = self._resend_due(channel, row.delivery)
            await self._store.absent(row.delivery, due, proven=result is None)
        else:
            await self._look_again(row, result)

    async def _resolve_by_steps(self, channel: Channel, row: ToRead) -> None:
        """Two steps, or an edit: what was stored between them tells whether it was published."""
        result = await outcome_of(channel.find(row.delivery))
        if isinstance(result, Receipt):
            await self._found(channel, row.delivery, result)
        elif result is None and self._may_be_on_its_way(row.delivery):
            wait = timedelta(seconds=self._timing.two_steps_read_seconds * SECOND_LOOK)
            reason = "not published at the first look; it may still be on its way"
            due, reads = self._store.due_now() + wait, row.delivery.reads + 1
            await self._store.read_again(row.delivery, due, reads, reason)
        elif result is None:
            due = self._resend_due(channel, row.delivery)
            await self._store.absent(row.delivery, due, proven=True)
        else:
            await self._look_again(row, result)

    @staticmethod
    def _may_be_on_its_way(delivery: Delivery) -> bool:
        """Say whether one look proves too little: a network may still work on the publication."""
        return delivery.handle is not None and delivery.reads == 0

    def _resend_due(self, channel: Channel, delivery: Delivery) -> datetime:
        """The backoff counts from the attempt; the time until the look is part of it."""
        looked = timedelta(seconds=first_look(channel, self._timing))
        wait = backoff(delivery.attempts, self._timing.waits_seconds)
        return self._store.due_now() + max(wait - looked, timedelta(0))

    def _key_is_trusted(self, channel: Channel, row: ToRead) -> bool:
        """May a row that could not be read be repeated: young enough, and still wanted."""
        if not row.sendable or row.delivery.first_attempt is None:
            return False
        if channel.guarantee is Guarantee.CALLER_ID:
            return True
        age = self._store.due_now() - row.delivery.first_attempt
        return age.total_seconds() < self._timing.server_key_trusted_seconds

    async def _look_again(self, row: ToRead, failure: Failure) -> None:
        """The network could not be asked: ask again later, or let a person act."""
        delivery = row.delivery
        if isinstance(failure, NeedsPerson):
            await self._store.unreadable(delivery, failure.reason)
            return
        tries = min(delivery.attempts + delivery.reads, len(self._timing.waits_seconds) - 1)
        asked = failure.retry_after if isinstance(failure, NotSent) else None
        wait = backoff(max(tries, 1), self._timing.waits_seconds, retry_after=asked)
        reason = f"could not be read back: {failure.reason}"
        await self._store.read_again(delivery, self._store.due_now() + wait, delivery.reads, reason)

    async def _resolve_by_reading(self, channel: Channel, row: ToRead) -> None:
        """Read-back: three looks over 90 s; absent in all: one resend, and then no more."""
        delivery = row.delivery
        result = await outcome_of(channel.find(delivery))
        if isinstance(result, Receipt):
            await self._found(channel, delivery, result)
        elif result is None:
            await self._count_look(row)
        else:
            await self._look_again(row, result)

    async def _count_look(self, row: ToRead) -> None:
        delivery, looks = row.delivery, self._timing.read_back_seconds
        reads = delivery.reads + 1
        now = self._store.due_now()
        if reads < len(looks):
            due = now + timedelta(seconds=looks[reads] - looks[reads - 1])
            reason = f"not in the network's list at look {reads} of {len(looks)}"
            await self._store.read_again(delivery, due, reads, reason)
        elif row.doubts < 2 or not row.sendable:
            await self._store.absent(delivery, now, proven=True)
        else:
            reason = "lost twice and not in the network's list: look by hand before posting"
            await self._store.read_again(delivery, None, reads, reason)

    async def _repeat_or_leave(self, channel: Channel, row: ToRead) -> None:
        """Nothing can be read back: repeat it while it is wanted, else leave it to a person."""
        if row.sendable:
            await self._store.absent(
                row.delivery, self._resend_due(channel, row.delivery), proven=False
            )
            return
        reason = "cannot be read back on this channel: look by hand"
        await self._store.read_again(row.delivery, None, row.delivery.reads, reason)

    async def _resolve_by_rule(self, channel: Channel, row: ToRead) -> None:
        """Neither key nor list: resend or hold, as configured."""
        if channel.resend_on_unknown:
            await self._repeat_or_leave(channel, row)
            return
        reason = "cannot be read back on this channel: look by hand"
        await self._store.read_again(row.delivery, None, row.delivery.reads, reason)

    _WAYS: Mapping[Guarantee, Callable[[Resolver, Channel, ToRead], Awaitable[None]]] = {
        Guarantee.SERVER_KEY: _resolve_by_key,
        Guarantee.CALLER_ID: _resolve_by_key,
        Guarantee.TWO_STEPS: _resolve_by_steps,
        Guarantee.READ_BACK: _resolve_by_reading,
        Guarantee.NONE: _resolve_by_rule,
    }


async def outcome_of(work: Awaitable[Any]) -> Any:
    """Run a channel's call; return its result, its failure, or `unknown` for the unexpected."""
    try:
        return await work
    except Failure as failure:
        return failure
    except Exception as error:  # a fault in one channel must stop nothing else
        log.exception("channel_fault")
        return Unknown(f"unexpected fault in the channel's code: {type(error).__name__}")


def first_look(channel: Channel, timing: Timing) -> float:
    """Return how many seconds after an unknown attempt its fate is looked up first."""
    return {
        Guarantee.SERVER_KEY: timing.server_key_read_seconds,
        Guarantee.CALLER_ID: timing.caller_id_read_seconds,
        Guarantee.TWO_STEPS: timing.two_steps_read_seconds,
        Guarantee.READ_BACK: timing.read_back_seconds[0],
        Guarantee.NONE: 0.0,
    }[channel.guarantee]


PAID_LOOKS = 5  # times as long between two looks where each of them costs money


def first_sight(
    channel: Channel, delivery: Delivery, timing: Timing, now: datetime
) -> datetime | None:
    """Say when a post that is out is looked up first; None where it cannot be."""
    corrects = delivery.message is not None and delivery.message.act is Act.CORRECT
    if corrects or not isinstance(channel, Looks):
        return None
    wait = timing.looks_seconds[0] * (PAID_LOOKS if channel.paid_reads else 1)
    return now + timedelta(seconds=wait)
