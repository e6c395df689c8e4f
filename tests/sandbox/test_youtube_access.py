"""Who may use the YouTube stand-in: tokens, codes, keys, and the quota."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from broadcaster.sandbox.youtube_access import CLIENT_ID
from tests.kit import ManualClock
from tests.sandbox.client import Client
from tests.sandbox.youtube_client import (
    SNIPPET,
    VIDEOS,
    project,
    read,
    token,
    uploaded,
)


@pytest.fixture
async def auth(client: Client) -> dict[str, str]:
    """Give the header of a good token."""
    return {"Authorization": f"Bearer {(await token(client)).body['access_token']}"}


async def test_an_access_token_lives_an_hour_and_a_refresh_token_seven_days_in_testing(
    client: Client, auth: dict[str, str], clock: ManualClock
) -> None:
    """While the consent screen is in testing Google says so with every token."""
    mine = {"part": "snippet", "mine": "true"}
    assert (await read(client, "/youtube/v3/channels", auth, **mine)).status == 200
    clock.move(3600)
    assert (await read(client, "/youtube/v3/channels", auth, **mine)).status == 401
    assert "refresh_token_expires_in" not in (await token(client)).body
    await project(client, published=False)
    assert (await token(client)).body["refresh_token_expires_in"] == 7 * 86_400 - 3600
    clock.move(7 * 86_400)
    dead = await token(client)
    assert (dead.status, dead.body["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"refresh_token": "not-ours"}, 400, "invalid_grant"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ],
)
async def test_tokens_are_given_to_those_who_may_have_them(
    client: Client, change: dict[str, str], status: int, word: str
) -> None:
    """Google's own words for a wrong client, a dead token and another flow."""
    answer = await token(client, **change)
    assert (answer.status, answer.body["error"]) == (status, word)


async def test_a_person_agrees_and_the_code_is_good_once(client: Client) -> None:
    """The consent page sends a code back; it needs the verifier whose hash was shown."""
    query = {
        "client_id": CLIENT_ID,
        "response_type": "code",
        "redirect_uri": "http://127.0.0.1:9/cb",
        "state": "s1",
        # RFC 7636, appendix B
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    }
    back = await client.get("youtube", "/o/oauth2/v2/auth", params=query)
    came = {
        name: one[0] for name, one in parse_qs(urlsplit(back.headers["Location"]).query).items()
    }
    assert came["state"] == "s1"
    form = {
        "grant_type": "authorization_code",
        "code": came["code"],
        "redirect_uri": query["redirect_uri"],
        "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    }
    good = await token(client, **form)
    assert good.body["refresh_token"].startswith("sandbox-")
    assert (await token(client, **form)).body["error"] == "invalid_grant"


async def test_a_quota_that_is_used_up_is_said(client: Client, auth: dict[str, str]) -> None:
    """A read costs one unit, a change fifty."""
    video = await uploaded(client, auth)
    await project(client, units=51)
    query = {"part": "snippet", "id": video["id"]}
    assert (await read(client, VIDEOS, None, **query)).status == 200
    body = {"id": video["id"], "snippet": SNIPPET}
    url = f"/youtube{VIDEOS}?part=snippet"
    assert (await client.ask("PUT", url, json=body, headers=auth)).status == 200
    refused = await read(client, VIDEOS, None, **query)
    assert (refused.status, refused.body["error"]["errors"][0]["reason"]) == (403, "quotaExceeded")


async def test_a_key_that_is_none_is_refused(client: Client) -> None:
    """Neither a wrong key nor no key at all reads anything."""
    wrong = await client.get("youtube", VIDEOS, params={"part": "status", "id": "a", "key": "x"})
    none = await client.get("youtube", VIDEOS, params={"part": "status", "id": "a"})
    assert (wrong.status, none.status) == (400, 401)


@pytest.mark.parametrize("body", [{"audited": "perhaps"}, {"other": 1}, {"units": -1}])
async def test_a_switch_that_is_none_is_refused(client: Client, body: dict[str, Any]) -> None:
    """What is not understood changes nothing."""
    assert (await client.ask("PUT", "/youtube/_project", json=body)).status == 422
