"""Reading on both databases: lists, pages, filters, names, events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from broadcaster.config import StoreTable
from broadcaster.delivery import Outcome, Receipt, State
from broadcaster.record import Accepted
from broadcaster.store import End, Store
from broadcaster.store.reading import PAGE_MAX
from broadcaster.store.tables import delivery
from tests.kit import NOW, ManualClock, alert, plan

HOLD = timedelta(seconds=20)


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


async def _accept(store: Store, number: int, **more: object) -> Accepted:
    wanted = plan(["one"], now=NOW, id=f"{number:04}", **more)  # type: ignore[arg-type]
    return (await store.accept(wanted)).accepted


def _ids(found: list[Accepted]) -> list[str]:
    return [one.id for one in found]


async def test_a_list_is_read_page_by_page_without_gap_or_repeat(desk: Store) -> None:
    """The newest first; the last id of a page begins the next."""
    for number in range(7):
        await _accept(desk, number)
    pages, before = [], None
    while page := await desk.alerts(limit=3, before=before):
        pages.append(_ids(page))
        before = page[-1].id
    assert pages == [["0006", "0005", "0004"], ["0003", "0002", "0001"], ["0000"]]


async def test_a_page_has_a_limit_of_its_own(sqlite_store: Store) -> None:
    """No read holds the writer for long, whatever is asked for."""
    for number in range(PAGE_MAX + 3):
        await _accept(sqlite_store, number)
    assert len(await sqlite_store.alerts(limit=10_000)) == PAGE_MAX
    assert len(await sqlite_store.audit(limit=10_000)) == PAGE_MAX


async def test_a_list_is_filtered_and_filters_add_up(desk: Store) -> None:
    """By status, incident and sender; what matches none gives an empty page."""
    first = await _accept(desk, 1)
    second = await _accept(desk, 2, after=first)
    test = await _accept(desk, 3, said=alert(status="Test"))
    other = await _accept(desk, 4, said=alert(sender="other@example.org"))
    assert _ids(await desk.alerts(status="Test")) == [test.id]
    assert _ids(await desk.alerts(incident=first.incident)) == [second.id, first.id]
    assert _ids(await desk.alerts(sender="other@example.org")) == [other.id]
    both = await desk.alerts(incident=first.incident, before=second.id, status="Actual")
    assert _ids(both) == [first.id]
    assert await desk.alerts(sender="other@example.org", status="Test") == []


async def test_a_list_by_state_puts_every_alert_in_exactly_one(
    desk: Store, clock: ManualClock
) -> None:
    """Active while it lasts or has open rows; ended by an all-clear or a newer version."""
    replaced = await _accept(desk, 1)
    newest = await _accept(desk, 2, after=replaced)
    short = await _accept(desk, 3, expires=NOW + timedelta(seconds=60))
    lost = await _accept(desk, 4, expires=NOW + timedelta(seconds=60))
    for claimed in (await desk.claim({"one": 9}, HOLD)).deliveries:
        done = End(Outcome.ACCEPTED, receipt=Receipt("1"))
        doubt = End(Outcome.UNKNOWN, "lost", due=NOW)
        await desk.record(claimed, doubt if claimed.alert == lost.id else done)
    clock.move(61)
    found = {name: _ids(await desk.alerts(state=name)) for name in ("active", "ended", "expired")}
    assert found == {
        "active": [lost.id, newest.id],
        "ended": [replaced.id],
        "expired": [short.id],
    }


async def test_an_alert_is_found_by_any_of_its_names(desk: Store) -> None:
    """Id, identifier, reference; an incident's number finds its newest."""
    first = await _accept(desk, 1, incident="26-0142")
    second = await _accept(desk, 2, after=first)
    names = {
        first.id: first,
        first.alert.identifier: first,
        "26-0142/1": first,
        "26-0142/2": second,
        "26-0142": second,
    }
    for name, wanted in names.items():
        found = await desk.find_alert(name)
        assert found is not None
        assert found.id == wanted.id
    for name in ("26-0142/3", "26-0142/", "26-0142/x", "26-0142/²", "26-014", "26-0142/1/1", ""):
        assert await desk.find_alert(name) is None
    newest = await desk.newest("26-0142")
    assert newest is not None
    assert newest.id == second.id
    assert await desk.newest("26-9999") is None


async def test_an_identifier_two_senders_use_is_told_apart_by_the_sender(desk: Store) -> None:
    """Identifiers are unique only within their sender."""
    mine = await _accept(desk, 1, said=alert(identifier="X1"))
    theirs = await _accept(desk, 2, said=alert(identifier="X1", sender="other@example.org"))
    for sender, wanted in ((mine.alert.sender, mine), ("other@example.org", theirs)):
        found = await desk.find_alert("X1", sender)
        assert found is not None
        assert found.id == wanted.id
    assert await desk.find_alert("X1", "nobody@example.org") is None


async def test_a_view_has_attempts_beside_their_deliveries(desk: Store, clock: ManualClock) -> None:
    """In the order of the answer, each attempt with its times, end and error."""
    wanted = plan(["two", "one"], now=NOW)
    await desk.accept(wanted)
    for number in range(2):
        (claimed,) = (await desk.claim({"one": 1}, HOLD)).deliveries
        clock.move(1)
        await desk.record(claimed, End(Outcome.NOT_SENT, f"busy {number}", due=clock.now()))
    view = await desk.view(wanted.accepted.id)
    assert view is not None
    assert [one.channel for one, _ in view.deliveries] == ["two", "one"]
    assert [len(attempts) for _, attempts in view.deliveries] == [0, 2]
    second = view.deliveries[1][1][1]
    assert (second.number, second.outcome, second.error) == (2, Outcome.NOT_SENT, "busy 1")
    assert (second.started, second.finished) == (NOW + timedelta(seconds=1), clock.now())
    assert view.newest == wanted.accepted.id
    assert await desk.view("nobody") is None


async def test_events_go_on_after_any_of_their_ids(desk: Store) -> None:
    """Whoever lost the connection names the last id it saw, and misses and repeats nothing."""
    accepted = await _accept(desk, 1)
    await _accept(desk, 2)
    for claimed in (await desk.claim({"one": 9}, HOLD)).deliveries:
        proof = Receipt("1", "https://fake.example/1")
        await desk.record(claimed, End(Outcome.ACCEPTED, receipt=proof))
    every = await desk.events(accepted.id, 0)
    assert [(one.before, one.state) for one in every] == [
        (None, State.QUEUED),
        (State.QUEUED, State.SENDING),
        (State.SENDING, State.SENT),
    ]
    assert every[-1].url == "https://fake.example/1"
    assert {(one.channel, one.part) for one in every} == {("one", "de")}
    for place, one in enumerate(every):
        assert await desk.events(accepted.id, one.id) == every[place + 1 :]
    assert await desk.events(accepted.id, 0, limit=1) == every[:1]


async def test_the_trail_is_read_page_by_page(desk: Store) -> None:
    """The newest entry first, without gap or repeat."""
    for number in range(5):
        await desk.note("a", "act", str(number), {})
    first = await desk.audit(limit=3)
    second = await desk.audit(limit=3, before=first[-1].seq)
    assert [entry.object for entry in [*first, *second]] == ["4", "3", "2", "1", "0"]
    assert await desk.audit(before=1) == []


async def test_counts_are_those_of_the_rows(desk: Store) -> None:
    """Per alert and state; an alert nobody knows has none."""
    accepted = (await desk.accept(plan(["one", "two"], now=NOW))).accepted
    await desk.claim({"one": 1}, HOLD)
    counts = await desk.counts([accepted.id, "nobody"])
    assert counts == {accepted.id: {"sending": 1, "queued": 1}, "nobody": {}}


async def test_channels_that_were_to_carry_an_incident_are_named(desk: Store) -> None:
    """Of any version, whatever became of it, but not where it was withheld."""
    first = (await desk.accept(plan(["one", "two"], now=NOW))).accepted
    await desk.accept(plan(["two"], now=NOW, after=first))
    assert await desk.carried(first.incident) == {"one": "fake", "two": "fake"}
    withheld = update(delivery).where(delivery.c.channel == "one").values(state="withheld")
    await desk._engine.write(lambda db: db.change(withheld))
    assert await desk.carried(first.incident) == {"two": "fake"}


async def test_the_age_of_the_queue_is_that_of_its_oldest_row(
    desk: Store, clock: ManualClock
) -> None:
    """None where nothing is queued."""
    assert await desk.oldest_due() is None
    await desk.accept(plan(["one"], now=clock.now()))
    clock.move(60)
    await desk.accept(plan(["one"], now=clock.now()))
    assert await desk.oldest_due() == NOW
    await desk.claim({"one": 2}, HOLD)
    assert await desk.oldest_due() is None
