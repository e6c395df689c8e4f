"""Migrations: Alembic, loaded only when the schema is not up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.pool import StaticPool

from broadcaster.record import StoreBroken

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: Any, dialect: str) -> None:
    """Bring the schema up to date in one transaction on this very connection."""
    engine = sa.create_engine(dialect, creator=lambda: connection, poolclass=StaticPool)
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    with engine.connect() as wrapped:
        settings.attributes["connection"] = wrapped
        wrapped.exec_driver_sql("BEGIN")
        try:
            command.upgrade(settings, "head")
        except CommandError as error:
            wrapped.exec_driver_sql("ROLLBACK")
            raise StoreBroken(f"the database is from a newer version: {error}") from error
        wrapped.exec_driver_sql("COMMIT")
