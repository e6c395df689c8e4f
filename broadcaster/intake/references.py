"""What an alert refers to: the incident it continues, and the newest version it replaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from broadcaster import answer
from broadcaster.alert import MsgType, Submission
from broadcaster.intake.clearing import all_clear, completed
from broadcaster.intake.faults import Fault, Invalid, invalid, pointer
from broadcaster.intake.plan import Version
from broadcaster.record import Accepted, Refused
from broadcaster.store import Store

_TRIPLE_PARTS = 3


async def resolve(store: Store, said: Submission) -> tuple[Version, Submission]:
    """Find an alert's place, and complete what it takes over from the version it replaces.

    A new alert's place has no number yet. Raises Invalid (`unknown-reference`, faults of form) or
    Refused (`foreign-incident`, `not-newest`, `ended`).
    """
    if said.references is None:
        return Version(""), said
    named = await _named(store, said)
    newest = await store.newest(named[0].incident) or named[0]
    _check_status(said, newest)
    if is_over(newest) and said.msg_type is not MsgType.CANCEL:
        detail = f"The incident has its all-clear, alert {newest.id}; send a new alert."
        raise Refused("ended", detail, newest.id)
    if not is_over(newest) and newest.id not in {one.id for one in named}:
        detail = f"Alert {newest.id} ({newest.reference}) is the newest; refer to that one."
        raise Refused("not-newest", detail, newest.id)
    version = await following(store, newest)
    return version, _completed(said, named, version)


async def following(store: Store, newest: Accepted) -> Version:
    """Return the place after the newest version of an incident."""
    carried = frozenset(await store.carried(newest.incident))
    before = tuple(await _versions(store, newest))
    return Version(newest.incident, newest.version + 1, newest, carried, before)


async def _versions(store: Store, newest: Accepted) -> list[Accepted]:
    """Return all versions of an incident up to this one, the newest first."""
    found: list[Accepted] = []
    while page := await store.alerts(
        incident=newest.incident, before=found[-1].id if found else None
    ):
        found += page
    older = [one for one in found if one.version < newest.version]
    return [newest, *sorted(older, key=lambda one: -one.version)]


def is_over(newest: Accepted) -> bool:
    """Say whether the newest version of an incident ended it."""
    return newest.ended_at is not None


async def _named(store: Store, said: Submission) -> list[Accepted]:
    """Return the alerts that are named: all known, of one incident, of this sender."""
    found, unknown = await _look_up(store, said.references)
    if unknown:
        raise Invalid("unknown-reference", "It refers to an alert that is not known.", unknown)
    if any(one.alert.sender != said.sender for one in found):
        raise Refused("foreign-incident", "This incident belongs to another sender.")
    if len({one.incident for one in found}) > 1:
        raise invalid([Fault("/references", "names more than one incident", "references-differ")])
    return found


async def faults_of(store: Store, value: Mapping[str, Any]) -> list[Fault]:
    """Name what is wrong with the references of a message that has other faults.

    `value` is the message as it came; what is no list of texts and no text is for others to name.
    """
    given = value.get("references")
    names = given if isinstance(given, list) else [given]
    if not all(isinstance(name, str) for name in names):
        return []
    try:
        _, unknown = await _look_up(store, given)
    except Invalid as refused:
        return list(refused.faults)
    return unknown


async def _look_up(
    store: Store, references: str | list[str] | None
) -> tuple[list[Accepted], list[Fault]]:
    """Return the alerts that are known, and a fault for each that is not."""
    found, unknown = [], []
    for place, name, sender in _names(references):
        one = await store.find_alert(name, sender) if name.isprintable() else None
        if one is None:
            unknown.append(Fault(place, "there is no such alert here", "unknown-reference"))
        else:
            found.append(one)
    return found, unknown


def _check_status(said: Submission, newest: Accepted) -> None:
    """A Test or Exercise may not follow on where an Actual warning went out, nor the reverse."""
    if said.status is not newest.alert.status:
        detail = f"the incident has the status {newest.alert.status}, and keeps it"
        raise invalid([Fault("/status", detail, "status-differs")])


def _names(references: str | list[str] | None) -> Iterator[tuple[str, str, str | None]]:
    """Give place, id or identifier, and sender of everything that is named."""
    if isinstance(references, list):
        for index, name in enumerate(references):
            yield pointer("references", index), name, None
        return
    triples = [triple.split(",") for triple in (references or "").split()]
    if not triples or any(len(triple) != _TRIPLE_PARTS for triple in triples):
        detail = "must be sender,identifier,sent (several separated by spaces), or a list of ids"
        raise invalid([Fault("/references", detail, "form")])
    for sender, identifier, _ in triples:
        yield "/references", identifier, sender


def _completed(said: Submission, named: list[Accepted], version: Version) -> Submission:
    """Give CAP's references; an all-clear speaks every language in which the warning is out."""
    fields: dict[str, object] = {"references": answer.references_text([one.alert for one in named])}
    before = [one.alert for one in version.before]
    if said.is_all_clear:
        own = said.info
        fields["info"] = completed(own, before) if own else all_clear(before, None, None)
    return said.model_copy(update=fields)
