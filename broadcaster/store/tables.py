"""The tables, once for SQLite and PostgreSQL.

Times are integer microseconds since the epoch, UTC: both databases order and compare them alike.
JSON is text. `attempt`, `attempt_end`, `event` and `audit` only ever grow; triggers see to it.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    or_,
)

REVISION = "0002"  # the newest migration

metadata = MetaData()


def among(column: ColumnElement[str], states: Iterable[str]) -> ColumnElement[bool]:
    """Say that a column has one of these values; unlike IN, it is compiled once and for all."""
    return or_(*(column == str(state) for state in states))


_Serial = BigInteger().with_variant(Integer, "sqlite")


def _time(name: str, *, required: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=not required)


incident = Table(
    "incident",
    metadata,
    Column("id", Text, primary_key=True),  # 26-0142
    Column("sender", Text, nullable=False),
    Column("newest", Text, nullable=False),
    _time("ended"),
)

alert = Table(
    "alert",
    metadata,
    Column("id", Text, primary_key=True),
    Column("incident", Text, ForeignKey("incident.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("identifier", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("status", Text, nullable=False),
    _time("accepted", required=True),
    _time("expires", required=True),
    _time("released_at", required=True),
    Column("released_by", Text, nullable=False),
    Column("content_key", Text, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("warnings", Text, nullable=False),
    Column("superseded_by", Text),
    _time("ended"),
    UniqueConstraint("sender", "identifier"),
    UniqueConstraint("incident", "version"),
    Index("alert_content", "content_key", "accepted"),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", Text, primary_key=True),
    Column("alert", Text, ForeignKey("alert.id"), nullable=False),
    Column("incident", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("position", Integer, nullable=False),  # order in answers
    Column("channel", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("message", Text),
    Column("key", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    _time("stamp", required=True),
    Column("rank", SmallInteger, nullable=False),
    _time("expires", required=True),
    _time("accepted", required=True),
    _time("due"),
    Column("reply_to", Text),
    Column("receipt", Text),
    Column("attempts", Integer, nullable=False),
    _time("first_attempt"),
    Column("doubtful", SmallInteger, nullable=False),  # an attempt may have landed
    Column("absent", SmallInteger, nullable=False),  # and reading back proved that none has
    Column("reads", Integer, nullable=False),
    _time("unknown_since"),
    Column("after", Text),  # the part of the same alert that this one answers
    Column("card", Text),  # the card whose picture goes with it
    Column("handle", Text),  # what the network's first step made, kept before the second
    UniqueConstraint("alert", "channel", "part"),
    Index("delivery_due", "channel", "state", "rank", "accepted"),
    Index("delivery_state", "state", "expires"),
    Index("delivery_incident", "incident", "channel"),
    Index("delivery_guard", "channel", "accepted"),
    Index("delivery_card", "card"),
)

# What the looks at a post have shown; a row for each post on a network that can be asked.
sight = Table(
    "sight",
    metadata,
    Column("delivery", Text, ForeignKey("delivery.id"), primary_key=True),
    Column("channel", Text, nullable=False),
    _time("sent", required=True),
    _time("due"),  # the next look; NULL: no more
    Column("looks", Integer, nullable=False),
    Column("seen", Text),
    Index("sight_due", "due"),
)

# A card: what it shows is fixed when its alert is accepted, its picture is drawn right after.
card = Table(
    "card",
    metadata,
    Column("name", Text, primary_key=True),
    Column("alert", Text, ForeignKey("alert.id"), nullable=False),
    Column("spec", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("digest", Text),  # sha256 of the picture, once it is drawn
    Column("fault", Text),  # why it cannot be drawn
    _time("accepted", required=True),
    Index("card_digest", "digest"),
    Index("card_open", "accepted"),
)

attempt = Table(
    "attempt",
    metadata,
    Column("delivery", Text, ForeignKey("delivery.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    _time("started", required=True),
)

attempt_end = Table(
    "attempt_end",
    metadata,
    Column("delivery", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    _time("finished", required=True),
    Column("outcome", Text, nullable=False),
    Column("error", Text),
)

event = Table(
    "event",
    metadata,
    Column("id", _Serial, Identity(), primary_key=True),
    Column("alert", Text, nullable=False),
    Column("delivery", Text, nullable=False),
    _time("at", required=True),
    Column("state", Text, nullable=False),
    Column("before", Text),
    Column("reason", Text),
    Column("url", Text),
    Index("event_alert", "alert", "id"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("alert", Text, nullable=False),
    Column("answer", Text, nullable=False),
    _time("kept_until", required=True),
)

audit = Table(
    "audit",
    metadata,
    Column(
        "seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    ),
    _time("at", required=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("details", Text, nullable=False),
)

notice = Table(
    "notice",
    metadata,
    Column("id", _Serial, Identity(), primary_key=True),
    Column("alert", Text),
    Column("delivery", Text),
    Column("channel", Text),
    Column("kind", Text, nullable=False),
    Column("text", Text, nullable=False),
    _time("created", required=True),
    _time("due", required=True),
    _time("closed"),
    Index("notice_open", "closed", "due"),
    Index("notice_delivery", "delivery"),
    Index("notice_alert", "alert"),
)

told = Table(
    "told",
    metadata,
    Column("notice", _Serial, ForeignKey("notice.id"), primary_key=True, autoincrement=False),
    Column("target", Text, primary_key=True),
    _time("at", required=True),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("senders", Text, nullable=False),
    Column("severities", Text, nullable=False),
    Column("channels", Text, nullable=False),
    _time("created", required=True),
    _time("revoked"),
)

channel = Table(
    "channel",
    metadata,
    Column("name", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("readiness", Text),
    _time("probed"),
    _time("paused_until"),
    Column("pause_reason", Text),
    Column("switched_off", Text),
    Column("limits", Text, nullable=False),
    _time("last_stamp"),
    Column("bound", Text),  # the account of the first good probe
    Column("held", Text),  # why nothing is posted until a person says so
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("delivery", Text, primary_key=True),
    _time("at", required=True),
    Column("error", Text, nullable=False),
)

APPEND_ONLY = ("attempt", "attempt_end", "event", "audit", "told")
