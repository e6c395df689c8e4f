"""Orders of people on both databases: retry, confirm, retract, and what is refused."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import update

from broadcaster.config import StoreTable
from broadcaster.delivery import Delivery, Outcome, Receipt, State
from broadcaster.record import Accepted, Refused
from broadcaster.store import End, Store
from broadcaster.store.tables import delivery
from tests.kit import NOW, ManualClock, alert, plan

HOLD = timedelta(seconds=20)
Order = Callable[[str], Awaitable[Delivery]]
URL = "https://fake.example/by-hand"


@pytest.fixture
def clock() -> ManualClock:
    """Give a clock that stands still until a test moves it."""
    return ManualClock()


@pytest.fixture
async def desk(store_table: StoreTable, clock: ManualClock) -> AsyncIterator[Store]:
    """Give a store that lives by the clock of the test."""
    opened = await Store.open(store_table, clock)
    await opened.know_channels({"one": "fake"})
    yield opened
    await opened.close()


async def _ended(store: Store, outcome: Outcome) -> Delivery:
    """Give a delivery whose first attempt came to this."""
    await store.accept(plan(["one"], now=NOW))
    (claimed,) = (await store.claim({"one": 1}, HOLD)).deliveries
    await store.record(claimed, End(outcome, "why", Receipt("1", URL), NOW))
    return claimed


async def _in_state(store: Store, state: State) -> str:
    acceptance = await store.accept(plan(["one"], now=NOW))
    one = acceptance.deliveries[0].id
    change = update(delivery).where(delivery.c.id == one).values(state=state.value)
    await store._engine.write(lambda db: db.change(change))
    return one


async def _refusals(store: Store, order: Order, states: set[State]) -> set[str]:
    """Give an order about a delivery in each of these states; return the codes of the refusals."""
    codes = set()
    for state in states:
        one = await _in_state(store, state)
        with pytest.raises(Refused) as refused:
            await order(one)
        codes.add(refused.value.code)
    assert {entry.action for entry in await store.audit()} == {"accept"}
    return codes


async def _accepted(store: Store, alert_id: str) -> Accepted:
    found = await store.find_alert(alert_id)
    assert found is not None
    return found


async def test_a_failed_delivery_is_put_back_by_a_person(desk: Store, clock: ManualClock) -> None:
    """It is due at once, with the same key, people are no longer told, and the trail names them."""
    failed = await _ended(desk, Outcome.NEEDS_PERSON)
    assert len(await desk.open_notices()) == 1
    clock.move(60)
    again = await desk.retry(failed.id, "key:anna")
    assert (again.state, again.due, again.key) == (State.QUEUED, clock.now(), failed.key)
    assert await desk.open_notices() == []
    entry = (await desk.audit())[0]
    assert (entry.actor, entry.action, entry.object) == ("key:anna", "retry", failed.id)
    (claimed,) = (await desk.claim({"one": 1}, HOLD)).deliveries
    assert (claimed.id, claimed.attempts, claimed.key) == (failed.id, 2, failed.key)


async def test_a_retry_is_safe_to_repeat(desk: Store) -> None:
    """What is queued or under way already is no fault, and is noted once."""
    failed = await _ended(desk, Outcome.REJECTED)
    await desk.retry(failed.id, "key:a")
    assert (await desk.retry(failed.id, "key:a")).state is State.QUEUED
    await desk.claim({"one": 1}, HOLD)
    assert (await desk.retry(failed.id, "key:a")).state is State.SENDING
    assert [entry.action for entry in await desk.audit()] == ["retry", "accept"]


async def test_only_what_failed_is_put_back(desk: Store) -> None:
    """Anything else could be a second post; what is under way already is no fault."""
    others = set(State) - {State.FAILED, State.QUEUED, State.SENDING}
    codes = await _refusals(desk, lambda one: desk.retry(one, "key:a"), others)
    assert codes == {"not-failed"}


async def test_an_unknown_row_is_put_back_only_once_it_is_given_up(desk: Store) -> None:
    """While it is still read back, nobody may order a second post."""
    lost = await _ended(desk, Outcome.UNKNOWN)
    with pytest.raises(Refused, match="given-up"):
        await desk.retry(lost.id, "key:a")
    await desk.read_again(lost, None, 3, "look by hand")
    assert (await desk.retry(lost.id, "key:a")).state is State.QUEUED


async def test_nothing_is_put_back_before_its_attempt_has_ended(desk: Store) -> None:
    """A thread that hangs may still post."""
    await desk.accept(plan(["one"], now=NOW))
    (claimed,) = (await desk.claim({"one": 1}, HOLD)).deliveries
    await desk.overran(claimed, End(Outcome.UNKNOWN, "no answer"))
    with pytest.raises(Refused) as refused:
        await desk.retry(claimed.id, "key:a")
    assert refused.value.code == "not-failed"
    await desk.record(claimed, End(Outcome.UNKNOWN, "no answer"))
    assert (await desk.retry(claimed.id, "key:a")).state is State.QUEUED


async def test_an_old_version_is_not_put_back(desk: Store) -> None:
    """The refusal names the newest of the incident."""
    failed = await _ended(desk, Outcome.REJECTED)
    first = await _accepted(desk, failed.alert)
    newer = await desk.accept(plan(["one"], now=NOW, after=first))
    with pytest.raises(Refused) as refused:
        await desk.retry(failed.id, "key:a")
    assert (refused.value.code, refused.value.alert) == ("not-newest", newer.accepted.id)


async def test_nothing_is_put_back_after_the_all_clear(desk: Store) -> None:
    """The old warning must never appear after it; the refusal names the all-clear."""
    failed = await _ended(desk, Outcome.REJECTED)
    first = await _accepted(desk, failed.alert)
    said = alert(msgType="Cancel", references=[first.id], info=[])
    cancel = await desk.accept(plan(["one"], now=NOW, after=first, said=said))
    with pytest.raises(Refused) as refused:
        await desk.retry(failed.id, "key:a")
    assert (refused.value.code, refused.value.alert) == ("ended", cancel.accepted.id)


async def test_the_all_clear_itself_can_be_put_back(desk: Store) -> None:
    """Its incident has ended, but it is the newest: it must reach the public."""
    first = await desk.accept(plan([], now=NOW))
    said = alert(msgType="Cancel", references=[first.accepted.id], info=[])
    cancel = plan(["one"], now=NOW, after=first.accepted, said=said)
    await desk.accept(cancel)
    (claimed,) = (await desk.claim({"one": 1}, HOLD)).deliveries
    await desk.record(claimed, End(Outcome.REJECTED, "no"))
    assert (await desk.retry(claimed.id, "key:a")).state is State.QUEUED


async def test_nothing_is_put_back_after_its_expiry(desk: Store, clock: ManualClock) -> None:
    """A late warning is a false one."""
    failed = await _ended(desk, Outcome.REJECTED)
    clock.move(6 * 3600)
    with pytest.raises(Refused) as refused:
        await desk.retry(failed.id, "key:a")
    assert refused.value.code == "expired"


@pytest.mark.parametrize("damage", [None, "{", "[]"])
async def test_a_row_without_a_text_is_not_put_back(desk: Store, damage: str | None) -> None:
    """Neither one that never had a text nor one whose text cannot be read any more."""
    failed = await _ended(desk, Outcome.REJECTED)
    await desk._engine.write(lambda db: db.change(update(delivery).values(message=damage)))
    with pytest.raises(Refused) as refused:
        await desk.retry(failed.id, "key:a")
    assert refused.value.code == "no-message"


@pytest.mark.parametrize("state", [State.WAITING, State.UNKNOWN])
async def test_a_person_confirms_what_is_there(desk: Store, state: State) -> None:
    """It is sent, with the link they gave, and nobody is reminded any more."""
    one = await _in_state(desk, state)
    confirmed = await desk.confirm(one, URL, "key:anna")
    assert (confirmed.state, confirmed.receipt) == (State.SENT, Receipt(None, URL))
    view = await desk.view(confirmed.alert)
    assert view is not None
    assert view.deliveries[0][0].receipt == Receipt(None, URL)
    assert (await desk.events(confirmed.alert, 0))[-1].url == URL
    entry = (await desk.audit())[0]
    assert (entry.actor, entry.action, entry.details) == ("key:anna", "confirm", {"url": URL})


async def test_only_what_waits_or_is_in_doubt_is_confirmed(desk: Store) -> None:
    """A person's word does not overrule what the network said."""
    others = set(State) - {State.WAITING, State.UNKNOWN}
    codes = await _refusals(desk, lambda one: desk.confirm(one, URL, "key:a"), others)
    assert codes == {"not-waiting"}


async def test_only_what_is_out_can_be_taken_down(desk: Store) -> None:
    """Sent and visible posts become retracted, all else is refused."""
    others = set(State) - {State.SENT, State.VISIBLE}
    codes = await _refusals(desk, lambda one: desk.retracted(one, "key:a"), others)
    assert codes == {"not-out"}
    for state in (State.SENT, State.VISIBLE):
        one = await _in_state(desk, state)
        assert (await desk.retracted(one, "key:a")).state is State.RETRACTED
        assert (await desk.audit())[0].action == "retract"


async def test_orders_about_no_delivery_are_refused(desk: Store) -> None:
    """And leave no trace in the trail."""
    orders: list[Order] = [
        lambda name: desk.retry(name, "key:a"),
        lambda name: desk.confirm(name, URL, "key:a"),
        lambda name: desk.retracted(name, "key:a"),
    ]
    for order, name in itertools.product(orders, ["nobody", "", "\0", "\ud800"]):
        with pytest.raises(Refused) as refused:
            await order(name)
        assert refused.value.code == "not-found"
    assert await desk.audit() == []


@pytest.mark.parametrize("doubtful", [True, False])
async def test_a_retry_begins_with_the_first_step_unless_an_attempt_may_have_landed(
    desk: Store, clock: ManualClock, *, doubtful: bool
) -> None:
    """What was prepared may be what failed; but it also tells whether it was published."""
    await desk.accept(plan(["one"], now=NOW))
    (claimed,) = (await desk.claim({"one": 1}, HOLD)).deliveries
    await desk.keep_handle(claimed, {"container": "17"})
    if doubtful:
        await desk.record(claimed, End(Outcome.UNKNOWN, "lost", due=NOW))
        await desk.unreadable(claimed, "the token is not accepted")
    else:
        await desk.record(claimed, End(Outcome.REJECTED, "the container is faulty"))
    await desk.retry(claimed.id, "person")
    clock.move(1)
    (again,) = (await desk.claim({"one": 1}, HOLD)).deliveries
    assert again.handle == ({"container": "17"} if doubtful else None)
