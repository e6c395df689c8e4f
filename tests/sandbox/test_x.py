"""The X stand-in, asked directly, and held against X's documents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

from broadcaster.sandbox.x import fits, shortened
from broadcaster.sandbox.x_oauth import APP_ONLY
from tests.conftest import shared_path
from tests.kit import ManualClock
from tests.sandbox.client import TOKEN, Answer, Client

DOCUMENTS = {
    "post.fields": "x-api-v2.trimmed.openapi.json",
    "tweet.fields": "x-api-v2.legacy-2.159.trimmed.openapi.json",
}


def document(name: str) -> OpenAPI:
    """Load one of X's OpenAPI documents, for the sandbox's own address."""
    text = shared_path("contracts", name).read_text(encoding="utf-8")
    problems: Any = {"application/problem+json": json.loads}
    return OpenAPI.from_dict(
        json.loads(text) | {"servers": [{"url": "http://127.0.0.1/x"}]},
        config=Config(extra_media_type_deserializers=problems),
    )


@dataclass
class SentRequest:
    """A request, as openapi-core reads one."""

    method: str
    full_url_pattern: str
    parameters: RequestParameters
    body: bytes | None = None
    content_type: str = "application/json"
    host_url: str = "http://127.0.0.1"
    path: str = field(init=False)

    def __post_init__(self) -> None:
        self.path = urlsplit(self.full_url_pattern).path


@dataclass
class GotResponse:
    """An answer, as openapi-core reads one."""

    data: bytes
    status_code: int
    content_type: str
    headers: Mapping[str, str]


def held(name: str, method: str, path: str, answer: Answer, **query: str) -> None:
    """Raise if an answer is not as the document says."""
    parameters = RequestParameters(
        query=ImmutableMultiDict(query), header=Headers({"Authorization": "Bearer x"})
    )
    request = SentRequest(method, f"http://127.0.0.1/x{path}", parameters)
    kind = answer.headers["Content-Type"].partition(";")[0]
    response = GotResponse(answer.raw, answer.status, kind, answer.headers)
    document(name).validate_response(request, response)


async def me(client: Client) -> str:
    """Return the account's number."""
    answer = await client.get("x", "/2/users/me", headers=TOKEN)
    return str(answer.body["data"]["id"])


async def timeline(client: Client, **query: str) -> Answer:
    """Read own posts."""
    path = f"/2/users/{await me(client)}/tweets"
    return await client.get("x", path, params=query, headers=TOKEN)


def texts(answer: Answer) -> list[str]:
    """Return the texts of a page."""
    return [post["text"] for post in answer.body.get("data", [])]


@pytest.mark.parametrize("spelling", DOCUMENTS)
async def test_every_success_is_as_xs_documents_say(client: Client, spelling: str) -> None:
    """Create, who am I, own posts, one post and delete hold against both documents."""
    name = DOCUMENTS[spelling]
    made = await client.tweet("Feuer in Hörde")
    identity = made.body["data"]["id"]
    held(name, "post", "/2/tweets", made)
    user = await me(client)
    held(name, "get", "/2/users/me", await client.get("x", "/2/users/me", headers=TOKEN))
    query = {spelling: "created_at", "max_results": "5"}
    own = await timeline(client, **query)
    held(name, "get", f"/2/users/{user}/tweets", own, **query)
    for one in (identity, "17"):
        read = await client.get("x", f"/2/tweets/{one}", headers=TOKEN)
        assert read.status == 200
        held(name, "get", f"/2/tweets/{one}", read)
    gone = await client.ask("DELETE", f"/x/2/tweets/{identity}", headers=TOKEN)
    held(name, "delete", f"/2/tweets/{identity}", gone)


@pytest.mark.parametrize("spelling", DOCUMENTS)
async def test_a_refused_body_is_as_xs_documents_say(client: Client, spelling: str) -> None:
    """An invalid request is a problem of X's own type."""
    answer = await client.post("x", "/2/tweets", json={"status": "v1"}, headers=TOKEN)
    assert answer.status == 400
    assert answer.body["type"] == "https://api.x.com/2/problems/invalid-request"
    if spelling == "post.fields":
        held(DOCUMENTS[spelling], "post", "/2/tweets", answer)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("x" * 280, 201),
        ("x" * 281, 400),
        ("警" * 140, 201),
        ("警" * 141, 400),
        ("https://example.org/" + "y" * 300, 201),
        ("x" * 256 + " https://example.org/" + "y" * 300, 201),
        ("x" * 257 + " https://example.org/" + "y" * 300, 400),
        ("👩‍👩‍👧" * 140, 201),
        ("x\ufeff", 400),
    ],
)
async def test_a_text_has_280_weighted_characters(client: Client, text: str, status: int) -> None:
    """Links weigh 23, most scripts 1, the rest and each emoji 2."""
    assert (await client.tweet(text)).status == status


def test_the_quick_bound_never_lets_through_what_is_too_long() -> None:
    """The bound that spares the exact count agrees with it on X's own examples."""
    from twitter_text import parse_tweet
    from yaml import safe_load

    path = shared_path("contracts", "twitter-text", "validate.yml")
    cases = safe_load(path.read_text(encoding="utf-8"))["tests"]
    every = [case["text"] for group in cases.values() for case in group if "text" in case]
    assert len(every) > 20
    assert [fits(text) for text in every] == [parse_tweet(text).valid for text in every]


async def test_a_text_that_is_there_is_a_duplicate(client: Client, clock: ManualClock) -> None:
    """X refuses the same text of one account; deleted or a day old, it may come again."""
    first = await client.tweet("Feuer")
    again = await client.tweet("Feuer")
    assert again.status == 403
    assert again.body == {
        "title": "Forbidden",
        "detail": "You are not allowed to create a Tweet with duplicate content.",
        "type": "about:blank",
        "status": 403,
    }
    other = {"Authorization": "Bearer sandbox-other"}
    answer = await client.post("x", "/2/tweets", json={"text": "Feuer"}, headers=other)
    assert answer.status == 201
    await client.ask("DELETE", f"/x/2/tweets/{first.body['data']['id']}", headers=TOKEN)
    assert (await client.tweet("Feuer")).status == 201
    clock.move(24 * 3600)
    assert (await client.tweet("Feuer")).status == 201


async def test_deleting_twice_is_not_found(client: Client) -> None:
    """A post is deleted by its account, once."""
    identity = (await client.tweet("Feuer")).body["data"]["id"]
    path = f"/x/2/tweets/{identity}"
    other = {"Authorization": "Bearer sandbox-other"}
    assert (await client.ask("DELETE", path, headers=other)).status == 403
    gone = await client.ask("DELETE", path, headers=TOKEN)
    assert gone.body == {"data": {"deleted": True}}
    again = await client.ask("DELETE", path, headers=TOKEN)
    assert (again.status, again.body["title"]) == (404, "Not Found Error")
    read = await client.get("x", f"/2/tweets/{identity}", headers=TOKEN)
    assert "data" not in read.body
    assert read.body["errors"][0]["resource_id"] == identity


async def test_a_reply_needs_a_post_that_is_there(client: Client) -> None:
    """A reply to nothing is forbidden; a reply to an own post is shown as one."""
    first = (await client.tweet("eins")).body["data"]["id"]
    await client.tweet("zwei", reply={"in_reply_to_tweet_id": first})
    missing = await client.tweet("drei", reply={"in_reply_to_tweet_id": "17"})
    assert missing.status == 403
    assert [post["reply_to"] for post in await client.posts("x")] == [None, first]


async def test_own_posts_come_newest_first_in_pages(client: Client) -> None:
    """A page names the token of the next, until there is none."""
    for n in range(7):
        await client.tweet(f"Nr {n}")
    first = await timeline(client, max_results="5")
    assert texts(first) == ["Nr 6", "Nr 5", "Nr 4", "Nr 3", "Nr 2"]
    token = first.body["meta"]["next_token"]
    rest = await timeline(client, max_results="5", pagination_token=token)
    assert texts(rest) == ["Nr 1", "Nr 0"]
    assert "next_token" not in rest.body["meta"]


async def test_own_posts_can_begin_at_a_time(client: Client, clock: ManualClock) -> None:
    """start_time leaves out what is older; nothing left is a page without data."""
    await client.tweet("alt")
    clock.move(60)
    await client.tweet("neu")
    assert texts(await timeline(client, start_time="2026-11-22T01:49:30Z")) == ["neu"]
    assert texts(await timeline(client, end_time="2026-11-22T01:49:30Z")) == ["alt"]
    later = await timeline(client, start_time="2026-11-22T02:49:30Z")
    assert later.body == {"meta": {"result_count": 0}}


@pytest.mark.parametrize(
    ("spelling", "history"),
    [("post.fields", "edit_history_post_ids"), ("tweet.fields", "edit_history_tweet_ids")],
)
async def test_both_spellings_of_fields_are_understood(
    client: Client, spelling: str, history: str
) -> None:
    """Fields come when asked for, in the spelling that was asked in."""
    identity = (await client.tweet("Feuer")).body["data"]["id"]
    query = {spelling: "created_at,author_id"}
    post = (await timeline(client, **query)).body["data"][0]
    assert post == {
        "id": identity,
        "text": "Feuer",
        "created_at": "2026-11-22T01:49:00.000Z",
        "author_id": await me(client),
        history: [identity],
    }


async def test_answers_count_the_rate_limit_down(client: Client) -> None:
    """Every answer says how much is left of its window, and when the window ends."""
    first, second = await client.tweet("eins"), await client.tweet("zwei")
    assert first.headers["x-rate-limit-limit"] == "100"
    assert first.headers["x-rate-limit-remaining"] == "99"
    assert second.headers["x-rate-limit-remaining"] == "98"
    assert int(second.headers["x-rate-limit-reset"]) % 60 == 0


def test_texts_come_back_as_x_gives_them() -> None:
    """Links are t.co, and three characters are entities."""
    given = shortened("A & B < C: https://example.org/a und b.de")
    assert given.startswith("A &amp; B &lt; C: https://t.co/")
    assert given.count("https://t.co/") == 2
    assert "example" not in given
    assert shortened("Nr. 26-0142/1") == "Nr. 26-0142/1"


APP = {"Authorization": f"Bearer {APP_ONLY}"}


@pytest.mark.parametrize("spelling", DOCUMENTS)
async def test_the_public_sees_what_is_public(client: Client, spelling: str) -> None:
    """App-only: a post with its counts; not what is concealed, altered as it is."""
    identity = (await client.tweet("Feuer in Hörde")).body["data"]["id"]
    await client.tweet("Entwarnung", reply={"in_reply_to_tweet_id": identity})
    path, query = f"/2/tweets/{identity}", {spelling: "public_metrics"}

    async def seen(headers: dict[str, str]) -> Answer:
        found = await client.get("x", path, params=query, headers=headers)
        held(DOCUMENTS[spelling], "get", path, found, **query)
        return found

    assert (await seen(APP)).body["data"]["public_metrics"]["reply_count"] == 1
    place = f"/_sandbox/posts/x/{identity}"
    await client.ask("PUT", place, json={"text": "Etwas anderes"})
    assert (await seen(APP)).body["data"]["text"] == "Etwas anderes"
    await client.ask("PUT", place, json={"concealed": True})
    (problem,) = (await seen(APP)).body["errors"]
    assert problem["type"].endswith("/not-authorized-for-resource")
    assert (await seen(TOKEN)).body["data"]["id"] == identity
    await client.ask("PUT", place, json={"deleted": True})
    (problem,) = (await seen(APP)).body["errors"]
    assert problem["type"].endswith("/resource-not-found")


async def test_an_app_s_token_posts_nothing(client: Client) -> None:
    """It is nobody's: it reads, and tells what was used."""
    assert (await client.post("x", "/2/tweets", json={"text": "x"}, headers=APP)).status == 401
    assert (await client.get("x", "/2/users/me", headers=APP)).status == 401
    await client.tweet("Feuer")
    used = await client.get("x", "/2/usage/tweets", headers=APP)
    held(DOCUMENTS["post.fields"], "get", "/2/usage/tweets", used)
    assert int(used.body["data"]["project_usage"]) >= 1
    assert (await client.get("x", "/2/usage/tweets", headers=TOKEN)).status == 403


async def test_every_answer_has_the_time_of_the_stand_in(client: Client) -> None:
    """A channel that signs compares it with its own; faults have it too."""
    await client.fault("x", "expired-token", on="read")
    for status in (401, 200):
        answer = await client.get("x", "/2/users/me", headers=TOKEN)
        assert (answer.status, answer.headers["Date"]) == (status, "Sun, 22 Nov 2026 01:49:00 GMT")


async def test_who_has_no_credits_left_may_do_nothing(client: Client) -> None:
    """402, as X answers to any request, so that a check can be rehearsed."""
    headers = {"Authorization": "Bearer sandbox-stadt.without-credits"}
    answer = await client.ask("GET", "/x/2/users/me", headers=headers)
    assert (answer.status, answer.body["title"]) == (402, "CreditsDepleted")
