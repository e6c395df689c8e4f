"""Meta's Graph API: the body of an answer comes before its status."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from broadcaster.channels import http
from broadcaster.channels.meta import graph
from broadcaster.channels.meta.graph import Page, Problem
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Rejected, Unknown
from tests.channels.meta.graph_stub import error_cases, name_of
from tests.channels.stub import NOW
from tests.conftest import shared_path

CLASSES: dict[str, type[Failure]] = {
    "ambiguous": Unknown,
    "rate_limited": NotSent,
    "not_sent_retry": NotSent,
    "auth": NeedsPerson,
    "blocked": NeedsPerson,
    "rejected": Rejected,
    "duplicate": Rejected,
}
NO_CODES: list[object] = ["190", None, [], {}, True, 1.5]
SHAPES: list[object] = [
    *(b"", b"\xff", b"[]", b'{"error": "m"}', b'{"error": []}', b"[" * 100_000, {"error": {}}),
    *({"error": {"code": value}} for value in NO_CODES),
]
NO_LISTS: list[dict[str, Any]] = [
    *({}, {"data": {}}, {"data": [1]}, {"data": [{"id": 1}]}, {"data": [], "paging": []}),
    *({"data": [], "paging": {"next": "x", **more}} for more in ({}, {"cursors": 1})),
]
THROTTLED = [4, 17, 32, 341, 613, 80000, 80001, 80099]


def answer(status: int, body: object = None, *, whole: bool = True, **headers: str) -> http.Answer:
    """Give an answer with this body as JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.Answer(status, named, data, whole)


def error(code: int, status: int = 400, **more: Any) -> http.Answer:
    """Give an answer in Graph's envelope."""
    return answer(
        status, {"error": {"message": "m", "type": "OAuthException", "code": code, **more}}
    )


def failure(one: http.Answer) -> Failure:
    """Say what it means to a write."""
    return graph.failure_for(one, "Facebook", NOW)


ROWS = [row for row in error_cases("facebook") if isinstance(row["http_status"], int)]


@pytest.mark.parametrize("row", [row for row in ROWS if row["expect"] != "sent"], ids=name_of)
def test_every_error_of_the_shared_table_has_its_outcome(row: dict[str, Any]) -> None:
    """Each row of Facebook's answers comes out as the delivery contract maps it."""
    found = failure(answer(row["http_status"], row["body"]))
    assert type(found) is CLASSES[row["expect"]]
    assert getattr(found, "duplicate", False) == (row["expect"] == "duplicate")
    assert getattr(found, "rate_limited", False) == (row["expect"] == "rate_limited")


def test_the_shared_table_is_there() -> None:
    """The rows above are not an empty list where the shared data is there."""
    shared_path("contracts", "derived")
    assert len(ROWS) > 15


@pytest.mark.parametrize("code", THROTTLED)
def test_throttling_is_a_400_that_pauses_the_channel(code: int) -> None:
    """Graph says "too often" with a 400 and a code."""
    found = failure(error(code))
    assert isinstance(found, NotSent)
    assert found.rate_limited
    assert found.retry_after is None


def usage(*rows: dict[str, Any]) -> dict[str, str]:
    """Give the header by business."""
    return {"X-Business-Use-Case-Usage": json.dumps({"111": list(rows)})}


def test_a_throttled_call_waits_as_long_as_meta_says() -> None:
    """The header by business gives minutes; the longest of them counts."""
    rows = ({"estimated_time_to_regain_access": 3}, {"estimated_time_to_regain_access": 19})
    throttled = http.Answer(400, usage(*rows), error(80001).body)
    found = failure(throttled)
    assert isinstance(found, NotSent)
    assert found.retry_after == timedelta(minutes=19)


@pytest.mark.parametrize("minutes", [0, -1, 1e9, 10**8, "soon", None, True, float("nan")])
def test_a_wait_beyond_reason_is_no_wait(minutes: object) -> None:
    """Junk in the header counts as missing."""
    assert graph.regain(usage({"estimated_time_to_regain_access": minutes})) is None


def test_a_throttled_call_may_wait_by_the_usual_header() -> None:
    """Without Meta's own header Retry-After counts."""
    throttled = http.Answer(400, {"Retry-After": "20"}, error(4).body)
    found = failure(throttled)
    assert isinstance(found, NotSent)
    assert found.retry_after == timedelta(seconds=20)


@pytest.mark.parametrize("code", [1, 2])
def test_a_temporary_error_of_a_write_is_unknown(code: int) -> None:
    """It says "try again", and may have made the post."""
    assert isinstance(failure(error(code)), Unknown)
    assert isinstance(failure(error(9999, is_transient=True)), Unknown)


def test_a_server_error_is_unknown_whatever_its_body_says() -> None:
    """Behind a 5xx the post may stand, even if the body talks of a token."""
    assert isinstance(failure(error(190, status=500)), Unknown)
    assert isinstance(failure(error(100, status=503)), Unknown)


def test_a_broken_answer_is_unknown() -> None:
    """A refusal of which the body is missing could be a temporary error."""
    assert isinstance(failure(answer(400, b"", whole=False)), Unknown)


@pytest.mark.parametrize("code", [3, 10, 200, 299])
def test_a_missing_permission_needs_a_person(code: int) -> None:
    """Permissions are granted by people, who are told how."""
    found = failure(error(code, status=403))
    assert isinstance(found, NeedsPerson)
    assert "connect" in found.reason
    assert graph.is_permission(error(code))
    assert not graph.is_permission(error(100))


@pytest.mark.parametrize(("subcode", "word"), [(460, "password"), (463, "expired"), (492, "role")])
def test_a_refused_token_says_why(subcode: int, word: str) -> None:
    """On-call staff read what happened, and what to do, in plain words."""
    found = graph.person(Problem(190, subcode), "Facebook")
    assert found is not None
    assert word in found.sentence
    assert found.remedy.endswith(".")
    assert isinstance(found.failure, NeedsPerson)
    assert graph.is_token(error(190, error_subcode=subcode))


def test_a_block_is_told_and_never_hammered() -> None:
    """368 is a policy block; only its repeated content is a duplicate."""
    assert isinstance(failure(error(368)), NeedsPerson)
    repeated = failure(error(368, error_subcode=1404082))
    assert isinstance(repeated, Rejected)
    assert repeated.duplicate


def test_an_object_that_is_gone_is_told_from_a_bare_404() -> None:
    """Only Graph's own words say that a post is not there; a proxy's 404 says nothing."""
    assert graph.is_gone(error(100, error_subcode=33))
    assert graph.is_gone(error(803, status=404))
    assert graph.is_gone(error(24, error_subcode=4279009))
    assert not graph.is_gone(error(24, status=500))
    assert not graph.is_gone(answer(404, b"<html>"))
    assert not graph.is_gone(error(100))


@pytest.mark.parametrize(
    "body",
    SHAPES,
)
def test_no_shape_of_an_answer_is_a_crash(body: object) -> None:
    """What cannot be read falls back on the status."""
    assert isinstance(failure(answer(400, body)), Rejected)
    assert isinstance(failure(answer(401, body)), NeedsPerson)
    assert isinstance(failure(answer(500, body)), Unknown)
    assert isinstance(failure(answer(200, body)), Unknown)


def test_a_failed_read_says_nothing_about_the_post() -> None:
    """A hiccup is asked again; a token is told at once."""
    assert isinstance(graph.unread_for(error(2), "Facebook", NOW), NotSent)
    assert isinstance(graph.unread_for(error(100), "Facebook", NOW), NotSent)
    assert isinstance(graph.unread_for(answer(500), "Facebook", NOW), NotSent)
    assert isinstance(graph.unread_for(answer(200, b"junk"), "Facebook", NOW), NotSent)
    assert isinstance(graph.unread_for(error(190), "Facebook", NOW), NeedsPerson)


def test_usage_is_the_highest_share_of_both_headers() -> None:
    """Any of the three limits ends all calls, by app as by business."""
    app = {"X-App-Usage": json.dumps({"call_count": 28, "total_time": 25, "total_cputime": 26})}
    business = usage({"type": "pages", "call_count": 3, "total_cputime": 97, "total_time": 5})
    assert graph.used_percent(app) == 28
    assert graph.used_percent(app | business) == 97
    assert graph.used_percent({}) is None


@pytest.mark.parametrize("text", ["", "junk", "[]", '{"a": 1}', '{"a": [1]}', "[" * 100_000])
def test_junk_in_the_usage_headers_is_no_usage(text: str) -> None:
    """A brake goes by numbers that were told, or not at all."""
    headers = {"X-App-Usage": text, "X-Business-Use-Case-Usage": text}
    assert graph.used_percent(headers) is None
    assert graph.regain(headers) is None


def test_a_list_is_read_to_its_cursor() -> None:
    """A cursor comes with the last piece too: only `next` says that there is more."""
    paging = {"cursors": {"before": "a", "after": "b"}}
    row = {"id": "1"}
    assert graph.page_of({"data": [row], "paging": paging}) == Page([row], None)
    more = paging | {"next": "https://graph.example/next"}
    assert graph.page_of({"data": [row], "paging": more}) == Page([row], "b")
    assert graph.page_of({"data": []}) == Page([], None)


@pytest.mark.parametrize(
    "body",
    NO_LISTS,
)
def test_what_is_no_list_proves_no_absence(body: dict[str, Any]) -> None:
    """A piece that cannot be read, or whose next one cannot be asked for, is no list."""
    assert graph.page_of(body) is None


@pytest.mark.parametrize(
    ("told", "days"),
    [(5_184_000, 60), (0, None), (-1, None), ("60", None), (True, None), (1e12, None)],
)
def test_a_token_ends_when_it_was_said_to(told: object, days: int | None) -> None:
    """`expires_in` is in seconds; anything else is no end that matters."""
    expected = None if days is None else NOW + timedelta(days=days)
    assert graph.expires({"expires_in": told}, NOW) == expected


def test_times_and_ids_are_read_as_graph_writes_them() -> None:
    """An offset without a colon is read; what is no time or no id is none."""
    assert graph.moment("2026-11-22T01:47:00+0000") == NOW
    assert graph.moment("2026-11-22T01:47:00") == NOW
    assert graph.moment("soon") is None
    assert graph.is_id("111_222")
    assert not any(map(graph.is_id, ("", "../me", 111, None, "1" * 50)))


def test_texts_compare_without_what_nobody_sees() -> None:
    """Composition, joiners and white space are no difference; a letter is."""
    assert graph.comparable("Höhe\u200b  \n 5") == graph.comparable("Ho\u0308he 5")
    assert graph.comparable("Höhe 5") != graph.comparable("Hohe 5")
