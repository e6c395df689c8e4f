"""One attempt: steps that are stored between, corrections, and what is found instead."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from broadcaster.delivery import (
    CORRECTION,
    Act,
    Delivery,
    Guarantee,
    Message,
    NotSent,
    Receipt,
)
from broadcaster.record import Accepted
from broadcaster.store import Store
from tests.dispatching import LOST, go, has, running, settled
from tests.kit import (
    FakeChannel,
    eventually,
    plan,
    posting_then,
    raising,
)


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
        accepted = await go(sqlite_store, dispatcher)
        await settled(sqlite_store, accepted)
    assert kept == [{"container": "c1"}]


async def test_a_lost_answer_of_the_first_step_is_harmless(sqlite_store: Store) -> None:
    """Nothing of it can be seen: it is made anew, and one post comes of it."""
    channel = Stepping(faults=[LOST, NotSent("no connection")])
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await go(sqlite_store, dispatcher)
        await settled(sqlite_store, accepted)
    assert channel.published == ["c1"]


async def test_an_unpublished_container_is_published_after_a_lost_answer(
    sqlite_store: Store,
) -> None:
    """It is read first; provably unpublished, the same one is published, and no other is made."""
    channel = Stepping(script=[raising(LOST)])
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await go(sqlite_store, dispatcher)
        await settled(sqlite_store, accepted)
    assert channel.published == ["c1"]
    assert channel.made == 1


async def test_a_published_container_is_never_published_again(sqlite_store: Store) -> None:
    """The answer was lost, the post is there: it is found."""
    channel = Stepping(script=[posting_then(LOST)])
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await go(sqlite_store, dispatcher)
        await settled(sqlite_store, accepted)
    assert channel.published == ["c1"]
    assert len(channel.sends) == 1


async def test_a_container_that_cannot_be_read_is_not_published_again(sqlite_store: Store) -> None:
    """Silence proves nothing: it stays unknown, and is asked after until it answers."""
    channel = Stepping(script=[posting_then(LOST)], find_failures=[NotSent("away")] * 2)
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await go(sqlite_store, dispatcher)
        await settled(sqlite_store, accepted)
    assert len(channel.sends) == 1


async def test_a_worn_out_container_is_made_anew(sqlite_store: Store) -> None:
    """The network says that it expired: the next attempt begins with the first step."""
    channel = Stepping(script=[raising(NotSent("the container expired", afresh=True))])
    async with running(sqlite_store, channel) as dispatcher:
        accepted = await go(sqlite_store, dispatcher)
        await settled(sqlite_store, accepted)
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
        await eventually(has(sqlite_store, wanted.accepted, one="superseded"))
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
        first = await go(sqlite_store, dispatcher)
        await settled(sqlite_store, first)
        wanted = plan(after=first)
        message = Message("Überholt", "de", act=Act.CORRECT)
        marks = replace(
            wanted.deliveries[0], id="m", part=f"de{CORRECTION}", key="k", message=message
        )
        await sqlite_store.accept(replace(wanted, deliveries=[*wanted.deliveries, marks]))
        dispatcher.wake()
        await settled(sqlite_store, wanted.accepted)
    assert [text for _, text in channel.corrected] == ["Überholt"]
    assert len(channel.posts) == 2


async def test_a_receipt_says_what_its_message_lacks(sqlite_store: Store) -> None:
    """A post without its card says so, though the network said nothing."""
    async with running(sqlite_store, FakeChannel()) as dispatcher:
        wanted = plan()
        (one,) = wanted.deliveries
        message = Message("Nr.", "de", missing="posted without its card: too late")
        await sqlite_store.accept(replace(wanted, deliveries=[replace(one, message=message)]))
        dispatcher.wake()
        await settled(sqlite_store, wanted.accepted)
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
        accepted = await go(sqlite_store, dispatcher)
        await settled(sqlite_store, accepted)
        assert dispatcher.lanes["one"].paused_until is None
    assert one.published == ["c1"]
    assert len(one.sends) == 9


async def test_what_was_overtaken_is_no_fault_of_its_channel(sqlite_store: Store) -> None:
    """Three languages in their first step when the all-clear comes: it is not held up for that."""
    gate = asyncio.Event()

    @dataclass
    class Slow(Stepping):
        async def prepare(self, delivery: Delivery) -> Mapping[str, Any]:
            made = await super().prepare(delivery)
            if delivery.version == 1:
                await gate.wait()
            return made

    one = Slow()
    async with running(sqlite_store, one) as dispatcher:
        first = plan()
        (post,) = first.deliveries
        rows = [replace(post, id=post.id + n, part=n, key=post.key + n) for n in ("de", "en", "tr")]
        await dispatcher.accept(replace(first, deliveries=rows))
        await eventually(lambda: one.made == 3)
        second = plan(after=first.accepted)
        await dispatcher.accept(second)
        gate.set()
        await eventually(has(sqlite_store, second.accepted, one="sent"))
        assert dispatcher.lanes["one"].failures == 0
        assert not dispatcher.lanes["one"].on_trial
