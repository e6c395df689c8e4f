"""The dispatcher over a real store, with a network in memory that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broadcaster import dispatcher as room
from broadcaster.channels import Channel
from broadcaster.clock import SystemClock
from broadcaster.config import StoreTable
from broadcaster.delivery import (
    CORRECTION,
    Act,
    Delivery,
    Guarantee,
    Message,
    NeedsPerson,
    NotSent,
    Outcome,
    Receipt,
    Rejected,
    State,
    Unknown,
)
from broadcaster.dispatcher import Dispatcher
from broadcaster.record import Accepted, NoticeKind, Refused
from broadcaster.store import End, Store, StoreUnavailable
from tests.kit import (
    SHORT,
    FakeChannel,
    ManualClock,
    alert,
    eventually,
    plan,
    posting_then,
    raising,
    states,
)

LOST = Unknown("the answer was lost")


@asynccontextmanager
async def running(store: Store, *channels: FakeChannel) -> AsyncIterator[Dispatcher]:
    """Run a dispatcher over these channels."""
    known: dict[str, Channel] = {channel.name: channel for channel in channels}
    dispatcher = Dispatcher(store, known, SHORT, SystemClock())
    await dispatcher.start()
    try:
        yield dispatcher
    finally:
        await dispatcher.stop()
        assert dispatcher.fault is None


async def _go(store: Store, dispatcher: Dispatcher, *channels: str, **wanted: object) -> Accepted:
    acceptance = await store.accept(plan(channels or ("one",), **wanted))  # type: ignore[arg-type]
    dispatcher.wake()
    return acceptance.accepted


def _is(store: Store, accepted: Accepted, **wanted: str) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        view = await store.view(accepted.id)
        assert view is not None
        return dict(states(view.deliveries)) == wanted

    return check


async def _settled(store: Store, accepted: Accepted) -> None:
    """Wait until every delivery of an alert is sent."""

    async def all_sent() -> bool:
        view = await store.view(accepted.id)
        return view is not None and {one.state for one, _ in view.deliveries} == {State.SENT}

    await eventually(all_sent)


async def _kinds(store: Store) -> list[NoticeKind]:
    return [matter.notice.kind for matter in await store.open_notices()]


async def test_an_alert_goes_out_on_every_channel_at_once(store: Store) -> None:
    """Accepted, claimed, sent, recorded with its receipt."""
    channels = [FakeChannel(name) for name in ("one", "two", "three")]
    async with running(store, *channels) as dispatcher:
        accepted = await _go(store, dispatcher, "one", "two", "three")
        await eventually(_is(store, accepted, one="sent", two="sent", three="sent"))
    view = await store.view(accepted.id)
    assert view is not None
    delivery, attempts = view.deliveries[0]
    assert delivery.receipt is not None
    assert delivery.receipt.url == f"https://fake.example/{delivery.id}"
    assert [(one.number, one.outcome) for one in attempts] == [(1, "accepted")]
    assert [len(channel.sends) for channel in channels] == [1, 1, 1]


async def test_what_finds_a_free_slot_begins_in_the_accepting_transaction(store: Store) -> None:
    """One commit less between the alarm and its first post; the intent is written all the same."""
    one = FakeChannel()
    async with running(store, one) as dispatcher:
        acceptance = await dispatcher.accept(plan())
        assert [delivery.state for delivery in acceptance.begun] == [State.SENDING]
        assert [delivery.state for delivery in acceptance.deliveries] == [State.QUEUED]
        await eventually(_is(store, acceptance.accepted, one="sent"))
    view = await store.view(acceptance.accepted.id)
    assert view is not None
    events = [event.state for event in await store.events(acceptance.accepted.id, 0)]
    assert events == ["queued", "sending", "sent"]
    assert [attempt.number for attempt in view.deliveries[0][1]] == [1]


async def test_who_waits_already_goes_first(sqlite_store: Store) -> None:
    """An alert takes no slot past a queue; an update begins by a claim, which holds the order."""
    gate = asyncio.Event()

    async def slow(channel: FakeChannel, delivery: Delivery) -> Receipt:
        await gate.wait()
        return channel.publish(delivery)

    one = FakeChannel(attempts_at_once=1, script=[slow])
    async with running(sqlite_store, one) as dispatcher:
        first = await dispatcher.accept(plan())
        second = await dispatcher.accept(plan())
        update = await dispatcher.accept(plan(after=first.accepted))
        assert [len(each.begun) for each in (first, second, update)] == [1, 0, 0]
        gate.set()
        await eventually(_is(sqlite_store, second.accepted, one="sent"))
        await eventually(_is(sqlite_store, update.accepted, one="sent"))


async def test_a_caller_who_hangs_up_loses_nothing(sqlite_store: Store) -> None:
    """The connection broke while the alert was being committed: it goes out all the same."""
    one = FakeChannel()
    async with running(sqlite_store, one) as dispatcher:
        call = asyncio.create_task(dispatcher.accept(plan()))
        await asyncio.sleep(0)
        call.cancel()
        await eventually(lambda: len(one.posts) == 1)


async def test_what_was_not_sent_is_tried_again(store: Store) -> None:
    """A refused connection proves that nothing was posted."""
    one = FakeChannel(script=[raising(NotSent("refused")), raising(NotSent("refused"))])
    async with running(store, one) as dispatcher:
        accepted = await _go(store, dispatcher)
        await eventually(_is(store, accepted, one="sent"))
    assert (len(one.sends), len(one.posts)) == (3, 1)


@pytest.mark.parametrize(
    "guarantee", [Guarantee.SERVER_KEY, Guarantee.CALLER_ID, Guarantee.READ_BACK]
)
async def test_a_lost_answer_is_found_by_reading_back(store: Store, guarantee: Guarantee) -> None:
    """It was posted once, and it stays one."""
    one = FakeChannel(guarantee=guarantee, script=[posting_then(LOST)])
    async with running(store, one) as dispatcher:
        accepted = await _go(store, dispatcher)
        await eventually(_is(store, accepted, one="sent"))
    assert (len(one.sends), len(one.posts)) == (1, 1)
    assert await _kinds(store) == []


@pytest.mark.parametrize(
    "guarantee", [Guarantee.SERVER_KEY, Guarantee.CALLER_ID, Guarantee.READ_BACK]
)
async def test_a_lost_request_is_sent_again_after_its_absence_is_proved(
    store: Store, guarantee: Guarantee
) -> None:
    """Unknown, not there when read back: sent again, once."""
    one = FakeChannel(guarantee=guarantee, script=[raising(LOST)])
    async with running(store, one) as dispatcher:
        accepted = await _go(store, dispatcher)
        await eventually(_is(store, accepted, one="sent"))
    assert (len(one.sends), len(one.posts)) == (2, 1)


async def test_lost_twice_and_absent_stays_unknown_with_people_told(sqlite_store: Store) -> None:
    """Where only a list tells, there is one resend and no more."""
    one = FakeChannel(guarantee=Guarantee.READ_BACK, script=[raising(LOST), raising(LOST)])
    async with running(sqlite_store, one) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == 2)
        await asyncio.sleep(0.4)
        assert await _is(sqlite_store, accepted, one="unknown")()
        assert NoticeKind.UNKNOWN in await _kinds(sqlite_store)
    assert len(one.sends) == 2


async def test_a_held_channel_is_never_resent_and_told_at_once(sqlite_store: Store) -> None:
    """Chat and public posts without key or list: a person looks."""
    one = FakeChannel(guarantee=Guarantee.NONE, script=[posting_then(LOST)])
    async with running(sqlite_store, one) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await eventually(_is(sqlite_store, accepted, one="unknown"))
        await asyncio.sleep(0.1)
        due = [m.notice for m in await sqlite_store.due_notices()]
        assert [notice.kind for notice in due] == [NoticeKind.UNKNOWN]
    assert len(one.sends) == 1


async def test_a_person_confirms_or_retries_what_is_held(sqlite_store: Store) -> None:
    """Somebody looked at the account: it is there, or it is not."""
    one = FakeChannel(guarantee=Guarantee.NONE, script=[raising(LOST)] * 2)
    async with running(sqlite_store, one) as dispatcher:
        first = await _go(sqlite_store, dispatcher)
        second = await _go(sqlite_store, dispatcher)
        for accepted in (first, second):
            await eventually(_is(sqlite_store, accepted, one="unknown"))
        await asyncio.sleep(0.1)
        await sqlite_store.confirm(f"{first.id}-one", "https://chat.example/1", "key:a")
        await sqlite_store.retry(f"{second.id}-one", "key:a")
        dispatcher.wake()
        await eventually(_is(sqlite_store, first, one="sent"))
        await eventually(_is(sqlite_store, second, one="sent"))
    assert len(one.sends) == 3


async def test_mail_is_resent_where_configured(sqlite_store: Store) -> None:
    """At least once, and shown as such: the attempts tell."""
    one = FakeChannel(guarantee=Guarantee.NONE, resend_on_unknown=True, script=[posting_then(LOST)])
    async with running(sqlite_store, one) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await eventually(_is(sqlite_store, accepted, one="sent"))
    view = await sqlite_store.view(accepted.id)
    assert view is not None
    assert [one.outcome for one in view.deliveries[0][1]] == ["unknown", "accepted"]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (Rejected("422: too long"), NoticeKind.FAILED),
        (NeedsPerson("401: the token was revoked"), NoticeKind.NEEDS_PERSON),
        (Rejected("403: duplicate", duplicate=True), NoticeKind.FAILED),
    ],
)
async def test_a_refusal_fails_at_once_and_is_told(
    store: Store, failure: Exception, kind: NoticeKind
) -> None:
    """The same request would be refused again; a first `duplicate` is a plain rejection."""
    one = FakeChannel(guarantee=Guarantee.READ_BACK, script=[raising(failure)])
    async with running(store, one) as dispatcher:
        accepted = await _go(store, dispatcher)
        await eventually(_is(store, accepted, one="failed"))
        assert await _kinds(store) == [kind]
    assert len(one.sends) == 1


async def test_duplicate_after_a_doubt_is_evidence_and_is_read_back(sqlite_store: Store) -> None:
    """The network says it has the text; its list shows it a little later."""
    one = FakeChannel(guarantee=Guarantee.READ_BACK, hidden=True)

    async def refuse_as_duplicate(channel: FakeChannel, _: Delivery) -> Receipt:
        channel.hidden = False
        raise Rejected("duplicate content", duplicate=True)

    one.script = [posting_then(LOST), refuse_as_duplicate]
    async with running(sqlite_store, one) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await eventually(_is(sqlite_store, accepted, one="sent"))
    assert (len(one.sends), len(one.posts)) == (2, 1)


async def test_a_person_retries_a_failed_delivery(store: Store) -> None:
    """After the cause is mended, one order puts it back; repeating the order does no harm."""
    one = FakeChannel(script=[raising(NeedsPerson("token"))])
    async with running(store, one) as dispatcher:
        accepted = await _go(store, dispatcher)
        await eventually(_is(store, accepted, one="failed"))
        for _ in range(2):
            await store.retry(f"{accepted.id}-one", "key:a")
        await dispatcher.resume("one")
        await eventually(_is(store, accepted, one="sent"))
        assert await _kinds(store) == []
        with pytest.raises(Refused):
            await store.retry(f"{accepted.id}-one", "key:a")


async def test_a_hanging_channel_delays_no_other(sqlite_store: Store) -> None:
    """Each channel has its own slots; the attempt past its limit is unknown and never repeated."""
    never = asyncio.Event()

    async def hang(channel: FakeChannel, delivery: Delivery) -> Receipt:
        await never.wait()
        return channel.publish(delivery)

    one, two = FakeChannel("one", script=[hang]), FakeChannel("two")
    async with running(sqlite_store, one, two) as dispatcher:
        dispatcher._timing = SHORT.model_copy(update={"attempt_seconds": 0.01})
        accepted = await _go(sqlite_store, dispatcher, "one", "two")
        await eventually(_is(sqlite_store, accepted, one="sending", two="sent"))
        await eventually(_is(sqlite_store, accepted, one="unknown", two="sent"))
        await asyncio.sleep(0.3)
        assert (dispatcher.stuck, len(one.sends)) == (1, 1)
        never.set()
        await eventually(_is(sqlite_store, accepted, one="sent", two="sent"))
    assert len(one.posts) == 1


async def test_a_429_pauses_the_channel_and_is_honoured(sqlite_store: Store) -> None:
    """Nothing more is tried on it before the time it named; then one trial goes first."""
    wait = timedelta(seconds=0.4)
    one = FakeChannel(script=[raising(NotSent("429", wait, rate_limited=True))])
    async with running(sqlite_store, one) as dispatcher:
        began = asyncio.get_running_loop().time()
        first = await _go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == 1)
        await asyncio.sleep(0.05)
        second = await _go(sqlite_store, dispatcher)
        await eventually(_is(sqlite_store, first, one="sent"))
        await eventually(_is(sqlite_store, second, one="sent"))
        assert asyncio.get_running_loop().time() - began >= 0.4
    assert len(one.sends) == 3


async def test_a_410_switches_the_channel_off_and_is_told(sqlite_store: Store) -> None:
    """The receiver wants no more: nothing is sent until a person switches it on again."""
    one = FakeChannel(script=[raising(NeedsPerson("410: gone", switch_off=True))])
    async with running(sqlite_store, one) as dispatcher:
        first = await _go(sqlite_store, dispatcher)
        await eventually(_is(sqlite_store, first, one="failed"))
        second = await _go(sqlite_store, dispatcher)
        await asyncio.sleep(0.2)
        assert await _is(sqlite_store, second, one="queued")()
        assert NoticeKind.SWITCHED_OFF in await _kinds(sqlite_store)
        await dispatcher.resume("one")
        await eventually(_is(sqlite_store, second, one="sent"))


async def test_an_all_clear_never_overtakes_its_alert(store: Store) -> None:
    """While the alert's fate is open, the all-clear waits; then it answers the alert's post."""
    gate = asyncio.Event()

    async def slow(channel: FakeChannel, delivery: Delivery) -> Receipt:
        await gate.wait()
        return channel.publish(delivery)

    one = FakeChannel(script=[slow])
    async with running(store, one) as dispatcher:
        first = await _go(store, dispatcher)
        await eventually(lambda: len(one.sends) == 1)
        said = alert(msgType="Cancel", references=[first.id], info=[])
        cancel = await _go(store, dispatcher, after=first, said=said)
        await asyncio.sleep(0.1)
        assert len(one.sends) == 1
        gate.set()
        await eventually(_is(store, cancel, one="sent"))
    assert [post.version for post in one.posts] == [1, 2]
    reply = one.posts[1].reply_to
    assert reply is not None
    assert reply.remote_id == f"post-{first.id}-one"


async def test_the_newer_goes_anyway_after_the_hold(sqlite_store: Store) -> None:
    """An alert whose fate cannot be resolved must not keep the all-clear back for ever."""
    one = FakeChannel(guarantee=Guarantee.NONE, script=[posting_then(LOST)])
    async with running(sqlite_store, one) as dispatcher:
        first = await _go(sqlite_store, dispatcher)
        await eventually(_is(sqlite_store, first, one="unknown"))
        began = asyncio.get_running_loop().time()
        said = alert(msgType="Cancel", references=[first.id], info=[])
        cancel = await _go(sqlite_store, dispatcher, after=first, said=said)
        await eventually(_is(sqlite_store, cancel, one="sent"))
        assert asyncio.get_running_loop().time() - began >= SHORT.order_hold_seconds * 0.9


async def test_the_old_text_never_appears_after_the_all_clear(sqlite_store: Store) -> None:
    """X: the answer is lost, the list hides the post, the all-clear comes: the old is only read."""
    one = FakeChannel(guarantee=Guarantee.READ_BACK, hidden=True, script=[raising(LOST)])
    async with running(sqlite_store, one) as dispatcher:
        first = await _go(sqlite_store, dispatcher)
        await eventually(_is(sqlite_store, first, one="unknown"))
        said = alert(msgType="Cancel", references=[first.id], info=[])
        cancel = await _go(sqlite_store, dispatcher, after=first, said=said)
        await eventually(_is(sqlite_store, cancel, one="sent"))
        await eventually(_is(sqlite_store, first, one="superseded"))
    assert [send.version for send in one.sends] == [1, 2]


async def test_an_expired_alert_is_not_sent_and_told(sqlite_store: Store) -> None:
    """It waited behind a pause until it was over."""
    wait = timedelta(seconds=0.3)
    one = FakeChannel(script=[raising(NotSent("429", wait, rate_limited=True))])
    async with running(sqlite_store, one) as dispatcher:
        until = datetime.now(UTC) + timedelta(seconds=0.2)
        accepted = await _go(sqlite_store, dispatcher, expires=until)
        await eventually(_is(sqlite_store, accepted, one="expired"))
        kinds = await _kinds(sqlite_store)
    assert NoticeKind.EXPIRED in kinds
    assert len(one.sends) == 1


async def test_an_interrupted_attempt_is_resolved_first_after_a_restart(store: Store) -> None:
    """What was `sending` when the process ended is unknown, read back, and found."""
    one = FakeChannel(guarantee=Guarantee.READ_BACK)
    accepted = (await store.accept(plan())).accepted
    claims = await store.claim({"one": 1}, timedelta(seconds=20))
    one.publish(claims.deliveries[0])
    async with running(store, one):
        await eventually(_is(store, accepted, one="sent"))
    view = await store.view(accepted.id)
    assert view is not None
    assert [attempt.outcome for attempt in view.deliveries[0][1]] == ["interrupted"]
    assert one.sends == []


async def test_open_rows_of_a_removed_channel_fail_and_are_told(store: Store) -> None:
    """Nobody would ever send them."""
    accepted = (await store.accept(plan(["one", "two"]))).accepted
    async with running(store, FakeChannel("one")):
        await eventually(_is(store, accepted, one="sent", two="failed"))
        assert await _kinds(store) == [NoticeKind.NEEDS_PERSON]


async def test_a_fault_in_a_channels_code_is_unknown_and_stops_nothing(sqlite_store: Store) -> None:
    """An unexpected exception proves nothing about the network."""
    one = FakeChannel(script=[raising(ZeroDivisionError())])
    async with running(sqlite_store, one, FakeChannel("two")) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher, "one", "two")
        await eventually(_is(sqlite_store, accepted, one="sent", two="sent"))
    assert len(one.sends) == 2


async def test_severity_goes_first_and_corrections_before_all(sqlite_store: Store) -> None:
    """One slot, three alerts waiting: the all-clear, then Extreme, then Minor."""
    one = FakeChannel(attempts_at_once=1)
    old = (await sqlite_store.accept(plan())).accepted
    async with running(sqlite_store, one):
        await eventually(_is(sqlite_store, old, one="sent"))
    info = alert().to_json()["info"][0]
    for severity in ("Minor", "Extreme"):
        await sqlite_store.accept(plan(said=alert(info=[info | {"severity": severity}])))
    said = alert(msgType="Cancel", references=[old.id], info=[])
    await sqlite_store.accept(plan(after=old, said=said))
    async with running(sqlite_store, one):
        await eventually(lambda: len(one.posts) == 4)
    ranks = [post.rank for post in one.posts[1:]]
    assert ranks == sorted(ranks)
    assert one.posts[1].version == 2


async def test_stop_lets_running_attempts_finish(sqlite_store: Store) -> None:
    """SIGTERM: nothing new is claimed, what runs gets its time and is recorded."""

    async def slow(channel: FakeChannel, delivery: Delivery) -> Receipt:
        await asyncio.sleep(0.1)
        return channel.publish(delivery)

    one = FakeChannel(script=[slow])
    async with running(sqlite_store, one) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == 1)
    assert await _is(sqlite_store, accepted, one=State.SENT)()


async def test_a_database_that_is_away_ends_no_attempt_unwritten(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outcome, pause and switch wait for the database; the process goes on without it."""
    refused: list[str] = []

    def refuse_once(name: str) -> None:
        write = getattr(sqlite_store, name)

        async def first_refused(*wanted: object) -> object:
            if name not in refused:
                refused.append(name)
                raise StoreUnavailable("the database is away")
            return await write(*wanted)

        monkeypatch.setattr(sqlite_store, name, first_refused)

    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    limited = FakeChannel("one", script=[raising(NotSent("429", rate_limited=True))])
    gone = FakeChannel("two", script=[raising(NeedsPerson("410", switch_off=True))])
    for name in ("record", "pause", "switch_off", "tell"):
        refuse_once(name)
    async with running(sqlite_store, limited, gone) as dispatcher:
        monkeypatch.setattr(dispatcher._clock, "sleep", at_once)
        accepted = await _go(sqlite_store, dispatcher, "one", "two")
        await eventually(_is(sqlite_store, accepted, one="sent", two="failed"))
        await eventually(_told_of_channel(sqlite_store))
    assert sorted(refused) == ["pause", "record", "switch_off", "tell"]
    assert (len(limited.sends), len(gone.sends)) == (2, 1)


def _told_of_channel(store: Store) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return NoticeKind.SWITCHED_OFF in await _kinds(store)

    return check


@pytest.mark.parametrize("resent", [False, True])
async def test_an_all_clear_follows_a_warning_that_may_be_out_unproved(
    sqlite_store: Store,
    resent: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    """Mail: the answer was lost, a resend by rule proves nothing: whoever warned takes it back."""
    wait = timedelta(seconds=9)
    second = raising(NotSent("429", wait, rate_limited=True))
    one = FakeChannel(guarantee=Guarantee.NONE, reads_back=False, resend_on_unknown=True)
    one.script = [posting_then(LOST), *([second] if resent else [])]
    async with running(sqlite_store, one) as dispatcher:
        first = await _go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == (2 if resent else 1))
        await eventually(_is(sqlite_store, first, one="queued" if resent else "sent"))
        said = alert(msgType="Cancel", references=[first.id], info=[])
        wanted = plan(["one"], after=first, said=said)
        only = [replace(each, only_if_carried=True) for each in wanted.deliveries]
        cancel = await dispatcher.accept(replace(wanted, deliveries=only))
        assert cancel.deliveries[0].state is State.QUEUED
        await dispatcher.resume("one")
        await eventually(_is(sqlite_store, cancel.accepted, one="sent"))


async def test_a_post_proved_absent_needs_no_all_clear(sqlite_store: Store) -> None:
    """Reading back has shown that nothing is there, and it was superseded: nothing to take back."""
    one = FakeChannel(guarantee=Guarantee.CALLER_ID, script=[raising(LOST)])
    one.script.append(raising(NotSent("429", timedelta(seconds=9), rate_limited=True)))
    async with running(sqlite_store, one) as dispatcher:
        first = await _go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == 2)
        await eventually(_is(sqlite_store, first, one="queued"))
        said = alert(msgType="Cancel", references=[first.id], info=[])
        wanted = plan(["one"], after=first, said=said)
        only = [replace(each, only_if_carried=True) for each in wanted.deliveries]
        cancel = await dispatcher.accept(replace(wanted, deliveries=only))
        assert cancel.deliveries[0].state is State.WITHHELD


async def test_what_began_before_a_pause_does_not_end_it(sqlite_store: Store) -> None:
    """A slow success from before the 429 says nothing about the limit."""
    gate = asyncio.Event()

    async def slow(channel: FakeChannel, delivery: Delivery) -> Receipt:
        await gate.wait()
        return channel.publish(delivery)

    limited = raising(NotSent("429", timedelta(seconds=0.6), rate_limited=True))
    one = FakeChannel(script=[slow, limited])
    async with running(sqlite_store, one) as dispatcher:
        first = await _go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == 1)
        second = await _go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == 2)
        gate.set()
        await eventually(_is(sqlite_store, first, one="sent"))
        await asyncio.sleep(0.2)
        assert len(one.sends) == 2
        await eventually(_is(sqlite_store, second, one="sent"))


async def test_a_pause_ends_with_the_alert_it_was_for(sqlite_store: Store) -> None:
    """A month of Retry-After must not mute the next alert."""
    month = raising(NotSent("429", timedelta(days=30), rate_limited=True))
    one = FakeChannel(script=[month])
    async with running(sqlite_store, one) as dispatcher:
        until = datetime.now(UTC) + timedelta(seconds=0.3)
        await _go(sqlite_store, dispatcher, expires=until)
        await eventually(lambda: len(one.sends) == 1)
        later = await _go(sqlite_store, dispatcher)
        await eventually(_is(sqlite_store, later, one="sent"))


async def test_after_halt_nothing_new_begins(sqlite_store: Store) -> None:
    """SIGTERM: what is accepted while the door closes waits for the next start."""
    one = FakeChannel()
    async with running(sqlite_store, one) as dispatcher:
        dispatcher.halt()
        acceptance = await dispatcher.accept(plan())
        await asyncio.sleep(0.1)
        assert await _is(sqlite_store, acceptance.accepted, one="queued")()
    assert one.sends == []


async def test_a_clock_set_back_delays_no_retry(tmp_path: Path) -> None:
    """Waits follow elapsed time while the wall clock cannot be trusted."""
    clock = ManualClock()
    table = StoreTable(url=f"sqlite:///{tmp_path}/test.db", ballast_bytes=0)
    store = await Store.open(table, clock)
    await store.know_channels({"one": "fake"})
    accepted = (await store.accept(plan(now=clock.now()))).accepted
    (delivery,) = (await store.claim({"one": 1}, timedelta(0))).deliveries
    due = store.due_now() + timedelta(seconds=2)
    await store.record(delivery, End(Outcome.NOT_SENT, "refused", due=due))
    clock.wall -= timedelta(hours=1)
    clock.move(3)
    claims = await store.claim({"one": 1}, timedelta(0))
    assert [one.alert for one in claims.deliveries] == [accepted.id]
    await store.close()


# Two steps, corrections, held channels


@dataclass
class Stepping(FakeChannel):
    """A network of two steps: `prepare` makes a container, `send` publishes it once."""

    guarantee: Guarantee = Guarantee.TWO_STEPS
    made: int = 0
    faults: list[Exception] = field(default_factory=list)
    published: list[str] = field(default_factory=list)

    async def prepare(self, _delivery: Delivery) -> Mapping[str, Any]:
        """Make a container, unless the test says otherwise."""
        if self.faults:
            raise self.faults.pop(0)
        self.made += 1
        return {"container": f"c{self.made}"}

    def publish(self, delivery: Delivery) -> Receipt:
        """Publish the container that was stored."""
        assert delivery.handle is not None
        self.published.append(delivery.handle["container"])
        return super().publish(delivery)


async def test_what_the_first_step_makes_is_stored_before_the_second(sqlite_store: Store) -> None:
    """When `send` begins, the handle is in the database already."""
    kept: list[object] = []

    async def look_first(channel: FakeChannel, delivery: Delivery) -> Receipt:
        view = await sqlite_store.view(delivery.alert)
        assert view is not None
        kept.append(view.deliveries[0][0].handle)
        return channel.publish(delivery)

    channel = Stepping(script=[look_first])
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await _settled(sqlite_store, accepted)
    assert kept == [{"container": "c1"}]


async def test_a_lost_answer_of_the_first_step_is_harmless(sqlite_store: Store) -> None:
    """Nothing of it can be seen: it is made anew, and one post comes of it."""
    channel = Stepping(faults=[LOST, NotSent("no connection")])
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await _settled(sqlite_store, accepted)
    assert channel.published == ["c1"]


async def test_an_unpublished_container_is_published_after_a_lost_answer(
    sqlite_store: Store,
) -> None:
    """It is read first; provably unpublished, the same one is published, and no other is made."""
    channel = Stepping(script=[raising(LOST)])
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await _settled(sqlite_store, accepted)
    assert channel.published == ["c1"]
    assert channel.made == 1


async def test_a_published_container_is_never_published_again(sqlite_store: Store) -> None:
    """The answer was lost, the post is there: it is found."""
    channel = Stepping(script=[posting_then(LOST)])
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await _settled(sqlite_store, accepted)
    assert channel.published == ["c1"]
    assert len(channel.sends) == 1


async def test_a_container_that_cannot_be_read_is_not_published_again(sqlite_store: Store) -> None:
    """Silence proves nothing: it stays unknown, and is asked after until it answers."""
    channel = Stepping(script=[posting_then(LOST)], find_failures=[NotSent("away")] * 2)
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await _settled(sqlite_store, accepted)
    assert len(channel.sends) == 1


async def test_a_worn_out_container_is_made_anew(sqlite_store: Store) -> None:
    """The network says that it expired: the next attempt begins with the first step."""
    channel = Stepping(script=[raising(NotSent("the container expired", afresh=True))])
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await _settled(sqlite_store, accepted)
    assert channel.published == ["c2"]


async def test_what_was_overtaken_during_the_first_step_is_not_published(
    sqlite_store: Store,
) -> None:
    """A warning must not appear after its all-clear: it is asked again before the second step."""
    first: list[Accepted] = []

    @dataclass
    class Overtaken(Stepping):
        async def prepare(self, delivery: Delivery) -> Mapping[str, Any]:
            if delivery.version == 1:
                await sqlite_store.accept(plan(after=first[0]))
            return await super().prepare(delivery)

    channel = Overtaken()
    async with running(sqlite_store, channel) as dispatcher:
        wanted = plan(("one",))
        first.append(wanted.accepted)
        await sqlite_store.accept(wanted)
        dispatcher.wake()
        await eventually(_is(sqlite_store, wanted.accepted, one="superseded"))
        await eventually(lambda: len(channel.posts) == 1)
    assert [one.version for one in channel.posts] == [2]


@dataclass
class Correcting(FakeChannel):
    """A network on which older posts can be edited."""

    corrected: list[tuple[str, str]] = field(default_factory=list)

    async def correct(self, delivery: Delivery) -> Receipt:
        """Mark the older post."""
        assert delivery.reply_to is not None
        assert delivery.message is not None
        self.corrected.append((str(delivery.reply_to.remote_id), delivery.message.text))
        return delivery.reply_to


async def test_a_correction_marks_the_older_post_and_posts_nothing(sqlite_store: Store) -> None:
    """Its own delivery, tried like any other; the new version is a post beside it."""
    channel = Correcting()
    async with running(sqlite_store, channel) as dispatcher:
        first = await _go(sqlite_store, dispatcher)
        await _settled(sqlite_store, first)
        wanted = plan(after=first)
        message = Message("Überholt", "de", act=Act.CORRECT)
        marks = replace(
            wanted.deliveries[0], id="m", part=f"de{CORRECTION}", key="k", message=message
        )
        await sqlite_store.accept(replace(wanted, deliveries=[*wanted.deliveries, marks]))
        dispatcher.wake()
        await _settled(sqlite_store, wanted.accepted)
    assert [text for _, text in channel.corrected] == ["Überholt"]
    assert len(channel.posts) == 2


async def test_a_held_channel_posts_nothing_until_it_is_released(sqlite_store: Store) -> None:
    """Another account under the same name gets no warning of ours before a person looked."""
    channel = FakeChannel()
    async with running(sqlite_store, channel) as dispatcher:
        await dispatcher.hold("one", "another account")
        accepted = await _go(sqlite_store, dispatcher)
        await asyncio.sleep(0.1)
        assert channel.sends == []
        assert await dispatcher.release("one", "person")
        await _settled(sqlite_store, accepted)
    assert len(channel.posts) == 1
    (row, *_) = [one for one in await sqlite_store.channels() if one.name == "one"]
    assert row.held is None


async def test_after_a_start_a_bound_channel_waits_for_its_first_probe(
    sqlite_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's token may have been put in meanwhile; a silent probe stops nothing."""
    await sqlite_store.bind("one", {"id": "1", "server": "x"})
    channel = FakeChannel()
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await asyncio.sleep(0.1)
        assert channel.sends == []
        await dispatcher.hold("one", None)
        await _settled(sqlite_store, accepted)
    monkeypatch.setattr(room, "ACCOUNT_SECONDS", 0.2)
    async with running(sqlite_store, channel) as dispatcher:
        await _settled(sqlite_store, await _go(sqlite_store, dispatcher))
    assert len(channel.posts) == 2


async def test_a_held_channel_reads_nothing_back(sqlite_store: Store) -> None:
    """That the post is not on another account proves nothing of the right one."""
    channel = FakeChannel(script=[posting_then(LOST)], guarantee=Guarantee.TWO_STEPS)
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await eventually(lambda: bool(channel.posts))
        await dispatcher.hold("one", "another account")
        channel.hidden = True
        await asyncio.sleep(0.3)
        view = await sqlite_store.view(accepted.id)
        assert view is not None
        assert view.deliveries[0][0].state is State.UNKNOWN
        channel.hidden = False
        await dispatcher.release("one", "person")
        await _settled(sqlite_store, accepted)
    assert len(channel.sends) == 1


async def test_a_channel_stays_held_over_a_restart(sqlite_store: Store) -> None:
    """The hold is in the store."""
    channel = FakeChannel()
    async with running(sqlite_store, channel) as dispatcher:
        await dispatcher.hold("one", "another account")
    async with running(sqlite_store, channel) as dispatcher:
        await _go(sqlite_store, dispatcher)
        await asyncio.sleep(0.1)
        assert channel.sends == []


async def test_a_receipt_says_what_its_message_lacks(sqlite_store: Store) -> None:
    """A post without its card says so, though the network said nothing."""
    async with running(sqlite_store, FakeChannel()) as dispatcher:
        wanted = plan()
        (one,) = wanted.deliveries
        message = Message("Nr.", "de", missing="posted without its card: too late")
        await sqlite_store.accept(replace(wanted, deliveries=[replace(one, message=message)]))
        dispatcher.wake()
        await _settled(sqlite_store, wanted.accepted)
    view = await sqlite_store.view(wanted.accepted.id)
    assert view is not None
    receipt = view.deliveries[0][0].receipt
    assert receipt is not None
    assert receipt.note == "posted without its card: too late"


async def test_a_picture_that_is_still_processed_is_asked_after_soon(sqlite_store: Store) -> None:
    """No longer wait each time, and no pause of the channel: nothing is wrong with it."""
    busy = NotSent("still processing", timedelta(seconds=0.02))
    one = Stepping(script=[raising(busy)] * 8)
    async with running(sqlite_store, one) as dispatcher:
        accepted = await _go(sqlite_store, dispatcher)
        await _settled(sqlite_store, accepted)
        assert dispatcher.lanes["one"].paused_until is None
    assert one.published == ["c1"]
    assert len(one.sends) == 9
