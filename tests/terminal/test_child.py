"""A daemon as a process of its own: clean surroundings, a told start, and a certain end."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from broadcaster.config import SOCKET_NAME
from broadcaster.sandbox import Sandbox
from broadcaster.sandbox.configuration import configuration
from broadcaster.terminal.child import Failed, _environment, daemon, free_port, ready
from broadcaster.terminal.target import Target, connect, daemon_runs


def test_the_child_knows_nothing_of_the_users_own_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No configuration, key, credential or proxy of the user's reaches it."""
    monkeypatch.setenv("BROADCASTER_CONFIG", "/etc/broadcaster/broadcaster.toml")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    monkeypatch.setenv("https_proxy", "http://proxy.example.org")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    environment = _environment()
    assert not {"BROADCASTER_CONFIG", "CREDENTIALS_DIRECTORY", "https_proxy"} & environment.keys()
    assert environment["LANG"] == "de_DE.UTF-8"


async def test_a_daemon_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The end of its log is part of the error."""
    config = tmp_path / "broadcaster.toml"
    config.write_text("[server]\ntimezone = 'Europe/Nowhere'\n")
    with pytest.raises(Failed, match="there is no time zone"):
        async with daemon(config):
            pass


async def test_a_daemon_lives_as_long_as_the_block(tmp_path: Path) -> None:
    """It answers inside, and is gone afterwards, its socket with it."""
    sandbox = Sandbox()
    await sandbox.start()
    try:
        config = configuration(sandbox, tmp_path / "state", port=free_port())
        async with daemon(config), connect(Target(config=config)) as client:
            await ready(client)
            assert client.running
            assert (await client.get("/control/keys"))["keys"] == []
        assert not await asyncio.to_thread(daemon_runs, config.parent / SOCKET_NAME)
    finally:
        await sandbox.close()


def test_a_free_port_stays_free() -> None:
    """No client of another program is given it before its server listens."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) > 1
    for port in ports:
        assert 1024 <= port < first
        with socket.socket() as one:
            one.bind(("127.0.0.1", port))
