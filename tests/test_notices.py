"""Telling people: in order, in time, grouped per alert, until somebody took it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from broadcaster.config import StoreTable, Timing
from broadcaster.delivery import NotSent, Outcome, Receipt
from broadcaster.notices import Notices, Target
from broadcaster.record import Accepted, NoticeKind
from broadcaster.store import End, NewNotice, Store
from tests.kit import ManualClock, plan

TIMING = Timing()
HOLD = timedelta(seconds=20)


@dataclass
class Phone:
    """Takes messages, or is dead."""

    dead: bool = False
    taken: list[tuple[str, str]] = field(default_factory=list)

    async def tell(self, subject: str, text: str) -> None:
        """Take a message."""
        if self.dead:
            raise NotSent("no connection")
        self.taken.append((subject, text))


@dataclass
class Scene:
    """A store with a clock of its own, two phones, and the room under test."""

    store: Store
    clock: ManualClock
    first: Phone
    second: Phone
    notices: Notices

    async def after(self, seconds: float) -> None:
        """Let time pass, look as often as the daemon would, and let the calls end."""
        for _ in range(4):
            self.clock.move(seconds / 4)
            await self.notices.look()
            await self.notices.finish()

    async def accept(self, *channels: str, late: tuple[float, ...] = ()) -> Accepted:
        """Accept an alert now."""
        now = self.clock.now()
        moments = [now + timedelta(seconds=one) for one in late]
        return (await self.store.accept(plan(channels or ("one",), now=now, late=moments))).accepted

    async def end(self, outcome: Outcome, error: str = "401: revoked") -> None:
        """Let everything due come to this end."""
        claims = await self.store.claim({"one": 9, "two": 9}, HOLD)
        for delivery in claims.deliveries:
            spared = timedelta(seconds=30 if outcome is Outcome.UNKNOWN else 0)
            due = self.clock.now() + timedelta(seconds=600)
            receipt = Receipt("1") if outcome is Outcome.ACCEPTED else None
            await self.store.record(delivery, End(outcome, error, receipt, due, spared))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """Give a scene in which the second phone comes two minutes after the first."""
    clock = ManualClock()
    table = StoreTable(url=f"sqlite:///{tmp_path}/test.db", ballast_bytes=0)
    store = await Store.open(table, clock)
    await store.know_channels({"one": "fake", "two": "fake"})
    first, second = Phone(), Phone()
    targets = [
        Target("first", timedelta(0), first),
        Target("second", timedelta(seconds=120), second),
    ]
    yield Scene(store, clock, first, second, Notices(store, targets, TIMING, clock))
    await store.close()


async def test_a_failure_is_told_at_once_with_what_to_do(scene: Scene) -> None:
    """The first target learns what is wrong, on which channel, and the remedy."""
    accepted = await scene.accept()
    await scene.end(Outcome.NEEDS_PERSON)
    await scene.after(1)
    ((subject, text),) = scene.first.taken
    assert accepted.reference in subject
    assert "Großbrand" in subject
    assert "one: needs-person: 401: revoked." in text
    assert "retry the delivery" in text


async def test_one_message_per_alert(scene: Scene) -> None:
    """Two channels fail: one message names both."""
    await scene.accept("one", "two")
    await scene.end(Outcome.REJECTED, "422: no")
    await scene.after(1)
    ((_, text),) = scene.first.taken
    assert [line.split(":")[0] for line in text.splitlines()[:2]] == ["one", "two"]


async def test_the_second_is_told_while_the_matter_is_open(scene: Scene) -> None:
    """Two minutes later nobody has dealt with it: the next person learns of it, once."""
    await scene.accept()
    await scene.end(Outcome.NEEDS_PERSON)
    await scene.after(100)
    assert (len(scene.first.taken), len(scene.second.taken)) == (1, 0)
    await scene.after(40)
    await scene.after(400)
    assert (len(scene.first.taken), len(scene.second.taken)) == (1, 1)


async def test_who_deals_with_it_in_time_spares_the_second(scene: Scene) -> None:
    """The delivery was retried: nobody else needs to be woken."""
    accepted = await scene.accept()
    await scene.end(Outcome.NEEDS_PERSON)
    await scene.after(10)
    await scene.store.retry(f"{accepted.id}-one", "key:a")
    await scene.after(300)
    assert scene.second.taken == []
    assert await scene.store.open_notices() == []


async def test_a_dead_first_target_leads_to_the_second_after_a_minute(scene: Scene) -> None:
    """Not told within 60 s: the next one, although its own time would come later."""
    scene.first.dead = True
    await scene.accept()
    await scene.end(Outcome.NEEDS_PERSON)
    await scene.after(40)
    assert scene.second.taken == []
    await scene.after(40)
    assert len(scene.second.taken) == 1


async def test_not_told_is_named_after_a_minute(scene: Scene) -> None:
    """Readiness and status name what has reached nobody."""
    scene.first.dead = scene.second.dead = True
    await scene.accept()
    await scene.end(Outcome.NEEDS_PERSON)
    await scene.after(20)
    assert scene.notices.not_told(await scene.store.due_notices()) == []
    await scene.after(60)
    not_told = scene.notices.not_told(await scene.store.due_notices())
    assert [notice.kind for notice in not_told] == [NoticeKind.NEEDS_PERSON]


async def test_late_is_told_with_what_is_not_out(scene: Scene) -> None:
    """60 s after acceptance, and again after 5 minutes, while something is still open."""
    await scene.accept(late=(60, 300))
    await scene.after(50)
    assert scene.first.taken == []
    await scene.after(12)
    assert "one (de): still queued" in scene.first.taken[0][1]
    await scene.after(200)
    assert len(scene.first.taken) == 1
    await scene.after(60)
    assert len(scene.first.taken) == 2


async def test_nobody_is_woken_for_what_went_out_in_time(scene: Scene) -> None:
    """All sent before the minute was over: the notice closes itself."""
    await scene.accept(late=(60,))
    await scene.end(Outcome.ACCEPTED)
    await scene.after(120)
    assert scene.first.taken == []
    assert await scene.store.open_notices() == []


async def test_an_unknown_that_is_resolved_in_time_wakes_nobody(scene: Scene) -> None:
    """People are spared for the half minute in which reading back usually settles it."""
    await scene.accept()
    await scene.end(Outcome.UNKNOWN, "the answer was lost")
    await scene.after(20)
    row = (await scene.store.open_notices())[0]
    assert row.notice.kind is NoticeKind.UNKNOWN
    assert scene.first.taken == []
    await scene.after(20)
    assert "the answer was lost" in scene.first.taken[0][1]


async def test_a_sick_channel_is_told_once_and_again_only_after_it_was_well(scene: Scene) -> None:
    """A probe every ten minutes must not ring every ten minutes."""
    sick = NewNotice(NoticeKind.CHANNEL, "the token expired", channel="one")
    for _ in range(5):
        await scene.store.tell(sick)
        await scene.after(60)
    assert (len(scene.first.taken), len(scene.second.taken)) == (1, 1)
    await scene.store.untell("one", NoticeKind.CHANNEL)
    await scene.store.tell(sick)
    await scene.after(1)
    assert len(scene.first.taken) == 2


async def test_a_slow_phone_is_not_called_twice_at_once(scene: Scene) -> None:
    """While one call is under way the same target gets no second one."""
    gate = asyncio.Event()

    async def slowly(subject: str, text: str) -> None:
        await gate.wait()
        scene.first.taken.append((subject, text))

    scene.first.tell = slowly  # type: ignore[method-assign]
    await scene.accept()
    await scene.end(Outcome.NEEDS_PERSON)
    for _ in range(3):
        await scene.notices.look()
        await asyncio.sleep(0)
    gate.set()
    await scene.notices.finish()
    assert len(scene.first.taken) == 1


async def test_a_burst_of_troubles_is_told_without_a_pause_between(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each alert has a message of its own; the next one waits for the call before, for no clock."""
    for _ in range(20):
        await scene.accept("one")
    for _ in range(3):  # nine slots each
        await scene.end(Outcome.NEEDS_PERSON)
    never = asyncio.Event()

    async def stand_still(_seconds: float) -> None:
        await never.wait()

    monkeypatch.setattr(scene.notices.clock, "sleep", stand_still)
    told = asyncio.create_task(scene.notices.run())
    async with asyncio.timeout(10):
        while len(scene.first.taken) < 20:
            await asyncio.sleep(0.01)
    told.cancel()
    await asyncio.gather(told, return_exceptions=True)
    assert len(scene.first.taken) == 20
