"""References: to the newest, of this sender, of one incident, of the same status."""

from __future__ import annotations

from typing import Any

import pytest

from broadcaster.alert import MsgType, Submission
from broadcaster.intake.faults import Invalid
from broadcaster.intake.references import following, is_over, resolve
from broadcaster.record import Refused
from tests.web.door import SENDER, Door, alert, info


def said(kind: str, references: Any, **changes: Any) -> Submission:
    """Return a message that refers to something."""
    body = alert(msgType=kind, references=references, **changes)
    return Submission.model_validate(body, by_alias=True, by_name=False)


async def test_an_id_a_reference_and_a_triple_lead_to_the_same_alert(door: Door) -> None:
    """However a caller names it, CAP's triple is what is kept."""
    first = await door.accept()
    triple = f"{SENDER},{first['identifier']},{first['sent']}"
    for references in ([first["id"]], [first["reference"]], [first["identifier"]], triple):
        version, found = await resolve(door.store, said("Update", references))
        assert (version.incident, version.number) == (first["incident"], 2)
        assert found.references == triple


async def test_a_new_alert_has_no_number_yet(door: Door) -> None:
    """It gets one when it is accepted."""
    body = Submission.model_validate(alert(), by_alias=True, by_name=False)
    version, found = await resolve(door.store, body)
    assert (version.incident, version.number, version.replaces) == ("", 1, None)
    assert found is body


async def test_an_older_version_is_answered_with_the_newest(door: Door) -> None:
    """The caller learns what the newest is, and can look at it."""
    first = await door.accept()
    second = await door.accept(msgType="Update", references=[first["id"]])
    with pytest.raises(Refused) as refused:
        await resolve(door.store, said("Update", [first["id"]]))
    assert (refused.value.code, refused.value.alert) == ("not-newest", second["id"])
    version, _ = await resolve(door.store, said("Update", [first["id"], second["id"]]))
    assert version.number == 3


async def test_all_unknown_references_are_named(door: Door) -> None:
    """Each with its place in the list."""
    first = await door.accept()
    with pytest.raises(Invalid) as refused:
        await resolve(door.store, said("Update", [first["id"], "no", "nor"]))
    assert [fault.pointer for fault in refused.value.faults] == ["/references/1", "/references/2"]


async def test_a_triple_with_another_sender_is_unknown(door: Door) -> None:
    """Identifiers belong to their sender."""
    first = await door.accept()
    with pytest.raises(Invalid) as refused:
        await resolve(door.store, said("Update", f"b@b,{first['identifier']},x"))
    assert refused.value.code == "unknown-reference"


async def test_a_cancel_takes_its_content_from_what_it_ends(door: Door) -> None:
    """Event, area and language; not the instruction."""
    first = await door.accept()
    _, found = await resolve(door.store, said("Cancel", [first["id"]], info=[]))
    assert found.info[0].event == "Großbrand"
    assert found.info[0].place == "Dortmund-Hörde"
    assert found.info[0].instruction is None
    block = info(area=None, description="Feuer aus.")
    _, found = await resolve(door.store, said("Cancel", [first["id"]], info=[block]))
    assert found.info[0].place == "Dortmund-Hörde"
    assert found.info[0].description == "Feuer aus."


async def test_a_test_never_follows_an_actual_warning(door: Door) -> None:
    """Else a Test would reach every channel where the warning is out."""
    first = await door.accept()
    for kind in ("Update", "Cancel"):
        with pytest.raises(Invalid) as refused:
            await resolve(door.store, said(kind, [first["id"]], status="Test"))
        assert refused.value.faults[0].code == "status-differs"


async def test_an_ended_incident_takes_no_update(door: Door) -> None:
    """After the all-clear, a new fire is a new alert."""
    first = await door.accept()
    await door.accept(msgType="Cancel", references=[first["id"]], info=[])
    with pytest.raises(Refused) as refused:
        await resolve(door.store, said("Update", [first["id"]]))
    assert refused.value.code == "ended"
    version, _ = await resolve(door.store, said("Cancel", [first["id"]]))
    assert version.replaces is not None
    assert is_over(version.replaces)
    assert version.replaces.alert.msg_type is MsgType.CANCEL


async def test_what_follows_knows_the_channels_of_all_versions(door: Door) -> None:
    """An all-clear must reach each of them."""
    first = await door.accept()
    newest = await door.store.newest(first["incident"])
    assert newest is not None
    version = await following(door.store, newest)
    assert version.carried == {"city", "crisis", "fire-brigade"}
