"""Notices: who must be told what, and who has been told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, bindparam, func, select, update

from broadcaster.delivery import State
from broadcaster.record import Notice, NoticeKind
from broadcaster.store import journal
from broadcaster.store.engine import Database, Row
from broadcaster.store.journal import NewNotice
from broadcaster.store.rows import from_us, maybe_time, to_us
from broadcaster.store.tables import alert, among, delivery, notice, told

_OPEN = (
    select(notice)
    .where(notice.c.closed.is_(None), notice.c.due <= bindparam("now"))
    .order_by(notice.c.due)
    .limit(bindparam("most"))
)
_NEXT = select(func.min(notice.c.due).label("due")).where(notice.c.closed.is_(None))
_TOLD = select(told).where(told.c.notice == bindparam("of"))
_CLOSE = update(notice).where(notice.c.id == bindparam("of")).values(closed=bindparam("at"))
_NOT_OUT = (
    select(delivery.c.channel, delivery.c.part, delivery.c.state, delivery.c.reason)
    .where(
        delivery.c.alert == bindparam("of"),
        among(delivery.c.state, (State.QUEUED, State.SENDING, State.UNKNOWN)),
    )
    .order_by(delivery.c.position)
)
_STATE = select(delivery.c.state).where(delivery.c.id == bindparam("of"))
_ALERT = select(alert.c.incident, alert.c.version, alert.c.body).where(
    alert.c.id == bindparam("of")
)
_SAME_OPEN = select(notice.c.id).where(
    func.coalesce(notice.c.channel, "") == func.coalesce(bindparam("on", type_=Text), ""),
    notice.c.kind == bindparam("of_kind"),
    notice.c.alert.is_(None),
    notice.c.closed.is_(None),
)
_CLOSE_CHANNEL = (
    update(notice)
    .where(
        notice.c.channel == bindparam("on"),
        notice.c.kind == bindparam("of_kind"),
        notice.c.alert.is_(None),
        notice.c.closed.is_(None),
    )
    .values(closed=bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class Matter:
    """A notice with what it is about now.

    `not_out`: for a late notice, (channel, part, state, reason) of what is still not out.
    `state`: of the one delivery it is about, None if it is about none.
    """

    notice: Notice
    not_out: Sequence[tuple[str, str, str, str | None]] = ()
    state: State | None = None


def due(db: Database, now: datetime, most: int = 200) -> list[Matter]:
    """Return open notices whose time has come."""
    return [_matter(db, row) for row in db.rows(_OPEN, now=to_us(now), most=most)]


def next_due(db: Database) -> datetime | None:
    """Return when the next open notice is due."""
    row = db.row(_NEXT)
    return from_us(row["due"]) if row and row["due"] is not None else None


def _matter(db: Database, row: Row) -> Matter:
    known = {one["target"]: from_us(one["at"]) for one in db.rows(_TOLD, of=row["id"])}
    found = Notice(
        id=row["id"],
        alert=row["alert"],
        delivery=row["delivery"],
        channel=row["channel"],
        kind=NoticeKind(row["kind"]),
        text=row["text"],
        created=from_us(row["created"]),
        due=from_us(row["due"]),
        told=known,
        closed=maybe_time(row["closed"]),
    )
    state = db.row(_STATE, of=found.delivery) if found.delivery else None
    late = found.kind is NoticeKind.LATE and found.delivery is None
    rows = db.rows(_NOT_OUT, of=found.alert) if late else []
    not_out = [(one["channel"], one["part"], one["state"], one["reason"]) for one in rows]
    return Matter(found, not_out, State(state["state"]) if state else None)


def alert_name(db: Database, alert_id: str) -> tuple[str, str] | None:
    """Return the reference and the stored body of an alert, for the text of a notice."""
    row = db.row(_ALERT, of=alert_id)
    return (f"{row['incident']}/{row['version']}", row["body"]) if row else None


def mark_told(db: Database, notices: Sequence[int], target: str, now: datetime) -> None:
    """An on-call target accepted these notices."""
    known = {(one, row["target"]) for one in notices for row in db.rows(_TOLD, of=one)}
    rows = [
        {"notice": one, "target": target, "at": to_us(now)}
        for one in notices
        if (one, target) not in known
    ]
    db.insert(told, rows)


def close(db: Database, notices: Sequence[int], now: datetime) -> None:
    """These need nobody any more."""
    db.change_many(_CLOSE, ({"of": one, "at": to_us(now)} for one in notices))


def tell_once(db: Database, one: NewNotice, now: datetime) -> None:
    """Tell about a channel or the daemon itself, unless the same is being told already."""
    if not db.rows(_SAME_OPEN, on=one.channel, of_kind=one.kind.value):
        journal.tell(db, now, [one])


def close_channel(db: Database, channel: str, kind: NoticeKind, now: datetime) -> None:
    """The channel is well again."""
    db.change(_CLOSE_CHANNEL, on=channel, of_kind=kind.value, at=to_us(now))
