"""Cards: which are to be drawn, and the rows that wait for their pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import bindparam, exists, select, update

from broadcaster.delivery import Media, Message, State
from broadcaster.record import Card
from broadcaster.store.engine import Database
from broadcaster.store.rows import UNREADABLE, message_from_json, message_to_json, plain, to_us
from broadcaster.store.tables import among, card, delivery

_OPEN = (
    select(card.c.name, card.c.spec, card.c.kind)
    .where(
        card.c.digest.is_(None),
        card.c.fault.is_(None),
        card.c.accepted >= bindparam("since"),
        exists().where(
            delivery.c.card == card.c.name, among(delivery.c.state, (State.QUEUED, State.WAITING))
        ),
    )
    .order_by(card.c.accepted)
)
_OF = select(card.c.name, card.c.spec, card.c.kind).where(
    card.c.digest == bindparam("of"), card.c.kind == bindparam("of_kind")
)
_DRAWN = update(card).where(card.c.name == bindparam("of")).values(digest=bindparam("sha256"))
_FAULTY = update(card).where(card.c.name == bindparam("of")).values(fault=bindparam("why"))
_MEND = update(card).where(card.c.name == bindparam("of")).values(fault=None)
_WAITING = select(delivery.c.id, delivery.c.channel, delivery.c.message).where(
    delivery.c.card == bindparam("of"),
    delivery.c.attempts == 0,
    among(delivery.c.state, (State.QUEUED, State.WAITING)),
)
_KEEP = (
    update(delivery)
    .where(delivery.c.id == bindparam("row_id"), delivery.c.attempts == 0)
    .values(message=bindparam("says"))
)
_HURRY = (
    update(delivery)
    .where(delivery.c.id == bindparam("row_id"), delivery.c.state == State.QUEUED.value)
    .values(due=bindparam("to_due"))
)


def to_draw(db: Database, since: datetime) -> list[Card]:
    """Return cards accepted since then that are neither drawn nor given up, and still wanted."""
    return [Card(**row) for row in db.rows(_OPEN, since=to_us(since))]


def drawn_as(db: Database, digest: str, kind: str) -> Card | None:
    """Return the card whose picture has this digest, to draw it again; None if there is none."""
    row = db.row(_OF, of=plain(digest), of_kind=kind)
    return Card(**row) if row else None


def drawn(db: Database, name: str, digest: str, url: str, due: datetime) -> set[str]:
    """A picture is there: rows that wait for it go on with it. Return their channels."""
    db.change(_DRAWN, of=name, sha256=digest)
    return _tell_rows(db, name, lambda media: replace(media, digest=digest, url=url), due)


def faulty(db: Database, name: str, why: str, due: datetime) -> set[str]:
    """A picture cannot be drawn: rows go on without it. Return their channels."""
    db.change(_FAULTY, of=name, why=plain(why))
    return _tell_rows(db, name, lambda media: media, due)


def mend(db: Database, name: str) -> None:
    """A card that could not be drawn is to be drawn again."""
    db.change(_MEND, of=name)


def _tell_rows(db: Database, name: str, fill: Callable[[Media], Media], due: datetime) -> set[str]:
    rows = db.rows(_WAITING, of=name)
    for row in rows:
        if says := _with(row["message"], name, fill):
            db.change(_KEEP, row_id=row["id"], says=message_to_json(says))
        db.change(_HURRY, row_id=row["id"], to_due=to_us(due))
    return {row["channel"] for row in rows}


def _with(text: str | None, name: str, fill: Callable[[Media], Media]) -> Message | None:
    """Return a message with its picture filled in; a damaged one is the claim's trouble."""
    try:
        message = message_from_json(text)
    except UNREADABLE:
        return None
    if message is None:
        return None
    media = tuple(fill(one) if one.card == name else one for one in message.media)
    return replace(message, media=media)
