"""The token of a Facebook Page: what it is good for, and how a person gets one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from broadcaster.channels import facebook
from broadcaster.channels.facebook import token as facebook_token
from broadcaster.channels.facebook.token import TO_COMMENT, TO_POST
from broadcaster.channels.tokens import OAuth
from broadcaster.config import Timing
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Rejected, Unknown
from tests.channels.stub import NOW, Fault, Reply, Request, Stub, keep_secret, serving, setup_for

SHORT = Timing(attempt_seconds=1.2, connect_seconds=0.8)
PAGE, SECRET = "111", "sandbox-app-secret"
Answers = Callable[[Request], Reply | Fault]


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for Graph that answers as told."""
    async with serving() as one:
        yield one


def error(code: int, subcode: int = 0) -> Reply:
    """Give Graph's error envelope."""
    return Reply(400, {"error": {"message": "m", "code": code, "error_subcode": subcode}})


def query_of(request: Request) -> dict[str, str]:
    """Give the parameters in a request's address."""
    return dict(parse_qsl(urlsplit(request.path).query))


def pages(rows: list[dict[str, Any]], start: int) -> Reply:
    """Give one row of a list."""
    body: dict[str, Any] = {"data": rows[start : start + 1]}
    body["paging"] = {"cursors": {"after": str(start + 1)}}
    if start + 1 < len(rows):
        body["paging"]["next"] = "https://graph.facebook.com/elsewhere?access_token=t"
    return Reply(200, body)


def connected(url: str, place: Path) -> OAuth:
    """Give the way in which a person connects a Page."""
    keep_secret(place, "app-secret", SECRET)
    settings = facebook.Settings(
        page_id=PAGE,
        access_token_file="page-token",
        app_id="7",
        app_secret_file="app-secret",
        base_url=url,
    )
    return facebook.oauth(setup_for(place, "facebook", timing=SHORT), settings)


def test_a_person_is_sent_to_facebooks_own_page(tmp_path: Path) -> None:
    """With the permissions that posting, reading back and commenting need."""
    way = connected("https://graph.facebook.com", tmp_path)
    url = urlsplit(way.authorize("https://localhost/back", "s1"))
    assert (url.netloc, url.path) == ("www.facebook.com", "/v25.0/dialog/oauth")
    query = dict(parse_qsl(url.query))
    assert (query["client_id"], query["state"], query["response_type"]) == ("7", "s1", "code")
    assert set(query["scope"].split(",")) >= {*TO_POST, *TO_COMMENT, "pages_show_list"}
    assert SECRET not in url.query
    assert way.token_file == "page-token"


def flow(pages_of: list[dict[str, Any]]) -> Answers:
    """Answer the three steps of the flow."""

    def answer(request: Request) -> Reply:
        if "/me/accounts" in request.path:
            return pages(pages_of, int(query_of(request).get("after", "0")))
        long = "fb_exchange_token" in request.path
        return Reply(200, {"access_token": "long" if long else "short", "expires_in": 5_184_000})

    return answer


async def test_a_code_becomes_the_pages_token(stub: Stub, tmp_path: Path) -> None:
    """By way of the person's short and long tokens; the right one of several Pages."""
    stub.answer = flow([{"id": "5", "access_token": "no"}, {"id": PAGE, "access_token": "EAA"}])
    way = connected(stub.url, tmp_path)
    grant = await way.exchange("the-code", "http://127.0.0.1/back")
    assert (grant.access_token, grant.expires, grant.obtained) == ("EAA", None, NOW)
    code, long, first, second = stub.requests
    assert query_of(code)["code"] == "the-code"
    assert query_of(code)["redirect_uri"] == "http://127.0.0.1/back"
    assert query_of(long)["fb_exchange_token"] == "short"
    assert first.headers["authorization"] == second.headers["authorization"] == "Bearer long"
    assert SECRET not in repr(way)


UNCONNECTED: list[tuple[Answers, type[Failure]]] = [
    (flow([{"id": "5", "access_token": "no"}]), NeedsPerson),
    (flow([{"id": PAGE}]), Unknown),
    (lambda _: error(190), NeedsPerson),
    (lambda _: error(100, 36007), Rejected),
    (lambda _: Reply(200, {}), Unknown),
    (lambda _: Fault.CLOSE, NotSent),
    (lambda _: Reply(200, {"access_token": "two words"}), Unknown),
]


@pytest.mark.parametrize(("answers", "kind"), UNCONNECTED)
async def test_a_flow_that_fails_is_one_of_the_failures(
    stub: Stub, tmp_path: Path, answers: Answers, kind: type[Failure]
) -> None:
    """Without the Page's token there is no grant."""
    stub.answer = answers
    with pytest.raises(kind):
        await connected(stub.url, tmp_path).exchange("c", "http://127.0.0.1/back")


def test_a_page_without_an_app_cannot_be_connected(tmp_path: Path) -> None:
    """The sentence says what is missing."""
    settings = facebook.Settings(page_id=PAGE, access_token_file="page-token")
    with pytest.raises(ValueError, match="app_secret_file"):
        facebook.oauth(setup_for(tmp_path, "facebook"), settings)


@pytest.mark.parametrize("token", [{}, {"scopes": "x"}, {"error": []}, {"is_valid": None}])
def test_what_facebook_does_not_tell_is_no_fault(token: dict[str, Any]) -> None:
    """Without the app nobody knows: then a post will show."""
    assert facebook_token.fault_of(token, PAGE) is None
    assert facebook_token.lacking(token) == []
    assert facebook_token.ends_of(token) == []


def test_the_end_of_a_token_is_told_in_seconds_since_1970() -> None:
    """Both the token and the access to data have one; 0 is none."""
    token = {"expires_at": 1_800_000_000, "data_access_expires_at": 0}
    assert facebook_token.ends_of(token) == [datetime(2027, 1, 15, 8, tzinfo=UTC)]
