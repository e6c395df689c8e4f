"""Alerts from the terminal: send, preview, cancel, and following what became of them.

Each command takes the daemon that is meant and where to write, and returns its exit code.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from urllib.parse import quote

from rich.live import Live

from broadcaster.delivery import State
from broadcaster.terminal import tables
from broadcaster.terminal.client import Client, Json, Lost
from broadcaster.terminal.ending import FINE, NOT_READY, REFUSED, SOME_NOT_OUT
from broadcaster.terminal.output import Output, now
from broadcaster.terminal.sending import Letter, Order, hand_in, read_alert, repeat
from broadcaster.terminal.target import Target, connect
from broadcaster.terminal.watch import all_out, follow, is_settled, not_out

REFRESH_PER_SECOND = 8.0
_NOT_RUNNING = (
    "The daemon does not run: this is stored, and goes out as soon as it is started with: "
    "broadcaster serve --config FILE"
)


@dataclass(frozen=True, slots=True)
class Watching:
    """Whether to follow an alert after it was accepted, and for how long at most."""

    wanted: bool
    seconds: float


async def send(target: Target, order: Order, watching: Watching, output: Output) -> int:
    """Hand an alert in, and follow it if wished."""
    letter = order.letter()
    async with connect(target) as client:
        output.say(f"Idempotency-Key: {letter.key}")
        try:
            alert = await hand_in(client, letter, output.warn)
        except Lost as lost:
            return _no_answer(lost, letter, output)
        return await accepted(client, alert, watching, output)


def _no_answer(lost: Lost, letter: Letter, output: Output) -> int:
    output.error(str(lost))
    if lost.sent:
        output.error("It is not known whether the alert was accepted.")
    else:
        output.error("The alert was not accepted: nothing has gone out.")
    output.warn(f"Repeat the command with --idempotency-key {letter.key}: it is safe to do so.")
    return NOT_READY


async def accepted(client: Client, alert: Json, watching: Watching, output: Output) -> int:
    """Say what was accepted; follow it to its end if wished. Returns the exit code."""
    output.say(f"Accepted: {tables.headline(alert)}")
    for warning in alert.get("warnings") or []:
        output.warn(f"Warning: {warning}")
    if not client.running:
        output.warn(_NOT_RUNNING)
    if not watching.wanted or not client.running:
        output.show(tables.deliveries(alert, now()))
        output.say(f"Follow it with: broadcaster status {alert['reference']}")
        output.document(alert)
        return FINE if client.running else SOME_NOT_OUT
    alert = await watch(client, alert, watching.seconds, output)
    output.document(alert)
    return verdict(alert, output)


async def watch(client: Client, alert: Json, seconds: float, output: Output) -> Json:
    """Show an alert's deliveries as they change, until all is settled or the time is over."""
    try:
        if output.live:
            return await _watch_table(client, alert, seconds, output)
        return await follow(client, alert, Changes(output).show, seconds=seconds)
    except asyncio.CancelledError:
        output.warn(
            "No longer watching; the alert goes out all the same. "
            f"See how it stands with: broadcaster status {alert['reference']}"
        )
        raise


async def _watch_table(client: Client, alert: Json, seconds: float, output: Output) -> Json:
    latest = alert

    def show(changed: Json) -> None:
        nonlocal latest
        latest = changed

    with Live(
        get_renderable=lambda: tables.deliveries(latest, now()).table(),
        console=output.out,
        refresh_per_second=REFRESH_PER_SECOND,
    ):
        return await follow(client, alert, show, seconds=seconds)


_UNTOUCHED = (State.QUEUED, None, 0)  # as every delivery begins, and no news


class Changes:
    """Says in a line each what changed since the last look."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._seen: dict[str, tuple[object, ...]] = {}

    def show(self, alert: Json) -> None:
        """Write a line for every delivery that is not as it was."""
        for one in alert.get("deliveries", []):
            looks = (one.get("state"), one.get("reason"), len(one.get("attempts") or []))
            if self._seen.get(one["id"], _UNTOUCHED) != looks:
                self._output.say(tables.change(one, alert, now()))
            self._seen[one["id"]] = looks


def verdict(alert: Json, output: Output) -> int:
    """Say how an alert ended, and return the exit code that means it."""
    if all_out(alert):
        output.say("All out.", "bold green")
        return FINE
    missing = not_out(alert)
    if not missing:
        output.error("Nothing went out: no channel carries this alert.")
    elif is_settled(alert):
        output.error(f"{len(missing)} not out:")
    else:
        output.error(f"The time is over, and {len(missing)} not out yet:")
    for one in missing:
        output.warn("  " + tables.standing(one, alert, now()))
    return SOME_NOT_OUT


async def preview(target: Target, file: Path, output: Output, cards: Path | None = None) -> int:
    """Show what would go out, per delivery; nothing is stored. The cards go into `cards`."""
    body = read_alert(file)
    async with connect(target) as client:
        answer = await client.post_alert("/v1/preview", body)
        drawn = await _draw(client, body, answer, cards) if cards else []
    output.document(answer)
    if not output.json:
        _show_texts(answer, output)
        for path in drawn:
            output.say(f"Card: {path}")
    return FINE


async def _draw(client: Client, body: bytes, answer: Json, place: Path) -> list[Path]:
    """Write the card of every text that takes one into a directory; the same card once."""
    await asyncio.to_thread(place.mkdir, parents=True, exist_ok=True)
    drawn: dict[bytes, Path] = {}
    for one in answer["deliveries"]:
        if not (one["message"] and one["message"]["media"]):
            continue
        kind, data = await client.card(body, one["channel"], one["part"])
        path = place / f"{one['channel']}-{one['part']}.{kind.partition('/')[2]}"
        if data not in drawn:
            await asyncio.to_thread(path.write_bytes, data)
            drawn[data] = path
    return list(drawn.values())


def _show_texts(answer: Json, output: Output) -> None:
    for heading, text in tables.texts(answer):
        output.say(heading, "bold")
        output.say(indent(text, "    "))
        output.say()
    for warning in answer.get("warnings") or []:
        output.warn(f"Warning: {warning}")


@dataclass(frozen=True, slots=True)
class AllClear:
    """Which alert is over, in whose words if any, and whether to ask before it goes out."""

    name: str
    text: str | None = None
    ask: bool = False


async def cancel(target: Target, wish: AllClear, watching: Watching, output: Output) -> int:
    """Give the all-clear for an alert."""
    async with connect(target) as client:
        alert = await client.alert(wish.name)
        if wish.ask and not _confirmed(alert, output):
            output.say("Nothing was sent.")
            return REFUSED
        path = f"/v1/alerts/{quote(str(alert['id']), safe='')}/cancel"
        body = {"text": wish.text} if wish.text else {}

        async def once() -> Json:
            answer: Json = await client.post(path, body)
            return answer

        return await accepted(client, await repeat(once, output.warn), watching, output)


def _confirmed(alert: Json, output: Output) -> bool:
    output.say(tables.headline(alert), "bold")
    output.people.print("Give the all-clear on every channel that carries it? [y/N] ", end="")
    return sys.stdin.readline().strip().lower() in {"y", "yes", "j", "ja"}
