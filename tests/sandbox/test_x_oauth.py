"""OAuth 2.0 on the X stand-in: consent, and tokens that rotate."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qsl, urlsplit

from broadcaster.sandbox.x_oauth import CLIENT_ID
from tests.kit import ManualClock
from tests.sandbox.client import TOKEN, Answer, Client


async def agreed(client: Client, verifier: str) -> str:
    """Agree as a person does, and return the code."""
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": "http://127.0.0.1:8400/callback",
        "state": "s",
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
    }
    led = await client.get("x", "/2/oauth2/authorize", params=query)
    assert led.status == 302
    assert dict(parse_qsl(urlsplit(led.headers["Location"]).query))["state"] == "s"
    return dict(parse_qsl(urlsplit(led.headers["Location"]).query))["code"]


async def token(client: Client, **form: str) -> Answer:
    """Ask for tokens."""
    return await client.post("x", "/2/oauth2/token", data={"client_id": CLIENT_ID} | form)


async def test_tokens_rotate(client: Client, clock: ManualClock) -> None:
    """A code once, with its verifier; a refresh token once; two hours; always the same account."""
    code = await agreed(client, "verifier")
    given = {"grant_type": "authorization_code", "code": code, "code_verifier": "verifier"}
    first = (await token(client, **given)).body
    assert (await token(client, **given)).status == 400
    renewal = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = (await token(client, **renewal)).body
    assert (await token(client, **renewal)).status == 400
    numbers = set()
    held_by = [{"Authorization": f"Bearer {one['access_token']}"} for one in (first, second)]
    for headers in (TOKEN, *held_by):
        answer = await client.get("x", "/2/users/me", headers=headers)
        numbers.add(answer.body["data"]["id"])
    assert len(numbers) == 1
    clock.move(7_201)
    over = {"Authorization": f"Bearer {second['access_token']}"}
    assert (await client.get("x", "/2/users/me", headers=over)).status == 401
    invented = {"Authorization": f"{TOKEN['Authorization']}~mine"}
    assert (await client.get("x", "/2/users/me", headers=invented)).status == 401


async def test_a_code_needs_its_verifier_and_its_app(client: Client) -> None:
    """What was overheard on the way is of no use."""
    given = {"grant_type": "authorization_code", "code": await agreed(client, "verifier")}
    assert (await token(client, **given, code_verifier="another")).status == 400
    given["code"] = await agreed(client, "verifier")
    other = await token(client, **given, code_verifier="verifier", client_id="other")
    assert other.status == 400
    assert (await client.get("x", "/2/oauth2/authorize")).status == 400
