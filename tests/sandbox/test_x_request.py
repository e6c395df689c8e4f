"""What X's stand-in refuses in a request, and whose signature it takes."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlencode

import pytest
from oauthlib import oauth1

from broadcaster.sandbox.x_request import CONSUMER_KEY
from tests.sandbox.client import TOKEN, Answer, Client


async def timeline(client: Client, **query: str) -> Answer:
    """Read own posts."""
    me = (await client.get("x", "/2/users/me", headers=TOKEN)).body["data"]["id"]
    return await client.get("x", f"/2/users/{me}/tweets", params=query, headers=TOKEN)


def signed(
    method: Literal["GET", "POST"],
    url: str,
    *,
    account: str = "sandbox-stadt",
    secret: str | None = None,
) -> dict[str, str]:
    """Sign a request as the channel does."""
    client = oauth1.Client(
        CONSUMER_KEY,
        client_secret=f"{CONSUMER_KEY}-secret",
        resource_owner_key=account,
        resource_owner_secret=secret or f"{account}-secret",
    )
    _, headers, _ = client.sign(url, http_method=method)
    return dict(headers)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"text": "x", "media": {"media_ids": ["1880028106020515840"]}}, 400),  # nobody's
        ({"text": "x", "reply_settings": "following", "made_with_ai": False}, 201),
        ({"text": "x", "reply_settings": "everyone"}, 400),
        ({"text": "x", "media": {"media_ids": []}}, 400),
        ({"text": "x", "media": {"media_ids": ["1"] * 5}}, 400),
        ({"text": "x", "media": {"ids": ["1"]}}, 400),
        ({"text": "x", "reply": {"in_reply_to_tweet_id": 17}}, 400),
        ({"text": "x", "language": "de"}, 400),
        ({"status": "x"}, 400),
        ({"text": ""}, 400),
        ({"text": 1}, 400),
        ({}, 400),
        ([], 400),
    ],
)
async def test_a_body_is_held_against_the_document(
    client: Client, body: object, status: int
) -> None:
    """Unknown fields are refused, as X refuses them."""
    answer = await client.post("x", "/2/tweets", json=body, headers=TOKEN)
    assert answer.status == status


@pytest.mark.parametrize(
    "query",
    [
        {"max_results": "4"},
        {"max_results": "101"},
        {"max_results": "x"},
        {"start_time": "gestern"},
        {"pagination_token": "!"},
    ],
)
async def test_a_query_that_is_wrong_is_an_invalid_request(
    client: Client, query: dict[str, str]
) -> None:
    """X says which requests it does not take."""
    answer = await timeline(client, **query)
    assert (answer.status, answer.body["title"]) == (400, "Invalid Request")


async def test_a_signed_request_is_checked(client: Client) -> None:
    """Under the sandbox's consumer key the signature must be right, query included."""
    base = f"{client.sandbox.url}/x"
    url = f"{base}/2/tweets"
    good = signed("POST", url)
    assert (await client.ask("POST", url, json={"text": "Hörde"}, headers=good)).status == 201
    user = await client.ask(
        "GET", f"{base}/2/users/me", headers=signed("GET", f"{base}/2/users/me")
    )
    query = {"start_time": "2026-11-22T01:00:00Z", "post.fields": "created_at,text"}
    own = f"{base}/2/users/{user.body['data']['id']}/tweets?{urlencode(query)}"
    listed = await client.ask("GET", own, headers=signed("GET", own))
    assert [post["text"] for post in listed.body["data"]] == ["Hörde"]
    for bad in (
        signed("POST", url, secret="wrong"),
        signed("GET", url),
        signed("POST", f"{url}?a=1"),
        signed("POST", url, account="real-account"),
    ):
        answer = await client.ask("POST", url, json={"text": "x"}, headers=bad)
        assert (answer.status, answer.body["title"]) == (401, "Unauthorized")


async def test_other_sandbox_keys_are_taken_unchecked(client: Client) -> None:
    """A secret that the sandbox does not know cannot be checked; the names must still begin so."""
    url = f"{client.sandbox.url}/x/2/tweets"

    def header(consumer: str, token: str) -> dict[str, str]:
        signer = oauth1.Client(consumer, "any", resource_owner_key=token, resource_owner_secret="x")
        return dict(signer.sign(url, http_method="POST")[1])

    for consumer, token, status in [
        ("sandbox-other", "sandbox-city", 201),
        ("real", "sandbox-city", 401),
        ("sandbox-other", "real", 401),
    ]:
        headers = header(consumer, token)
        answer = await client.ask("POST", url, json={"text": "hi"}, headers=headers)
        assert answer.status == status
