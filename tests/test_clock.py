"""Clocks: a wall clock that was set wrong never ends an alert, and suspension always counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcaster.clock import DRIFT_MAX, ExpiryClock, SystemClock
from tests.kit import NOW, ManualClock

MINUTE = timedelta(minutes=1)


def seen(*, jump: timedelta, passed: float = 0.0) -> tuple[ExpiryClock, ManualClock]:
    """Give a clock after real time has passed and the wall clock was set."""
    clock = ManualClock()
    expiry = ExpiryClock(clock)
    clock.move(passed)
    clock.wall += jump
    return expiry, clock


def test_time_that_passes_is_time_that_counts() -> None:
    """While both clocks agree, it is the wall clock's time."""
    expiry, clock = seen(jump=timedelta(0), passed=7200)
    assert expiry.now() == clock.now() == NOW + timedelta(hours=2)
    assert expiry.drift() == timedelta(0)


@pytest.mark.parametrize("jump", [timedelta(seconds=60), timedelta(seconds=-60)])
def test_a_small_correction_is_believed(jump: timedelta) -> None:
    """Up to a minute either way, the wall clock was put right, not wrong."""
    expiry, clock = seen(jump=jump, passed=100)
    assert expiry.now() == clock.now()
    assert expiry.drift() == jump


def test_a_jump_ahead_ends_no_alert() -> None:
    """A wall clock set years ahead changes nothing: elapsed time says how late it is."""
    expiry, _ = seen(jump=timedelta(days=3650), passed=100)
    assert expiry.now() == NOW + timedelta(seconds=100)
    assert expiry.drift() == timedelta(days=3650)


def test_a_jump_back_ends_no_alert_either() -> None:
    """A row expires only if both say so; the wall clock does not yet."""
    expiry, clock = seen(jump=timedelta(days=-1), passed=100)
    assert expiry.now() == clock.now() == NOW + timedelta(seconds=100) - timedelta(days=1)
    assert expiry.drift() == timedelta(days=-1)


def test_a_wall_clock_put_right_again_counts_again() -> None:
    """Once both agree again, all is as before."""
    expiry, clock = seen(jump=timedelta(days=1), passed=100)
    clock.wall -= timedelta(days=1)
    assert expiry.now() == clock.now() == NOW + timedelta(seconds=100)


def test_time_asleep_counts() -> None:
    """A machine that was suspended for hours: both clocks went on, and alerts have expired."""
    expiry, clock = seen(jump=timedelta(0), passed=8 * 3600)
    assert expiry.drift() == timedelta(0)
    assert expiry.now() == clock.now() == NOW + timedelta(hours=8)
    assert expiry.steady() == NOW + timedelta(hours=8)


@given(
    st.timedeltas(min_value=timedelta(days=-3650), max_value=timedelta(days=3650)),
    st.floats(min_value=0, max_value=1e8),
)
def test_nothing_expires_unless_both_clocks_say_so(jump: timedelta, passed: float) -> None:
    """Beyond a minute of drift the earlier counts; within it the wall clock."""
    expiry, clock = seen(jump=jump, passed=passed)
    if abs(expiry.drift()) > DRIFT_MAX:
        assert expiry.now() == min(clock.now(), expiry.steady())
    else:
        assert expiry.now() == clock.now()


async def test_the_system_clock_is_aware_and_goes_on() -> None:
    """Wall time is UTC; elapsed time never goes back; waiting takes the time it says."""
    clock = SystemClock()
    began = clock.elapsed()
    assert clock.now().tzinfo is UTC
    assert abs(clock.now() - datetime.now(UTC)) < MINUTE
    await clock.sleep(0.02)
    assert clock.elapsed() - began >= 0.02
