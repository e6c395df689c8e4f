"""Looks on both databases: when, of what, what they change, and of what people are reminded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from broadcaster.config import StoreTable
from broadcaster.delivery import Delivery, Outcome, Receipt, Seen, State
from broadcaster.record import Accepted, NoticeKind
from broadcaster.store import End, Landed, Look, Store
from tests.kit import ManualClock, plan

HOLD = timedelta(seconds=20)
PROOF = Receipt("1", None)
URL = "https://fake.example/1"


@pytest.fixture
def clock() -> ManualClock:
    """Give a clock that stands still until a test moves it."""
    return ManualClock()


@pytest.fixture
async def outbox(store_table: StoreTable, clock: ManualClock) -> AsyncIterator[Store]:
    """Give a store that lives by the clock of the test."""
    opened = await Store.open(store_table, clock)
    await opened.know_channels({"one": "fake"})
    yield opened
    await opened.close()


async def sent(store: Store, clock: ManualClock, *, batch: bool = False) -> Delivery:
    """Have one post out that is looked at in a second."""
    await store.accept(plan(now=clock.now()))
    (one,) = (await store.claim({"one": 1}, HOLD)).deliveries
    look = clock.now() + timedelta(seconds=1)
    if batch:
        await store.record_sent([Landed(one, PROOF, look)])
    else:
        await store.record(one, End(Outcome.ACCEPTED, receipt=PROOF, look=look))
    return one


async def now(store: Store, one: Delivery) -> Delivery:
    """Return a delivery as it is."""
    view = await store.view(one.alert)
    assert view is not None
    return view.deliveries[0][0]


async def told(store: Store) -> list[str]:
    """Return what people are told of posts that are not to be seen."""
    matters = await store.open_notices()
    return [one.notice.text for one in matters if one.notice.kind is NoticeKind.GONE]


def there(clock: ManualClock, looks: int = 1, **more: object) -> Seen:
    """Return a look that saw the post."""
    return replace(Seen(clock.now(), there=True, looks=looks), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", [True, False])
async def test_a_post_is_due_for_a_look_when_the_channel_said(
    outbox: Store, clock: ManualClock, *, batch: bool
) -> None:
    """Not before its time, and with the time since which it is out."""
    one = await sent(outbox, clock, batch=batch)
    assert await outbox.to_look() == []
    clock.move(1)
    (due,) = await outbox.to_look()
    assert due.delivery.id == one.id
    assert due.looks == 0
    assert (clock.now() - due.sent).total_seconds() == 1


async def test_what_was_read_back_is_looked_at_too(outbox: Store, clock: ManualClock) -> None:
    """A lost answer that is found again is a post like any other."""
    await outbox.accept(plan(now=clock.now()))
    (one,) = (await outbox.claim({"one": 1}, HOLD)).deliveries
    await outbox.record(one, End(Outcome.UNKNOWN, "lost", due=clock.now()))
    await outbox.found(one, PROOF, clock.now())
    (due,) = await outbox.to_look()
    assert due.delivery.id == one.id


async def test_a_post_that_is_seen_is_visible_with_what_was_seen(
    outbox: Store, clock: ManualClock
) -> None:
    """State, permalink, time, hash and counts are kept; then it is looked at again."""
    one = await sent(outbox, clock)
    clock.move(1)
    seen = there(clock, after_seconds=1.0, text_hash="ab", counts={"likes": 3})
    again = clock.now() + timedelta(minutes=5)
    assert await outbox.saw(Look(one.id, seen, again, url=URL)) is State.VISIBLE
    found = await now(outbox, one)
    assert found.state is State.VISIBLE
    assert found.seen == seen
    assert found.receipt is not None
    assert found.receipt.url == URL
    assert await outbox.to_look() == []
    clock.move(300)
    (due,) = await outbox.to_look()
    assert due.looks == 1
    assert due.delivery.seen == seen


async def test_a_post_that_is_gone_is_told_once_and_taken_back(
    outbox: Store, clock: ManualClock
) -> None:
    """From visible back to sent, with an alarm; not rung at every look; over when it is back."""
    one = await sent(outbox, clock)
    soon = clock.now() + timedelta(seconds=1)
    await outbox.saw(Look(one.id, there(clock), soon))
    gone = Seen(clock.now(), there=False, looks=2, reason="deleted")
    for _ in range(3):
        assert await outbox.saw(Look(one.id, gone, soon, "no longer there")) is State.SENT
    assert await told(outbox) == ["no longer there"]
    view = await now(outbox, one)
    assert view.reason == "deleted"
    await outbox.saw(Look(one.id, there(clock, 5), soon))
    assert await told(outbox) == []


async def test_what_was_replaced_is_looked_at_no_more(outbox: Store, clock: ManualClock) -> None:
    """An older version's post was edited on purpose; an alarm of it is over as well."""
    first: Accepted = (await outbox.accept(plan(now=clock.now()))).accepted
    (one,) = (await outbox.claim({"one": 1}, HOLD)).deliveries
    due = clock.now() + timedelta(seconds=1)
    await outbox.record(one, End(Outcome.ACCEPTED, receipt=PROOF, look=due))
    hidden = Seen(clock.now(), there=False, reason="hidden")
    await outbox.saw(Look(one.id, hidden, due, "not seen"))
    await outbox.accept(plan(now=clock.now(), after=first))
    clock.move(1)
    assert await outbox.to_look() == []
    assert await told(outbox) == []


async def test_what_the_last_look_finds_is_told_while_the_alert_is_in_force(
    outbox: Store, clock: ManualClock
) -> None:
    """Nobody looks any more, but the warning is missing all the same; until it is over."""
    one = await sent(outbox, clock)
    hidden = Seen(clock.now(), there=False, reason="hidden")
    await outbox.saw(Look(one.id, hidden, None, "not seen"))
    assert await told(outbox) == ["not seen"]
    clock.move(6 * 3600 - 1)
    await outbox.expire()
    assert await told(outbox) == ["not seen"]
    clock.move(1)
    await outbox.expire()
    assert await told(outbox) == []


async def test_after_the_alert_nobody_need_act(outbox: Store, clock: ManualClock) -> None:
    """That its post was hidden is no trouble any more, whoever sees it now."""
    one = await sent(outbox, clock)
    hidden = Seen(clock.now(), there=False, reason="hidden")
    await outbox.saw(Look(one.id, hidden, clock.now(), "not seen"))
    clock.move(6 * 3600)
    await outbox.saw(Look(one.id, hidden, None, "not seen"))
    assert await told(outbox) == []


async def test_what_was_taken_down_is_looked_at_no_more(outbox: Store, clock: ManualClock) -> None:
    """That it is gone was meant."""
    one = await sent(outbox, clock)
    await outbox.retracted(one.id, "key:test")
    clock.move(1)
    assert await outbox.to_look() == []
    assert await outbox.saw(Look(one.id, there(clock), None)) is None
    assert (await now(outbox, one)).state is State.RETRACTED


async def test_people_are_reminded_of_what_waits_for_them(
    outbox: Store, clock: ManualClock
) -> None:
    """At once, then at every interval, until somebody confirms it with its link.

    What was told first stays open, for those who are told later than the next reminder.
    """
    wanted = plan(now=clock.now())
    waiting = [replace(one, state=State.WAITING) for one in wanted.deliveries]
    await outbox.accept(replace(wanted, deliveries=waiting))
    every = timedelta(minutes=5)

    async def open_since() -> list[float]:
        matters = await outbox.open_notices()
        kinds = [one.notice for one in matters if one.notice.kind is NoticeKind.WAITING]
        return [(one.created - wanted.accepted.accepted).total_seconds() for one in kinds]

    assert await open_since() == [0]
    clock.move(299)
    assert await outbox.remind(every) == 0
    clock.move(1)
    assert await outbox.remind(every) == 1
    assert await open_since() == [0, 300]
    clock.move(300)
    assert await outbox.remind(every) == 1
    assert await open_since() == [0, 600]
    await outbox.confirm(waiting[0].id, URL, "key:test")
    assert await open_since() == []
    clock.move(300)
    assert await outbox.remind(every) == 0


async def test_reminders_come_a_page_at_a_time(outbox: Store, clock: ManualClock) -> None:
    """However much waits: nothing holds the writer for long, and nothing is left out."""
    wanted = plan(now=clock.now())
    (one, *_) = wanted.deliveries
    waiting = [
        replace(one, id=f"{one.id}-{n}", part=f"de.{n}", state=State.WAITING) for n in range(50)
    ]
    await outbox.accept(replace(wanted, deliveries=waiting))
    every = timedelta(minutes=5)
    clock.move(300)
    assert [await outbox.remind(every) for _ in range(4)] == [20, 20, 10, 0]


async def test_a_wall_clock_set_wrong_ends_no_concern(outbox: Store, clock: ManualClock) -> None:
    """The alert is in force, so people are told of its post, and go on to be."""
    one = await sent(outbox, clock)
    clock.wall += timedelta(hours=7)
    hidden = Seen(clock.now(), there=False, reason="hidden")
    await outbox.saw(Look(one.id, hidden, clock.now(), "not seen"))
    await outbox.expire()
    assert await told(outbox) == ["not seen"]
