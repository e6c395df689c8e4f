"""Migrations on both databases: a fresh one is brought up to date once, a newer one refused."""

from __future__ import annotations

import sqlite3

import psycopg
import pytest
from sqlalchemy import text

from broadcaster.clock import SystemClock
from broadcaster.config import StoreTable
from broadcaster.record import StoreBroken
from broadcaster.store import Store
from broadcaster.store.engine import Database
from broadcaster.store.tables import REVISION


def _versions(db: Database) -> list[str]:
    return [row["version_num"] for row in db.rows(text("SELECT version_num FROM alembic_version"))]


async def test_a_database_that_is_up_to_date_is_left_as_it_is(store_table: StoreTable) -> None:
    """Its version is named, once, however often it is opened."""
    for _ in range(2):
        store = await Store.open(store_table, SystemClock())
        assert await store._engine.read(_versions) == [REVISION]
        await store.close()


async def test_a_newer_database_is_refused_and_not_touched(store_table: StoreTable) -> None:
    """An older program must not guess what a newer one meant."""
    store = await Store.open(store_table, SystemClock())
    await store.close()
    newer = "UPDATE alembic_version SET version_num = '9999'"
    if store_table.path:
        with sqlite3.connect(store_table.path) as connection:
            connection.execute(newer)
        connection.close()
    else:
        with psycopg.connect(store_table.url) as session:
            session.execute(newer)
    for _ in range(2):  # the refusal gives the lock back
        with pytest.raises(StoreBroken, match="newer version"):
            await Store.open(store_table, SystemClock())
