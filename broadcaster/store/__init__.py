"""The store: the only SQL. It speaks in sentences; nobody else sees a statement or a row.

Every sentence runs in the store's one thread. Those that change something share a transaction with
all that queued meanwhile and return only after its commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from broadcaster.clock import Clock, ExpiryClock
from broadcaster.config import StoreTable
from broadcaster.delivery import Delivery, Readiness, Receipt, State
from broadcaster.record import (
    Acceptance,
    Accepted,
    AuditEntry,
    Card,
    ChannelRow,
    Event,
    Key,
    Notice,
    NoticeKind,
    Plan,
    Replay,
    StorageFull,
    StoreBroken,
    StoreUnavailable,
    View,
)
from broadcaster.store import (
    accepting,
    cards,
    claiming,
    journal,
    ledger,
    notices,
    orders,
    outbox,
    reading,
    resolving,
    sights,
)
from broadcaster.store.claiming import Claims
from broadcaster.store.copying import Copying
from broadcaster.store.engine import Database, Engine, Moved
from broadcaster.store.journal import Deed, NewNotice, TransitionRefused
from broadcaster.store.notices import Matter, Turn
from broadcaster.store.opening import Ballast, connect
from broadcaster.store.outbox import End, Landed, Moment
from broadcaster.store.reading import Wanted
from broadcaster.store.resolving import ToRead
from broadcaster.store.sights import Look, ToLook

__all__ = [
    "Changes",
    "Claims",
    "End",
    "Landed",
    "Look",
    "Matter",
    "NewNotice",
    "StorageFull",
    "Store",
    "StoreBroken",
    "StoreUnavailable",
    "ToLook",
    "ToRead",
    "TransitionRefused",
    "Turn",
    "Wanted",
]


@dataclass(slots=True, eq=False)
class Changes:
    """Wakes whoever follows an alert. `wait` returns at once if something changed meanwhile."""

    _event: asyncio.Event = field(default_factory=asyncio.Event)

    def ring(self) -> None:
        """Something changed."""
        self._event.set()

    async def wait(self) -> None:
        """Wait for the next change."""
        await self._event.wait()
        self._event.clear()


class Store:
    """One database, opened by this process alone."""

    def __init__(self, table: StoreTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._expiry = ExpiryClock(clock)
        self._ballast = Ballast(table.directory / "ballast", table.ballast_bytes)
        self._followers: dict[str, set[Changes]] = {}
        self._numbers: dict[str, int] = {}
        self.tally: Counter[tuple[str, str]] = Counter()
        self.accepted_count = 0
        self.reconnected = asyncio.Event()  # the database was lost and is back
        self._engine: Engine

    @classmethod
    async def open(cls, table: StoreTable, clock: Clock) -> Store:
        """Open, check and migrate the database.

        Raises StoreUnavailable (in use, not reachable) or StoreBroken (damaged, newer, settings not
        kept).
        """
        store = cls(table, clock)
        table.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        database = await asyncio.to_thread(store._connect)
        loop = asyncio.get_running_loop()
        store._engine = Engine(
            store._connect,
            loop,
            store._committed,
            store._ballast.release,
            store.reconnected.set,
            database,
        )
        store._engine.start()
        await asyncio.to_thread(store._ballast.reserve)
        await store.recount()
        return store

    def _connect(self) -> Database:
        return connect(self._table.url, self._table.path)

    async def close(self) -> None:
        """Finish what is queued and close the connection."""
        await self._engine.stop()

    def _committed(self, moves: list[Moved]) -> None:
        for one in moves:
            if one.before is not None:
                self.tally[one.channel, one.before.value] -= 1
            self.tally[one.channel, one.state.value] += 1
        for alert in {one.alert for one in moves}:
            for changes in self._followers.get(alert, ()):
                changes.ring()

    @property
    def trouble(self) -> str | None:
        """Why nothing can be accepted now, in words; None while all is well."""
        if self._engine.broken:
            return self._engine.broken
        return "the disk is full" if self._engine.full else None

    def _moment(self) -> Moment:
        return Moment(self._clock.now(), self._expiry.now(), self._expiry.due())

    def due_now(self) -> datetime:
        """The time that counts for waits: elapsed time, while the wall clock cannot be trusted."""
        return self._expiry.due()

    def drift(self) -> timedelta:
        """By how much wall clock and elapsed time disagree."""
        return self._expiry.drift()

    # Accepting

    async def accept(self, plan: Plan, free: Mapping[str, int] | None = None) -> Acceptance:
        """Write everything one 202 promises, in one transaction.

        `free`: slots per channel that are kept for it; what fits in them is `sending` afterwards
        (`Acceptance.begun`), and the caller must begin it. Raises Refused, StorageFull,
        StoreUnavailable or StoreBroken; then nothing is promised.
        """
        if self._engine.full and await asyncio.to_thread(self._ballast.reserve):
            self._engine.full = False
        acceptance = await self._engine.write(
            lambda db: accepting.accept(db, plan, free or {}), needs_space=True
        )
        self.accepted_count += 1
        return acceptance

    async def next_incident(self, prefix: str) -> str:
        """Return a new incident's number, like "26-0142", never given before by this process."""
        if prefix not in self._numbers:
            last = await self._engine.read(lambda db: reading.last_number(db, prefix))
            self._numbers.setdefault(prefix, last)
        self._numbers[prefix] += 1
        return f"{prefix}-{self._numbers[prefix]:04d}"

    async def replay(self, scope: str, idempotency_key: str) -> Replay | None:
        """Return the answer given before under this key."""
        return await self._engine.read(lambda db: reading.replay(db, scope, idempotency_key))

    # Reading

    async def find_alert(self, name: str, sender: str | None = None) -> Accepted | None:
        """Find an alert by id, identifier or reference; an incident's number finds its newest."""
        return await self._engine.read(lambda db: reading.find_alert(db, name, sender))

    async def newest(self, incident: str) -> Accepted | None:
        """Return the newest alert of an incident."""
        return await self._engine.read(lambda db: reading.newest(db, incident))

    async def carried(self, incident: str) -> dict[str, str]:
        """Return channels on which any version of an incident was to go out, with their types."""
        return await self._engine.read(lambda db: reading.carrying(db, incident))

    async def view(self, alert_id: str) -> View | None:
        """Return an alert with deliveries and attempts."""
        return await self._engine.read(lambda db: reading.view(db, alert_id))

    async def alerts(  # noqa: PLR0913 - the filters of one list
        self,
        *,
        before: str | None = None,
        limit: int = 50,
        state: str | None = None,
        status: str | None = None,
        incident: str | None = None,
        sender: str | None = None,
    ) -> list[Accepted]:
        """Return a page of alerts, the newest first."""
        wanted = Wanted(before, limit, state, status, incident, sender)
        now = self._clock.now()
        return await self._engine.read(lambda db: reading.alerts(db, wanted, now))

    async def counts(self, alert_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """Return per alert how many deliveries are in each state."""
        return await self._engine.read(lambda db: reading.counts(db, alert_ids))

    async def events(self, alert_id: str, after: int, limit: int = 500) -> list[Event]:
        """Return state changes of an alert after the given event id."""
        return await self._engine.read(lambda db: reading.events(db, alert_id, after, limit))

    @contextlib.contextmanager
    def subscribe(self, alert_id: str) -> Iterator[Changes]:
        """Be woken after every commit that moved a delivery of this alert."""
        changes = Changes()
        self._followers.setdefault(alert_id, set()).add(changes)
        try:
            yield changes
        finally:
            self._followers[alert_id].discard(changes)
            if not self._followers[alert_id]:
                del self._followers[alert_id]

    async def audit(self, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
        """Return audit entries, the newest first."""
        return await self._engine.read(lambda db: reading.audit_page(db, limit, before))

    async def oldest_due(self) -> datetime | None:
        """Return since when the longest-waiting row is due."""
        return await self._engine.read(reading.oldest_due)

    # Sending

    async def claim(self, free: Mapping[str, int], hold: timedelta) -> Claims:
        """Write the intent for due rows, as many per channel as it has free slots."""
        at = self._moment()
        return await self._engine.write(lambda db: claiming.claim(db, free, at, hold))

    async def record(self, delivery: Delivery, end: End) -> State:
        """Write down how an attempt ended; return the delivery's state after it."""
        at = self._moment()
        return await self._engine.write(
            lambda db: outbox.record(db, delivery.id, delivery.attempts, end, at)
        )

    async def record_sent(self, landed: Sequence[Landed]) -> None:
        """Write down many accepted attempts at once.

        Raises TransitionRefused, and writes nothing, unless every row is `sending`.
        """
        now = self._clock.now()
        await self._engine.write(lambda db: outbox.record_sent(db, landed, now))

    async def overran(self, delivery: Delivery, end: End) -> None:
        """An attempt passed its limit and still runs: `unknown`, but not yet ended."""
        now = self._clock.now()
        await self._engine.write(lambda db: outbox.overran(db, delivery.id, end, now))

    async def to_read(self, channel: str, most: int) -> list[ToRead]:
        """Return unknown rows of a channel that are due for a look."""
        at = self._moment()
        return await self._engine.write(lambda db: resolving.to_read(db, channel, most, at))

    async def found(
        self, delivery: Delivery, receipt: Receipt, look: datetime | None = None
    ) -> State:
        """Reading back has found the post; `look`: when it is looked up first."""
        now = self._clock.now()
        return await self._engine.write(
            lambda db: resolving.resolved_found(db, delivery.id, receipt, now, look)
        )

    async def keep_handle(self, delivery: Delivery, handle: Mapping[str, object]) -> None:
        """Keep what the network's first step made, before the second."""
        await self._engine.write(lambda db: outbox.keep_handle(db, delivery.id, handle))

    async def is_wanted(self, delivery: Delivery) -> bool:
        """Say whether its alert is still the newest of its incident, and unexpired."""
        at = self._moment()
        return await self._engine.read(lambda db: outbox.is_wanted(db, delivery.id, at))

    # Cards and looks

    async def cards_to_draw(self, since: datetime) -> list[Card]:
        """Return cards accepted since then that are neither drawn nor given up."""
        return await self._engine.read(lambda db: cards.to_draw(db, since))

    async def card_drawn_as(self, digest: str, kind: str) -> Card | None:
        """Return the card whose picture has this digest, to draw it again."""
        return await self._engine.read(lambda db: cards.drawn_as(db, digest, kind))

    async def card_drawn(self, name: str, digest: str, url: str) -> set[str]:
        """A picture is there; return the channels whose rows go on with it."""
        due = self.due_now()
        return await self._engine.write(lambda db: cards.drawn(db, name, digest, url, due))

    async def card_faulty(self, name: str, why: str) -> set[str]:
        """A picture cannot be drawn; return the channels whose rows go on without it."""
        due = self.due_now()
        return await self._engine.write(lambda db: cards.faulty(db, name, why, due))

    async def to_look(self, busy: Collection[str] = ()) -> list[ToLook]:
        """Return the post of each channel that is due for a look first, but of those `busy`."""
        now = self.due_now()
        if not await self._engine.read(lambda db: sights.any_due(db, now)):
            return []  # asked twice a second: most of the time there is nothing to write
        return await self._engine.write(lambda db: sights.due(db, now, busy))

    async def look_later(self, delivery: Delivery, due: datetime | None) -> None:
        """This look showed nothing; look again then, or (None) no more."""
        await self._engine.write(lambda db: sights.later(db, delivery.id, due))

    async def saw(self, look: Look) -> State | None:
        """Write down what a look showed; None if the post is not out any more."""
        at = self._moment()
        return await self._engine.write(lambda db: sights.saw(db, look, at.now, at.expiry))

    async def remind(self, every: timedelta) -> int:
        """Tell people again of what has waited for them for so long; return how many."""
        now = self._clock.now()
        return await self._engine.write(lambda db: sights.remind(db, now - every, now))

    async def absent(self, delivery: Delivery, due: datetime, *, proven: bool) -> State:
        """Queue it again, or end it; `proven`: reading back has shown that it is not there."""
        at = self._moment()
        return await self._engine.write(
            lambda db: resolving.resolved_absent(db, delivery.id, due, at, proven=proven)
        )

    async def read_again(
        self, delivery: Delivery, due: datetime | None, reads: int, reason: str | None
    ) -> None:
        """Reading back proved nothing yet: look again when due; None: no more."""
        await self._engine.write(
            lambda db: resolving.read_again(db, delivery.id, due, reads, reason)
        )

    async def unreadable(self, delivery: Delivery, reason: str) -> State:
        """The network will not be asked without a person: `failed`, still in doubt."""
        now = self._clock.now()
        return await self._engine.write(
            lambda db: resolving.resolved_failed(db, delivery.id, reason, now)
        )

    async def recover(self, running: Collection[str], spared: timedelta) -> int:
        """What was `sending`, and is not under way here, becomes `unknown`; return how many."""
        now = self._clock.now()
        return await self._engine.write(lambda db: outbox.recover(db, running, spared, now))

    async def recount(self) -> None:
        """Count anew what is kept in memory; a lost database may have committed unheard."""
        await self._engine.read(reading.tally, self._replace_tally)
        self.accepted_count = await self._engine.read(reading.accepted_count)

    def _replace_tally(self, counted: Mapping[tuple[str, str], int]) -> None:
        self.tally = Counter(counted)

    async def expire(self) -> int:
        """End what was not sent before its alert expired, and what was seen of what was sent."""
        at = self._moment()

        def end(db: Database) -> int:
            sights.expire(db, at.now, at.expiry)
            return outbox.expire(db, at)

        return await self._engine.write(end)

    async def abandon(self, configured: Sequence[str]) -> int:
        """Fail open rows of channels the configuration no longer has; people are told."""
        now = self._clock.now()
        return await self._engine.write(lambda db: outbox.abandon(db, configured, now))

    # People

    async def retry(self, delivery_id: str, actor: str) -> Delivery:
        """Put a failed delivery back in the queue. Raises Refused."""
        at = self._moment()
        return await self._engine.write(lambda db: orders.retry(db, delivery_id, actor, at))

    async def confirm(self, delivery_id: str, url: str, actor: str) -> Delivery:
        """A person posted it, or saw it there. Raises Refused."""
        now = self._clock.now()
        return await self._engine.write(lambda db: orders.confirm(db, delivery_id, url, actor, now))

    async def retracted(self, delivery_id: str, actor: str) -> Delivery:
        """It was taken down on purpose. Raises Refused."""
        now = self._clock.now()
        return await self._engine.write(lambda db: orders.retracted(db, delivery_id, actor, now))

    async def due_notices(self, after: Notice | None = None) -> list[Matter]:
        """Return a page of open notices whose time has come, the oldest first."""
        now = self.due_now()
        return await self._engine.read(lambda db: notices.due(db, now, after))

    async def open_notices(self) -> list[Matter]:
        """Return open notices, also those people are still spared; the due and untold first."""
        now = self.due_now()
        return await self._engine.read(lambda db: notices.shown(db, now))

    async def untold(self, since: datetime) -> int:
        """Count the open notices that were due by then, and that no target has taken."""
        return await self._engine.read(lambda db: notices.untold(db, since))

    async def alerts_for(self, turn: Turn) -> list[str | None]:
        """Return alerts a target should be told of (None: the daemon itself), untold first."""
        return await self._engine.read(lambda db: notices.alerts_for(db, turn))

    async def wanted_notices(self, turn: Turn, alert_id: str | None) -> list[Matter]:
        """Return what a target should be told of one alert, or of the daemon itself (None)."""
        return await self._engine.read(lambda db: notices.wanted(db, turn, alert_id))

    async def alert_name(self, alert_id: str) -> tuple[str, str] | None:
        """Return an alert's reference and stored body, for the text of a notice."""
        return await self._engine.read(lambda db: notices.alert_name(db, alert_id))

    async def mark_told(self, ids: Sequence[int], target: str) -> None:
        """An on-call target accepted these notices."""
        now = self._clock.now()
        await self._engine.write(lambda db: notices.mark_told(db, ids, target, now))

    async def close_notices(self, ids: Sequence[int]) -> None:
        """These need nobody any more."""
        now = self._clock.now()
        await self._engine.write(lambda db: notices.close(db, ids, now))

    async def tell(self, one: NewNotice) -> None:
        """Tell about a channel or the daemon itself, unless the same is being told already."""
        now = self._clock.now()
        await self._engine.write(lambda db: notices.tell_once(db, one, now))

    async def untell(self, channel: str, kind: NoticeKind) -> None:
        """The channel is well again."""
        now = self._clock.now()
        await self._engine.write(lambda db: notices.close_channel(db, channel, kind, now))

    # Keys and channels

    async def keys(self) -> list[Key]:
        """Return all keys, revoked ones too."""
        return await self._engine.read(ledger.keys)

    async def create_key(self, key: Key, actor: str) -> None:
        """Keep a key's hash. Raises Refused when an active key has this name."""
        now = self._clock.now()
        await self._engine.write(lambda db: ledger.create_key(db, key, actor, now))

    async def revoke_key(self, name: str, actor: str) -> Key | None:
        """End a key by name or id; None if there is no such active key."""
        now = self._clock.now()
        return await self._engine.write(lambda db: ledger.revoke_key(db, name, actor, now))

    async def channels(self) -> list[ChannelRow]:
        """Return what is known of every channel that ever was configured."""
        return await self._engine.read(ledger.channels)

    async def know_channels(self, configured: Mapping[str, str]) -> None:
        """Make a row for every configured channel (name -> type) that has none."""
        await self._engine.write(lambda db: ledger.know_channels(db, configured))

    async def pause(self, channel: str, until: datetime | None, why: str | None) -> None:
        """Pause a channel, or let it go on (None)."""
        await self._engine.write(lambda db: ledger.pause(db, channel, until, why))

    async def switch_off(self, channel: str, why: str | None) -> None:
        """Switch a channel off, or on again (None)."""
        await self._engine.write(lambda db: ledger.switch(db, channel, why))

    async def probed(self, channel: str, found: Readiness, limits: Mapping[str, int]) -> None:
        """Keep what a probe found."""
        now = self._clock.now()
        await self._engine.write(lambda db: ledger.probed(db, channel, found, limits, now))

    async def bind(self, channel: str, identity: Mapping[str, str]) -> Mapping[str, str]:
        """Bind a channel to its account, unless it is bound; return whom it is bound to."""
        return await self._engine.write(lambda db: ledger.bind(db, channel, identity))

    async def hold(self, channel: str, why: str | None) -> None:
        """Post nothing on a channel until a person says so, or (None) go on."""
        await self._engine.write(lambda db: ledger.hold(db, channel, why))

    async def rebind(self, channel: str, actor: str) -> bool:
        """Let a channel be bound anew; say whether there is such a channel."""
        now = self._clock.now()
        return await self._engine.write(lambda db: ledger.rebind(db, channel, actor, now))

    async def note(self, actor: str, action: str, of: str, details: Mapping[str, object]) -> None:
        """Append an audit entry."""
        now = self._clock.now()
        await self._engine.write(lambda db: journal.note(db, Deed(actor, action, of, details), now))

    # Housekeeping

    async def forget(self) -> int:
        """Drop answers that were kept their time (30 days, or the alert's life)."""
        now = self._clock.now()
        return await self._engine.write(lambda db: accepting.forget(db, now))

    async def backup(self, path: Path) -> None:
        """Write a consistent copy. Raises ValueError with a sentence where that is not possible."""
        if self._table.path is None:
            raise ValueError("PostgreSQL is backed up with its own pg_dump, not with this command")
        await asyncio.to_thread(_refuse_target, path, self._table.path)
        copy = await asyncio.to_thread(Copying, path)
        try:
            while not await self._engine.read(copy.step):
                pass
        finally:
            await asyncio.shield(asyncio.to_thread(copy.finish))


def _refuse_target(path: Path, source: Path) -> None:
    if path.exists():
        raise ValueError(f"{path} exists already; name a new file")
    needed = source.stat().st_size
    if shutil.disk_usage(path.parent).free < 2 * needed:
        raise ValueError(f"not enough space in {path.parent}: {needed} bytes are needed")
