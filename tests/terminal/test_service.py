"""Serve, check and sandbox: what a person sees first, and what is missing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broadcaster.sandbox import NETWORKS, Sandbox
from broadcaster.sandbox.configuration import configuration
from broadcaster.terminal import service
from broadcaster.terminal.child import daemon, free_port
from tests.conftest import REPOSITORY
from tests.terminal.conftest import Screen


@pytest.fixture
async def config(tmp_path: Path) -> AsyncIterator[Path]:
    """Give a configuration whose channels are stand-ins."""
    sandbox = Sandbox()
    await sandbox.start()
    yield configuration(sandbox, tmp_path / "state", port=free_port())
    await sandbox.close()


async def test_the_first_page_says_where_and_what_is_missing(config: Path) -> None:
    """Whoever starts a daemon reads where it listens, and how to make the first key."""
    screen = Screen(json=True, terminal=True)
    async with daemon(config):
        await service.first_page(config, screen.output)
    assert "Listening on http://127.0.0.1:" in screen.err
    assert "city-mastodon (mastodon)" in screen.err
    assert f"--config {config}" in screen.err
    assert "No key yet" in screen.err
    assert "No on-call target" not in screen.err


async def test_a_page_that_cannot_be_written_is_left_to_the_log(
    tmp_path: Path, screen: Screen
) -> None:
    """A faulty configuration is told by the daemon itself."""
    await service.first_page(tmp_path / "missing.toml", screen.output)
    assert screen.err == ""


async def test_check_says_that_everything_is_ready(config: Path, screen: Screen) -> None:
    """Every channel is asked, and nothing is posted."""
    assert await service.check(config, screen.output) == 0
    assert "Everything is ready. Nothing was posted." in screen.out
    assert "channel x" in screen.out


async def test_check_puts_what_is_not_ready_first(config: Path, screen: Screen) -> None:
    """With exit code 1, the sentence and what to do."""
    (config.parent / "x-access-token").write_text("revoked")
    assert await service.check(config, screen.output) == 1
    first = screen.out.splitlines()[1]
    assert first.startswith("channel x")
    assert "✗ not ready" in first
    assert "Not ready: channel x." in screen.err


async def test_check_is_a_document_with_json(tmp_path: Path) -> None:
    """A faulty configuration is a finding like another."""
    config = tmp_path / "broadcaster.toml"
    config.write_text("[server]\npublic_url = 'https://a.example'\n")
    screen = Screen(json=True)
    assert await service.check(config, screen.output) == 1
    found = {one["what"]: one["ok"] for one in json.loads(screen.out)}
    assert found == {"server.timezone": False, "store": False}


async def test_the_sandbox_says_in_one_line_where_it_is() -> None:
    """A program that starts it reads the addresses, and ends it by a signal."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "broadcaster", "sandbox"),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    said = json.loads(await process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    rest = await process.stdout.read()
    assert await process.wait() == 0
    assert set(said["networks"]) == set(NETWORKS)
    assert said["smtp"].startswith("127.0.0.1:")
    assert rest == b""
