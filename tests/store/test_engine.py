"""The engine on both databases: shared transactions, a full disk, a lost database."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import bindparam, insert, text

from broadcaster.clock import SystemClock
from broadcaster.config import StoreTable
from broadcaster.record import StorageFull, StoreBroken, StoreUnavailable
from broadcaster.store import Store, journal
from broadcaster.store.engine import BATCH_MAX, Database, Engine
from broadcaster.store.journal import Deed
from broadcaster.store.tables import incident
from tests.kit import eventually, plan
from tests.peers.postgres import PostgresServer


def _note(db: Database, name: str) -> str:
    journal.note(db, Deed("key:a", "act", name, {}), datetime.now(UTC))
    return name


class Commits:
    """Counts committed transactions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        command = Database.command

        def counted(db: Database, sql: str) -> object:
            self.count += sql == "COMMIT"
            return command(db, sql)

        monkeypatch.setattr(Database, "command", counted)


async def _blocked(store: Store) -> threading.Event:
    """Hold the store's thread, so that what is asked meanwhile queues; set the event to go on."""
    go_on, inside = threading.Event(), threading.Event()

    def wait(_: Database) -> None:
        inside.set()
        go_on.wait(10)

    task = asyncio.create_task(store._engine.read(wait))
    await eventually(inside.is_set)
    task.add_done_callback(lambda done: done.result())
    return go_on


async def test_many_writes_at_once_share_a_transaction(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst does not pay one sync per alert."""
    commits = Commits(monkeypatch)
    go_on = await _blocked(store)
    writes = [asyncio.create_task(store.note("a", "act", str(n), {})) for n in range(BATCH_MAX)]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*writes)
    assert commits.count <= 2
    assert len(await store.audit(limit=200)) == 200


async def test_a_refused_one_undoes_nobody_elses_work(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one transaction, each that fails is undone alone and told why; the others are kept."""
    commits = Commits(monkeypatch)

    def refused(db: Database) -> None:
        _note(db, "undone")
        raise ValueError("refused")

    def doubled(db: Database) -> None:
        row = {"id": "26-0001", "sender": "s", "newest": "n", "ended": None}
        db.insert(incident, [row, row])

    def unfit(db: Database) -> None:
        db.change(insert(incident).values(id=bindparam("of"), sender="s", newest="n"), of="\ud800")

    go_on = await _blocked(store)
    works = [lambda db: _note(db, "first"), refused, doubled, unfit, lambda db: _note(db, "last")]
    writes = [asyncio.create_task(store._engine.write(work)) for work in works]
    await asyncio.sleep(0)
    go_on.set()
    first, *failed, last = await asyncio.gather(*writes, return_exceptions=True)
    assert (first, last, commits.count) == ("first", "last", 1)
    assert isinstance(failed[0], ValueError)
    assert isinstance(failed[1], sqlite3.IntegrityError | psycopg.IntegrityError)
    assert isinstance(failed[2], UnicodeEncodeError)
    entries = [(entry.seq, entry.object) for entry in await store.audit()]
    assert entries == [(2, "last"), (1, "first")]
    assert store.trouble is None


async def test_what_a_cancelled_caller_wrote_stays(store: Store) -> None:
    """A caller who hangs up changes nothing: what was handed over is committed and counted."""
    go_on = await _blocked(store)
    wanted = plan(["one"])
    task = asyncio.create_task(store.accept(wanted))
    await asyncio.sleep(0)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    view = await store.view(wanted.accepted.id)
    assert view is not None
    assert store.tally["one", "queued"] == 1


async def test_a_read_sees_what_was_written_before_it(store: Store) -> None:
    """Whoever asks after an answer finds what it promised."""
    for number in range(20):
        await store.note("a", "act", str(number), {})
        assert (await store.audit(limit=1))[0].object == str(number)


async def test_close_finishes_what_is_queued_and_refuses_the_rest(store: Store) -> None:
    """Nobody waits for ever on a store that has closed."""
    go_on = await _blocked(store)
    queued = asyncio.create_task(store.note("a", "act", "queued", {}))
    await asyncio.sleep(0)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(queued, closing)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.note("a", "act", "late", {})
    await store.close()


# A full disk (SQLite can be told how many pages there are)


async def _pages(store: Store, more: int) -> None:
    def limit(db: Database) -> None:
        used = db.command("PRAGMA page_count").fetchone()[0]
        db.command(f"PRAGMA max_page_count={used + more}")

    await store._engine.read(limit)


async def _until_full(store: Store) -> None:
    results: list[object] = []
    while not results or not isinstance(results[-1], BaseException):
        results += await asyncio.gather(store.accept(plan(["one"])), return_exceptions=True)
        assert len(results) < 500
    assert isinstance(results[-1], StorageFull)


async def test_a_full_disk_refuses_alerts_and_finishes_what_is_open(tmp_path: Path) -> None:
    """The ballast's space is given back for rows that are open; a refused alert leaves nothing."""
    table = StoreTable(url=f"sqlite:///{tmp_path}/test.db", ballast_bytes=4096)
    store = await Store.open(table, SystemClock())
    ballast = tmp_path / "ballast"
    assert ballast.stat().st_size == 4096
    await _pages(store, 4)
    store._engine.make_room = lambda: _room(store, ballast)
    await _until_full(store)
    assert "full" in (store.trouble or "")
    stored = store.accepted_count
    await store.note("daemon", "finish", "x" * 50_000, {})
    assert not ballast.exists()
    assert len(await store.alerts(limit=200)) == stored
    assert store.tally["one", "queued"] == stored
    await store.accept(plan(["one"]))  # there is room for a new ballast: all is well again
    assert store.trouble is None
    assert ballast.exists()
    await store.close()


def _room(store: Store, ballast: Path) -> bool:
    ballast.unlink(missing_ok=True)
    assert store._engine.database is not None
    store._engine.database.command("PRAGMA max_page_count=100000")
    return True


async def test_a_refused_alert_costs_its_neighbours_nothing_on_a_full_disk(
    sqlite_store: Store,
) -> None:
    """In one transaction: the alert is told 507, the end of an attempt is kept."""
    store = sqlite_store
    await _pages(store, 2)
    store._engine.make_room = lambda: _room(store, Path("none"))
    go_on = await _blocked(store)
    big = plan(["one"], actor="a" * 100_000)
    both = [
        asyncio.create_task(store.accept(big)),
        asyncio.create_task(store.note("daemon", "finish", "it", {})),
    ]
    await asyncio.sleep(0)
    go_on.set()
    refused, kept = await asyncio.gather(*both, return_exceptions=True)
    assert isinstance(refused, StorageFull)
    assert kept is None
    assert [entry.object for entry in await store.audit()] == ["it"]


# Storage that fails


class FailingConnection:
    """A connection whose commit fails as a disk does."""

    in_transaction = False

    def __init__(self, name: str) -> None:
        self.name = name

    def execute(self, sql: str, _: object = None) -> None:
        """Fail at the commit."""
        if sql == "COMMIT":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = self.name
            raise error

    def close(self) -> None:
        """Nothing to give back."""


@pytest.mark.parametrize("name", ["SQLITE_IOERR_FSYNC", "SQLITE_CORRUPT", "SQLITE_IOERR_WRITE"])
async def test_after_a_failed_sync_nobody_carries_on(name: str) -> None:
    """No write is confirmed, none is tried again, and the trouble says so."""
    database = Database(FailingConnection(name), on_sqlite=True)
    engine = Engine(
        lambda: database,
        asyncio.get_running_loop(),
        lambda _: pytest.fail("nothing was committed"),
        lambda: False,
        lambda: None,
        database,
    )
    engine.start()
    with pytest.raises(StoreBroken, match=name):
        await engine.write(lambda _: 1)
    assert engine.broken is not None
    with pytest.raises(StoreBroken, match=name):
        await engine.read(lambda _: 1)
    await engine.stop()


# PostgreSQL goes away and comes back


async def _start_again(postgres: PostgresServer) -> None:
    postgres.kill()
    for _ in range(50):
        try:
            postgres.start()
        except RuntimeError:  # what was left of it may need a moment to end
            await asyncio.sleep(0.1)
        else:
            return
    raise AssertionError(postgres.log_tail())


async def test_a_database_that_comes_back_is_taken_up_again(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    """While it is away all is refused as unavailable; then the same store works, nothing lost."""
    table = StoreTable(url=postgres_url, state_directory=tmp_path, ballast_bytes=0)
    store = await Store.open(table, SystemClock())
    await store.know_channels({"one": "fake"})
    first = await store.accept(plan(["one"]))
    assert not store.reconnected.is_set()
    postgres.kill()
    for work in (store.accept(plan(["one"])), store.alerts(), store.expire()):
        with pytest.raises(StoreUnavailable):
            await work
    assert store.trouble is None  # it is not broken: the process goes on
    await _start_again(postgres)
    second = await store.accept(plan(["one"]))
    await eventually(store.reconnected.is_set)
    found = {one.id for one in await store.alerts()}
    assert found == {first.accepted.id, second.accepted.id}
    await store.recount()
    assert store.tally["one", "queued"] == 2
    await store.close()


async def test_a_session_that_was_ended_by_the_server_is_replaced(
    postgres_url: str, tmp_path: Path
) -> None:
    """An administrator may end a session: one answer is lost, the next is given."""
    table = StoreTable(url=postgres_url, state_directory=tmp_path, ballast_bytes=0)
    store = await Store.open(table, SystemClock())
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StoreUnavailable):
        await store.alerts()
    assert await store.alerts() == []
    await store.close()


async def test_a_value_no_database_takes_is_the_askers_own_fault(store: Store) -> None:
    """It costs nobody the connection."""

    def ask(db: Database) -> None:
        db.rows(text("SELECT CAST(:x AS bigint)").bindparams(bindparam("x")), x=2**70)

    for work in (store._engine.read, store._engine.write):
        with pytest.raises((psycopg.DataError, OverflowError)):
            await work(ask)
    await store.note("a", "act", "after", {})
    assert not store.reconnected.is_set()
    assert store.trouble is None


async def test_a_nul_is_refused_by_postgresql_alone(postgres_url: str, tmp_path: Path) -> None:
    """The one who sent it is told, and the connection stays."""
    table = StoreTable(url=postgres_url, state_directory=tmp_path, ballast_bytes=0)
    store = await Store.open(table, SystemClock())
    with pytest.raises(psycopg.DataError, match="NUL"):
        await store.replay("scope\0", "key")
    assert await store.alerts() == []
    assert not store.reconnected.is_set()
    await store.close()
