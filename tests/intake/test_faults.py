"""Faults name the place, and a flood of them stays readable."""

from __future__ import annotations

from broadcaster.intake.faults import Fault, invalid, pointer


def test_a_place_is_a_json_pointer() -> None:
    """RFC 6901: a tilde and a slash in a name are escaped."""
    assert pointer("info", 0, "a/b~c") == "/info/0/a~1b~0c"
    assert pointer() == ""


def test_all_faults_are_counted_and_the_first_hundred_shown() -> None:
    """An answer is never larger than the request that caused it."""
    refused = invalid([Fault(f"/{number}", "is wrong", "x") for number in range(130)])
    assert len(refused.faults) == 100
    assert "130 faults" in refused.detail
    assert "30 more" in refused.detail


def test_one_fault_is_one() -> None:
    """Plain English, also in number."""
    assert "one fault;" in invalid([Fault("", "is wrong", "x")]).detail
