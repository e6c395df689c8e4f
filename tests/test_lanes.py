"""What stops a channel, and what lets it go on: over a real store, with a network in memory."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from broadcaster import lanes as room
from broadcaster.delivery import (
    Delivery,
    Guarantee,
    NeedsPerson,
    NotSent,
    Receipt,
    State,
)
from broadcaster.record import NoticeKind
from broadcaster.store import Store
from tests.dispatching import LOST, go, has, kinds, running, settled
from tests.kit import (
    FakeChannel,
    eventually,
    posting_then,
    raising,
)


async def test_a_429_pauses_the_channel_and_is_honoured(sqlite_store: Store) -> None:
    """Nothing more is tried on it before the time it named; then one trial goes first."""
    wait = timedelta(seconds=0.4)
    one = FakeChannel(script=[raising(NotSent("429", wait, rate_limited=True))])
    async with running(sqlite_store, one) as dispatcher:
        began = asyncio.get_running_loop().time()
        first = await go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == 1)
        await asyncio.sleep(0.05)
        second = await go(sqlite_store, dispatcher)
        await eventually(has(sqlite_store, first, one="sent"))
        await eventually(has(sqlite_store, second, one="sent"))
        assert asyncio.get_running_loop().time() - began >= 0.4
    assert len(one.sends) == 3


async def test_a_410_switches_the_channel_off_and_is_told(sqlite_store: Store) -> None:
    """The receiver wants no more: nothing is sent until a person switches it on again."""
    one = FakeChannel(script=[raising(NeedsPerson("410: gone", switch_off=True))])
    async with running(sqlite_store, one) as dispatcher:
        first = await go(sqlite_store, dispatcher)
        await eventually(has(sqlite_store, first, one="failed"))
        second = await go(sqlite_store, dispatcher)
        await asyncio.sleep(0.2)
        assert await has(sqlite_store, second, one="queued")()
        assert NoticeKind.SWITCHED_OFF in await kinds(sqlite_store)
        await dispatcher.pauses.resume("one")
        await eventually(has(sqlite_store, second, one="sent"))


async def test_what_began_before_a_pause_does_not_end_it(sqlite_store: Store) -> None:
    """A slow success from before the 429 says nothing about the limit."""
    gate = asyncio.Event()

    async def slow(channel: FakeChannel, delivery: Delivery) -> Receipt:
        await gate.wait()
        return channel.publish(delivery)

    limited = raising(NotSent("429", timedelta(seconds=0.6), rate_limited=True))
    one = FakeChannel(script=[slow, limited])
    async with running(sqlite_store, one) as dispatcher:
        first = await go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == 1)
        second = await go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == 2)
        gate.set()
        await eventually(has(sqlite_store, first, one="sent"))
        await asyncio.sleep(0.2)
        assert len(one.sends) == 2
        await eventually(has(sqlite_store, second, one="sent"))


async def test_a_pause_ends_with_the_alert_it_was_for(sqlite_store: Store) -> None:
    """A month of Retry-After must not mute the next alert."""
    month = raising(NotSent("429", timedelta(days=30), rate_limited=True))
    one = FakeChannel(script=[month])
    async with running(sqlite_store, one) as dispatcher:
        until = datetime.now(UTC) + timedelta(seconds=0.3)
        await go(sqlite_store, dispatcher, expires=until)
        await eventually(lambda: len(one.sends) == 1)
        later = await go(sqlite_store, dispatcher)
        await eventually(has(sqlite_store, later, one="sent"))


async def test_a_held_channel_posts_nothing_until_it_is_released(sqlite_store: Store) -> None:
    """Another account under the same name gets no warning of ours before a person looked."""
    channel = FakeChannel()
    async with running(sqlite_store, channel) as dispatcher:
        await dispatcher.pauses.hold("one", "another account")
        accepted = await go(sqlite_store, dispatcher)
        await asyncio.sleep(0.1)
        assert channel.sends == []
        assert await dispatcher.pauses.release("one", "person")
        await settled(sqlite_store, accepted)
    assert len(channel.posts) == 1
    (row, *_) = [one for one in await sqlite_store.channels() if one.name == "one"]
    assert row.held is None


async def test_after_a_start_a_bound_channel_waits_for_its_first_probe(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's token may have been put in meanwhile; a silent probe stops nothing."""
    await sqlite_store.bind("one", {"id": "1", "server": "x"})
    channel = FakeChannel()
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await go(sqlite_store, dispatcher)
        await asyncio.sleep(0.1)
        assert channel.sends == []
        await dispatcher.pauses.hold("one", None)
        await settled(sqlite_store, accepted)
    monkeypatch.setattr(room, "ACCOUNT_SECONDS", 0.2)
    async with running(sqlite_store, channel) as dispatcher:
        await settled(sqlite_store, await go(sqlite_store, dispatcher))
    assert len(channel.posts) == 2


async def test_a_held_channel_reads_nothing_back(sqlite_store: Store) -> None:
    """That the post is not on another account proves nothing of the right one."""
    channel = FakeChannel(script=[posting_then(LOST)], guarantee=Guarantee.TWO_STEPS)
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await go(sqlite_store, dispatcher)
        await eventually(lambda: bool(channel.posts))
        await dispatcher.pauses.hold("one", "another account")
        channel.hidden = True
        await asyncio.sleep(0.3)
        view = await sqlite_store.view(accepted.id)
        assert view is not None
        assert view.deliveries[0][0].state is State.UNKNOWN
        channel.hidden = False
        await dispatcher.pauses.release("one", "person")
        await settled(sqlite_store, accepted)
    assert len(channel.sends) == 1


async def test_a_channel_stays_held_over_a_restart(sqlite_store: Store) -> None:
    """The hold is in the store."""
    channel = FakeChannel()
    async with running(sqlite_store, channel) as dispatcher:
        await dispatcher.pauses.hold("one", "another account")
    async with running(sqlite_store, channel) as dispatcher:
        await go(sqlite_store, dispatcher)
        await asyncio.sleep(0.1)
        assert channel.sends == []
