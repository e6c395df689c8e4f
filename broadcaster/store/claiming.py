"""Claiming: the intent is written for what is due, and nothing is sent without one.

What a post answers, and whether its picture goes along, is fixed at its first claim. What may not
go out any more ends here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import bindparam, exists, func, select, update

from broadcaster.delivery import (
    CORRECTION,
    OUT,
    Delivery,
    State,
)
from broadcaster.record import NoticeKind
from broadcaster.store import corrections, journal
from broadcaster.store.engine import Database, Row
from broadcaster.store.journal import Move
from broadcaster.store.outbox import (
    Moment,
    end_row,
    fail,
    read,
    verdict,
)
from broadcaster.store.rows import (
    UNREADABLE,
    from_us,
    maybe_time,
    message_to_json,
    receipt_from_json,
    to_us,
)
from broadcaster.store.tables import (
    among,
    attempt,
    card,
    delivery,
    incident,
)

log = structlog.get_logger(__name__)
# How soon a row looks again for a card it cannot do without: it is called when that is drawn.
CARD_WAIT = timedelta(seconds=30)
ROUNDS_MAX = 8  # what must wait hides nothing that is ready, and the writer is not held for long
CORRECTION_WAIT = timedelta(seconds=2)  # how soon a correction looks again for the post it marks
_older = delivery.alias("older")
_OLDER_OPEN = exists().where(
    _older.c.incident == delivery.c.incident,
    _older.c.channel == delivery.c.channel,
    _older.c.version < delivery.c.version,
    among(_older.c.state, (State.SENDING, State.UNKNOWN)),
)
_IS_ANSWERED = (
    (_older.c.alert == delivery.c.alert)
    & (_older.c.channel == delivery.c.channel)
    & (_older.c.part == delivery.c.after)
)
_ANSWERED_AHEAD = exists().where(_IS_ANSWERED, among(_older.c.state, (State.QUEUED, State.SENDING)))
_ANSWERED_UNKNOWN = exists().where(_IS_ANSWERED, _older.c.state == State.UNKNOWN.value)
_DUE = (
    select(delivery, incident.c.newest, incident.c.ended)
    .join(incident, incident.c.id == delivery.c.incident)
    .where(
        delivery.c.channel == bindparam("of"),
        delivery.c.state == State.QUEUED.value,
        delivery.c.due <= bindparam("now"),
        (delivery.c.accepted <= bindparam("held_since")) | (~_OLDER_OPEN & ~_ANSWERED_UNKNOWN),
        delivery.c.after.is_(None) | ~_ANSWERED_AHEAD,
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
        ~delivery.c.part.like(f"%{CORRECTION}"),
        among(delivery.c.state, OUT),
    )
    .order_by((delivery.c.part == bindparam("same_part")).desc(), delivery.c.version.desc())
    .limit(1)
)
_ANSWERED = select(delivery.c.receipt).where(
    delivery.c.alert == bindparam("of"),
    delivery.c.channel == bindparam("on"),
    delivery.c.part == bindparam("of_part"),
    delivery.c.receipt.is_not(None),
    among(delivery.c.state, OUT),
)
_KEEP_MESSAGE = (
    update(delivery).where(delivery.c.id == bindparam("row_id")).values(message=bindparam("says"))
)
_PUT_OFF = (
    update(delivery)
    .where(delivery.c.id == bindparam("row_id"))
    .values(due=bindparam("to_due"), reason=bindparam("why"))
)
_CARD = select(card.c.fault).where(card.c.name == bindparam("of"))


@dataclass(frozen=True, slots=True)
class Claims:
    """What one claim found: rows now in `sending`, and per channel when to look again.

    A channel whose slots were all filled is not in `next_due`: it looks again as one gets free.
    """

    deliveries: Sequence[Delivery]
    next_due: Mapping[str, datetime | None]


def claim(db: Database, free: Mapping[str, int], at: Moment, hold: timedelta) -> Claims:
    """Write the intent for due rows of the given channels, as many as each has free slots."""
    found: list[tuple[Row, Delivery]] = []
    for name, most in free.items():
        found += _ready(db, name, most, at, hold)
    deliveries = _write_intents(db, found, at.now)
    taken = Counter(one.channel for one in deliveries)
    rest = [name for name, most in free.items() if taken[name] < most]
    return Claims(deliveries, {name: _next_due(db, name) for name in rest})


def _ready(
    db: Database, name: str, most: int, at: Moment, hold: timedelta
) -> list[tuple[Row, Delivery]]:
    """Return due rows of a channel that can be sent now; what cannot ends here, or is put off."""
    times = {"now": to_us(at.due), "held_since": to_us(at.now - hold)}
    for _ in range(ROUNDS_MAX):
        rows = db.rows(_DUE, of=name, most=most, **times)
        ready = _sort_out(db, rows, at)
        if ready or len(rows) < most:
            return ready
    return []


def begin(db: Database, deliveries: Sequence[Delivery], now: datetime) -> list[Delivery]:
    """Write the first intent of rows that are being accepted in this very transaction."""
    at = to_us(now)
    _write_attempts(
        db, [{"row_id": one.id, "number": 1, "first": at, "reply": None} for one in deliveries], at
    )
    rows = [
        {"id": one.id, "alert": one.alert, "channel": one.channel, "state": one.state.value}
        for one in deliveries
    ]
    journal.move(db, [Move(row, State.SENDING) for row in rows], now)
    return [
        replace(one, state=State.SENDING, due=None, attempts=1, first_attempt=now)
        for one in deliveries
    ]


def _next_due(db: Database, name: str) -> datetime | None:
    row = db.row(_NEXT_DUE, of=name)
    return maybe_time(row["due"]) if row else None


def _sort_out(db: Database, rows: list[Row], at: Moment) -> list[tuple[Row, Delivery]]:
    """End what must not go out any more; return the rest, each with what it says."""
    good = []
    for row in rows:
        said = read(db, row, at.now)
        if said is None:
            continue
        if state := verdict(row, at):
            end_row(db, row, state, at.now)
        elif row["attempts"]:
            good.append((row, said))
        elif corrections.is_one(row):
            good += [(row, said)] if _has_what_it_marks(db, row, at) else []
        elif whole := _with_picture(db, row, said, at):
            good.append((row, whole))
    return good


def _has_what_it_marks(db: Database, row: Row, at: Moment) -> bool:
    """A correction goes on only where a post of an earlier version is.

    While that is being sent or read back it waits, however long: a warning that turns up later must
    not stand there unmarked. Where nobody will ever know, a person must look.
    """
    found = corrections.mark(db, row)
    if found is None:
        reason = "no post of an earlier version is known here that could be corrected"
        journal.move(db, [Move(row, State.SUPERSEDED, reason)], at.now)
        return False
    if found.waits:
        due, why = to_us(at.due + CORRECTION_WAIT), "waits until the post it marks is found or not"
        db.change(_PUT_OFF, row_id=row["id"], to_due=due, why=why)
        return False
    row["reply_to"] = found.receipt
    if found.receipt is None:
        fail(db, row, found.by_hand, at.now, NoticeKind.MARK)
    return found.receipt is not None


def _with_picture(db: Database, row: Row, said: Delivery, at: Moment) -> Delivery | None:
    """Fix at the first claim whether the picture goes along: it is drawn by now, or it does not.

    None where the network has no posts without one: then the row waits, or fails for good.
    """
    message = said.message
    if message is None or all(one.digest for one in message.media):
        return said
    drawn = db.row(_CARD, of=row["card"])
    fault = drawn["fault"] if drawn else None
    if not any(one.required for one in message.media):
        why = fault or "it was not drawn in time"
        message = replace(message, media=(), missing=f"posted without its card: {why}")
        db.change(_KEEP_MESSAGE, row_id=row["id"], says=message_to_json(message))
        return replace(said, message=message)
    if fault:
        fail(db, row, f"its card cannot be drawn: {fault}", at.now, NoticeKind.FAILED)
    else:
        due = to_us(at.due + CARD_WAIT)
        db.change(_PUT_OFF, row_id=row["id"], to_due=due, why="its card is not drawn yet")
    return None


def _write_intents(
    db: Database, found: list[tuple[Row, Delivery]], now: datetime
) -> list[Delivery]:
    rows, at = [row for row, _ in found], to_us(now)
    for row in rows:
        row["attempts"] += 1
        if row["first_attempt"] is None:  # what it answers is fixed now, also that it answers none
            row["first_attempt"], row["reply_to"] = at, row["reply_to"] or _earlier_post(db, row)
    intents = [
        {
            "row_id": row["id"],
            "number": row["attempts"],
            "first": row["first_attempt"],
            "reply": row["reply_to"],
        }
        for row in rows
    ]
    _write_attempts(db, intents, at)
    journal.move(db, [Move(row, State.SENDING) for row in rows], now)
    return [_begun(row, said) for row, said in found]


def _write_attempts(db: Database, intents: Sequence[Row], at: int) -> None:
    db.insert(
        attempt,
        ({"delivery": one["row_id"], "number": one["number"], "started": at} for one in intents),
    )
    db.change_many(_INTENT, intents)


def _begun(row: Row, said: Delivery) -> Delivery:
    """Return a delivery as its intent leaves it, without reading its message once more."""
    return replace(
        said,
        state=State.SENDING,
        reason=None,
        due=None,
        attempts=row["attempts"],
        first_attempt=from_us(row["first_attempt"]),
        reply_to=receipt_from_json(row["reply_to"]),
    )


def _earlier_post(db: Database, row: Row) -> str | None:
    """The post this one answers: the part it names, else the latest of the incident here.

    Of that the same part first.
    """
    found = None
    if row["after"]:
        found = db.row(_ANSWERED, of=row["alert"], on=row["channel"], of_part=row["after"])
    if found is None and row["version"] > 1:
        values = {"of": row["incident"], "on": row["channel"], "version_now": row["version"]}
        found = db.row(_EARLIER_POST, **values, same_part=row["part"])
    try:
        receipt_from_json(found["receipt"] if found else None)
    except UNREADABLE:  # better a post of its own than none
        log.warning("earlier_receipt_unreadable", incident=row["incident"], channel=row["channel"])
        return None
    return found["receipt"] if found else None
