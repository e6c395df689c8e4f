"""The demo's alerts: each is one the product accepts, in excellent German, English and Turkish."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from broadcaster.alert import Severity, Submission
from broadcaster.terminal import story

NOW = datetime(2026, 11, 22, 1, 49, tzinfo=UTC)


@pytest.mark.parametrize(
    ("alert", "severity"),
    [
        (story.fire(NOW), Severity.SEVERE),
        (story.update(NOW, "a1"), Severity.SEVERE),
        (story.odour(NOW), Severity.MODERATE),
    ],
    ids=["fire", "update", "odour"],
)
def test_every_alert_of_the_story_is_valid(alert: story.Json, severity: Severity) -> None:
    """In all its languages, as severe as the story says, and in force for three hours."""
    read = Submission.model_validate_json(json.dumps(alert))
    assert [info.language for info in read.info] == ["de", "en", "tr"]
    assert {info.severity for info in read.info} == {severity}
    assert read.expires is not None
    assert (read.expires - NOW).total_seconds() == 3 * 3600


def test_the_update_names_the_alert_and_has_the_larger_area() -> None:
    """The wind turns: what was warned stays warned, and more."""
    fire, update = story.fire(NOW), story.update(NOW, "a1")
    assert update["references"] == ["a1"]
    places = [{area["areaDesc"] for area in one["info"][0]["area"]} for one in (fire, update)]
    assert places[0] < places[1]
