"""Opening PostgreSQL: what is refused, and that nothing secret is said."""

from __future__ import annotations

import psycopg
import pytest

from broadcaster.clock import SystemClock
from broadcaster.config import StoreTable
from broadcaster.record import StoreBroken, StoreUnavailable
from broadcaster.store import Store
from broadcaster.store.opening import connect
from tests.peers.postgres import PostgresServer


async def test_a_store_opens_at_once_after_it_was_closed(store_table: StoreTable) -> None:
    """The server may need a moment to end the old session, which holds the lock until then."""
    for _ in range(10):
        store = await Store.open(store_table, SystemClock())
        await store.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://broadcaster:geheim@127.0.0.1:1/none",
        "postgresql://broadcaster:geheim@127.0.0.1:1/none?geheim=1",
        "postgresql://broadcaster:geheim%zz@127.0.0.1/none",
    ],
)
def test_a_postgresql_that_cannot_be_reached_is_refused_without_its_password(url: str) -> None:
    """Nothing secret is in an error, not even in what caused it."""
    with pytest.raises(StoreUnavailable) as refused:
        connect(url, None)
    told: BaseException | None = refused.value
    while told is not None:
        assert "geheim" not in str(told)
        told = told.__cause__


def test_a_postgresql_that_may_lose_what_it_confirmed_is_refused(
    postgres: PostgresServer, postgres_url: str
) -> None:
    """A 202 rests on the commit being on stable storage."""
    name = postgres_url.rpartition("/")[2]
    with psycopg.connect(postgres_url, autocommit=True) as session:
        session.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    assert postgres.answers()
    with pytest.raises(StoreBroken, match="synchronous_commit=off"):
        connect(postgres_url, None)
