"""Orders of people: retry, confirm, retract. Each is in the audit trail."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from broadcaster.delivery import OUT, Delivery, Receipt, State
from broadcaster.record import Refused
from broadcaster.store import cards, journal
from broadcaster.store.engine import Database, Row
from broadcaster.store.journal import Deed, Move
from broadcaster.store.outbox import (
    Moment,
    has_open_attempt,
    keep_handle,
    keep_receipt,
    one_row,
    verdict,
)
from broadcaster.store.rows import as_far_as_readable, delivery_of


def retry(db: Database, delivery_id: str, actor: str, at: Moment) -> Delivery:
    """A person puts a row back in the queue that failed, or that nobody resolves any more.

    Raises Refused. One that is queued already is no fault: the order is safe to repeat.
    """
    row = _row_or_refuse(db, delivery_id)
    if row["state"] in {State.QUEUED, State.SENDING}:
        return delivery_of(row)
    if row["state"] != State.FAILED and not _given_up(db, row):
        detail = f"only a failed or given-up delivery can be retried; it is {row['state']}"
        raise Refused("not-failed", detail)
    _refuse_old(row, at)
    if not row["doubtful"]:  # else it tells whether an earlier attempt has landed
        keep_handle(db, delivery_id, None)
    if row["card"]:
        cards.mend(db, row["card"])
    journal.move(db, [Move(row, State.QUEUED, "put back by a person", at.now)], at.now)
    journal.close_notices(db, at.now, [delivery_id])
    journal.note(db, Deed(actor, "retry", delivery_id, {"channel": row["channel"]}), at.now)
    return replace(delivery_of(row), state=State.QUEUED, reason="put back by a person", due=at.now)


def _given_up(db: Database, row: Row) -> bool:
    """An unknown row that is no longer read back, and whose last attempt has really ended."""
    over = row["state"] == State.UNKNOWN and row["due"] is None
    return over and not has_open_attempt(db, row["id"])


def _refuse_old(row: Row, at: Moment) -> None:
    state = verdict(row, at)
    if state is State.SUPERSEDED and row["ended"] is not None:
        detail = f"the incident has its all-clear: alert {row['newest']}"
        raise Refused("ended", detail, row["newest"])
    if state is State.SUPERSEDED:
        detail = f"alert {row['newest']} is newer: an old warning must not appear after it"
        raise Refused("not-newest", detail, row["newest"])
    if state is State.EXPIRED:
        raise Refused("expired", "the alert has expired; send a new one")
    if as_far_as_readable(row).message is None:
        raise Refused("no-message", "there is no text for this delivery; correct it by hand")


def _row_or_refuse(db: Database, delivery_id: str) -> Row:
    row = one_row(db, delivery_id)
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
    keep_receipt(db, delivery_id, receipt)
    journal.move(db, [Move(row, State.SENT, url=url)], now)
    journal.close_notices(db, now, [delivery_id])
    journal.note(db, Deed(actor, "confirm", delivery_id, {"url": url}), now)
    return replace(delivery_of(row), state=State.SENT, receipt=receipt)


def retracted(db: Database, delivery_id: str, actor: str, now: datetime) -> Delivery:
    """It was taken down on purpose."""
    row = _row_or_refuse(db, delivery_id)
    if State(row["state"]) not in OUT:
        raise Refused("not-out", f"only what is out can be taken down; it is {row['state']}")
    journal.move(db, [Move(row, State.RETRACTED, "taken down on purpose")], now)
    journal.close_notices(db, now, [delivery_id])
    journal.note(db, Deed(actor, "retract", delivery_id, {"channel": row["channel"]}), now)
    return replace(delivery_of(row), state=State.RETRACTED)
