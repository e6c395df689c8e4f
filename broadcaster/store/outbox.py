"""The outbox: what becomes of rows: record, recover, expire, fail.

A row is sent only while its alert is unexpired and the newest of its incident (`verdict`); that is
checked in the same transaction that writes the intent (`claiming`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, exists, func, select, update

from broadcaster.delivery import (
    Delivery,
    Outcome,
    Receipt,
    State,
)
from broadcaster.record import NoticeKind
from broadcaster.store import corrections, journal, sights
from broadcaster.store.engine import Database, Row
from broadcaster.store.journal import Move, NewNotice
from broadcaster.store.rows import (
    UNREADABLE,
    delivery_of,
    from_us,
    maybe_plain,
    plain,
    receipt_to_json,
    to_json,
    to_us,
)
from broadcaster.store.tables import (
    among,
    attempt,
    attempt_end,
    delivery,
    incident,
    quarantine,
)

_KEEP_HANDLE = (
    update(delivery).where(delivery.c.id == bindparam("row_id")).values(handle=bindparam("made"))
)
_ONE = (
    select(delivery, incident.c.newest, incident.c.ended)
    .join(incident, incident.c.id == delivery.c.incident)
    .where(delivery.c.id == bindparam("row_id"))
)
_SENT = (
    update(delivery)
    .where(delivery.c.id == bindparam("row_id"), delivery.c.state == State.SENDING.value)
    .values(state=State.SENT.value, reason=None, due=None, receipt=bindparam("proof"))
)
_KEEP_RECEIPT = (
    update(delivery).where(delivery.c.id == bindparam("row_id")).values(receipt=bindparam("proof"))
)
_DOUBT = (
    update(delivery)
    .where(delivery.c.id == bindparam("row_id"))
    .values(
        doubtful=1,
        absent=0,
        reads=0,
        unknown_since=func.coalesce(delivery.c.unknown_since, bindparam("since")),
    )
)
# A person may have posted it, and not confirmed it yet.
_PERHAPS_BY_HAND = update(delivery).where(delivery.c.id == bindparam("row_id")).values(doubtful=1)
_ENDED = select(attempt_end.c.outcome).where(
    attempt_end.c.delivery == bindparam("of"), attempt_end.c.number == bindparam("number")
)
_SENDING = select(delivery).where(delivery.c.state == State.SENDING.value)
_OPEN_ATTEMPTS = (
    select(attempt.c.delivery, attempt.c.number)
    .outerjoin(
        attempt_end,
        (attempt_end.c.delivery == attempt.c.delivery) & (attempt_end.c.number == attempt.c.number),
    )
    .where(attempt_end.c.delivery.is_(None))
)
_LAST_OPEN_ATTEMPT = (
    select(attempt.c.number)
    .where(
        attempt.c.delivery == bindparam("of"),
        ~exists().where(
            attempt_end.c.delivery == attempt.c.delivery, attempt_end.c.number == attempt.c.number
        ),
    )
    .order_by(attempt.c.number.desc())
)
_OVERDUE = (
    select(delivery)
    .where(
        among(delivery.c.state, (State.QUEUED, State.WAITING)),
        delivery.c.expires <= bindparam("now"),
    )
    .limit(500)
)
_OPEN_ON = select(delivery).where(
    delivery.c.channel == bindparam("of"),
    among(delivery.c.state, (State.QUEUED, State.UNKNOWN)),
)
_OPEN_CHANNELS = (
    select(delivery.c.channel)
    .where(among(delivery.c.state, (State.QUEUED, State.UNKNOWN, State.SENDING)))
    .distinct()
)


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended.

    `due`: when a row goes on (retry or first read-back). `tell_after`: how long people are spared
    while an unknown row is being resolved. `afresh`: the handle is worn out. `look`: when a post
    that was accepted is looked up first, None where it cannot be.
    """

    outcome: Outcome
    error: str | None = None
    receipt: Receipt | None = None
    due: datetime | None = None
    tell_after: timedelta = timedelta(0)
    afresh: bool = False
    look: datetime | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """What time it is: by the wall for rows, for expiry and for waits (`clock.ExpiryClock`)."""

    now: datetime
    expiry: datetime
    due: datetime


def verdict(row: Row, at: Moment) -> State | None:
    """Say whether a row may not be sent any more, and what it becomes then."""
    if row["newest"] != row["alert"]:
        return State.SUPERSEDED
    if from_us(row["expires"]) <= at.expiry:
        return State.EXPIRED
    return None


def is_wanted(db: Database, delivery_id: str, at: Moment) -> bool:
    """Say whether a delivery may still be sent."""
    row = one_row(db, delivery_id)
    return row is not None and verdict(row, at) is None


_WHY = {
    State.SUPERSEDED: "a newer version was accepted before this was sent",
    State.EXPIRED: "the alert expired before this was sent",
}


def end_row(db: Database, row: Row, state: State, now: datetime, reason: str | None = None) -> None:
    """A row that may not be sent any more ends as superseded or expired; the latter is told.

    A correction whose own version is out is told too: the next one marks that, and not the post
    that this one was to mark.
    """
    reason = reason or _WHY[state]
    if row["doubtful"] and not row["absent"]:
        reason += "; an earlier attempt may be there: look by hand"
    if to_do := corrections.left_unmarked(db, row):
        fail(db, row, f"{reason}; {to_do}", now, NoticeKind.MARK)
        return
    if row["state"] == State.WAITING:
        db.change(_PERHAPS_BY_HAND, row_id=row["id"])
    journal.move(db, [Move(row, state, reason)], now)
    journal.close_notices(db, now, [row["id"]])
    if state is State.EXPIRED:
        journal.tell(db, now, [_notice(row, NoticeKind.EXPIRED, reason)])


def _notice(row: Row, kind: NoticeKind, text: str, wait: timedelta = timedelta(0)) -> NewNotice:
    return NewNotice(kind, text, row["alert"], row["id"], row["channel"], wait)


def read(db: Database, row: Row, now: datetime) -> Delivery | None:
    """Return a row's delivery. One that cannot be read is set aside, told, and stops nothing."""
    try:
        return delivery_of(row)
    except UNREADABLE as error:
        what = f"this row cannot be read ({type(error).__name__}) and was set aside"
        db.insert(
            quarantine, [{"delivery": row["id"], "at": to_us(now), "error": type(error).__name__}]
        )
        journal.move(db, [Move(row, State.FAILED, what)], now)
        journal.tell(db, now, [_notice(row, NoticeKind.QUARANTINE, what)])
        return None


def one_row(db: Database, delivery_id: str) -> Row | None:
    """Return a delivery's row with `newest` and `ended` of its incident."""
    return db.row(_ONE, row_id=plain(delivery_id))


def record(db: Database, delivery_id: str, number: int, end: End, at: Moment) -> State:
    """Write down how an attempt ended; return the delivery's state after it.

    Safe to repeat: where the answer to a commit was lost, the second call changes nothing.
    """
    if db.row(_ENDED, of=delivery_id, number=number):
        row = one_row(db, delivery_id)
        return State(row["state"]) if row else State.FAILED
    db.insert(
        attempt_end,
        [
            {
                "delivery": delivery_id,
                "number": number,
                "finished": to_us(at.now),
                "outcome": end.outcome.value,
                "error": maybe_plain(end.error),
            }
        ],
    )
    row = one_row(db, delivery_id)
    if row is None or row["state"] not in {State.SENDING, State.UNKNOWN}:
        return State(row["state"]) if row else State.FAILED
    return _RECORDERS[end.outcome](db, row, end, at)


def _accepted(db: Database, row: Row, end: End, at: Moment) -> State:
    found(db, row, end.receipt or Receipt(None), at.now, end.look)
    return State.SENT


@dataclass(frozen=True, slots=True)
class Landed:
    """A claimed delivery whose attempt was accepted, with the network's proof.

    `look`: when it is looked up first, None where it cannot be.
    """

    delivery: Delivery
    receipt: Receipt
    look: datetime | None = None


def record_sent(db: Database, landed: Sequence[Landed], now: datetime) -> None:
    """Write down many accepted attempts at once.

    Raises TransitionRefused, and writes nothing, unless every row is `sending`: then each must be
    recorded by itself.
    """
    proofs = [{"row_id": one.delivery.id, "proof": receipt_to_json(one.receipt)} for one in landed]
    if db.change_many(_SENT, proofs) != len(landed):
        raise journal.TransitionRefused("a row is not sending any more")
    ended = {"finished": to_us(now), "outcome": Outcome.ACCEPTED.value, "error": None}
    db.insert(
        attempt_end,
        ({"delivery": one.delivery.id, "number": one.delivery.attempts, **ended} for one in landed),
    )
    rows = (
        {"id": d.id, "alert": d.alert, "channel": d.channel, "state": State.SENDING.value}
        for d in (one.delivery for one in landed)
    )
    moves = [
        Move(row, State.SENT, url=one.receipt.url) for row, one in zip(rows, landed, strict=True)
    ]
    journal.moved(db, moves, now)
    sights.begin(db, [(d.delivery.id, d.delivery.channel, d.look) for d in landed if d.look], now)
    again = [one.delivery.id for one in landed if one.delivery.attempts > 1]
    journal.close_notices(db, now, again)


def keep_receipt(db: Database, delivery_id: str, receipt: Receipt) -> None:
    """Keep the network's proof."""
    db.change(_KEEP_RECEIPT, row_id=delivery_id, proof=receipt_to_json(receipt))


def keep_handle(db: Database, delivery_id: str, handle: Mapping[str, object] | None) -> None:
    """Keep what the network's first step made, before the second; None: it is worn out."""
    made = None if handle is None else to_json(dict(handle))
    db.change(_KEEP_HANDLE, row_id=delivery_id, made=made)


def found(
    db: Database, row: Row, receipt: Receipt, now: datetime, look: datetime | None = None
) -> None:
    """The network has it: `sent`, with its receipt."""
    keep_receipt(db, row["id"], receipt)
    if look:
        sights.begin(db, [(row["id"], row["channel"], look)], now)
    journal.move(db, [Move(row, State.SENT, url=receipt.url)], now)
    if row["attempts"] > 1 or row["state"] == State.UNKNOWN:
        journal.close_notices(db, now, [row["id"]])


def _not_sent(db: Database, row: Row, end: End, at: Moment) -> State:
    if end.afresh:
        keep_handle(db, row["id"], None)
    if state := verdict(row, at):
        end_row(db, row, state, at.now)
        return state
    journal.move(db, [Move(row, State.QUEUED, end.error, end.due)], at.now)
    if end.due and to_us(end.due) >= row["expires"]:
        text = f"{end.error}; that is after the alert expires"
        journal.tell(db, at.now, [_notice(row, NoticeKind.LATE, text)])
    return State.QUEUED


def _in_doubt(db: Database, row: Row, end: End, at: Moment) -> State:
    if row["state"] != State.UNKNOWN:  # else its limit had passed before; now it has really ended
        doubt(db, row, end, at.now)
    return State.UNKNOWN


def doubt(db: Database, row: Row, end: End, now: datetime) -> None:
    """The network may have it: `unknown`, and people will be told unless it is resolved soon."""
    db.change(_DOUBT, row_id=row["id"], since=to_us(now))
    journal.move(db, [Move(row, State.UNKNOWN, end.error, end.due)], now)
    text = end.error or "the answer was lost"
    journal.tell(db, now, [_notice(row, NoticeKind.UNKNOWN, text, end.tell_after)])


def _refused(db: Database, row: Row, end: End, at: Moment) -> State:
    needs_person = end.outcome is Outcome.NEEDS_PERSON
    kind = NoticeKind.NEEDS_PERSON if needs_person else NoticeKind.FAILED
    fail(db, row, end.error or "refused", at.now, kind)
    return State.FAILED


def fail(db: Database, row: Row, reason: str, now: datetime, kind: NoticeKind) -> None:
    """Refused for good, or a person must act: `failed`, and people are told what kind it is."""
    journal.move(db, [Move(row, State.FAILED, reason)], now)
    journal.close_notices(db, now, [row["id"]])
    journal.tell(db, now, [_notice(row, kind, reason)])


_RECORDERS = {
    Outcome.ACCEPTED: _accepted,
    Outcome.NOT_SENT: _not_sent,
    Outcome.UNKNOWN: _in_doubt,
    Outcome.INTERRUPTED: _in_doubt,
    Outcome.NEEDS_PERSON: _refused,
    Outcome.REJECTED: _refused,
}


def overran(db: Database, delivery_id: str, end: End, now: datetime) -> None:
    """An attempt passed its limit and still runs: `unknown`, but not yet ended."""
    row = one_row(db, delivery_id)
    if row is not None and row["state"] == State.SENDING:
        doubt(db, row, end, now)


def recover(db: Database, running: Collection[str], spared: timedelta, now: datetime) -> int:
    """After a crash or a lost database: what was `sending` may have landed.

    `running` are deliveries whose attempt is still under way here. Returns how many rows became
    `unknown`; people are told of those that are not resolved within `spared`.
    """
    lost = [row for row in db.rows(_OPEN_ATTEMPTS) if row["delivery"] not in running]
    why = "the process ended, or lost its database, meanwhile"
    ended = {"finished": to_us(now), "outcome": Outcome.INTERRUPTED.value, "error": why}
    db.insert(attempt_end, (row | ended for row in lost))
    rows = [row for row in db.rows(_SENDING) if row["id"] not in running]
    end = End(Outcome.INTERRUPTED, why, due=now, tell_after=spared)
    for row in rows:
        doubt(db, row, end, now)
    return len(rows)


def has_open_attempt(db: Database, delivery_id: str) -> bool:
    """Say whether an attempt of this delivery has not really ended yet."""
    return bool(db.rows(_LAST_OPEN_ATTEMPT, of=delivery_id))


def expire(db: Database, at: Moment) -> int:
    """End what was not sent before its alert expired; return how many rows."""
    rows = db.rows(_OVERDUE, now=to_us(at.expiry))
    for row in rows:
        end_row(db, row, State.EXPIRED, at.now)
    return len(rows)


def abandon(db: Database, configured: Sequence[str], now: datetime) -> int:
    """Fail the open rows of channels that the configuration no longer has; people are told."""
    names = {row["channel"] for row in db.rows(_OPEN_CHANNELS)} - set(configured)
    reason = "this channel is no longer configured"
    rows = [row for name in sorted(names) for row in db.rows(_OPEN_ON, of=name)]
    for row in rows:
        fail(db, row, reason, now, NoticeKind.NEEDS_PERSON)
    return len(rows)
