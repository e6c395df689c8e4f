"""Corrections on both databases: which old post is marked, and when a person must do it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from broadcaster.config import StoreTable
from broadcaster.delivery import CORRECTION, Act, Delivery, Message, Outcome, Receipt, State
from broadcaster.record import Accepted, NoticeKind, Plan
from broadcaster.store import End, Store
from broadcaster.store.tables import delivery as table
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


async def _states(store: Store, accepted: Accepted) -> dict[str, tuple[State, str | None]]:
    view = await store.view(accepted.id)
    assert view is not None
    return {one.part: (one.state, one.reason) for one, _ in view.deliveries}


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


async def _in_doubt(store: Store, one: Delivery, clock: ManualClock) -> None:
    due = clock.now() + timedelta(seconds=90)
    await store.record(one, End(Outcome.UNKNOWN, "the answer was lost", due=due))


async def _out(store: Store, one: Delivery, number: str = "1") -> None:
    receipt = Receipt(number, f"https://fake.example/{number}")
    await store.record(one, End(Outcome.ACCEPTED, receipt=receipt))


async def _told(store: Store) -> dict[str | None, str]:
    """Give what people are told to mark, by delivery."""
    matters = await store.open_notices()
    return {
        one.notice.delivery: one.notice.text
        for one in matters
        if one.notice.kind is NoticeKind.MARK
    }


async def test_a_newer_post_in_doubt_is_waited_for_though_an_older_one_is_out(
    outbox: Store, clock: ManualClock
) -> None:
    """The first is out and marked, the second turns up later: that is what the third marks."""
    first = await _accept(outbox, clock)
    (old,) = await _claim(outbox)
    await _out(outbox, old)
    second = _with_correction(clock, first)
    await outbox.accept(second)
    posted, marks = await _claim(outbox)
    await _out(outbox, marks, "1")
    await _in_doubt(outbox, posted, clock)
    third = _with_correction(clock, second.accepted)
    await outbox.accept(third)
    clock.move(30)
    assert [one.part for one in await _claim(outbox)] == ["de"]
    await outbox.found(posted, Receipt("2"))
    clock.move(2)
    (marks,) = await _claim(outbox)
    assert (marks.part, marks.reply_to) == (f"de{CORRECTION}", Receipt("2"))


async def test_a_post_in_doubt_that_nothing_will_mark_any_more_is_told(
    outbox: Store, clock: ManualClock
) -> None:
    """The correction that waited for it is overtaken, and the next one marks its own version."""
    first = await _accept(outbox, clock)
    (old,) = await _claim(outbox)
    await _in_doubt(outbox, old, clock)
    second = _with_correction(clock, first)
    await outbox.accept(second)
    clock.move(30)
    (posted,) = await _claim(outbox)
    await _out(outbox, posted, "2")
    await outbox.accept(_with_correction(clock, second.accepted))
    ((delivery, text),) = (await _told(outbox)).items()
    assert delivery == second.deliveries[1].id
    assert "look by hand and mark it" in text


@pytest.mark.parametrize("ends", ["failed", "queued"])
async def test_a_known_post_behind_one_in_doubt_is_told_by_its_link(
    outbox: Store, clock: ManualClock, ends: str
) -> None:
    """Nobody knows of the second, so the third marks neither: people are told of both."""
    first = await _accept(outbox, clock)
    (old,) = await _claim(outbox)
    await _out(outbox, old)
    second = _with_correction(clock, first)
    await outbox.accept(second)
    posted, marks = await _claim(outbox)
    later = clock.now() + timedelta(seconds=600)
    await outbox.record(marks, End(Outcome.NOT_SENT, "429: wait", due=later))
    await _in_doubt(outbox, posted, clock)
    if ends == "failed":
        await outbox.unreadable(posted, "the token has expired")
    else:
        await outbox.read_again(posted, None, 3, "look by hand")
        await outbox.retry(posted.id, "key:anna")
    third = _with_correction(clock, second.accepted)
    await outbox.accept(third)
    await _claim(outbox)
    told = await _told(outbox)
    assert told[marks.id].endswith("mark the older post by hand at https://fake.example/1")
    assert "could not be read back" in told[third.deliveries[1].id]


async def test_a_correction_that_expires_is_told_as_what_it_is(
    outbox: Store, clock: ManualClock
) -> None:
    """Not as a warning that was not posted: the warning is out, and its older version unmarked."""
    first = await _accept(outbox, clock)
    (old,) = await _claim(outbox)
    await _out(outbox, old)
    second = _with_correction(clock, first)
    await outbox.accept(second)
    posted, marks = await _claim(outbox)
    await _out(outbox, posted, "2")
    later = clock.now() + timedelta(hours=7)
    await outbox.record(marks, End(Outcome.NOT_SENT, "429: wait", due=later))
    clock.move(6 * 3600)
    await outbox.expire()
    assert (await _states(outbox, second.accepted))[f"de{CORRECTION}"][0] is State.FAILED
    assert "by hand at https://fake.example/1" in (await _told(outbox))[marks.id]


@pytest.mark.parametrize("before", ["de+en", "de"])
async def test_posts_in_other_combinations_of_languages_are_marked_by_a_person(
    outbox: Store, clock: ManualClock, before: str
) -> None:
    """Two languages had one post and have two now, or the other way round: no quiet end."""
    wanted = plan(now=clock.now())
    (one,) = wanted.deliveries
    await outbox.accept(replace(wanted, deliveries=[replace(one, part=before)]))
    (old,) = await _claim(outbox)
    await _out(outbox, old, "7")
    second = _with_correction(clock, wanted.accepted)
    now = "de" if before == "de+en" else "de+en"
    post, marks = second.deliveries
    rows = [replace(post, part=now), replace(marks, part=f"{now}{CORRECTION}")]
    await outbox.accept(replace(second, deliveries=rows))
    assert [one.part for one in await _claim(outbox)] == [now]
    (text,) = (await _told(outbox)).values()
    assert text.endswith(f"mark by hand {before} at https://fake.example/7")


async def test_a_damaged_receipt_stops_no_all_clear(outbox: Store, clock: ManualClock) -> None:
    """Neither in accepting nor in claiming: a person looks, and everything else goes on."""
    first = await _accept(outbox, clock)
    (old,) = await _claim(outbox)
    await _out(outbox, old)
    second = _with_correction(clock, first)
    await outbox.accept(second)
    posted, marks = await _claim(outbox)
    await _out(outbox, posted, "2")
    later = clock.now() + timedelta(seconds=60)
    await outbox.record(marks, End(Outcome.NOT_SENT, "429: wait", due=later))
    damage = update(table).where(table.c.id == old.id).values(receipt="{")
    await outbox._engine.write(lambda db: db.change(damage))
    third = _with_correction(clock, second.accepted)
    await outbox.accept(third)
    assert (await _told(outbox))[marks.id].endswith("look for it by hand and mark it")
    damage = update(table).where(table.c.id == posted.id).values(receipt="{")
    await outbox._engine.write(lambda db: db.change(damage))
    assert [one.part for one in await _claim(outbox)] == ["de"]
    assert set(await _told(outbox)) == {marks.id, third.deliveries[1].id}
