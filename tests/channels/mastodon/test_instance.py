"""What an instance says of itself, and what its answers mean."""

from __future__ import annotations

from typing import Any

import pytest

from broadcaster.channels.http import Answer
from broadcaster.channels.mastodon.instance import (
    ALT_MAX,
    failure_of,
    kept,
    limits_of,
    picture_of,
    read_limits,
    said_in,
    shut_of,
)
from broadcaster.channels.mastodon.wire import Wire
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Rejected, Unknown
from tests.channels.stub import NOW

FATES: list[tuple[Wire, type[Failure]]] = [
    (Wire(), NotSent),
    (Wire(connected=True), Unknown),
    (Wire(connected=True, answer=Answer(422, {}, b"{}")), Rejected),
    (Wire(connected=True, answer=Answer(422, {}, b"", whole=False)), Unknown),
    (Wire(connected=True, answer=Answer(401, {}, b"")), NeedsPerson),
    (Wire(connected=True, answer=Answer(403, {}, b"")), NeedsPerson),
    (Wire(connected=True, answer=Answer(402, {}, b"")), NeedsPerson),
    (Wire(connected=True, answer=Answer(408, {}, b"")), Unknown),
    (Wire(connected=True, answer=Answer(429, {}, b"", whole=False)), NotSent),
    (Wire(connected=True, answer=Answer(200, {}, b"{}")), Unknown),
    (Wire(connected=True, answer=Answer(500, {}, b"")), Unknown),
    (Wire(connected=True, answer=Answer(302, {}, b"")), Unknown),
]


@pytest.mark.parametrize(("line", "kind"), FATES)
def test_what_a_request_came_to_is_read_off_the_wire(line: Wire, kind: type[Failure]) -> None:
    """Not what the library raised of it."""
    failure = failure_of(line, OSError("canary-4711"), "ruhr.example", NOW)
    assert type(failure) is kind
    assert "ruhr.example" in failure.reason
    assert "canary" not in failure.reason


def test_limits_are_mastodons_own_until_they_are_read() -> None:
    """500 characters, 23 for a link; what was read is kept in the same form."""
    assert kept(limits_of({})) == {"maximum": 500, "link_length": 23}
    read = {"maximum": 640, "link_length": 25}
    assert kept(limits_of(read)) == read


@pytest.mark.parametrize(
    ("read", "most"), [({}, ALT_MAX), ({"alt": 420}, 420), ({"alt": 9999}, 1500)]
)
def test_a_picture_says_no_more_than_its_instance_keeps(read: dict[str, int], most: int) -> None:
    """Nor more than Mastodon itself does."""
    assert picture_of(read).alt_maximum == most
    assert not picture_of(read).required


@pytest.mark.parametrize(
    ("statuses", "media", "limits"),
    [
        (
            {"max_characters": 640, "characters_reserved_per_url": 25},
            {"description_limit": 420},
            {"maximum": 640, "link_length": 25, "alt": 420},
        ),
        ({"max_characters": "640"}, None, {}),
        ({"max_characters": 0, "characters_reserved_per_url": True}, {}, {}),
        ({}, {"description_limit": -1}, {}),
    ],
)
def test_only_sensible_limits_are_read(statuses: Any, media: Any, limits: dict[str, int]) -> None:
    """What is no number from 1 on is left out."""
    configuration = {"statuses": statuses, "media_attachments": media}
    assert read_limits({"configuration": configuration}) == limits


@pytest.mark.parametrize(
    ("account", "words"),
    [
        ({}, None),
        ({"suspended": False, "moved": None}, None),
        ({"suspended": True}, "suspended"),
        ({"moved": {"acct": "new@else\nwhere"}}, "moved to @new@else where"),
        ({"moved": {}}, "moved"),
    ],
)
def test_an_account_that_reaches_nobody_is_named(
    account: dict[str, Any], words: str | None
) -> None:
    """In words that can be shown."""
    found = shut_of(account)
    assert found is None if words is None else words in (found or "")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": "too long\\n"}', ": too long "),
        (b"{}", ""),
        (b"[1]", ""),
        (b"<html>", ""),
        (b"[" * 100_000, ""),
        (b'{"error": ["a"]}', ": ['a']"),
    ],
)
def test_the_instance_s_own_words_are_kept_to_a_line(body: bytes, said: str) -> None:
    """And junk is no words."""
    assert said_in(Answer(422, {}, body)) == said
