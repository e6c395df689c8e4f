"""The outbox: claim, record, resolve, recover; and what a person may order.

A row is sent only while its alert is unexpired and the newest of its incident; that is checked in
the same transaction that writes the intent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import bindparam, exists, func, select, update

from broadcaster.delivery import (
    LEFT_DOUBT,
    OUT,
    Delivery,
    Outcome,
    Receipt,
    State,
)
from broadcaster.record import NoticeKind, Refused
from broadcaster.store import journal
from broadcaster.store.engine import Database, Row
from broadcaster.store.journal import Move, NewNotice
from broadcaster.store.rows import delivery_of, from_us, receipt_to_json, to_us
from broadcaster.store.tables import among, attempt, attempt_end, delivery, incident, quarantine

_older = delivery.alias("older")
_OLDER_OPEN = exists().where(
    _older.c.incident == delivery.c.incident,
    _older.c.channel == delivery.c.channel,
    _older.c.version < delivery.c.version,
    among(_older.c.state, (State.SENDING, State.UNKNOWN)),
)
_DUE = (
    select(delivery, incident.c.newest, incident.c.ended)
    .join(incident, incident.c.id == delivery.c.incident)
    .where(
        delivery.c.channel == bindparam("of"),
        delivery.c.state == State.QUEUED.value,
        delivery.c.due <= bindparam("now"),
        (delivery.c.accepted <= bindparam("held_since")) | ~_OLDER_OPEN,
    )
    .order_by(delivery.c.rank, delivery.c.accepted, delivery.c.position)
    .limit(bindparam("most"))
)
_NEXT_DUE = select(func.min(delivery.c.due).label("due")).where(
    delivery.c.channel == bindparam("of"),
    among(delivery.c.state, (State.QUEUED, State.UNKNOWN)),
)
_INTENT = (
    update(delivery)
    .where(delivery.c.id == bindparam("row_id"))
    .values(
        attempts=bindparam("number"),
        first_attempt=func.coalesce(delivery.c.first_attempt, bindparam("first")),
        reply_to=func.coalesce(delivery.c.reply_to, bindparam("reply")),
    )
)
_EARLIER_POST = (
    select(delivery.c.receipt)
    .where(
        delivery.c.incident == bindparam("of"),
        delivery.c.channel == bindparam("on"),
        delivery.c.version < bindparam("version_now"),
        delivery.c.receipt.is_not(None),
        among(delivery.c.state, OUT),
    )
    .order_by(delivery.c.version.desc(), (delivery.c.part == bindparam("same_part")).desc())
    .limit(1)
)
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
_DOUBTS = select(func.count().label("n")).where(
    attempt_end.c.delivery == bindparam("of"),
    among(attempt_end.c.outcome, LEFT_DOUBT),
)
_ONE = (
    select(delivery, incident.c.newest, incident.c.ended)
    .join(incident, incident.c.id == delivery.c.incident)
    .where(delivery.c.id == bindparam("row_id"))
)
_KEEP_RECEIPT = (
    update(delivery).where(delivery.c.id == bindparam("row_id")).values(receipt=bindparam("proof"))
)
_DOUBT = (
    update(delivery)
    .where(delivery.c.id == bindparam("row_id"))
    .values(
        doubtful=1,
        reads=0,
        unknown_since=func.coalesce(delivery.c.unknown_since, bindparam("since")),
    )
)
_READ_AGAIN = (
    update(delivery)
    .where(delivery.c.id == bindparam("row_id"), delivery.c.state == State.UNKNOWN.value)
    .values(due=bindparam("to_due"), reads=bindparam("reads_now"), reason=bindparam("why"))
)
_SENDING = select(delivery).where(delivery.c.state == State.SENDING.value)
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
class Claims:
    """What one claim found: rows now in `sending`, and per channel when to look again."""

    deliveries: Sequence[Delivery]
    next_due: Mapping[str, datetime | None]


@dataclass(frozen=True, slots=True)
class End:
    """How an attempt ended.

    `due`: when a row goes on (retry or first read-back). `tell_after`: how long people are spared
    while an unknown row is being resolved.
    """

    outcome: Outcome
    error: str | None = None
    receipt: Receipt | None = None
    due: datetime | None = None
    tell_after: timedelta = timedelta(0)


def claim(
    db: Database,
    free: Mapping[str, int],
    now: datetime,
    *,
    expiry_now: datetime,
    hold: timedelta,
) -> Claims:
    """Write the intent for due rows of the given channels, as many as each has free slots."""
    claimed: list[Row] = []
    for name, most in free.items():
        rows = db.rows(_DUE, of=name, now=to_us(now), held_since=to_us(now - hold), most=most)
        claimed += _sort_out(db, rows, now, expiry_now)
    deliveries = _write_intents(db, claimed, now)
    return Claims(deliveries, {name: _next_due(db, name) for name in free})


def _next_due(db: Database, name: str) -> datetime | None:
    row = db.row(_NEXT_DUE, of=name)
    return from_us(row["due"]) if row and row["due"] is not None else None


def _sort_out(db: Database, rows: list[Row], now: datetime, expiry_now: datetime) -> list[Row]:
    """End what must not go out any more; return the rest."""
    good = []
    for row in rows:
        if verdict := _ended(row, expiry_now):
            _end(db, row, verdict, now)
        elif _readable(db, row, now):
            good.append(row)
    return good


def _ended(row: Row, expiry_now: datetime) -> State | None:
    """Say whether a row may not be sent any more, and what it becomes then."""
    if row["newest"] != row["alert"]:
        return State.SUPERSEDED
    if from_us(row["expires"]) <= expiry_now:
        return State.EXPIRED
    return None


_WHY = {
    State.SUPERSEDED: "a newer version was accepted before this was sent",
    State.EXPIRED: "the alert expired before this was sent",
}


def _end(db: Database, row: Row, state: State, now: datetime) -> None:
    reason = _WHY[state]
    journal.move(db, [Move(row, state, reason)], now)
    journal.close_notices(db, now, [row["id"]])
    if state is State.EXPIRED:
        journal.tell(db, now, [_notice(row, NoticeKind.EXPIRED, reason)])


def _notice(row: Row, kind: NoticeKind, text: str, wait: timedelta = timedelta(0)) -> NewNotice:
    return NewNotice(kind, text, row["alert"], row["id"], row["channel"], wait)


def _readable(db: Database, row: Row, now: datetime) -> bool:
    """Set a row aside, with an alarm, that cannot be read; it must stop nothing else."""
    try:
        delivery_of(row)
    except (ValueError, TypeError, KeyError) as error:
        what = f"this row cannot be read ({type(error).__name__}) and was set aside"
        db.insert(
            quarantine, [{"delivery": row["id"], "at": to_us(now), "error": type(error).__name__}]
        )
        journal.move(db, [Move(row, State.FAILED, what)], now)
        journal.tell(db, now, [_notice(row, NoticeKind.QUARANTINE, what)])
        return False
    return True


def _write_intents(db: Database, rows: list[Row], now: datetime) -> list[Delivery]:
    if not rows:
        return []
    at = to_us(now)
    for row in rows:
        row["attempts"] += 1
        row["first_attempt"] = row["first_attempt"] or at
        row["reply_to"] = row["reply_to"] or _earlier_post(db, row)
    db.insert(
        attempt,
        ({"delivery": row["id"], "number": row["attempts"], "started": at} for row in rows),
    )
    db.change_many(
        _INTENT,
        (
            {
                "row_id": row["id"],
                "number": row["attempts"],
                "first": row["first_attempt"],
                "reply": row["reply_to"],
            }
            for row in rows
        ),
    )
    journal.move(db, [Move(row, State.SENDING) for row in rows], now)
    return [replace(delivery_of(row), state=State.SENDING, reason=None, due=None) for row in rows]


def _earlier_post(db: Database, row: Row) -> str | None:
    """The post this one answers: the latest of the incident on this channel, same part first."""
    if row["version"] == 1:
        return None
    found = db.row(
        _EARLIER_POST,
        of=row["incident"],
        on=row["channel"],
        version_now=row["version"],
        same_part=row["part"],
    )
    return found["receipt"] if found else None


def record(
    db: Database, delivery_id: str, number: int, end: End, now: datetime, expiry_now: datetime
) -> State:
    """Write down how an attempt ended; return the delivery's state after it."""
    db.insert(
        attempt_end,
        [
            {
                "delivery": delivery_id,
                "number": number,
                "finished": to_us(now),
                "outcome": end.outcome.value,
                "error": end.error,
            }
        ],
    )
    row = db.row(_ONE, row_id=delivery_id)
    if row is None or row["state"] not in {State.SENDING, State.UNKNOWN}:
        return State(row["state"]) if row else State.FAILED
    return _RECORDERS[end.outcome](db, row, end, now, expiry_now)


def _accepted(db: Database, row: Row, end: End, now: datetime, _: datetime) -> State:
    found(db, row, end.receipt or Receipt(None), now)
    return State.SENT


def found(db: Database, row: Row, receipt: Receipt, now: datetime) -> None:
    """The network has it: `sent`, with its receipt."""
    db.change(_KEEP_RECEIPT, row_id=row["id"], proof=receipt_to_json(receipt))
    journal.move(db, [Move(row, State.SENT, url=receipt.url)], now)
    if row["attempts"] > 1 or row["state"] == State.UNKNOWN:
        journal.close_notices(db, now, [row["id"]])


def _not_sent(db: Database, row: Row, end: End, now: datetime, expiry_now: datetime) -> State:
    if state := _ended(row, expiry_now):
        _end(db, row, state, now)
        return state
    journal.move(db, [Move(row, State.QUEUED, end.error, end.due)], now)
    if end.due and to_us(end.due) >= row["expires"]:
        text = f"{end.error}; that is after the alert expires"
        journal.tell(db, now, [_notice(row, NoticeKind.LATE, text)])
    return State.QUEUED


def _in_doubt(db: Database, row: Row, end: End, now: datetime, _: datetime) -> State:
    if row["state"] == State.UNKNOWN:  # its limit had passed before; now it has really ended
        return State.UNKNOWN
    db.change(_DOUBT, row_id=row["id"], since=to_us(now))
    journal.move(db, [Move(row, State.UNKNOWN, end.error, end.due)], now)
    text = end.error or "the answer was lost"
    journal.tell(db, now, [_notice(row, NoticeKind.UNKNOWN, text, end.tell_after)])
    return State.UNKNOWN


def _refused(db: Database, row: Row, end: End, now: datetime, _: datetime) -> State:
    fail(db, row, end.error or "refused", now, needs_person=end.outcome is Outcome.NEEDS_PERSON)
    return State.FAILED


def fail(db: Database, row: Row, reason: str, now: datetime, *, needs_person: bool) -> None:
    """Refused for good, or a person must act: `failed`, and people are told."""
    journal.move(db, [Move(row, State.FAILED, reason)], now)
    journal.close_notices(db, now, [row["id"]])
    kind = NoticeKind.NEEDS_PERSON if needs_person else NoticeKind.FAILED
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
    row = db.row(_ONE, row_id=delivery_id)
    if row is not None and row["state"] == State.SENDING:
        _in_doubt(db, row, end, now, now)


@dataclass(frozen=True, slots=True)
class ToRead:
    """An unknown row whose fate is to be read back.

    `sendable`: its alert is unexpired and the newest. `doubts`: how many attempts may have landed.
    """

    delivery: Delivery
    sendable: bool
    doubts: int


def to_read(
    db: Database, name: str, most: int, now: datetime, expiry_now: datetime
) -> list[ToRead]:
    """Return unknown rows of a channel that are due for a look."""
    rows = db.rows(_TO_READ, of=name, now=to_us(now), most=most)
    return [
        ToRead(delivery_of(row), _ended(row, expiry_now) is None, _doubts(db, row["id"]))
        for row in rows
    ]


def _doubts(db: Database, delivery_id: str) -> int:
    row = db.row(_DOUBTS, of=delivery_id)
    return int(row["n"]) if row else 0


def resolved_found(db: Database, delivery_id: str, receipt: Receipt, now: datetime) -> State:
    """Reading back has found the post."""
    row = _unknown_row(db, delivery_id)
    if row is None:
        return State.UNKNOWN
    found(db, row, receipt, now)
    return State.SENT


def resolved_absent(
    db: Database, delivery_id: str, due: datetime, now: datetime, expiry_now: datetime
) -> State:
    """Reading back has proved the post absent: it is queued again, or ends."""
    row = _unknown_row(db, delivery_id)
    if row is None:
        return State.UNKNOWN
    if state := _ended(row, expiry_now):
        _end(db, row, state, now)
        return state
    journal.move(db, [Move(row, State.QUEUED, "not there when read back: sent again", due)], now)
    journal.close_notices(db, now, [row["id"]])
    return State.QUEUED


def read_again(
    db: Database, delivery_id: str, due: datetime | None, reads: int, reason: str | None
) -> None:
    """Reading back proved nothing yet: look again when due; None: no more."""
    values = {"to_due": None if due is None else to_us(due), "reads_now": reads, "why": reason}
    db.change(_READ_AGAIN, row_id=delivery_id, **values)


def resolved_failed(db: Database, delivery_id: str, reason: str, now: datetime) -> State:
    """The network will not even be asked without a person: `failed`, still in doubt."""
    row = _unknown_row(db, delivery_id)
    if row is None:
        return State.UNKNOWN
    fail(db, row, reason, now, needs_person=True)
    return State.FAILED


def _unknown_row(db: Database, delivery_id: str) -> Row | None:
    row = db.row(_ONE, row_id=delivery_id)
    return row if row is not None and row["state"] == State.UNKNOWN else None


def recover(db: Database, now: datetime) -> int:
    """After a crash: what was `sending` may have landed. Return how many rows that were."""
    rows = db.rows(_SENDING)
    for row in rows:
        for open_attempt in db.rows(_LAST_OPEN_ATTEMPT, of=row["id"]):
            ended = {"delivery": row["id"], "number": open_attempt["number"]}
            ended |= {"finished": to_us(now), "outcome": Outcome.INTERRUPTED.value}
            db.insert(attempt_end, [ended | {"error": "the process ended meanwhile"}])
        end = End(Outcome.INTERRUPTED, "the process ended while this was being sent", due=now)
        _in_doubt(db, row, replace(end, tell_after=timedelta(seconds=30)), now, now)
    return len(rows)


def expire(db: Database, now: datetime, expiry_now: datetime) -> int:
    """End what was not sent before its alert expired; return how many rows."""
    rows = db.rows(_OVERDUE, now=to_us(expiry_now))
    for row in rows:
        _end(db, row, State.EXPIRED, now)
    return len(rows)


def abandon(db: Database, configured: Sequence[str], now: datetime) -> int:
    """Fail the open rows of channels that the configuration no longer has; people are told."""
    names = {row["channel"] for row in db.rows(_OPEN_CHANNELS)} - set(configured)
    reason = "this channel is no longer configured"
    rows = [row for name in sorted(names) for row in db.rows(_OPEN_ON, of=name)]
    for row in rows:
        fail(db, row, reason, now, needs_person=True)
    return len(rows)


def retry(
    db: Database, delivery_id: str, actor: str, now: datetime, expiry_now: datetime
) -> Delivery:
    """A person puts a row back in the queue that failed, or that nobody resolves any more.

    Raises Refused. One that is queued already is no fault: the order is safe to repeat.
    """
    row = _row_or_refuse(db, delivery_id)
    if row["state"] in {State.QUEUED, State.SENDING}:
        return delivery_of(row)
    if row["state"] != State.FAILED and not _given_up(db, row):
        detail = f"only a failed or given-up delivery can be retried; it is {row['state']}"
        raise Refused("not-failed", detail)
    _refuse_old(row, expiry_now)
    journal.move(db, [Move(row, State.QUEUED, "put back by a person", now)], now)
    journal.close_notices(db, now, [delivery_id])
    journal.note(db, now, actor, "retry", of=delivery_id, details={"channel": row["channel"]})
    return replace(delivery_of(row), state=State.QUEUED, reason="put back by a person", due=now)


def _given_up(db: Database, row: Row) -> bool:
    """An unknown row that is no longer read back, and whose last attempt has really ended."""
    over = row["state"] == State.UNKNOWN and row["due"] is None
    return over and not db.rows(_LAST_OPEN_ATTEMPT, of=row["id"])


def _refuse_old(row: Row, expiry_now: datetime) -> None:
    if row["newest"] != row["alert"]:
        detail = f"alert {row['newest']} is newer: an old warning must not appear after it"
        raise Refused("not-newest", detail, row["newest"])
    if from_us(row["expires"]) <= expiry_now:
        raise Refused("expired", "the alert has expired; send a new one")
    if row["message"] is None:
        raise Refused("no-message", "there is no text for this delivery; correct it by hand")


def _row_or_refuse(db: Database, delivery_id: str) -> Row:
    row = db.row(_ONE, row_id=delivery_id)
    if row is None:
        raise Refused("not-found", "there is no such delivery")
    return row


def confirm(db: Database, delivery_id: str, url: str, actor: str, now: datetime) -> Delivery:
    """A person posted it by hand, or saw that it is there: `sent`, with the link."""
    row = _row_or_refuse(db, delivery_id)
    if row["state"] not in {State.WAITING, State.UNKNOWN}:
        detail = f"only a waiting or unknown delivery is confirmed; it is {row['state']}"
        raise Refused("not-waiting", detail)
    receipt = Receipt(None, url)
    db.change(_KEEP_RECEIPT, row_id=delivery_id, proof=receipt_to_json(receipt))
    journal.move(db, [Move(row, State.SENT, url=url)], now)
    journal.close_notices(db, now, [delivery_id])
    journal.note(db, now, actor, "confirm", of=delivery_id, details={"url": url})
    return replace(delivery_of(row), state=State.SENT, receipt=receipt)


def retracted(db: Database, delivery_id: str, actor: str, now: datetime) -> Delivery:
    """It was taken down on purpose."""
    row = _row_or_refuse(db, delivery_id)
    if State(row["state"]) not in OUT:
        raise Refused("not-out", f"only what is out can be taken down; it is {row['state']}")
    journal.move(db, [Move(row, State.RETRACTED, "taken down on purpose")], now)
    journal.note(db, now, actor, "retract", of=delivery_id, details={"channel": row["channel"]})
    return replace(delivery_of(row), state=State.RETRACTED)
