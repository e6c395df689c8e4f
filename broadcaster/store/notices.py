"""Notices: who must be told what, and who has been told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    or_,
    select,
    update,
)

from broadcaster.delivery import State
from broadcaster.record import Notice, NoticeKind
from broadcaster.store import journal
from broadcaster.store.engine import Database, Row
from broadcaster.store.journal import NewNotice
from broadcaster.store.rows import UNREADABLE, from_us, maybe_time, to_us
from broadcaster.store.tables import alert, among, delivery, notice, told

log = structlog.get_logger(__name__)

PAGE = 100  # each notice takes up to two more reads: a page holds the writer 3 ms at most
SHOWN_MAX = 200
ALERTS_MAX = 200  # that are looked through for one target; the rest have their turn after these

_IS_OPEN = notice.c.closed.is_(None)
_IS_TOLD = exists().where(told.c.notice == notice.c.id)
_IS_TOLD_TO = exists().where(told.c.notice == notice.c.id, told.c.target == bindparam("target"))
_OPEN = (
    select(notice)
    .where(
        _IS_OPEN,
        notice.c.due <= bindparam("now"),
        or_(
            notice.c.due > bindparam("after_due"),
            and_(notice.c.due == bindparam("after_due"), notice.c.id > bindparam("after_id")),
        ),
    )
    .order_by(notice.c.due, notice.c.id)
    .limit(PAGE)
)
# First what has reached nobody though it is due, so that a page of it hides nothing of that kind.
_SHOWN = (
    select(notice)
    .where(_IS_OPEN)
    .order_by(case((and_(notice.c.due <= bindparam("now"), ~_IS_TOLD), 0), else_=1), notice.c.due)
    .limit(SHOWN_MAX)
)
_UNTOLD = select(func.count().label("n")).where(
    _IS_OPEN, notice.c.due <= bindparam("since"), ~_IS_TOLD
)
_IS_WANTED = (
    _IS_OPEN,
    ~_IS_TOLD_TO,
    or_(
        and_(~_IS_TOLD, notice.c.due <= bindparam("untold_by")),
        and_(_IS_TOLD, notice.c.due <= bindparam("told_by")),
    ),
)
_TOLD_ALREADY = func.min(case((_IS_TOLD, 1), else_=0))
_ALERTS = (
    select(notice.c.alert)
    .where(*_IS_WANTED)
    .group_by(notice.c.alert)
    .order_by(_TOLD_ALREADY, func.min(notice.c.due))
    .limit(ALERTS_MAX)
)


def _wanted(alert_is: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    return select(notice).where(alert_is, *_IS_WANTED).order_by(notice.c.due).limit(PAGE)


_WANTED_OF_ALERT = _wanted(notice.c.alert == bindparam("of"))
_WANTED_OF_NONE = _wanted(notice.c.alert.is_(None))
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


@dataclass(frozen=True, slots=True)
class Turn:
    """What one on-call target should know by now, and does not.

    `untold_by`, `told_by`: due by then, where nobody, or somebody else, has been told.
    """

    target: str
    untold_by: datetime
    told_by: datetime


def due(db: Database, now: datetime, after: Notice | None = None) -> list[Matter]:
    """Return a page of open notices whose time has come, the oldest first."""
    at, number = (to_us(after.due), after.id) if after else (-(2**62), 0)
    rows = db.rows(_OPEN, now=to_us(now), after_due=at, after_id=number)
    return _matters(db, rows)


def shown(db: Database, now: datetime) -> list[Matter]:
    """Return open notices for a page, also those people are spared; the due and untold first."""
    return _matters(db, db.rows(_SHOWN, now=to_us(now)))


def untold(db: Database, since: datetime) -> int:
    """Count the open notices that were due by then, and that no target has taken."""
    row = db.row(_UNTOLD, since=to_us(since))
    return int(row["n"]) if row else 0


def alerts_for(db: Database, turn: Turn) -> list[str | None]:
    """Return alerts a target should be told of, the untold and the oldest first.

    None stands for the daemon itself.
    """
    return [row["alert"] for row in db.rows(_ALERTS, **_values(turn))]


def wanted(db: Database, turn: Turn, alert_id: str | None) -> list[Matter]:
    """Return what a target should be told of one alert, or of the daemon itself (None)."""
    if alert_id is None:
        return _matters(db, db.rows(_WANTED_OF_NONE, **_values(turn)))
    return _matters(db, db.rows(_WANTED_OF_ALERT, of=alert_id, **_values(turn)))


def _values(turn: Turn) -> Row:
    return {
        "target": turn.target,
        "untold_by": to_us(turn.untold_by),
        "told_by": to_us(turn.told_by),
    }


def _matters(db: Database, rows: Sequence[Row]) -> list[Matter]:
    """Read rows; one that is damaged is left out, and counts as untold for ever."""
    read = []
    for row in rows:
        try:
            read.append(_matter(db, row))
        except UNREADABLE as error:
            log.warning("notice_not_readable", notice=row["id"], error=type(error).__name__)
    return read


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
