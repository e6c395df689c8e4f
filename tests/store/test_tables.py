"""The tables on both databases: histories that only grow, and one delivery per place."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import Dialect, TextClause, text
from sqlalchemy.dialects import postgresql, sqlite

from broadcaster.delivery import Outcome, State
from broadcaster.record import NoticeKind
from broadcaster.store import End, NewNotice, Store
from broadcaster.store.engine import Database
from broadcaster.store.tables import APPEND_ONLY, among, delivery, metadata
from tests.kit import plan

HOLD = timedelta(seconds=20)


async def _a_row_in_every_history(store: Store) -> None:
    await store.accept(plan(["one"]))
    (claimed,) = (await store.claim({"one": 1}, HOLD)).deliveries
    await store.record(claimed, End(Outcome.REJECTED, "no"))
    await store.tell(NewNotice(NoticeKind.CHANNEL, "not ready", channel="one"))
    await store.mark_told([matter.notice.id for matter in await store.open_notices()], "phone")


async def _count(store: Store, table: str) -> int:
    statement = text(f"SELECT count(*) AS n FROM {table}")
    return int((await store._engine.read(lambda db: db.rows(statement)))[0]["n"])


async def test_histories_only_grow(store: Store) -> None:
    """Attempts, their ends, events, audit and who was told can be neither changed nor removed."""
    await _a_row_in_every_history(store)
    on_sqlite = await store._engine.read(lambda db: db.on_sqlite)
    refusal = sqlite3.IntegrityError if on_sqlite else psycopg.errors.RaiseException
    for table in APPEND_ONLY:
        before = await _count(store, table)
        assert before > 0
        column = next(iter(metadata.tables[table].c)).name
        changes = [f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"]
        if not on_sqlite:
            changes.append(f"TRUNCATE {table} CASCADE")
        for change in map(text, changes):
            with pytest.raises(refusal, match="only grows"):
                await _write(store, change)
        assert await _count(store, table) == before
    assert store.trouble is None


async def _write(store: Store, change: TextClause) -> None:
    await store._engine.write(lambda db: db.change(change))


async def test_a_place_holds_one_delivery(store: Store) -> None:
    """Alert x channel x part is exactly one post."""
    await store.accept(plan(["one"]))

    def double(db: Database) -> None:
        row = db.rows(delivery.select())[0]
        db.insert(delivery, [row | {"id": "another"}])

    with pytest.raises(Exception, match=r"(?i)unique"):
        await store._engine.write(double)
    assert await _count(store, "delivery") == 1


async def test_the_migrated_schema_is_the_one_the_code_speaks_of(store: Store) -> None:
    """No column is missing in the database, and none is there that nobody knows."""

    def columns(db: Database) -> dict[str, set[str]]:
        return {
            name: {
                column[0]
                for column in db.connection.execute(f"SELECT * FROM {name} LIMIT 0").description
            }
            for name in metadata.tables
        }

    found = await store._engine.read(columns)
    assert found == {name: {c.name for c in table.c} for name, table in metadata.tables.items()}


@pytest.mark.parametrize("dialect", [sqlite.dialect, postgresql.dialect])
def test_among_is_compiled_without_a_list_that_grows(dialect: type[Dialect]) -> None:
    """A statement with IN would be compiled anew for every length of its list."""
    states = [State.QUEUED, State.WAITING]
    said = str(among(delivery.c.state, states).compile(dialect=dialect()))
    assert said.count("delivery.state =") == 2
    assert "IN" not in said
