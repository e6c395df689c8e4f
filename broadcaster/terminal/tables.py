"""What people see of alerts, deliveries, channels and keys: rows made of the API's answers.

A state is always a word and a symbol, never a colour alone. A state this version does not know is
shown as it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from broadcaster.delivery import OUT, State
from broadcaster.terminal.output import Rows, cell

Json = Mapping[str, Any]

_LOOKS: Mapping[str, tuple[str, str]] = {
    State.WITHHELD: ("-", "dim"),
    State.QUEUED: ("…", "yellow"),
    State.SENDING: ("→", "cyan"),
    State.UNKNOWN: ("?", "bold magenta"),
    State.WAITING: ("!", "bold yellow"),
    State.SENT: ("✓", "green"),
    State.VISIBLE: ("✓", "bold green"),
    State.FAILED: ("✗", "bold red"),
    State.EXPIRED: ("✗", "red"),
    State.SUPERSEDED: ("↷", "dim"),
    State.RETRACTED: ("↩", "dim"),
}
_SEVERITIES: Mapping[str, str] = {"Extreme": "bold red", "Severe": "red", "Moderate": "yellow"}


def state(name: str) -> Text:
    """Return a state as symbol, word and colour."""
    symbol, style = _LOOKS.get(name, ("·", ""))
    return cell(f"{symbol} {name}", style)


def moment(value: object) -> datetime | None:
    """Read a time of an answer; None where there is none."""
    if not isinstance(value, str) or not value:
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def clock(value: object, now: datetime) -> str:
    """Return a time as the wall clock here shows it, with its day where that is not today."""
    at = moment(value)
    if at is None:
        return ""
    here, today = at.astimezone(), now.astimezone().date()
    return here.strftime("%H:%M:%S" if here.date() == today else "%d.%m.%Y %H:%M:%S")


def since(earlier: object, later: datetime | None) -> str:
    """Return how long after `earlier` something was, for people: "0.4 s", "3 min", "2 h"."""
    at = moment(earlier)
    if at is None or later is None:
        return ""
    seconds = max((later - at).total_seconds(), 0.0)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"


def headline(alert: Json) -> str:
    """Return one line that says which alert this is."""
    infos = alert.get("info") or [{}]
    first = infos[0]
    words = [
        f"Nr. {alert.get('reference', '?')}",
        str(alert.get("msgType", "")),
        *([str(alert["status"])] if alert.get("status") not in (None, "Actual") else []),
        str(first.get("severity", "")),
        str(first.get("headline") or first.get("event") or ""),
    ]
    return "  ".join(word for word in words if word)


def deliveries(alert: Json, now: datetime) -> Rows:
    """Return the deliveries of an alert, a row each."""
    rows = [_delivery(one, alert, now) for one in alert.get("deliveries", [])]
    headings = ("channel", "type", "part", "state", "tries", "after", "where, or why not")
    return Rows(headings, rows, headline(alert), folded=frozenset(headings[-1:]))


def _delivery(one: Json, alert: Json, now: datetime) -> tuple[Text, ...]:
    return (
        cell(one.get("channel"), "bold"),
        cell(one.get("type")),
        cell(one.get("part")),
        state(str(one.get("state"))),
        cell(len(one.get("attempts") or []) or ""),
        cell(after(one, alert, now)),
        cell(what(one, now), "dim" if one.get("state") == State.WITHHELD else ""),
    )


def after(one: Json, alert: Json, now: datetime) -> str:
    """Return how long after acceptance it went out, or for how long it has been open.

    Empty where nobody says when: a post that was found by reading back was out before that.
    """
    name, accepted = one.get("state"), alert.get("released_at")
    if name == State.WITHHELD:
        return ""
    if name not in OUT | _OVER:
        return since(accepted, now)
    tries = one.get("attempts") or [{}]
    last = tries[-1].get("finished") if tries[-1].get("outcome") != "unknown" else None
    return since(accepted, moment(one.get("changed") or last))


_OVER = frozenset({State.FAILED, State.EXPIRED, State.SUPERSEDED, State.RETRACTED})


def what(one: Json, now: datetime) -> str:
    """Return where it can be seen or must be posted, or why it is not out, or when it is tried."""
    reason = str(one.get("reason") or _last_error(one) or "")
    if one.get("state") in OUT:
        where = one.get("url") or one.get("remote_id") or "taken; this network gives no link"
        return f"{where} ({one['note']})" if one.get("note") else str(where)
    if one.get("state") == State.WAITING:
        return f"post it by hand: {(one.get('message') or {}).get('link') or reason}"
    due = moment(one.get("due"))
    if one.get("state") == State.QUEUED and due and due > now:
        return f"again at {clock(one['due'], now)}" + (f": {reason}" if reason else "")
    return reason


def _last_error(one: Json) -> object:
    attempts = one.get("attempts") or [{}]
    return attempts[-1].get("error")


def change(one: Json, alert: Json, now: datetime) -> str:
    """Return what just became of a delivery, for where no table can be drawn again and again."""
    return f"{clock(now.isoformat(), now)}  {standing(one, alert, now)}"


def standing(one: Json, alert: Json, now: datetime) -> str:
    """Return how a delivery stands in one line, lined up with the others of its alert."""
    places = [_place(each) for each in alert.get("deliveries", [])]
    words = [
        _place(one).ljust(max(map(len, places), default=0)),
        state(str(one.get("state"))).plain.ljust(_STATE_WIDTH),
        after(one, alert, now).rjust(_AFTER_WIDTH),
        what(one, now),
    ]
    return "  ".join(words).rstrip()


_STATE_WIDTH = len("? superseded")
_AFTER_WIDTH = len("59.9 s")


def _place(one: Json) -> str:
    return f"{one.get('channel')}/{one.get('part')}"


def attempts(alert: Json, now: datetime) -> Rows:
    """Return every attempt of every delivery, oldest first within each."""
    rows = [
        (
            cell(one.get("channel"), "bold"),
            cell(one.get("part")),
            cell(attempt.get("number")),
            cell(clock(attempt.get("started"), now)),
            cell(since(attempt.get("started"), moment(attempt.get("finished")))),
            cell(attempt.get("outcome") or "under way"),
            cell(attempt.get("error")),
        )
        for one in alert.get("deliveries", [])
        for attempt in one.get("attempts") or []
    ]
    headings = ("channel", "part", "try", "started", "took", "outcome", "said")
    return Rows(headings, rows, "Attempts", folded=frozenset({"said"}))


def texts(alert: Json) -> Iterable[tuple[str, str]]:
    """Give each delivery's heading and text: what goes out, or why nothing does."""
    for one in alert.get("deliveries", []):
        name = f"{one.get('channel')}  {one.get('type')}  {one.get('part')}"
        if one.get("state") == State.WITHHELD:
            yield f"{name}  withheld", str(one.get("reason") or "")
            continue
        message = one.get("message") or {}
        subject = f"Subject: {message['subject']}\n" if message.get("subject") else ""
        yield f"{name}  {_length(message)}".rstrip(), subject + str(message.get("text", ""))


def _length(message: Json) -> str:
    length, limit = message.get("length"), message.get("limit")
    if length is None:
        return ""
    return f"{length} of {limit}" if limit is not None else str(length)


def alerts(listed: Sequence[Json], now: datetime, title: str) -> Rows:
    """Return alerts, a row each."""
    rows = [
        (
            cell(one.get("reference"), "bold"),
            cell(one.get("msgType")),
            cell(_severity(one), _SEVERITIES.get(_severity(one), "")),
            cell(clock(one.get("released_at"), now)),
            cell(one.get("state")),
            cell(counts(one)),
            cell(headline(one).rpartition("  ")[2]),
        )
        for one in listed
    ]
    headings = ("reference", "type", "severity", "accepted", "state", "deliveries", "what")
    return Rows(headings, rows, title, folded=frozenset({"deliveries", "what"}))


def _severity(alert: Json) -> str:
    infos = alert.get("info") or [{}]
    return str(infos[0].get("severity", ""))


def counts(alert: Json) -> str:
    """Return how many deliveries are in which state, the worst first."""
    found: dict[str, int] = dict(alert.get("counts") or {})
    for one in alert.get("deliveries") or [] if not found else []:
        name = str(one.get("state"))
        found[name] = found.get(name, 0) + 1
    order = ["failed", "unknown", "expired", "waiting", "queued", "sending", "sent", "visible"]
    known = [name for name in order if name in found]
    return ", ".join(f"{found[n]} {n}" for n in [*known, *(n for n in found if n not in order)])


def channels(listed: Sequence[Json], now: datetime) -> Rows:
    """Return channels with their readiness, those that are not ready first."""
    rows = [
        _channel(one, now)
        for one in sorted(listed, key=lambda one: _readiness(one).get("ready") is True)
    ]
    headings = ("channel", "type", "ready", "asked", "what was found, and what to do")
    return Rows(headings, rows, "Channels", folded=frozenset(headings[-1:]))


_READY: Mapping[object, tuple[str, str]] = {
    True: ("✓ yes", "green"),
    False: ("✗ no", "bold red"),
    None: ("? not asked", "dim"),
}


def _readiness(one: Json) -> Json:
    readiness: Json = one.get("readiness") or {}
    return readiness


def _channel(one: Json, now: datetime) -> tuple[Text, ...]:
    stored = _readiness(one)
    found = [stored.get(name) for name in ("switched_off", "pause_reason", "sentence", "remedy")]
    return (
        cell(one.get("name"), "bold"),
        cell(one.get("type")),
        cell(*_READY.get(stored.get("ready"), _READY[None])),
        cell(clock(stored.get("probed"), now)),
        cell(" ".join(str(part) for part in found if part)),
    )


def keys(listed: Sequence[Json], now: datetime) -> Rows:
    """Return keys, without any secret."""
    rows = [
        (
            cell(one.get("name"), "bold"),
            cell(one.get("id")),
            cell(one.get("role")),
            cell(", ".join(one.get("senders") or [])),
            cell(", ".join([*(one.get("severities") or []), *(one.get("channels") or [])])),
            cell(clock(one.get("created"), now)),
            cell(f"revoked {clock(one['revoked'], now)}" if one.get("revoked") else "in use"),
        )
        for one in listed
    ]
    return Rows(("name", "id", "role", "senders", "only for", "created", "state"), rows)
