"""A backup in slices: complete and sound, and in nobody's way."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from broadcaster.record import StoreUnavailable
from broadcaster.store import Store, copying
from broadcaster.store.copying import Copying
from tests.kit import plan


def pages(path: Path) -> int:
    """Count the pages of a closed database."""
    connection = sqlite3.connect(path)
    found = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.close()
    return int(found)


def alerts(path: Path) -> int:
    """Count the alerts of a sound copy."""
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    found = connection.execute("SELECT count(*) FROM alert").fetchone()[0]
    connection.close()
    return int(found)


def copiers() -> list[str]:
    """Name the threads of copies under way."""
    return [one.name for one in threading.enumerate() if one.name == "backup"]


async def test_alerts_are_accepted_between_any_two_slices(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the copy too, which never starts anew for them; else it might never end."""
    monkeypatch.setattr(copying, "SLICE_PAGES", 1)
    for _ in range(30):
        await sqlite_store.accept(plan(["one"]))
    copy = Copying(tmp_path / "copy.db")
    steps = accepted = 0
    while not await sqlite_store._engine.read(copy.step):
        steps += 1
        if steps % 3 == 0:
            await sqlite_store.accept(plan(["one"]))
            accepted += 1
        assert steps < 2000
    copy.finish()
    assert accepted > 10
    # What came after the last page had been copied is not owed.
    assert alerts(tmp_path / "copy.db") in {30 + accepted, 29 + accepted}
    assert steps <= pages(tmp_path / "copy.db") + 2


async def test_no_slice_is_larger_than_it_may_be(sqlite_store: Store, tmp_path: Path) -> None:
    """A read of bounded size, however large the store is."""
    for _ in range(40):
        await sqlite_store.accept(plan(["one", "two", "three"]))
    copy = Copying(tmp_path / "copy.db")
    steps = 1
    while not await sqlite_store._engine.read(copy.step):
        steps += 1
    copy.finish()
    assert pages(tmp_path / "copy.db") > 2 * copying.SLICE_PAGES
    assert steps >= pages(tmp_path / "copy.db") / copying.SLICE_PAGES


async def test_a_backup_nobody_waits_for_is_given_up(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is gone, its thread too, and a slice that was asked for already holds up nothing."""
    monkeypatch.setattr(copying, "SLICE_PAGES", 1)
    for _ in range(60):  # so much that no backup is done before it is given up
        await sqlite_store.accept(plan(["one", "two", "three"]))
    for delay in (0, 0, 0.001, 0.002, 0.004):
        task = asyncio.create_task(sqlite_store.backup(tmp_path / "copy.db"))
        while not copiers():
            await asyncio.sleep(0)
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(5):
            while copiers() or (tmp_path / "copy.db").exists():
                await asyncio.sleep(0.001)
            await sqlite_store.accept(plan(["one"]))


async def test_a_slice_after_the_end_does_nothing(sqlite_store: Store, tmp_path: Path) -> None:
    """It was in the queue when the backup was given up: the store's thread must not wait."""
    copy = Copying(tmp_path / "copy.db")
    copy.finish()
    async with asyncio.timeout(5):
        assert await sqlite_store._engine.read(copy.step)
    assert not (tmp_path / "copy.db").exists()
    assert copiers() == []


async def test_a_store_that_is_closed_ends_its_backup(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon stops in time, and leaves no half of a copy behind."""
    monkeypatch.setattr(copying, "SLICE_PAGES", 1)
    task = asyncio.create_task(sqlite_store.backup(tmp_path / "copy.db"))
    while not copiers():
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await sqlite_store.close()
        with pytest.raises(StoreUnavailable):
            await task
    assert not (tmp_path / "copy.db").exists()
    assert copiers() == []
