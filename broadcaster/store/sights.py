"""Looking posts up again: what is due for a look, and what the looks have shown."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import bindparam, delete, exists, func, select, update

from broadcaster.delivery import OUT, Delivery, Seen, State
from broadcaster.record import NoticeKind
from broadcaster.store import journal
from broadcaster.store.engine import Database, Row
from broadcaster.store.journal import Move, NewNotice, by_hand
from broadcaster.store.rows import (
    UNREADABLE,
    as_far_as_readable,
    delivery_of,
    from_us,
    maybe_us,
    receipt_from_json,
    receipt_to_json,
    seen_to_json,
    to_us,
)
from broadcaster.store.tables import delivery, incident, notice, sight

PAGE = 20  # rows of one channel that are gone through for one look; reminders in one go

_DROP = delete(sight).where(sight.c.delivery == bindparam("of"))
_DUE_ON = select(sight.c.channel).where(sight.c.due <= bindparam("now")).distinct()
_DUE = (
    select(delivery, incident.c.newest, sight.c.seen, sight.c.sent, sight.c.looks)
    .join(sight, sight.c.delivery == delivery.c.id)
    .join(incident, incident.c.id == delivery.c.incident)
    .where(sight.c.channel == bindparam("of"), sight.c.due <= bindparam("now"))
    .order_by(sight.c.due)
    .limit(PAGE)
)
_ANY = select(sight.c.delivery).where(sight.c.due <= bindparam("now")).limit(1)
_ONE = select(delivery).where(delivery.c.id == bindparam("of"))
_KEEP = (
    update(sight)
    .where(sight.c.delivery == bindparam("of"))
    .values(seen=bindparam("shown"), looks=bindparam("count"), due=bindparam("to_due"))
)
_CLOSE_EXPIRED = (
    update(notice)
    .where(
        notice.c.kind == NoticeKind.GONE.value,
        notice.c.closed.is_(None),
        exists().where(
            delivery.c.id == notice.c.delivery, delivery.c.expires <= bindparam("over_by")
        ),
    )
    .values(closed=bindparam("at"))
)
_LATER = update(sight).where(sight.c.delivery == bindparam("of")).values(due=bindparam("to_due"))
_RECEIPT = (
    update(delivery).where(delivery.c.id == bindparam("of")).values(receipt=bindparam("proof"))
)
_TOLD_OF = select(notice.c.id).where(
    notice.c.delivery == bindparam("of"),
    notice.c.kind == NoticeKind.GONE.value,
    notice.c.closed.is_(None),
)
_CLOSE = (
    update(notice)
    .where(
        notice.c.delivery == bindparam("of"),
        notice.c.kind == NoticeKind.GONE.value,
        notice.c.closed.is_(None),
    )
    .values(closed=bindparam("at"))
)
_IS_REMINDER = (notice.c.delivery == delivery.c.id) & (notice.c.kind == NoticeKind.WAITING.value)
_TO_REMIND_OF = (
    select(delivery)
    .where(
        delivery.c.state == State.WAITING.value,
        ~exists().where(_IS_REMINDER, notice.c.created > bindparam("since")),
    )
    .limit(PAGE)
)
# The first one stays: who is told after the interval, and not before, is told by that.
_first = notice.alias("first")
_CLOSE_REMINDERS = (
    update(notice)
    .where(
        notice.c.delivery == bindparam("of"),
        notice.c.kind == NoticeKind.WAITING.value,
        notice.c.closed.is_(None),
        notice.c.id
        > select(func.min(_first.c.id))
        .where(_first.c.delivery == notice.c.delivery, _first.c.kind == notice.c.kind)
        .scalar_subquery(),
    )
    .values(closed=bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class ToLook:
    """A post that is due for a look. `sent`: when the network took it. `looks`: how many so far."""

    delivery: Delivery
    sent: datetime
    looks: int


def begin(db: Database, posts: Iterable[tuple[str, str, datetime | None]], now: datetime) -> None:
    """Have posts looked up: (delivery, channel, first look)."""
    rows = [
        {"delivery": one, "channel": name, "sent": to_us(now), "due": maybe_us(due), "looks": 0}
        for one, name, due in posts
    ]
    db.change_many(_DROP, ({"of": row["delivery"]} for row in rows))
    db.insert(sight, rows)


def any_due(db: Database, now: datetime) -> bool:
    """Say whether a look is due."""
    return db.row(_ANY, now=to_us(now)) is not None


def due(db: Database, now: datetime, busy: Collection[str] = ()) -> list[ToLook]:
    """Return the post of each channel, but of those `busy`, whose look is due first."""
    names = sorted({row["channel"] for row in db.rows(_DUE_ON, now=to_us(now))} - set(busy))
    found = (_first_due(db, name, now) for name in names)
    return [one for one in found if one]


def _first_due(db: Database, name: str, now: datetime) -> ToLook | None:
    """Return a channel's first; what is not out, or was replaced, is looked at no more."""
    for row in db.rows(_DUE, of=name, now=to_us(now)):
        try:
            one = delivery_of(row)
        except UNREADABLE:
            _over(db, row["id"], now)
            continue
        if one.state in OUT and row["newest"] == row["alert"]:
            return ToLook(one, from_us(row["sent"]), row["looks"])
        _over(db, row["id"], now)
    return None


def later(db: Database, delivery_id: str, due: datetime | None) -> None:
    """Look again then, or (None) no more; this look showed nothing."""
    db.change(_LATER, of=delivery_id, to_due=maybe_us(due))


def _over(db: Database, delivery_id: str, now: datetime) -> None:
    """It is looked at no more: nobody need act on what was seen."""
    later(db, delivery_id, None)
    db.change(_CLOSE, of=delivery_id, at=to_us(now))


def expire(db: Database, now: datetime, expiry: datetime) -> None:
    """What was seen of a warning that is over by `expiry` is nobody's concern any more."""
    db.change(_CLOSE_EXPIRED, over_by=to_us(expiry), at=to_us(now))


@dataclass(frozen=True, slots=True)
class Look:
    """What one look showed, and what follows. `alarm`: people are told this, once."""

    delivery: str
    seen: Seen
    due: datetime | None
    alarm: str | None = None
    url: str | None = None


def saw(db: Database, look: Look, now: datetime, expiry: datetime) -> State | None:
    """Write down a look; return the state after it, None if the post is not out any more.

    `expiry`: what had to end by then is over, whatever the wall says.
    """
    row = db.row(_ONE, of=look.delivery)
    if row is None or State(row["state"]) not in OUT:
        later(db, look.delivery, None)
        return None
    shown = seen_to_json(look.seen)
    db.change(
        _KEEP, of=look.delivery, shown=shown, count=look.seen.looks, to_due=maybe_us(look.due)
    )
    _keep_url(db, row, look.url)
    state = State.VISIBLE if look.seen.there else State.SENT
    if state is not State(row["state"]):
        journal.move(db, [Move(row, state, look.seen.reason, url=look.url)], now)
    if look.seen.there or row["expires"] <= to_us(expiry):  # after its end nobody need act on it
        db.change(_CLOSE, of=look.delivery, at=to_us(now))
    elif look.alarm and not db.rows(_TOLD_OF, of=look.delivery):
        told = NewNotice(NoticeKind.GONE, look.alarm, row["alert"], row["id"], row["channel"])
        journal.tell(db, now, [told])
    return state


def _keep_url(db: Database, row: Row, url: str | None) -> None:
    receipt = receipt_from_json(row["receipt"])
    if url and receipt and not receipt.url:
        proof = receipt_to_json(replace(receipt, url=url))
        db.change(_RECEIPT, of=row["id"], proof=proof)


def remind(db: Database, since: datetime, now: datetime) -> int:
    """Tell people again of what waits for them, last told before `since`; return how many.

    A page of them; the rest has its turn with the next call.
    """
    rows = db.rows(_TO_REMIND_OF, since=to_us(since))
    for row in rows:
        db.change(_CLOSE_REMINDERS, of=row["id"], at=to_us(now))
        text = by_hand(as_far_as_readable(row))
        again = NewNotice(NoticeKind.WAITING, text, row["alert"], row["id"], row["channel"])
        journal.tell(db, now, [again])
    return len(rows)
