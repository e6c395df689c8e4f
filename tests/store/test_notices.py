"""Notices on both databases: who must be told what, and who has been told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from broadcaster.config import StoreTable
from broadcaster.delivery import Outcome, Receipt, State
from broadcaster.record import NoticeKind
from broadcaster.store import End, NewNotice, Store, Turn
from broadcaster.store.tables import notice
from tests.kit import ManualClock, plan

HOLD = timedelta(seconds=20)
LATE = [timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15)]


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


async def _late(store: Store, clock: ManualClock) -> str:
    now = clock.now()
    wanted = plan(["one", "two"], now=now, late=[now + wait for wait in LATE])
    return (await store.accept(wanted)).accepted.id


async def test_people_learn_of_lateness_at_its_moments(desk: Store, clock: ManualClock) -> None:
    """After 1, 5 and 15 minutes, oldest first; and the store says when the next one is due."""
    await _late(desk, clock)
    start = clock.now()
    assert await desk.due_notices() == []
    clock.move(60)
    (first,) = await desk.due_notices()
    assert (first.notice.kind, first.notice.due) == (NoticeKind.LATE, start + LATE[0])
    clock.move(14 * 60)
    assert [one.notice.due - start for one in await desk.due_notices()] == LATE


async def test_a_late_notice_names_what_is_not_out_now(desk: Store, clock: ManualClock) -> None:
    """Not what was late when it was written: what goes out meanwhile is left out."""
    await _late(desk, clock)
    claims = await desk.claim({"one": 1, "two": 1}, HOLD)
    by_name = {one.channel: one for one in claims.deliveries}
    end = End(Outcome.NOT_SENT, "busy", due=clock.now() + timedelta(minutes=2))
    await desk.record(by_name["two"], end)
    clock.move(60)
    (matter,) = await desk.due_notices()
    assert list(matter.not_out) == [("one", "de", "sending", None), ("two", "de", "queued", "busy")]
    await desk.record(by_name["one"], End(Outcome.ACCEPTED, receipt=Receipt("1")))
    (matter,) = await desk.due_notices()
    assert list(matter.not_out) == [("two", "de", "queued", "busy")]
    assert matter.state is None


async def test_a_notice_knows_the_state_of_its_delivery(desk: Store, clock: ManualClock) -> None:
    """Whoever tells it says what is so now."""
    await desk.accept(plan(["one"], now=clock.now()))
    (claimed,) = (await desk.claim({"one": 1}, HOLD)).deliveries
    await desk.record(claimed, End(Outcome.REJECTED, "no"))
    (matter,) = await desk.due_notices()
    assert (matter.notice.delivery, matter.notice.channel) == (claimed.id, "one")
    assert (matter.state, matter.notice.text) == (State.FAILED, "no")


async def test_who_was_told_is_written_down_once(desk: Store, clock: ManualClock) -> None:
    """A second acceptance by the same target changes nothing; another target is added."""
    await desk.tell(NewNotice(NoticeKind.CHANNEL, "not ready", channel="one"))
    (matter,) = await desk.due_notices()
    told_at = clock.now()
    await desk.mark_told([matter.notice.id], "phone")
    clock.move(60)
    await desk.mark_told([matter.notice.id], "phone")
    await desk.mark_told([matter.notice.id], "mail")
    (matter,) = await desk.due_notices()
    assert matter.notice.told == {"phone": told_at, "mail": clock.now()}


async def test_a_closed_notice_needs_nobody(desk: Store, clock: ManualClock) -> None:
    """It is no longer due, and does not name the next moment."""
    await _late(desk, clock)
    clock.move(3600)
    await desk.close_notices([one.notice.id for one in await desk.due_notices()])
    assert await desk.due_notices() == []
    assert await desk.open_notices() == []


@pytest.mark.parametrize("channel", ["one", "", None])
async def test_the_same_trouble_is_told_once_until_it_is_over(
    desk: Store, channel: str | None
) -> None:
    """Of a channel and of the daemon itself; after it went away it may be told again."""
    for text in ("the token ends", "the token ends soon"):
        await desk.tell(NewNotice(NoticeKind.CHANNEL, text, channel=channel))
    await desk.tell(NewNotice(NoticeKind.CHANNEL, "other", channel="two"))
    await desk.tell(NewNotice(NoticeKind.CLOCK, "drift", channel=channel))
    assert len(await desk.open_notices()) == 3
    if channel is not None:
        await desk.untell(channel, NoticeKind.CHANNEL)
        assert len(await desk.open_notices()) == 2
        await desk.tell(NewNotice(NoticeKind.CHANNEL, "again", channel=channel))
        assert len(await desk.open_notices()) == 3


async def test_an_alert_has_a_name_for_the_text_of_a_notice(
    desk: Store, clock: ManualClock
) -> None:
    """Its reference and its own words; None where there is no such alert."""
    accepted = (await desk.accept(plan(["one"], now=clock.now()))).accepted
    name = await desk.alert_name(accepted.id)
    assert name is not None
    assert name[0] == accepted.reference
    assert "Großbrand" in name[1]
    assert await desk.alert_name("nobody") is None


async def _failed(store: Store, clock: ManualClock, seconds: float = 1) -> str:
    """Have an alert fail, and let time pass; give its id."""
    accepted = (await store.accept(plan(["one"], now=clock.now()))).accepted
    (claimed,) = (await store.claim({"one": 1}, HOLD)).deliveries
    await store.record(claimed, End(Outcome.REJECTED, "422: no"))
    clock.move(seconds)
    return accepted.id


def _turn(clock: ManualClock, target: str = "phone", *, told: float = 0) -> Turn:
    return Turn(target, clock.now(), clock.now() - timedelta(seconds=told))


async def test_what_reached_nobody_comes_before_what_somebody_knows(
    desk: Store, clock: ManualClock
) -> None:
    """And within each the oldest; the daemon's own troubles stand in line with the alerts."""
    known, first = await _failed(desk, clock), await _failed(desk, clock)
    await desk.tell(NewNotice(NoticeKind.CLOCK, "drifts", channel="broadcaster"))
    clock.move(1)
    last = await _failed(desk, clock)
    (matter,) = await desk.wanted_notices(_turn(clock), known)
    await desk.mark_told([matter.notice.id], "pager")
    assert await desk.alerts_for(_turn(clock)) == [first, None, last, known]
    (own,) = await desk.wanted_notices(_turn(clock), None)
    assert own.notice.text == "drifts"


async def test_a_target_is_offered_nothing_twice_or_early(desk: Store, clock: ManualClock) -> None:
    """What it took is over for it; what another took comes after its own time."""
    failed = await _failed(desk, clock)
    (matter,) = await desk.wanted_notices(_turn(clock), failed)
    await desk.mark_told([matter.notice.id], "phone")
    assert await desk.alerts_for(_turn(clock)) == []
    assert await desk.alerts_for(_turn(clock, "pager", told=60)) == []
    assert await desk.wanted_notices(_turn(clock, "pager", told=60), failed) == []
    clock.move(60)
    assert await desk.alerts_for(_turn(clock, "pager", told=60)) == [failed]


async def test_what_nobody_took_is_counted_since_a_moment(desk: Store, clock: ManualClock) -> None:
    """Neither what somebody took, nor what is closed, nor what is younger."""
    one, two = await _failed(desk, clock), await _failed(desk, clock)
    since = clock.now()
    clock.move(1)
    await _failed(desk, clock)
    assert (await desk.untold(since), await desk.untold(clock.now())) == (2, 3)
    for name, target in ((one, "phone"), (two, None)):
        ids = [matter.notice.id for matter in await desk.wanted_notices(_turn(clock), name)]
        await (desk.mark_told(ids, target) if target else desk.close_notices(ids))
    assert (await desk.untold(since), await desk.untold(clock.now())) == (0, 1)


async def test_open_notices_come_in_pages(desk: Store, clock: ManualClock) -> None:
    """Each page goes on after the last one, also where many became due in one moment."""
    wanted = plan(["one", "two"], now=clock.now())
    await desk.accept(wanted)
    for claimed in (await desk.claim({"one": 1, "two": 1}, HOLD)).deliveries:
        await desk.record(claimed, End(Outcome.REJECTED, "no"))
    seen = await desk.due_notices()
    assert len({one.notice.due for one in seen}) == 1
    assert [one.notice.id for one in await desk.due_notices(seen[0].notice)] == [seen[1].notice.id]
    assert await desk.due_notices(seen[1].notice) == []


async def test_a_damaged_notice_hides_no_other(desk: Store, clock: ManualClock) -> None:
    """It cannot be told, so that it counts as untold, and readiness names it."""
    damaged, sound = await _failed(desk, clock), await _failed(desk, clock)
    change = update(notice).where(notice.c.alert == damaged).values(kind="fai1ed")
    await desk._engine.write(lambda db: db.change(change))
    for matters in (await desk.due_notices(), await desk.open_notices()):
        assert [one.notice.alert for one in matters] == [sound]
    assert await desk.wanted_notices(_turn(clock), damaged) == []
    assert await desk.untold(clock.now()) == 2
