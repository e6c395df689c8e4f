"""What is written beside every change: the move with its event, the audit entry, the notice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select, update

from broadcaster.delivery import TRANSITIONS, Delivery, State
from broadcaster.record import NoticeKind
from broadcaster.store.engine import Database, Moved, Row
from broadcaster.store.rows import maybe_plain, plain, to_json, to_us
from broadcaster.store.tables import audit, delivery, event, notice


class TransitionRefused(Exception):  # noqa: N818
    """The row was not in the state the caller thought, or there is no such arrow."""


@dataclass(frozen=True, slots=True)
class Move:
    """One arrow of the state machine, and the columns that change with it."""

    row: Row  # id, alert, channel, state
    to: State
    reason: str | None = None
    due: datetime | None = None
    url: str | None = None


_MOVE = (
    update(delivery)
    .where(delivery.c.id == bindparam("row_id"), delivery.c.state == bindparam("row_state"))
    .values(state=bindparam("to_state"), reason=bindparam("to_reason"), due=bindparam("to_due"))
)
_LAST_AUDIT = select(func.coalesce(func.max(audit.c.seq), 0).label("seq"))
_CLOSE = (
    update(notice)
    .where(notice.c.delivery == bindparam("of"), notice.c.closed.is_(None))
    .values(closed=bindparam("at"))
)


def move(db: Database, moves: Sequence[Move], now: datetime) -> None:
    """Move deliveries along their arrows, with an event each.

    Raises TransitionRefused if any row is elsewhere by now or the arrow does not exist.
    """
    for one in moves:
        if one.to not in TRANSITIONS[State(one.row["state"])]:
            raise TransitionRefused(f"{one.row['state']} -> {one.to} does not exist")
    changed = db.change_many(_MOVE, (_move_values(one) for one in moves))
    if changed != len(moves):
        raise TransitionRefused(f"{len(moves) - changed} of {len(moves)} rows were elsewhere")
    moved(db, moves, now)


def moved(db: Database, moves: Sequence[Move], now: datetime) -> None:
    """Write the events of moves that were made."""
    db.insert(event, (_event(one, now) for one in moves))
    db.moves += [
        Moved(one.row["alert"], one.row["channel"], one.to, State(one.row["state"]))
        for one in moves
    ]


def _move_values(one: Move) -> Row:
    return {
        "row_id": one.row["id"],
        "row_state": one.row["state"],
        "to_state": one.to.value,
        "to_reason": maybe_plain(one.reason),
        "to_due": None if one.due is None else to_us(one.due),
    }


def _event(one: Move, now: datetime) -> Row:
    return {
        "alert": one.row["alert"],
        "delivery": one.row["id"],
        "at": to_us(now),
        "state": one.to.value,
        "before": one.row["state"],
        "reason": maybe_plain(one.reason),
        "url": maybe_plain(one.url),
    }


def born(db: Database, rows: Sequence[Row], now: datetime) -> None:
    """Write the first event of new deliveries."""
    db.insert(
        event,
        (
            {
                "alert": row["alert"],
                "delivery": row["id"],
                "at": to_us(now),
                "state": row["state"],
                "before": None,
                "reason": row["reason"],
                "url": None,
            }
            for row in rows
        ),
    )
    db.moves += [Moved(row["alert"], row["channel"], State(row["state"]), None) for row in rows]


@dataclass(frozen=True, slots=True)
class Deed:
    """Who did what to which object: an entry of the audit trail."""

    actor: str
    action: str
    object: str
    details: Mapping[str, Any]


def note(db: Database, deed: Deed, now: datetime) -> None:
    """Append an audit entry; its number follows the last one without a gap."""
    last = db.row(_LAST_AUDIT)
    entry = {
        "seq": (last["seq"] if last else 0) + 1,
        "at": to_us(now),
        "actor": deed.actor,
        "action": deed.action,
        "object": deed.object,
        "details": to_json(dict(deed.details)),
    }
    db.insert(audit, [entry])


@dataclass(frozen=True, slots=True)
class NewNotice:
    """Something people will be told, `wait` after now unless it goes away before."""

    kind: NoticeKind
    text: str
    alert: str | None = None
    delivery: str | None = None
    channel: str | None = None
    wait: timedelta = timedelta(0)


def tell(db: Database, now: datetime, notices: Iterable[NewNotice]) -> None:
    """Write notices in this very transaction."""
    db.insert(
        notice,
        (
            {
                "alert": one.alert,
                "delivery": one.delivery,
                "channel": one.channel,
                "kind": one.kind.value,
                "text": plain(one.text),
                "created": to_us(now),
                "due": to_us(now + one.wait),
            }
            for one in notices
        ),
    )


def close_notices(db: Database, now: datetime, deliveries: Iterable[str]) -> None:
    """End the notices of deliveries that need nobody any more."""
    db.change_many(_CLOSE, ({"of": one, "at": to_us(now)} for one in deliveries))


def by_hand(one: Delivery) -> str:
    """Say what a person is to post, and where."""
    message = one.message
    where = f" at {message.link}" if message and message.link else ""
    return f"post this by hand{where}: “{message.text if message else ''}”"
