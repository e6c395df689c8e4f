"""Resolving on both databases: what reading back says about rows in doubt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from broadcaster.config import StoreTable
from broadcaster.delivery import Delivery, Outcome, Receipt, State
from broadcaster.record import NoticeKind
from broadcaster.store import End, Store
from broadcaster.store.tables import delivery
from tests.kit import ManualClock, plan

HOLD = timedelta(seconds=20)
PROOF = Receipt("1", "https://fake.example/1")


@pytest.fixture
def clock() -> ManualClock:
    """Give a clock that stands still until a test moves it."""
    return ManualClock()


@pytest.fixture
async def desk(store_table: StoreTable, clock: ManualClock) -> AsyncIterator[Store]:
    """Give a store that lives by the clock of the test."""
    opened = await Store.open(store_table, clock)
    await opened.know_channels({"one": "fake", "two": "fake"})
    yield opened
    await opened.close()


async def _lost(store: Store, clock: ManualClock, channel: str = "one") -> Delivery:
    """Give a delivery whose answer was lost, to be read back after 10 s."""
    await store.accept(plan([channel], now=clock.now()))
    (claimed,) = (await store.claim({channel: 1}, HOLD)).deliveries
    due = clock.now() + timedelta(seconds=10)
    await store.record(claimed, End(Outcome.UNKNOWN, "lost", due=due))
    return claimed


async def _supersede(store: Store, clock: ManualClock, older: Delivery) -> None:
    found = await store.find_alert(older.alert)
    assert found is not None
    await store.accept(plan([older.channel], now=clock.now(), after=found))


async def test_a_row_is_read_back_when_it_is_due(desk: Store, clock: ManualClock) -> None:
    """Not before, on its own channel only, and no more at once than asked for."""
    lost = [await _lost(desk, clock) for _ in range(3)]
    await _lost(desk, clock, "two")
    assert await desk.to_read("one", 5) == []
    clock.move(10)
    rows = await desk.to_read("one", 2)
    assert [(row.delivery.id, row.sendable, row.doubts) for row in rows] == [
        (one.id, True, 1) for one in lost[:2]
    ]


async def test_a_row_that_may_not_be_sent_any_more_is_only_read(
    desk: Store, clock: ManualClock
) -> None:
    """Superseded or expired: what is read may say it is there, but nothing is sent again."""
    old, late = await _lost(desk, clock), await _lost(desk, clock)
    await _supersede(desk, clock, old)
    clock.move(10)
    sendable = {row.delivery.id: row.sendable for row in await desk.to_read("one", 5)}
    assert sendable == {old.id: False, late.id: True}
    clock.move(6 * 3600)
    assert [row.sendable for row in await desk.to_read("one", 5)] == [False, False]


async def test_a_post_that_was_found_is_sent(desk: Store, clock: ManualClock) -> None:
    """With the network's proof; the notice of the doubt is over."""
    lost = await _lost(desk, clock)
    assert len(await desk.open_notices()) == 1
    assert await desk.found(lost, PROOF) is State.SENT
    view = await desk.view(lost.alert)
    assert view is not None
    assert view.deliveries[0][0].receipt == PROOF
    assert await desk.open_notices() == []


async def test_a_post_that_is_found_late_is_sent_whatever_came_after(
    desk: Store, clock: ManualClock
) -> None:
    """It is out: neither a newer version nor the expiry makes that untrue."""
    lost = await _lost(desk, clock)
    await _supersede(desk, clock, lost)
    clock.move(7 * 3600)
    assert await desk.found(lost, PROOF) is State.SENT


async def test_a_post_that_is_not_there_is_queued_again(desk: Store, clock: ManualClock) -> None:
    """Proven absent: it goes out when due, and stays marked as doubtful."""
    lost = await _lost(desk, clock)
    due = clock.now() + timedelta(seconds=5)
    assert await desk.absent(lost, due, proven=True) is State.QUEUED
    assert await desk.open_notices() == []
    clock.move(5)
    (again,) = (await desk.claim({"one": 1}, HOLD)).deliveries
    assert (again.id, again.attempts, again.doubtful, again.key) == (lost.id, 2, True, lost.key)


async def test_an_absent_post_of_an_old_version_is_superseded(
    desk: Store, clock: ManualClock
) -> None:
    """An old warning never appears after a newer version."""
    lost = await _lost(desk, clock)
    await _supersede(desk, clock, lost)
    assert await desk.absent(lost, clock.now(), proven=True) is State.SUPERSEDED
    assert await desk.open_notices() == []


async def test_an_absent_post_of_an_expired_alert_expires_and_is_told(
    desk: Store, clock: ManualClock
) -> None:
    """It was never out: people must know."""
    lost = await _lost(desk, clock)
    clock.move(6 * 3600)
    assert await desk.absent(lost, clock.now(), proven=True) is State.EXPIRED
    assert [one.notice.kind for one in await desk.open_notices()] == [NoticeKind.EXPIRED]


async def test_an_undecided_row_is_looked_at_again_or_given_up(
    desk: Store, clock: ManualClock
) -> None:
    """It stays unknown; without a due time nobody reads it any more, and people stay told."""
    lost = await _lost(desk, clock)
    later = clock.now() + timedelta(seconds=30)
    await desk.read_again(lost, later, 1, "not in the list")
    clock.move(29)
    assert await desk.to_read("one", 5) == []
    clock.move(1)
    (row,) = await desk.to_read("one", 5)
    assert (row.delivery.reads, row.delivery.reason) == (1, "not in the list")
    await desk.read_again(lost, None, 2, "look by hand")
    clock.move(3600)
    assert await desk.to_read("one", 5) == []
    assert [one.notice.kind for one in await desk.open_notices()] == [NoticeKind.UNKNOWN]


async def test_a_network_that_needs_a_person_fails_the_row_in_doubt(
    desk: Store, clock: ManualClock
) -> None:
    """It may be out all the same: a later all-clear still goes there."""
    lost = await _lost(desk, clock)
    assert await desk.unreadable(lost, "the token was revoked") is State.FAILED
    view = await desk.view(lost.alert)
    assert view is not None
    assert view.deliveries[0][0].doubtful
    assert [one.notice.kind for one in await desk.open_notices()] == [NoticeKind.NEEDS_PERSON]


async def test_a_second_doubt_is_counted(desk: Store, clock: ManualClock) -> None:
    """After one resend that was lost too, nobody sends a third time by himself."""
    lost = await _lost(desk, clock)
    await desk.absent(lost, clock.now(), proven=True)
    (again,) = (await desk.claim({"one": 1}, HOLD)).deliveries
    await desk.record(again, End(Outcome.UNKNOWN, "lost again", due=clock.now()))
    (row,) = await desk.to_read("one", 5)
    assert (row.doubts, row.delivery.reads) == (2, 0)


async def test_what_is_not_in_doubt_is_not_resolved(desk: Store, clock: ManualClock) -> None:
    """An answer that comes late, after a person confirmed, changes nothing."""
    lost = await _lost(desk, clock)
    await desk.confirm(lost.id, "https://fake.example/by-hand", "key:a")
    await desk.found(lost, PROOF)
    await desk.absent(lost, clock.now(), proven=True)
    await desk.unreadable(lost, "no")
    await desk.read_again(lost, clock.now(), 9, "no")
    view = await desk.view(lost.alert)
    assert view is not None
    row = view.deliveries[0][0]
    assert (row.state, row.receipt) == (
        State.SENT,
        Receipt(None, "https://fake.example/by-hand"),
    )
    assert row.reads == 0


async def test_a_poisoned_row_in_doubt_is_set_aside(desk: Store, clock: ManualClock) -> None:
    """It fails with an alarm, and the rows beside it are read back."""
    bad, good = await _lost(desk, clock), await _lost(desk, clock)
    change = update(delivery).where(delivery.c.id == bad.id).values(message="{")
    await desk._engine.write(lambda db: db.change(change))
    clock.move(10)
    assert [row.delivery.id for row in await desk.to_read("one", 5)] == [good.id]
    assert desk.tally["one", State.FAILED] == 1
    kinds = [one.notice.kind for one in await desk.open_notices()]
    assert NoticeKind.QUARANTINE in kinds
