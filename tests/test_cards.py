"""Cards of accepted alerts: drawn, kept by content, told to the rows, drawn again."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import cast

import pytest

from broadcaster.cards import KEPT_SECONDS, Cards
from broadcaster.channels import card_path
from broadcaster.clock import SystemClock
from broadcaster.delivery import Delivery, Media, State
from broadcaster.drawers import Drawers, WorkerFault
from broadcaster.drawing import CardFault, Spec
from broadcaster.record import Accepted, Card
from broadcaster.store import Store, StoreUnavailable
from tests.kit import eventually, plan

SPEC = Spec("de", "alert", "Severe", "Fire", None, *("Großbrand",) * 7)
CARD = Card(SPEC.name(), SPEC.to_json(), "image/png")
URL = "https://warnung.example.org"


@dataclass
class Hand:
    """Draws what the test says, in this process."""

    result: bytes | CardFault = b"a picture"
    troubles: list[CardFault] = field(default_factory=list)
    drawn: list[Spec] = field(default_factory=list)
    started: bool = False
    closed: bool = False

    async def start(self) -> None:
        self.started = True

    async def close(self) -> None:
        self.closed = True

    async def draw(self, spec: Spec) -> bytes:
        self.drawn.append(spec)
        await asyncio.sleep(0)
        if self.troubles:
            raise self.troubles.pop(0)
        if isinstance(self.result, CardFault):
            raise self.result
        return self.result


@dataclass
class Room:
    """The room under test, with its hand and who was woken."""

    cards: Cards
    hand: Hand
    store: Store
    woken: list[set[str]]
    directory: Path

    async def accept(self, *, required: bool = False) -> Accepted:
        """Accept an alert whose post takes the card."""
        wanted = plan()
        (one,) = wanted.deliveries
        assert one.message is not None
        picture = Media(CARD.name, "Gefahr", CARD.kind, 1200, 675, required)
        row = replace(one, message=replace(one.message, media=(picture,)))
        accepted = await self.store.accept(replace(wanted, deliveries=[row], cards=[CARD]))
        return accepted.accepted

    async def row(self, accepted: Accepted) -> Delivery:
        """Return its delivery."""
        view = await self.store.view(accepted.id)
        assert view is not None
        return view.deliveries[0][0]


@pytest.fixture
async def make(sqlite_store: Store, tmp_path: Path) -> AsyncIterator[Callable[..., Room]]:
    """Give a maker of rooms, which are closed at the end."""
    made: list[Room] = []

    def room(hand: Hand | None = None, store: object = None) -> Room:
        hand = hand or Hand()
        woken: list[set[str]] = []
        cards = Cards(
            cast(Store, store or sqlite_store),
            cast(Drawers, hand),
            tmp_path,
            URL,
            SystemClock(),
            woken.append,
            (0.0, 0.0),
        )
        made.append(Room(cards, hand, sqlite_store, woken, tmp_path))
        return made[-1]

    yield room
    for one in made:
        await one.cards.close()


async def test_a_card_is_drawn_kept_by_its_content_and_told(make: Callable[..., Room]) -> None:
    """The row names the file's sha256 and where the public finds it, and its channel is woken."""
    room = make()
    accepted = await room.accept()
    room.cards.begin([CARD])
    await eventually(lambda: room.woken == [{"one"}])
    digest = sha256(b"a picture").hexdigest()
    assert card_path(room.directory, digest, "image/png").read_bytes() == b"a picture"
    message = (await room.row(accepted)).message
    assert message is not None
    assert message.media[0].digest == digest
    assert message.media[0].url == f"{URL}/cards/{digest}.png"
    assert room.hand.drawn == [SPEC]


async def test_a_card_that_cannot_be_drawn_is_told_with_its_reason(
    make: Callable[..., Room],
) -> None:
    """Rows do not wait for what will not come."""
    room = make(Hand(CardFault("no font has U+706B")))
    await room.accept()
    room.cards.begin([CARD])
    await eventually(lambda: room.woken == [{"one"}])
    (claimed,) = (await room.store.claim({"one": 1}, timedelta(0))).deliveries
    assert claimed.message is not None
    assert claimed.message.missing == "posted without its card: no font has U+706B"
    assert list((room.directory / "cards").glob("*")) == []


async def test_a_killed_process_costs_no_card(make: Callable[..., Room]) -> None:
    """The same card is drawn again, for the trouble may not be its own."""
    room = make(Hand(troubles=[WorkerFault("it was killed")] * 2))
    accepted = await room.accept()
    room.cards.begin([CARD])
    await eventually(lambda: room.woken == [{"one"}])
    message = (await room.row(accepted)).message
    assert message is not None
    assert message.media[0].digest == sha256(b"a picture").hexdigest()


async def test_a_disk_that_takes_no_file_is_tried_again_and_then_told(
    make: Callable[..., Room],
) -> None:
    """The row gets its reason instead of waiting for ever; after a retry it is drawn."""
    room = make()
    accepted = await room.accept(required=True)
    (room.directory / "cards").write_text("in the way")
    room.cards.begin([CARD])
    await eventually(lambda: room.woken == [{"one"}])
    assert len(room.hand.drawn) == 3
    assert (await room.store.claim({"one": 1}, timedelta(0))).deliveries == []
    failed = await room.row(accepted)
    assert failed.state is State.FAILED
    assert "its file cannot be written" in (failed.reason or "")
    (room.directory / "cards").unlink()
    await room.store.retry(failed.id, "key:test")
    await room.cards.take_up()
    await eventually(lambda: len(room.woken) == 2)
    (claimed,) = (await room.store.claim({"one": 1}, timedelta(0))).deliveries
    assert claimed.message is not None
    assert claimed.message.media[0].digest == sha256(b"a picture").hexdigest()


async def test_a_card_under_way_is_not_begun_twice(make: Callable[..., Room]) -> None:
    """Taking up what is not drawn finds it, and leaves it alone."""
    room = make()
    await room.accept()
    room.cards.begin([CARD, CARD])
    await room.cards.take_up()
    await eventually(lambda: room.woken == [{"one"}])
    assert room.hand.drawn == [SPEC]


async def test_what_was_not_drawn_before_a_crash_is_drawn_at_the_start(
    make: Callable[..., Room],
) -> None:
    """The card is in the store with its alert."""
    room = make()
    await room.accept()
    await room.cards.start()
    assert room.hand.started
    await eventually(lambda: room.woken == [{"one"}])


async def test_a_picture_whose_file_is_gone_is_drawn_again(make: Callable[..., Room]) -> None:
    """The file is a cache; the public address goes on to work."""
    room = make()
    await room.accept()
    room.cards.begin([CARD])
    await eventually(lambda: room.woken == [{"one"}])
    digest = sha256(b"a picture").hexdigest()
    path = card_path(room.directory, digest, "image/png")
    assert await room.cards.picture(digest, "image/png") == path
    path.unlink()
    assert await room.cards.picture(digest, "image/png") == path
    assert path.read_bytes() == b"a picture"
    assert len(room.hand.drawn) == 2


async def test_a_name_never_shows_another_picture(make: Callable[..., Room]) -> None:
    """A program that draws otherwise by now gives nothing rather than something else."""
    room = make()
    await room.accept()
    room.cards.begin([CARD])
    await eventually(lambda: room.woken == [{"one"}])
    digest = sha256(b"a picture").hexdigest()
    card_path(room.directory, digest, "image/png").unlink()
    room.hand.result = b"another picture"
    assert await room.cards.picture(digest, "image/png") is None
    assert await room.cards.picture("0" * 64, "image/png") is None


async def test_what_a_lost_database_was_not_told_is_told_again(
    make: Callable[..., Room], sqlite_store: Store
) -> None:
    """A row that needs its picture would else wait for ever."""
    failures = [StoreUnavailable("away")]

    class Away:
        def __getattr__(self, name: str) -> object:
            return getattr(sqlite_store, name)

        async def card_drawn(self, *args: str) -> set[str]:
            if failures:
                raise failures.pop()
            return await sqlite_store.card_drawn(*args)

    room = make(store=Away())
    await room.accept()
    room.cards.begin([CARD])
    await eventually(lambda: room.woken == [{"one"}])


async def test_old_files_are_deleted_and_new_ones_kept(make: Callable[..., Room]) -> None:
    """What nobody asked for in a week is drawn anew when somebody does."""
    room = make()
    place = room.directory / "cards"
    place.mkdir()
    old, new = place / "old.png", place / "new.png"
    for path in (old, new):
        path.write_bytes(b"x")
    long_ago = time.time() - KEPT_SECONDS - 1
    os.utime(old, (long_ago, long_ago))
    room.cards.prune()
    assert [path.name for path in place.iterdir()] == ["new.png"]
