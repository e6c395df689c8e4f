"""Accepting alerts: once per idempotency key, in one transaction, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from broadcaster import answer
from broadcaster.alert import MsgType, Submission
from broadcaster.auth import Caller
from broadcaster.clock import Clock
from broadcaster.delivery import State
from broadcaster.intake import meaning, references
from broadcaster.intake.clearing import all_clear
from broadcaster.intake.faults import SHOWN_MAX, Fault, Invalid, Unfit, invalid
from broadcaster.intake.json import read
from broadcaster.intake.permits import permit, permit_sender
from broadcaster.intake.plan import Draft, Planner, Version, as_delivery
from broadcaster.record import Acceptance, Accepted, Card, Plan, Refused
from broadcaster.store import Store

_CANCEL_TRIES = 5
_NOTES_MAX = 1000
_LOST_RACE = frozenset({"ended", "not-newest", "identifier-exists"})
_PREVIEW_NUMBER = "0000"


@dataclass(frozen=True, slots=True)
class Request:
    """One POST of an alert, as the door sees it.

    `fingerprint` is the hash of body, content type and path. `strict`: refuse rather than leave out
    a channel that cannot carry the text (`Prefer: handling=strict`).
    """

    idempotency_key: str
    fingerprint: str
    allow_duplicate_of: str | None = None
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A 202: the alert's id and the body. `replayed`: this alert was accepted before."""

    alert: str
    body: bytes
    replayed: bool = False


def fingerprint(*parts: bytes) -> str:
    """Return the hash that tells a repeat from another request: body, content type, path."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


@dataclass(slots=True)
class Intake:
    """Takes alerts in. `commit` has a plan accepted; it raises what the store's `accept` raises."""

    store: Store
    planner: Planner
    clock: Clock
    commit: Callable[[Plan], Awaitable[Acceptance]]
    _under_way: set[tuple[str, str]] = field(default_factory=set)
    _repeats: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    async def submit(self, body: bytes, caller: Caller, request: Request) -> Answer:
        """Accept the alert in a request's body, or give the answer it had before.

        Raises Malformed, Invalid, Forbidden, Refused, StorageFull, StoreUnavailable or StoreBroken;
        then nothing was stored under this key. A Cancel that finds its incident ended stores
        nothing either: which request had its key is known until the process ends, no longer.
        """
        with self._alone(caller.scope, request.idempotency_key):
            before = await self._before(caller, request)
            if before:
                return before
            said = await self._read(body)
            given = await self.accept(said, caller, request)
            if given.replayed:
                self._keep_in_mind(caller, request, given)
            return given

    async def accept(self, said: Submission, caller: Caller, request: Request) -> Answer:
        """Accept an alert that was read and checked. Raises as `submit` does."""
        version, said = await self._place(said, caller)
        if version.replaces and references.is_over(version.replaces):
            return await self._existing(version.replaces)
        if version.replaces is None:
            number = await self.store.next_incident(self.planner.year(self.clock.now()))
            version = replace(version, incident=number)
        draft = self.planner.draft(said, version, caller, self.clock.now())
        _refuse_unfit(draft, strict=request.strict)
        plan = replace(
            self.planner.plan(draft, version),
            scope=caller.scope,
            idempotency_key=request.idempotency_key,
            fingerprint=request.fingerprint,
            allow_duplicate_of=request.allow_duplicate_of,
        )
        try:
            return _answer(await self.commit(plan))
        except Refused as refused:
            if said.msg_type is not MsgType.CANCEL or refused.code not in _LOST_RACE:
                raise
            newest = await self.store.newest(version.incident)
            if newest is None or not references.is_over(newest):
                raise
        return await self._existing(newest)  # another Cancel came first

    async def preview(self, body: bytes, caller: Caller) -> dict[str, Any]:
        """Return what `submit` would accept, with every text; nothing is stored.

        Raises Malformed, Invalid, Forbidden or Refused, as `submit` would.
        """
        draft = await self._preview(body, caller)
        rows = [(as_delivery(one, draft.accepted), ()) for one in draft.deliveries]
        return answer.alert_json(draft.accepted, rows, draft.accepted.accepted)

    async def preview_card(
        self, body: bytes, caller: Caller, channel: str | None, part: str | None
    ) -> Card | None:
        """Return the card that goes with a text, None if there is none there. Raises as `preview`.

        `channel` and `part` None: the first that has one.
        """
        draft = await self._preview(body, caller)
        for one in draft.deliveries:
            wanted = channel in {None, one.channel} and part in {None, one.part}
            if wanted and one.message and one.message.media:
                return draft.cards[one.message.media[0].card]
        return None

    async def _preview(self, body: bytes, caller: Caller) -> Draft:
        now = self.clock.now()
        version, said = await self._place(await self._read(body), caller)
        if version.replaces is None:
            number = f"{self.planner.year(now)}-{_PREVIEW_NUMBER}"
            version = replace(version, incident=number)
        return self.planner.draft(said, version, caller, now)

    async def cancel(
        self, alert: str, caller: Caller, *, text: str | None = None, language: str | None = None
    ) -> Answer:
        """Give the all-clear for the incident of `alert`; an ended one gives the existing Cancel.

        Raises Refused (`unknown-alert`), Forbidden, and what the store raises.
        """
        found = await self.store.find_alert(alert) if alert.isprintable() else None
        if found is None:
            raise Refused("unknown-alert", f"There is no alert {alert}.")
        permit_sender(found.alert, caller)
        for _ in range(_CANCEL_TRIES):
            newest = await self.store.newest(found.incident) or found
            if references.is_over(newest):
                return await self._existing(newest)
            try:
                return await self._end(newest, caller, text, language)
            except Refused as refused:  # a newer version came between: end that one
                if refused.code not in ("not-newest", "ended"):
                    raise
        raise Refused("not-newest", "Newer versions keep coming; look at the incident first.")

    async def _end(
        self, newest: Accepted, caller: Caller, text: str | None, language: str | None
    ) -> Answer:
        version = await references.following(self.store, newest)
        ended = newest.alert
        said = Submission(
            sender=ended.sender,
            status=ended.status,
            msg_type=MsgType.CANCEL,
            references=answer.references_text([ended]),
            info=all_clear([one.alert for one in version.before], text, language),
        )
        draft = self.planner.draft(said, version, caller, self.clock.now())
        return _answer(await self.commit(self.planner.plan(draft, version)))

    async def faults(self, body: bytes, caller: Caller) -> list[Fault]:
        """Return what is wrong with a body, for a request that is refused for something else."""
        try:
            permit_sender(await self._read(body), caller)
        except Unfit as unfit:
            return list(unfit.faults) or [Fault("", unfit.detail, unfit.code)]
        return []

    async def _read(self, body: bytes) -> Submission:
        """Read an alert. Raises Malformed, or Invalid with every fault, unknown references too."""
        try:
            return meaning.submission(body, self.clock.now())
        except Invalid as refused:
            faults = list(refused.faults)
            value = read(body)
            known = len(faults) >= SHOWN_MAX or any(
                fault.pointer.startswith("/references") for fault in faults
            )
            if not known and isinstance(value, dict) and value.get("references"):
                faults += await references.faults_of(self.store, value)
            raise invalid(faults) if len(faults) > len(refused.faults) else refused from None

    async def _place(self, said: Submission, caller: Caller) -> tuple[Version, Submission]:
        """Find an alert's incident, and hold it against the limits of its key."""
        permit_sender(said, caller)
        version, said = await references.resolve(self.store, said)
        targets = self.planner.targets(said, version.carried) if caller.channels else ()
        permit(said, caller, targets)
        return version, said

    @contextmanager
    def _alone(self, scope: str, key: str) -> Iterator[None]:
        """Hold a key while its request is under way. Raises Refused (`in-progress`)."""
        if (scope, key) in self._under_way:
            raise Refused("in-progress", "A request with this Idempotency-Key is under way.")
        self._under_way.add((scope, key))
        try:
            yield
        finally:
            self._under_way.discard((scope, key))

    async def _before(self, caller: Caller, request: Request) -> Answer | None:
        replay = await self.store.replay(caller.scope, request.idempotency_key)
        noted = self._repeats.get((caller.scope, request.idempotency_key))
        used, alert = (replay.fingerprint, replay.alert) if replay else noted or (None, "")
        if used not in (None, request.fingerprint):
            detail = f"This Idempotency-Key was used for another request, alert {alert}."
            raise Invalid("idempotency-key-reused", detail)
        return Answer(replay.alert, replay.answer, replayed=True) if replay else None

    def _keep_in_mind(self, caller: Caller, request: Request, given: Answer) -> None:
        """Remember the key of a repeated Cancel; of too many the oldest is forgotten."""
        self._repeats[caller.scope, request.idempotency_key] = (request.fingerprint, given.alert)
        while len(self._repeats) > _NOTES_MAX:
            del self._repeats[next(iter(self._repeats))]

    async def _existing(self, newest: Accepted) -> Answer:
        view = await self.store.view(newest.id)
        if view is None:
            raise Refused("unknown-alert", f"There is no alert {newest.id}.")
        body = answer.dumps(answer.view_json(view, self.clock.now()))
        return Answer(newest.id, body, replayed=True)


def _answer(acceptance: Acceptance) -> Answer:
    return Answer(acceptance.accepted.id, acceptance.answer)


def _refuse_unfit(draft: Draft, *, strict: bool) -> None:
    """Raise Invalid where no channel could carry the text, or, if strict, where any could not.

    What a rule withholds is no fault: the answer says so, and other channels may be out of the same
    rule's reach.
    """
    faults = [Fault("", one, "channel-unfit") for one in draft.unfit]
    none_out = all(one.state is State.WITHHELD for one in draft.deliveries)
    if none_out and (faults or not draft.deliveries):
        raise Invalid("no-channel", "No channel could carry this alert.", faults)
    if strict and faults:
        raise Invalid("channel-unfit", "A channel could not carry this alert.", faults)
