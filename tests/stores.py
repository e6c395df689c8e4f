"""A fresh store on each of the two databases: the same tests run on both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broadcaster.clock import SystemClock
from broadcaster.config import StoreTable
from broadcaster.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def store_table(request: pytest.FixtureRequest, tmp_path: Path) -> StoreTable:
    """Give the configuration of a fresh, empty database: once SQLite, once PostgreSQL."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        return StoreTable(url=url, state_directory=tmp_path, ballast_bytes=0)
    return StoreTable(url=f"sqlite:///{tmp_path}/test.db", ballast_bytes=0)


@pytest.fixture
async def store(store_table: StoreTable) -> AsyncIterator[Store]:
    """Give an open store that knows the channels one, two and three."""
    opened = await Store.open(store_table, SystemClock())
    await opened.know_channels({"one": "fake", "two": "fake", "three": "fake"})
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
async def sqlite_store(tmp_path: Path) -> AsyncIterator[Store]:
    """Give an open store on SQLite alone, for what does not depend on the database."""
    table = StoreTable(url=f"sqlite:///{tmp_path}/test.db", ballast_bytes=0)
    opened = await Store.open(table, SystemClock())
    await opened.know_channels({"one": "fake", "two": "fake", "three": "fake"})
    try:
        yield opened
    finally:
        await opened.close()
