"""Opening: one daemon alone, settings read back, damage and newer versions refused."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from broadcaster.clock import SystemClock
from broadcaster.config import StoreTable
from broadcaster.record import StoreBroken, StoreUnavailable
from broadcaster.store import Store, opening
from broadcaster.store.opening import Ballast, connect
from tests.conftest import REPOSITORY
from tests.kit import plan

SECOND = """
import asyncio, sys
from broadcaster.clock import SystemClock
from broadcaster.config import StoreTable
from broadcaster.store import Store, StoreUnavailable

async def main():
    try:
        await Store.open(StoreTable.model_validate_json(sys.argv[1]), SystemClock())
    except StoreUnavailable as error:
        print("refused:", error)
    else:
        print("opened")

asyncio.run(main())
"""


def _second_process(table: StoreTable) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SECOND, table.model_dump_json()],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


async def test_a_second_process_is_refused(store: Store, store_table: StoreTable) -> None:
    """Two senders over one outbox would post everything twice; the first goes on undisturbed."""
    assert "in use by another" in _second_process(store_table)
    await store.accept(plan(["one"]))
    await store.close()
    assert _second_process(store_table) == "opened"


async def test_a_second_store_in_the_same_process_is_refused(
    store: Store, store_table: StoreTable
) -> None:
    """Also while the first is in use."""
    await store.accept(plan(["one"]))
    with pytest.raises(StoreUnavailable, match="in use by another"):
        await Store.open(store_table, SystemClock())


async def test_what_was_accepted_is_there_after_a_restart(store_table: StoreTable) -> None:
    """With its counts, and nothing is migrated twice."""
    first = await Store.open(store_table, SystemClock())
    accepted = (await first.accept(plan(["one", "two"]))).accepted
    await first.close()
    second = await Store.open(store_table, SystemClock())
    assert (await second.alerts())[0].id == accepted.id
    assert (second.accepted_count, second.tally["two", "queued"]) == (1, 1)
    await second.close()


async def test_the_settings_that_durability_rests_on_are_really_set(sqlite_store: Store) -> None:
    """Asked from the very connection that writes."""
    names = ("locking_mode", "journal_mode", "synchronous", "foreign_keys")
    found = [
        await sqlite_store._engine.read(lambda db, n=name: db.command(f"PRAGMA {n}").fetchone()[0])  # type: ignore[misc]
        for name in names
    ]
    assert found == ["exclusive", "wal", 2, 1]


def test_a_setting_that_was_not_kept_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A PRAGMA can be ignored without an error: each is read back."""
    wrong = tuple(
        (name, value, "1" if name == "synchronous" else expected)
        for name, value, expected in opening._PRAGMAS
    )
    monkeypatch.setattr(opening, "_PRAGMAS", wrong)
    with pytest.raises(StoreBroken, match="did not keep synchronous=FULL: it is 2"):
        connect("", tmp_path / "test.db")


def test_the_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Neither the file nor a directory that was made for it can be read by others."""
    path = tmp_path / "state" / "test.db"
    connect("", path).connection.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("at", [0, 17, 100, 4096 + 3, 4 * 4096, 9 * 4096 + 5])
async def test_a_damaged_database_is_refused(tmp_path: Path, at: int) -> None:
    """Flipped bytes in a header or page are found before anything is accepted or sent."""
    table = StoreTable(url=f"sqlite:///{tmp_path}/test.db", ballast_bytes=0)
    store = await Store.open(table, SystemClock())
    for _ in range(20):
        await store.accept(plan(["one"]))
    await store.close()
    path = tmp_path / "test.db"
    data = bytearray(path.read_bytes())
    data[at : at + 64] = bytes(byte ^ 0xFF for byte in data[at : at + 64])
    path.write_bytes(data)
    with pytest.raises(StoreBroken, match="restore a backup"):
        await Store.open(table, SystemClock())
    with path.open("r+b") as file:  # and nobody keeps it locked
        file.write(data)


@pytest.mark.parametrize("content", [b"not a database at all, but text" * 200, b"SQLite format 3"])
async def test_a_file_that_is_no_database_is_refused_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    """Nothing is written over what somebody else keeps there."""
    path = tmp_path / "test.db"
    path.write_bytes(content)
    with pytest.raises(StoreBroken):
        await Store.open(StoreTable(url=f"sqlite:///{path}", ballast_bytes=0), SystemClock())
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """A directory where the file should be is no damage: nobody needs a backup."""
    (tmp_path / "test.db").mkdir()
    with pytest.raises(StoreBroken, match="cannot be used") as refused:
        connect("", tmp_path / "test.db")
    assert "backup" not in str(refused.value)


def test_the_ballast_is_reserved_given_back_and_reserved_again(tmp_path: Path) -> None:
    """Real blocks, not a hole; giving back what is not there frees nothing."""
    ballast = Ballast(tmp_path / "ballast", 65_536)
    assert ballast.reserve()
    found = (tmp_path / "ballast").stat()
    assert (found.st_size, found.st_blocks * 512 >= 65_536) == (65_536, True)
    assert ballast.reserve()
    assert ballast.release()
    assert not ballast.release()
    assert ballast.reserve()


def test_no_ballast_is_taken_from_a_disk_that_has_no_room(tmp_path: Path) -> None:
    """As much again must stay free."""
    ballast = Ballast(tmp_path / "ballast", 2**60)
    assert not ballast.reserve()
    assert not (tmp_path / "ballast").exists()
    assert Ballast(tmp_path / "ballast", 0).reserve()
