"""What every answer shows of an alert: pure functions from rows to JSON.

The answer to a POST, a page of the list, an event and the body of our own webhooks show the same
alert in the same words, because they are all made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic_core import to_json

from broadcaster.alert import Alert
from broadcaster.delivery import OPEN, Attempt, Delivery, Seen, State
from broadcaster.record import Accepted, ChannelRow, Event, View


class AlertState(StrEnum):
    """Where an alert stands. `draft` and `waiting-release` are reserved."""

    ACTIVE = "active"  # in force, or a delivery is open
    ENDED = "ended"  # an all-clear was accepted, or a newer version
    EXPIRED = "expired"


def dumps(value: Any) -> bytes:
    """Return compact UTF-8 JSON."""
    return to_json(value)


def moment(time: datetime | None) -> str | None:
    """Return a time as ISO 8601 with offset and milliseconds, UTC."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds") if time else None


def alert_state(accepted: Accepted, states: Iterable[State], now: datetime) -> AlertState:
    """Say where an alert stands, from its own row and the states of its deliveries."""
    if accepted.ended_at or accepted.superseded_by:
        return AlertState.ENDED
    if accepted.expires > now or not OPEN.isdisjoint(states):
        return AlertState.ACTIVE
    return AlertState.EXPIRED


def alert_json(
    accepted: Accepted,
    deliveries: Sequence[tuple[Delivery, Sequence[Attempt]]],
    now: datetime,
) -> dict[str, Any]:
    """Return the alert as every answer gives it, with its deliveries and their attempts."""
    state = alert_state(accepted, (delivery.state for delivery, _ in deliveries), now)
    shown = [delivery_json(delivery, attempts) for delivery, attempts in deliveries]
    return _head(accepted) | {"state": state, "deliveries": shown}


def view_json(view: View, now: datetime) -> dict[str, Any]:
    """Return a stored alert as every answer gives it, naming the newest of its incident."""
    shown = alert_json(view.accepted, view.deliveries, now) | {"newest": view.newest}
    for one in shown["deliveries"]:
        one["told"] = one["id"] in view.told
        one["since"] = moment(view.since.get(one["id"])) or one["since"]
    return shown


def listed_json(accepted: Accepted, counts: Mapping[str, int], now: datetime) -> dict[str, Any]:
    """Return an alert as a list shows it: how many deliveries are in each state, not which."""
    state = alert_state(accepted, map(State, counts), now)
    return _head(accepted) | {"state": state, "counts": dict(counts)}


_OPTIONAL = ("source", "note", "code", "references", "incidents")


def _head(accepted: Accepted) -> dict[str, Any]:
    said = accepted.alert.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return {
        "id": accepted.id,
        "reference": accepted.reference,
        "incident": accepted.incident,
        **{name: said[name] for name in ("identifier", "sender", "sent", "status", "msgType")},
        "scope": said.get("scope", "Public"),
        **{name: said[name] for name in _OPTIONAL if said.get(name)},
        "expires": moment(accepted.expires),
        "state": AlertState.ACTIVE,
        "accepted": moment(accepted.accepted),
        "released_at": moment(accepted.released_at),
        "released_by": accepted.released_by,
        "superseded_by": accepted.superseded_by,
        "ended_at": moment(accepted.ended_at),
        "content_hash": accepted.content_hash,
        "info": said.get("info", []),
        "warnings": list(accepted.warnings),
    }


def delivery_json(delivery: Delivery, attempts: Sequence[Attempt] = ()) -> dict[str, Any]:
    """Return one delivery with its attempts, as it is when it has just been accepted.

    `since` is when it came into its state; `told` says that an on-call target knows of its trouble.
    """
    receipt = delivery.receipt
    return {
        "id": delivery.id,
        "channel": delivery.channel,
        "type": delivery.type,
        "part": delivery.part,
        "state": delivery.state,
        "reason": delivery.reason,
        "due": moment(delivery.due),
        "message": delivery.message.to_json() if delivery.message else None,
        "remote_id": receipt.remote_id if receipt else None,
        "url": receipt.url if receipt else None,
        "note": receipt.note if receipt else None,
        "seen": seen_json(delivery.seen) if delivery.seen else None,
        "since": moment(delivery.accepted),
        "told": False,
        "attempts": [attempt_json(attempt) for attempt in attempts],
    }


def seen_json(seen: Seen) -> dict[str, Any]:
    """Return what looking a post up again has shown; `text_hash` is the sha256 of the text seen."""
    return {
        "there": seen.there,
        "public": seen.public,
        "looked": moment(seen.looked),
        "looks": seen.looks,
        "after_seconds": seen.after_seconds,
        "text_hash": seen.text_hash,
        "reason": seen.reason,
        "counts": dict(seen.counts),
    }


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """Return one attempt; `finished` and `outcome` are null while it is under way."""
    return {
        "number": attempt.number,
        "started": moment(attempt.started),
        "finished": moment(attempt.finished),
        "outcome": attempt.outcome,
        "error": attempt.error,
    }


def event_json(event: Event) -> dict[str, Any]:
    """Return one state change, as a server-sent event carries it."""
    return {
        "id": event.id,
        "alert": event.alert,
        "delivery": event.delivery,
        "channel": event.channel,
        "part": event.part,
        "at": moment(event.at),
        "state": event.state,
        "before": event.before,
        "reason": event.reason,
        "url": event.url,
    }


def stored_channel_json(row: ChannelRow | None) -> dict[str, Any]:
    """Return what the store knows of a channel: readiness, pause, whether it is switched off."""
    row = row or ChannelRow("", "")
    readiness = row.readiness
    return {
        "ready": readiness.ready if readiness else None,
        "sentence": readiness.sentence if readiness else "not probed yet",
        "remedy": readiness.remedy if readiness else None,
        "account": readiness.account if readiness else None,
        "days_left": readiness.days_left if readiness else None,
        "quota_left": readiness.quota_left if readiness else None,
        "bound": dict(row.bound) if row.bound else None,
        "held": row.held,
        "probed": moment(row.probed),
        "paused_until": moment(row.paused_until),
        "pause_reason": row.pause_reason,
        "switched_off": row.switched_off,
    }


_HOOK_TYPES = {"Alert": "alert.issued", "Update": "alert.updated", "Cancel": "alert.cancelled"}


def hook_body(head: Mapping[str, Any], delivery: Delivery, now: datetime) -> str:
    """Return the exact body of one of our own webhooks: the alert with this delivery alone.

    `head` is `alert_json` of the alert. An Update that is an all-clear is told as cancelled.
    """
    data = {**head, "deliveries": [delivery_json(delivery)]}
    body = {"type": _hook_type(head), "timestamp": moment(now), "data": data}
    return dumps(body).decode()


def _hook_type(head: Mapping[str, Any]) -> str:
    ended = any("AllClear" in info.get("responseType", ()) for info in head["info"])
    return "alert.cancelled" if ended else _HOOK_TYPES[head["msgType"]]


def references_text(alerts: Iterable[Alert]) -> str:
    """Return CAP's `references`: `sender,identifier,sent` triples, separated by spaces."""
    triples = (alert.to_json() for alert in alerts)
    return " ".join(f"{one['sender']},{one['identifier']},{one['sent']}" for one in triples)
