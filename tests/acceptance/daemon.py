"""A real daemon as a child process, with the stand-in networks beside it."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from broadcaster.sandbox import Sandbox, youtube
from broadcaster.sandbox.configuration import configuration
from broadcaster.terminal.child import free_port

START_SECONDS = 30.0
FIVE = ("mastodon", "bluesky", "x", "webhook", "mail")
SETTLED = frozenset(
    {"withheld", "sent", "visible", "failed", "expired", "superseded", "retracted", "waiting"}
)

SCENARIO: Mapping[str, Any] = {
    "status": "Actual",
    "msgType": "Alert",
    "sender": "leitstelle@feuerwehr.example.org",
    "info": [
        {
            "language": "de",
            "category": ["Fire"],
            "event": "Großbrand",
            "urgency": "Immediate",
            "severity": "Severe",
            "certainty": "Observed",
            "headline": "Großbrand in Dortmund-Hörde: Fenster und Türen schließen",
            "description": "In Hörde brennt eine Lagerhalle. Rauch zieht nach Nordosten.",
            "instruction": "Schließen Sie Fenster und Türen. Schalten Sie Lüftungen aus.",
            "area": [
                {
                    "areaDesc": "Dortmund-Hörde",
                    "geocode": [{"valueName": "ARS", "value": "059130000000"}],
                }
            ],
        }
    ],
}


def scenario(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return the scenario's alert; another number makes it another fire."""
    body: dict[str, Any] = copy.deepcopy(dict(SCENARIO)) | changes
    if number:
        body["info"][0]["headline"] = f"Großbrand in Dortmund, Halle {number}"
        body["info"][0]["area"][0]["areaDesc"] = f"Dortmund, Halle {number}"
    return body


@dataclass
class Answer:
    """What the daemon answered."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass
class Daemon:
    """One daemon process over one configuration. It may be killed and started again."""

    config: Path
    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    child: asyncio.subprocess.Process | None = None
    url: str = ""
    key: str = ""
    log: list[dict[str, Any]] = field(default_factory=list)
    _reader: asyncio.Task[None] | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it says that it is ready."""
        self.log.clear()
        self._ready.clear()
        self.child = await asyncio.create_subprocess_exec(
            *self.prefix,
            sys.executable,
            "-m",
            "broadcaster",
            "serve",
            "--config",
            str(self.config),
            stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            env={**os.environ, **self.environment},
            limit=2**22,
        )
        self._reader = asyncio.create_task(self._read())
        if wait:
            await self.ready()

    async def ready(self) -> None:
        """Wait until it says that it is ready."""
        said = asyncio.ensure_future(self._ready.wait())
        assert self._reader is not None
        await asyncio.wait(
            {said, self._reader}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        said.cancel()
        assert self._ready.is_set(), f"the daemon is not ready: {self.log[-5:]}"

    async def _read(self) -> None:
        assert self.child is not None
        assert self.child.stderr is not None
        async for raw in self.child.stderr:
            line = _parsed(raw)
            self.log.append(line)
            if line.get("event") == "ready":
                self.url = f"http://127.0.0.1:{line['port']}"
                self._ready.set()

    async def make_key(self, role: str = "admin") -> str:
        """Make a key over the daemon's own socket, as the command line does."""
        connector = aiohttp.UnixConnector(str(self.config.parent / "broadcaster.sock"))
        wish = {"name": f"test-{uuid4().hex[:8]}", "role": role, "senders": ["*"]}
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post("http://localhost/control/keys", json=wish) as answer,
        ):
            made = await answer.json()
            assert answer.status < 300, made
            self.key = made["key"]
        return self.key

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.child is not None
        self.child.kill()

    async def ended(self) -> int:
        """Wait for its end and return the exit code."""
        assert self.child is not None
        code = await self.child.wait()
        if self._reader:
            await self._reader
        return code

    async def stop(self) -> int:
        """Ask it to end, as a supervisor does."""
        assert self.child is not None
        if self.child.returncode is None:
            self.child.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send one request with the daemon's key."""
        known = {"Authorization": f"Bearer {self.key}"}
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method, self.url + path, json=body, headers={**known, **headers}
            ) as answer,
        ):
            text = await answer.text()
            shown = json.loads(text) if text.startswith(("{", "[")) else text
            return Answer(answer.status, shown, answer.headers)

    async def trigger(self, body: Mapping[str, Any], key: str | None = None) -> Any:
        """Hand an alert in; it must be accepted."""
        answer = await self.ask(
            "POST", "/v1/alerts", body, **{"Idempotency-Key": key or uuid4().hex}
        )
        assert answer.status == 202, answer.body
        return answer.body

    async def look(self, alert: str) -> Any:
        """Return an alert as the API gives it."""
        answer = await self.ask("GET", f"/v1/alerts/{alert}")
        assert answer.status == 200, answer.body
        return answer.body

    async def settled(self, alert: str, seconds: float = 30.0, *, unknown: bool = False) -> Any:
        """Wait until every delivery is settled, and return the alert."""
        good = SETTLED | ({"unknown"} if unknown else set())
        async with asyncio.timeout(seconds):
            while True:
                found = await self.look(alert)
                if all(one["state"] in good for one in found["deliveries"]):
                    return found
                await asyncio.sleep(0.05)


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        line: dict[str, Any] = json.loads(raw)
    except ValueError:
        return {"event": raw.decode(errors="replace").rstrip()}
    return line


def by_channel(alert: Mapping[str, Any]) -> dict[str, str]:
    """Return channel -> state of an alert as the API gives it."""
    return {one["channel"]: one["state"] for one in alert["deliveries"]}


SHORT = """
[timing]
attempt_seconds = 2
connect_seconds = 1
waits_seconds = [0, 0.1, 0.2, 0.4, 0.8]
server_key_read_seconds = 0.2
caller_id_read_seconds = 0.1
two_steps_read_seconds = 0.2
read_back_seconds = [0.2, 0.5, 1.0]
unknown_told_seconds = 1
next_target_seconds = 2
pause_seconds = 1
order_hold_seconds = 6
drain_seconds = 5
looks_seconds = [600]
card_seconds = 5
"""


ALONE = """\
[server]
listen = "127.0.0.1:0"
public_url = "https://warnung.example.org"
timezone = "Europe/Berlin"

[store]
url = "sqlite:///{directory}/broadcaster.db"

[texts]
source = "Stadt Dortmund"

"""


def one_channel(directory: Path, channel: str, secrets: Mapping[str, str]) -> Path:
    """Write a configuration with this channel, and its secrets by the names of their files."""
    path = directory / "broadcaster.toml"
    text = ALONE.format(directory=directory) + channel + SHORT
    for name, content in {**secrets, path.name: text}.items():
        (directory / name).write_text(content, encoding="utf-8")
        (directory / name).chmod(0o600)
    return path


@asynccontextmanager
async def running(config: Path, **daemon: Any) -> AsyncIterator[Daemon]:
    """Run a daemon over a configuration, with a key made."""
    one = Daemon(config, **daemon)
    try:
        await one.start()
        await one.make_key()
        yield one
    finally:
        if one.child is not None:
            await one.stop()


@asynccontextmanager
async def night(
    directory: Path,
    more: str = SHORT,
    edits: Mapping[str, str] | None = None,
    networks: Sequence[str] | None = FIVE,
    *,
    videos: bool = False,
    **daemon: Any,
) -> AsyncIterator[tuple[Sandbox, Daemon]]:
    """Run stand-in networks and a daemon that posts to them.

    `edits`: what is replaced in the configuration by what, once each. X's daily limit is lifted.
    `networks`: those that have a channel, X among them; None has all. `videos`: one more channel,
    that uploads to YouTube.
    """
    sandbox = Sandbox()
    await sandbox.start()
    try:
        if videos:
            more = youtube.video_channel(f"{sandbox.url}/youtube") + more
        config = configuration(sandbox, directory, more=more, port=free_port(), networks=networks)
        edit(config, {"[channels.x]\n": "[channels.x]\nmax_posts_per_day = 1000000\n"})
        edit(config, edits or {})
        async with running(config, **daemon) as one:
            yield sandbox, one
    finally:
        await sandbox.close()


def edit(config: Path, edits: Mapping[str, str]) -> None:
    """Replace parts of a configuration; each must be there once."""
    text = config.read_text(encoding="utf-8")
    for old, new in edits.items():
        assert text.count(old) == 1, f"{old!r} is not in the configuration once"
        text = text.replace(old, new)
    config.write_text(text, encoding="utf-8")


async def _switch(sandbox: Sandbox, method: str, path: str, body: Any = None) -> Any:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{sandbox.url}/_sandbox/{path}", json=body) as answer,
    ):
        assert answer.status < 300, await answer.text()
        return await answer.json()


async def posts(sandbox: Sandbox, network: str | None = None) -> list[dict[str, Any]]:
    """Return what the public would see, in the order in which it came."""
    found: list[dict[str, Any]] = await _switch(
        sandbox, "GET", f"posts?network={network}" if network else "posts"
    )
    return found


async def fault(sandbox: Sandbox, network: str, name: str, times: int = 1, **more: Any) -> None:
    """Let a network fail."""
    body = {"network": network, "fault": name, "times": times, **more}
    await _switch(sandbox, "PUT", "faults", body)


async def no_faults(sandbox: Sandbox) -> None:
    """Let every network be well again."""
    await _switch(sandbox, "DELETE", "faults")


async def hide(sandbox: Sandbox, network: str, seconds: float) -> None:
    """Keep new posts off their account's own list for so long."""
    await _switch(sandbox, "PUT", "hide", {"network": network, "seconds": seconds})
