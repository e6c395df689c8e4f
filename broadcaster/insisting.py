"""Insisting: what happened must not be lost, so a write waits until its database comes back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from broadcaster.clock import Clock
from broadcaster.store import StorageFull, StoreUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

AGAIN_SECONDS = 1.0


async def insist(clock: Clock, write: Callable[[], Awaitable[T]]) -> T:
    """Write; while the database is away, or has no room, wait for it, however long.

    Only for what is safe to repeat: a commit whose answer was lost is repeated too.
    """
    while True:
        try:
            return await write()
        except (StoreUnavailable, StorageFull) as error:
            log.warning("write_refused", error=str(error))
            await clock.sleep(AGAIN_SECONDS)
