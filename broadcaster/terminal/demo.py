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

from rich.live import Live

from broadcaster import logs
from broadcaster.sandbox import SHOWN, Sandbox
from broadcaster.sandbox.configuration import configuration
from broadcaster.sandbox.faults import Fault, Kind
from broadcaster.terminal import finale, story, tables
from broadcaster.terminal.board import board, grouped
from broadcaster.terminal.child import Failed, daemon, free_port, ready
from broadcaster.terminal.client import Client, Json, Lost, Problem
from broadcaster.terminal.ending import FINE, NOT_READY
from broadcaster.terminal.output import Output, now
from broadcaster.terminal.person import Person
from broadcaster.terminal.proof import LOOKED_UP, Night, network, proofs
from broadcaster.terminal.target import Target, connect
from broadcaster.terminal.watch import follow

ACT_SECONDS = 40.0
RETRY_AFTER_SECONDS = 4.0
PLACE_MAX = 60  # a socket in it has a path of 107 bytes at most
PAUSE_SECONDS = 2.0
SEEN_SECONDS = 20.0
LOOK_SECONDS = 0.25
REFRESH_PER_SECOND = 8.0
# Short waits, so that the night takes half a minute, and time for the cards on a machine that is
# busy; everything else is as in earnest.
TIMING = """
[timing]
read_back_seconds = [2.0, 6.0, 12.0]
card_seconds = 5.0
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
    place = tempfile.gettempdir()
    short = place if len(place) < PLACE_MAX else "/tmp"  # noqa: S108 - a directory of its own in it
    with tempfile.TemporaryDirectory(prefix="broadcaster-demo-", dir=short) as name:
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
    await _seen_again(stage, [fire, odour, update, all_clear])
    night = await _night(stage, fire, odour, update, all_clear)
    held = proofs(night)
    places = await _places(stage)
    stage.output.document(finale.summary(night, held, places))
    if not stage.output.json:
        finale.show(stage.output, night, held, places)
    if not once:
        await _until_interrupted(stage)
    return FINE if all(proof.holds for proof in held) else NOT_READY


async def _preview(stage: Stage) -> None:
    await stage.act("1  A warehouse with chemicals burns in Dortmund-Hörde: look before sending.")
    stage.tell("    $ broadcaster preview fire.json")
    body = json.dumps(story.fire(now())).encode()
    shown = await stage.client.post_alert("/v1/preview", body)
    texts = dict(zip((one["id"] for one in shown["deliveries"]), tables.texts(shown), strict=True))
    for (channel, _), together in grouped(shown).items():
        heading, text = texts[together[0]["id"]]
        words = " ".join(text.partition("\n")[2].split() if "Subject:" in text else text.split())
        length = heading.rpartition("  ")[2]
        card = "+ card" if (together[0]["message"] or {}).get("media") else ""
        parts = " ".join(one["part"] for one in together)
        stage.tell(f"    {channel:<14} {parts:<9} {length:<13} {card:<7} {words[:44]}…")


async def _fire(stage: Stage) -> Json:
    await stage.act("2  The alert goes out (Severe): to ten channels at once, in three languages.")
    stage.tell(
        "    Two things go wrong on purpose: X takes the post, but its answer is lost; and the\n"
        f"    fire brigade's webhook answers 429, Retry-After {RETRY_AFTER_SECONDS:.0f}. Instagram "
        "takes its time over\n    the card; and YouTube lets no program post at all."
    )
    stage.sandbox.faults.put(Fault(network="x", fault=Kind.LOST_ANSWER))
    stage.sandbox.faults.put(
        Fault(network="webhook", fault=Kind.RATE_LIMIT, seconds=RETRY_AFTER_SECONDS)
    )
    fire = await _hand_in(stage, "fire.json", story.fire(now()))
    stage.tell("    X was asked what it had, and the post was there: it was not sent again.")
    return await _by_hand(stage, fire)


async def _odour(stage: Stage) -> Json:
    await stage.act("3  Elsewhere it merely smells (Moderate): X carries only crises.")
    return await _by_hand(stage, await _hand_in(stage, "smell.json", story.odour(now())))


async def _update(stage: Stage, fire: Json) -> Json:
    await stage.act("4  The wind turns: an update with a larger area, wherever the alert went.")
    update = await _hand_in(stage, "update.json", story.update(now(), str(fire["id"])))
    stage.tell("    Where posts can be edited or commented on, the old one now says so itself.")
    return await _by_hand(stage, update)


async def _all_clear(stage: Stage, newest: Json) -> Json:
    await stage.act("5  Fire out: the all-clear, by one person with one command.")
    stage.tell(f"    $ broadcaster cancel {newest['reference']} --text '{story.ALL_CLEAR}' --watch")
    path = f"/v1/alerts/{newest['id']}/cancel"
    given = await stage.client.post(path, {"text": story.ALL_CLEAR, "language": "de"})
    return await _by_hand(stage, await _follow(stage, given))


async def _hand_in(stage: Stage, file: str, alert: Json) -> Json:
    stage.tell(f"    $ broadcaster send {file} --watch")
    stage.tell(f"    “{alert['info'][0]['headline']}”")
    given = await stage.client.post_alert(
        "/v1/alerts", json.dumps(alert).encode(), headers={"Idempotency-Key": str(uuid.uuid4())}
    )
    return await _follow(stage, given)


async def _follow(stage: Stage, alert: Json) -> Json:
    """Show a table of the alert's channels, live where somebody watches, until all is settled."""
    latest = alert

    def show(changed: Json) -> None:
        nonlocal latest
        latest = changed

    if not stage.output.live:
        latest = await follow(stage.client, alert, show, seconds=ACT_SECONDS)
        stage.output.show(board(latest, now()))
        return latest
    with Live(
        get_renderable=lambda: board(latest, now()).table(),
        console=stage.output.out,
        refresh_per_second=REFRESH_PER_SECOND,
    ):
        return await follow(stage.client, alert, show, seconds=ACT_SECONDS)


async def _by_hand(stage: Stage, alert: Json) -> Json:
    """Let a person post what waits for one, and show the commands that say so."""
    person = Person(stage.client, stage.sandbox.url)
    alert, waiting = await person.told(alert)
    if waiting:
        stage.tell("    On-call staff was told. Somebody posts the ready text and card by hand:")
    for one in waiting:
        link, alert = await person.posts(alert, one)
        words = f"{alert['reference']} {one['channel']} {link} --part {one['part']}"
        stage.tell(f"    $ broadcaster confirm {words}")
    return alert


async def _seen_again(stage: Stage, told: list[Json]) -> None:
    await stage.act("6  Sent is not yet seen: every post is looked up, as the public sees it.")
    wanted, seen = {*LOOKED_UP}, set[str]()
    try:
        async with asyncio.timeout(SEEN_SECONDS):
            while wanted - seen:
                await asyncio.sleep(LOOK_SECONDS)
                for alert in told:
                    latest = await stage.client.alert(alert["id"])
                    seen |= {network(one) for one in latest["deliveries"] if one["seen"]}
    except TimeoutError:
        stage.tell(f"    Not seen in time: {', '.join(sorted(wanted - seen))}")
    else:
        stage.tell(f"    Visible on {', '.join(name for name in LOOKED_UP)}.")


async def _night(stage: Stage, fire: Json, odour: Json, update: Json, all_clear: Json) -> Night:
    posts = stage.sandbox.posts
    shown = [post.to_json() for post in posts.all(SHOWN)]
    media = {one["id"] for post in shown for one in post["media"]}
    kept = {name: stage.sandbox.pictures.get(name) for name in media}
    return Night(
        fire=await stage.client.alert(fire["id"]),
        odour=await stage.client.alert(odour["id"]),
        update=await stage.client.alert(update["id"]),
        all_clear=await stage.client.alert(all_clear["id"]),
        posts=shown,
        pictures=frozenset(name for name, one in kept.items() if one and one.width),
        told=[post.text for post in posts.of("on-call")],
        webhook_calls=posts.calls("webhook").to_json("webhook")["newest"],
        asked_to_wait_seconds=RETRY_AFTER_SECONDS,
    )


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


async def _until_interrupted(stage: Stage) -> None:
    ended = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, ended.set)
    stage.tell("")
    stage.tell(f"  From another terminal: broadcaster status --config {stage.config}")
    stage.output.say("Everything keeps running until Ctrl-C.", "bold")
    await ended.wait()
