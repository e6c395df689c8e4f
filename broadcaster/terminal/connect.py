"""Channels from the terminal: list them, connect one to its account, release one from its account.

Connecting walks a person through a network's OAuth flow: they agree in a browser, the network leads
back with a code, and what it grants for that is written to the file that the configuration names.
The daemon is not needed for it, and is not told: it reads the file when it starts.
"""

from __future__ import annotations

import asyncio
import hmac
import importlib
import json
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from aiohttp import web
from pydantic import ValidationError

from broadcaster import channels, logs
from broadcaster.channels import Setup
from broadcaster.channels.tokens import OAuth, write_secret
from broadcaster.clock import Clock, SystemClock
from broadcaster.config import Config, ConfigError, Secrets, faults_of, load
from broadcaster.delivery import Failure, Readiness
from broadcaster.terminal import tables
from broadcaster.terminal.client import Client, Json, Problem, listed
from broadcaster.terminal.ending import FINE, NOT_READY
from broadcaster.terminal.output import Output, now
from broadcaster.terminal.target import Misuse, Target, connect

HERE = "127.0.0.1"
PORT = 8180
WAIT_SECONDS = 900.0  # for a person to log in somewhere, find a telephone, and agree
_DONE = "The channel is connected as soon as the terminal says so. This page can be closed."


@dataclass(frozen=True, slots=True)
class Way:
    """How the code comes back: to `port` on this machine, or by hand from the page at `redirect`.

    `redirect` is the address registered at the network; the person copies where it led to.
    """

    port: int = PORT
    redirect: str | None = None

    @property
    def address(self) -> str:
        """Where the network is to lead back to."""
        return self.redirect or f"http://{HERE}:{self.port}/callback"


class Declined(Exception):  # noqa: N818 - the network led back, and said no
    """The network led back without a code; the text says why."""


async def list_channels(target: Target, output: Output) -> int:
    """Show every channel of a daemon, with its account and readiness."""
    async with connect(target) as client:
        found = listed(await client.get("/v1/channels"), "channels")
    output.document(found)
    if not output.json:
        output.show(tables.channels(found, now()))
    return FINE


async def rebind(target: Target, name: str, output: Output) -> int:
    """Let a channel go on with the account it has now."""
    async with connect(target) as client:
        answer = await _rebound(client, name)
    output.document(answer)
    output.say(f"{name} is released: the next good probe binds it to the account it finds.")
    return FINE


async def _rebound(client: Client, name: str) -> Json:
    try:
        answer: Json = await client.post(f"/control/channels/{quote(name, safe='')}/rebind")
    except Problem as problem:
        if problem.status != 404:
            raise
        there = ", ".join(
            one["name"] for one in listed(await client.get("/v1/channels"), "channels")
        )
        raise Misuse(f"There is no channel {name!r}; there are: {there or 'none'}.") from None
    return answer


async def connect_channel(path: Path, name: str, way: Way, output: Output) -> int:
    """Walk a person through a channel's OAuth flow, write what is granted, and probe once.

    Exit code 0 if the channel is ready then. Raises Misuse where there is nothing to walk through,
    ConfigError for a faulty configuration.
    """
    logs.configure(level="warning")
    config, clock = load(path), SystemClock()
    flow = _flow(config, name, Secrets(path.parent), clock)
    state = secrets.token_urlsafe(24)
    output.say(f"Connecting {name} ({config.channels[name].type}). Nothing is posted.", "bold")
    try:
        code = await _code(flow, way, state, output)
        grant = await flow.exchange(code, way.address)
    except Declined as declined:
        output.error(f"Nothing was written: {declined}")
        return NOT_READY
    except Failure as failure:
        output.error(f"Nothing was written: the code was not exchanged: {failure.reason}.")
        return NOT_READY
    file = path.parent / flow.token_file
    await asyncio.to_thread(write_secret, file, json.dumps(grant.to_json()))
    output.say(f"4. Written to {file} (mode 0600).", "bold")
    return await _probed(config, name, path, clock, output)


def _flow(config: Config, name: str, files: Secrets, clock: Clock) -> OAuth:
    """Return a channel's OAuth flow. Raises Misuse with what to do where it has none."""
    one = config.channels.get(name)
    if one is None:
        there = ", ".join(config.channels) or "none"
        raise Misuse(f"There is no channel {name!r} in the configuration; there are: {there}.")
    if one.type not in channels.types():
        raise Misuse(f"There is no channel type {one.type!r}: {', '.join(channels.types())}.")
    module: Any = importlib.import_module(f"{channels.__name__}.{one.type}")
    if not hasattr(module, "oauth"):
        raise Misuse(_by_hand(name, one.type, one.settings))
    try:
        settings = module.Settings.model_validate(one.settings)
    except ValidationError as error:
        raise ConfigError(faults_of(error, f"channels.{name}")) from None
    prefix = config.texts.reference_prefix
    setup = Setup(one, files, config.timing, clock, config.store.directory, prefix)
    try:
        flow: OAuth = module.oauth(setup, settings)
    except ValueError as error:  # its sentences are written for people and name no secret
        raise Misuse(f"{name} cannot be connected: {error}.") from None
    return flow


def _by_hand(name: str, kind: str, settings: Mapping[str, Any]) -> str:
    files = [f"{value} ({key})" for key, value in settings.items() if key.endswith("_file")]
    return (
        f"{name} is of the type {kind}, where nobody is walked through anything: make its "
        f"credential at the network itself, as the README says, and put it into "
        f"{' and '.join(files) or 'the file that the configuration names'} (chmod 600). "
        "Then: broadcaster check."
    )


def _explain(flow: OAuth, way: Way, state: str, output: Output) -> None:
    if flow.advice:
        output.say(f"1. {flow.advice}")
        output.say(f"   The redirect address is: {way.address}")
    else:
        output.say(f"1. At the network, this redirect address must be registered: {way.address}")
    output.say("2. Open this page in a browser, logged in as the account that is to post:")
    output.say(f"   {flow.authorize(way.address, state)}")


async def _code(flow: OAuth, way: Way, state: str, output: Output) -> str:
    """Lead the person there, and wait for the code. Raises Declined where none comes."""
    if way.redirect:
        _explain(flow, way, state, output)
        output.say("3. Agree, then paste the whole address of the page you were led to:")
        return code_of(sys.stdin.readline().strip(), state)
    async with _landing(way.port, state) as came:
        _explain(flow, way, state, output)
        output.say(f"3. Agree. Waiting to be led back to {way.address}; Ctrl-C gives up.")
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await came
        except TimeoutError:
            raise Declined("nobody was led back in time.") from None


def code_of(address: str, state: str) -> str:
    """Return the code in the address that a network led back to.

    Raises Declined where it says no, or where it is not the answer to this very question: another
    state would connect somebody else's account.
    """
    given = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    if not hmac.compare_digest(given.get("state", "").encode(), state.encode()):
        raise Declined("this is not the address that belongs to the page above (state differs).")
    if "code" not in given:
        why = given.get("error_description") or given.get("error") or "no code came back"
        raise Declined(f"the network said: {why}.")
    return given["code"]


@asynccontextmanager
async def _landing(port: int, state: str) -> AsyncIterator[asyncio.Future[str]]:
    """Listen where the network leads a browser back to; the code comes, or Declined.

    Raises Misuse where the port cannot be had.
    """
    came: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def callback(request: web.Request) -> web.Response:
        try:
            code = code_of(str(request.url), state)
        except Declined as declined:
            if request.query.get("state") == state and not came.done():
                came.set_exception(declined)
            return web.Response(text=f"Not connected: {declined}", status=400)
        if not came.done():
            came.set_result(code)
        return web.Response(text=_DONE)

    application = web.Application()
    application.router.add_get("/callback", callback)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, HERE, port).start()
    except OSError as error:
        await runner.cleanup()
        raise Misuse(f"Cannot listen on port {port}: {error.strerror}. Choose --port.") from None
    try:
        yield came
    finally:
        await runner.cleanup()


async def _probed(config: Config, name: str, path: Path, clock: Clock, output: Output) -> int:
    """Ask the network once whether a post would work now, and say what it found."""
    only = config.model_copy(update={"channels": {name: config.channels[name]}})
    (channel,) = channels.build(only, Secrets(path.parent), clock).values()
    try:
        found = await channel.probe()
    finally:
        await channel.close()
    output.document({"channel": name, "ready": found.ready, "sentence": found.sentence})
    return _say(name, found, output)


def _say(name: str, found: Readiness, output: Output) -> int:
    words = " ".join(part for part in (found.sentence, found.remedy) if part)
    if not found.ready:
        output.error(f"5. Not ready yet: {words}")
        return NOT_READY
    output.say(f"5. Ready: {words}", "green")
    output.say("A daemon that runs already must be started again: it reads the file at its start.")
    output.say(f"If this is another account than before: broadcaster channels rebind {name}")
    return FINE
