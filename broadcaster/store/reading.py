"""Short reads for pages, answers and metrics. None holds the writer for long: all are paged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import ClauseElement, and_, bindparam, exists, func, or_, select

from broadcaster.delivery import OPEN, State
from broadcaster.record import Accepted, AuditEntry, Event, Replay, View
from broadcaster.store.engine import Database, Row
from broadcaster.store.rows import (
    NOT_READABLE,
    as_far_as_readable,
    as_mapping,
    from_us,
    plain,
    restored,
    to_accepted,
    to_attempt,
    to_us,
)
from broadcaster.store.tables import (
    alert,
    among,
    attempt,
    attempt_end,
    audit,
    delivery,
    event,
    idempotency,
    incident,
    notice,
    sight,
    told,
)

PAGE_MAX = 200

_REPLAY = select(idempotency).where(
    idempotency.c.scope == bindparam("scope"), idempotency.c.key == bindparam("key")
)
_ANSWER = select(idempotency.c.answer).where(idempotency.c.alert == bindparam("of"))
_BY_ID = select(alert).where(alert.c.id == bindparam("of"))
_BY_IDENTIFIER = (
    select(alert).where(alert.c.identifier == bindparam("of")).order_by(alert.c.accepted.desc())
)
_BY_VERSION = select(alert).where(
    alert.c.incident == bindparam("of"), alert.c.version == bindparam("version_now")
)
_NEWEST = (
    select(alert)
    .join(incident, incident.c.newest == alert.c.id)
    .where(incident.c.id == bindparam("of"))
)
_CARRYING = (
    select(delivery.c.channel, func.min(delivery.c.type).label("type"))
    .where(delivery.c.incident == bindparam("of"), delivery.c.state != State.WITHHELD.value)
    .group_by(delivery.c.channel)
)
_LAST_NUMBER = select(incident.c.id).where(incident.c.id.like(bindparam("pattern")))
_DELIVERIES = (
    select(delivery, sight.c.seen)
    .outerjoin(sight, sight.c.delivery == delivery.c.id)
    .where(delivery.c.alert == bindparam("of"))
    .order_by(delivery.c.position)
)
_ATTEMPTS = (
    select(attempt, attempt_end.c.finished, attempt_end.c.outcome, attempt_end.c.error)
    .join(delivery, delivery.c.id == attempt.c.delivery)
    .outerjoin(
        attempt_end,
        and_(
            attempt_end.c.delivery == attempt.c.delivery, attempt_end.c.number == attempt.c.number
        ),
    )
    .where(delivery.c.alert == bindparam("of"))
    .order_by(attempt.c.delivery, attempt.c.number)
)
_TOLD = (
    select(notice.c.delivery)
    .join(told, told.c.notice == notice.c.id)
    .where(notice.c.alert == bindparam("of"), notice.c.delivery.is_not(None))
)
_SINCE = (
    select(event.c.delivery, func.max(event.c.at).label("at"))
    .where(event.c.alert == bindparam("of"))
    .group_by(event.c.delivery)
)
_EVENTS = (
    select(event, delivery.c.channel, delivery.c.part)
    .join(delivery, delivery.c.id == event.c.delivery)
    .where(event.c.alert == bindparam("of"), event.c.id > bindparam("after"))
    .order_by(event.c.id)
    .limit(bindparam("most"))
)
_AUDIT = (
    select(audit)
    .where(audit.c.seq < bindparam("before_seq"))
    .order_by(audit.c.seq.desc())
    .limit(bindparam("most"))
)
_TALLY = select(delivery.c.channel, delivery.c.state, func.count().label("n")).group_by(
    delivery.c.channel, delivery.c.state
)
_ACCEPTED = select(func.count().label("n")).select_from(alert)
_OLDEST_DUE = select(func.min(delivery.c.due).label("due")).where(
    delivery.c.state == State.QUEUED.value
)
_COUNTS = (
    select(delivery.c.state, func.count().label("n"))
    .where(delivery.c.alert == bindparam("of"))
    .group_by(delivery.c.state)
)
_HAS_OPEN = exists().where(delivery.c.alert == alert.c.id, among(delivery.c.state, OPEN))
_CLOSED = or_(alert.c.ended.is_not(None), alert.c.superseded_by.is_not(None))
_IN_STATE = {
    "ended": _CLOSED,
    "active": and_(~_CLOSED, or_(alert.c.expires > bindparam("now"), _HAS_OPEN)),
    "expired": and_(~_CLOSED, alert.c.expires <= bindparam("now"), ~_HAS_OPEN),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of a list of alerts; None means any."""

    before: str | None = None
    limit: int = 50
    state: str | None = None
    status: str | None = None
    incident: str | None = None
    sender: str | None = None


def replay(db: Database, scope: str, key: str) -> Replay | None:
    """Return the answer given before under this key."""
    row = db.row(_REPLAY, scope=scope, key=key)
    return Replay(row["alert"], row["fingerprint"], row["answer"].encode()) if row else None


def find_alert(db: Database, name: str, sender: str | None) -> Accepted | None:
    """Find an alert by id, by identifier, or by reference ("26-0142/1"; "26-0142": its newest)."""
    name = plain(name)
    row = db.row(_BY_ID, of=name) or _by_identifier(db, name, sender) or _by_reference(db, name)
    return _accepted(db, row) if row else None


def _accepted(db: Database, row: Row) -> Accepted:
    """Return an alert; what is damaged in its row is taken from its stored answer, if any."""
    accepted = to_accepted(row)
    if NOT_READABLE in accepted.warnings and (kept := db.row(_ANSWER, of=row["id"])):
        return restored(accepted, kept["answer"])
    return accepted


def _by_identifier(db: Database, name: str, sender: str | None) -> Row | None:
    rows = db.rows(_BY_IDENTIFIER, of=name)
    return next((row for row in rows if sender in {None, row["sender"]}), None)


def _by_reference(db: Database, name: str) -> Row | None:
    incident_id, slash, version = name.partition("/")
    if not slash:
        return db.row(_NEWEST, of=incident_id)
    if not (version.isascii() and version.isdecimal() and len(version) <= 6):
        return None
    return db.row(_BY_VERSION, of=incident_id, version_now=int(version))


def newest(db: Database, incident_id: str) -> Accepted | None:
    """Return the newest alert of an incident."""
    row = db.row(_NEWEST, of=incident_id)
    return _accepted(db, row) if row else None


def carrying(db: Database, incident_id: str) -> dict[str, str]:
    """Return channels on which any version of an incident was to go out, with their types."""
    return {row["channel"]: row["type"] for row in db.rows(_CARRYING, of=incident_id)}


def last_number(db: Database, prefix: str) -> int:
    """Return the highest incident number of a year ("26"), 0 if there is none."""
    numbers = (row["id"].rpartition("-")[2] for row in db.rows(_LAST_NUMBER, pattern=f"{prefix}-%"))
    return max((int(number) for number in numbers), default=0)


def view(db: Database, alert_id: str) -> View | None:
    """Return an alert with deliveries and attempts."""
    row = db.row(_BY_ID, of=plain(alert_id))
    if row is None:
        return None
    latest = db.row(_NEWEST, of=row["incident"])
    attempts: dict[str, list[Row]] = {}
    for one in db.rows(_ATTEMPTS, of=alert_id):
        attempts.setdefault(one["delivery"], []).append(one)
    deliveries = [
        (as_far_as_readable(one), [to_attempt(tried) for tried in attempts.get(one["id"], ())])
        for one in db.rows(_DELIVERIES, of=alert_id)  # with what looks have shown of each
    ]
    return View(
        _accepted(db, row),
        deliveries,
        latest["id"] if latest else alert_id,
        frozenset(one["delivery"] for one in db.rows(_TOLD, of=alert_id)),
        {one["delivery"]: from_us(one["at"]) for one in db.rows(_SINCE, of=alert_id)},
    )


def alerts(db: Database, wanted: Wanted, now: datetime) -> list[Accepted]:
    """Return a page of alerts, the newest first."""
    filters = {
        name: getattr(wanted, name)
        for name in ("before", "status", "incident", "sender")
        if getattr(wanted, name) is not None
    }
    statement = _listing(tuple(filters), wanted.state)
    values = {f"of_{name}": value for name, value in filters.items()}
    if wanted.state in {"active", "expired"}:
        values["now"] = to_us(now)
    rows = db.rows(statement, most=min(wanted.limit, PAGE_MAX), **values)
    return [_accepted(db, row) for row in rows]


@cache
def _listing(filters: tuple[str, ...], state: str | None) -> ClauseElement:
    conditions = [
        alert.c.id < bindparam("of_before")
        if name == "before"
        else alert.c[name] == bindparam(f"of_{name}")
        for name in filters
    ]
    if state is not None:
        conditions.append(_IN_STATE[state])
    return select(alert).where(*conditions).order_by(alert.c.id.desc()).limit(bindparam("most"))


def counts(db: Database, alert_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return per alert how many deliveries are in each state."""
    return {one: {row["state"]: row["n"] for row in db.rows(_COUNTS, of=one)} for one in alert_ids}


def events(db: Database, alert_id: str, after: int, most: int) -> list[Event]:
    """Return state changes of an alert's deliveries after the given event id."""
    return [
        Event(
            id=row["id"],
            alert=row["alert"],
            delivery=row["delivery"],
            channel=row["channel"],
            part=row["part"],
            at=from_us(row["at"]),
            state=State(row["state"]),
            before=State(row["before"]) if row["before"] else None,
            reason=row["reason"],
            url=row["url"],
        )
        for row in db.rows(_EVENTS, of=alert_id, after=after, most=min(most, 500))
    ]


def audit_page(db: Database, limit: int, before: int | None) -> list[AuditEntry]:
    """Return audit entries, the newest first."""
    rows = db.rows(_AUDIT, before_seq=before or 2**62, most=min(limit, PAGE_MAX))
    return [
        AuditEntry(
            row["seq"],
            from_us(row["at"]),
            row["actor"],
            row["action"],
            row["object"],
            as_mapping(row["details"]),
        )
        for row in rows
    ]


def tally(db: Database) -> dict[tuple[str, str], int]:
    """Count all deliveries by channel and state; asked once, at start."""
    return {(row["channel"], row["state"]): row["n"] for row in db.rows(_TALLY)}


def accepted_count(db: Database) -> int:
    """Count all accepted alerts; asked once, at start."""
    row = db.row(_ACCEPTED)
    return int(row["n"]) if row else 0


def oldest_due(db: Database) -> datetime | None:
    """Return since when the longest-waiting row is due."""
    row = db.row(_OLDEST_DUE)
    return from_us(row["due"]) if row and row["due"] is not None else None
