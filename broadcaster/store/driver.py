"""What the two databases' drivers call their errors, and what each error means."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from broadcaster.record import StorageFull, StoreBroken, StoreUnavailable


@dataclass(frozen=True, slots=True)
class Driver:
    """What the two databases' drivers call their errors.

    `errors` are all of them; `own` says which are the fault of one operation's values, so that
    connection and everybody else's work are sound. `trouble` says what any other one means.
    """

    dialect: sa.Dialect
    errors: type[Exception]
    own: Callable[[Exception], bool]
    trouble: Callable[[Any], Exception]


def _sqlite_trouble(error: Any) -> Exception:
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    if name == "SQLITE_FULL":
        return StorageFull("the disk is full")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreUnavailable("the database is locked")
    return StoreBroken(f"the store failed: {name}")


def _is_own(error: Exception) -> bool:
    """Broken rules of the schema; and a text that is no UTF-8, which damages its own row alone."""
    return isinstance(error, sqlite3.IntegrityError) or str(error).startswith("Could not decode")


SQLITE = Driver(
    sqlite.dialect(paramstyle="named"),
    sqlite3.Error,
    _is_own,
    _sqlite_trouble,
)
