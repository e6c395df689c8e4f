"""The demo: one night told on stand-in networks, with a real daemon, on this machine alone.

The daemon is a process of its own, as in earnest; the story speaks to it as any command does. It
never reads a configuration of the user's, and nothing leaves the machine.
"""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from broadcaster import logs
from broadcaster.sandbox import SHOWN, Sandbox
from broadcaster.sandbox.configuration import configuration
from broadcaster.sandbox.faults import Fault, Kind
from broadcaster.terminal import alerts, story, tables
from broadcaster.terminal.child import Failed, daemon, free_port, ready
from broadcaster.terminal.client import Client, Json, Lost, Problem
from broadcaster.terminal.ending import FINE, NOT_READY
from broadcaster.terminal.output import Output, Rows, cell, now
from broadcaster.terminal.proof import Night, Proof, doubles, proofs
from broadcaster.terminal.target import Target, connect

ACT_SECONDS = 40.0
RETRY_AFTER_SECONDS = 4.0
PAUSE_SECONDS = 2.0
GIST_LENGTH = 70
# Short waits, so that the night takes half a minute; everything else is as in earnest.
TIMING = """
[timing]
read_back_seconds = [2.0, 6.0, 12.0]
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the story is told on. `api` is the daemon's address."""

    sandbox: Sandbox
    client: Client
    output: Output
    config: Path
    api: str

    async def act(self, text: str) -> None:
        """Begin an act; where somebody watches, leave time to read the one before."""
        if self.output.live:
            await asyncio.sleep(PAUSE_SECONDS)
        self.heading(text)

    def heading(self, text: str) -> None:
        """Begin a part."""
        self.output.say()
        self.output.say(text, "bold cyan")

    def tell(self, text: str) -> None:
        """Say what is about to happen, or what was seen."""
        self.output.say(text)


async def demo(output: Output, *, once: bool) -> int:
    """Tell the night; with `once` end then, else keep everything running until Ctrl-C."""
    logs.configure(level="warning")
    with tempfile.TemporaryDirectory(prefix="broadcaster-demo-") as name:
        try:
            async with _stage(Path(name), output) as stage:
                return await _tell(stage, once=once)
        except (Failed, Lost, Problem) as error:
            output.error(f"The demo could not go on: {error}")
            return NOT_READY


@asynccontextmanager
async def _stage(directory: Path, output: Output) -> AsyncIterator[Stage]:
    """Start the stand-in networks and a daemon on a configuration of its own."""
    sandbox = Sandbox()
    await sandbox.start()
    try:
        port = free_port()
        config = configuration(sandbox, directory, more=TIMING, port=port)
        output.say("Starting stand-in networks and a daemon on this machine; nothing leaves it.")
        async with daemon(config), connect(Target(config=config)) as client:
            await ready(client)
            yield Stage(sandbox, client, output, config, f"http://127.0.0.1:{port}")
    finally:
        await sandbox.close()


async def _tell(stage: Stage, *, once: bool) -> int:
    """Tell the acts, hold the night against what arrived, and say where to look."""
    await _preview(stage)
    fire = await _fire(stage)
    odour = await _odour(stage)
    update = await _update(stage, fire)
    all_clear = await _all_clear(stage, update)
    night = Night(
        fire=await stage.client.alert(fire["id"]),
        odour=await stage.client.alert(odour["id"]),
        update=await stage.client.alert(update["id"]),
        all_clear=await stage.client.alert(all_clear["id"]),
        posts=[post.to_json() for post in stage.sandbox.posts.all(SHOWN)],
        webhook_calls=stage.sandbox.posts.calls("webhook").to_json("webhook")["newest"],
        asked_to_wait_seconds=RETRY_AFTER_SECONDS,
    )
    held = proofs(night)
    places = await _places(stage)
    stage.output.document(_summary(night, held, places))
    _show_end(stage, night, held, places)
    if not once:
        await _until_interrupted(stage)
    return FINE if all(proof.holds for proof in held) else NOT_READY


async def _preview(stage: Stage) -> None:
    await stage.act("1  A warehouse with chemicals burns in Dortmund-Hörde: look before sending.")
    stage.tell("    $ broadcaster preview fire.json")
    body = json.dumps(story.fire(now())).encode()
    shown = await stage.client.post_alert("/v1/preview", body)
    for heading, text in tables.texts(shown):
        words = " ".join(text.partition("\n")[2].split() if "Subject:" in text else text.split())
        stage.tell(f"    {heading:<42} {words[:56]}…")


async def _fire(stage: Stage) -> Json:
    await stage.act("2  The alert goes out (Severe): to five channels at once, German and English.")
    stage.tell(
        "    Two things go wrong on purpose: X takes the post, but its answer is lost; and the\n"
        f"    fire brigade's webhook answers 429, Retry-After {RETRY_AFTER_SECONDS:.0f}."
    )
    stage.sandbox.faults.put(Fault(network="x", fault=Kind.LOST_ANSWER))
    stage.sandbox.faults.put(
        Fault(network="webhook", fault=Kind.RATE_LIMIT, seconds=RETRY_AFTER_SECONDS)
    )
    fire = await _hand_in(stage, "fire.json", story.fire(now()))
    stage.tell("    X was asked what it had, and the post was there: it was not sent again.")
    return fire


async def _odour(stage: Stage) -> Json:
    await stage.act("3  Elsewhere it merely smells (Moderate): X carries only crises.")
    return await _hand_in(stage, "smell.json", story.odour(now()))


async def _update(stage: Stage, fire: Json) -> Json:
    await stage.act("4  The wind turns: an update with a larger area, wherever the alert went.")
    return await _hand_in(stage, "update.json", story.update(now(), str(fire["id"])))


async def _all_clear(stage: Stage, newest: Json) -> Json:
    await stage.act("5  Fire out: the all-clear, by one person with one command.")
    stage.tell(f"    $ broadcaster cancel {newest['reference']} --text '{story.ALL_CLEAR}' --watch")
    path = f"/v1/alerts/{newest['id']}/cancel"
    given = await stage.client.post(path, {"text": story.ALL_CLEAR, "language": "de"})
    return await _follow(stage, given)


async def _hand_in(stage: Stage, file: str, alert: Json) -> Json:
    stage.tell(f"    $ broadcaster send {file} --watch")
    stage.tell(f"    “{alert['info'][0]['headline']}”")
    given = await stage.client.post_alert(
        "/v1/alerts", json.dumps(alert).encode(), headers={"Idempotency-Key": str(uuid.uuid4())}
    )
    return await _follow(stage, given)


async def _follow(stage: Stage, alert: Json) -> Json:
    return await alerts.watch(stage.client, alert, ACT_SECONDS, stage.output)


async def _places(stage: Stage) -> dict[str, str]:
    """Return what there is to look at, by what it is."""
    made = await stage.client.post(
        "/control/keys", {"name": "demo", "role": "trigger", "senders": [story.SENDER]}
    )
    networks = {name: f"{stage.sandbox.url}/{name}/" for name in SHOWN}
    return {
        "all timelines": f"{stage.sandbox.url}/",
        **networks,
        "API": f"{stage.api}/v1/alerts",
        "its description": f"{stage.api}/openapi.json",
        "a key for it": made["key"],
    }


def _summary(night: Night, held: list[Proof], places: dict[str, str]) -> dict[str, Any]:
    return {
        "as_expected": all(proof.holds for proof in held),
        "checks": [{"what": proof.sentence, "ok": proof.holds} for proof in held],
        "doubles": doubles(night),
        "posts": list(night.posts),
        "alerts": night.alerts,
        "look_at": places,
    }


def _show_end(stage: Stage, night: Night, held: list[Proof], places: dict[str, str]) -> None:
    if stage.output.json:
        return
    stage.heading("The night as the receiving side saw it")
    stage.output.show(_arrived(night))
    for proof in held:
        mark, style = ("✓", "green") if proof.holds else ("✗", "bold red")
        stage.output.say(f"  {mark} {proof.sentence}", style)
    for line in doubles(night):
        stage.output.say(f"      {line}", "red")
    stage.heading("Look at it")
    for what, where in places.items():
        stage.tell(f"  {what:<16} {where}")
    stage.tell(
        "  Links of Bluesky and X above lead to the real networks, where these posts are not."
    )


def _arrived(night: Night) -> Rows:
    rows = []
    for name in SHOWN:
        posts = [post for post in night.posts if post["network"] == name]
        newest = _gist(posts[-1]["text"]) if posts else ""
        languages = ", ".join(sorted({post["language"] or "" for post in posts} - {""}))
        rows.append((cell(name, "bold"), cell(len(posts)), cell(languages), cell(newest)))
    return Rows(("network", "posts", "languages", "newest"), rows, folded=frozenset({"newest"}))


def _gist(text: str) -> str:
    """Return the beginning of a post in one line; of a webhook's body what it says."""
    if text.startswith("{"):
        event = json.loads(text)
        text = f"{event['type']}  Nr. {event['data']['reference']}"
    return " ".join(text.split())[:GIST_LENGTH]


async def _until_interrupted(stage: Stage) -> None:
    ended = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, ended.set)
    stage.tell("")
    stage.tell(f"  From another terminal: broadcaster status --config {stage.config}")
    stage.output.say("Everything keeps running until Ctrl-C.", "bold")
    await ended.wait()
