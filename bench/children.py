"""The processes that are measured, or measured with: sinks, relays and real daemons."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

START_SECONDS = 30.0
END_SECONDS = 30.0
ARRIVAL_SECONDS = 60.0
LOOK_SECONDS = 0.005
_WEBHOOK_SECRET = "whsec_YmVuY2gtYmVuY2gtYmVuY2gtYmVuY2gtYmVuY2g="  # noqa: S105 - guards nothing


@asynccontextmanager
async def _child(
    *command: str, log: Path | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `python -m ...` and end it with the block; its standard error goes into `log`.

    `environment` comes beside what is there.
    """
    with (log or Path(os.devnull)).open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors if log else None,
            limit=2**20,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _line(process: asyncio.subprocess.Process) -> bytes:
    if process.stdout is None:
        raise RuntimeError("the process was started without a pipe")
    async with asyncio.timeout(START_SECONDS):
        line = await process.stdout.readline()
    if not line:
        raise RuntimeError(f"a process of the benchmark ended with {await process.wait()}")
    return line


@dataclass(slots=True)
class Sinks:
    """The process of receivers. `arrived` holds when each alert was complete (monotonic, ns)."""

    process: asyncio.subprocess.Process
    ports: list[int]
    arrived: dict[int, asyncio.Future[int]] = field(default_factory=dict)
    repeated: int = 0
    _set: asyncio.Event = field(default_factory=asyncio.Event)

    async def order(self, expect: int, latency_seconds: float) -> None:
        """Say how many sinks make an alert complete, and how long each answer takes."""
        await self.say(json.dumps({"expect": expect, "latency": latency_seconds}))

    async def say(self, order: str) -> None:
        """Give one order and wait until it is obeyed."""
        if self.process.stdin is None:
            raise RuntimeError("the sinks were started without a pipe")
        self._set.clear()
        self.process.stdin.write(order.encode() + b"\n")
        await self._set.wait()

    def expect(self, number: int) -> asyncio.Future[int]:
        """Return what will hold the moment this alert has reached all sinks."""
        return self.arrived.setdefault(number, asyncio.get_running_loop().create_future())

    async def complete(self, numbers: Sequence[int]) -> list[int]:
        """Wait until all these alerts have reached all sinks; return the moments."""
        _, missing = await asyncio.wait(
            {self.expect(number) for number in numbers}, timeout=ARRIVAL_SECONDS
        )
        if missing:
            left = sorted(one for one in numbers if self.expect(one) in missing)
            raise RuntimeError(f"{len(left)} alerts did not arrive, the first is {left[0]}")
        return [self.expect(number).result() for number in numbers]

    async def listen(self) -> None:
        """Take in what the process says, for as long as it runs."""
        if self.process.stdout is None:
            raise RuntimeError("the sinks were started without a pipe")
        async for line in self.process.stdout:
            if line == b"set\n":
                self._set.set()
                continue
            number, moment = line.split()
            if moment == b"repeated":
                self.repeated += 1
            else:
                self.expect(int(number)).set_result(int(moment))


@asynccontextmanager
async def sinks(count: int) -> AsyncIterator[Sinks]:
    """Run `count` receivers."""
    async with _receivers("bench.sinks", str(count)) as running:
        yield running


@asynccontextmanager
async def distant(count: int, one_way_seconds: float, directory: Path) -> AsyncIterator[Sinks]:
    """Run `count` far receivers that speak TLS; DIRECTORY/ca.pem is what a client must trust."""
    order = ("bench.distant", str(count), str(one_way_seconds), str(directory))
    async with _receivers(*order) as running:
        yield running


@asynccontextmanager
async def _receivers(*command: str) -> AsyncIterator[Sinks]:
    async with _child(*command) as process:
        running = Sinks(process, json.loads(await _line(process)))
        listening = asyncio.create_task(running.listen())
        try:
            yield running
        finally:
            listening.cancel()


@dataclass(frozen=True, slots=True)
class Target:
    """Where alerts are posted: the relay, or a daemon."""

    name: str
    session: aiohttp.ClientSession
    pid: int
    receivers: int

    async def post(self, number: int, path: str = "/v1/alerts") -> int:
        """Post an alert; return the moment its answer was there (monotonic, ns)."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"bench.{number}"}
        async with self.session.post(path, data=alert(number), headers=headers) as response:
            text = await response.read()
        if response.status not in (200, 202):
            raise RuntimeError(f"{self.name} answered {response.status}: {text.decode()}")
        return time.monotonic_ns()


def alert(number: int) -> bytes:
    """Return an alert's JSON; every number is another fire, or it would be a duplicate."""
    hall = f"Halle {number}"
    info = {
        "language": "de",
        "category": ["Fire"],
        "event": "Großbrand",
        "urgency": "Immediate",
        "severity": "Severe",
        "certainty": "Observed",
        "headline": f"Großbrand in Dortmund, {hall}: Fenster und Türen schließen",
        "description": "Eine Lagerhalle brennt. Rauch zieht nach Nordosten.",
        "instruction": "Schließen Sie Fenster und Türen. Schalten Sie Lüftungen aus.",
        "area": [{"areaDesc": f"Dortmund, {hall}"}],
    }
    said = {"identifier": f"bench.{number}", "sender": "bench@example.org"}
    said |= {"status": "Actual", "msgType": "Alert"}
    return json.dumps(said | {"info": [info]}, ensure_ascii=False, separators=(",", ":")).encode()


@asynccontextmanager
async def relay(ports: Sequence[int]) -> AsyncIterator[Target]:
    """Run the baseline in front of the sinks on these ports."""
    async with _child("bench.relay", *map(str, ports)) as process:
        url = f"http://127.0.0.1:{int(await _line(process))}"
        async with _session(url) as session:
            yield Target("the relay", session, process.pid, len(ports))


@dataclass(frozen=True, slots=True)
class Started:
    """A daemon that says it is ready: its process, its port, and how long that took."""

    pid: int
    port: int
    seconds: float


@asynccontextmanager
async def started(
    directory: Path, channels: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Started]:
    """Start a daemon with these channels (TOML) and wait until it is ready."""
    config, log = _configuration(directory, channels), directory / "log"
    begun = time.monotonic()
    serve = ("broadcaster", "serve", "--config", str(config))
    async with _child(*serve, log=log, environment=environment) as process:
        port = await _ready(process, log)
        yield Started(process.pid, port, time.monotonic() - begun)


@asynccontextmanager
async def daemon(directory: Path, ports: Sequence[int]) -> AsyncIterator[Target]:
    """Run a daemon with one webhook channel for each of these ports."""
    async with posting(directory, webhooks(ports), len(ports)) as target:
        yield target


@asynccontextmanager
async def posting(
    directory: Path, channels: str, receivers: int, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Target]:
    """Run a daemon with these channels (TOML), and be allowed to post to it."""
    async with started(directory, channels, environment) as running:
        key = await _make_key(directory / "broadcaster.sock")
        async with _session(f"http://127.0.0.1:{running.port}", key) as session:
            yield Target("the daemon", session, running.pid, receivers)


def _configuration(directory: Path, channels: str) -> Path:
    directory.mkdir(mode=0o700)
    _write(directory / "secret", _WEBHOOK_SECRET)
    store = json.dumps(f"sqlite:///{directory / 'broadcaster.db'}")
    path = directory / "broadcaster.toml"
    path.write_text(
        '[server]\nlisten = "127.0.0.1:0"\npublic_url = "http://127.0.0.1"\n'
        f'timezone = "Europe/Berlin"\n[store]\nurl = {store}\n{channels}'
    )
    return path


def webhooks(ports: Sequence[int], secure: str = "") -> str:
    """Return the configuration of one webhook channel per port; `secure` is "s" for TLS."""
    return "".join(
        f'[channels.sink-{port}]\ntype = "webhook"\nurl = "http{secure}://127.0.0.1:{port}/"\n'
        'secret_file = "secret"\n'
        for port in ports
    )


def one_of_each(directory: Path, port: int) -> str:
    """Return channels of every type, so that every library is loaded; all of them at one port."""
    url = f"http://127.0.0.1:{port}"
    _write(directory / "json-url", f"json://127.0.0.1:{port}/")
    keys = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
    x_files = "".join(f'{name}_file = "secret"\n' for name in keys)
    return (
        f'[channels.x]\ntype = "x"\nbase_url = "{url}"\n{x_files}'
        f'[channels.mastodon]\ntype = "mastodon"\napi_base_url = "{url}"\nbase_url = "{url}"\n'
        'access_token_file = "secret"\n'
        f'[channels.bluesky]\ntype = "bluesky"\nbase_url = "{url}"\n'
        'handle = "bench.example.org"\napp_password_file = "secret"\n'
        '[channels.apprise]\ntype = "apprise"\nkind = "chat"\nurl_file = "../json-url"\n'
        f"{webhooks([port])}"
    )


def _write(path: Path, secret: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(secret)


async def _ready(process: asyncio.subprocess.Process, log: Path) -> int:
    """Follow the daemon's log until it is ready; return its port."""
    async with asyncio.timeout(START_SECONDS):
        while process.returncode is None:
            if port := _port_in(log):
                return port
            await asyncio.sleep(LOOK_SECONDS)
    raise RuntimeError(f"the daemon did not start; its log is {log}")


def _port_in(log: Path) -> int:
    """Return the port that a log names as ready, 0 while it does not."""
    whole, _, _ = log.read_text().rpartition("\n")
    lines = (json.loads(line) for line in whole.splitlines() if line.startswith("{"))
    ready = (one for one in lines if one["event"] == "ready")
    return next((int(one["port"]) for one in ready), 0)


async def _make_key(socket_path: Path) -> str:
    wish = {"name": "bench", "role": "trigger", "senders": ["*"]}
    connector = aiohttp.UnixConnector(str(socket_path))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://localhost/control/keys", json=wish) as response,
    ):
        return str((await response.json())["key"])


def _session(url: str, key: str = "") -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        url,
        connector=aiohttp.TCPConnector(limit=100, keepalive_timeout=60),
        headers={"Authorization": f"Bearer {key}"},
    )
