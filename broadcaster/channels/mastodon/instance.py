"""What an instance says of itself, and what its answers mean."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from broadcaster.channels import LANDSCAPE, Limits, Measure, Picture
from broadcaster.channels.http import Answer, failure_for, retry_after, sensible
from broadcaster.channels.mastodon import wire
from broadcaster.channels.mastodon.wire import Wire
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Rejected, Unknown

ALT_MAX = 1500  # characters of a picture's description, unless the instance says otherwise
SAID_MAX = 200


def failure_of(line: Wire, error: Exception | None, host: str, now: datetime) -> Failure:
    """Give what the latest request came to, by what was seen of it."""
    answer = line.answer
    if answer is None and not line.connected:
        reason = wire.unreached(error) if error else "no request was made"
        return NotSent(f"nothing was sent to {host}: {reason}")
    if answer is None:
        return Unknown(f"{host} was sent the request, but no answer came")
    said = f"{host} answered {answer.status}{said_in(answer)}"
    if answer.status == 429:
        wait = _until_reset(answer.headers, now) or retry_after(answer.headers, now)
        return NotSent(said, wait, rate_limited=True)
    if 400 <= answer.status < 500 and not answer.whole:
        return Unknown(f"{said}, but the answer broke off")
    if answer.status in {401, 403}:
        return NeedsPerson(said)
    if 400 <= answer.status < 500 and answer.status not in {402, 408}:
        return Rejected(said)
    return failure_for(answer, host, now)


def limits_of(read: Mapping[str, int]) -> Limits:
    """Give how much fits into a status; Mastodon's own numbers where none were read."""
    return Limits(
        Measure.MASTODON, read.get("maximum", 500), link_length=read.get("link_length", 23)
    )


def picture_of(read: Mapping[str, int]) -> Picture:
    """Give the form of the card, with as much description as the instance keeps."""
    return replace(LANDSCAPE, alt_maximum=min(read.get("alt", ALT_MAX), ALT_MAX))


def kept(limits: Limits) -> dict[str, int]:
    """Give limits in the form in which they are read."""
    return {"maximum": limits.maximum, "link_length": limits.link_length or 23}


def read_limits(instance: Any) -> dict[str, int]:
    """Give the limits an instance names; what is no sensible number is left out."""
    statuses = instance["configuration"]["statuses"]
    media = instance["configuration"].get("media_attachments") or {}
    found = {
        "maximum": statuses.get("max_characters"),
        "link_length": statuses.get("characters_reserved_per_url"),
        "alt": media.get("description_limit"),
    }
    return {name: value for name, value in found.items() if type(value) is int and value > 0}


def shut_of(account: Mapping[str, Any]) -> str | None:
    """Say why nobody would read this account, None if they would."""
    if account.get("suspended") is True:
        return "the account is suspended"
    moved = account.get("moved")
    if isinstance(moved, dict):
        return f"the account has moved to @{_printable(str(moved.get('acct', 'somewhere else')))}"
    return None


def said_in(answer: Answer) -> str:
    """Give the server's own sentence, shortened; empty if it has none."""
    try:
        error = json.loads(answer.body)["error"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return f": {_printable(str(error))}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)[:SAID_MAX]


def _until_reset(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Read `X-RateLimit-Reset` (ISO 8601, or seconds since 1970) against the server's own clock."""
    value = headers.get("X-RateLimit-Reset", "")
    try:
        if re.fullmatch(r"[0-9]{1,11}", value):
            reset = datetime.fromtimestamp(int(value), now.tzinfo)
        else:
            reset = datetime.fromisoformat(value)
        wait = reset - (parsedate_to_datetime(headers["Date"]) if "Date" in headers else now)
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return sensible(wait) if wait > timedelta(0) else None
