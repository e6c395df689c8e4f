"""The dispatcher: claim, send, record; and have resolved what is unknown.

Each channel has a lane of its own, with its own slots: a slow, hanging or failing channel delays no
other. The one retry owner is the delivery's row with its due time; there is no loop around a send.
An attempt is never cancelled: at its limit the row becomes `unknown`, and nothing is resent before
the attempt has really ended.
"""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from broadcaster.channels import Channel
from broadcaster.clock import Clock
from broadcaster.config import Timing
from broadcaster.delivery import (
    Delivery,
    Failure,
    Guarantee,
    NotSent,
    Outcome,
    Receipt,
    Rejected,
    State,
    Unknown,
    backoff,
    noted,
)
from broadcaster.insisting import insist
from broadcaster.lanes import Lane, Pauses, is_asked_to_wait
from broadcaster.record import Acceptance, Plan
from broadcaster.resolving import Resolver, first_look, first_sight
from broadcaster.sending import Sender
from broadcaster.store import (
    End,
    Landed,
    Store,
    StoreBroken,
    StoreUnavailable,
    ToRead,
    TransitionRefused,
)

log = structlog.get_logger(__name__)

IDLE_SECONDS_MAX = 5.0  # how long a lane rests without being woken
SWEEP_SECONDS = 5.0
HELD_SECONDS = 0.25  # how soon a lane looks again at rows that wait for an older version
GRACE_SECONDS = 1.0  # a channel's own limit comes first; this one is for threads that overrun it


class Observe(Protocol):
    """Takes the seconds an attempt took, for the metrics."""

    def __call__(self, channel: str, outcome: str, seconds: float) -> None:
        """Take one measurement."""
        ...


class Dispatcher:
    """Runs the lanes of all channels over one store."""

    def __init__(
        self,
        store: Store,
        channels: Mapping[str, Channel],
        timing: Timing,
        clock: Clock,
        *,
        observe: Observe | None = None,
    ) -> None:
        self._store = store
        self._timing = timing
        self._clock = clock
        self._observe = observe
        self._resolver = Resolver(store, timing)
        self._claims_wanted = asyncio.Event()
        self._claiming = asyncio.Lock()  # while recovery counts what is under way, no claim is
        self._accepting: set[str] = set()  # deliveries whose acceptance is under way
        self._wanted: set[str] = set()
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._landed: list[tuple[Landed, asyncio.Future[State]]] = []
        self._landed_wanted = asyncio.Event()
        self._recorder: asyncio.Task[None] | None = None
        self.lanes = {name: Lane(channel) for name, channel in channels.items()}
        self.pauses = Pauses(self.lanes, store, timing, clock, self.wake)
        self._sender = Sender(store, clock)
        self.fault: BaseException | None = None
        self.failed = asyncio.Event()

    @property
    def stuck(self) -> int:
        """How many attempts run past their limit."""
        return sum(len(lane.stuck) for lane in self.lanes.values())

    async def start(self) -> None:
        """Resolve what a crash left behind, then take up the queue."""
        await self.pauses.take_up()
        self._recorder = asyncio.create_task(self._record_loop())
        self._recorder.add_done_callback(self._notice_fault)
        try:
            await self._take_up()
        except StoreUnavailable as error:  # the door opens all the same: it says why
            log.warning("queue_not_taken_up", reason=str(error))
            self._spawn(insist(self._clock, self._take_up))

    async def _take_up(self) -> None:
        """Resolve what a crash left behind, then take up the queue."""
        await self._recover()
        await self._store.abandon(list(self.lanes))
        self._spawn(self._claim_loop())
        self._spawn(self._sweep())
        self._spawn(self._mind_database())
        for lane in self.lanes.values():
            self._spawn(self._watch(lane))

    async def _recover(self) -> None:
        """What is `sending` in the store, but not under way here, may have landed."""
        spared = timedelta(seconds=self._timing.unknown_told_seconds)
        async with self._claiming:
            running = {delivery for lane in self.lanes.values() for delivery in lane.running}
            interrupted = await self._store.recover(running | self._accepting, spared)
        if interrupted:
            log.warning("interrupted_deliveries", count=interrupted)

    async def _mind_database(self) -> None:
        """A database that was lost may have committed claims and alerts that nobody heard of."""
        while not self._stopping:
            await self._store.reconnected.wait()
            self._store.reconnected.clear()
            try:
                await self._store.recount()
                await self._recover()
            except StoreUnavailable as error:  # lost again; the next connection rings anew
                log.warning("recount_refused", error=str(error))
            self.wake()

    def wake(self, channels: Mapping[str, Any] | set[str] | None = None) -> None:
        """Look at these channels' rows now; None: at all of them."""
        for name in self.lanes if channels is None else channels:
            if lane := self.lanes.get(name):
                self._wanted.add(name)
                lane.wake.set()
        self._claims_wanted.set()

    def halt(self) -> None:
        """Claim nothing new from now on."""
        self._stopping = True

    async def stop(self) -> None:
        """Claim nothing new and give running attempts their time; the rest is recovered later."""
        self.halt()
        async with self._claiming:  # a claim under way ends: what it wrote is begun, and runs
            pass
        for task in list(self._tasks):
            task.cancel()
        running = [task for lane in self.lanes.values() for task in lane.running.values()]
        if running:
            await asyncio.wait(running, timeout=self._timing.drain_seconds)
        if self._recorder:
            self._recorder.cancel()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._notice_fault(task)

    def _notice_fault(self, task: asyncio.Task[None]) -> None:
        """A task that ends with an exception could not write down what it did: the process ends."""
        if not task.cancelled() and (fault := task.exception()) is not None:
            self.fault = fault
            self.failed.set()
            log.critical("dispatcher_failed", error=type(fault).__name__, detail=str(fault))

    # Accepting: what finds a free slot begins in the accepting transaction

    async def accept(self, plan: Plan) -> Acceptance:
        """Have an alert accepted, and begin what can begin. Raises what the store raises.

        Not to be stopped half-way: what the transaction began must be sent.
        """
        return await asyncio.shield(asyncio.create_task(self._accept(plan)))

    async def _accept(self, plan: Plan) -> Acceptance:
        kept = self._keep_slots(plan)
        ids = {one.id for one in plan.deliveries}
        self._accepting |= ids
        try:
            acceptance = await self._store.accept(plan, kept)
            for delivery in acceptance.begun:
                self._begin(delivery)
        finally:
            self._accepting -= ids
            for name, slots in kept.items():
                self.lanes[name].kept -= slots
        begun = {delivery.id for delivery in acceptance.begun}
        self.wake({one.channel for one in acceptance.deliveries if one.id not in begun})
        return acceptance

    def _keep_slots(self, plan: Plan) -> dict[str, int]:
        """Keep free slots for a plan, but none where others wait already: they were first."""
        if self._stopping or self._recorder is None:
            return {}
        now = self._store.due_now()
        wanted = Counter(one.channel for one in plan.deliveries if one.state is State.QUEUED)
        kept = {}
        for name, count in wanted.items():
            lane = self.lanes[name]
            slots = 0 if self._has_rows(lane, State.QUEUED) else min(count, lane.free(now))
            if slots:
                kept[name] = slots
                lane.kept += slots
        return kept

    # Claiming: one transaction for all lanes that asked

    async def _claim_loop(self) -> None:
        while not self._stopping:
            await self._claims_wanted.wait()
            self._claims_wanted.clear()
            wanted, self._wanted = self._wanted, set()
            now = self._store.due_now()
            free = {
                name: slots
                for name in wanted
                if self._has_rows(self.lanes[name], State.QUEUED)
                and (slots := self.lanes[name].free(now))
            }
            if free:
                await self._claim(free)

    def _has_rows(self, lane: Lane, state: State) -> bool:
        return lane.look_anyway or self._store.tally[lane.name, state] > 0

    async def _claim(self, free: Mapping[str, int]) -> None:
        hold = timedelta(seconds=self._timing.order_hold_seconds)
        try:
            async with self._claiming:
                claims = await self._store.claim(free, hold)
                for delivery in claims.deliveries:
                    self._begin(delivery)
        except StoreUnavailable as error:
            log.warning("claim_refused", error=str(error))
            await self._clock.sleep(1)
            self.wake(set(free))
            return
        for name, due in claims.next_due.items():
            self.lanes[name].look_anyway = False
            self._expect(self.lanes[name], due)

    def _expect(self, lane: Lane, due: datetime | None) -> None:
        """Let the lane know when its next row is due, and wake it if that is news."""
        if due != lane.next_due:
            lane.next_due = due
            lane.wake.set()

    def _begin(self, delivery: Delivery) -> None:
        lane = self.lanes[delivery.channel]
        task = asyncio.create_task(self._attempt(lane, delivery))
        lane.running[delivery.id] = task
        task.add_done_callback(lambda _: self._ended(lane, delivery.id))

    def _ended(self, lane: Lane, delivery_id: str) -> None:
        self._notice_fault(lane.running.pop(delivery_id))
        lane.stuck.discard(delivery_id)
        open_rows = self._has_rows(lane, State.QUEUED) or self._has_rows(lane, State.UNKNOWN)
        if open_rows and not self._stopping:  # else there is nothing to look for
            self.wake({lane.name})

    # Sending and recording

    async def _attempt(self, lane: Lane, delivery: Delivery) -> None:
        started = self._clock.elapsed()
        limit = self._timing.attempt_seconds + GRACE_SECONDS
        watch = asyncio.get_running_loop().call_later(limit, self._overran, lane, delivery)
        result = await self._sender.send(lane.channel, delivery)
        watch.cancel()
        end = self._end(lane, delivery, result)
        try:
            state = await self._record(lane, delivery, end)
        except TransitionRefused as error:  # this row is elsewhere; that stops nothing else
            log.warning("end_not_recorded", delivery=delivery.id, reason=str(error))
            return
        if end.due and (lane.next_due is None or end.due < lane.next_due):
            lane.next_due = end.due
        await self.pauses.mind(lane, delivery, result, started)
        self._report(delivery, end, self._clock.elapsed() - started, state)

    def _overran(self, lane: Lane, delivery: Delivery) -> None:
        lane.stuck.add(delivery.id)
        self._spawn(self._doubt(lane, delivery))

    async def _doubt(self, lane: Lane, delivery: Delivery) -> None:
        """An attempt passed its limit and still runs: people may be told, nothing is resent."""
        reason = f"no answer within {self._timing.attempt_seconds:g} s; the attempt still runs"
        end = self._unknown(lane.channel, reason)
        await insist(self._clock, lambda: self._store.overran(delivery, end))
        log.warning("attempt_overran", channel=delivery.channel, delivery=delivery.id)

    async def _record(self, lane: Lane, delivery: Delivery, end: End) -> State:
        if end.receipt is None or delivery.id in lane.stuck or self.failed.is_set():
            return await insist(self._clock, lambda: self._store.record(delivery, end))
        future: asyncio.Future[State] = asyncio.get_running_loop().create_future()
        self._landed.append((Landed(delivery, end.receipt, end.look), future))
        self._landed_wanted.set()
        return await future

    async def _record_loop(self) -> None:
        """Write down what was accepted: all that landed while the last batch was being written."""
        while True:
            await self._landed_wanted.wait()
            self._landed_wanted.clear()
            landed, self._landed = self._landed, []
            try:
                await self._store.record_sent([one for one, _ in landed])
            except (StoreUnavailable, TransitionRefused):
                await self._record_each(landed)
            except StoreBroken as error:
                for _, future in landed:
                    future.set_exception(error)
                raise
            else:
                for _, future in landed:
                    future.set_result(State.SENT)

    async def _record_each(self, landed: Sequence[tuple[Landed, asyncio.Future[State]]]) -> None:
        """One of them had moved on, or the database was away: each by itself."""
        for one, future in landed:
            end = End(Outcome.ACCEPTED, receipt=one.receipt, look=one.look)
            delivery = one.delivery
            write = functools.partial(self._store.record, delivery, end)
            try:
                future.set_result(await insist(self._clock, write))
            except (StoreBroken, TransitionRefused) as error:
                future.set_exception(error)

    def _end(self, lane: Lane, delivery: Delivery, result: Receipt | Failure) -> End:
        """Turn what the channel said into what is written down."""
        if isinstance(result, Receipt):
            look = first_sight(lane.channel, delivery, self._timing, self._store.due_now())
            return End(Outcome.ACCEPTED, receipt=noted(result, delivery), look=look)
        if isinstance(result, NotSent):
            due = self._due(delivery, result)
            return End(Outcome.NOT_SENT, result.reason, due=due, afresh=result.afresh)
        if isinstance(result, Rejected) and result.duplicate and delivery.doubtful:
            return self._unknown(lane.channel, f"{result.reason}: an earlier attempt may be there")
        if isinstance(result, Unknown):
            return self._unknown(lane.channel, result.reason)
        return End(result.outcome, result.reason)

    def _due(self, delivery: Delivery, failure: NotSent) -> datetime:
        if is_asked_to_wait(failure):
            return self._store.due_now() + (failure.retry_after or timedelta(0))
        waits = self._timing.waits_seconds
        wait = backoff(delivery.attempts, waits, retry_after=failure.retry_after)
        return self._store.due_now() + wait

    def _unknown(self, channel: Channel, reason: str) -> End:
        """Unknown: when to look first, and how long people are spared meanwhile."""
        first = first_look(channel, self._timing)
        held = channel.guarantee is Guarantee.NONE and not channel.resend_on_unknown
        spared = timedelta(seconds=0 if held else self._timing.unknown_told_seconds)
        due = self._store.due_now() + timedelta(seconds=first)
        return End(Outcome.UNKNOWN, reason, due=due, tell_after=spared)

    def _report(self, delivery: Delivery, end: End, seconds: float, state: str) -> None:
        if self._observe:
            self._observe(delivery.channel, end.outcome.value, seconds)
        known: dict[str, object] = {
            "alert": delivery.alert,
            "channel": delivery.channel,
            "part": delivery.part,
        }
        known |= {"attempt": delivery.attempts, "state": str(state)}
        if end.outcome is Outcome.ACCEPTED:
            log.debug("sent", **known)
        else:
            log.warning("attempt_failed", outcome=end.outcome.value, error=end.error, **known)

    # Watching: what is due later, and what must be read back

    async def _watch(self, lane: Lane) -> None:
        while not self._stopping:
            lane.wake.clear()
            strange = lane.is_strange(self._store.due_now())
            if self._has_rows(lane, State.UNKNOWN) and not strange:
                await self._resolve_due(lane)  # another account's list would prove nothing
            elif not self._has_rows(lane, State.QUEUED):
                lane.next_due = None
            self._wanted.add(lane.name)
            self._claims_wanted.set()
            await self._rest(lane)

    async def _rest(self, lane: Lane) -> None:
        """Sleep until the next due time, a pause's end, or somebody wakes the lane."""
        try:
            async with asyncio.timeout(self._rest_seconds(lane)):
                await lane.wake.wait()
        except TimeoutError:
            return

    def _rest_seconds(self, lane: Lane) -> float:
        now = self._store.due_now()
        moments = (lane.next_due, lane.paused_until, lane.account_by)
        ahead = [moment for moment in moments if moment and moment > now]
        seconds = min([(moment - now).total_seconds() for moment in ahead] or [IDLE_SECONDS_MAX])
        overdue = lane.next_due is not None and lane.next_due <= now
        return min(seconds, HELD_SECONDS if overdue else IDLE_SECONDS_MAX)

    async def _resolve_due(self, lane: Lane) -> None:
        try:
            rows = await self._store.to_read(lane.name, 20)
        except StoreUnavailable as error:
            log.warning("resolve_refused", error=str(error), channel=lane.name)
            return
        for row in rows:
            delivery = row.delivery
            if delivery.id in lane.running or delivery.id in lane.reading:
                continue  # its attempt has not ended, or it is being read already
            lane.reading.add(delivery.id)
            task = asyncio.create_task(self._resolve(lane, row))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    async def _resolve(self, lane: Lane, row: ToRead) -> None:
        try:
            await self._resolver.resolve(lane.channel, row)
        except StoreUnavailable as error:
            log.warning("resolve_refused", error=str(error), delivery=row.delivery.id)
        finally:
            lane.reading.discard(row.delivery.id)
            self.wake({lane.name})

    async def _sweep(self) -> None:
        """Expire what was never sent, remind people of what waits, look at every lane anyway."""
        while not self._stopping:
            try:
                await self._store.expire()
                await self._store.remind(timedelta(seconds=self._timing.remind_seconds))
            except StoreUnavailable as error:
                log.warning("sweep_refused", error=str(error))
            for lane in self.lanes.values():
                lane.look_anyway = True
            self.wake()
            await self._clock.sleep(SWEEP_SECONDS)
