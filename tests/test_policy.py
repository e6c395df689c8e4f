"""Which channel carries which alert, and the words that say why not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from broadcaster.alert import Category, Certainty, Severity, Status, Submission, Urgency
from broadcaster.channels import Channel
from broadcaster.config import Carries, ChannelConfig
from broadcaster.policy import barred_by_status, withheld

CRISIS = Carries(
    severity=(Severity.EXTREME, Severity.SEVERE),
    urgency=(Urgency.IMMEDIATE, Urgency.EXPECTED),
    certainty=(Certainty.OBSERVED, Certainty.LIKELY),
)


def channel(carries: Carries) -> Channel:
    """Make a channel named x that carries this."""
    return cast(
        "Channel", SimpleNamespace(config=ChannelConfig(name="x", type="x"), carries=carries)
    )


def alert(change: dict[str, Any] | None = None, **fields: Any) -> Submission:
    """Make a severe alert; `change` goes into its one block."""
    block = {
        "language": "de",
        "category": ["Fire"],
        "event": "Großbrand",
        "urgency": "Immediate",
        "severity": "Severe",
        "certainty": "Observed",
        "area": [{"areaDesc": "Dortmund-Hörde"}],
    } | (change or {})
    message = {"sender": "a@b.example", "status": "Actual", "msgType": "Alert", "info": [block]}
    return Submission.model_validate(message | fields)


def test_a_channel_without_rules_carries_every_actual_alert() -> None:
    """What is not named in `carries` means any value."""
    assert withheld(alert({"severity": "Minor", "urgency": "Past"}), channel(Carries())) is None


def test_the_crisis_rule_carries_a_crisis() -> None:
    """Extreme or Severe, Immediate or Expected, Observed or Likely."""
    assert withheld(alert(), channel(CRISIS)) is None


def test_a_lower_severity_is_withheld_in_words() -> None:
    """The reason names the channel, what it carries and what the alert is."""
    reason = withheld(alert({"severity": "Moderate"}), channel(CRISIS))
    assert reason == "x carries Extreme and Severe only; this alert is Moderate"


def test_everything_in_the_way_is_named() -> None:
    """One reason would be mended and the next one found."""
    reason = withheld(alert({"urgency": "Future", "certainty": "Possible"}), channel(CRISIS))
    assert reason == (
        "x carries urgency Immediate and Expected only; this alert is Future; "
        "and certainty Observed and Likely only; this alert is Possible"
    )


def test_one_category_that_is_carried_is_enough() -> None:
    """An alert of two categories goes where either of them goes."""
    rule = Carries(category=(Category.FIRE, Category.MET))
    assert withheld(alert({"category": ["Infra", "Met"]}), channel(rule)) is None
    reason = withheld(alert({"category": ["Infra", "Health"]}), channel(rule))
    assert reason == "x carries category Fire and Met only; this alert is Infra and Health"


@pytest.mark.parametrize("status", ["Exercise", "Test", "System"])
def test_exercises_go_only_where_they_are_named(status: str) -> None:
    """A channel carries Actual only unless its rule names the status."""
    reason = withheld(alert(status=status), channel(Carries()))
    assert reason == f"x carries Actual alerts only; this alert is {status}"
    named = Carries(status=(Status.ACTUAL, Status(status)))
    assert withheld(alert(status=status), channel(named)) is None


@pytest.mark.parametrize(
    "message",
    [
        alert(msgType="Cancel", info=[]),
        alert({"severity": "Minor"}, msgType="Cancel"),
        alert({"severity": "Minor", "responseType": ["AllClear"]}, msgType="Update"),
    ],
)
def test_an_all_clear_is_recognised_before_any_severity_rule(message: Submission) -> None:
    """An all-clear must reach those whom the warning reached, whatever its severity is."""
    assert withheld(message, channel(CRISIS)) is None


def test_an_all_clear_of_an_exercise_keeps_to_the_status_rule() -> None:
    """A channel that never had the exercise has no use for its end."""
    message = alert(msgType="Cancel", status="Exercise", info=[])
    reason = withheld(message, channel(CRISIS))
    assert reason == "x carries Actual alerts only; this alert is Exercise"


@pytest.mark.parametrize("scope", ["Restricted", "Private"])
def test_only_public_alerts_reach_a_channel(scope: str) -> None:
    """Whatever the door let through, nothing that is not Public is published."""
    reason = withheld(alert(scope=scope), channel(Carries()))
    assert reason == f"x carries Public alerts only; this alert is {scope}"


def test_a_rule_that_names_nothing_carries_nothing() -> None:
    """An empty list is no value, not any value."""
    reason = withheld(alert(), channel(Carries(severity=())))
    assert reason == "x carries nothing only; this alert is Severe"


def test_a_status_bars_a_channel_whatever_the_other_rules_say() -> None:
    """Severity may be overruled where a warning is out; the status of a drill never."""
    minor = alert({"severity": "Minor"})
    assert withheld(minor, channel(CRISIS))
    assert barred_by_status(minor, channel(CRISIS)) is None
    assert barred_by_status(alert(status="Test"), channel(CRISIS))
