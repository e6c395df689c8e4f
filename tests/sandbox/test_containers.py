"""Meta's containers: what each says of itself while time passes."""

from __future__ import annotations

import pytest

from broadcaster.sandbox import containers
from broadcaster.sandbox.containers import Containers
from broadcaster.sandbox.posts import account
from tests.kit import ManualClock

CITY = account("sandbox-stadt")


def test_a_container_takes_its_time_and_does_not_live_for_ever() -> None:
    """IN_PROGRESS, then FINISHED, and after a day EXPIRED."""
    clock = ManualClock()
    one = Containers(clock).make(CITY, "Feuer", 0.3)
    seen = []
    for seconds in (0, 0.3, 24 * 3600):
        clock.move(seconds)
        seen.append(one.status(clock.now()))
    assert seen == ["IN_PROGRESS", "FINISHED", "EXPIRED"]


def test_what_was_published_stays_so() -> None:
    """Also after a day: it tells a lost answer from a lost request."""
    clock = ManualClock()
    one = Containers(clock).make(CITY, "Feuer", 0)
    one.published = True
    clock.move(48 * 3600)
    assert one.status(clock.now()) == "PUBLISHED"


def test_a_fault_shows_when_it_is_ready() -> None:
    """A picture that could not be used is found out while it is processed."""
    clock = ManualClock()
    one = Containers(clock).make(CITY, "Feuer", 0.3, fault="UNKNOWN")
    assert one.status(clock.now()) == "IN_PROGRESS"
    clock.move(0.3)
    assert one.status(clock.now()) == "ERROR"


def test_a_container_is_its_accounts_own() -> None:
    """Another account does not see it; nor does anybody one that was never made."""
    kept = Containers(ManualClock())
    one = kept.make(CITY, "Feuer", 0)
    assert kept.get(one.id, CITY) is one
    assert kept.get(one.id, account("sandbox-andere")) is None
    assert kept.get("1", CITY) is None


def test_numbers_are_never_used_twice_and_old_containers_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even while time stands still; memory is bounded."""
    monkeypatch.setattr(containers, "CONTAINERS_KEPT", 10)
    kept = Containers(ManualClock())
    made = [kept.make(CITY, "Feuer", 0) for _ in range(11)]
    assert len({one.id for one in made}) == 11
    assert kept.get(made[0].id, CITY) is None
    assert kept.get(made[1].id, CITY) is made[1]
