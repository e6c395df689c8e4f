"""The cards of accepted alerts: drawn right after acceptance, kept as files, told to the rows.

What a card shows is in the store, written with its alert; the picture is a file named by its own
sha256, and is drawn anew from the store where it is missing. Drawing takes place in a process of
its own: nothing here keeps a post waiting longer than the row's due time says.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import structlog

from broadcaster.channels import card_path
from broadcaster.clock import Clock
from broadcaster.drawers import Drawers, WorkerFault
from broadcaster.drawing import CardFault, Spec
from broadcaster.insisting import insist
from broadcaster.record import Card
from broadcaster.store import Store

log = structlog.get_logger(__name__)

DRAWN_FOR = timedelta(hours=72)  # no alert is tried longer
# Until a card is drawn again after trouble that is not its own: a killed process, a full disk.
WAITS_SECONDS = (1.0, 5.0, 30.0, 120.0)
KEPT_SECONDS = 7 * 86_400.0  # a file; after that it is drawn anew when somebody asks


@dataclass(slots=True)
class Cards:
    """Has cards drawn. `wake` tells the dispatcher of channels whose rows can go on.

    `public_url` is where the daemon is reached from outside.
    """

    store: Store
    drawers: Drawers
    directory: Path
    public_url: str
    clock: Clock
    wake: Callable[[set[str]], None]
    waits_seconds: Sequence[float] = WAITS_SECONDS
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)  # by the card's name

    async def start(self) -> None:
        """Warm the drawing up, and take up what was not drawn before a crash."""
        await self.drawers.start()
        await self.take_up()

    async def take_up(self) -> None:
        """Have drawn what is not: left by a crash, or wanted again by a person."""
        self.begin(await self.store.cards_to_draw(self.clock.now() - DRAWN_FOR))

    async def close(self) -> None:
        """Draw nothing any more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.drawers.close()

    def begin(self, cards: Iterable[Card]) -> None:
        """Have cards drawn, in this order; what is under way already goes on."""
        for card in cards:
            if card.name not in self._tasks:
                task = asyncio.create_task(self._draw(card), name=card.name)
                self._tasks[card.name] = task
                task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task.get_name()]
        if not task.cancelled() and (error := task.exception()):
            log.error("card_given_up", card=task.get_name(), exc_info=error)

    async def picture(self, digest: str, kind: str) -> Path | None:
        """Return the file of a picture that some alert has, drawn anew if need be."""
        path = card_path(self.directory, digest, kind)
        if await asyncio.to_thread(path.exists):
            return path
        card = await self.store.card_drawn_as(digest, kind)
        if card is None:
            return None
        data = await self.drawers.draw(Spec.from_json(card.spec))
        if sha256(data).hexdigest() != digest:  # another version of the program draws otherwise
            log.warning("card_draws_differently", card=card.name)
            return None
        await asyncio.to_thread(_write, path, data)
        return path

    def prune(self) -> None:
        """Delete files that nobody needs any more; blocking."""
        oldest = time.time() - KEPT_SECONDS
        for path in (self.directory / "cards").glob("*.*"):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    async def _draw(self, card: Card) -> None:
        try:
            digest = await self._file_of(card)
        except CardFault as fault:
            log.warning("card_not_drawn", card=card.name, reason=str(fault))
            why = str(fault)
            self.wake(await insist(self.clock, lambda: self.store.card_faulty(card.name, why)))
            return
        url = f"{self.public_url}/cards/{card_path(self.directory, digest, card.kind).name}"
        self.wake(await insist(self.clock, lambda: self.store.card_drawn(card.name, digest, url)))

    async def _file_of(self, card: Card) -> str:
        """Draw a card and keep its file; return its digest. Raises CardFault.

        What is not the card's own fault is tried again, but not for ever: it may be after all.
        """
        for wait in self.waits_seconds:
            try:
                return await self._drawn(card)
            except WorkerFault as fault:
                log.warning("card_drawn_again", card=card.name, seconds=wait, reason=str(fault))
            await self.clock.sleep(wait)
        return await self._drawn(card)

    async def _drawn(self, card: Card) -> str:
        data = await self.drawers.draw(Spec.from_json(card.spec))
        digest = sha256(data).hexdigest()
        try:
            await asyncio.to_thread(_write, card_path(self.directory, digest, card.kind), data)
        except OSError as error:
            raise WorkerFault(f"its file cannot be written: {error.strerror}") from error
        return digest


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, also where the power fails: its name says what it holds."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = path.with_name(f".{path.name}.{os.getpid()}")
    with place.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    place.replace(path)
