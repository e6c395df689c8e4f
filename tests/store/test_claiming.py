"""Claiming on both databases: handles, parts that answer each other, corrections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from broadcaster.config import StoreTable
from broadcaster.delivery import Delivery, Outcome, Receipt, State
from broadcaster.record import Accepted, Plan
from broadcaster.store import End, Store
from tests.kit import ManualClock, plan

HOLD = timedelta(seconds=20)
PROOF = Receipt("1", "https://fake.example/1")


@pytest.fixture
def clock() -> ManualClock:
    """Give a clock that stands still until a test moves it."""
    return ManualClock()


@pytest.fixture
async def outbox(store_table: StoreTable, clock: ManualClock) -> AsyncIterator[Store]:
    """Give a store that lives by the clock of the test."""
    opened = await Store.open(store_table, clock)
    await opened.know_channels({"one": "fake", "two": "fake"})
    yield opened
    await opened.close()


async def _accept(store: Store, clock: ManualClock, *channels: str, **more: Any) -> Accepted:
    acceptance = await store.accept(plan(channels or ["one"], now=clock.now(), **more))
    return acceptance.accepted


async def _claim(store: Store, most: int = 10, channel: str = "one") -> Sequence[Delivery]:
    return (await store.claim({channel: most}, HOLD)).deliveries


async def _sending(store: Store, clock: ManualClock, **more: Any) -> Delivery:
    await _accept(store, clock, **more)
    (one,) = await _claim(store)
    return one


# Handles, parts that answer each other, corrections


async def test_what_the_first_step_made_is_there_after_a_crash(
    outbox: Store, clock: ManualClock
) -> None:
    """It comes back with the claim, until it is worn out."""
    one = await _sending(outbox, clock)
    await outbox.keep_handle(one, {"container": "17"})
    await outbox.record(one, End(Outcome.NOT_SENT, "still processing", due=clock.now()))
    (again,) = await _claim(outbox)
    assert again.handle == {"container": "17"}
    await outbox.record(again, End(Outcome.NOT_SENT, "expired", due=clock.now(), afresh=True))
    (third,) = await _claim(outbox)
    assert third.handle is None


def _in_two_languages(clock: ManualClock) -> Plan:
    wanted = plan(now=clock.now())
    (first,) = wanted.deliveries
    assert first.message is not None
    message = replace(first.message, language="en", after="de")
    second = replace(first, id=f"{first.id}-en", part="en", key="k2", message=message)
    return replace(wanted, deliveries=[first, second])


async def test_a_part_that_answers_another_waits_for_it(outbox: Store, clock: ManualClock) -> None:
    """The second language is a reply to the first, which is out by then."""
    await outbox.accept(_in_two_languages(clock), {"one": 4})
    assert [one.part for one in await _claim(outbox)] == []
    view = (await outbox.alerts())[0]
    first = (await outbox.view(view.id)).deliveries[0][0]  # type: ignore[union-attr]
    await outbox.record(first, End(Outcome.ACCEPTED, receipt=PROOF))
    (second,) = await _claim(outbox)
    assert second.part == "en"
    assert second.reply_to == PROOF


async def test_a_part_does_not_wait_for_ever(outbox: Store, clock: ManualClock) -> None:
    """After 20 s in which nobody knows what it answers it goes as a post of its own."""
    await outbox.accept(_in_two_languages(clock))
    (first,) = await _claim(outbox)
    due = clock.now() + timedelta(seconds=90)
    await outbox.record(first, End(Outcome.UNKNOWN, "the answer was lost", due=due))
    clock.move(19)
    assert await _claim(outbox) == []
    clock.move(1)
    (second,) = await _claim(outbox)
    assert second.part == "en"
    assert second.reply_to is None


async def test_a_part_never_overtakes_what_it_answers(outbox: Store, clock: ManualClock) -> None:
    """However long that is put off: both will be out, in this order."""
    await outbox.accept(_in_two_languages(clock))
    (first,) = await _claim(outbox)
    due = clock.now() + timedelta(seconds=60)
    await outbox.record(first, End(Outcome.NOT_SENT, "429: wait", due=due))
    clock.move(59)
    assert await _claim(outbox) == []
    clock.move(1)
    (again,) = await _claim(outbox)
    assert await _claim(outbox) == []
    await outbox.record(again, End(Outcome.ACCEPTED, receipt=PROOF))
    (second,) = await _claim(outbox)
    assert (second.part, second.reply_to) == ("en", PROOF)


async def _states(store: Store, accepted: Accepted) -> dict[str, tuple[State, str | None]]:
    view = await store.view(accepted.id)
    assert view is not None
    return {one.part: (one.state, one.reason) for one, _ in view.deliveries}


async def test_what_is_wanted_is_asked_anew(outbox: Store, clock: ManualClock) -> None:
    """A step on the network takes time: meanwhile a newer version may come, or the alert end."""
    one = await _sending(outbox, clock)
    assert await outbox.is_wanted(one)
    view = await outbox.view(one.alert)
    assert view is not None
    await outbox.accept(plan(now=clock.now(), after=view.accepted))
    assert not await outbox.is_wanted(one)


async def test_a_person_may_have_posted_what_waited_until_it_expired(
    outbox: Store, clock: ManualClock
) -> None:
    """Nobody confirmed it in time; the all-clear is due there all the same."""
    wanted = plan(now=clock.now(), expires=clock.now() + timedelta(minutes=10))
    waiting = [replace(one, state=State.WAITING) for one in wanted.deliveries]
    await outbox.accept(replace(wanted, deliveries=waiting))
    clock.move(601)
    assert await outbox.expire() == 1
    follows = plan(now=clock.now(), after=wanted.accepted)
    rows = [
        replace(one, state=State.WAITING, only_if_carried=True, otherwise="never carried")
        for one in follows.deliveries
    ]
    await outbox.accept(replace(follows, deliveries=rows))
    assert (await _states(outbox, follows.accepted))["de"][0] is State.WAITING


async def test_a_person_may_have_posted_what_waited(outbox: Store, clock: ManualClock) -> None:
    """An all-clear follows a warning that waited for a person: it may be out, unconfirmed."""
    wanted = plan(now=clock.now())
    waiting = [replace(one, state=State.WAITING) for one in wanted.deliveries]
    await outbox.accept(replace(wanted, deliveries=waiting))
    follows = plan(now=clock.now(), after=wanted.accepted)
    rows = [
        replace(one, state=State.WAITING, only_if_carried=True, otherwise="never carried")
        for one in follows.deliveries
    ]
    await outbox.accept(replace(follows, deliveries=rows))
    before, after = (
        (await outbox.view(wanted.accepted.id)),
        (await outbox.view(follows.accepted.id)),
    )
    assert before is not None
    assert after is not None
    assert before.deliveries[0][0].state is State.SUPERSEDED
    assert after.deliveries[0][0].state is State.WAITING
