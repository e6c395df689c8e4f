"""Visible, not just sent: looks, what they come to, and who hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from broadcaster.config import StoreTable, Timing
from broadcaster.delivery import Delivery, NotSent, Outcome, Receipt, Sight, State
from broadcaster.record import NoticeKind
from broadcaster.resolving import first_sight
from broadcaster.store import End, Store
from broadcaster.visibility import Visibility
from tests.kit import FakeChannel, ManualClock, eventually, plan

TIMING = Timing()
HOLD = timedelta(seconds=20)
TEXT = "Feuer Nr. 26-0142/1"
SEEN = Sight(there=True, text=TEXT, counts={"likes": 2}, url="https://fake.example/1")
HIDDEN = Sight(there=False, reason="not in the public view yet")


@dataclass
class Looked(FakeChannel):
    """A channel whose looks show what the test says; the last is repeated."""

    sights: list[Sight | Exception] = field(default_factory=lambda: [SEEN])
    looks: int = 0

    async def look(self, _delivery: Delivery) -> Sight:
        """Show what comes next."""
        self.looks += 1
        found = self.sights.pop(0) if len(self.sights) > 1 else self.sights[0]
        if isinstance(found, Exception):
            raise found
        return found


@dataclass
class Watched:
    """One post that is out on a channel, and a clock that is moved by hand."""

    store: Store
    clock: ManualClock
    measured: list[float] = field(default_factory=list)
    delivery: Delivery | None = None

    async def post(self, channel: Looked) -> None:
        """Have the post out."""
        await self.store.accept(plan(now=self.clock.now()))
        (one,) = (await self.store.claim({"one": 1}, HOLD)).deliveries
        look = first_sight(channel, one, TIMING, self.clock.now())
        await self.store.record(one, End(Outcome.ACCEPTED, receipt=Receipt("1"), look=look))
        self.delivery = one

    async def look(self, channel: Looked, after: float) -> Delivery:
        """Let time pass, look at what is due, and return the delivery as it is then."""
        self.clock.move(after)
        room = Visibility(
            self.store,
            {"one": channel},
            TIMING,
            self.clock,
            lambda _, seconds: self.measured.append(seconds),
        )
        for due in await self.store.to_look():
            await room.look(channel, due)
        assert self.delivery is not None
        view = await self.store.view(self.delivery.alert)
        assert view is not None
        return view.deliveries[0][0]

    async def told(self) -> list[str]:
        """Return what people are told."""
        matters = await self.store.open_notices()
        return [one.notice.text for one in matters if one.notice.kind is NoticeKind.GONE]


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    """Give an empty store that lives by the test's clock."""
    clock = ManualClock()
    table = StoreTable(url=f"sqlite:///{tmp_path}/test.db", ballast_bytes=0)
    store = await Store.open(table, clock)
    await store.know_channels({"one": "fake"})
    yield Watched(store, clock)
    await store.close()


async def test_a_post_that_is_seen_is_visible(watched: Watched) -> None:
    """With the time it took, the hash of the text seen, its permalink and the counts."""
    channel = Looked()
    await watched.post(channel)
    one = await watched.look(channel, 1.0)
    assert one.state is State.VISIBLE
    assert one.seen is not None
    assert one.seen.after_seconds == 1.0
    assert one.seen.counts == {"likes": 2}
    assert one.seen.text_hash is not None
    assert one.receipt is not None
    assert one.receipt.url == "https://fake.example/1"
    assert watched.measured == [1.0]


async def test_it_is_looked_for_quickly_and_then_now_and_then(watched: Watched) -> None:
    """After 1, 2, 3, 5 s until it is seen; then every five minutes, measured once."""
    channel = Looked(sights=[HIDDEN, HIDDEN, SEEN])
    await watched.post(channel)
    assert (await watched.look(channel, 1)).state is State.SENT
    assert (await watched.look(channel, 2)).state is State.SENT
    one = await watched.look(channel, 3)
    assert one.state is State.VISIBLE
    assert one.seen is not None
    assert one.seen.after_seconds == 6.0
    assert channel.looks == 3
    await watched.look(channel, 299)
    assert channel.looks == 3
    await watched.look(channel, 1)
    assert channel.looks == 4
    assert watched.measured == [6.0]
    assert await watched.told() == []


async def test_a_post_nobody_sees_is_told_in_time(watched: Watched) -> None:
    """Two minutes after it was sent, once, with why."""
    channel = Looked(sights=[HIDDEN])
    await watched.post(channel)
    for _ in range(11):
        await watched.look(channel, 10)
    assert await watched.told() == []
    for _ in range(5):
        await watched.look(channel, 30)
    assert (await watched.look(channel, 30)).state is State.SENT
    (told,) = await watched.told()
    assert told.startswith("sent, but not seen by the public after 1")
    assert told.endswith("not in the public view yet")


@pytest.mark.parametrize(
    ("then", "says"),
    [
        (Sight(there=False, reason="deleted"), "no longer as it was posted: deleted"),
        (
            Sight(there=True, text="other", altered=True),
            "no longer as it was posted: it shows another text than was posted",
        ),
    ],
)
async def test_what_goes_or_changes_after_it_was_seen_is_told_at_once(
    watched: Watched, then: Sight, says: str
) -> None:
    """It falls back to sent, and rings once; when it is well again that is over."""
    channel = Looked(sights=[SEEN, then, then, SEEN])
    await watched.post(channel)
    await watched.look(channel, 1)
    one = await watched.look(channel, 300)
    assert one.state is State.SENT
    assert await watched.told() == [says]
    await watched.look(channel, 30)
    assert await watched.told() == [says]
    assert (await watched.look(channel, 30)).state is State.VISIBLE
    assert await watched.told() == []


async def test_what_was_altered_from_the_start_is_told_at_once(watched: Watched) -> None:
    """A post that says something else than we wrote is no matter of waiting."""
    channel = Looked(sights=[Sight(there=True, text="other", altered=True)])
    await watched.post(channel)
    assert (await watched.look(channel, 1)).state is State.SENT
    assert await watched.told() == ["it shows another text than was posted"]


ODD = replace(SEEN, text=cast(str, 7), counts={})  # a network that changed its answer's shape


@pytest.mark.parametrize("fault", [NotSent("no connection"), KeyError("shape"), ODD])
async def test_a_look_that_fails_shows_nothing_new(
    watched: Watched, fault: Exception | Sight
) -> None:
    """What was visible stays so while the network cannot be asked; nobody is called for that."""
    channel = Looked(sights=[SEEN, fault, SEEN])
    await watched.post(channel)
    await watched.look(channel, 1)
    one = await watched.look(channel, 300)
    assert one.state is State.VISIBLE
    assert one.seen is not None
    assert one.seen.reason is not None
    assert one.seen.counts == {"likes": 2}
    assert await watched.told() == []


async def test_where_reads_cost_money_looks_are_rare(watched: Watched) -> None:
    """Five times as long between two of them."""
    channel = Looked(paid_reads=True)
    await watched.post(channel)
    await watched.look(channel, 4)
    assert channel.looks == 0
    await watched.look(channel, 1)
    assert channel.looks == 1
    await watched.look(channel, 1499)
    assert channel.looks == 1
    await watched.look(channel, 1)
    assert channel.looks == 2


async def test_looking_ends_with_the_alert(watched: Watched) -> None:
    """Past its expiry nobody minds whether the post is still there."""
    channel = Looked()
    await watched.post(channel)
    await watched.look(channel, 1)
    await watched.look(channel, 6 * 3600)
    looks = channel.looks
    await watched.look(channel, 6 * 3600)
    assert channel.looks == looks


async def test_one_slow_look_holds_up_its_own_channel_alone(sqlite_store: Store) -> None:
    """Looks run beside each other, one on each channel."""
    gate = asyncio.Event()

    @dataclass
    class Slow(Looked):
        async def look(self, _delivery: Delivery) -> Sight:
            self.looks += 1
            await gate.wait()
            return SEEN

    slow, quick = Slow("one"), Looked("two")
    now = sqlite_store.due_now()
    for _ in range(2):
        await sqlite_store.accept(plan(("one", "two")))
    claimed = (await sqlite_store.claim({"one": 2, "two": 2}, HOLD)).deliveries
    for one in claimed:
        await sqlite_store.record(one, End(Outcome.ACCEPTED, receipt=Receipt("1"), look=now))
    timing = TIMING.model_copy(update={"look_again_seconds": 600.0})
    room = Visibility(sqlite_store, {"one": slow, "two": quick}, timing, ManualClock())
    task = asyncio.create_task(room.run())
    await eventually(lambda: quick.looks == 2)
    assert slow.looks == 1
    gate.set()
    await eventually(lambda: slow.looks == 2)
    task.cancel()


async def test_many_looks_of_a_slow_channel_hide_none_of_another(sqlite_store: Store) -> None:
    """However many are due there, and for however long, each channel has its turn."""
    now = sqlite_store.due_now()
    for number in range(30):
        await sqlite_store.accept(plan(("two",) if number == 29 else ("one",)))
    claimed = (await sqlite_store.claim({"one": 29, "two": 1}, HOLD)).deliveries
    for one in claimed:
        await sqlite_store.record(one, End(Outcome.ACCEPTED, receipt=Receipt("1"), look=now))
    assert sorted(one.delivery.channel for one in await sqlite_store.to_look()) == ["one", "two"]
    assert [one.delivery.channel for one in await sqlite_store.to_look(["one"])] == ["two"]


async def test_a_channel_that_is_gone_is_asked_nothing(sqlite_store: Store) -> None:
    """A post of a channel that is no longer configured is looked at no more."""
    await sqlite_store.accept(plan())
    (one,) = (await sqlite_store.claim({"one": 1}, HOLD)).deliveries
    look = sqlite_store.due_now()
    await sqlite_store.record(one, End(Outcome.ACCEPTED, receipt=Receipt("1"), look=look))
    room = Visibility(sqlite_store, {}, TIMING, ManualClock())
    task = asyncio.create_task(room.run())

    async def none_due() -> bool:
        return await sqlite_store.to_look() == []

    await eventually(none_due)
    task.cancel()


async def test_another_account_is_not_asked_for_our_posts(sqlite_store: Store) -> None:
    """It may call them deleted, and nothing is wrong with them."""
    channel, strange = Looked("one"), {"one"}
    await sqlite_store.accept(plan())
    (one,) = (await sqlite_store.claim({"one": 1}, HOLD)).deliveries
    look = sqlite_store.due_now()
    await sqlite_store.record(one, End(Outcome.ACCEPTED, receipt=Receipt("1"), look=look))
    room = Visibility(
        sqlite_store, {"one": channel}, TIMING, ManualClock(), strange=lambda: strange
    )
    for expected in (0, 1):
        task = asyncio.create_task(room.run())
        await asyncio.sleep(0.1)
        assert channel.looks == expected
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        strange.clear()
