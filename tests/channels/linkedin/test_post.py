"""LinkedIn: what it tells of a post is read with care."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from broadcaster.channels.http import Answer
from broadcaster.channels.linkedin.post import (
    by_author,
    counts,
    created,
    created_urn,
    hidden,
    is_page,
    points,
    says,
    urn_of,
)
from broadcaster.delivery import Receipt, Rejected
from tests.channels.linkedin.company_page import OLD, POST, US
from tests.channels.stub import NOW, TEXT, delivery


def test_a_list_is_asked_for_newest_first() -> None:
    """Later pages begin where the one before ended."""
    author = "urn%3Ali%3Aorganization%3A4711"
    assert by_author(US, 20) == f"q=author&author={author}&count=20&sortBy=CREATED"
    assert by_author(US, 20, 40) == f"q=author&author={author}&count=20&start=40&sortBy=CREATED"


@pytest.mark.parametrize(
    ("status", "urn", "made"),
    [(201, POST, POST), (200, OLD, OLD), (202, POST, None), (201, "urn:li:share:1\n", None)],
)
def test_only_a_post_that_is_named_was_made(status: int, urn: str, made: str | None) -> None:
    """A success names the post in its header."""
    named = {"x-restli-id": urn.replace("\n", "x")}
    assert created_urn(Answer(status, named, b"")) == made


def test_a_receipt_names_a_post_or_is_refused() -> None:
    """A comment is none."""
    assert urn_of(Receipt(POST)) == POST
    for receipt in (None, Receipt(None), Receipt("701")):
        with pytest.raises(Rejected):
            urn_of(receipt)


@pytest.mark.parametrize(
    ("page", "whole"),
    [
        ({"elements": []}, True),
        ({"elements": [{"id": "1"}, {"id": 2}]}, True),
        ({"elements": [{"urn": "1"}]}, False),
        ({"elements": {"id": "1"}}, False),
        ({"paging": {}}, False),
        ({}, False),
    ],
)
def test_only_a_list_is_one(page: dict[str, Any], whole: bool) -> None:  # noqa: FBT001
    """Anything else proves no absence."""
    assert is_page(page) is whole


def test_a_time_is_in_milliseconds() -> None:
    """What cannot be one is missing, and then no post is missed for it."""
    assert created({"createdAt": int(NOW.timestamp() * 1000)}) == NOW
    for stamp in (None, 0, -5, True, 10**18, "2026", int(NOW.timestamp())):
        assert created({"createdAt": stamp}) == datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("Siehe Nr. 26-0142/2\n\nAlt", True),
        ("Vorn. Siehe  Nr. 26-0142/2", True),
        ("Siehe Nr. 26-0142/21", False),
        ("xSiehe Nr. 26-0142/2", False),
        ("", False),
    ],
)
def test_a_pointer_is_a_piece_of_its_own(text: str, there: bool) -> None:  # noqa: FBT001
    """However much white space LinkedIn leaves in it."""
    assert points(text, "Siehe Nr. 26-0142/2") is there


@pytest.mark.parametrize(
    ("commentary", "ours"),
    [
        (TEXT, True),
        (f"Siehe Nr. 26-0142/2.\n\n{TEXT}", True),
        (f"Siehe Nr. 26-0143/2.\n\n{TEXT}", False),
        (f"{TEXT} Nr. 26-0142/2", False),
        (TEXT[:-1], False),
        ("", False),
    ],
)
def test_a_text_is_ours_whole_or_below_a_pointer(commentary: str, ours: bool) -> None:  # noqa: FBT001
    """A pointer to a later version of the same incident, and nothing else, may stand before it."""
    assert says(commentary, TEXT, delivery()) is ours


def test_a_post_is_seen_if_nothing_speaks_against_it() -> None:
    """An answer that does not tell who sees it says nothing against it."""
    assert hidden({"lifecycleState": "PUBLISHED"}) is None
    assert hidden({"lifecycleState": "PUBLISHED", "visibility": "PUBLIC"}) is None
    assert hidden({}) == "it is not published"


@pytest.mark.parametrize(
    ("metadata", "found"),
    [
        ({}, {}),
        ({"reactionSummaries": {}, "commentSummary": {"count": 0}}, {"likes": 0, "replies": 0}),
        (
            {"reactionSummaries": {"LIKE": {"count": 2}, "X": None, "Y": {"count": -1}}},
            {"likes": 2},
        ),
        ({"reactionSummaries": [], "commentSummary": {"count": "many"}}, {}),
    ],
)
def test_counts_are_what_is_told(metadata: dict[str, Any], found: dict[str, int]) -> None:
    """What has another shape is not counted."""
    assert counts(metadata) == found
