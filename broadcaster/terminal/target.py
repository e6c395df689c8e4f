"""Which daemon a command means: one at an address, or the one of a configuration here."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from broadcaster.config import load
from broadcaster.terminal.client import Client

BASE = "http://localhost"  # of requests that go by a socket


@dataclass(frozen=True, slots=True)
class Target:
    """Which daemon a command means: `server` with `key_file`, or the one of `config`."""

    config: Path | None = None
    server: str | None = None
    key_file: Path | None = None


class Misuse(Exception):  # noqa: N818 - a usage error: exit code 2
    """The command line does not say enough, or names a file that cannot be used."""


@asynccontextmanager
async def connect(target: Target) -> AsyncIterator[Client]:
    """Give a client for the daemon a command means.

    With `config`, a daemon that does not run is stood in for by the store itself, opened here.
    Raises Misuse when the target is not usable, ConfigError for a faulty configuration,
    StoreUnavailable or StoreBroken where the store cannot be opened.
    """
    if target.server:
        async with _remote(target.server, target.key_file) as client:
            yield client
    elif target.config:
        async with _local(target.config) as client:
            yield client
    else:
        raise Misuse(
            "Which broadcaster? Give --config FILE on its own machine, or --server URL with "
            "--key-file FILE (or set BROADCASTER_CONFIG, or BROADCASTER_SERVER and "
            "BROADCASTER_KEY_FILE)."
        )


def read_key(path: Path | None) -> str:
    """Return the key in a file. Raises Misuse with what to do."""
    if path is None:
        raise Misuse("--server needs --key-file FILE: a file that holds the key, and nothing else.")
    try:
        key = path.read_text("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Misuse(f"Cannot read the key file {path}: {why}.") from None
    if not key or not key.isascii() or any(character.isspace() for character in key):
        raise Misuse(f"{path} must hold exactly one key, as `broadcaster keys create` printed it.")
    return key


@asynccontextmanager
async def _remote(server: str, key_file: Path | None) -> AsyncIterator[Client]:
    if not server.startswith(("http://", "https://")):
        raise Misuse(f"--server must begin with http:// or https://, not {server!r}.")
    headers = {"Authorization": f"Bearer {read_key(key_file)}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Client(session, server, server)


@asynccontextmanager
async def _local(file: Path) -> AsyncIterator[Client]:
    config = load(file)
    path = config.store.socket
    if daemon_runs(path):
        connector = aiohttp.UnixConnector(str(path))
        async with aiohttp.ClientSession(connector=connector) as session:
            yield Client(session, BASE, str(path))
    else:
        from broadcaster import logs  # noqa: PLC0415 - with the next line
        from broadcaster.app import local_client  # noqa: PLC0415 - heavy, and needed only here

        logs.configure(level="warning")
        async with local_client(file) as session:
            yield Client(session, BASE, str(config.store.directory), running=False)


def daemon_runs(path: Path) -> bool:
    """Say whether somebody listens on a daemon's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        try:
            one.connect(str(path))
        except OSError:
            return False
    return True
