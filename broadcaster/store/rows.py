"""Between rows and the product's own values: times, JSON, deliveries, alerts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from broadcaster.alert import Alert, MsgType, Scope, Status
from broadcaster.delivery import (
    Act,
    Attempt,
    Delivery,
    Media,
    Message,
    Outcome,
    Receipt,
    Seen,
    State,
)
from broadcaster.record import Accepted
from broadcaster.store.engine import Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What reading a row raises that holds nonsense.
UNREADABLE = (ValueError, TypeError, KeyError, OverflowError)
# Said of an alert whose body in the store is damaged; what else is kept of it still counts.
NOT_READABLE = "this alert's stored text cannot be read"
FROM_ANSWER = f"{NOT_READABLE}; this is how it was answered when it was accepted"
_MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Return microseconds since the epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def from_us(microseconds: int) -> datetime:
    """Return the aware UTC time."""
    return _EPOCH + timedelta(microseconds=microseconds)


def maybe_us(moment: datetime | None) -> int | None:
    """Return microseconds since the epoch, or None."""
    return None if moment is None else to_us(moment)


def maybe_time(microseconds: int | None) -> datetime | None:
    """Return the aware UTC time, or None."""
    return None if microseconds is None else from_us(microseconds)


def plain(text: str) -> str:
    """Return a text that both databases take: no NUL, no half of a surrogate pair."""
    if text.isprintable():
        return text
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def maybe_plain(text: str | None) -> str | None:
    """Return a text that both databases take, or None."""
    return None if text is None else plain(text)


def to_json(value: object) -> str:
    """Return compact JSON."""
    return plain(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def message_to_json(message: Message | None) -> str | None:
    """Return a message as stored, or None."""
    if message is None:
        return None
    media = [
        [m.card, m.alt, m.kind, m.width, m.height, m.required, m.digest, m.url]
        for m in message.media
    ]
    fields = (message.text, message.language, message.subject, message.data)
    more = [message.length, message.limit, message.act.value]
    return to_json([*fields, media, *more, message.link, message.after, message.missing])


def message_from_json(text: str | None) -> Message | None:
    """Return a stored message, or None."""
    if text is None:
        return None
    words, language, subject, data, media, length, limit, *more = json.loads(text)
    act, link, after, missing = more or (Act.POST, None, None, None)  # none: before cards
    pictures = tuple(Media(*one) for one in media)
    return Message(
        words, language, subject, data, pictures, length, limit, Act(act), link, after, missing
    )


def receipt_to_json(receipt: Receipt | None) -> str | None:
    """Return a receipt as stored, or None."""
    if receipt is None:
        return None
    return to_json([receipt.remote_id, receipt.url, dict(receipt.details), receipt.note])


def receipt_from_json(text: str | None) -> Receipt | None:
    """Return a stored receipt, or None."""
    return None if text is None else Receipt(*json.loads(text))


def to_delivery(row: Row, reference: str) -> Delivery:
    """Return a delivery from its row."""
    return Delivery(
        id=row["id"],
        alert=row["alert"],
        incident=row["incident"],
        version=row["version"],
        reference=reference,
        channel=row["channel"],
        type=row["type"],
        part=row["part"],
        state=State(row["state"]),
        reason=row["reason"],
        message=message_from_json(row["message"]),
        key=row["key"],
        generation=row["generation"],
        stamp=from_us(row["stamp"]),
        rank=row["rank"],
        expires=from_us(row["expires"]),
        accepted=from_us(row["accepted"]),
        due=maybe_time(row["due"]),
        reply_to=receipt_from_json(row["reply_to"]),
        receipt=receipt_from_json(row["receipt"]),
        attempts=row["attempts"],
        first_attempt=maybe_time(row["first_attempt"]),
        doubtful=bool(row["doubtful"]),
        reads=row["reads"],
        unknown_since=maybe_time(row["unknown_since"]),
        handle=None if row["handle"] is None else as_mapping(row["handle"]),
        seen=seen_from_json(row.get("seen")),
    )


def seen_to_json(seen: Seen) -> str:
    """Return what looks have shown, as stored."""
    return to_json(
        {
            "looked": to_us(seen.looked),
            "there": seen.there,
            "looks": seen.looks,
            "after_seconds": seen.after_seconds,
            "text_hash": seen.text_hash,
            "reason": seen.reason,
            "public": seen.public,
            "counts": dict(seen.counts),
        }
    )


def seen_from_json(text: str | None) -> Seen | None:
    """Return what looks have shown, or None."""
    if text is None:
        return None
    value = json.loads(text)
    return Seen(**value | {"looked": from_us(value["looked"])})


def delivery_of(row: Row) -> Delivery:
    """Return a delivery; its reference is made of incident and version."""
    return to_delivery(row, f"{row['incident']}/{row['version']}")


def as_far_as_readable(row: Row) -> Delivery:
    """Return a delivery, without what a damaged row cannot tell: for pages, never for sending."""
    try:
        return delivery_of(row)
    except UNREADABLE:
        return delivery_of(row | dict.fromkeys(_MAY_BE_MISSING))


_MAY_BE_MISSING = (
    *("message", "reply_to", "receipt", "due", "first_attempt", "unknown_since"),
    *("handle", "seen"),
)


def from_delivery(delivery: Delivery, position: int) -> Row:
    """Return the row of a new delivery."""
    message = delivery.message
    return {
        "id": delivery.id,
        "alert": delivery.alert,
        "incident": delivery.incident,
        "version": delivery.version,
        "position": position,
        "channel": delivery.channel,
        "type": delivery.type,
        "part": delivery.part,
        "state": delivery.state.value,
        "reason": delivery.reason,
        "message": message_to_json(delivery.message),
        "key": delivery.key,
        "generation": delivery.generation,
        "stamp": to_us(delivery.stamp),
        "rank": delivery.rank,
        "expires": to_us(delivery.expires),
        "accepted": to_us(delivery.accepted),
        "due": maybe_us(delivery.due),
        "attempts": 0,
        "doubtful": 0,
        "absent": 0,
        "reads": 0,
        "after": maybe_plain(message.after) if message else None,
        "card": plain(message.media[0].card) if message and message.media else None,
    }


def to_attempt(row: Row) -> Attempt:
    """Return an attempt from its row joined with its end."""
    outcome = row["outcome"]
    return Attempt(
        number=row["number"],
        started=from_us(row["started"]),
        finished=maybe_time(row["finished"]),
        outcome=None if outcome is None else Outcome(outcome),
        error=row["error"],
    )


def to_accepted(row: Row) -> Accepted:
    """Return an accepted alert from its row; one whose text is damaged warns of it, without it."""
    alert, damaged = _alert(row)
    return Accepted(
        id=row["id"],
        incident=row["incident"],
        version=row["version"],
        alert=alert,
        expires=from_us(row["expires"]),
        accepted=from_us(row["accepted"]),
        released_at=from_us(row["released_at"]),
        released_by=row["released_by"],
        content_key=row["content_key"],
        content_hash=row["content_hash"],
        warnings=(*_warnings(row), *damaged),
        superseded_by=row["superseded_by"],
        ended_at=maybe_time(row["ended"]),
    )


def _alert(row: Row) -> tuple[Alert, tuple[str, ...]]:
    """Return what an alert says, and that it is damaged: one such row must not hide all others."""
    try:
        return Alert.model_validate_json(row["body"]), ()
    except UNREADABLE:
        return _rebuilt(row), (NOT_READABLE,)


def _warnings(row: Row) -> tuple[str, ...]:
    try:
        return tuple(str(one) for one in json.loads(row["warnings"]))
    except UNREADABLE:
        return ("this alert's stored warnings cannot be read",)


def _rebuilt(row: Row) -> Alert:
    """Return what the columns still tell of an alert: whose it is, its kind and time, no content.

    Only an all-clear ends at the moment of its acceptance; it is taken for a Cancel.
    """
    later = MsgType.CANCEL if row["ended"] == row["accepted"] else MsgType.UPDATE
    return Alert.model_construct(
        identifier=row["identifier"],
        sender=row["sender"],
        sent=from_us(row["accepted"]).replace(microsecond=0),
        status=Status(row["status"]),
        msg_type=MsgType.ALERT if row["version"] == 1 else later,
        scope=Scope.PUBLIC,
    )


def restored(accepted: Accepted, answer: str) -> Accepted:
    """Return a damaged alert as its stored answer has it; as it is where that is damaged too."""
    try:
        said = json.loads(answer)
        names = {field.alias for field in Alert.model_fields.values()} & said.keys()
        alert = Alert.model_validate_json(to_json({name: said[name] for name in names}))
    except (*UNREADABLE, AttributeError):
        return accepted
    if alert.identifier != accepted.alert.identifier or alert.sender != accepted.alert.sender:
        return accepted
    others = (one for one in accepted.warnings if one != NOT_READABLE)
    return replace(accepted, alert=alert, warnings=(*others, FROM_ANSWER))


def from_accepted(accepted: Accepted) -> Row:
    """Return the row of a new alert."""
    alert = accepted.alert
    return {
        "id": accepted.id,
        "incident": accepted.incident,
        "version": accepted.version,
        "identifier": alert.identifier,
        "sender": alert.sender,
        "status": alert.status.value,
        "accepted": to_us(accepted.accepted),
        "expires": to_us(accepted.expires),
        "released_at": to_us(accepted.released_at),
        "released_by": accepted.released_by,
        "content_key": accepted.content_key,
        "content_hash": accepted.content_hash,
        "body": to_json(alert.to_json()),
        "warnings": to_json(list(accepted.warnings)),
        "superseded_by": None,
        "ended": maybe_us(accepted.ended_at),
    }


def as_mapping(text: str | None) -> Mapping[str, Any]:
    """Return a stored JSON object, {} for none."""
    return {} if text is None else json.loads(text)
