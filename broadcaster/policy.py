"""Which channel carries which alert, and why not, in words for people."""

from __future__ import annotations

from collections.abc import Sequence

from broadcaster.alert import Scope, Submission
from broadcaster.channels import Channel


def withheld(alert: Submission, channel: Channel) -> str | None:
    """Say why this channel does not carry this alert, or None when it does.

    An all-clear is recognised before any severity rule: for it only status and scope count. Whether
    a channel carried the warning that an all-clear ends is for the accepting transaction to say.
    """
    if barred := barred_by_status(alert, channel):
        return barred
    refused = None if alert.is_all_clear else _content(alert, channel)
    return refused and f"{channel.config.name} carries {refused}"


def barred_by_status(alert: Submission, channel: Channel) -> str | None:
    """Say why this channel may show nothing of this status or scope, whatever it showed before.

    A drill never reaches a channel that does not name drills, though an earlier version went out
    there while it did.
    """
    refused = _status(alert, channel)
    return refused and f"{channel.config.name} carries {refused}"


def _status(alert: Submission, channel: Channel) -> str | None:
    if alert.scope is not Scope.PUBLIC:
        return f"Public alerts only; this alert is {alert.scope}"
    if alert.status not in channel.carries.status:
        return f"{_named(channel.carries.status)} alerts only; this alert is {alert.status}"
    return None


def _content(alert: Submission, channel: Channel) -> str | None:
    """Hold the alert against every rule of `carries`, so that all that is in the way is named.

    All info blocks agree in severity, urgency and certainty (the door sees to it), so the first one
    speaks for them; of the categories one that is carried is enough.
    """
    info, carries = alert.info[0], channel.carries
    categories = [category for block in alert.info for category in block.category]
    rules: Sequence[tuple[str, Sequence[str] | None, Sequence[str]]] = (
        ("", carries.severity, [alert.severity]),
        ("urgency ", carries.urgency, [info.urgency]),
        ("certainty ", carries.certainty, [info.certainty]),
        ("category ", carries.category, list(dict.fromkeys(categories))),
    )
    refused = [
        f"{field}{_named(carried or ['nothing'])} only; this alert is {_named(has)}"
        for field, carried, has in rules
        if carried is not None and not set(has) & set(carried)
    ]
    return "; and ".join(refused) or None


def _named(values: Sequence[str]) -> str:
    """Write "Extreme, Severe and Moderate"."""
    *first, last = values
    return f"{', '.join(first)} and {last}" if first else str(last)
