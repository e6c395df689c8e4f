"""Opening a database: lock, settings read back, migrations, integrity, ballast.

SQLite: locking_mode EXCLUSIVE is set before journal_mode WAL, so a second process is refused and
the WAL-reset bug of SQLite before 3.51.3, which needs two connections, cannot occur. A PRAGMA can
be ignored without an error, so every one is read back.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from broadcaster.record import StoreBroken, StoreUnavailable
from broadcaster.store.engine import Database
from broadcaster.store.tables import REVISION

_PRAGMAS = (  # in this order; the value is what must be read back
    ("locking_mode", "EXCLUSIVE", "exclusive"),
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", "2"),
    ("foreign_keys", "ON", "1"),
    ("busy_timeout", "0", "0"),
    ("wal_autocheckpoint", "1000", "1000"),
)


_HAS_REVISION = "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"


def connect(url: str, path: Path | None) -> Database:
    """Open the database, refuse a second daemon, and bring the schema up to date.

    Raises StoreUnavailable when it is in use or cannot be reached, StoreBroken when it is damaged,
    from a newer version, or does not keep the settings that durability rests on.
    """
    if path is not None:
        return _connect_sqlite(path)
    from broadcaster.store.postgresql import connect as connect_postgresql  # noqa: PLC0415 - 10 MB

    return Database(connect_postgresql(url, migrate), on_sqlite=False)


def _connect_sqlite(path: Path) -> Database:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = not path.exists()
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    except sqlite3.DatabaseError as error:
        raise _opening_error(error, path) from error
    try:
        _settings(connection)
        if fresh:
            path.chmod(0o600)
        _integrity(connection)
        migrate(connection, "sqlite://", _HAS_REVISION)
    except (sqlite3.DatabaseError, sa.exc.DBAPIError) as error:
        connection.close()
        raise _opening_error(getattr(error, "orig", error), path) from error
    except (StoreBroken, StoreUnavailable):
        connection.close()
        raise
    return Database(connection, on_sqlite=True)


def _settings(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("BEGIN IMMEDIATE").connection.execute("COMMIT")  # takes the lock now
    for name, value, expected in _PRAGMAS:
        connection.execute(f"PRAGMA {name}={value}")
        found = str(connection.execute(f"PRAGMA {name}").fetchone()[0])
        if found != expected:
            raise StoreBroken(f"SQLite did not keep {name}={value}: it is {found}")


def _integrity(connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA quick_check(3)").fetchall()
    if found != [("ok",)]:
        raise StoreBroken(f"the database is damaged: {found[0][0]}; restore a backup")


def _opening_error(error: BaseException | None, path: Path) -> Exception:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreUnavailable(f"{path} is in use by another process; only one daemon may run")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StoreBroken(f"{path} is damaged: {error}; restore a backup")
    return StoreBroken(f"{path} cannot be used: {error}")


def migrate(connection: Any, dialect: str, has_revision: str) -> None:
    """Bring the schema up to date; one that is needs no look at the migrations.

    `has_revision` is the statement that says whether the schema's revision is written down.
    """
    row = connection.execute(has_revision).fetchone()
    if row and row[0]:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if not row or row[0] != REVISION:
        from broadcaster.store.migrating import upgrade  # noqa: PLC0415 - 12 MB, rarely needed

        upgrade(connection, dialect)


class Ballast:
    """A reserved file whose space is given back when the disk is full."""

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size

    def reserve(self) -> bool:
        """Take the space if it can be had and leave as much again; say whether it is there now."""
        if self._size == 0 or (self._path.exists() and self._path.stat().st_size == self._size):
            return True
        if self._free() < 2 * self._size:
            return False
        with self._path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self._size)
        return True

    def release(self) -> bool:
        """Give the space back; say whether there was any."""
        if not self._path.exists():
            return False
        self._path.unlink()
        return True

    def _free(self) -> int:
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize
