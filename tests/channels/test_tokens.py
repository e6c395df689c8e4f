"""Credentials that rotate: written down before they are used, refreshed ahead, by one at a time."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from broadcaster.channels import tokens as room
from broadcaster.channels.tokens import (
    FAILED_PAUSE_SECONDS,
    KEEP_AGAIN_SECONDS,
    Grant,
    Refresh,
    Tokens,
    write_secret,
)
from broadcaster.delivery import NeedsPerson, NotSent, Unknown
from tests.channels.meta.graph_stub import MovingClock
from tests.channels.stub import NOW

CANARY = "canary-4711"
DAY = timedelta(days=1)
NO_TOKENS = [
    *("", "two words", f"{CANARY} ü", "tökn", "{", "{}", '{"access_token": 1}'),
    *('{"access_token": ""}', '{"access_token": "a b"}', '{"access_token": "canary ü"}'),
    '{"access_token": "a", "expires": "x"}',
    '{"access_token": "a", "expires": "2026-11-22T01:47:00"}',
]
AHEAD = timedelta(days=30)


class Network:
    """Grants tokens, each with a number; counts how often it was asked."""

    def __init__(self, clock: MovingClock) -> None:
        self.clock = clock
        self.asked: list[Grant] = []
        self.failure: Exception | None = None
        self.wait: Callable[[], Awaitable[Any]] = lambda: asyncio.sleep(0)

    async def refresh(self, grant: Grant) -> Grant:
        self.asked.append(grant)
        await self.wait()
        if self.failure:
            raise self.failure
        now = self.clock.now()
        number = len(self.asked)
        return Grant(f"new-{number}", now + 60 * DAY, f"renewal-{number}", None, now)


@pytest.fixture
def clock() -> MovingClock:
    """Give a clock that only waiting moves."""
    return MovingClock()


@pytest.fixture
def network(clock: MovingClock) -> Network:
    """Give a network that grants tokens."""
    return Network(clock)


def given(days: float | None = None, **more: Any) -> str:
    """Give what a secret file holds: a token that lasts so long."""
    expires = None if days is None else NOW + timedelta(days=days)
    return json.dumps(Grant(CANARY, expires, **more).to_json())


def tokens(
    place: Path, text: str, clock: MovingClock, refresh: Refresh | None, **more: Any
) -> Tokens:
    """Give the tokens of a channel."""
    return Tokens(place / "city.token", text, clock, refresh, ahead=AHEAD, **more)


# What a file holds


def test_a_bare_token_is_a_grant_without_an_end() -> None:
    """Most networks give a person one line of text."""
    assert Grant.read(CANARY) == Grant(CANARY)


def test_a_grant_comes_back_as_it_was_written() -> None:
    """What `channels connect` wrote is read by the daemon."""
    whole = Grant("a", NOW, "b", NOW + DAY, NOW - DAY)
    assert Grant.read(json.dumps(whole.to_json())) == whole
    assert Grant.from_json(Grant("a").to_json()) == Grant("a")


@pytest.mark.parametrize(
    "text",
    NO_TOKENS,
)
def test_a_file_that_holds_no_token_is_refused_without_showing_it(text: str) -> None:
    """The sentence is for people, and may be read by anybody."""
    with pytest.raises(ValueError, match="holds no token") as caught:
        Grant.read(text)
    assert "canary" not in str(caught.value)


def test_no_token_is_in_a_repr(tmp_path: Path, clock: MovingClock) -> None:
    """What is logged by accident shows nothing."""
    assert CANARY not in repr(Grant(CANARY))
    assert CANARY not in repr(tokens(tmp_path, CANARY, clock, None))


def test_a_secret_is_written_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    """Mode 0600 from the first byte, in a directory that is made; nothing else is left behind."""
    path = tmp_path / "state" / "a.token"
    before = os.umask(0)
    try:
        write_secret(path, "first")
        write_secret(path, "second")
    finally:
        os.umask(before)
    assert path.read_text() == "second"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


# Refreshing ahead


async def test_a_token_is_refreshed_ahead_and_written_down_before_it_is_used(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """Thirty days before its end it is exchanged; the next process begins with the new one."""
    one = tokens(tmp_path, given(29), clock, network.refresh)
    assert await one.current() == "new-1"
    kept = json.loads((tmp_path / "city.token").read_text())
    assert kept["access_token"] == "new-1"
    assert (tmp_path / "city.token").stat().st_mode & 0o777 == 0o600
    again = tokens(tmp_path, given(29), clock, network.refresh)
    assert await again.current() == "new-1"
    assert len(network.asked) == 1


async def test_a_token_that_lasts_is_left_alone(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """Neither a far end nor none at all is a reason to ask."""
    for text in (given(31), given(), CANARY):
        assert await tokens(tmp_path, text, clock, network.refresh).current() == CANARY
    assert network.asked == []


async def test_a_young_token_is_not_refreshed_too_early(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """Meta refuses to refresh a token that is younger than 24 hours."""
    text = given(29, obtained=NOW - timedelta(hours=23))
    one = tokens(tmp_path, text, clock, network.refresh, not_before=DAY)
    assert await one.current() == CANARY
    await clock.sleep(3600)
    assert await one.current() == "new-1"


async def test_an_end_that_nobody_told_is_found_out_at_the_first_use(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """A bare token of Threads lasts for 60 days from a day that nobody knows."""
    one = tokens(tmp_path, CANARY, clock, network.refresh, ends_untold=True)
    assert one.days_left is None
    assert await one.current() == "new-1"
    assert one.days_left == pytest.approx(60)
    assert await one.current() == "new-1"
    assert len(network.asked) == 1


async def test_a_refresh_that_fails_costs_a_good_token_nothing(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """The token is used, and no alert waits for another try within the hour."""
    network.failure = Unknown("no answer")
    one = tokens(tmp_path, given(29), clock, network.refresh)
    for _ in range(3):
        assert await one.current() == CANARY
    assert len(network.asked) == 1
    await clock.sleep(FAILED_PAUSE_SECONDS)
    network.failure = None
    assert await one.current() == "new-2"


async def test_a_token_that_is_over_needs_a_person(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """Where it cannot be renewed that is said; while it may be, it is tried each time."""
    with pytest.raises(NeedsPerson):
        await tokens(tmp_path, given(-1), clock, None).current()
    one = tokens(tmp_path, given(-1), clock, network.refresh)
    network.failure = NotSent("a hiccup")
    for _ in range(2):
        with pytest.raises(NotSent):
            await one.current()
    network.failure = None
    assert await one.current() == "new-3"


def test_the_days_left_are_those_until_a_person_must_act(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """What renews the token counts, where there is something that does."""
    renewable = given(1, refresh_token="r", refresh_expires=NOW + 90 * DAY)
    assert tokens(tmp_path, renewable, clock, network.refresh).days_left == 90
    assert tokens(tmp_path, renewable, clock, None).days_left == 1
    assert tokens(tmp_path, given(20), clock, network.refresh).days_left == 20
    assert tokens(tmp_path, CANARY, clock, None).days_left is None


# One at a time


async def test_many_who_need_a_new_token_ask_for_one(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """A refresh token is good for one use: the second would end them all."""
    one = tokens(tmp_path, given(50), clock, network.refresh)
    found = await asyncio.gather(*(one.renew(CANARY) for _ in range(20)))
    assert set(found) == {"new-1"}
    assert len(network.asked) == 1


async def test_a_token_that_another_process_renewed_is_taken_over(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """`check` and the daemon share the file: what lies there is newer than what one remembers."""
    first = tokens(tmp_path, given(50), clock, network.refresh)
    second = tokens(tmp_path, given(50), clock, network.refresh)
    await first.renew(CANARY)
    assert await second.renew(CANARY) == "new-1"
    assert len(network.asked) == 1


async def test_two_processes_never_refresh_at_once(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """While another one is at it nothing is asked; its result will be there next time."""
    one = tokens(tmp_path, given(50), clock, network.refresh)
    with (tmp_path / "city.token.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(NotSent):
            await one.renew(CANARY)
    assert network.asked == []
    assert await one.renew(CANARY) == "new-1"


async def test_a_new_secret_file_wins_over_what_was_kept(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """A person who connects the channel again is not answered with the old account's token."""
    await tokens(tmp_path, given(29), clock, network.refresh).current()
    newer = tokens(tmp_path, "another-token", clock, network.refresh)
    assert await newer.current() == "another-token"


async def test_what_the_network_gave_is_kept_even_if_nobody_waits_any_more(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """An attempt that ends in the middle of a refresh must not lose the only good token."""
    answered = asyncio.Event()
    network.wait = answered.wait
    one = tokens(tmp_path, given(29), clock, network.refresh)
    waiting = asyncio.create_task(one.current())
    while not network.asked:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    answered.set()
    assert await one.renew(CANARY) == "new-1"
    assert json.loads((tmp_path / "city.token").read_text())["access_token"] == "new-1"
    assert len(network.asked) == 1


# Storage that fails


@pytest.mark.parametrize("text", ["", "junk", "[]", "{}", '{"given": 1}', '{"given": "x"}'])
async def test_a_kept_file_that_cannot_be_read_is_no_crash(
    text: str, tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """The configured token is used, and the file is written anew when there is a newer one."""
    (tmp_path / "city.token").write_text(text)
    one = tokens(tmp_path, given(29), clock, network.refresh)
    assert await one.current() == "new-1"
    assert json.loads((tmp_path / "city.token").read_text())["access_token"] == "new-1"


async def test_a_token_that_cannot_be_written_down_is_used_and_told(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """A full disk holds up no alert: the network has taken back the old token already."""
    one = tokens(tmp_path, given(29), clock, network.refresh)
    (tmp_path / f".city.token.{os.getpid()}").mkdir()
    with capture_logs() as lines:
        assert await one.current() == "new-1"
        assert await one.current() == "new-1"
    assert [line["event"] for line in lines] == ["token_not_kept"]
    assert "new-1" not in str(lines)
    assert len(network.asked) == 1


async def test_a_grant_that_could_not_be_kept_is_not_undone_by_an_older_file(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """The network has taken back the one in the file; the newer one is written when it can be."""
    one = tokens(tmp_path, given(29), clock, network.refresh)
    assert await one.current() == "new-1"
    blocked = tmp_path / f".city.token.{os.getpid()}"
    blocked.mkdir()
    await clock.sleep(1)
    assert await one.renew("new-1") == "new-2"
    await clock.sleep(1)
    assert await one.renew("new-2") == "new-3"
    assert network.asked[-1].access_token == "new-2"
    blocked.rmdir()
    await clock.sleep(KEEP_AGAIN_SECONDS)
    assert await one.current() == "new-3"  # and no alert waits for the disk
    await asyncio.gather(*one._under_way)
    assert json.loads((tmp_path / "city.token").read_text())["access_token"] == "new-3"


async def test_a_refresh_that_hangs_costs_a_good_token_no_alert(
    tmp_path: Path, clock: MovingClock, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alert goes with the token there is; what the network gives later is kept."""
    monkeypatch.setattr(room, "PATIENCE_SECONDS", 0.02)
    answered = asyncio.Event()
    network.wait = answered.wait
    one = tokens(tmp_path, given(29), clock, network.refresh)
    assert await one.current() == CANARY
    assert await one.current() == CANARY
    answered.set()
    assert await one.renew(CANARY) == "new-1"
    assert len(network.asked) == 1


async def test_a_directory_that_cannot_be_written_leaves_the_token_as_it_is(
    tmp_path: Path, clock: MovingClock, network: Network
) -> None:
    """What could not be kept is not asked for: a token that rotates would be lost."""
    (tmp_path / "state").write_text("a file where a directory should be")
    one = tokens(tmp_path / "state", given(29), clock, network.refresh)
    assert await one.current() == CANARY
    assert network.asked == []
    with pytest.raises(NotSent):
        await one.renew(CANARY)


async def test_without_a_way_to_renew_a_person_must_act(tmp_path: Path, clock: MovingClock) -> None:
    """A refused token that nothing renews is told at once."""
    with pytest.raises(NeedsPerson):
        await tokens(tmp_path, CANARY, clock, None).renew(CANARY)


def test_times_are_kept_with_their_offset() -> None:
    """A grant that was written in another zone ends at the same moment."""
    ends = datetime(2026, 12, 1, 12, tzinfo=UTC)
    there = Grant("a", ends.astimezone(timezone(timedelta(hours=2)))).to_json()
    assert there["expires"] == "2026-12-01T14:00:00+02:00"
    assert Grant.from_json(there).expires == ends


async def test_a_grant_kept_late_never_replaces_a_newer_one(
    tmp_path: Path, clock: MovingClock, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow write of what could not be written before, and a refresh, come one after the other."""
    write, slow, begun = room.write_secret, threading.Event(), threading.Event()
    blocked = tmp_path / f".city.token.{os.getpid()}"
    blocked.mkdir()
    one = tokens(tmp_path, given(29), clock, network.refresh)
    assert await one.current() == "new-1"
    blocked.rmdir()

    def slowly(path: Path, text: str) -> None:
        if not begun.is_set():
            begun.set()
            slow.wait(5)
        write(path, text)

    monkeypatch.setattr(room, "write_secret", slowly)
    await clock.sleep(KEEP_AGAIN_SECONDS)
    assert await one.current() == "new-1"
    await asyncio.to_thread(begun.wait, 5)
    renewing = asyncio.create_task(one.renew("new-1"))
    await asyncio.sleep(0)
    slow.set()
    assert await renewing == "new-2"
    assert json.loads((tmp_path / "city.token").read_text())["access_token"] == "new-2"
