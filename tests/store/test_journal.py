"""The journal: only the contract's arrows, each with its event; the audit trail without gaps."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from broadcaster.delivery import TRANSITIONS, State
from broadcaster.record import NoticeKind
from broadcaster.store import NewNotice, Store, TransitionRefused, journal
from broadcaster.store.engine import Database
from broadcaster.store.journal import Deed, Move
from broadcaster.store.tables import delivery
from tests.kit import plan

# Written out from the contract, not taken from the code under test.
ARROWS = {
    "queued": {"sending", "superseded", "expired", "failed"},
    "sending": {"sent", "queued", "failed", "unknown", "superseded", "expired"},
    "unknown": {"sent", "queued", "superseded", "expired", "failed"},
    "waiting": {"sent", "superseded", "expired"},
    "sent": {"visible", "retracted"},
    "visible": {"sent", "retracted"},
    "failed": {"queued"},
}
PAIRS = list(itertools.product(State, State))


async def _in_state(store: Store, state: State) -> dict[str, str]:
    """Give a row of the database that is in this state."""
    acceptance = await store.accept(plan(["one"]))
    one = acceptance.deliveries[0]
    await _put(store, state.value)
    return {"id": one.id, "alert": one.alert, "channel": "one", "state": state.value}


async def _put(store: Store, state: str) -> None:
    change = update(delivery).values(state=state)
    await store._engine.write(lambda db: db.change(change))


async def _move(store: Store, *moves: Move) -> None:
    await store._engine.write(lambda db: journal.move(db, moves, datetime.now(UTC)))


async def _state(store: Store, delivery_id: str) -> str:
    rows = await store._engine.read(lambda db: db.rows(delivery.select()))
    return next(str(row["state"]) for row in rows if row["id"] == delivery_id)


async def test_every_arrow_of_the_contract_exists_and_no_other(store: Store) -> None:
    """All pairs of states, in the database: what the contract names moves, the rest is refused."""
    row = await _in_state(store, State.QUEUED)
    moved = set()
    for before, after in PAIRS:
        await _put(store, before.value)
        try:
            await _move(store, Move(row | {"state": before.value}, after))
        except TransitionRefused:
            assert await _state(store, row["id"]) == before
        else:
            assert await _state(store, row["id"]) == after
            moved.add((before.value, after.value))
    assert moved == {(before, after) for before, many in ARROWS.items() for after in many}
    events = [(one.before, one.state) for one in await store.events(row["alert"], 0)]
    assert {(a, b) for a, b in events if a is not None} == moved
    assert len(events) == len(moved) + 1  # with its birth


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_the_table_of_arrows_is_the_contracts(before: State, after: State) -> None:
    """One place in the code names the arrows, and it says what the contract says."""
    assert (after in TRANSITIONS[before]) == (after.value in ARROWS.get(before.value, set()))


async def test_a_move_from_a_state_the_row_has_left_is_refused(store: Store) -> None:
    """Two who saw the same row cannot both move it."""
    row = await _in_state(store, State.QUEUED)
    moves = [Move(row, State.SENDING), Move(row, State.FAILED)]
    done = await asyncio.gather(*(_move(store, one) for one in moves), return_exceptions=True)
    assert [type(one) for one in done] == [type(None), TransitionRefused]
    assert await _state(store, row["id"]) == "sending"


async def test_several_moves_are_made_together_or_not_at_all(store: Store) -> None:
    """One row that is elsewhere undoes the moves beside it, their events and the count."""
    first = await store.accept(plan(["one", "two"]))
    rows = [
        {"id": one.id, "alert": one.alert, "channel": one.channel, "state": "queued"}
        for one in first.deliveries
    ]
    wrong = rows[1] | {"state": "sending"}
    before = dict(store.tally)
    with pytest.raises(TransitionRefused, match="1 of 2"):
        await store._engine.write(
            lambda db: journal.move(
                db, [Move(rows[0], State.FAILED), Move(wrong, State.FAILED)], datetime.now(UTC)
            )
        )
    assert await _state(store, rows[0]["id"]) == "queued"
    assert len(await store.events(first.accepted.id, 0)) == 2
    assert dict(store.tally) == before


async def test_the_audit_trail_has_no_gaps_whatever_is_refused(store: Store) -> None:
    """Numbers follow each other although many write at once and some are undone."""

    def refused(db: Database) -> None:
        journal.note(db, Deed("key:a", "act", "thing", {}), datetime.now(UTC))
        raise ValueError("undone")

    async def one(number: int) -> None:
        if number % 3 == 0:
            with pytest.raises(ValueError, match="undone"):
                await store._engine.write(refused)
        else:
            await store.note("key:a", "act", f"thing-{number}", {"number": number, "ü": "ß\0"})

    await asyncio.gather(*(one(number) for number in range(60)))
    entries = await store.audit(limit=200)
    assert [entry.seq for entry in entries] == list(range(40, 0, -1))
    assert entries[-1].details == {"number": 1, "ü": "ß\0"}
    assert (entries[-1].actor, entries[-1].action, entries[-1].object) == (
        "key:a",
        "act",
        "thing-1",
    )


async def test_a_notice_is_due_after_its_wait(store: Store) -> None:
    """People are spared what may go away by itself."""
    now = datetime.now(UTC)
    await store._engine.write(
        lambda db: journal.tell(
            db, now, [NewNotice(NoticeKind.UNKNOWN, "lost", wait=timedelta(seconds=90))]
        )
    )
    assert await store.due_notices() == []
    (matter,) = await store.open_notices()
    assert matter.notice.due == now + timedelta(seconds=90)
    assert matter.notice.created == now


async def test_notices_of_a_delivery_end_with_what_caused_them(store: Store) -> None:
    """Only the notices of that delivery are closed, and only once."""
    now = datetime.now(UTC)
    await store._engine.write(
        lambda db: journal.tell(
            db, now, [NewNotice(NoticeKind.UNKNOWN, "x", delivery=one) for one in ("a", "b")]
        )
    )
    await store._engine.write(lambda db: journal.close_notices(db, now, ["a"]))
    assert [matter.notice.delivery for matter in await store.open_notices()] == ["b"]
