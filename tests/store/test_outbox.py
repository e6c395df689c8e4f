"""The outbox on both databases: claim order, holds, ends of attempts, expiry, poison, recovery."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from broadcaster.config import StoreTable
from broadcaster.delivery import Delivery, Outcome, Receipt, State
from broadcaster.record import Accepted, NoticeKind
from broadcaster.store import End, Store
from broadcaster.store.tables import delivery, quarantine
from tests.kit import NOW, ManualClock, alert, plan, states

HOLD = timedelta(seconds=20)
SPARED = timedelta(seconds=30)
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


async def _now(store: Store, delivery: Delivery) -> Delivery:
    view = await store.view(delivery.alert)
    assert view is not None
    return next(one for one, _ in view.deliveries if one.id == delivery.id)


async def _kinds(store: Store) -> list[NoticeKind]:
    return [matter.notice.kind for matter in await store.open_notices()]


async def _damage(store: Store, delivery_id: str, **columns: Any) -> None:
    change = update(delivery).where(delivery.c.id == delivery_id).values(**columns)
    await store._engine.write(lambda db: db.change(change))


def _severity(name: str) -> Any:
    return alert(info=[_info() | {"severity": name}])


def _info() -> dict[str, Any]:
    return dict(alert().to_json()["info"][0])


# Claiming


async def test_a_claim_writes_the_intent_before_anyone_sends(
    outbox: Store, clock: ManualClock
) -> None:
    """The row is `sending`, its attempt has a number and a start, all on disk."""
    await _accept(outbox, clock)
    clock.move(3)
    (claimed,) = await _claim(outbox)
    assert (claimed.state, claimed.attempts, claimed.first_attempt) == (
        State.SENDING,
        1,
        clock.now(),
    )
    view = await outbox.view(claimed.alert)
    assert view is not None
    ((stored, attempts),) = view.deliveries
    assert stored == claimed
    assert [(one.number, one.started, one.finished) for one in attempts] == [(1, clock.now(), None)]
    assert await _claim(outbox) == []


async def test_all_clear_and_correction_go_first_then_severity_then_age(
    outbox: Store, clock: ManualClock
) -> None:
    """A lane that fell behind sends what matters most."""
    first = await _accept(outbox, clock, "two")
    names: dict[str, str] = {}
    for name in ("Minor", "Extreme", "Severe", "Moderate", "Severe"):
        clock.move(1)
        accepted = await _accept(outbox, clock, said=_severity(name))
        names[accepted.id] = name + (" later" if name in names.values() else "")
    clock.move(1)
    clear = [_info() | {"severity": "Minor", "responseType": ["AllClear"]}]
    names[(await _accept(outbox, clock, said=alert(info=clear))).id] = "AllClear"
    clock.move(1)
    names[(await _accept(outbox, clock, "one", after=first)).id] = "Update"
    claimed = [names[one.alert] for one in await _claim(outbox)]
    assert claimed == [
        *("AllClear", "Update", "Extreme", "Severe", "Severe later", "Moderate", "Minor")
    ]


async def test_no_more_is_claimed_than_there_are_free_slots(
    outbox: Store, clock: ManualClock
) -> None:
    """Each channel has its own slots, and a claim for one leaves the other alone."""
    for _ in range(5):
        await _accept(outbox, clock, "one", "two")
    claims = await outbox.claim({"one": 2}, HOLD)
    assert [one.channel for one in claims.deliveries] == ["one", "one"]
    assert claims.next_due == {}  # it looks again when a slot gets free
    both = await outbox.claim({"one": 10, "two": 1}, HOLD)
    assert sorted(one.channel for one in both.deliveries) == ["one", "one", "one", "two"]


async def test_a_row_is_not_claimed_before_its_due_time(outbox: Store, clock: ManualClock) -> None:
    """A retry waits, and the claim says until when."""
    one = await _sending(outbox, clock)
    due = clock.now() + timedelta(seconds=10)
    assert await outbox.record(one, End(Outcome.NOT_SENT, "busy", due=due)) is State.QUEUED
    claims = await outbox.claim({"one": 5}, HOLD)
    assert (list(claims.deliveries), claims.next_due["one"]) == ([], due)
    clock.move(10)
    (again,) = await _claim(outbox)
    assert (again.attempts, again.first_attempt, again.key) == (2, NOW, one.key)


@pytest.mark.parametrize("state", [State.SENDING, State.UNKNOWN])
async def test_a_newer_version_waits_for_the_older_one_but_not_for_ever(
    outbox: Store, clock: ManualClock, state: State
) -> None:
    """An older one under way or in doubt is resolved first; after 20 s the newer goes anyway."""
    one = await _sending(outbox, clock)
    if state is State.UNKNOWN:
        await outbox.record(one, End(Outcome.UNKNOWN, "lost", due=clock.now()))
    view = await outbox.view(one.alert)
    assert view is not None
    newer = await _accept(outbox, clock, after=view.accepted)
    clock.move(19.9)
    assert await _claim(outbox) == []
    clock.move(0.2)
    assert [claimed.alert for claimed in await _claim(outbox)] == [newer.id]


async def test_a_hold_on_one_channel_holds_no_other(outbox: Store, clock: ManualClock) -> None:
    """The order is kept per incident and channel."""
    first = await _accept(outbox, clock, "one", "two")
    await _claim(outbox)
    (sent,) = await _claim(outbox, channel="two")
    await outbox.record(sent, End(Outcome.ACCEPTED, receipt=PROOF))
    newer = await _accept(outbox, clock, "one", "two", after=first)
    other = await _accept(outbox, clock, "one")
    assert [one.alert for one in await _claim(outbox)] == [other.id]
    assert [one.alert for one in await _claim(outbox, channel="two")] == [newer.id]


async def test_the_post_it_answers_is_fixed_at_the_first_claim(
    outbox: Store, clock: ManualClock
) -> None:
    """A repeat has the same bytes: what turns up later does not change what it answers."""
    older = await _sending(outbox, clock)
    await outbox.record(older, End(Outcome.UNKNOWN, "lost", due=clock.now()))
    view = await outbox.view(older.alert)
    assert view is not None
    await _accept(outbox, clock, after=view.accepted)
    clock.move(21)
    (newer,) = await _claim(outbox)
    assert newer.reply_to is None
    await outbox.found(older, PROOF)
    await outbox.record(newer, End(Outcome.NOT_SENT, "busy", due=clock.now()))
    (again,) = await _claim(outbox)
    assert again.reply_to is None


async def test_a_correction_answers_the_post_it_corrects(outbox: Store, clock: ManualClock) -> None:
    """The latest post of the incident on this channel, and the same one on a repeat."""
    first = await _sending(outbox, clock)
    await outbox.record(first, End(Outcome.ACCEPTED, receipt=PROOF))
    view = await outbox.view(first.alert)
    assert view is not None
    await _accept(outbox, clock, after=view.accepted)
    (second,) = await _claim(outbox)
    assert second.reply_to == PROOF
    await outbox.retracted(first.id, "key:a")
    await outbox.record(second, End(Outcome.NOT_SENT, "busy", due=clock.now()))
    (again,) = await _claim(outbox)
    assert again.reply_to == PROOF


# Ends of attempts


@pytest.mark.parametrize(
    ("outcome", "state", "kind"),
    [
        (Outcome.ACCEPTED, State.SENT, None),
        (Outcome.NOT_SENT, State.QUEUED, None),
        (Outcome.UNKNOWN, State.UNKNOWN, NoticeKind.UNKNOWN),
        (Outcome.INTERRUPTED, State.UNKNOWN, NoticeKind.UNKNOWN),
        (Outcome.NEEDS_PERSON, State.FAILED, NoticeKind.NEEDS_PERSON),
        (Outcome.REJECTED, State.FAILED, NoticeKind.FAILED),
    ],
)
async def test_an_outcome_becomes_the_state_of_the_contract(
    outbox: Store, clock: ManualClock, outcome: Outcome, state: State, kind: NoticeKind | None
) -> None:
    """And whoever must know of it has a notice from the same transaction."""
    one = await _sending(outbox, clock)
    due = clock.now() + timedelta(seconds=5)
    assert await outbox.record(one, End(outcome, "why", PROOF, due)) is state
    row = await _now(outbox, one)
    assert row.state is state
    assert row.doubtful == (state is State.UNKNOWN)
    assert row.due == (due if state in {State.QUEUED, State.UNKNOWN} else None)
    assert await _kinds(outbox) == ([kind] if kind else [])
    view = await outbox.view(one.alert)
    assert view is not None
    ((_, (attempt,)),) = view.deliveries
    assert (attempt.outcome, attempt.error, attempt.finished) == (outcome, "why", clock.now())


async def test_a_record_is_safe_to_repeat(outbox: Store, clock: ManualClock) -> None:
    """Where the answer to a commit was lost, saying it again changes nothing and breaks nothing."""
    one = await _sending(outbox, clock)
    end = End(Outcome.UNKNOWN, "lost", due=clock.now())
    assert await outbox.record(one, end) is State.UNKNOWN
    assert await outbox.record(one, end) is State.UNKNOWN
    await outbox.found(one, PROOF)
    assert await outbox.record(one, end) is State.SENT
    assert len(await outbox.events(one.alert, 0)) == 4


async def test_what_was_not_sent_goes_out_no_more_when_a_newer_version_is_there(
    outbox: Store, clock: ManualClock
) -> None:
    """An attempt under way when the newer version came ends the row where it did not land."""
    one = await _sending(outbox, clock)
    view = await outbox.view(one.alert)
    assert view is not None
    await _accept(outbox, clock, after=view.accepted)
    end = End(Outcome.NOT_SENT, "busy", due=clock.now())
    assert await outbox.record(one, end) is State.SUPERSEDED


async def test_what_was_not_sent_goes_out_no_more_after_its_expiry(
    outbox: Store, clock: ManualClock
) -> None:
    """It is expired, and people are told."""
    one = await _sending(outbox, clock, expires=NOW + timedelta(seconds=60))
    clock.move(61)
    end = End(Outcome.NOT_SENT, "busy", due=clock.now())
    assert await outbox.record(one, end) is State.EXPIRED
    assert await _kinds(outbox) == [NoticeKind.EXPIRED]


async def test_what_landed_after_the_expiry_is_sent_all_the_same(
    outbox: Store, clock: ManualClock
) -> None:
    """Expiry is checked before sending, never after."""
    one = await _sending(outbox, clock, expires=NOW + timedelta(seconds=60))
    clock.move(61)
    assert await outbox.record(one, End(Outcome.ACCEPTED, receipt=PROOF)) is State.SENT


async def test_people_are_told_of_a_wait_that_passes_the_expiry(
    outbox: Store, clock: ManualClock
) -> None:
    """A Retry-After is honoured up to the expiry; past it somebody must know at once."""
    one = await _sending(outbox, clock, expires=NOW + timedelta(seconds=60))
    await outbox.record(one, End(Outcome.NOT_SENT, "429", due=NOW + timedelta(seconds=61)))
    (matter,) = await outbox.due_notices()
    assert (matter.notice.kind, matter.notice.delivery) == (NoticeKind.LATE, one.id)


async def test_an_attempt_past_its_limit_is_unknown_but_not_ended(
    outbox: Store, clock: ManualClock
) -> None:
    """Its real end is written when it comes, and its receipt counts."""
    one = await _sending(outbox, clock)
    await outbox.overran(one, End(Outcome.UNKNOWN, "no answer", due=clock.now()))
    view = await outbox.view(one.alert)
    assert view is not None
    ((row, (attempt,)),) = view.deliveries
    assert (row.state, row.doubtful, attempt.finished) == (State.UNKNOWN, True, None)
    assert await outbox.record(one, End(Outcome.ACCEPTED, receipt=PROOF)) is State.SENT
    await outbox.overran(one, End(Outcome.UNKNOWN, "no answer", due=clock.now()))
    assert (await _now(outbox, one)).state is State.SENT
    assert await _kinds(outbox) == []


async def test_of_one_doubt_people_are_told_once(outbox: Store, clock: ManualClock) -> None:
    """An overrun whose end is lost too is the same doubt."""
    one = await _sending(outbox, clock)
    end = End(Outcome.UNKNOWN, "no answer", due=clock.now(), tell_after=SPARED)
    await outbox.overran(one, end)
    await outbox.record(one, end)
    assert await _kinds(outbox) == [NoticeKind.UNKNOWN]
    assert await outbox.due_notices() == []
    clock.move(30)
    assert len(await outbox.due_notices()) == 1


# Expiry and clocks


async def test_what_was_never_sent_expires_and_is_told(outbox: Store, clock: ManualClock) -> None:
    """Queued and waiting rows end; what may be out is left to be read back."""
    await _accept(outbox, clock, "one", "two", expires=NOW + timedelta(seconds=60))
    (lost,) = await _claim(outbox)
    await outbox.record(lost, End(Outcome.UNKNOWN, "lost", due=clock.now()))
    waiting = await _accept(outbox, clock, "two", expires=NOW + timedelta(seconds=60))
    await _damage(outbox, f"{waiting.id}-two", state="waiting", due=None)
    await outbox.recount()
    clock.move(59)
    assert await outbox.expire() == 0
    clock.move(1)
    assert await outbox.expire() == 2
    view = await outbox.view(lost.alert)
    assert view is not None
    assert states(view.deliveries) == {"one": "unknown", "two": "expired"}
    assert (await _kinds(outbox)).count(NoticeKind.EXPIRED) == 2
    assert await outbox.expire() == 0


async def test_a_claim_ends_what_has_expired(outbox: Store, clock: ManualClock) -> None:
    """It is checked in the transaction that would write the intent."""
    accepted = await _accept(outbox, clock, expires=NOW + timedelta(seconds=60))
    clock.move(60)
    assert await _claim(outbox) == []
    view = await outbox.view(accepted.id)
    assert view is not None
    assert states(view.deliveries) == {"one": "expired"}


@pytest.mark.parametrize("jump", [timedelta(hours=7), -timedelta(hours=7)])
async def test_a_wall_clock_set_wrong_ends_no_alert(
    outbox: Store, clock: ManualClock, jump: timedelta
) -> None:
    """When wall and elapsed time drift apart, a row expires only if both say so."""
    accepted = await _accept(outbox, clock, expires=NOW + timedelta(hours=6))
    clock.wall += jump
    assert abs(outbox.drift()) == timedelta(hours=7)
    assert await outbox.expire() == 0
    clock.move(6 * 3600)
    assert await outbox.expire() == (1 if jump > timedelta(0) else 0)
    clock.move(7 * 3600)
    assert await outbox.expire() == (0 if jump > timedelta(0) else 1)
    view = await outbox.view(accepted.id)
    assert view is not None
    assert states(view.deliveries) == {"one": "expired"}


async def test_a_small_drift_leaves_the_wall_clock_in_charge(
    outbox: Store, clock: ManualClock
) -> None:
    """Clocks are set by some seconds every day."""
    await _accept(outbox, clock, expires=NOW + timedelta(seconds=60))
    clock.wall += timedelta(seconds=60)
    assert await outbox.expire() == 1


# Rows that cannot be read

POISON: list[dict[str, Any]] = [
    {"message": "{"},
    {"message": "[]"},
    {"message": "5"},
    {"receipt": "nonsense"},
    {"reply_to": "[1,2,3,4,5]"},
    {"expires": 2**62},
    {"stamp": -(2**62)},
    {"first_attempt": 2**62},
]


async def test_poisoned_rows_are_set_aside_and_stop_nothing_else(
    outbox: Store, clock: ManualClock
) -> None:
    """Each fails with an alarm; what stands beside them in the same claim goes out."""
    bad = []
    for damage in POISON:
        accepted = await _accept(outbox, clock, said=_severity("Extreme"))
        await _damage(outbox, f"{accepted.id}-one", **damage)
        bad.append(accepted.id)
    good = await _accept(outbox, clock, "one", "two")
    claims = await outbox.claim({"one": 20, "two": 20}, HOLD)
    assert [one.alert for one in claims.deliveries] == [good.id, good.id]
    alarms = await outbox.due_notices()
    assert {alarm.notice.kind for alarm in alarms} == {NoticeKind.QUARANTINE}
    assert {alarm.notice.alert for alarm in alarms} == set(bad)
    rows = await outbox._engine.read(lambda db: db.rows(quarantine.select()))
    assert {row["delivery"] for row in rows} == {f"{one}-one" for one in bad}
    assert await outbox.counts(bad) == {one: {"failed": 1} for one in bad}
    assert await _claim(outbox) == []
    assert outbox.tally["one", State.FAILED] == len(POISON)


@pytest.mark.parametrize("damage", [{"message": "{"}, {"receipt": "["}], ids=str)
async def test_a_row_that_was_set_aside_can_still_be_looked_at(
    outbox: Store, clock: ManualClock, damage: dict[str, Any]
) -> None:
    """A page shows what is left of it, and that it failed."""
    bad = await _accept(outbox, clock)
    await _damage(outbox, f"{bad.id}-one", **damage)
    await _claim(outbox)
    view = await outbox.view(bad.id)
    assert view is not None
    assert states(view.deliveries) == {"one": "failed"}


async def test_a_damaged_receipt_of_an_older_version_does_not_stop_the_all_clear(
    outbox: Store, clock: ManualClock
) -> None:
    """It goes out as a post of its own, which names what it replaces."""
    first = await _sending(outbox, clock)
    await outbox.record(first, End(Outcome.ACCEPTED, receipt=PROOF))
    view = await outbox.view(first.alert)
    assert view is not None
    await _damage(outbox, first.id, receipt="[")
    newer = await _accept(outbox, clock, after=view.accepted)
    (claimed,) = await _claim(outbox)
    assert (claimed.alert, claimed.reply_to) == (newer.id, None)


# Crash, restart, configuration


async def test_after_a_crash_what_was_sending_is_unknown(outbox: Store, clock: ManualClock) -> None:
    """It may have landed: it is read back at once, and people are told if that does not help."""
    one = await _sending(outbox, clock)
    await _accept(outbox, clock, "two")
    clock.move(5)
    assert await outbox.recover((), SPARED) == 1
    row = await _now(outbox, one)
    assert (row.state, row.doubtful, row.due) == (State.UNKNOWN, True, clock.now())
    view = await outbox.view(one.alert)
    assert view is not None
    assert view.deliveries[0][1][0].outcome is Outcome.INTERRUPTED
    assert (await outbox.to_read("one", 5))[0].doubts == 1
    assert await outbox.due_notices() == []
    clock.move(30)
    assert await _kinds(outbox) == [NoticeKind.UNKNOWN]
    assert await outbox.recover((), SPARED) == 0


async def test_what_is_under_way_here_is_not_recovered(outbox: Store, clock: ManualClock) -> None:
    """After a lost database only what nobody is sending is in doubt."""
    one = await _sending(outbox, clock)
    assert await outbox.recover({one.id}, SPARED) == 0
    assert await outbox.record(one, End(Outcome.ACCEPTED, receipt=PROOF)) is State.SENT


async def test_a_crash_ends_attempts_that_had_overrun_too(
    outbox: Store, clock: ManualClock
) -> None:
    """A thread that hung has ended with its process, and counts as one doubt."""
    one = await _sending(outbox, clock)
    await outbox.overran(one, End(Outcome.UNKNOWN, "no answer", due=clock.now()))
    assert (await outbox.to_read("one", 5))[0].doubts == 0
    await outbox.recover((), SPARED)
    assert (await outbox.to_read("one", 5))[0].doubts == 1
    await outbox.read_again(one, None, 3, "look by hand")
    assert (await outbox.retry(one.id, "key:a")).state is State.QUEUED


async def test_open_rows_of_a_removed_channel_fail_and_are_told(
    outbox: Store, clock: ManualClock
) -> None:
    """Queued or unknown, nobody would ever look at them again."""
    accepted = await _accept(outbox, clock, "one", "two")
    other = await _accept(outbox, clock, "two")
    lost = (await outbox.claim({"two": 1}, HOLD)).deliveries[0]
    await outbox.record(lost, End(Outcome.UNKNOWN, "lost", due=clock.now(), tell_after=SPARED))
    assert await outbox.abandon(["one"]) == 2
    counts = await outbox.counts([accepted.id, other.id])
    assert counts == {accepted.id: {"queued": 1, "failed": 1}, other.id: {"failed": 1}}
    assert await _kinds(outbox) == [NoticeKind.NEEDS_PERSON] * 2
    assert await outbox.abandon(["one"]) == 0


async def test_two_claims_at_once_never_share_a_row(outbox: Store, clock: ManualClock) -> None:
    """Each intent is written once."""
    for _ in range(10):
        await _accept(outbox, clock)
    claims = await asyncio.gather(*(_claim(outbox, 3) for _ in range(6)))
    ids = [one.id for claim in claims for one in claim]
    assert (len(ids), len(set(ids))) == (10, 10)


async def test_rows_that_end_in_a_claim_hold_up_none_behind_them(
    outbox: Store, clock: ManualClock
) -> None:
    """Expired rows that filled the slots leave them free for the next ones, in the same claim."""
    for _ in range(2):
        await _accept(outbox, clock, expires=NOW + timedelta(seconds=60))
    clock.move(61)
    await _accept(outbox, clock)
    claims = await outbox.claim({"one": 2}, HOLD)
    assert (len(claims.deliveries), claims.next_due) == (1, {"one": None})


async def test_parts_of_an_alert_go_in_their_order(outbox: Store, clock: ManualClock) -> None:
    """The order of the answer is the order on the channel."""
    wanted = plan(["one"], now=clock.now())
    first = wanted.deliveries[0]
    parts = [replace(first, id=f"{first.id}-{part}", part=part) for part in ("en", "de", "de.2")]
    await outbox.accept(replace(wanted, deliveries=parts))
    assert [one.part for one in await _claim(outbox)] == ["en", "de", "de.2"]
