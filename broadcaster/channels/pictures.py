"""The card that goes with a text where it can: uploaded first, and left out where that fails.

An upload shows nothing to anybody. What it made is stored before the post, so that every repeat of
the post is the same; so is the sentence that says why there is no card.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from broadcaster.channels import Setup
from broadcaster.delivery import Delivery, Failure, Media, NotSent, Unknown

SHARE = 0.45  # of an attempt, for the upload: the rest of it is for the post
REST_SHARE_MIN = 0.3  # of an attempt, which a post gets whatever the upload took
REFUSALS_MAX = 2  # of the post, for its card: then it goes without
REMEMBERED = 256  # deliveries

_T = TypeVar("_T")
_V = TypeVar("_V")
Upload = Callable[[Media, bytes], Awaitable[Mapping[str, Any]]]


class Uploads:
    """One channel's cards. `bytes_max`: the largest file that the network takes."""

    def __init__(self, setup: Setup, bytes_max: int) -> None:
        self._setup = setup
        self._bytes_max = bytes_max
        self._begun: OrderedDict[str, float] = OrderedDict()
        self._refusals: OrderedDict[str, int] = OrderedDict()

    async def handle(self, delivery: Delivery, upload: Upload) -> Mapping[str, Any]:
        """Upload the card in a part of the attempt, and give the handle to store.

        It is what `upload` gave, or `note`, why the text goes without its card, or empty where no
        card was planned. Raises NotSent where the network was not reached at all: no text would
        have come through either.
        """
        media = drawn(delivery)
        if media is None:
            return {}
        if self._refusals.get(delivery.id, 0) >= REFUSALS_MAX:
            return _without("the network did not take it with the text")
        _remember(self._begun, delivery.id, asyncio.get_running_loop().time())
        try:
            data = await asyncio.to_thread(self._setup.drawn, media)
        except OSError:
            return _without("its file could not be read")
        if len(data) > self._bytes_max:
            return _without(f"it has more than {self._bytes_max} bytes")
        return await self._made(media, data, upload)

    async def _made(self, media: Media, data: bytes, upload: Upload) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(self._setup.timing.attempt_seconds * SHARE):
                return await upload(media, data)
        except TimeoutError:
            return _without("the upload took too long")
        except Failure as failure:
            if isinstance(failure, NotSent) and not failure.rate_limited:
                raise
            return _without(failure.reason)

    def refused(self, delivery: Delivery, reason: str) -> NotSent:
        """Give the failure of a post that was refused because of its card: upload it afresh."""
        _remember(self._refusals, delivery.id, self._refusals.get(delivery.id, 0) + 1)
        return NotSent(reason, afresh=True)

    def rest_seconds(self, delivery: Delivery) -> float:
        """Give how long a post may take: less than an attempt where its card came first."""
        whole = self._setup.timing.attempt_seconds
        begun = self._begun.pop(delivery.id, None)
        if begun is None:
            return whole
        used = asyncio.get_running_loop().time() - begun
        return min(whole, max(whole - used, whole * REST_SHARE_MIN))

    async def in_the_rest(self, delivery: Delivery, post: Awaitable[_T]) -> _T:
        """Post within what is left of the attempt. Raises Unknown when that is over."""
        rest = self.rest_seconds(delivery)
        if rest == self._setup.timing.attempt_seconds:  # the whole of it: that has its own end
            return await post
        try:
            async with asyncio.timeout(rest):
                return await post
        except TimeoutError:
            raise Unknown("the time limit was reached after the request had begun") from None


def drawn(delivery: Delivery) -> Media | None:
    """Give the card that goes with a delivery; None where there is none, or it was not drawn."""
    media = delivery.message.media if delivery.message else ()
    return next((one for one in media if one.digest), None)


def made(delivery: Delivery, name: str) -> Any:
    """Give a value of the delivery's handle, None if it has no such thing."""
    return (delivery.handle or {}).get(name)


def note_of(delivery: Delivery) -> str | None:
    """Give the sentence that says why the text goes without its card; None if it does not."""
    note = made(delivery, "note")
    return note if isinstance(note, str) else None


def _without(reason: str) -> dict[str, Any]:
    return {"note": f"posted without its card: {reason}"}


def _remember(known: OrderedDict[str, _V], key: str, value: _V) -> None:
    known[key] = value
    if len(known) > REMEMBERED:
        known.popitem(last=False)
