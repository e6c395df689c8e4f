"""Probes: each channel is looked at on its schedule, and people learn once what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from broadcaster import probes as room
from broadcaster.clock import SystemClock
from broadcaster.config import ChannelConfig, Timing
from broadcaster.delivery import Readiness
from broadcaster.probes import Probes, probed
from broadcaster.record import NoticeKind, StorageFull, StoreUnavailable
from broadcaster.store import Store
from tests.kit import FakeChannel, eventually

WELL = Readiness(True, "ready", limits={"maximum": 500})
TOKEN = Readiness(False, "The token is not accepted.", "Make a new one.")


@dataclass
class Probed(FakeChannel):
    """A channel whose probes find what the test says; the last one is repeated."""

    found: list[Readiness] = field(default_factory=lambda: [WELL])
    looks: int = 0

    async def probe(self) -> Readiness:
        self.looks += 1
        return self.found.pop(0) if len(self.found) > 1 else self.found[0]


@dataclass
class Steps(SystemClock):
    """A clock whose waits last until the test lets them end; it notes how long each should be."""

    waits: list[float] = field(default_factory=list)
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await self.gate.acquire()


@asynccontextmanager
async def running(store: Store, clock: Steps, *channels: Probed) -> AsyncIterator[Probes]:
    """Let the probes of these channels run."""
    probes = Probes(store, {one.name: one for one in channels}, Timing(), clock)
    probes.start()
    try:
        yield probes
    finally:
        await probes.stop()


async def told(store: Store) -> list[str]:
    """Give what people are told about channels."""
    matters = await store.open_notices()
    return [one.notice.text for one in matters if one.notice.kind is NoticeKind.CHANNEL]


def looker(store: Store, *channels: Probed) -> Probes:
    """Give probes that look only when asked to."""
    return Probes(store, {one.name: one for one in channels}, Timing(), SystemClock())


async def test_every_channel_is_looked_at_at_the_start(sqlite_store: Store) -> None:
    """What is found is kept with its time, the network's limits too."""
    one, two = Probed("one"), Probed("two", found=[TOKEN])
    async with running(sqlite_store, Steps(), one, two):
        await eventually(lambda: one.looks == two.looks == 1)

        async def kept() -> bool:
            rows = {row.name: row for row in await sqlite_store.channels()}
            return bool(rows["one"].probed and rows["two"].probed)

        await eventually(kept)
    rows = {row.name: row for row in await sqlite_store.channels()}
    assert rows["one"].readiness == WELL
    assert rows["one"].limits == {"maximum": 500}
    assert rows["two"].readiness == TOKEN


async def test_then_it_is_looked_at_on_its_schedule(sqlite_store: Store) -> None:
    """Every 10 minutes +-20 %, again and again."""
    one, clock = Probed("one"), Steps()
    async with running(sqlite_store, clock, one):
        for looks in range(1, 6):
            await eventually(lambda: len(clock.waits) == looks)  # noqa: B023 - ends in this turn
            assert one.looks == looks
            clock.gate.release()
        await eventually(lambda: len(clock.waits) == 6)
    assert all(480 <= wait <= 720 for wait in clock.waits)
    assert len(set(clock.waits)) > 1


async def test_x_is_looked_at_rarely(sqlite_store: Store) -> None:
    """X charges for reads: every 6 hours +-20 %."""
    x, clock = Probed("one"), Steps()
    x.config = ChannelConfig(name="one", type="x")
    async with running(sqlite_store, clock, x):
        await eventually(lambda: len(clock.waits) == 1)
    assert 17_280 <= clock.waits[0] <= 25_920


async def test_people_are_told_once_what_to_do(sqlite_store: Store) -> None:
    """The same trouble, seen again and again, is one notice, with what is wrong and the remedy."""
    one = Probed("one", found=[TOKEN])
    looking = looker(sqlite_store, one)
    for _ in range(3):
        assert await looking.look(one) == TOKEN
    assert await told(sqlite_store) == ["not ready: The token is not accepted. Make a new one"]


async def test_what_is_well_again_is_taken_back(sqlite_store: Store) -> None:
    """Nobody is called for what is over; a new trouble is told anew."""
    one = Probed("one", found=[TOKEN, WELL, TOKEN])
    looking = looker(sqlite_store, one)
    await looking.look(one)
    await looking.look(one)
    assert await told(sqlite_store) == []
    await looking.look(one)
    assert len(await told(sqlite_store)) == 1


async def test_trouble_of_one_channel_says_nothing_of_another(sqlite_store: Store) -> None:
    """A well channel takes back no other channel's notice."""
    bad, good = Probed("one", found=[TOKEN]), Probed("two")
    looking = looker(sqlite_store, bad, good)
    await looking.look(bad)
    await looking.look(good)
    assert len(await told(sqlite_store)) == 1


async def test_limits_once_read_outlast_a_probe_that_failed(sqlite_store: Store) -> None:
    """A network that is away for an hour still has the limits it had."""
    one = Probed("one", found=[WELL, TOKEN])
    looking = looker(sqlite_store, one)
    await looking.look(one)
    await looking.look(one)
    row = next(row for row in await sqlite_store.channels() if row.name == "one")
    assert row.readiness == TOKEN
    assert row.limits == {"maximum": 500}


async def test_a_probe_that_hangs_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended after its limit, and the sentence says so."""
    monkeypatch.setattr(room, "PROBE_SECONDS_MAX", 0.02)
    ended = asyncio.Event()

    class Hanging(Probed):
        async def probe(self) -> Readiness:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return WELL

    found = await probed(Hanging("one"))
    assert not found.ready
    assert "did not answer within" in found.sentence
    assert found.remedy
    assert ended.is_set()


async def test_a_probe_that_hangs_holds_up_no_other(sqlite_store: Store) -> None:
    """Each channel has its own turn."""

    class Hanging(Probed):
        async def probe(self) -> Readiness:
            await asyncio.Event().wait()
            return WELL

    well = Probed("two")
    clock = Steps()
    async with running(sqlite_store, clock, Hanging("one"), well):
        await eventually(lambda: len(clock.waits) == 1)
        clock.gate.release()
        await eventually(lambda: well.looks == 2)


async def test_a_store_that_is_away_does_not_end_the_probing(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be kept is found again the next time."""
    one, clock = Probed("one", found=[TOKEN]), Steps()

    async def away(*_: object) -> None:
        raise StoreUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_store, "probed", away)
        async with running(sqlite_store, clock, one):
            await eventually(lambda: len(clock.waits) == 1)
            patched.undo()
            clock.gate.release()
            await eventually(lambda: len(clock.waits) == 2)
    assert len(await told(sqlite_store)) == 1


async def test_after_the_end_nobody_is_asked(sqlite_store: Store) -> None:
    """Stopping ends every wait and every look."""
    one, clock = Probed("one"), Steps()
    async with running(sqlite_store, clock, one):
        await eventually(lambda: len(clock.waits) == 1)
    clock.gate.release()
    await asyncio.sleep(0)
    assert one.looks == 1


async def test_an_error_nobody_foresaw_is_not_ready_and_is_probed_again(
    sqlite_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends no probing, people learn of it, and its text, which may hold anything, stays away."""

    class Faulty(Probed):
        async def probe(self) -> Readiness:
            self.looks += 1
            if self.looks < 3:
                raise ZeroDivisionError("a token")
            return WELL

    one, clock = Faulty("one"), Steps()
    async with running(sqlite_store, clock, one):
        await eventually(lambda: len(clock.waits) == 1)
        (text,) = await told(sqlite_store)
        assert text.startswith("not ready: The channel could not be examined: an unexpected Zero")
        for looks in (2, 3):
            clock.gate.release()
            await eventually(lambda: len(clock.waits) == looks)  # noqa: B023 - ends in this turn
    assert await told(sqlite_store) == []
    assert "a token" not in capsys.readouterr().out


@pytest.mark.parametrize("error", [StoreUnavailable("away"), StorageFull("the disk is full")])
async def test_what_a_probe_found_and_could_not_be_kept_is_looked_at_again(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A full disk ends the probing as little as a database that is away."""

    async def refused(*_: object) -> None:
        raise error

    monkeypatch.setattr(sqlite_store, "probed", refused)
    one, clock = Probed("one"), Steps()
    async with running(sqlite_store, clock, one):
        await eventually(lambda: len(clock.waits) == 1)
        clock.gate.release()
        await eventually(lambda: one.looks == 2)
