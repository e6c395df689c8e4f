"""The accepting transaction, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from broadcaster.delivery import Outcome, Receipt, State
from broadcaster.record import Acceptance, NoticeKind, Refused
from broadcaster.store import End, Store
from tests.kit import alert, plan, states


async def _send(store: Store, channel: str, receipt: Receipt | None = None) -> None:
    claims = await store.claim({channel: 5}, timedelta(seconds=20))
    for delivery in claims.deliveries:
        end = End(Outcome.ACCEPTED, receipt=receipt or Receipt("1", "https://fake.example/1"))
        await store.record(delivery, end)


async def _accept(store: Store, *channels: str) -> Acceptance:
    return await store.accept(plan(channels))


async def test_an_accepted_alert_is_there_with_all_its_rows(store: Store) -> None:
    """A 202 promises the alert, its deliveries and an audit entry."""
    acceptance = await _accept(store, "one", "two")
    view = await store.view(acceptance.accepted.id)
    assert view is not None
    assert states(view.deliveries) == {"one": "queued", "two": "queued"}
    assert view.accepted == acceptance.accepted
    entries = await store.audit()
    assert [(entry.seq, entry.action) for entry in entries] == [(1, "accept")]


async def test_the_same_key_is_answered_from_the_record(store: Store) -> None:
    """The stored answer is found again by credential and key, and by nobody else's."""
    wanted = plan(scope="key-a", idempotency_key="k1", fingerprint="f")
    acceptance = await store.accept(wanted)
    replay = await store.replay("key-a", "k1")
    assert replay is not None
    assert (replay.alert, replay.answer) == (acceptance.accepted.id, acceptance.answer)
    assert await store.replay("key-b", "k1") is None


async def test_a_used_identifier_is_refused_and_nothing_is_stored(store: Store) -> None:
    """A sender's identifier names one alert for ever."""
    said = alert()
    first = await store.accept(plan(said=said))
    with pytest.raises(Refused) as refused:
        await store.accept(plan(said=said))
    assert (refused.value.code, refused.value.alert) == ("identifier-exists", first.accepted.id)
    assert len(await store.alerts()) == 1


async def test_the_same_content_by_another_key_is_a_possible_duplicate(store: Store) -> None:
    """Two dispatchers, one fire: the second is told of the first, and may insist by naming it."""
    since = datetime.now(UTC) - timedelta(minutes=10)
    first = await store.accept(plan(content_key="same", duplicate_since=since))
    with pytest.raises(Refused) as refused:
        await store.accept(plan(content_key="same", duplicate_since=since))
    assert (refused.value.code, refused.value.alert) == ("possible-duplicate", first.accepted.id)
    insisting = plan(
        content_key="same", duplicate_since=since, allow_duplicate_of=first.accepted.id
    )
    assert (await store.accept(insisting)).accepted.id != first.accepted.id


async def test_an_update_supersedes_what_is_still_queued(store: Store) -> None:
    """What was not sent yet never goes out once a newer version is accepted."""
    first = await _accept(store, "one", "two")
    await _send(store, "one")
    second = await store.accept(plan(["one", "two"], after=first.accepted))
    view = await store.view(first.accepted.id)
    assert view is not None
    assert states(view.deliveries) == {"one": "sent", "two": "superseded"}
    assert view.accepted.superseded_by == second.accepted.id


async def test_of_two_updates_at_once_one_wins(store: Store) -> None:
    """The other is told which alert is the newest now."""
    first = await _accept(store, "one")
    results = await asyncio.gather(
        *(store.accept(plan(["one"], after=first.accepted)) for _ in range(2)),
        return_exceptions=True,
    )
    won = [one for one in results if isinstance(one, Acceptance)]
    lost = [one for one in results if isinstance(one, Refused)]
    assert len(won) == 1
    assert [(one.code, one.alert) for one in lost] == [("not-newest", won[0].accepted.id)]


async def test_another_senders_incident_is_not_theirs_to_update(store: Store) -> None:
    """An incident belongs to who opened it."""
    first = await _accept(store, "one")
    said = alert(sender="someone@else.example", msgType="Update", references=[first.accepted.id])
    with pytest.raises(Refused, match="another sender") as refused:
        await store.accept(plan(["one"], after=first.accepted, said=said))
    assert refused.value.code == "foreign-incident"


async def test_a_cancel_goes_only_where_the_warning_is_or_may_be_out(store: Store) -> None:
    """Sent and unknown count as carried; queued and withheld do not."""
    first = await _accept(store, "one", "two", "three")
    await _send(store, "one")
    claims = await store.claim({"two": 1}, timedelta(seconds=20))
    await store.record(claims.deliveries[0], End(Outcome.UNKNOWN, "lost", due=datetime.now(UTC)))
    said = alert(msgType="Cancel", references=[first.accepted.id], info=[])
    wanted = plan(["one", "two", "three"], after=first.accepted, said=said)
    only = [replace(one, only_if_carried=True) for one in wanted.deliveries]
    cancel = await store.accept(replace(wanted, deliveries=only))
    view = await store.view(cancel.accepted.id)
    assert view is not None
    assert states(view.deliveries) == {"one": "queued", "two": "queued", "three": "withheld"}
    assert [d.reason for d, _ in view.deliveries][2] == "never carried the warning"
    old = await store.view(first.accepted.id)
    assert old is not None
    assert old.accepted.ended_at is not None


async def test_an_ended_incident_takes_no_update(store: Store) -> None:
    """After the all-clear a new danger is a new alert."""
    first = await _accept(store, "one")
    said = alert(msgType="Cancel", references=[first.accepted.id], info=[])
    cancel = await store.accept(plan(["one"], after=first.accepted, said=said))
    with pytest.raises(Refused) as refused:
        await store.accept(plan(["one"], after=cancel.accepted))
    assert (refused.value.code, refused.value.alert) == ("ended", cancel.accepted.id)


async def test_a_channel_that_carried_it_and_is_gone_is_told(store: Store) -> None:
    """Nobody else can correct a post on an account that is no longer configured."""
    first = await _accept(store, "one", "two")
    await _send(store, "one")
    await _send(store, "two")
    update = await store.accept(plan(["one"], after=first.accepted))
    view = await store.view(update.accepted.id)
    assert view is not None
    assert states(view.deliveries) == {"one": "queued", "two": "failed"}
    kinds = [matter.notice.kind for matter in await store.open_notices()]
    assert NoticeKind.NO_CHANNEL in kinds


async def test_the_cost_guard_withholds_in_the_transaction(store: Store) -> None:
    """Two accepted at once cannot both be the last of the day."""
    start = datetime.now(UTC) - timedelta(hours=1)

    def guarded() -> object:
        wanted = plan(["one"], day_start=start)
        return replace(
            wanted, deliveries=[replace(one, posts_per_day_max=2) for one in wanted.deliveries]
        )

    accepted = [await store.accept(guarded()) for _ in range(3)]  # type: ignore[arg-type]
    found = [one.deliveries[0].state for one in accepted]
    assert found == [State.QUEUED, State.QUEUED, State.WITHHELD]


async def test_stamps_rise_strictly_on_a_channel(store: Store) -> None:
    """Two alerts accepted in the same microsecond still get different record keys."""
    now = datetime.now(UTC)
    accepted = await asyncio.gather(*(store.accept(plan(["one"], now=now)) for _ in range(5)))
    stamps = [one.deliveries[0].stamp for one in accepted]
    assert len(set(stamps)) == 5


async def test_late_moments_are_written_with_the_alert(store: Store) -> None:
    """The watch over lateness is a row of the accepting transaction."""
    now = datetime.now(UTC)
    late = [now + timedelta(seconds=60), now + timedelta(seconds=300)]
    await store.accept(plan(["one"], now=now, late=late))
    open_notices = await store.open_notices()
    assert [matter.notice.due for matter in open_notices] == late
    assert {matter.not_out[0][0] for matter in open_notices} == {"one"}


async def test_incident_numbers_go_on_after_a_restart(store: Store) -> None:
    """A number is never given twice in a year."""
    incident = await store.next_incident("26")
    assert incident == "26-0001"
    await store.accept(plan(["one"], incident=incident))
    assert await store.next_incident("26") == "26-0002"
    assert await store.next_incident("27") == "27-0001"


async def test_audit_numbers_have_no_gaps(store: Store) -> None:
    """A refused alert leaves no hole in the trail."""
    said = alert()
    await store.accept(plan(said=said))
    with pytest.raises(Refused):
        await store.accept(plan(said=said))
    await store.accept(plan())
    assert [entry.seq for entry in await store.audit()] == [2, 1]
