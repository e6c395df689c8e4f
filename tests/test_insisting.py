"""What must not be lost is written as soon as it can be, and what cannot be written is an error."""

from __future__ import annotations

import pytest

from broadcaster.insisting import AGAIN_SECONDS, insist
from broadcaster.store import StorageFull, StoreBroken, StoreUnavailable
from tests.kit import ManualClock


class Waiting(ManualClock):
    """A clock that only waiting moves."""

    waited = 0.0

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once."""
        self.waited += seconds


async def test_a_write_waits_for_its_database() -> None:
    """It is repeated until it is done, however it was refused."""
    clock, troubles = Waiting(), [StoreUnavailable("away"), StorageFull("full")]

    async def write() -> str:
        if troubles:
            raise troubles.pop(0)
        return "written"

    assert await insist(clock, write) == "written"
    assert clock.waited == 2 * AGAIN_SECONDS


async def test_what_is_broken_is_not_waited_for() -> None:
    """After a failed fsync nothing is repeated: the process ends."""

    async def write() -> None:
        raise StoreBroken("fsync")

    with pytest.raises(StoreBroken):
        await insist(Waiting(), write)
