"""A container on Threads: what is kept of it, and what its errors mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from broadcaster.channels import http
from broadcaster.channels.meta.containers import Container
from broadcaster.channels.threads.container import (
    Handle,
    broken,
    error_of,
    is_not_ready,
    names_picture,
    without_card,
)
from broadcaster.delivery import Failure, NotSent, Rejected
from tests.channels.meta.graph_stub import error
from tests.channels.stub import NOW, delivery


def answer(code: int, message: str = "m", status: int = 400) -> http.Answer:
    """Give Graph's error envelope."""
    return http.Answer(status, {}, error(code, message=message).raw().partition(b"\r\n\r\n")[2])


def test_a_handle_comes_back_as_it_was_stored() -> None:
    """Also by another process, as JSON."""
    for whole in (Handle("18", True, NOW, "posted without its card: x"), Handle("18")):
        kept = json.loads(json.dumps(whole.to_json()))
        assert Handle.of(delivery(handle=kept)) == whole


@pytest.mark.parametrize("kept", [None, {}, {"container": 18}, {"container": "../18"}])
def test_what_names_no_container_is_made_afresh(kept: Mapping[str, Any] | None) -> None:
    """A handle of another shape publishes nothing."""
    with pytest.raises(NotSent) as caught:
        Handle.of(delivery(handle=kept))
    assert caught.value.afresh


def test_junk_beside_the_container_is_no_hindrance() -> None:
    """The post goes out; only what cannot be read is left away."""
    kept = {"container": "18", "picture": 1, "made": "soon", "note": 7}
    assert Handle.of(delivery(handle=kept)) == Handle("18")


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (answer(100, "Param image_url could not be fetched"), True),
        (answer(9004, "The media could not be downloaded"), True),
        (answer(100, "Param text must be at most 500 characters long."), False),
        (answer(24, "Media not found"), False),  # the post that is replied to
        (answer(100), False),
    ],
)
def test_an_error_about_the_picture_is_told_by_its_words(
    one: http.Answer, expected: object
) -> None:
    """The picture is left out for those, and the reply stays."""
    assert names_picture(one) is expected


def test_only_not_found_is_not_ready_yet() -> None:
    """Every other refusal ends the attempt."""
    assert is_not_ready(answer(24))
    assert not is_not_ready(answer(24, status=500))
    assert not is_not_ready(answer(100))


@pytest.mark.parametrize(
    ("said", "kind"), [("INVALID_TEXT", Rejected), ("UNKNOWN", NotSent), ("", NotSent)]
)
def test_a_text_in_error_is_refused_with_its_reason(said: str, kind: type[Failure]) -> None:
    """Without a reason another container may do."""
    found = broken(Container("18", "ERROR", said))
    assert type(found) is kind
    assert getattr(found, "afresh", False) == (kind is NotSent)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("INVALID_ASPEC_RATIO", "Threads says INVALID_ASPEC_RATIO"),
        ("UNKNOWN", "Threads could not take the picture"),
        ("", "Threads could not take the picture"),
        ("<script>alert(1)</script>", "Threads could not take the picture"),
        ("A" * 60, "Threads could not take the picture"),
    ],
)
def test_a_picture_in_error_is_told_by_its_code_alone(said: str, expected: str) -> None:
    """The sentence is for people: nothing that a network might put there by mistake."""
    assert error_of(Container("18", "ERROR", said)) == expected
    assert without_card(expected).startswith("posted without its card: Threads ")
