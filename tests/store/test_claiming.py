"""Claiming on both databases: handles, parts that answer each other, corrections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from broadcaster.config import StoreTable
from broadcaster.delivery import CORRECTION, Act, Delivery, Message, Outcome, Receipt, State
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


def _with_correction(clock: ManualClock, after: Accepted) -> Plan:
    wanted = plan(now=clock.now(), after=after)
    (first,) = wanted.deliveries
    part = f"de{CORRECTION}"
    message = Message("Überholt: Nr. 26-1/2", "de", act=Act.CORRECT)
    marks = replace(first, id=f"{first.id}-c", part=part, key="k2", message=message)
    return replace(wanted, deliveries=[first, marks])


async def test_a_correction_is_of_the_post_before(outbox: Store, clock: ManualClock) -> None:
    """It is given the receipt of the earlier version's post in its language, never its own."""
    first = await _accept(outbox, clock)
    (old,) = await _claim(outbox)
    await outbox.record(old, End(Outcome.ACCEPTED, receipt=PROOF))
    await outbox.accept(_with_correction(clock, first))
    posted, marks = await _claim(outbox)
    assert (posted.part, marks.part) == ("de", f"de{CORRECTION}")
    assert posted.reply_to == marks.reply_to == PROOF


async def test_a_correction_of_nothing_ends_quietly(outbox: Store, clock: ManualClock) -> None:
    """Where no post of an earlier version is known there is nothing to mark, and none is told."""
    first = await _accept(outbox, clock)
    (old,) = await _claim(outbox)
    await outbox.record(old, End(Outcome.REJECTED, "no"))
    update_ = _with_correction(clock, first)
    await outbox.accept(update_)
    (posted,) = await _claim(outbox)
    assert posted.part == "de"
    view = await outbox.view(update_.accepted.id)
    assert view is not None
    assert [one.state for one, _ in view.deliveries] == [State.SENDING, State.SUPERSEDED]


async def _states(store: Store, accepted: Accepted) -> dict[str, tuple[State, str | None]]:
    view = await store.view(accepted.id)
    assert view is not None
    return {one.part: (one.state, one.reason) for one, _ in view.deliveries}


async def test_a_correction_waits_while_the_post_before_is_being_read_back(
    outbox: Store, clock: ManualClock
) -> None:
    """However long: found after the 20 s that order is kept, the old warning is marked."""
    first = await _accept(outbox, clock)
    (old,) = await _claim(outbox)
    later = clock.now() + timedelta(seconds=90)
    await outbox.record(old, End(Outcome.UNKNOWN, "the answer was lost", due=later))
    second = _with_correction(clock, first)
    await outbox.accept(second)
    clock.move(30)
    (posted,) = await _claim(outbox)
    assert posted.part == "de"
    state, reason = (await _states(outbox, second.accepted))[f"de{CORRECTION}"]
    assert state is State.QUEUED
    assert reason is not None
    assert "waits until the post it marks is found" in reason
    await outbox.found(old, PROOF)
    clock.move(2)
    (marks,) = await _claim(outbox)
    assert (marks.part, marks.reply_to) == (f"de{CORRECTION}", PROOF)


async def test_a_post_nobody_will_ever_know_of_is_marked_by_a_person(
    outbox: Store, clock: ManualClock
) -> None:
    """It may stand there unmarked, so somebody must look; it is no quiet end."""
    first = await _accept(outbox, clock)
    (old,) = await _claim(outbox)
    await outbox.record(old, End(Outcome.UNKNOWN, "the answer was lost", due=clock.now()))
    await outbox.unreadable(old, "the token has expired")
    second = _with_correction(clock, first)
    await outbox.accept(second)
    await _claim(outbox)
    state, reason = (await _states(outbox, second.accepted))[f"de{CORRECTION}"]
    assert state is State.FAILED
    assert reason is not None
    assert "look by hand" in reason
    assert second.deliveries[1].id in {m.notice.delivery for m in await outbox.open_notices()}


async def test_what_a_person_posted_is_marked_by_a_person(
    outbox: Store, clock: ManualClock
) -> None:
    """The network never named it, so nothing can be edited; they are told where it is."""
    first = await _accept(outbox, clock)
    (old,) = await _claim(outbox)
    await outbox.record(old, End(Outcome.UNKNOWN, "the answer was lost"))
    await outbox.confirm(old.id, "https://fake.example/by-hand", "key:anna")
    second = _with_correction(clock, first)
    await outbox.accept(second)
    assert [one.part for one in await _claim(outbox)] == ["de"]
    state, reason = (await _states(outbox, second.accepted))[f"de{CORRECTION}"]
    assert state is State.FAILED
    assert reason is not None
    assert "mark it by hand at https://fake.example/by-hand" in reason


@pytest.mark.parametrize("out", [True, False])
async def test_a_post_that_nothing_will_mark_any_more_is_marked_by_a_person(
    outbox: Store, clock: ManualClock, *, out: bool
) -> None:
    """The second version is out, its correction is not, and the third marks the second alone.

    Where the second is not out either, the third marks the first, and nobody is needed.
    """
    first = await _accept(outbox, clock)
    (old,) = await _claim(outbox)
    await outbox.record(old, End(Outcome.ACCEPTED, receipt=PROOF))
    second = _with_correction(clock, first)
    await outbox.accept(second)
    posted, marks = await _claim(outbox)
    later = clock.now() + timedelta(seconds=60)
    await outbox.record(marks, End(Outcome.NOT_SENT, "429: wait", due=later))
    sent = End(Outcome.ACCEPTED, receipt=Receipt("2"))
    await outbox.record(posted, sent if out else End(Outcome.REJECTED, "no"))
    third = _with_correction(clock, second.accepted)
    await outbox.accept(third)
    state, reason = (await _states(outbox, second.accepted))[f"de{CORRECTION}"]
    assert state is (State.FAILED if out else State.SUPERSEDED)
    assert reason is not None
    assert ("by hand at https://fake.example/1" in reason) is out
    told = {m.notice.delivery for m in await outbox.open_notices()}
    assert (marks.id in told) is out
    again = next(one for one in await _claim(outbox) if one.part.endswith(CORRECTION))
    assert again.reply_to == (Receipt("2") if out else PROOF)


async def test_a_correction_marks_its_own_language_alone(outbox: Store, clock: ManualClock) -> None:
    """A language that came later has no post to mark: two marks would write over each other."""
    first = await _accept(outbox, clock)
    (old,) = await _claim(outbox)
    await outbox.record(old, End(Outcome.ACCEPTED, receipt=PROOF))
    second = _with_correction(clock, first)
    other = replace(
        second.deliveries[1], id=f"{second.accepted.id}-en", part=f"en{CORRECTION}", key="k3"
    )
    await outbox.accept(replace(second, deliveries=[*second.deliveries, other]))
    assert [one.part for one in await _claim(outbox)] == ["de", f"de{CORRECTION}"]
    states = await _states(outbox, second.accepted)
    assert states[f"en{CORRECTION}"][0] is State.SUPERSEDED


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
