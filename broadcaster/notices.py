"""Telling people: one message per alert with what is wrong and what to do, until a target took it.

A notice is a row, written in the transaction that caused it; this room only carries it. The targets
are tried in order: the next one when nobody was told within 60 s, and each later one after its own
`after` while the matter is still open.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import structlog

from broadcaster.clock import Clock
from broadcaster.config import Timing
from broadcaster.delivery import Failure, NeedsPerson, NotSent, State, backoff
from broadcaster.record import Notice, NoticeKind
from broadcaster.store import Matter, StorageFull, Store, StoreUnavailable, Turn

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
LINES_MAX = 20
FORGOTTEN = timedelta(hours=1)  # when an alert of which a target could not be told is over anyway

# A matter of these kinds is open while its delivery is in this state, and is escalated meanwhile.
_LASTS_WHILE = {
    NoticeKind.FAILED: State.FAILED,
    NoticeKind.NEEDS_PERSON: State.FAILED,
    NoticeKind.MARK: State.FAILED,
    NoticeKind.NO_CHANNEL: State.FAILED,
    NoticeKind.QUARANTINE: State.FAILED,
    NoticeKind.UNKNOWN: State.UNKNOWN,
    NoticeKind.WAITING: State.WAITING,
    NoticeKind.GONE: State.SENT,
}
# These are closed by who finds that all is well again; until then they do not ring anew.
_CLOSED_ELSEWHERE = frozenset(
    {
        NoticeKind.CHANNEL,
        NoticeKind.HELD,
        NoticeKind.SWITCHED_OFF,
        NoticeKind.CLOCK,
        NoticeKind.STORAGE,
        NoticeKind.GONE,
        NoticeKind.WAITING,  # people are reminded by a new one
        NoticeKind.EXPIRES_30,
        NoticeKind.EXPIRES_7,
        NoticeKind.EXPIRES_1,
    }
)
_LASTS = frozenset({*_LASTS_WHILE, *_CLOSED_ELSEWHERE})

REMEDIES: Mapping[NoticeKind, str] = {
    NoticeKind.LATE: "Watch it; if it stays so, post by hand on this channel.",
    NoticeKind.FAILED: "Correct the cause and retry the delivery, or post by hand.",
    NoticeKind.NEEDS_PERSON: "Mend the account or token, then retry the delivery.",
    NoticeKind.UNKNOWN: "Look at the account: confirm it with its link, or retry it if absent.",
    NoticeKind.EXPIRED: "Nothing was posted here; send a new alert if the danger goes on.",
    NoticeKind.WITHHELD: "Shorten the text and send an update, or post by hand.",
    NoticeKind.GONE: "Look at the account; post by hand if the warning is gone.",
    NoticeKind.WAITING: "When it is posted: broadcaster confirm, with its link.",
    NoticeKind.MARK: "Edit the old post, or comment on it; there is nothing to retry.",
    NoticeKind.NO_CHANNEL: "Correct the old post by hand.",
    NoticeKind.CHANNEL: "See: broadcaster check.",
    NoticeKind.HELD: "Find out why; if the new account is right: broadcaster channels rebind.",
    NoticeKind.SWITCHED_OFF: "Ask who runs it; retrying a delivery switches it on again.",
    NoticeKind.EXPIRES_30: "Renew it in time; see: broadcaster check.",
    NoticeKind.EXPIRES_7: "Renew it this week; see: broadcaster check.",
    NoticeKind.EXPIRES_1: "Renew it now; see: broadcaster check.",
    NoticeKind.CLOCK: "Check the machine's time service.",
    NoticeKind.STORAGE: "Make room on the disk.",
    NoticeKind.QUARANTINE: "Post by hand; keep the database for inspection.",
}


class Teller(Protocol):
    """Something that can reach a person."""

    async def tell(self, subject: str, text: str) -> None:
        """Deliver a message. Raises a Failure when that is not certain."""
        ...


# Nothing of one alert alone: while this lasts, the target can be told of no other either.
_OF_ALL = (NotSent, NeedsPerson, StoreUnavailable, StorageFull)


@dataclass(frozen=True, slots=True)
class Wait:
    """How often in a row a target could not be told of an alert, and when it is tried again."""

    failures: int
    until: datetime


@dataclass(slots=True)
class Target:
    """One on-call target with its place in the order. `waits` are by alert, None the daemon."""

    name: str
    after: timedelta
    teller: Teller
    busy: bool = False
    failures: int = 0
    not_before: datetime | None = None
    waits: dict[str | None, Wait] = field(default_factory=dict)


@dataclass(slots=True)
class Notices:
    """Carries notices from the store to the on-call targets."""

    store: Store
    targets: Sequence[Target]
    timing: Timing
    clock: Clock
    _calls: set[asyncio.Task[None]] = field(default_factory=set)
    _closed_to: Notice | None = None

    async def run(self) -> None:
        """Carry notices until cancelled."""
        while True:
            try:
                await self.look()
            except (StoreUnavailable, StorageFull) as error:
                log.warning("notices_wait_for_store", error=str(error))
            await self._rest()

    async def _rest(self) -> None:
        """Until the next look: at once where a call has ended, for more may wait behind it."""
        resting = asyncio.ensure_future(self.clock.sleep(LOOK_SECONDS))
        try:
            await asyncio.wait({resting, *self._calls}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            resting.cancel()

    async def look(self) -> None:
        """Close what is over, and tell each target what it should know by now."""
        await self._close_over()
        for place, target in enumerate(self.targets):
            if self._can_be_called(target):
                await self._serve(target, self._turn(place, target))

    async def _close_over(self) -> None:
        """Close what is over, a page at a time, round and round."""
        page = await self.store.due_notices(self._closed_to) or await self.store.due_notices()
        self._closed_to = page[-1].notice if page else None
        if over := [matter.notice.id for matter in page if self._over(matter)]:
            await self.store.close_notices(over)

    async def _serve(self, target: Target, turn: Turn) -> None:
        """Call a target about one alert: what it could not be told of comes after all others."""
        now = self.store.due_now()
        fresh = Wait(0, now)
        waits = {
            alert: target.waits.get(alert, fresh) for alert in await self.store.alerts_for(turn)
        }
        ready = [alert for alert, wait in waits.items() if wait.until <= now]
        for alert in sorted(ready, key=lambda one: waits[one].failures):
            matters = await self.store.wanted_notices(turn, alert)
            if left := [matter for matter in matters if not self._over(matter)]:
                self._call(target, alert, left)
                return

    async def finish(self) -> None:
        """Wait for calls under way."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=self.timing.drain_seconds)

    async def untold(self) -> int:
        """Count all notices that nobody took within the time for the first target."""
        limit = timedelta(seconds=self.timing.next_target_seconds)
        return await self.store.untold(self.store.due_now() - limit)

    def _over(self, matter: Matter) -> bool:
        notice = matter.notice
        if notice.kind is NoticeKind.LATE and notice.delivery is None and not matter.not_out:
            return True
        lasting = _LASTS_WHILE.get(notice.kind)
        if lasting is not None and matter.state is not None and matter.state is not lasting:
            return True
        if notice.kind in _CLOSED_ELSEWHERE:
            return False
        if notice.kind in _LASTS:
            return bool(self.targets) and len(notice.told) >= len(self.targets)
        return bool(notice.told)

    def _turn(self, place: int, target: Target) -> Turn:
        now = self.store.due_now()
        if place == 0:
            return Turn(target.name, now, now)
        untold = place * timedelta(seconds=self.timing.next_target_seconds)
        return Turn(target.name, now - untold, now - target.after)

    def _can_be_called(self, target: Target) -> bool:
        return not target.busy and not (
            target.not_before and self.store.due_now() < target.not_before
        )

    def _call(self, target: Target, alert: str | None, matters: Sequence[Matter]) -> None:
        target.busy = True
        task = asyncio.create_task(self._tell(target, alert, matters))
        self._calls.add(task)
        task.add_done_callback(partial(self._told, target, alert))

    async def _tell(self, target: Target, alert: str | None, matters: Sequence[Matter]) -> None:
        subject, text = await self._words(alert, matters)
        await target.teller.tell(subject, text)
        await self.store.mark_told([matter.notice.id for matter in matters], target.name)

    def _told(self, target: Target, alert: str | None, task: asyncio.Task[None]) -> None:
        """A call has ended. Whatever it ended with, every other alert has its turn."""
        self._calls.discard(task)
        target.busy = False
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            target.waits.pop(alert, None)
            target.failures, target.not_before = 0, None
        else:
            self._put_off(target, alert, error)

    def _put_off(self, target: Target, alert: str | None, error: BaseException) -> None:
        now, waits = self.store.due_now(), self.timing.waits_seconds
        said = (Failure, StoreUnavailable, StorageFull)  # of others the text may hold anything
        reason = str(error) if isinstance(error, said) else type(error).__name__
        log.warning("on_call_not_reached", target=target.name, alert=alert, reason=reason)
        known = target.waits.get(alert)
        failures = known.failures + 1 if known else 1
        kept = {one: wait for one, wait in target.waits.items() if now - wait.until < FORGOTTEN}
        target.waits = kept | {alert: Wait(failures, now + backoff(failures, waits))}
        if isinstance(error, _OF_ALL):
            target.failures += 1
            target.not_before = now + backoff(target.failures, waits)

    async def _words(self, alert: str | None, matters: Sequence[Matter]) -> tuple[str, str]:
        name = await self.store.alert_name(alert) if alert else None
        what = f"{name[0]} {_headline(name[1])}".strip() if name else "the broadcaster itself"
        lines = [line for matter in matters for line in _lines(matter)]
        more = [f"... and {len(lines) - LINES_MAX} more"] if len(lines) > LINES_MAX else []
        kinds = sorted({matter.notice.kind.value for matter in matters})
        text = "\n".join([*lines[:LINES_MAX], *more, "", "See: broadcaster status"])
        return f"[broadcaster] {what}: {', '.join(kinds)}", text


def _headline(body: str) -> str:
    """The event of the alert's first language, for a subject line; empty if it is damaged."""
    try:
        return str(json.loads(body)["info"][0]["event"]).strip()
    except (ValueError, TypeError, LookupError, RecursionError):
        return ""


def _lines(matter: Matter) -> list[str]:
    notice = matter.notice
    remedy = REMEDIES[notice.kind]
    if matter.not_out:
        return [
            f"{channel} ({part}): still {state}{f': {reason}' if reason else ''}. {remedy}"
            for channel, part, state, reason in matter.not_out
        ]
    where = notice.channel or "broadcaster"
    return [f"{where}: {notice.kind.value}: {notice.text}. {remedy}"]
