"""LinkedIn: what its errors say, and how long it wants to be left alone."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from broadcaster.channels.http import Answer
from broadcaster.channels.linkedin.api import (
    Problem,
    encoded,
    failure_for,
    is_switched_off,
)
from broadcaster.delivery import NotSent
from tests.channels.stub import NOW

DAY = "Resource level throttle APPLICATION DAY limit for calls to this resource is reached."
TO_MIDNIGHT = timedelta(hours=22, minutes=13)


def answer(status: int, body: Any, **headers: str) -> Answer:
    """Give an answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("message", "headers", "wait"),
    [
        (DAY, {}, TO_MIDNIGHT),
        (DAY, {"Retry_After": "60"}, timedelta(seconds=60)),
        (DAY, {"Retry_After": "soon"}, None),
        ("limit", {}, None),
        ("limit", {"Retry_After": "7"}, timedelta(seconds=7)),
        ("Too many calls on this DAYLIGHT day", {}, None),
    ],
)
def test_a_used_up_day_ends_at_midnight(
    message: str, headers: dict[str, str], wait: timedelta | None
) -> None:
    """LinkedIn counts by days of UTC; but only where it says so: a burst is over much sooner."""
    said = {"code": "TOO_MANY_REQUESTS", "status": 429, "message": message}
    failure = failure_for(answer(429, said, **headers), NOW)
    assert isinstance(failure, NotSent)
    assert failure.rate_limited
    assert failure.retry_after == wait


@pytest.mark.parametrize(
    ("body", "duplicate", "named"),
    [
        ({"message": "Content is a duplicate of urn:li:share:684"}, True, "urn:li:share:684"),
        ({"message": "Content is a duplicate of urn:li:ugcPost:6"}, True, "urn:li:ugcPost:6"),
        ({"message": "Content is a duplicate of something"}, True, None),
        ({"code": "DUPLICATE_POST", "message": "x"}, True, None),
        ({"message": "no deduplicate of it"}, False, None),
        ({"message": {"text": "Content is no text"}}, False, None),
        (["duplicate of urn:li:share:684"], False, None),
    ],
)
def test_a_duplicate_may_name_its_post(body: Any, duplicate: bool, named: str | None) -> None:  # noqa: FBT001
    """It is evidence only if LinkedIn says that it is one."""
    problem = Problem.of(answer(422, body))
    assert (problem.duplicate, problem.named) == (duplicate, named)


@pytest.mark.parametrize(
    ("status", "body", "off"),
    [
        (426, {}, True),
        (400, {"code": "VERSION_MISSING"}, True),
        (404, {"message": "NONEXISTENT_VERSION: 202401"}, True),
        (400, {"code": "INVALID_VERSION"}, False),
        (500, {"code": "NONEXISTENT_VERSION"}, False),
        (200, {"code": "NONEXISTENT_VERSION"}, False),
    ],
)
def test_a_version_that_is_not_served_is_recognised(status: int, body: Any, off: bool) -> None:  # noqa: FBT001
    """By its status, or by what LinkedIn calls it."""
    assert is_switched_off(answer(status, body)) is off


@pytest.mark.parametrize("code", ["FIELD_LENGTH_TOO_LONG", "sandbox-secret", "x" * 500, 7, None])
def test_a_reason_shows_codes_and_nothing_else(code: Any) -> None:
    """What an answer says may hold anything, a secret too."""
    said = {"code": code, "message": "sandbox-secret"}
    reason = failure_for(answer(400, said), NOW).reason
    assert "sandbox-secret" not in reason
    assert ("FIELD_LENGTH_TOO_LONG" in reason) == (code == "FIELD_LENGTH_TOO_LONG")
    assert len(reason) < 100


def test_a_urn_in_an_address_is_encoded_whole() -> None:
    """Rest.li gives : ( ) , ' ! * a meaning of its own."""
    urn = "urn:li:comment:(urn:li:activity:1,2)'!*"
    coded = "urn%3Ali%3Acomment%3A%28urn%3Ali%3Aactivity%3A1%2C2%29%27%21%2A"
    assert encoded(urn) == coded
