"""The dispatcher over a real store, with a network in memory that does as it is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broadcaster.config import StoreTable
from broadcaster.delivery import (
    Delivery,
    Guarantee,
    NeedsPerson,
    NotSent,
    Outcome,
    Receipt,
    Rejected,
    State,
)
from broadcaster.record import NoticeKind, Refused
from broadcaster.store import End, Store, StoreUnavailable
from tests.dispatching import LOST, go, has, kinds, running, told_of_channel
from tests.kit import (
    SHORT,
    FakeChannel,
    ManualClock,
    alert,
    eventually,
    plan,
    posting_then,
    raising,
)


async def test_an_alert_goes_out_on_every_channel_at_once(store: Store) -> None:
    """Accepted, claimed, sent, recorded with its receipt."""
    channels = [FakeChannel(name) for name in ("one", "two", "three")]
    async with running(store, *channels) as dispatcher:
        accepted = await go(store, dispatcher, "one", "two", "three")
        await eventually(has(store, accepted, one="sent", two="sent", three="sent"))
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
        await eventually(has(store, acceptance.accepted, one="sent"))
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
        await eventually(has(sqlite_store, second.accepted, one="sent"))
        await eventually(has(sqlite_store, update.accepted, one="sent"))


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
        accepted = await go(store, dispatcher)
        await eventually(has(store, accepted, one="sent"))
    assert (len(one.sends), len(one.posts)) == (3, 1)


@pytest.mark.parametrize(
    "guarantee", [Guarantee.SERVER_KEY, Guarantee.CALLER_ID, Guarantee.READ_BACK]
)
async def test_a_lost_answer_is_found_by_reading_back(store: Store, guarantee: Guarantee) -> None:
    """It was posted once, and it stays one."""
    one = FakeChannel(guarantee=guarantee, script=[posting_then(LOST)])
    async with running(store, one) as dispatcher:
        accepted = await go(store, dispatcher)
        await eventually(has(store, accepted, one="sent"))
    assert (len(one.sends), len(one.posts)) == (1, 1)
    assert await kinds(store) == []


@pytest.mark.parametrize(
    "guarantee", [Guarantee.SERVER_KEY, Guarantee.CALLER_ID, Guarantee.READ_BACK]
)
async def test_a_lost_request_is_sent_again_after_its_absence_is_proved(
    store: Store, guarantee: Guarantee
) -> None:
    """Unknown, not there when read back: sent again, once."""
    one = FakeChannel(guarantee=guarantee, script=[raising(LOST)])
    async with running(store, one) as dispatcher:
        accepted = await go(store, dispatcher)
        await eventually(has(store, accepted, one="sent"))
    assert (len(one.sends), len(one.posts)) == (2, 1)


async def test_lost_twice_and_absent_stays_unknown_with_people_told(sqlite_store: Store) -> None:
    """Where only a list tells, there is one resend and no more."""
    one = FakeChannel(guarantee=Guarantee.READ_BACK, script=[raising(LOST), raising(LOST)])
    async with running(sqlite_store, one) as dispatcher:
        accepted = await go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == 2)
        await asyncio.sleep(0.4)
        assert await has(sqlite_store, accepted, one="unknown")()
        assert NoticeKind.UNKNOWN in await kinds(sqlite_store)
    assert len(one.sends) == 2


async def test_a_held_channel_is_never_resent_and_told_at_once(sqlite_store: Store) -> None:
    """Chat and public posts without key or list: a person looks."""
    one = FakeChannel(guarantee=Guarantee.NONE, script=[posting_then(LOST)])
    async with running(sqlite_store, one) as dispatcher:
        accepted = await go(sqlite_store, dispatcher)
        await eventually(has(sqlite_store, accepted, one="unknown"))
        await asyncio.sleep(0.1)
        due = [m.notice for m in await sqlite_store.due_notices()]
        assert [notice.kind for notice in due] == [NoticeKind.UNKNOWN]
    assert len(one.sends) == 1


async def test_a_person_confirms_or_retries_what_is_held(sqlite_store: Store) -> None:
    """Somebody looked at the account: it is there, or it is not."""
    one = FakeChannel(guarantee=Guarantee.NONE, script=[raising(LOST)] * 2)
    async with running(sqlite_store, one) as dispatcher:
        first = await go(sqlite_store, dispatcher)
        second = await go(sqlite_store, dispatcher)
        for accepted in (first, second):
            await eventually(has(sqlite_store, accepted, one="unknown"))
        await asyncio.sleep(0.1)
        await sqlite_store.confirm(f"{first.id}-one", "https://chat.example/1", "key:a")
        await sqlite_store.retry(f"{second.id}-one", "key:a")
        dispatcher.wake()
        await eventually(has(sqlite_store, first, one="sent"))
        await eventually(has(sqlite_store, second, one="sent"))
    assert len(one.sends) == 3


async def test_mail_is_resent_where_configured(sqlite_store: Store) -> None:
    """At least once, and shown as such: the attempts tell."""
    one = FakeChannel(guarantee=Guarantee.NONE, resend_on_unknown=True, script=[posting_then(LOST)])
    async with running(sqlite_store, one) as dispatcher:
        accepted = await go(sqlite_store, dispatcher)
        await eventually(has(sqlite_store, accepted, one="sent"))
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
        accepted = await go(store, dispatcher)
        await eventually(has(store, accepted, one="failed"))
        assert await kinds(store) == [kind]
    assert len(one.sends) == 1


async def test_duplicate_after_a_doubt_is_evidence_and_is_read_back(sqlite_store: Store) -> None:
    """The network says it has the text; its list shows it a little later."""
    one = FakeChannel(guarantee=Guarantee.READ_BACK, hidden=True)

    async def refuse_as_duplicate(channel: FakeChannel, _: Delivery) -> Receipt:
        channel.hidden = False
        raise Rejected("duplicate content", duplicate=True)

    one.script = [posting_then(LOST), refuse_as_duplicate]
    async with running(sqlite_store, one) as dispatcher:
        accepted = await go(sqlite_store, dispatcher)
        await eventually(has(sqlite_store, accepted, one="sent"))
    assert (len(one.sends), len(one.posts)) == (2, 1)


async def test_a_person_retries_a_failed_delivery(store: Store) -> None:
    """After the cause is mended, one order puts it back; repeating the order does no harm."""
    one = FakeChannel(script=[raising(NeedsPerson("token"))])
    async with running(store, one) as dispatcher:
        accepted = await go(store, dispatcher)
        await eventually(has(store, accepted, one="failed"))
        for _ in range(2):
            await store.retry(f"{accepted.id}-one", "key:a")
        await dispatcher.pauses.resume("one")
        await eventually(has(store, accepted, one="sent"))
        assert await kinds(store) == []
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
        accepted = await go(sqlite_store, dispatcher, "one", "two")
        await eventually(has(sqlite_store, accepted, one="sending", two="sent"))
        await eventually(has(sqlite_store, accepted, one="unknown", two="sent"))
        await asyncio.sleep(0.3)
        assert (dispatcher.stuck, len(one.sends)) == (1, 1)
        never.set()
        await eventually(has(sqlite_store, accepted, one="sent", two="sent"))
    assert len(one.posts) == 1


async def test_an_all_clear_never_overtakes_its_alert(store: Store) -> None:
    """While the alert's fate is open, the all-clear waits; then it answers the alert's post."""
    gate = asyncio.Event()

    async def slow(channel: FakeChannel, delivery: Delivery) -> Receipt:
        await gate.wait()
        return channel.publish(delivery)

    one = FakeChannel(script=[slow])
    async with running(store, one) as dispatcher:
        first = await go(store, dispatcher)
        await eventually(lambda: len(one.sends) == 1)
        said = alert(msgType="Cancel", references=[first.id], info=[])
        cancel = await go(store, dispatcher, after=first, said=said)
        await asyncio.sleep(0.1)
        assert len(one.sends) == 1
        gate.set()
        await eventually(has(store, cancel, one="sent"))
    assert [post.version for post in one.posts] == [1, 2]
    reply = one.posts[1].reply_to
    assert reply is not None
    assert reply.remote_id == f"post-{first.id}-one"


async def test_the_newer_goes_anyway_after_the_hold(sqlite_store: Store) -> None:
    """An alert whose fate cannot be resolved must not keep the all-clear back for ever."""
    one = FakeChannel(guarantee=Guarantee.NONE, script=[posting_then(LOST)])
    async with running(sqlite_store, one) as dispatcher:
        first = await go(sqlite_store, dispatcher)
        await eventually(has(sqlite_store, first, one="unknown"))
        began = asyncio.get_running_loop().time()
        said = alert(msgType="Cancel", references=[first.id], info=[])
        cancel = await go(sqlite_store, dispatcher, after=first, said=said)
        await eventually(has(sqlite_store, cancel, one="sent"))
        assert asyncio.get_running_loop().time() - began >= SHORT.order_hold_seconds * 0.9


async def test_the_old_text_never_appears_after_the_all_clear(sqlite_store: Store) -> None:
    """X: the answer is lost, the list hides the post, the all-clear comes: the old is only read."""
    one = FakeChannel(guarantee=Guarantee.READ_BACK, hidden=True, script=[raising(LOST)])
    async with running(sqlite_store, one) as dispatcher:
        first = await go(sqlite_store, dispatcher)
        await eventually(has(sqlite_store, first, one="unknown"))
        said = alert(msgType="Cancel", references=[first.id], info=[])
        cancel = await go(sqlite_store, dispatcher, after=first, said=said)
        await eventually(has(sqlite_store, cancel, one="sent"))
        await eventually(has(sqlite_store, first, one="superseded"))
    assert [send.version for send in one.sends] == [1, 2]


async def test_an_expired_alert_is_not_sent_and_told(sqlite_store: Store) -> None:
    """It waited behind a pause until it was over."""
    wait = timedelta(seconds=0.3)
    one = FakeChannel(script=[raising(NotSent("429", wait, rate_limited=True))])
    async with running(sqlite_store, one) as dispatcher:
        until = datetime.now(UTC) + timedelta(seconds=0.2)
        accepted = await go(sqlite_store, dispatcher, expires=until)
        await eventually(has(sqlite_store, accepted, one="expired"))
        told = await kinds(sqlite_store)
    assert NoticeKind.EXPIRED in told
    assert len(one.sends) == 1


async def test_an_interrupted_attempt_is_resolved_first_after_a_restart(store: Store) -> None:
    """What was `sending` when the process ended is unknown, read back, and found."""
    one = FakeChannel(guarantee=Guarantee.READ_BACK)
    accepted = (await store.accept(plan())).accepted
    claims = await store.claim({"one": 1}, timedelta(seconds=20))
    one.publish(claims.deliveries[0])
    async with running(store, one):
        await eventually(has(store, accepted, one="sent"))
    view = await store.view(accepted.id)
    assert view is not None
    assert [attempt.outcome for attempt in view.deliveries[0][1]] == ["interrupted"]
    assert one.sends == []


async def test_open_rows_of_a_removed_channel_fail_and_are_told(store: Store) -> None:
    """Nobody would ever send them."""
    accepted = (await store.accept(plan(["one", "two"]))).accepted
    async with running(store, FakeChannel("one")):
        await eventually(has(store, accepted, one="sent", two="failed"))
        assert await kinds(store) == [NoticeKind.NEEDS_PERSON]


async def test_a_fault_in_a_channels_code_is_unknown_and_stops_nothing(sqlite_store: Store) -> None:
    """An unexpected exception proves nothing about the network."""
    one = FakeChannel(script=[raising(ZeroDivisionError())])
    async with running(sqlite_store, one, FakeChannel("two")) as dispatcher:
        accepted = await go(sqlite_store, dispatcher, "one", "two")
        await eventually(has(sqlite_store, accepted, one="sent", two="sent"))
    assert len(one.sends) == 2


async def test_severity_goes_first_and_corrections_before_all(sqlite_store: Store) -> None:
    """One slot, three alerts waiting: the all-clear, then Extreme, then Minor."""
    one = FakeChannel(attempts_at_once=1)
    old = (await sqlite_store.accept(plan())).accepted
    async with running(sqlite_store, one):
        await eventually(has(sqlite_store, old, one="sent"))
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
        accepted = await go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == 1)
    assert await has(sqlite_store, accepted, one=State.SENT)()


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
        accepted = await go(sqlite_store, dispatcher, "one", "two")
        await eventually(has(sqlite_store, accepted, one="sent", two="failed"))
        await eventually(told_of_channel(sqlite_store))
    assert sorted(refused) == ["pause", "record", "switch_off", "tell"]
    assert (len(limited.sends), len(gone.sends)) == (2, 1)


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
        first = await go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == (2 if resent else 1))
        await eventually(has(sqlite_store, first, one="queued" if resent else "sent"))
        said = alert(msgType="Cancel", references=[first.id], info=[])
        wanted = plan(["one"], after=first, said=said)
        only = [replace(each, only_if_carried=True) for each in wanted.deliveries]
        cancel = await dispatcher.accept(replace(wanted, deliveries=only))
        assert cancel.deliveries[0].state is State.QUEUED
        await dispatcher.pauses.resume("one")
        await eventually(has(sqlite_store, cancel.accepted, one="sent"))


async def test_a_post_proved_absent_needs_no_all_clear(sqlite_store: Store) -> None:
    """Reading back has shown that nothing is there, and it was superseded: nothing to take back."""
    one = FakeChannel(guarantee=Guarantee.CALLER_ID, script=[raising(LOST)])
    one.script.append(raising(NotSent("429", timedelta(seconds=9), rate_limited=True)))
    async with running(sqlite_store, one) as dispatcher:
        first = await go(sqlite_store, dispatcher)
        await eventually(lambda: len(one.sends) == 2)
        await eventually(has(sqlite_store, first, one="queued"))
        said = alert(msgType="Cancel", references=[first.id], info=[])
        wanted = plan(["one"], after=first, said=said)
        only = [replace(each, only_if_carried=True) for each in wanted.deliveries]
        cancel = await dispatcher.accept(replace(wanted, deliveries=only))
        assert cancel.deliveries[0].state is State.WITHHELD


async def test_after_halt_nothing_new_begins(sqlite_store: Store) -> None:
    """SIGTERM: what is accepted while the door closes waits for the next start."""
    one = FakeChannel()
    async with running(sqlite_store, one) as dispatcher:
        dispatcher.halt()
        acceptance = await dispatcher.accept(plan())
        await asyncio.sleep(0.1)
        assert await has(sqlite_store, acceptance.accepted, one="queued")()
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
