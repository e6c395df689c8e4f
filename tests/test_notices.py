"""Telling people: in order, in time, grouped per alert, until somebody took it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from broadcaster.config import StoreTable, Timing
from broadcaster.delivery import NotSent, Outcome, Receipt, Rejected, State, Unknown
from broadcaster.notices import Notices, Target
from broadcaster.record import Accepted, NoticeKind
from broadcaster.store import End, Matter, NewNotice, StorageFull, Store
from broadcaster.store.tables import alert
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
    assert await scene.notices.untold() == 0
    await scene.after(60)
    assert await scene.notices.untold() == 1


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


async def damage(scene: Scene, accepted: Accepted, body: str) -> None:
    """Write over what is stored of an alert's text."""
    change = update(alert).where(alert.c.id == accepted.id).values(body=body)
    await scene.store._engine.write(lambda db: db.change(change))


@pytest.mark.parametrize("body", ["{", "null", "[]", '{"info": []}', '{"info": [7]}', "[" * 10**5])
async def test_a_damaged_alert_is_told_by_its_reference(scene: Scene, body: str) -> None:
    """A text that cannot be read costs the subject line its event, and nobody else a call."""
    accepted = await scene.accept()
    await damage(scene, accepted, body)
    await scene.end(Outcome.NEEDS_PERSON)
    scene.clock.move(1)
    other = await scene.accept()
    await scene.end(Outcome.NEEDS_PERSON)
    await scene.after(1)
    subjects = [subject for subject, _ in scene.first.taken]
    assert subjects[0] == f"[broadcaster] {accepted.reference}: needs-person"
    assert other.reference in subjects[1]


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("secret"), Rejected("spam"), Unknown("lost"), NotSent("busy")]
)
async def test_an_alert_that_cannot_be_told_silences_no_other(
    scene: Scene, error: Exception
) -> None:
    """Whatever its message runs into, the next alert has its turn, and it is tried again."""
    bad, calls = await scene.accept(), list[str]()

    async def tell(subject: str, text: str) -> None:
        calls.append(subject)
        if bad.reference in subject:
            raise error
        scene.first.taken.append((subject, text))

    scene.first.tell = tell  # type: ignore[method-assign]
    await scene.end(Outcome.NEEDS_PERSON)
    for _ in range(3):
        await scene.accept()
    await scene.end(Outcome.NEEDS_PERSON)
    await scene.after(40)
    await scene.after(10)
    assert len(scene.first.taken) == 3
    assert len([one for one in calls if bad.reference in one]) >= 2


async def test_what_went_wrong_is_named_without_its_text(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of an error nobody foresaw the log has the kind: its text may hold anything."""

    async def tell(subject: str, text: str) -> None:
        raise ZeroDivisionError(f"a token in {subject} {text}")

    scene.first.tell = tell  # type: ignore[method-assign]
    await scene.accept()
    await scene.end(Outcome.NEEDS_PERSON)
    await scene.after(1)
    printed = capsys.readouterr().out
    assert "ZeroDivisionError" in printed
    assert "a token" not in printed


async def test_a_dead_target_is_not_called_for_every_alert_in_turn(scene: Scene) -> None:
    """It is the target that is out of reach: its own waits count, however many alerts there are."""
    calls: list[tuple[str, str]] = []

    async def tell(subject: str, text: str) -> None:
        calls.append((subject, text))
        raise NotSent("no connection")

    scene.first.tell = tell  # type: ignore[method-assign]
    for _ in range(20):
        await scene.accept()
    await scene.end(Outcome.NEEDS_PERSON)
    for _ in range(60):
        await scene.after(1)
    assert 3 <= len(calls) <= 6
    assert len(set(calls)) == len(calls)


async def test_a_full_disk_does_not_ring_twice_a_second(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was told and could not be noted down as told is called again, but in time."""

    async def full(_ids: object, _target: str) -> None:
        raise StorageFull("the disk is full")

    monkeypatch.setattr(scene.store, "mark_told", full)
    await scene.accept()
    await scene.end(Outcome.NEEDS_PERSON)
    for _ in range(30):
        await scene.after(1)
    assert 2 <= len(scene.first.taken) <= 6


async def told_but_open(scene: Scene, count: int) -> None:
    """Let the first target know of so many failures that last; the second never takes any."""
    scene.second.dead = True
    for _ in range(count):
        await scene.accept()
        await scene.end(Outcome.NEEDS_PERSON)
    found: list[Matter] = []
    after = None
    while page := await scene.store.due_notices(after):
        found += page
        after = page[-1].notice
    assert len(found) == count
    await scene.store.mark_told([one.notice.id for one in found], "first")


async def test_old_matters_that_last_starve_no_new_one(scene: Scene) -> None:
    """A dead second target leaves a page of notices open; the next failure still rings first."""
    await told_but_open(scene, 210)
    fresh = await scene.accept()
    await scene.end(Outcome.NEEDS_PERSON)
    await scene.after(1)
    assert [fresh.reference in subject for subject, _ in scene.first.taken] == [True]


async def test_all_that_reached_nobody_is_counted(scene: Scene) -> None:
    """However many older ones are open, and however many there are."""
    await told_but_open(scene, 210)
    scene.first.dead = True
    for _ in range(205):
        await scene.accept()
    for _ in range(30):
        await scene.end(Outcome.NEEDS_PERSON)
    assert await scene.notices.untold() == 0
    scene.clock.move(TIMING.next_target_seconds)
    assert await scene.notices.untold() == 205


async def test_what_is_over_is_closed_however_much_is_open(scene: Scene) -> None:
    """Looking goes round: what lies behind a page of old matters is closed too."""
    await told_but_open(scene, 210)
    await scene.accept(late=(1,))
    await scene.end(Outcome.ACCEPTED)
    scene.first.dead = True
    for _ in range(4):
        await scene.after(5)
    assert await scene.store.untold(scene.clock.now()) == 0


async def test_a_reminder_keeps_nobody_from_being_told(scene: Scene) -> None:
    """Who comes after a longer time than the reminders take learns of what waits all the same."""
    scene.notices.targets[1].after = timedelta(seconds=TIMING.remind_seconds * 2)
    wanted = plan(["one"], now=scene.clock.now())
    waiting = [replace(one, state=State.WAITING) for one in wanted.deliveries]
    await scene.store.accept(replace(wanted, deliveries=waiting))
    told = []
    for _ in range(2):
        await scene.after(TIMING.remind_seconds)
        await scene.store.remind(timedelta(seconds=TIMING.remind_seconds))
        await scene.after(1)
        told.append((len(scene.first.taken), len(scene.second.taken)))
    assert told == [(2, 0), (3, 1)]
