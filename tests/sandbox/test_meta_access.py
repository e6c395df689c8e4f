"""Tokens of the Threads and Instagram stand-ins: what they open, and how they are renewed."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from broadcaster.sandbox.meta_access import APP_ID, APP_SECRET, access_of
from tests.kit import ManualClock
from tests.sandbox.client import Answer, Client

TOKEN = "sandbox-stadt-dortmund"
BACK = "http://127.0.0.1:9/back"
NETWORKS = [("threads", "th"), ("instagram", "ig")]


def test_a_token_is_an_account_and_its_marks() -> None:
    """What stands behind the dots makes another token of the same account."""
    plain, marked = access_of(TOKEN), access_of(f"{TOKEN}.full.without-threads_delete.t1763776000")
    assert plain is not None
    assert marked is not None
    assert plain.account == marked.account
    assert marked.lacks("threads_delete")
    assert not plain.lacks("threads_delete")
    assert marked.given_out == datetime.fromtimestamp(1_763_776_000, UTC)
    assert plain.given_out is None
    assert access_of(f"{TOKEN}.expired").valid is False  # type: ignore[union-attr]


@pytest.mark.parametrize("token", ["", "EAAB", "sandbox-", f"{TOKEN}.", f"{TOKEN}. x", "Sandbox-a"])
def test_nothing_else_is_a_token(token: str) -> None:
    """A real token by mistake opens nothing here."""
    assert access_of(token) is None


async def renewed(client: Client, network: str, words: str, token: str) -> Answer:
    """Ask for sixty days more."""
    query = {"grant_type": f"{words}_refresh_token", "access_token": token}
    return await client.get(network, "/refresh_access_token", params=query)


@pytest.mark.parametrize(("network", "words"), NETWORKS)
async def test_a_token_is_renewed_from_its_second_day_on(
    network: str, words: str, client: Client, clock: ManualClock
) -> None:
    """For sixty days more; a younger one, one that is over, and a strange grant are refused."""
    first = await renewed(client, network, words, TOKEN)
    assert first.body["expires_in"] == 5_184_000
    token = first.body["access_token"]
    assert token != TOKEN
    assert (await renewed(client, network, words, token)).status == 400
    clock.move(24 * 3600)
    second = await renewed(client, network, words, token)
    assert second.body["access_token"] not in {TOKEN, token}
    assert (await renewed(client, network, words, f"{TOKEN}.expired")).status == 400
    assert (await renewed(client, network, "fb", TOKEN)).status == 400


@pytest.mark.parametrize(("network", "words"), NETWORKS)
async def test_a_code_becomes_a_token_of_an_hour_and_then_of_sixty_days(
    network: str, words: str, client: Client
) -> None:
    """By the steps that Meta asks for, with the app's own id and secret."""
    asked = {"client_id": APP_ID, "redirect_uri": BACK, "state": "s1"}
    led = await client.get(network, "/oauth/authorize", params=asked)
    place = urlsplit(led.headers["Location"])
    code = parse_qs(place.query)["code"][0]
    app = {"client_id": APP_ID, "client_secret": APP_SECRET}
    form = app | {"code": code, "redirect_uri": BACK, "grant_type": "authorization_code"}
    short = (await client.post(network, "/oauth/access_token", data=form)).body["access_token"]
    query = {"grant_type": f"{words}_exchange_token", "client_secret": APP_SECRET}
    long = await client.get(network, "/access_token", params=query | {"access_token": short})
    assert long.body["expires_in"] == 5_184_000
    for wrong in (
        query | {"access_token": TOKEN},
        query | {"access_token": short, "client_secret": "x"},
        query | {"access_token": short, "grant_type": "x"},
    ):
        assert (await client.get(network, "/access_token", params=wrong)).status == 400
    for spoilt in ({"client_secret": "x"}, {"code": "x"}, {"grant_type": "x"}):
        answer = await client.post(network, "/oauth/access_token", data=form | spoilt)
        assert answer.status == 400


@pytest.mark.parametrize("redirect", ["https://elsewhere.example/", "", "http://127.0.0.1.evil/"])
async def test_nobody_is_led_off_this_machine(redirect: str, client: Client) -> None:
    """Not even by an app of the sandbox."""
    asked = {"client_id": APP_ID, "redirect_uri": redirect}
    assert (await client.get("threads", "/oauth/authorize", params=asked)).status == 400
