"""Posts that a person makes: what to post where, and saying where it is then.

`waiting` becomes `sent` by that, and so does `unknown`, where somebody saw the post.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from broadcaster.delivery import State
from broadcaster.terminal import tables
from broadcaster.terminal.client import Client, Json
from broadcaster.terminal.ending import FINE
from broadcaster.terminal.output import Output, now
from broadcaster.terminal.target import Misuse, Target, connect

CONFIRMED = frozenset({State.WAITING, State.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Posted:
    """Where a post is: of which alert, channel and part. `part` may be left out if one is due."""

    alert: str
    channel: str
    url: str
    part: str | None = None


async def confirm(target: Target, posted: Posted, output: Output) -> int:
    """Confirm the delivery that is meant. Raises Misuse where none is, or more than one."""
    async with connect(target) as client:
        alert = await client.alert(posted.alert)
        one = due(alert, posted)
        after = await confirmed(client, alert, one, posted.url)
    output.document(after)
    output.say(f"{posted.channel}/{one['part']} of Nr. {alert['reference']} is out: {posted.url}")
    if not output.json:
        output.show(tables.deliveries(after, now()))
    return FINE


def due(alert: Json, posted: Posted) -> Json:
    """Return the one delivery that waits for this. Raises Misuse with what there is instead."""
    of_channel = [one for one in alert["deliveries"] if one["channel"] == posted.channel]
    if not of_channel:
        there = ", ".join(dict.fromkeys(one["channel"] for one in alert["deliveries"]))
        raise Misuse(f"Nr. {alert['reference']} has no channel {posted.channel!r}, but: {there}.")
    meant = [one for one in of_channel if posted.part in {None, one["part"]}]
    waiting = [one for one in meant if one["state"] in CONFIRMED]
    if not waiting:
        stand = ", ".join(f"{one['part']} is {one['state']}" for one in of_channel)
        raise Misuse(f"Nothing of {posted.channel} waits to be confirmed: {stand}.")
    if len(waiting) > 1:
        parts = ", ".join(one["part"] for one in waiting)
        raise Misuse(f"Which one of {posted.channel}? Name it with --part: {parts}.")
    found: Json = waiting[0]
    return found


async def confirmed(client: Client, alert: Json, one: Json, url: str) -> Json:
    """Confirm one delivery; return its alert as it is then."""
    way = f"/v1/alerts/{quote(alert['id'], safe='')}/deliveries/{quote(one['id'], safe='')}/confirm"
    answer: Json = await client.post(way, {"url": url})
    return answer


def by_hand(alert: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Give what a person has to post: a heading, and where, which card, which text, what then."""
    for one in alert.get("deliveries", []):
        if one.get("state") != State.WAITING:
            continue
        message = one.get("message") or {}
        words = f"{alert.get('reference')} {one.get('channel')} LINK --part {one.get('part')}"
        lines = [
            f"Where: {message.get('link')}",
            *(f"Card:  {media.get('url')}" for media in message.get("media") or []),
            *([f"Title: {message['subject']}"] if message.get("subject") else []),
            "",
            str(message.get("text", "")),
            "",
            f"Then:  broadcaster confirm {words}",
        ]
        yield f"To be posted by hand: {one.get('channel')}/{one.get('part')}", "\n".join(lines)
