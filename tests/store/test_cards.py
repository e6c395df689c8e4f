"""Rows and their cards on both databases: wait, go with the picture, or go without and say so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from broadcaster.config import StoreTable
from broadcaster.delivery import Delivery, Media, NotSent, Outcome, Receipt, State
from broadcaster.record import Card, NoticeKind, Plan
from broadcaster.store import End, Store
from tests.kit import ManualClock, plan

HOLD = timedelta(seconds=20)
WAIT = timedelta(seconds=0.5)
CARD = Card("c1", '{"title": "Feuer"}', "image/png")
PICTURE = Media("c1", "Gefahr: Feuer", "image/png", 1200, 675)
URL = "https://warnung.example.org/cards/d1.png"


@pytest.fixture
def clock() -> ManualClock:
    """Give a clock that stands still until a test moves it."""
    return ManualClock()


@pytest.fixture
async def outbox(store_table: StoreTable, clock: ManualClock) -> AsyncIterator[Store]:
    """Give a store that lives by the clock of the test."""
    opened = await Store.open(store_table, clock)
    await opened.know_channels({"one": "fake", "two": "fake"})
    yield opened
    await opened.close()


def illustrated(clock: ManualClock, *channels: str, picture: Media = PICTURE) -> Plan:
    """Plan an alert whose posts on these channels take the card."""
    wanted = plan(channels or ("one",), now=clock.now())
    rows = []
    for one in wanted.deliveries:
        assert one.message is not None
        rows.append(replace(one, message=replace(one.message, media=(picture,))))
    return replace(wanted, deliveries=rows, cards=(CARD,), card_wait=WAIT)


async def claim(store: Store, channel: str = "one") -> list[Delivery]:
    """Claim what is due."""
    return list((await store.claim({channel: 10}, HOLD)).deliveries)


async def test_a_row_waits_for_its_card_and_goes_with_it(outbox: Store, clock: ManualClock) -> None:
    """It is due in half a second, or as soon as the picture is there; then it names the picture."""
    await outbox.accept(illustrated(clock), {"one": 4})
    assert await claim(outbox) == []
    assert await outbox.card_drawn("c1", "d1", URL) == {"one"}
    (one,) = await claim(outbox)
    assert one.message is not None
    assert one.message.media == (replace(PICTURE, digest="d1", url=URL),)
    assert one.message.missing is None


async def test_a_card_that_is_late_is_left_behind_for_good(
    outbox: Store, clock: ManualClock
) -> None:
    """The text goes without it; a repeat is the same post, though the picture is there by then."""
    await outbox.accept(illustrated(clock))
    clock.move(0.5)
    (one,) = await claim(outbox)
    assert one.message is not None
    assert one.message.media == ()
    assert one.message.missing == "posted without its card: it was not drawn in time"
    assert await outbox.card_drawn("c1", "d1", URL) == set()
    await outbox.record(one, End(Outcome.NOT_SENT, NotSent("no").reason, due=clock.now()))
    (again,) = await claim(outbox)
    assert again.message == one.message


async def test_a_card_that_cannot_be_drawn_holds_nothing_up(
    outbox: Store, clock: ManualClock
) -> None:
    """Rows go at once, and say why the picture is missing."""
    await outbox.accept(illustrated(clock))
    assert await outbox.card_faulty("c1", "no font has U+1F525") == {"one"}
    (one,) = await claim(outbox)
    assert one.message is not None
    assert one.message.missing == "posted without its card: no font has U+1F525"


async def test_where_a_picture_is_required_the_row_waits_for_it(
    outbox: Store, clock: ManualClock
) -> None:
    """A network without text posts gets its picture, however late."""
    await outbox.accept(illustrated(clock, picture=replace(PICTURE, required=True)))
    for _ in range(3):
        clock.move(1.0)
        assert await claim(outbox) == []
    await outbox.card_drawn("c1", "d1", URL)
    (one,) = await claim(outbox)
    assert one.message is not None
    assert one.message.media[0].digest == "d1"


async def test_rows_that_wait_for_cards_hold_up_none_that_is_ready(
    outbox: Store, clock: ManualClock
) -> None:
    """However many there are, and however urgent; each is called when its own card is drawn."""
    required = replace(PICTURE, required=True)
    for number in range(12):
        name = f"later-{number}"
        later = illustrated(clock, picture=replace(required, card=name))
        await outbox.accept(replace(later, cards=(replace(CARD, name=name),)))
    clock.move(WAIT.total_seconds())
    await outbox.accept(illustrated(clock, picture=required))
    await outbox.card_drawn("c1", "d1", URL)
    clock.move(WAIT.total_seconds())
    (ready,) = (await outbox.claim({"one": 4}, HOLD)).deliveries
    assert ready.message is not None
    assert ready.message.media[0].digest == "d1"
    assert (await outbox.claim({"one": 4}, HOLD)).deliveries == []
    assert await outbox.card_drawn("later-7", "d7", URL) == {"one"}
    (called,) = (await outbox.claim({"one": 4}, HOLD)).deliveries
    assert called.message is not None
    assert called.message.media[0].digest == "d7"


async def test_where_a_picture_is_required_and_cannot_be_people_are_told(
    outbox: Store, clock: ManualClock
) -> None:
    """It failed, and the reason names what is wrong with the card."""
    accepted = await outbox.accept(illustrated(clock, picture=replace(PICTURE, required=True)))
    await outbox.card_faulty("c1", "no font has U+1F525")
    assert await claim(outbox) == []
    view = await outbox.view(accepted.accepted.id)
    assert view is not None
    assert view.deliveries[0][0].state is State.FAILED
    assert "U+1F525" in str(view.deliveries[0][0].reason)
    kinds = {matter.notice.kind for matter in await outbox.open_notices()}
    assert NoticeKind.FAILED in kinds


async def test_what_was_not_drawn_before_a_crash_is_named(
    outbox: Store, clock: ManualClock
) -> None:
    """Cards are written with their alert; drawn and faulty ones are not drawn again."""
    await outbox.accept(illustrated(clock))
    since = clock.now() - timedelta(hours=1)
    assert await outbox.cards_to_draw(since) == [CARD]
    assert await outbox.cards_to_draw(clock.now() + timedelta(seconds=1)) == []
    await outbox.card_drawn("c1", "d1", URL)
    assert await outbox.cards_to_draw(since) == []
    assert await outbox.card_drawn_as("d1", "image/png") == CARD
    assert await outbox.card_drawn_as("d1", "image/jpeg") is None
    assert await outbox.card_drawn_as("d2", "image/png") is None


async def test_a_card_that_nobody_waits_for_any_more_is_not_drawn_after_a_crash(
    outbox: Store, clock: ManualClock
) -> None:
    """What was overtaken meanwhile must not keep the newest version's card waiting."""
    first = illustrated(clock)
    await outbox.accept(first)
    await outbox.accept(plan(now=clock.now(), after=first.accepted))
    assert await outbox.cards_to_draw(clock.now() - timedelta(hours=1)) == []


async def test_a_person_who_posts_by_hand_gets_the_card(outbox: Store, clock: ManualClock) -> None:
    """A row that waits for a person names the picture once it is drawn."""
    wanted = illustrated(clock)
    waiting = [replace(one, state=State.WAITING) for one in wanted.deliveries]
    accepted = await outbox.accept(replace(wanted, deliveries=waiting))
    await outbox.card_drawn("c1", "d1", URL)
    view = await outbox.view(accepted.accepted.id)
    assert view is not None
    (one, _) = view.deliveries[0]
    assert one.state is State.WAITING
    assert one.message is not None
    assert one.message.media[0].url == URL


async def test_a_receipt_keeps_what_is_not_as_planned(outbox: Store, clock: ManualClock) -> None:
    """The note of a receipt is there when the delivery is looked at later."""
    accepted = await outbox.accept(illustrated(clock))
    clock.move(1.0)
    (one,) = await claim(outbox)
    proof = Receipt("1", None, {}, "posted without its card: it was not drawn in time")
    await outbox.record(one, End(Outcome.ACCEPTED, receipt=proof))
    view = await outbox.view(accepted.accepted.id)
    assert view is not None
    assert view.deliveries[0][0].receipt == proof
