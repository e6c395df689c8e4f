"""Probes: each channel is looked at on its schedule, and people learn once what is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from broadcaster import probes as room
from broadcaster.clock import SystemClock
from broadcaster.config import Timing
from broadcaster.delivery import Readiness
from broadcaster.probes import Probes, probed
from broadcaster.record import NoticeKind, StorageFull, StoreUnavailable
from broadcaster.store import Store
from tests.kit import FakeChannel, eventually

WELL = Readiness(True, "ready", limits={"maximum": 500})
CITY = Readiness(True, "ready", identity={"id": "1", "handle": "@city", "server": "ruhr.example"})
OTHER = replace(CITY, identity={"id": "2", "handle": "@city", "server": "ruhr.example"})
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


async def told(store: Store, kind: NoticeKind = NoticeKind.CHANNEL) -> list[str]:
    """Give what people are told about channels."""
    matters = await store.open_notices()
    return [one.notice.text for one in matters if one.notice.kind is kind]


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
    x, clock = Probed("one", found=[CITY], paid_reads=True), Steps()
    async with running(sqlite_store, clock, x):
        await eventually(lambda: len(clock.waits) == 1)
    assert 17_280 <= clock.waits[0] <= 25_920


async def test_where_x_did_not_answer_it_is_asked_again_soon(sqlite_store: Store) -> None:
    """No answer costs nothing: a hiccup leaves it "not ready" for minutes, not for hours."""
    x, clock = Probed("one", found=[TOKEN], paid_reads=True), Steps()
    async with running(sqlite_store, clock, x):
        await eventually(lambda: len(clock.waits) == 1)
    assert clock.waits[0] <= 720


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


# The account a channel is bound to


async def test_another_account_under_the_same_name_holds_the_channel(sqlite_store: Store) -> None:
    """It is not ready, people are told what to do, and it goes on when the account is right."""
    one = Probed("one", found=[CITY, OTHER, CITY])
    held: list[str | None] = []

    async def hold(_channel: str, why: str | None) -> None:
        held.append(why)

    looking = Probes(sqlite_store, {"one": one}, Timing(), SystemClock(), hold)
    assert (await looking.look(one)).ready
    found = await looking.look(one)
    assert not found.ready
    assert found.sentence == (
        "The account is @city on ruhr.example (id 2), not @city on ruhr.example (id 1) as it was."
    )
    assert found.remedy is not None
    assert "broadcaster channels rebind one" in found.remedy
    (text,) = await told(sqlite_store, NoticeKind.HELD)
    assert found.sentence in text
    assert "rebind one" in text
    assert (await looking.look(one)).ready
    assert held == [None, found.sentence, None]
    assert await told(sqlite_store, NoticeKind.HELD) == []


async def test_a_hold_is_told_beside_other_trouble(sqlite_store: Store) -> None:
    """A dead token, then somebody else's: the second is news, and outlasts the first."""
    one = Probed("one", found=[CITY, TOKEN, OTHER, TOKEN])
    looking = looker(sqlite_store, one)
    for _ in range(3):
        await looking.look(one)
    assert await told(sqlite_store) == []
    (hold,) = await told(sqlite_store, NoticeKind.HELD)
    assert "not @city" in hold
    await looking.look(one)
    assert await told(sqlite_store, NoticeKind.HELD) == [hold]
    assert len(await told(sqlite_store)) == 1


async def test_a_new_handle_is_still_the_same_account(sqlite_store: Store) -> None:
    """Accounts are known by id and server; what they are called may change."""
    renamed = replace(CITY, identity={**CITY.identity, "handle": "@dortmund"})
    one = Probed("one", found=[CITY, renamed])
    looking = looker(sqlite_store, one)
    await looking.look(one)
    assert (await looking.look(one)).ready


async def test_a_person_can_bind_a_channel_anew(sqlite_store: Store) -> None:
    """After that the account of the next good probe is the right one; it is in the audit trail."""
    one = Probed("one", found=[CITY, OTHER])
    looking = looker(sqlite_store, one)
    await looking.look(one)
    assert not (await looking.look(one)).ready
    assert await sqlite_store.rebind("one", "person")
    assert (await looking.look(one)).ready
    assert not await sqlite_store.rebind("nobody", "person")
    (row, *_) = [row for row in await sqlite_store.channels() if row.name == "one"]
    assert row.bound == OTHER.identity
    (entry, *_) = await sqlite_store.audit()
    assert (entry.action, entry.object) == ("rebind", "one")


async def test_a_probe_that_is_not_well_binds_nothing(sqlite_store: Store) -> None:
    """Whom a broken token names is no proof of anything."""
    one = Probed("one", found=[replace(OTHER, ready=False), CITY])
    looking = looker(sqlite_store, one)
    await looking.look(one)
    assert (await looking.look(one)).ready


# What ends before long


async def ends(store: Store) -> list[str]:
    """Give the alarms of what ends."""
    matters = await store.open_notices()
    return [one.notice.kind.value for one in matters if "expires" in one.notice.kind]


async def test_the_end_of_a_token_is_told_thirty_seven_and_one_day_before(
    sqlite_store: Store,
) -> None:
    """Each once; a renewed token takes the alarm back."""
    days = [31.0, 30.0, 29.0, 7.0, 6.5, 1.0, 0.5, 60.0]
    one = Probed("one", found=[replace(WELL, days_left=left) for left in days])
    looking = looker(sqlite_store, one)
    seen = []
    for _ in days:
        await looking.look(one)
        seen.append(await ends(sqlite_store))
    thirty, seven, last = ["expires-30"], ["expires-7"], ["expires-1"]
    assert seen == [[], thirty, thirty, seven, seven, last, last, []]


async def test_a_probe_that_fails_rings_no_alarm_anew(sqlite_store: Store) -> None:
    """It knows nothing of the token's end: the alarm stays the same one."""
    ending, hiccup = replace(WELL, days_left=20.0), Readiness(ready=False, sentence="no answer")
    one = Probed("one", found=[ending, hiccup, ending])
    looking = looker(sqlite_store, one)
    rung = set()
    for _ in range(3):
        await looking.look(one)
        kind = NoticeKind.EXPIRES_30
        rung |= {m.notice.id for m in await sqlite_store.open_notices() if m.notice.kind is kind}
    assert len(rung) == 1


async def test_a_token_that_ends_no_more_takes_the_alarm_back(sqlite_store: Store) -> None:
    """It was renewed, and the network tells no end of the new one."""
    one = Probed("one", found=[replace(WELL, days_left=0.5), replace(WELL, days_left=None)])
    looking = looker(sqlite_store, one)
    await looking.look(one)
    assert await ends(sqlite_store) == ["expires-1"]
    await looking.look(one)
    assert await ends(sqlite_store) == []


# Warm connections


@dataclass
class Warm(Probed):
    """A network to which a connection is kept open."""

    warmed: int = 0
    faults: list[Exception] = field(default_factory=list)

    async def warm(self) -> None:
        self.warmed += 1
        if self.faults:
            raise self.faults.pop(0)


async def test_a_connection_is_kept_warm_whatever_comes_of_it(sqlite_store: Store) -> None:
    """Every 45 s; a failure nobody foresaw ends nothing, and a channel without it is left alone."""
    warm, plain, clock = Warm("one", faults=[KeyError("shape")]), Probed("two"), Steps()
    async with running(sqlite_store, clock, warm, plain):
        for times in range(1, 4):
            await eventually(lambda: warm.warmed == times)  # noqa: B023 - ends in this turn
            for _ in range(3):
                clock.gate.release()
    assert 45.0 in clock.waits


async def test_a_remedy_names_the_channel_it_is_for() -> None:
    """What is to be typed can be copied as it is."""
    lost = Readiness(False, "The token is over.", "Connect it: broadcaster channels connect NAME.")
    found = await probed(Probed("city-threads", found=[lost]))
    assert found.remedy == "Connect it: broadcaster channels connect city-threads."
