"""The store as a whole: its counts, its followers, its backup, its numbers."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import stat
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from broadcaster.clock import SystemClock
from broadcaster.config import StoreTable
from broadcaster.delivery import Delivery, Outcome, Receipt, State
from broadcaster.record import Accepted, Refused
from broadcaster.store import End, Store
from tests.conftest import count
from tests.kit import NOW, ManualClock, plan

HOLD = timedelta(seconds=20)
CHANNELS = ("one", "two", "three")


@pytest.fixture
def clock() -> ManualClock:
    """Give a clock that stands still until a test moves it."""
    return ManualClock()


@pytest.fixture
async def desk(store_table: StoreTable, clock: ManualClock) -> AsyncIterator[Store]:
    """Give a store that lives by the clock of the test."""
    opened = await Store.open(store_table, clock)
    await opened.know_channels(dict.fromkeys(CHANNELS, "fake"))
    yield opened
    await opened.close()


class Night:
    """Does what a night brings, at random: accepts, sends, loses, expires, crashes, orders."""

    def __init__(self, store: Store, clock: ManualClock, chance: random.Random) -> None:
        self.store, self.clock, self.chance = store, clock, chance
        self.running: list[Delivery] = []
        self.newest: list[Accepted] = []

    async def step(self) -> None:
        """Do one thing, or several at once."""
        steps = [
            *(self.accept, self.update, self.claim, self.claim, self.end, self.end),
            *(self.resolve, self.order, self.restart, self.expire, self.wait),
        ]
        chosen = self.chance.choices(steps, k=self.chance.randint(1, 3))
        done = await asyncio.gather(*(step() for step in chosen), return_exceptions=True)
        for result in done:
            assert result is None or isinstance(result, Refused), result

    async def accept(self) -> None:
        """A new danger."""
        channels = self.chance.sample(CHANNELS, self.chance.randint(1, 3))
        expires = self.clock.now() + timedelta(seconds=self.chance.randint(30, 600))
        wanted = plan(channels, now=self.clock.now(), expires=expires)
        self.newest.append((await self.store.accept(wanted)).accepted)

    async def update(self) -> None:
        """A newer version, perhaps of what was replaced meanwhile."""
        if self.newest:
            older = self.chance.choice(self.newest)
            wanted = plan(CHANNELS, now=self.clock.now(), after=older)
            self.newest.append((await self.store.accept(wanted)).accepted)

    async def claim(self) -> None:
        """Take up what is due."""
        free = {name: self.chance.randint(0, 3) for name in CHANNELS}
        self.running += (await self.store.claim(free, HOLD)).deliveries

    async def end(self) -> None:
        """An attempt ends, or passes its limit."""
        if not self.running:
            return
        one = self.running.pop(self.chance.randrange(len(self.running)))
        due = self.clock.now() + timedelta(seconds=self.chance.randint(0, 60))
        end = End(self.chance.choice(list(Outcome)), "why", Receipt("1"), due)
        if self.chance.random() < 0.2:
            await self.store.overran(one, end)
        await self.store.record(one, end)

    async def resolve(self) -> None:
        """Read back what is in doubt."""
        for row in await self.store.to_read(self.chance.choice(CHANNELS), 3):
            now, one = self.clock.now(), row.delivery
            choice = self.chance.randrange(4)
            if choice == 0:
                await self.store.found(one, Receipt("2"))
            elif choice == 1:
                await self.store.absent(one, now, proven=True)
            elif choice == 2:
                await self.store.unreadable(one, "no token")
            else:
                await self.store.read_again(one, now, one.reads + 1, "not there")

    async def order(self) -> None:
        """A person retries, confirms or takes down something, rightly or wrongly."""
        if not self.newest:
            return
        view = await self.store.view(self.chance.choice(self.newest).id)
        assert view is not None
        one = self.chance.choice(view.deliveries)[0].id
        choice = self.chance.randrange(3)
        if choice == 0:
            await self.store.retry(one, "key:a")
        elif choice == 1:
            await self.store.confirm(one, "https://fake.example/1", "key:a")
        else:
            await self.store.retracted(one, "key:a")

    async def restart(self) -> None:
        """A crash, and perhaps a channel fewer."""
        running = [one.id for one in self.running if self.chance.random() < 0.5]
        self.running = [one for one in self.running if one.id in running]
        await self.store.recover(running, HOLD)
        if self.chance.random() < 0.1:
            await self.store.abandon(CHANNELS[:2])

    async def expire(self) -> None:
        """Time is up for some."""
        await self.store.expire()

    async def wait(self) -> None:
        """Time passes."""
        self.clock.move(self.chance.randint(0, 60))


@pytest.mark.soak
async def test_the_counts_in_memory_are_those_of_the_table(
    desk: Store, clock: ManualClock, seed: int
) -> None:
    """After any night; and events, attempts and audit agree with the rows (seed printed)."""
    night = Night(desk, clock, random.Random(seed))
    for number in range(count(250, 10_000)):
        await night.step()
        if number % 50 == 49:
            await _agrees(desk)
    await _agrees(desk)
    assert len({state for (_, state), n in desk.tally.items() if n}) >= 5


async def _agrees(store: Store) -> None:
    rows = await _rows(store, "SELECT id, channel, state, attempts, due FROM delivery")
    counted = Counter((row["channel"], row["state"]) for row in rows)
    assert +store.tally == counted
    last = await _rows(
        store,
        "SELECT delivery, state FROM event WHERE id IN "
        "(SELECT max(id) FROM event GROUP BY delivery)",
    )
    assert {row["delivery"]: row["state"] for row in last} == {r["id"]: r["state"] for r in rows}
    begun = await _rows(store, "SELECT delivery, count(*) AS n FROM attempt GROUP BY delivery")
    tried = {row["id"]: row["attempts"] for row in rows if row["attempts"]}
    assert {row["delivery"]: row["n"] for row in begun} == tried
    audit = await _rows(store, "SELECT max(seq) AS last, count(*) AS n FROM audit")
    assert audit[0]["n"] == (audit[0]["last"] or 0)
    assert all(row["due"] is not None for row in rows if row["state"] == State.QUEUED)
    found = await _rows(store, "SELECT count(*) AS n FROM alert")
    assert store.accepted_count == found[0]["n"]


async def _rows(store: Store, sql: str) -> list[dict[str, object]]:
    statement = text(sql)
    return await store._engine.read(lambda db: db.rows(statement))


async def test_the_counts_after_a_restart_are_those_before(
    store_table: StoreTable, clock: ManualClock, seed: int
) -> None:
    """What is kept in memory is counted anew at the start."""
    store = await Store.open(store_table, clock)
    await store.know_channels(dict.fromkeys(CHANNELS, "fake"))
    night = Night(store, clock, random.Random(seed))
    for _ in range(40):
        await night.step()
    before, accepted = +store.tally, store.accepted_count
    await store.close()
    again = await Store.open(store_table, clock)
    assert (again.tally, again.accepted_count) == (before, accepted)
    await again.close()


async def test_counting_anew_loses_no_move_that_comes_at_the_same_time(desk: Store) -> None:
    """However the answers of the store and the loop's own turns mix."""
    for _ in range(20):
        writes = [desk.accept(plan(["one"], now=NOW)) for _ in range(5)]
        await asyncio.gather(desk.recount(), *writes, desk.recount())
    assert desk.tally["one", "queued"] == 100


async def test_counting_anew_holds_while_the_loop_is_busy(desk: Store) -> None:
    """A later commit that is heard of in the same turn of the loop still counts."""

    async def busy(seconds: float) -> None:
        time.sleep(seconds)  # the loop stands still, while the store's thread goes on

    accepting = desk.accept(plan(["one"], now=NOW))
    await asyncio.gather(desk.recount(), busy(0.05), accepting, busy(0.2))
    assert desk.tally["one", "queued"] == 1


async def test_followers_are_woken_by_their_alert_alone(desk: Store) -> None:
    """A change between two waits is not missed, and a follower that leaves is forgotten."""
    mine = await desk.accept(plan(["one"], now=NOW))
    await desk.accept(plan(["two"], now=NOW))
    with desk.subscribe(mine.accepted.id) as changes, desk.subscribe(mine.accepted.id) as both:
        await desk.claim({"two": 1}, HOLD)
        assert not changes._event.is_set()
        (claimed,) = (await desk.claim({"one": 1}, HOLD)).deliveries
        await asyncio.wait_for(changes.wait(), 5)
        await asyncio.wait_for(both.wait(), 5)
        assert not changes._event.is_set()
        await desk.record(claimed, End(Outcome.ACCEPTED, receipt=Receipt("1")))
        await asyncio.wait_for(changes.wait(), 5)
    assert desk._followers == {}


async def test_incident_numbers_are_given_once(desk: Store) -> None:
    """Also to many who ask at the same time."""
    numbers = await asyncio.gather(*(desk.next_incident("26") for _ in range(20)))
    assert sorted(numbers) == [f"26-{number:04}" for number in range(1, 21)]


# Backup


async def test_a_backup_is_consistent_and_complete(sqlite_store: Store, tmp_path: Path) -> None:
    """Taken while alerts come in: a database that opens, with all that was there when it began."""
    for _ in range(20):
        await sqlite_store.accept(plan(["one"]))
    copy = tmp_path / "copy.db"
    writes = [sqlite_store.accept(plan(["one"])) for _ in range(20)]
    await asyncio.gather(*writes[:10], sqlite_store.backup(copy), *writes[10:])
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    opened = await Store.open(StoreTable(url=f"sqlite:///{copy}", ballast_bytes=0), SystemClock())
    stored = opened.accepted_count
    assert 20 <= stored <= 40
    assert opened.tally["one", "queued"] == stored
    assert len(await opened.audit(limit=200)) == stored
    await opened.close()


async def test_a_backup_never_writes_over_a_file(sqlite_store: Store, tmp_path: Path) -> None:
    """Least of all over the store itself."""
    there = tmp_path / "there"
    there.write_text("kept")
    for path in (there, tmp_path / "test.db"):
        with pytest.raises(ValueError, match="exists already"):
            await sqlite_store.backup(path)
    assert there.read_text() == "kept"
    await sqlite_store.accept(plan(["one"]))


async def test_a_backup_that_fails_harms_nobody(sqlite_store: Store, tmp_path: Path) -> None:
    """A place that cannot be written to is told to who asked; the daemon goes on."""
    with pytest.raises(OSError, match="nowhere"):
        await sqlite_store.backup(tmp_path / "nowhere" / "copy.db")
    long = tmp_path / ("x" * 250)  # a name the file may have, but not the journal beside it
    with pytest.raises(ValueError, match="could not be written"):
        await sqlite_store.backup(long)
    assert not long.exists()
    assert sqlite_store.trouble is None
    await sqlite_store.accept(plan(["one"]))


async def test_a_backup_needs_room(
    sqlite_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not fill the disk that alerts are written to."""
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("broadcaster.store.shutil.disk_usage", lambda _: usage)
    with pytest.raises(ValueError, match="not enough space"):
        await sqlite_store.backup(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


async def test_postgresql_is_backed_up_with_its_own_means(
    postgres_url: str, tmp_path: Path
) -> None:
    """And the answer says so."""
    table = StoreTable(url=postgres_url, state_directory=tmp_path, ballast_bytes=0)
    store = await Store.open(table, SystemClock())
    with pytest.raises(ValueError, match="pg_dump"):
        await store.backup(tmp_path / "copy.db")
    await store.close()


async def test_a_backup_opens_with_any_sqlite(sqlite_store: Store, tmp_path: Path) -> None:
    """It is one file, sound by SQLite's own full check."""
    await sqlite_store.accept(plan(["one"]))
    await sqlite_store.backup(tmp_path / "copy.db")
    connection = sqlite3.connect(tmp_path / "copy.db")
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("SELECT count(*) FROM delivery").fetchone() == (1,)
    connection.close()
