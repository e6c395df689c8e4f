"""Faults of meaning are named together with those of shape. The bad-input table has each one."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from broadcaster.alert import Submission, cap_time
from broadcaster.intake.faults import Invalid
from broadcaster.intake.meaning import submission
from tests.kit import NOW
from tests.web.door import alert, info


def read(body: dict[str, Any]) -> Submission:
    """Read an alert as at NOW."""
    return submission(json.dumps(body).encode(), NOW)


def refused(body: dict[str, Any]) -> dict[str, str]:
    """Return the faults of an alert, place -> code."""
    with pytest.raises(Invalid) as found:
        read(body)
    return {fault.pointer: fault.code for fault in found.value.faults}


def test_a_right_alert_is_read() -> None:
    """Nothing is changed that was not written carelessly."""
    said = read(alert())
    assert said.info[0].headline == "Großbrand in Dortmund-Hörde: Fenster und Türen schließen"
    assert said.info[0].severity == "Severe"


def test_all_faults_are_named_at_once() -> None:
    """Shape and meaning, each at its place: nobody mends an alert fault by fault at night."""
    block = info(severity="severe", expires="2020-01-01T00:00:00Z", area=[], urgent=True)
    found = refused(alert(info=[block], status="Draft", scope="Private", sender="a b", extra=1))
    assert found == {
        "/info/0/severity": "value",
        "/info/0/expires": "expires-past",
        "/info/0/area": "missing",
        "/info/0/urgent": "unknown-field",
        "/status": "not-public",
        "/scope": "not-public",
        "/sender": "form",
        "/extra": "unknown-field",
    }


@pytest.mark.parametrize("hours", [0.01, 1, 71.99])
def test_an_alert_may_be_in_force_for_three_days(hours: float) -> None:
    """Up to 72 hours ahead."""
    expires = cap_time(NOW + timedelta(hours=hours))
    assert read(alert(info=[info(expires=expires)])).expires is not None


def test_a_clock_may_be_four_minutes_ahead() -> None:
    """Clocks differ; a warning does not wait for them."""
    assert read(alert(sent=cap_time(NOW + timedelta(minutes=4)))).sent is not None


def test_an_alert_may_be_three_days_old_and_an_all_clear_older() -> None:
    """What was sent last year would read as if it were of today; what it ends is still out."""
    week_ago = cap_time(NOW - timedelta(days=7))
    assert read(alert(sent=cap_time(NOW - timedelta(hours=71.9)))).sent is not None
    assert refused(alert(sent=week_ago)) == {"/sent": "sent-past"}
    assert refused(alert(sent=week_ago, msgType="Update", references=["x"])) == {
        "/sent": "sent-past"
    }
    assert read(alert(sent=week_ago, msgType="Cancel", references=["x"])).sent is not None
    over = [info(responseType=["AllClear"])]
    assert read(alert(sent=week_ago, msgType="Update", references=["x"], info=over)).sent


def test_a_cancel_needs_no_content() -> None:
    """It takes it from what it ends."""
    assert read(alert(msgType="Cancel", references=["x"], info=[])).info == []


def test_an_update_may_be_an_all_clear() -> None:
    """If it asks for nothing else, in every language."""
    block = info(responseType=["AllClear"])
    said = read(alert(msgType="Update", references=["x"], info=[block]))
    assert said.is_all_clear


def test_info_blocks_of_the_wrong_type_do_not_hide_other_faults() -> None:
    """What cannot be looked into is skipped, not stumbled over."""
    found = refused(alert(info=[1, None, {"area": 5, "language": 7}], status="Draft"))
    assert found["/status"] == "not-public"
    assert found["/info/0"] == "type"
