"""Resolving what is unknown, one look at a time, with a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from broadcaster.config import StoreTable, Timing
from broadcaster.delivery import Delivery, Failure, Guarantee, NeedsPerson, NotSent, Outcome, State
from broadcaster.record import Accepted
from broadcaster.resolving import Resolver, first_look, outcome_of
from broadcaster.store import End, Store
from tests.kit import FakeChannel, ManualClock, alert, plan

TIMING = Timing()
HOUR = 3600.0


@dataclass
class Case:
    """One unknown delivery on one channel."""

    store: Store
    clock: ManualClock
    resolver: Resolver
    first: Accepted | None = None

    async def lose(self, channel: FakeChannel, *, landed: bool = False) -> Accepted:
        """Accept an alert, begin an attempt and lose its answer."""
        accepted = (await self.store.accept(plan(now=self.clock.now()))).accepted
        self.first = accepted
        await self.lose_again(channel, landed=landed)
        return accepted

    async def lose_again(self, channel: FakeChannel, *, landed: bool = False) -> None:
        """Let what is due be tried, and its answer be lost."""
        claims = await self.store.claim({"one": 1}, timedelta(0))
        for delivery in claims.deliveries:
            if landed:
                channel.publish(delivery)
            due = self.clock.now() + timedelta(seconds=first_look(channel, TIMING))
            await self.store.record(delivery, End(Outcome.UNKNOWN, "lost", due=due))

    async def look(self, channel: FakeChannel, after: float) -> Delivery:
        """Let time pass, look once at what is due, and return the delivery as it is then."""
        self.clock.move(after)
        for row in await self.store.to_read("one", 5):
            await self.resolver.resolve(channel, row)
        return await self.now()

    async def now(self) -> Delivery:
        """Return the first alert's delivery."""
        assert self.first is not None
        view = await self.store.view(self.first.id)
        assert view is not None
        return view.deliveries[0][0]


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    """Give an empty case."""
    clock = ManualClock()
    table = StoreTable(url=f"sqlite:///{tmp_path}/test.db", ballast_bytes=0)
    store = await Store.open(table, clock)
    await store.know_channels({"one": "fake"})
    yield Case(store, clock, Resolver(store, TIMING))
    await store.close()


async def test_it_is_not_looked_for_before_its_time(case: Case) -> None:
    """A network may show a post a little after it took it."""
    channel = FakeChannel()
    await case.lose(channel, landed=True)
    assert (await case.look(channel, 1)).state is State.UNKNOWN
    assert (await case.look(channel, 5)).state is State.SENT


async def test_a_key_is_trusted_for_fifty_minutes(case: Case) -> None:
    """While the network surely keeps the key, a repeat is safe although nothing can be read."""
    channel = FakeChannel(find_failures=[NotSent("no connection")] * 9)
    await case.lose(channel)
    assert (await case.look(channel, 6)).state is State.QUEUED


async def test_an_old_key_needs_a_look_first(case: Case) -> None:
    """After fifty minutes the network may have forgotten the key: only a look tells."""
    channel = FakeChannel(find_failures=[NotSent("no connection")])
    await case.lose(channel)
    found = await case.look(channel, HOUR)
    assert found.state is State.UNKNOWN
    assert found.reason == "could not be read back: no connection"
    assert (await case.look(channel, 120)).state is State.QUEUED


async def test_a_dead_token_is_for_a_person_and_stays_in_doubt(case: Case) -> None:
    """The network will not even be asked: failed, and an update would still go there."""
    channel = FakeChannel(find_failures=[NeedsPerson("401: revoked")])
    await case.lose(channel)
    found = await case.look(channel, 6)
    assert (found.state, found.doubtful) == (State.FAILED, True)


async def test_three_looks_over_ninety_seconds_prove_absence(case: Case) -> None:
    """The network's list may lag; only the third miss counts."""
    channel = FakeChannel(guarantee=Guarantee.READ_BACK)
    await case.lose(channel)
    assert (await case.look(channel, 4)).reads == 1
    assert (await case.look(channel, 28)).reads == 2
    assert (await case.look(channel, 50)).state is State.UNKNOWN
    assert (await case.look(channel, 12)).state is State.QUEUED


async def test_a_look_that_failed_is_no_look(case: Case) -> None:
    """An unreadable list proves nothing about absence."""
    channel = FakeChannel(guarantee=Guarantee.READ_BACK, find_failures=[NotSent("503")] * 2)
    await case.lose(channel)
    assert (await case.look(channel, 4)).reads == 0
    assert (await case.look(channel, 60)).reads == 0
    assert (await case.look(channel, 60)).reads == 1


async def test_after_a_second_loss_nothing_is_sent_any_more(case: Case) -> None:
    """One resend, then a person looks."""
    channel = FakeChannel(guarantee=Guarantee.READ_BACK)
    await case.lose(channel)
    for seconds in (4, 30, 62):
        await case.look(channel, seconds)
    await case.lose_again(channel)
    for seconds in (4, 30, 62):
        await case.look(channel, seconds)
    found = await case.now()
    assert (found.state, found.due) == (State.UNKNOWN, None)


async def test_a_post_of_an_ended_alert_is_read_but_never_repeated(case: Case) -> None:
    """A newer version came: found is sent, absent is superseded."""
    channel = FakeChannel()
    first = await case.lose(channel)
    said = alert(msgType="Cancel", references=[first.id], info=[])
    await case.store.accept(plan(after=first, said=said, now=case.clock.now()))
    assert (await case.look(channel, 6)).state is State.SUPERSEDED


async def test_where_nothing_can_be_read_silence_proves_nothing(case: Case) -> None:
    """A webhook: repeated while it is wanted; once superseded it stays unknown for a person."""
    channel = FakeChannel(reads_back=False)
    first = await case.lose(channel)
    assert (await case.look(channel, 6)).state is State.QUEUED
    case.clock.move(60)
    await case.lose_again(channel)
    said = alert(msgType="Cancel", references=[first.id], info=[])
    await case.store.accept(plan(after=first, said=said, now=case.clock.now()))
    found = await case.look(channel, 6)
    assert (found.state, found.due) == (State.UNKNOWN, None)


async def test_a_channels_fault_is_unknown() -> None:
    """An exception nobody thought of proves nothing about the network."""

    async def broken() -> None:
        raise ZeroDivisionError

    result = await outcome_of(broken())
    assert isinstance(result, Failure)
    assert result.outcome is Outcome.UNKNOWN
