"""One attempt: look first where no key stops a second post, take the steps, give what came of it.

Nothing here is tried twice, and nothing but what the first of two steps made is written down: the
rest is the dispatcher's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from broadcaster.channels import Channel, Corrects, Prepares
from broadcaster.clock import Clock
from broadcaster.delivery import (
    Act,
    Delivery,
    Failure,
    Guarantee,
    NeedsPerson,
    NotSent,
    Receipt,
    Rejected,
    Unknown,
)
from broadcaster.insisting import insist
from broadcaster.resolving import outcome_of
from broadcaster.store import Store

_LOOKED_FOR_FIRST = frozenset({Guarantee.READ_BACK, Guarantee.TWO_STEPS})


class Overtaken(NotSent):
    """Nobody wants it any more, which says nothing of the channel."""


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends claimed deliveries through their channels."""

    store: Store
    clock: Clock

    async def send(self, channel: Channel, delivery: Delivery) -> Receipt | Failure:
        """Send a delivery; but where it may be there already, find it instead."""
        if delivery.doubtful and channel.guarantee in _LOOKED_FOR_FIRST:
            there = await self._there(channel, delivery)
            if there is not None:
                return there
        if delivery.message and delivery.message.act is Act.CORRECT:
            return await _corrected(channel, delivery)
        if isinstance(channel, Prepares) and delivery.handle is None:
            prepared = await self._prepared(channel, delivery)
            if isinstance(prepared, Failure):
                return prepared
            delivery = prepared
        result = await outcome_of(channel.send(delivery))
        return result if result is not None else Unknown("the channel gave no receipt")

    async def _there(self, channel: Channel, delivery: Delivery) -> Receipt | Failure | None:
        """Read back what an earlier attempt may have posted; None: it is to be sent."""
        there = await outcome_of(channel.find(delivery))
        if isinstance(there, Receipt | NeedsPerson):
            return there
        if isinstance(there, Failure):
            return NotSent(f"not sent again, for it could not be read back: {there.reason}")
        return await self._unwanted(delivery, "not sent again")

    async def _prepared(self, channel: Prepares, delivery: Delivery) -> Delivery | Failure:
        """Take the first of two steps, and store what it made before the second."""
        made = await outcome_of(channel.prepare(delivery))
        if isinstance(made, Unknown):  # nothing of this step can be seen: it may be done again
            return NotSent(f"nothing was published: {made.reason}")
        if isinstance(made, Failure):
            return made
        await insist(self.clock, lambda: self.store.keep_handle(delivery, made))
        unwanted = await self._unwanted(delivery, "nothing was published")
        return unwanted or replace(delivery, handle=made)

    async def _unwanted(self, delivery: Delivery, what: str) -> Overtaken | None:
        """Steps on a network take time: meanwhile a newer version may have come, or the end."""
        if await insist(self.clock, lambda: self.store.is_wanted(delivery)):
            return None
        return Overtaken(f"{what}: its alert has been replaced or has expired")


async def _corrected(channel: Channel, delivery: Delivery) -> Receipt | Failure:
    """Mark the post of an earlier version as overtaken."""
    if not isinstance(channel, Corrects):
        return Rejected("on this network no post can be corrected; do it by hand")
    result = await outcome_of(channel.correct(delivery))
    return result if result is not None else Unknown("the channel gave no receipt")
