"""The commands that run or examine a daemon: serve, check and sandbox."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

from rich.text import Text

from broadcaster import logs
from broadcaster.config import Config, ConfigError, load
from broadcaster.terminal.client import Client, Lost, Problem, listed
from broadcaster.terminal.ending import FINE, NOT_READY
from broadcaster.terminal.output import Output, Rows, cell
from broadcaster.terminal.target import Target, connect, daemon_runs

LOOK_SECONDS = 0.1
READY_SECONDS = 30.0


async def serve(path: Path, output: Output, *, level: str = "info") -> int:
    """Run the daemon until it is told to end. On a terminal a first page says what is there."""
    from broadcaster.app import serve as run_daemon  # noqa: PLC0415 - loads every channel library

    logs.configure(level=level)
    page = asyncio.create_task(first_page(path, output)) if output.err.is_terminal else None
    try:
        return await run_daemon(path)
    finally:
        if page:
            page.cancel()


async def first_page(path: Path, output: Output) -> None:
    """Say where the daemon listens, what it posts to, and what is missing, once it is ready."""
    try:
        config = load(path)
        async with asyncio.timeout(READY_SECONDS):
            while not daemon_runs(config.store.socket):  # noqa: ASYNC110 - no event
                await asyncio.sleep(LOOK_SECONDS)
            async with connect(Target(config=path)) as client:
                await _show_first_page(client, path, config, output)
    except (TimeoutError, Lost, Problem, ConfigError):
        return  # the daemon's own log says why it is not ready


async def _show_first_page(client: Client, path: Path, config: Config, output: Output) -> None:
    keys = listed(await client.get("/control/keys"), "keys")
    channels = ", ".join(f"{one.name} ({one.type})" for one in config.channels.values())
    output.say(f"Listening on http://{config.server.listen}, known as {config.server.public_url}")
    output.say(f"Channels: {channels or 'none'}")
    for sentence in _missing(config, path, has_key=not all(key.get("revoked") for key in keys)):
        output.warn(f"  ! {sentence}")
    output.say(f"Look at it with: broadcaster status --config {path}   End it with Ctrl-C.")


def _missing(config: Config, path: Path, *, has_key: bool) -> list[str]:
    """Return what is still to do before alerts can go out and people can be told."""
    found = []
    if not has_key:
        found.append(
            "No key yet, so nobody can send an alert. Make one with:\n"
            f"    broadcaster keys create NAME --role trigger --sender SENDER --config {path}"
        )
    if not config.on_call.targets:
        found.append(
            "No on-call target: nobody is told when a delivery fails. Name one in [on_call]."
        )
    if not config.channels:
        found.append("No channel: nothing can go out. Name one in [channels.NAME].")
    return found


async def check(path: Path, output: Output) -> int:
    """Examine configuration, store and channels without posting; tell what is not ready."""
    from broadcaster.app import check as examine  # noqa: PLC0415 - loads every channel library

    logs.configure(level="error")  # what was found is in the report, and stdout is for that alone
    report: list[dict[str, Any]] = [
        {"what": what, "ok": ok, "sentence": sentence, "remedy": remedy}
        for what, ok, sentence, remedy in await examine(path)
    ]
    output.document(report)
    if not output.json:
        output.show(_report_rows(report))
    bad = [one for one in report if not one["ok"]]
    if bad:
        output.error(f"Not ready: {', '.join(str(one['what']) for one in bad)}.")
        return NOT_READY
    output.say("Everything is ready. Nothing was posted.", "green")
    return FINE


def _report_rows(report: list[dict[str, Any]]) -> Rows:
    rows = [
        (
            cell(one["what"], "bold"),
            _verdict(one),
            cell(" ".join(str(part) for part in (one["sentence"], one["remedy"]) if part)),
        )
        for one in sorted(report, key=lambda one: (bool(one["ok"]), not one["remedy"]))
    ]
    return Rows(("what", "", "what was found, and what to do"), rows, folded=_LAST)


def _verdict(one: dict[str, Any]) -> Text:
    """What is ready, and needs something done all the same, comes before what needs nothing."""
    if not one["ok"]:
        return cell("✗ not ready", "bold red")
    return cell("! ready, but", "yellow") if one["remedy"] else cell("✓ ready", "green")


_LAST = frozenset({"what was found, and what to do"})


async def sandbox(port: int, output: Output) -> int:
    """Run the stand-in networks until told to end; their addresses are one JSON line."""
    from broadcaster.sandbox import Sandbox  # noqa: PLC0415 - only here and in the demo

    logs.configure(level="warning")
    ended = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, ended.set)
    networks = Sandbox()
    await networks.start(port)
    try:
        sys.stdout.write(networks.ready_line() + "\n")
        sys.stdout.flush()
        if output.err.is_terminal:
            output.warn(f"Timelines: {networks.url}/   End it with Ctrl-C.")
        await ended.wait()
    finally:
        await networks.close()
    return FINE
