"""Answers in JSON, and rate limits that are shown and not enforced."""

from __future__ import annotations

import json

import pytest

from broadcaster.sandbox.answers import Window, answer, as_object, problem
from tests.kit import ManualClock


def test_an_answer_is_json_that_people_can_read() -> None:
    """Umlauts stand in it as they are."""
    given = answer({"a": "ä"}, 201, {"X-Limit": "1"})
    assert given.body == '{"a": "ä"}'.encode()
    assert (given.status, given.content_type, given.headers["X-Limit"]) == (
        201,
        "application/json",
        "1",
    )


def test_a_problem_has_a_code_and_a_sentence() -> None:
    """The sandbox's own switches answer as the product's API does."""
    given = problem(422, "fault-not-possible", "x cannot have it.")
    assert given.content_type == "application/problem+json"
    assert isinstance(given.body, bytes)
    assert json.loads(given.body) == {
        "type": "about:blank",
        "title": "Unprocessable Content",
        "status": 422,
        "code": "fault-not-possible",
        "detail": "x cannot have it.",
    }


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", '{"a": 1}'.encode("utf-16"), b"1"])
def test_only_an_object_in_utf_8_is_an_object(data: bytes) -> None:
    """Anything else is None, and no error."""
    assert as_object(data) is None
    assert as_object(b'{"a": 1}') == {"a": 1}


def test_a_window_counts_down_and_begins_again(clock: ManualClock) -> None:
    """What is left falls to 1 and no further; when the window ends, all is there again."""
    window = Window(3, 60, clock)
    ends = int(clock.now().timestamp()) + 60
    assert [window.use() for _ in range(4)] == [(2, ends), (1, ends), (1, ends), (1, ends)]
    clock.move(60)
    assert window.use() == (2, ends + 60)
