"""Upkeep: keys are shown once and taken back at once, and a copy of the store is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from broadcaster.terminal.target import Target
from broadcaster.terminal.upkeep import backup, create_key, list_keys, revoke_key
from tests.terminal.conftest import Daemon, Screen

KEY = {"id": "k1", "name": "leitstelle", "role": "trigger", "senders": ["*"]}


@pytest.fixture
def target(daemon: Daemon, tmp_path: Path) -> Target:
    """Give the scripted daemon as a command line names it."""
    key = tmp_path / "key"
    key.write_text("bcast_0123456789_secret_abcdef\n")
    return Target(server=daemon.url, key_file=key)


async def test_a_new_key_is_alone_on_standard_output(
    daemon: Daemon, target: Target, screen: Screen
) -> None:
    """So that it can be sent straight into a file; the advice goes to standard error."""
    daemon.says("POST", "/control/keys", KEY | {"key": "bcast_k1_secret_sum"}, status=201)
    assert await create_key(target, {"name": "leitstelle"}, screen.output) == 0
    assert screen.out == "bcast_k1_secret_sum\n"
    assert "chmod 600" in screen.err
    assert daemon.bodies("/control/keys") == [b'{"name": "leitstelle"}']


async def test_keys_are_listed(daemon: Daemon, target: Target, screen: Screen) -> None:
    """With what each may do."""
    daemon.says("GET", "/control/keys", {"keys": [KEY]})
    await list_keys(target, screen.output)
    assert "leitstelle  k1  trigger" in screen.out
    program = Screen(json=True)
    await list_keys(target, program.output)
    assert json.loads(program.out) == [KEY]


async def test_without_a_key_the_list_says_how_to_make_one(
    daemon: Daemon, target: Target, screen: Screen
) -> None:
    """An empty table helps nobody."""
    daemon.says("GET", "/control/keys", {"keys": []})
    await list_keys(target, screen.output)
    assert "broadcaster keys create" in screen.out


async def test_a_key_is_revoked_by_name(daemon: Daemon, target: Target, screen: Screen) -> None:
    """And the person reads that it opens nothing any more."""
    daemon.says("DELETE", "/control/keys/old%20key", KEY)
    assert await revoke_key(target, "old key", screen.output) == 0
    assert "opens nothing any more" in screen.out


async def test_a_backup_is_written_where_asked(
    daemon: Daemon, target: Target, screen: Screen
) -> None:
    """The daemon writes it, so the path is absolute."""
    daemon.says("POST", "/control/backup", {"path": "/backup/b.db"})
    assert await backup(target, Path("/backup/b.db"), screen.output) == 0
    assert daemon.bodies("/control/backup") == [b'{"path": "/backup/b.db"}']
    assert "/backup/b.db" in screen.out
