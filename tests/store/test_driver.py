"""What an error of SQLite means for everybody else."""

from __future__ import annotations

import sqlite3

import pytest

from broadcaster.record import StorageFull, StoreBroken, StoreUnavailable
from broadcaster.store.driver import SQLITE


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("SQLITE_FULL", StorageFull),
        ("SQLITE_BUSY_SNAPSHOT", StoreUnavailable),
        ("SQLITE_LOCKED", StoreUnavailable),
        ("SQLITE_IOERR_FSYNC", StoreBroken),
        ("SQLITE_CORRUPT", StoreBroken),
        ("SQLITE_NOTADB", StoreBroken),
        ("", StoreBroken),
    ],
)
def test_what_an_error_means(name: str, meaning: type[Exception]) -> None:
    """Full is 507, busy is 503, and anything about storage itself ends the process."""
    error = sqlite3.OperationalError("x")
    error.sqlite_errorname = name
    assert isinstance(SQLITE.trouble(error), meaning)


def test_a_broken_rule_of_the_schema_is_one_operations_own_fault() -> None:
    """It must not end anybody else's work."""
    assert SQLITE.own(sqlite3.IntegrityError("UNIQUE constraint failed"))
    assert SQLITE.own(sqlite3.OperationalError("Could not decode to UTF-8 column 'text'"))
    assert not SQLITE.own(sqlite3.OperationalError("disk I/O error"))
