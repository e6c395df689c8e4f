"""Problem documents: each refusal has its status, its code, and what to do next."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from broadcaster.auth import Crowded, Unauthenticated
from broadcaster.intake.alerts import Intake
from broadcaster.record import Plan, Refused, StorageFull, StoreBroken, StoreUnavailable
from broadcaster.web.problems import (
    Problem,
    of_bad_http,
    of_http,
    of_refused,
    of_trouble,
    of_unauthenticated,
)
from tests.web.door import Door, alert


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StorageFull(), 507, "storage-full"),
        (StoreUnavailable(), 503, "store-unavailable"),
        (StoreBroken(), 503, "store-unavailable"),
        (Crowded(), 429, "too-many-bad-keys"),
    ],
)
def test_trouble_of_our_own_says_that_it_is_ours(error: Exception, status: int, code: str) -> None:
    """And when to come back, where that helps."""
    problem = of_trouble(error)
    assert (problem.status, problem.code) == (status, code)
    assert status == 507 or "Retry-After" in problem.headers


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("not-newest", 409),
        ("possible-duplicate", 409),
        ("foreign-incident", 403),
        ("unknown-alert", 404),
        ("unknown-reference", 422),
        ("a-code-of-tomorrow", 409),
    ],
)
def test_a_refusal_of_the_store_keeps_its_code(code: str, status: int) -> None:
    """And names the alert to look at."""
    problem = of_refused(Refused(code, "why", "alert-id"))
    assert (problem.status, problem.code) == (status, code)
    assert problem.to_json()["alert"] == "alert-id"


def test_a_request_under_way_is_told_when_to_come_back() -> None:
    """409 with Retry-After."""
    assert of_refused(Refused("in-progress", "why")).headers == {"Retry-After": "1"}


def test_a_401_asks_for_a_key() -> None:
    """With WWW-Authenticate, and with what was wrong with the one that came."""
    asked = of_unauthenticated(Unauthenticated("key-missing", "send one"))
    assert asked.headers == {"WWW-Authenticate": 'Bearer realm="broadcaster"'}
    wrong = of_unauthenticated(Unauthenticated("key-refused", "no"))
    assert 'error="invalid_token"' in str(wrong.headers)


def test_the_servers_own_refusals_have_the_same_form() -> None:
    """A wrong method names the right ones."""
    problem = of_http(web.HTTPMethodNotAllowed("PUT", ["GET", "POST"]))
    assert (problem.status, problem.code) == (405, "method-not-allowed")
    assert problem.headers == {"Allow": "GET,POST"}
    assert of_http(web.HTTPNotFound()).code == "not-found"


def test_bad_http_is_not_repeated() -> None:
    """Its bytes may be anything."""
    assert of_bad_http(400, BadHttpMessage("<script>")).code == "http-malformed"
    assert of_bad_http(400, LineTooLong(b"<script>", 10)).status == 431
    assert "<script>" not in str(of_bad_http(400, LineTooLong(b"<script>", 10)).to_json())


def test_a_document_is_complete() -> None:
    """RFC 9457's members, and ours."""
    document = Problem(400, "code", "detail").to_json()
    assert set(document) == {"type", "title", "status", "code", "detail", "errors"}


@pytest.mark.parametrize(
    ("error", "status"), [(StorageFull(), 507), (StoreUnavailable(), 503), (StoreBroken(), 503)]
)
async def test_no_202_without_a_commit(
    door: Door, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    """What the store cannot keep is not accepted, and the same key may be used again."""

    async def refuse(_plan: Plan) -> None:
        raise error

    headers, body = {"Idempotency-Key": "again"}, alert()
    with monkeypatch.context() as patch:
        patch.setattr(door.store, "accept", refuse)
        seen, problem, _ = await door.ask("POST", "/v1/alerts", body=body, headers=headers)
        assert (seen, problem["status"]) == (status, status)
    assert isinstance(door.intake, Intake)
    assert (await door.ask("POST", "/v1/alerts", body=body, headers=headers))[0] == 202
