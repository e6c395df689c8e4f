"""Who may use the LinkedIn stand-in, in which version, and how a token is renewed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from broadcaster.sandbox.linkedin_access import CLIENT_ID, CLIENT_SECRET, newest_version
from tests.kit import ManualClock
from tests.sandbox.client import Answer, Client
from tests.sandbox.linkedin_client import ask, own, post

APP = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
REFRESH = {"grant_type": "refresh_token", "refresh_token": "sandbox-stadt-dortmund.refresh"}


@pytest.mark.parametrize(
    ("version", "status", "code"),
    [
        ("202611", 200, None),
        ("202512", 200, None),
        ("202511", 426, "NONEXISTENT_VERSION"),
        ("202401", 426, "NONEXISTENT_VERSION"),
        ("202612", 426, "NONEXISTENT_VERSION"),
        ("202600", 426, "NONEXISTENT_VERSION"),
        ("latest", 426, "NONEXISTENT_VERSION"),
        (None, 400, "VERSION_MISSING"),
        ("", 400, "VERSION_MISSING"),
    ],
)
async def test_a_version_is_served_for_a_year(
    client: Client, version: str | None, status: int, code: str | None
) -> None:
    """There is no default, and none of the future."""
    answer = await own(client, LinkedIn_Version=version)
    assert answer.status == status
    assert code is None or answer.body["code"] == code


async def test_a_version_ends_in_the_middle_of_a_month(client: Client, clock: ManualClock) -> None:
    """On the 15th, a year after it came."""
    clock.wall = datetime(2026, 11, 14, 23, tzinfo=UTC)
    assert (await own(client, LinkedIn_Version="202511")).status == 200
    clock.move(3600)
    assert (await own(client, LinkedIn_Version="202511")).status == 426


def test_a_new_channel_takes_last_months_version() -> None:
    """Also in January."""
    assert newest_version(datetime(2027, 1, 31, tzinfo=UTC)) == "202612"


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        (None, 401, "EMPTY_ACCESS_TOKEN"),
        ("Bearer ", 401, "EMPTY_ACCESS_TOKEN"),
        ("Bearer other", 401, "INVALID_ACCESS_TOKEN"),
        ("Bearer sandbox-stadt-dortmund.refresh", 401, "INVALID_ACCESS_TOKEN"),
        ("Bearer sandbox-stadt-dortmund.expired", 401, "EXPIRED_ACCESS_TOKEN"),
        ("Bearer sandbox-stadt-dortmund.without-w_organization_social", 403, "ACCESS_DENIED"),
        ("Bearer sandbox-stadt-dortmund.7", 201, None),
    ],
)
async def test_only_a_good_token_with_its_permission_posts(
    client: Client, token: str | None, status: int, code: str | None
) -> None:
    """Reading and writing are granted apart."""
    body = {"Authorization": token}
    author = (await post(client, "Feuer")).headers["x-restli-id"]
    assert author
    draft: dict[str, Any] = (await own(client)).body["elements"][0]
    fresh = {
        "author": draft["author"],
        "commentary": "Wasser",
        "visibility": "PUBLIC",
        "distribution": {},
        "lifecycleState": "PUBLISHED",
    }
    answer = await ask(client, "POST", "/rest/posts", fresh, **body)
    assert answer.status == status
    assert code is None or answer.body["code"] == code


async def test_reading_needs_its_own_permission(client: Client) -> None:
    """Without it a lost answer could not be looked up."""
    token = "Bearer sandbox-stadt-dortmund.without-r_organization_social"
    assert (await own(client, Authorization=token)).status == 403


async def test_rest_li_is_particular(client: Client) -> None:
    """Its protocol version must be named, URNs encoded, and a body be JSON."""
    assert (await own(client, X_Restli_Protocol_Version=None)).status == 400
    bare = await ask(client, "GET", "/rest/posts/urn:li:share:1")
    assert (bare.status, "path variables" in bare.body["message"]) == (400, True)
    assert (await ask(client, "POST", "/rest/posts", ["no object"])).status == 400


async def token(client: Client, **form: str) -> Answer:
    """Ask the token endpoint."""
    return await client.post("linkedin", "/oauth/v2/accessToken", data=form)


async def test_a_refresh_token_gives_new_tokens_for_a_year(
    client: Client, clock: ManualClock
) -> None:
    """Each lasts 60 days; the year of the refresh token is never extended."""
    first = (await token(client, **APP, **REFRESH)).body
    assert (first["expires_in"], first["refresh_token_expires_in"]) == (5_184_000, 31_536_000)
    answer = await own(client, Authorization=f"Bearer {first['access_token']}")
    assert answer.status == 200
    clock.move(100 * 86_400)
    second = (await token(client, **APP, **REFRESH)).body
    assert second["access_token"] != first["access_token"]
    assert second["refresh_token"] == REFRESH["refresh_token"]
    assert second["refresh_token_expires_in"] == 265 * 86_400
    clock.move(265 * 86_400)
    over = await token(client, **APP, **REFRESH)
    assert (over.status, over.body["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "other"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "invalid_request"),
        ({"refresh_token": "other"}, 400, "invalid_request"),
        ({"refresh_token": "sandbox-stadt-dortmund"}, 400, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "x"}, 400, "invalid_request"),
    ],
)
async def test_a_wrong_request_gives_no_token(
    client: Client, change: dict[str, str], status: int, error: str
) -> None:
    """In the words of OAuth."""
    refused = await token(client, **(APP | REFRESH | change))
    assert (refused.status, refused.body["error"]) == (status, error)


async def test_a_person_agrees_and_is_led_back(client: Client) -> None:
    """With a code that becomes a token of the page; never to another machine."""
    back = "http://127.0.0.1:8/back"
    query = {"client_id": CLIENT_ID, "redirect_uri": back, "state": "s1", "response_type": "code"}
    agreed = await client.get("linkedin", "/oauth/v2/authorization", params=query)
    assert agreed.status == 302
    led = dict(parse_qsl(urlsplit(agreed.headers["Location"]).query))
    assert led["state"] == "s1"
    form = {"grant_type": "authorization_code", "code": led["code"], "redirect_uri": back}
    given = (await token(client, **APP, **form)).body
    answer = await own(client, Authorization=f"Bearer {given['access_token']}")
    assert answer.status == 200
    away = query | {"redirect_uri": "http://example.org/"}
    refused = await client.get("linkedin", "/oauth/v2/authorization", params=away)
    assert refused.status == 400
