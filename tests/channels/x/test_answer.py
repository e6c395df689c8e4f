"""What X's answers mean, whatever shape they have."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broadcaster.channels.http import Answer
from broadcaster.channels.x.answer import (
    Problem,
    clock_off,
    comparable,
    created,
    data_of,
    failure_for,
    is_page,
    not_ready,
    number,
    person_for,
    sight_of,
    unread_for,
)
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Receipt, Rejected, Unknown
from tests.channels.stub import NOW, TEXT, delivery

POST = "1850000000000000001"
SENT = delivery(receipt=Receipt(POST))


def said(status: int, body: Any = None, **headers: str) -> Answer:
    """Give an answer; `body` is JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


WRITES: list[tuple[Answer, type[Failure]]] = [
    (said(400, {"title": "Invalid Request"}), Rejected),
    (said(400, {"errors": "junk"}), Rejected),
    (said(401, {}), NeedsPerson),
    (said(402, {}), NeedsPerson),
    (said(429, {"title": "CreditsDepleted"}), NeedsPerson),
    (said(429, {}), NotSent),
    (said(403, {"detail": "duplicate content"}), Rejected),
    (said(503, {"detail": "duplicate content"}), Unknown),
    (said(201, {}), Unknown),
    (Answer(403, {}, b"", whole=False), Unknown),
]


@pytest.mark.parametrize(("answer", "kind"), WRITES)
def test_the_body_comes_before_the_status(answer: Answer, kind: type[Failure]) -> None:
    """A 429 may mean that money is used up; a 403 may be evidence, unless it broke off."""
    assert type(failure_for(answer, NOW)) is kind
    duplicate = getattr(failure_for(answer, NOW), "duplicate", False)
    assert duplicate == (b"duplicate" in answer.body and answer.status == 403)


@pytest.mark.parametrize(("answer", "kind"), WRITES)
def test_a_failed_read_says_nothing_of_a_post(answer: Answer, kind: type[Failure]) -> None:
    """A hiccup, unless a person must act."""
    assert type(unread_for(answer, NOW)) is (kind if kind is NeedsPerson else NotSent)


@pytest.mark.parametrize("body", [None, [], 7, {"errors": {"a": 1}}, {"errors": [None, "x"]}])
def test_a_problem_of_another_shape_says_nothing(body: Any) -> None:
    """And is no error of ours."""
    problem = Problem.of(said(403, body))
    assert not problem.says("duplicate content")
    assert person_for(403, problem) is None


def test_words_are_found_as_words() -> None:
    """What is unlocked is not locked."""
    assert Problem.of(said(403, {"detail": "Your account is LOCKED."})).says("locked")
    assert not Problem.of(said(403, {"detail": "unlocked"})).says("locked")


def test_a_probe_that_fails_has_a_sentence_and_a_remedy() -> None:
    """Whoever reads it knows what to do."""
    for status in (401, 402, 403, 429, 500):
        found = not_ready(said(status, {}), NOW)
        assert not found.ready
        assert found.sentence.endswith(".")
        assert found.remedy


@pytest.mark.parametrize(
    ("page", "good"),
    [
        ({"data": [{"id": "1"}], "meta": {}}, True),
        ({"meta": {}}, True),
        ({"data": [{"id": "1"}]}, False),
        ({"data": {}, "meta": {}}, False),
        ({"data": [7], "meta": {}}, False),
    ],
)
def test_only_a_whole_list_proves_anything(page: dict[str, Any], *, good: bool) -> None:
    """X gives `meta` with every list."""
    assert is_page(page) == good


def test_what_holds_no_object_has_no_data() -> None:
    """Junk is as good as nothing."""
    junk: list[Any] = [{"data": [1]}, [], b"<html>", b"[" * 100_000]
    for body in junk:
        assert data_of(said(200, body)) == {}


def test_a_time_that_is_missing_is_late() -> None:
    """X has kept to the time that was asked from: a post without one is not left out."""
    assert created({"created_at": "2026-11-22T01:47:00.000Z"}) == NOW
    assert created({"created_at": "2026-11-22T01:47:00"}) == NOW
    for junk in ({}, {"created_at": "yesterday"}, {"created_at": None}):
        assert created(junk) == datetime.max.replace(tzinfo=UTC)


def test_what_x_rewrites_is_no_other_text() -> None:
    """Links, invisible characters and spaces."""
    assert comparable("Lage:  s.example.org/p\u2060 da") == comparable("Lage: https://t.co/a da")
    assert comparable("詳細city.example/x") == comparable("詳細https://t.co/a")
    assert comparable("Feuer") != comparable("Entwarnung")


@pytest.mark.parametrize(
    ("value", "found"), [("12", 12), ("-1", None), ("1e3", None), ("9" * 20, None), ("", None)]
)
def test_a_header_is_a_count_or_nothing(value: str, found: int | None) -> None:
    """Junk counts as missing."""
    assert number({"x": value}, "x") == found


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Sun, 22 Nov 2026 01:48:30 GMT", 90),
        ("Sun, 22 Nov 2026 01:46:00 GMT", 60),
        ("Sun, 22 Nov 2026 01:46:00 -0000", None),
        ("soon", None),
        ("", None),
    ],
)
def test_how_far_a_clock_is_off(date: str, seconds: int | None) -> None:
    """In either direction; unknown where X does not say."""
    found = clock_off({"Date": date}, NOW)
    assert found == (None if seconds is None else timedelta(seconds=seconds))


SIGHTS: list[tuple[Any, bool | None]] = [
    ({"data": {"id": POST, "text": TEXT}}, True),
    ({"data": {"id": POST, "text": TEXT, "withheld": "DE"}}, True),
    ({"data": {"id": POST, "text": TEXT, "withheld": {"country_codes": [7]}}}, False),
    ({"data": {"id": "2", "text": TEXT}}, None),
    ({"data": {"id": POST, "text": None}}, None),
    ({"errors": [{"type": "x/resource-not-found"}]}, False),
    ({"errors": [{"type": ["resource-not-found"]}]}, None),
    ({"errors": []}, None),
    ([], None),
]


@pytest.mark.parametrize(("body", "there"), SIGHTS)
def test_a_look_shows_presence_absence_or_nothing(body: Any, *, there: bool | None) -> None:
    """Absence is only what X says in so many words."""
    sight = sight_of(said(200, body), SENT, public=True)
    assert (sight.there if sight else None) is there
    assert sight_of(said(200, body), delivery(), public=True) is None


def test_only_a_404_and_a_200_tell_of_a_post() -> None:
    """Everything else is a failure to ask."""
    gone = sight_of(said(404, {}), SENT, public=False)
    assert gone
    assert (gone.there, gone.reason, gone.public) == (False, "deleted", False)
    for status in (201, 302, 400, 403, 500):
        body = {"data": {"id": POST, "text": TEXT}}
        assert sight_of(said(status, body), SENT, public=True) is None
