"""What an alert must mean to be sent, beyond the shape the models check.

The checks read the JSON as it came and skip what has the wrong shape, so that one answer names the
faults of shape and of meaning together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from broadcaster.alert import CapTime, Submission
from broadcaster.intake.faults import Fault, invalid, pointer
from broadcaster.intake.json import DEPTH_MAX, model, read

AHEAD_MAX = timedelta(hours=72)
BEHIND_MAX = timedelta(hours=72)  # an old alert would read as if it were of today
CLOCKS_APART_MAX = timedelta(minutes=5)
_TIME: TypeAdapter[datetime] = TypeAdapter(CapTime)
_ALL_CLEAR = "AllClear"


def submission(body: bytes, now: datetime, *, depth_max: int = DEPTH_MAX) -> Submission:
    """Read an alert from a request's body. Raises Malformed or Invalid with every fault."""
    value = read(body, depth_max=depth_max)
    found, faults = model(Submission, value)
    known = {fault.pointer for fault in faults}
    if isinstance(value, dict):
        faults += [fault for fault in faults_of(value, now) if fault.pointer not in known]
    if found is None or faults:
        raise invalid(faults)
    return found


def faults_of(value: Mapping[str, Any], now: datetime) -> Iterator[Fault]:
    """Give every fault of meaning in an alert as it came."""
    infos = [info for info in _list(value.get("info")) if isinstance(info, dict)]
    yield from _not_public(value)
    yield from _references(value)
    yield from _content(value, infos)
    yield from _agreement(infos)
    yield from _all_clear(value, infos)
    yield from _sent(value, infos, now)
    for index, info in enumerate(infos):
        yield from _times(value, info, index, now)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _not_public(value: Mapping[str, Any]) -> Iterator[Fault]:
    if value.get("status") == "Draft":
        yield Fault("/status", "a Draft cannot be sent; it is not for the public", "not-public")
    if value.get("msgType") in ("Ack", "Error"):
        yield Fault("/msgType", "Ack and Error are no messages to the public", "not-public")
    if value.get("scope") in ("Restricted", "Private"):
        yield Fault("/scope", "only what is Public is sent", "not-public")


def _references(value: Mapping[str, Any]) -> Iterator[Fault]:
    kind, references = value.get("msgType"), value.get("references")
    if kind == "Alert" and references is not None:
        detail = "an Alert begins an incident and refers to nothing; send an Update or a Cancel"
        yield Fault("/references", detail, "references-forbidden")
    if kind in ("Update", "Cancel") and references is None:
        yield Fault(
            "/references", f"a message of type {kind} must name what it replaces", "missing"
        )


def _content(value: Mapping[str, Any], infos: list[dict[str, Any]]) -> Iterator[Fault]:
    if value.get("msgType") == "Cancel":
        return
    if not infos and not value.get("info"):
        yield Fault("/info", "must say what happens, in at least one language", "missing")
    for index, info in enumerate(infos):
        if not info.get("area"):
            detail = "must name at least one area; a warning without a place is for nobody"
            yield Fault(pointer("info", index, "area"), detail, "missing")


def _agreement(infos: list[dict[str, Any]]) -> Iterator[Fault]:
    languages: set[str] = set()
    for index, info in enumerate(infos):
        language = str(info.get("language")).lower()
        if language in languages:
            detail = "there is another info block in this language"
            yield Fault(pointer("info", index, "language"), detail, "language-repeated")
        languages.add(language)
        for name in ("urgency", "severity", "certainty"):
            if info.get(name) != infos[0].get(name):
                detail = f"all info blocks must agree in {name}; the first says otherwise"
                yield Fault(pointer("info", index, name), detail, "disagrees")


def _all_clear(value: Mapping[str, Any], infos: list[dict[str, Any]]) -> Iterator[Fault]:
    """An all-clear passes every severity rule, so nothing may be half of one."""
    asked = [_list(info.get("responseType")) for info in infos]
    if not any(_ALL_CLEAR in types for types in asked):
        return
    for index, types in enumerate(asked):
        if types != [_ALL_CLEAR]:
            detail = "an all-clear asks for nothing else, in every info block"
            yield Fault(pointer("info", index, "responseType"), detail, "all-clear-mixed")
    if value.get("msgType") == "Alert":
        detail = "an all-clear must name what it ends: send a Cancel or an Update with references"
        yield Fault("/msgType", detail, "all-clear-without-alert")


def _time(value: Any) -> datetime | None:
    try:
        return _TIME.validate_python(value) if isinstance(value, str) else None
    except ValidationError:
        return None  # the model has named this fault already


def _sent(value: Mapping[str, Any], infos: list[dict[str, Any]], now: datetime) -> Iterator[Fault]:
    """A time of sending that is not about now; an all-clear is never held up for being old."""
    clears = any(_ALL_CLEAR in _list(info.get("responseType")) for info in infos)
    sent = _time(value.get("sent"))
    if sent and sent > now + CLOCKS_APART_MAX:
        yield Fault("/sent", "lies in the future; check the sender's clock", "sent-ahead")
    if sent and sent < now - BEHIND_MAX and not (clears or value.get("msgType") == "Cancel"):
        yield Fault("/sent", "lies more than 72 hours in the past", "sent-past")


def _times(
    value: Mapping[str, Any], info: Mapping[str, Any], index: int, now: datetime
) -> Iterator[Fault]:
    expires, sent = _time(info.get("expires")), _time(value.get("sent"))
    at = pointer("info", index, "expires")
    if expires and expires <= now:
        yield Fault(at, "lies in the past", "expires-past")
    elif expires and expires > now + AHEAD_MAX:
        yield Fault(at, "lies more than 72 hours ahead", "expires-ahead")
    elif expires and sent and expires <= sent:
        yield Fault(at, "is not after sent", "expires-before-sent")
    for name in ("effective", "onset"):
        begins, place = _time(info.get(name)), pointer("info", index, name)
        if begins and expires and begins > expires:
            yield Fault(place, "is after expires", f"{name}-after-expires")
        elif begins and begins > now + AHEAD_MAX:
            yield Fault(place, "lies more than 72 hours ahead", f"{name}-ahead")
