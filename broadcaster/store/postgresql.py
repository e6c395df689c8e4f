"""PostgreSQL: how it is opened, and what its driver calls its errors. Loaded only when used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import psycopg as postgresql

from broadcaster.record import StorageFull, StoreBroken, StoreUnavailable
from broadcaster.store.driver import Driver

_ADVISORY_LOCK = 0x62726F6164  # one daemon per PostgreSQL database
_LOCK_SECONDS = 2  # our own session that has just ended may hold the lock for a moment
_HAS_REVISION = "SELECT to_regclass('alembic_version')"


def _trouble(error: Any) -> Exception:
    if isinstance(error, psycopg.errors.DiskFull):
        return StorageFull("the database's disk is full")
    return StoreUnavailable(f"the database refused: {type(error).__name__}")


def _is_own(error: Exception) -> bool:
    return isinstance(error, _OWN)


_OWN = (
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.errors.RaiseException,  # a trigger's refusal
)
DRIVER = Driver(
    postgresql.dialect(),  # type: ignore[no-untyped-call]
    psycopg.Error,
    _is_own,
    _trouble,
)


def connect(url: str, migrate: Callable[[Any, str, str], None]) -> psycopg.Connection[Any]:
    """Open the database, refuse a second daemon, and have the schema brought up to date.

    Raises StoreUnavailable or StoreBroken.
    """
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"PostgreSQL cannot be reached: {type(error).__name__}") from error
    except psycopg.Error:  # its text may quote the address, and so the password in it
        raise StoreUnavailable("the address of PostgreSQL cannot be read") from None
    try:
        _check_postgresql(connection)
        migrate(connection, "postgresql+psycopg://", _HAS_REVISION)
    except (psycopg.Error, sa.exc.SQLAlchemyError) as error:
        connection.close()
        raise StoreUnavailable(f"PostgreSQL refused: {type(error).__name__}") from error
    except (StoreBroken, StoreUnavailable):
        connection.close()
        raise
    return connection


def _check_postgresql(connection: psycopg.Connection[Any]) -> None:
    connection.execute(f"SET lock_timeout = '{_LOCK_SECONDS}s'")
    try:
        connection.execute("SELECT pg_advisory_lock(%s)", (_ADVISORY_LOCK,))
    except psycopg.errors.LockNotAvailable as error:
        raise StoreUnavailable("this PostgreSQL database is in use by another daemon") from error
    connection.execute("RESET lock_timeout")
    for name, weak in (("synchronous_commit", "off"), ("fsync", "off")):
        found = connection.execute(f"SHOW {name}").fetchone()
        if found and found[0] == weak:
            raise StoreBroken(
                f"PostgreSQL runs with {name}={weak}: an accepted alert could be lost"
            )
