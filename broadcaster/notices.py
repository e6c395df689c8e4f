"""Telling people: one message per alert with what is wrong and what to do, until a target took it.

A notice is a row, written in the transaction that caused it; this room only carries it. The targets
are tried in order: the next one when nobody was told within 60 s, and each later one after its own
`after` while the matter is still open.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from broadcaster.clock import Clock
from broadcaster.config import Timing
from broadcaster.delivery import Failure, State, backoff
from broadcaster.record import Notice, NoticeKind
from broadcaster.store import Matter, Store, StoreUnavailable

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.5
LINES_MAX = 20

# A matter of these kinds is open while its delivery is in this state, and is escalated meanwhile.
_LASTS_WHILE = {
    NoticeKind.FAILED: State.FAILED,
    NoticeKind.NEEDS_PERSON: State.FAILED,
    NoticeKind.NO_CHANNEL: State.FAILED,
    NoticeKind.QUARANTINE: State.FAILED,
    NoticeKind.UNKNOWN: State.UNKNOWN,
}
# These are closed by who finds that all is well again; until then they do not ring anew.
_CLOSED_ELSEWHERE = frozenset({NoticeKind.CHANNEL, NoticeKind.CLOCK, NoticeKind.STORAGE})
_LASTS = frozenset({*_LASTS_WHILE, *_CLOSED_ELSEWHERE})

REMEDIES: Mapping[NoticeKind, str] = {
    NoticeKind.LATE: "Watch it; if it stays so, post by hand on this channel.",
    NoticeKind.FAILED: "Correct the cause and retry the delivery, or post by hand.",
    NoticeKind.NEEDS_PERSON: "Mend the account or token, then retry the delivery.",
    NoticeKind.UNKNOWN: "Look at the account: confirm it with its link, or retry it if absent.",
    NoticeKind.EXPIRED: "Nothing was posted here; send a new alert if the danger goes on.",
    NoticeKind.WITHHELD: "Shorten the text and send an update, or post by hand.",
    NoticeKind.GONE: "Look at the account; post by hand if the warning is gone.",
    NoticeKind.NO_CHANNEL: "Correct the old post by hand.",
    NoticeKind.CHANNEL: "See: broadcaster check.",
    NoticeKind.CLOCK: "Check the machine's time service.",
    NoticeKind.STORAGE: "Make room on the disk.",
    NoticeKind.QUARANTINE: "Post by hand; keep the database for inspection.",
}


class Teller(Protocol):
    """Something that can reach a person."""

    async def tell(self, subject: str, text: str) -> None:
        """Deliver a message. Raises a Failure when that is not certain."""
        ...


@dataclass(slots=True)
class Target:
    """One on-call target with its place in the order."""

    name: str
    after: timedelta
    teller: Teller
    busy: bool = False
    failures: int = 0
    not_before: datetime | None = None


@dataclass(slots=True)
class Notices:
    """Carries notices from the store to the on-call targets."""

    store: Store
    targets: Sequence[Target]
    timing: Timing
    clock: Clock
    _calls: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Carry notices until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
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
        matters = await self.store.due_notices()
        over = [matter.notice.id for matter in matters if self._over(matter)]
        if over:
            await self.store.close_notices(over)
        left = [matter for matter in matters if matter.notice.id not in set(over)]
        for place, target in enumerate(self.targets):
            wanted = [matter for matter in left if self._wants(matter.notice, place, target)]
            if wanted and self._can_be_called(target):
                self._call(target, wanted)

    async def finish(self) -> None:
        """Wait for calls under way."""
        if self._calls:
            await asyncio.wait(self._calls, timeout=self.timing.drain_seconds)

    def not_told(self, matters: Iterable[Matter]) -> list[Notice]:
        """Return notices that nobody took within the time for the first target."""
        limit = self.clock.now() - timedelta(seconds=self.timing.next_target_seconds)
        return [m.notice for m in matters if not m.notice.told and m.notice.due <= limit]

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

    def _wants(self, notice: Notice, place: int, target: Target) -> bool:
        if target.name in notice.told:
            return False
        age = self.clock.now() - notice.due
        if place == 0 or (notice.told and notice.kind in _LASTS and age >= target.after):
            return True
        return not notice.told and age >= place * timedelta(seconds=self.timing.next_target_seconds)

    def _can_be_called(self, target: Target) -> bool:
        return not target.busy and not (target.not_before and self.clock.now() < target.not_before)

    def _call(self, target: Target, matters: Sequence[Matter]) -> None:
        first = matters[0].notice.alert
        same = [matter for matter in matters if matter.notice.alert == first]
        target.busy = True
        task = asyncio.create_task(self._tell(target, first, same))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _tell(self, target: Target, alert: str | None, matters: Sequence[Matter]) -> None:
        try:
            subject, text = await self._words(alert, matters)
            await target.teller.tell(subject, text)
            await self.store.mark_told([matter.notice.id for matter in matters], target.name)
            target.failures, target.not_before = 0, None
        except (Failure, StoreUnavailable) as error:
            target.failures += 1
            target.not_before = self.clock.now() + backoff(
                target.failures, self.timing.waits_seconds
            )
            log.warning("on_call_not_reached", target=target.name, reason=str(error))
        finally:
            target.busy = False

    async def _words(self, alert: str | None, matters: Sequence[Matter]) -> tuple[str, str]:
        name = await self.store.alert_name(alert) if alert else None
        what = f"{name[0]} {_headline(name[1])}" if name else "the broadcaster itself"
        lines = [line for matter in matters for line in _lines(matter)]
        more = [f"... and {len(lines) - LINES_MAX} more"] if len(lines) > LINES_MAX else []
        kinds = sorted({matter.notice.kind.value for matter in matters})
        text = "\n".join([*lines[:LINES_MAX], *more, "", "See: broadcaster status"])
        return f"[broadcaster] {what}: {', '.join(kinds)}", text


def _headline(body: str) -> str:
    """The event of the alert's first language, for a subject line."""
    info = json.loads(body).get("info") or [{}]
    return str(info[0].get("event", "")).strip()


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
