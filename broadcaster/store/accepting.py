"""The accepting transaction: alert, deliveries, idempotency, notices and audit, or nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, func, or_, select, update

from broadcaster.alert import Alert, MsgType
from broadcaster.delivery import MAY_BE_OUT, Delivery, State, delivery_key
from broadcaster.record import Acceptance, Accepted, NoticeKind, Plan, Planned, Refused
from broadcaster.store import claiming, journal, outbox
from broadcaster.store.engine import Database, Row
from broadcaster.store.journal import Deed, NewNotice
from broadcaster.store.rows import from_accepted, from_delivery, from_us, to_us
from broadcaster.store.tables import (
    alert,
    among,
    card,
    channel,
    delivery,
    idempotency,
    incident,
)

NEVER_CARRIED = "never carried the warning"
KEPT = timedelta(days=30)

_KEY_USED = select(idempotency.c.alert).where(
    idempotency.c.scope == bindparam("scope"), idempotency.c.key == bindparam("key")
)
_FORGET = delete(idempotency).where(idempotency.c.kept_until < bindparam("before"))
_IDENTIFIER_USED = select(alert.c.id).where(
    alert.c.sender == bindparam("sender"), alert.c.identifier == bindparam("identifier")
)
_SAME_CONTENT = (
    select(alert.c.id)
    .where(alert.c.content_key == bindparam("content"), alert.c.accepted >= bindparam("since"))
    .order_by(alert.c.accepted)
)
_INCIDENT = select(incident).where(incident.c.id == bindparam("incident"))
_NEWEST = (
    update(incident)
    .where(incident.c.id == bindparam("incident_id"), incident.c.newest == bindparam("replaces"))
    .values(newest=bindparam("newest_id"))
)
_ENDED = (
    update(incident).where(incident.c.id == bindparam("incident_id")).values(ended=bindparam("at"))
)
_ALERTS_ENDED = (
    update(alert)
    .where(alert.c.incident == bindparam("of"), alert.c.ended.is_(None))
    .values(ended=bindparam("at"))
)
_SUPERSEDED_BY = (
    update(alert).where(alert.c.id == bindparam("old")).values(superseded_by=bindparam("new"))
)
_STILL_WAITING = select(delivery).where(
    delivery.c.incident == bindparam("of"),
    delivery.c.version < bindparam("version_now"),
    among(delivery.c.state, (State.QUEUED, State.WAITING)),
)
_CARRIED = (
    select(delivery.c.channel, func.min(delivery.c.type).label("type"))
    .where(
        delivery.c.incident == bindparam("of"),
        delivery.c.version < bindparam("version_now"),
        or_(
            among(delivery.c.state, (*MAY_BE_OUT, State.WAITING)),
            (delivery.c.doubtful == 1) & (delivery.c.absent == 0),
        ),
    )
    .group_by(delivery.c.channel)
)
_POSTS_TODAY = select(func.count().label("n")).where(
    delivery.c.channel == bindparam("name"),
    delivery.c.accepted >= bindparam("since"),
    ~among(delivery.c.state, (State.WITHHELD, State.SUPERSEDED, State.EXPIRED)),
)
_LAST_STAMPS = select(channel.c.name, channel.c.last_stamp)
_KEEP_STAMP = (
    update(channel).where(channel.c.name == bindparam("of")).values(last_stamp=bindparam("stamp"))
)


def accept(db: Database, plan: Plan, free: Mapping[str, int]) -> Acceptance:
    """Write everything one 202 promises. Raises Refused, and then nothing is stored.

    `free`: slots kept for this alert; what fits in them begins in this very transaction, with the
    intent written like any other.
    """
    accepted = plan.accepted
    now = accepted.accepted
    _refuse_repeats(db, plan)
    _take_place(db, plan)
    carried = _carried(db, accepted)  # before what still waits is superseded
    superseded = _supersede(db, accepted, now)
    planned = _settle_plan(db, plan, carried)
    deliveries = _deliveries(db, plan, planned)
    rows = [from_delivery(one, position) for position, one in enumerate(deliveries)]
    db.insert(alert, [from_accepted(accepted)])
    db.insert(delivery, rows)
    db.insert(card, _cards(plan))
    journal.born(db, rows, now)
    answer = plan.answer(accepted, deliveries)
    _keep_answer(db, plan, answer)
    tell = {one.id for one in planned if one.tell}
    journal.tell(db, now, _notices(plan, deliveries, tell))
    details = {
        "reference": accepted.reference,
        "msgType": accepted.alert.msg_type.value,
        "content_hash": accepted.content_hash,
    }
    journal.note(db, Deed(plan.actor, "accept", accepted.id, details), now)
    begun = claiming.begin(db, _first(accepted, deliveries, free), now)
    return Acceptance(accepted, deliveries, answer, superseded, begun)


def _first(
    accepted: Accepted, deliveries: Sequence[Delivery], free: Mapping[str, int]
) -> list[Delivery]:
    """The rows whose sending may begin at once: of a new incident, where slots are free.

    A later version must wait for what is open of the earlier ones; the claim sees to that.
    """
    if accepted.version > 1:
        return []
    left = Counter(free)
    first = []
    for one in deliveries:
        waits = one.message and (one.message.media or one.message.after)
        if one.state is State.QUEUED and not waits and left[one.channel] > 0:
            left[one.channel] -= 1
            first.append(one)
    return first


def _refuse_repeats(db: Database, plan: Plan) -> None:
    if plan.scope and db.row(_KEY_USED, scope=plan.scope, key=plan.idempotency_key):
        raise Refused("in-progress", "the same key was accepted a moment ago; repeat the request")
    said = plan.accepted.alert
    if used := db.row(_IDENTIFIER_USED, sender=said.sender, identifier=said.identifier):
        detail = f"the identifier {said.identifier} is used by alert {used['id']}"
        raise Refused("identifier-exists", detail, used["id"])
    if plan.duplicate_since is None:
        return
    content = plan.accepted.content_key
    same = [
        row["id"]
        for row in db.rows(_SAME_CONTENT, content=content, since=to_us(plan.duplicate_since))
    ]
    if same and plan.allow_duplicate_of not in same:
        detail = (
            f"alert {same[0]} says the same and was accepted less than 10 minutes ago; if this is "
            f"meant, repeat with Allow-Duplicate-Of: {same[0]} and a new Idempotency-Key"
        )
        raise Refused("possible-duplicate", detail, same[0])


def _take_place(db: Database, plan: Plan) -> None:
    """Make this alert the newest of its incident; of two at once one wins."""
    accepted = plan.accepted
    now = to_us(accepted.accepted)
    if plan.replaces is None:
        row = {"id": accepted.incident, "sender": accepted.alert.sender, "newest": accepted.id}
        db.insert(incident, [row | {"ended": now if accepted.alert.is_all_clear else None}])
        return
    _refuse_replacing(db, plan)
    db.change(_SUPERSEDED_BY, old=plan.replaces, new=accepted.id)
    if accepted.alert.is_all_clear:
        db.change(_ENDED, incident_id=accepted.incident, at=now)
        db.change(_ALERTS_ENDED, of=accepted.incident, at=now)


def _refuse_replacing(db: Database, plan: Plan) -> None:
    accepted = plan.accepted
    found = db.row(_INCIDENT, incident=accepted.incident)
    if found is None:
        raise Refused("unknown-reference", f"there is no incident {accepted.incident}")
    if found["sender"] != accepted.alert.sender:
        raise Refused("foreign-incident", "this incident belongs to another sender")
    if found["ended"] is not None:
        detail = f"the incident has its all-clear: alert {found['newest']}; send a new alert"
        raise Refused("ended", detail, found["newest"])
    changed = db.change(
        _NEWEST, incident_id=accepted.incident, replaces=plan.replaces, newest_id=accepted.id
    )
    if not changed:
        detail = f"alert {found['newest']} is the newest of this incident; refer to that one"
        raise Refused("not-newest", detail, found["newest"])


def _supersede(db: Database, accepted: Accepted, now: datetime) -> list[str]:
    if accepted.version == 1:
        return []
    rows = db.rows(_STILL_WAITING, of=accepted.incident, version_now=accepted.version)
    reason = f"version {accepted.version} was accepted before this was sent"
    for row in rows:
        outbox.end_row(db, row, State.SUPERSEDED, now, reason)
    return [row["id"] for row in rows]


def _carried(db: Database, accepted: Accepted) -> dict[str, str]:
    """Return the channels, with their types, where an earlier version is or may be out."""
    if accepted.version == 1:
        return {}
    found = db.rows(_CARRIED, of=accepted.incident, version_now=accepted.version)
    return {row["channel"]: row["type"] for row in found}


def _cards(plan: Plan) -> list[Row]:
    accepted = plan.accepted
    return [
        {
            "name": one.name,
            "alert": accepted.id,
            "spec": one.spec,
            "kind": one.kind,
            "accepted": to_us(accepted.accepted),
        }
        for one in plan.cards
    ]


def _settle_plan(db: Database, plan: Plan, carried: dict[str, str]) -> list[Planned]:
    """Decide what only this transaction can know: what is out, and how many posts there were."""
    planned = [_decide(db, plan, one, one.channel in carried) for one in plan.deliveries]
    return planned + _no_longer_configured(plan, carried)


def _deliveries(db: Database, plan: Plan, planned: Sequence[Planned]) -> list[Delivery]:
    accepted = plan.accepted
    stamps = {row["name"]: row["last_stamp"] or 0 for row in db.rows(_LAST_STAMPS)}
    until = plan.deliver_until or accepted.expires
    deliveries = [_delivery(plan, one, stamps, until) for one in planned]
    _keep_stamps(db, deliveries)
    return deliveries


def _decide(db: Database, plan: Plan, one: Planned, carried: bool) -> Planned:  # noqa: FBT001
    if one.state not in {State.QUEUED, State.WAITING}:
        return one
    if one.only_if_carried and not carried:
        return _withheld(one, one.otherwise or NEVER_CARRIED)
    if one.posts_per_day_max is not None and plan.day_start is not None and not carried:
        count = db.row(_POSTS_TODAY, name=one.channel, since=to_us(plan.day_start))
        if count and count["n"] >= one.posts_per_day_max:
            reason = f"the limit of {one.posts_per_day_max} posts a day on {one.channel} is reached"
            return replace(_withheld(one, reason), tell=True)
    return one


def _withheld(one: Planned, reason: str) -> Planned:
    return replace(one, state=State.WITHHELD, reason=reason)


def _no_longer_configured(plan: Plan, carried: dict[str, str]) -> list[Planned]:
    """Rows for channels that carried the warning and are gone: a person must correct them."""
    known = {one.channel for one in plan.deliveries}
    return [
        Planned(
            id=f"{plan.accepted.id}-{name}",
            channel=name,
            type=kind,
            part="-",
            state=State.FAILED,
            key=delivery_key(plan.accepted.id, name, "-"),
            reason="it carried the warning and is no longer configured: correct it by hand",
        )
        for name, kind in sorted(carried.items())
        if name not in known
    ]


def _delivery(plan: Plan, one: Planned, stamps: dict[str, int], until: datetime) -> Delivery:
    accepted, now = plan.accepted, plan.accepted.accepted
    queued = one.state is State.QUEUED
    wait = plan.card_wait if one.message and one.message.media else timedelta(0)
    stamp = _stamp(one.channel, now, stamps) if queued else to_us(now)
    return Delivery(
        id=one.id,
        alert=accepted.id,
        incident=accepted.incident,
        version=accepted.version,
        reference=accepted.reference,
        channel=one.channel,
        type=one.type,
        part=one.part,
        state=one.state,
        reason=one.reason,
        message=one.message,
        key=one.key,
        generation=0,
        stamp=from_us(stamp),
        rank=_rank(accepted.alert),
        expires=until,
        accepted=now,
        due=now + wait if queued else None,
    )


def _rank(said: Alert) -> int:
    """All-clear and correction first, then by severity."""
    if said.is_all_clear or said.msg_type is not MsgType.ALERT:
        return 0
    return 1 + said.severity.rank


def _stamp(name: str, now: datetime, stamps: dict[str, int]) -> int:
    """Return the acceptance time in microseconds, strictly increasing per channel."""
    stamps[name] = max(to_us(now), stamps.get(name, 0) + 1)
    return stamps[name]


def _keep_stamps(db: Database, deliveries: Sequence[Delivery]) -> None:
    """Keep the last stamp of every channel that was given one; a later part has a later stamp."""
    last = {one.channel: to_us(one.stamp) for one in deliveries if one.state is State.QUEUED}
    db.change_many(_KEEP_STAMP, ({"of": name, "stamp": at} for name, at in last.items()))


def forget(db: Database, now: datetime) -> int:
    """Drop answers that were kept their time; return how many."""
    return db.change(_FORGET, before=to_us(now))


def _keep_answer(db: Database, plan: Plan, answer: bytes) -> None:
    if plan.scope is None:
        return
    kept_until = max(plan.accepted.accepted + KEPT, plan.accepted.expires)
    row: Row = {
        "scope": plan.scope,
        "key": plan.idempotency_key,
        "fingerprint": plan.fingerprint,
        "alert": plan.accepted.id,
        "answer": answer.decode(),
        "kept_until": to_us(kept_until),
    }
    db.insert(idempotency, [row])


def _notices(plan: Plan, deliveries: Sequence[Delivery], tell: set[str]) -> list[NewNotice]:
    accepted = plan.accepted
    late = [
        NewNotice(NoticeKind.LATE, "", alert=accepted.id, wait=moment - accepted.accepted)
        for moment in plan.late
    ]
    return late + [
        NewNotice(
            _TOLD_AT_ONCE[one.state],
            journal.by_hand(one) if one.state is State.WAITING else one.reason or "",
            accepted.id,
            one.id,
            one.channel,
        )
        for one in deliveries
        if one.state in _TOLD_AT_ONCE and (one.state is not State.WITHHELD or one.id in tell)
    ]


_TOLD_AT_ONCE = {
    State.FAILED: NoticeKind.NO_CHANNEL,
    State.WITHHELD: NoticeKind.WITHHELD,
    State.WAITING: NoticeKind.WAITING,
}
