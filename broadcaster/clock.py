"""Time, which comes in by the door: what the system says, or what a test says."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

DRIFT_MAX = timedelta(seconds=60)


class Clock(Protocol):
    """Wall time for people and rows, elapsed time for waits and limits."""

    def now(self) -> datetime:
        """Return the wall clock, aware, UTC."""
        ...

    def elapsed(self) -> float:
        """Return seconds since some fixed point, suspension of the machine included."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Return the wall clock, aware, UTC."""
        return datetime.now(UTC)

    def elapsed(self) -> float:
        """Return seconds since boot; unlike the monotonic clock, it goes on while suspended."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class ExpiryClock:
    """Says what time it is for expiry: a wall clock that was set wrong must not end an alert.

    While wall time and elapsed time agree, wall time counts. Once they have drifted more than 60 s
    apart, a row expires only if both say so; so the earlier of the two is the time that counts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall = clock.now()
        self._elapsed = clock.elapsed()

    def steady(self) -> datetime:
        """Return the time by elapsed seconds since this clock was made."""
        return self._wall + timedelta(seconds=self._clock.elapsed() - self._elapsed)

    def drift(self) -> timedelta:
        """Return by how much the wall clock has moved against elapsed time; positive: ahead."""
        return self._clock.now() - self.steady()

    def due(self) -> datetime:
        """Return the time to hold against a due time: no wait ends or grows by setting a clock."""
        wall, steady = self._clock.now(), self.steady()
        return wall if abs(wall - steady) <= DRIFT_MAX else steady

    def now(self) -> datetime:
        """Return the time to hold against an expiry."""
        wall, steady = self._clock.now(), self.steady()
        return wall if abs(wall - steady) <= DRIFT_MAX else min(wall, steady)
