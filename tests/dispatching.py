"""A dispatcher over a store, and what its tests ask of both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from broadcaster.channels import Channel
from broadcaster.clock import SystemClock
from broadcaster.delivery import State, Unknown
from broadcaster.dispatcher import Dispatcher
from broadcaster.record import Accepted, NoticeKind
from broadcaster.store import Store
from tests.kit import SHORT, FakeChannel, eventually, plan, states

LOST = Unknown("the answer was lost")


@asynccontextmanager
async def running(store: Store, *channels: FakeChannel) -> AsyncIterator[Dispatcher]:
    """Run a dispatcher over these channels."""
    known: dict[str, Channel] = {channel.name: channel for channel in channels}
    dispatcher = Dispatcher(store, known, SHORT, SystemClock())
    await dispatcher.start()
    try:
        yield dispatcher
    finally:
        await dispatcher.stop()
        assert dispatcher.fault is None


async def go(store: Store, dispatcher: Dispatcher, *channels: str, **wanted: object) -> Accepted:
    """Accept an alert for these channels, and have it taken up."""
    acceptance = await store.accept(plan(channels or ("one",), **wanted))  # type: ignore[arg-type]
    dispatcher.wake()
    return acceptance.accepted


def has(store: Store, accepted: Accepted, **wanted: str) -> Callable[[], Awaitable[bool]]:
    """Give a question: whether the delivery of each channel is in this state."""

    async def check() -> bool:
        view = await store.view(accepted.id)
        assert view is not None
        return dict(states(view.deliveries)) == wanted

    return check


async def settled(store: Store, accepted: Accepted) -> None:
    """Wait until every delivery of an alert is sent."""

    async def all_sent() -> bool:
        view = await store.view(accepted.id)
        return view is not None and {one.state for one, _ in view.deliveries} == {State.SENT}

    await eventually(all_sent)


async def kinds(store: Store) -> list[NoticeKind]:
    """Say of what people are told."""
    return [matter.notice.kind for matter in await store.open_notices()]


def told_of_channel(store: Store) -> Callable[[], Awaitable[bool]]:
    """Give a question: whether people are told of a channel."""

    async def check() -> bool:
        return NoticeKind.SWITCHED_OFF in await kinds(store)

    return check
