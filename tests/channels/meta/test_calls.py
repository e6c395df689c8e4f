"""Requests to Graph: where the token goes, when it is renewed, what answers tell besides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from broadcaster.channels import http
from broadcaster.channels.meta import calls as meta
from broadcaster.channels.tokens import Grant, Tokens
from broadcaster.config import Timing
from broadcaster.delivery import NeedsPerson, NotSent, Readiness, Unknown
from tests.channels.meta.graph_stub import MovingClock, error, given_in
from tests.channels.stub import NOW, Reply, Request, Stub, serving

TOKEN = "canary-4711"
GRANTED = {"access_token": "new", "expires_in": 5_184_000}
READY = Readiness(ready=True, sentence="Threads knows us.")


@dataclass
class Place:
    """A server, and one account's way to it."""

    stub: Stub
    api: meta.Api
    clock: MovingClock


@pytest.fixture(params=[True, False], ids=["in-header", "as-parameter"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Give an account, with its token in either place."""
    async with serving() as stub:
        client, clock = http.Client(Timing()), MovingClock()
        refresh = meta.renewing(client, f"{stub.url}/refresh", "th_refresh_token", "Threads", clock)
        tokens = Tokens(tmp_path / "token", TOKEN, clock, refresh, ahead=timedelta(days=30))
        api = meta.Api("Threads", stub.url, client, tokens, clock, in_header=request.param)
        yield Place(stub, api, clock)
        await client.close()


def tokens_in(stub: Stub) -> list[str]:
    """Give the token that each request came with, wherever it was."""
    headers = (
        one.headers.get("authorization", "").removeprefix("Bearer ") for one in stub.requests
    )
    given = (given_in(one).get("access_token", "") for one in stub.requests)
    return [there or here for there, here in zip(headers, given, strict=True)]


async def test_the_token_goes_with_every_request_in_one_place(place: Place) -> None:
    """In the header, or as the parameter that Meta documents for Threads; never in both."""
    await place.api.get("me", {"fields": "id"})
    await place.api.post("me/threads", {"text": "Größe & Übung"})
    await place.api.delete("9000")
    assert tokens_in(place.stub) == [TOKEN] * 3
    for one in place.stub.requests:
        assert str(one).count(TOKEN) == 1
    assert given_in(place.stub.posts[0])["text"] == "Größe & Übung"
    assert TOKEN not in place.stub.posts[0].path


async def test_a_refused_token_is_renewed_once_and_tried_once_more(place: Place) -> None:
    """Nothing was done with the old one, so that the same request is safe to repeat."""

    def answer(request: Request) -> Reply:
        if request.path.startswith("/refresh"):
            return Reply(200, GRANTED)
        return error(190) if TOKEN in str(request) else Reply(200, {"id": "1"})

    place.stub.answer = answer
    assert (await place.api.post("me/threads", {})).status == 200
    assert tokens_in(place.stub) == [TOKEN, TOKEN, "new"]
    place.stub.answer = lambda _: error(190)
    place.stub.requests.clear()
    assert (await place.api.post("me/threads", {})).status == 400
    assert len(place.stub.posts) == 1


async def test_a_refusal_for_another_reason_renews_nothing(place: Place) -> None:
    """A permission, a block and a server's fault have nothing to do with the token's age."""
    for reply in (error(10), error(368), error(190, status=500), Reply(404)):
        place.stub.requests.clear()
        place.stub.answer = lambda _, reply=reply: reply  # type: ignore[misc]
        await place.api.post("me/threads", {})
        assert len(place.stub.requests) == 1


async def test_a_read_gives_an_object_or_says_why_not(place: Place) -> None:
    """Whatever is no object is a hiccup; a refused token is a person's."""
    place.stub.answer = lambda _: Reply(200, {"id": "1"})
    assert await place.api.read("me", {}) == {"id": "1"}
    for reply in (Reply(200, b"[]"), Reply(200, {"error": {}}), Reply(500), error(2)):
        place.stub.answer = lambda _, reply=reply: reply  # type: ignore[misc]
        with pytest.raises(NotSent):
            await place.api.read("me", {})
    place.stub.answer = lambda _: error(190)
    with pytest.raises(NeedsPerson):
        await place.api.read("me", {})


async def test_a_list_is_read_to_its_end_and_no_further_than_reason(place: Place) -> None:
    """Every row of every page, in order; a list without end proves nothing."""
    more = {"cursors": {"after": "c"}, "next": "https://graph.example/"}

    def pages(request: Request) -> Reply:
        last = given_in(request).get("after") == "c"
        rows = [{"id": "2" if last else "1"}]
        return Reply(200, {"data": rows} if last else {"data": rows, "paging": more})

    place.stub.answer = pages
    assert [row["id"] async for row in place.api.rows("me/threads", {})] == ["1", "2"]
    place.stub.answer = lambda _: Reply(200, {"data": [], "paging": more})
    with pytest.raises(Unknown):
        assert [row async for row in place.api.rows("me/threads", {})]


async def test_the_brake_is_pulled_by_usage_and_lets_go(place: Place) -> None:
    """From 95 % on for some minutes, or until an answer tells a lower share."""
    for percent, braked in ((94, False), (95, True), (20, False), (100, True)):
        usage = {"X-App-Usage": f'{{"call_count": {percent}}}'}
        place.stub.answer = lambda _, usage=usage: Reply(200, {}, usage)  # type: ignore[misc]
        await place.api.get("me", {})
        assert place.api.braked == braked
    said = meta.remarked(place.api, READY)
    assert "100 %" in said.sentence
    assert said.remedy
    await place.clock.sleep(meta.BRAKE_SECONDS)
    assert not place.api.braked
    assert meta.remarked(place.api, READY) == READY


async def test_a_token_that_ends_soon_is_told_while_all_is_well(place: Place) -> None:
    """Thirty days ahead people read how long it lasts and what to do."""
    soon = Readiness(ready=True, sentence="Threads knows us.", days_left=30.0)
    assert "30 days" in str(meta.remarked(place.api, soon).remedy)
    later = Readiness(ready=True, sentence="Threads knows us.", days_left=30.1)
    assert meta.remarked(place.api, later).remedy is None


def answer(status: int, body: bytes) -> http.Answer:
    """Give an answer."""
    return http.Answer(status, {}, body)


def test_a_grant_is_read_with_its_end() -> None:
    """When it was given and when it ends are kept: both decide when it is renewed."""
    body = b'{"access_token": "new", "token_type": "bearer", "expires_in": 5184000}'
    found = meta.granted(answer(200, body), "Threads", NOW)
    assert found == Grant("new", NOW + timedelta(days=60), obtained=NOW)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"access_token": 1}', b'{"access_token": "a b"}'])
def test_an_answer_without_a_token_is_no_grant(body: bytes) -> None:
    """What is no token is never kept as one."""
    with pytest.raises(Unknown):
        meta.granted(answer(200, body), "Threads", NOW)
    with pytest.raises(NotSent):
        meta.granted(answer(500, body), "Threads", NOW)


def test_what_is_wrong_is_said_in_a_sentence_with_a_remedy() -> None:
    """A failure's reason may hold its remedy; else there is a usual one."""
    found = meta.not_ready(
        NeedsPerson("Threads does not accept the token: x. Connect it"), "Threads"
    )
    assert found.sentence == "Threads does not accept the token: x."
    assert found.remedy == "Connect it."
    found = meta.not_ready(NeedsPerson("the token has expired; connect it again"), "Threads")
    assert found.sentence == "The token has expired; connect it again."
    assert found.remedy == meta.RECONNECT
    found = meta.not_ready(NotSent("could not be asked: the connection was refused"), "Threads")
    assert found.sentence == "Threads could not be asked: the connection was refused."
    assert found.remedy == meta.PASSES


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"data": [{"quota_usage": 3, "config": {"quota_total": 250}}]}, (247, 250)),
        ({"data": [{"quota_usage": 300, "config": {"quota_total": 250}}]}, (0, 250)),
        ({"data": [{"quota_usage": 3}]}, None),
        ({"data": [{"quota_usage": True, "config": {"quota_total": 250}}]}, None),
        ({"data": []}, None),
        ({"data": [7]}, None),
        ({}, None),
    ],
)
def test_a_limit_is_read_or_not_known(body: dict[str, Any], expected: object) -> None:
    """Meta's pages contradict each other on its number: what it tells counts."""
    assert meta.quota(body) == expected


async def test_a_limit_that_may_not_be_read_names_the_permission(place: Place) -> None:
    """It takes the same permission as a post: people read which, and how to grant it."""
    place.stub.answer = lambda _: error(200, status=403)
    with pytest.raises(NeedsPerson, match="threads_content_publish is missing") as caught:
        await meta.quota_of(place.api, "me/limit", "quota_usage", "threads_content_publish")
    remedy = str(meta.not_ready(caught.value, "Threads").remedy)
    assert remedy.startswith("Grant threads_content_publish: connect the channel again")
    place.stub.answer = lambda _: Reply(500)
    with pytest.raises(NotSent):
        await meta.quota_of(place.api, "me/limit", "quota_usage", "threads_content_publish")


def test_counts_are_read_in_either_shape() -> None:
    """Insights name a metric, and give its value in a list or as a total; junk is left out."""
    rows: list[Any] = [
        {"name": "views", "values": [{"value": 3}]},
        {"name": "reach", "total_value": {"value": 4}},
        {"name": "likes", "values": [{"value": "5"}]},
        {"name": "saved", "values": []},
        {"values": [{"value": 6}]},
        7,
    ]
    assert meta.counts({"data": rows}) == {"views": 3, "reach": 4}
    assert meta.counts({}) == {}
