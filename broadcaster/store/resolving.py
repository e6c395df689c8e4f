"""Resolving: what reading back says about rows whose fate is unknown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select, update

from broadcaster.delivery import LEFT_DOUBT, Delivery, Receipt, State
from broadcaster.record import NoticeKind
from broadcaster.store import journal
from broadcaster.store.engine import Database, Row
from broadcaster.store.journal import Move
from broadcaster.store.outbox import Moment, end_row, fail, found, one_row, read, verdict
from broadcaster.store.rows import delivery_of, maybe_plain, to_us
from broadcaster.store.tables import among, attempt_end, delivery, incident

_TO_READ = (
    select(delivery, incident.c.newest, incident.c.ended)
    .join(incident, incident.c.id == delivery.c.incident)
    .where(
        delivery.c.channel == bindparam("of"),
        delivery.c.state == State.UNKNOWN.value,
        delivery.c.due <= bindparam("now"),
    )
    .order_by(delivery.c.rank, delivery.c.due)
    .limit(bindparam("most"))
)
_READ_AGAIN = (
    update(delivery)
    .where(delivery.c.id == bindparam("row_id"), delivery.c.state == State.UNKNOWN.value)
    .values(due=bindparam("to_due"), reads=bindparam("reads_now"), reason=bindparam("why"))
)
_PROVEN_ABSENT = update(delivery).where(delivery.c.id == bindparam("row_id")).values(absent=1)
_DOUBTS = select(func.count().label("n")).where(
    attempt_end.c.delivery == bindparam("of"),
    among(attempt_end.c.outcome, LEFT_DOUBT),
)


@dataclass(frozen=True, slots=True)
class ToRead:
    """An unknown row whose fate is to be read back.

    `sendable`: its alert is unexpired and the newest. `doubts`: how many attempts may have landed.
    """

    delivery: Delivery
    sendable: bool
    doubts: int


def to_read(db: Database, name: str, most: int, at: Moment) -> list[ToRead]:
    """Return unknown rows of a channel that are due for a look; what is unreadable is set aside."""
    found_rows = db.rows(_TO_READ, of=name, now=to_us(at.due), most=most)
    rows = [row for row in found_rows if read(db, row, at.now)]
    return [
        ToRead(delivery_of(row), verdict(row, at) is None, _doubts(db, row["id"])) for row in rows
    ]


def _doubts(db: Database, delivery_id: str) -> int:
    row = db.row(_DOUBTS, of=delivery_id)
    return int(row["n"]) if row else 0


def resolved_found(
    db: Database, delivery_id: str, receipt: Receipt, now: datetime, look: datetime | None
) -> State:
    """Reading back has found the post; `look`: when it is looked up first."""
    row = _unknown_row(db, delivery_id)
    if row is None:
        return State.UNKNOWN
    found(db, row, receipt, now, look)
    return State.SENT


def resolved_absent(
    db: Database, delivery_id: str, due: datetime, at: Moment, *, proven: bool
) -> State:
    """Queue it again, or end it.

    `proven`: reading back has shown that it is not there. Otherwise it is repeated because that is
    safe or configured, and one that may not be sent any more stays unknown, for a person.
    """
    row = _unknown_row(db, delivery_id)
    if row is None:
        return State.UNKNOWN
    if proven:
        db.change(_PROVEN_ABSENT, row_id=delivery_id)
        row["absent"] = 1
    state = verdict(row, at)
    if state and not proven:
        read_again(db, delivery_id, None, row["reads"], "cannot be read back: look by hand")
        return State.UNKNOWN
    if state:
        end_row(db, row, state, at.now)
        return state
    why = "not there when read back: sent again" if proven else "sent again; not read back"
    journal.move(db, [Move(row, State.QUEUED, why, due)], at.now)
    journal.close_notices(db, at.now, [row["id"]])
    return State.QUEUED


def read_again(
    db: Database, delivery_id: str, due: datetime | None, reads: int, reason: str | None
) -> None:
    """Reading back proved nothing yet: look again when due; None: no more."""
    why = maybe_plain(reason)
    values = {"to_due": None if due is None else to_us(due), "reads_now": reads, "why": why}
    db.change(_READ_AGAIN, row_id=delivery_id, **values)


def resolved_failed(db: Database, delivery_id: str, reason: str, now: datetime) -> State:
    """The network will not even be asked without a person: `failed`, still in doubt."""
    row = _unknown_row(db, delivery_id)
    if row is None:
        return State.UNKNOWN
    fail(db, row, reason, now, NoticeKind.NEEDS_PERSON)
    return State.FAILED


def _unknown_row(db: Database, delivery_id: str) -> Row | None:
    row = one_row(db, delivery_id)
    return row if row is not None and row["state"] == State.UNKNOWN else None
