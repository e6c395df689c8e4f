"""A daemon as a process of its own, for as long as a demo or a test needs it."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from broadcaster.config import SOCKET_NAME
from broadcaster.terminal.client import Client, Lost, Problem
from broadcaster.terminal.target import daemon_runs

START_SECONDS = 30.0
LOOK_SECONDS = 0.05
END_SECONDS = 25.0
LOG_LINES = 20
PORTS = (20_000, 32_768)


class Failed(Exception):  # noqa: N818 - it could not be started
    """The daemon did not start; the text ends with what it said last."""


@asynccontextmanager
async def daemon(config: Path) -> AsyncIterator[None]:
    """Run the daemon as a process of its own, its log beside its configuration."""
    log = config.parent / "daemon.log"
    command = (sys.executable, "-m", "broadcaster", "serve", "--config", str(config))
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is for the demo, which then ends the daemon
        )
    try:
        await _socket(process, config.parent / SOCKET_NAME, log)
        yield
    finally:
        await _end(process)


def _environment() -> dict[str, str]:
    """Return an environment that names no configuration of the user's and no proxy."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BROADCASTER_")
        and not name.lower().endswith("_proxy")
        and name not in {"CREDENTIALS_DIRECTORY", "STATE_DIRECTORY"}
    }
    return kept | {"NO_PROXY": "127.0.0.1"}


async def _socket(process: asyncio.subprocess.Process, path: Path, log: Path) -> None:
    """Wait until the daemon answers on its socket. Raises Failed with the end of its log."""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_SECONDS):
            while process.returncode is None:
                if daemon_runs(path):
                    return
                await asyncio.sleep(LOOK_SECONDS)
    last = _end_of(log)
    raise Failed(f"the daemon did not start. It said:\n{last}")


async def ready(client: Client) -> None:
    """Wait until the daemon takes alerts."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            try:
                await client.get("/readyz")
            except (Lost, Problem):
                await asyncio.sleep(LOOK_SECONDS)
            else:
                return


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(END_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:])


def free_port() -> int:
    """Return a loopback port nobody listens on, and that no client is given meanwhile.

    Linux gives clients ports from 32768 on, so that one from below stays free for its server.
    """
    while True:
        port = random.randrange(*PORTS)  # noqa: S311 - no secret
        with socket.socket() as one, suppress(OSError):
            one.bind(("127.0.0.1", port))
            return port
