"""Cards over HTTP: served by their content's hash, and shown before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import aiohttp
import pytest

from broadcaster.channels import LANDSCAPE, PORTRAIT, card_path
from tests.web.door import Door, alert, info

PNG = b"\x89PNG\r\n\x1a\n"


async def fetch(door: Door, path: str, method: str = "GET") -> tuple[int, bytes, dict[str, str]]:
    """Ask for bytes, without a key."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, door.url + path) as answer,
    ):
        return answer.status, await answer.read(), dict(answer.headers)


async def test_a_drawn_card_is_served_to_everybody_and_for_ever(door: Door) -> None:
    """Networks fetch it without a key; its name is its content, so it may be kept."""
    data = PNG + b"picture"
    digest = sha256(data).hexdigest()
    path = card_path(door.socket.parent, digest, "image/png")
    path.parent.mkdir()
    path.write_bytes(data)
    status, body, headers = await fetch(door, f"/cards/{digest}.png")
    assert (status, body) == (200, data)
    assert headers["Content-Type"] == "image/png"
    assert "immutable" in headers["Cache-Control"]
    status, body, _ = await fetch(door, f"/cards/{digest}.png", "HEAD")
    assert (status, body) == (200, b"")
    ranged = {"Range": "bytes=0-"}
    async with door.http.get(f"{door.url}/cards/{digest}.png", headers=ranged) as answer:
        assert (answer.status, await answer.read()) == (200, data)


@pytest.mark.parametrize(
    "name", ["0" * 64 + ".png", "x.png", "0" * 64, "..%2f..%2fsecret", "0" * 64 + ".gif", "%00"]
)
async def test_what_is_no_card_is_not_found(door: Door, name: str) -> None:
    """No other file can be had by this way."""
    status, body, _ = await fetch(door, f"/cards/{name}")
    assert status in {400, 404}
    assert b"problem" in body or b"unknown-card" in body or b"status" in body


async def test_a_preview_draws_the_card_and_stores_nothing(door: Door) -> None:
    """The office sees the picture of the words it is about to send, in the form of a channel."""
    door.channels["city"].picture = LANDSCAPE
    door.channels["crisis"].picture = replace(PORTRAIT, kind="image/jpeg")
    shown = {}
    for channel in ("city", "crisis"):
        async with door.http.post(
            f"{door.url}/v1/preview/card?channel={channel}&part=de",
            json=alert(),
            headers={"Authorization": door.bearer()},
        ) as answer:
            assert answer.status == 200
            shown[channel] = (answer.content_type, await answer.read())
    assert shown["city"][0] == "image/png"
    assert shown["city"][1].startswith(PNG)
    assert shown["crisis"][0] == "image/jpeg"
    assert shown["crisis"][1].startswith(b"\xff\xd8")
    assert await door.store.alerts() == []


@pytest.mark.parametrize("query", ["?channel=nobody", "?part=fr", "?channel=city&part=en"])
async def test_where_there_is_no_card_it_is_said(door: Door, query: str) -> None:
    """An unknown channel or a language the alert does not speak is a 404."""
    door.channels["city"].picture = LANDSCAPE
    status, body, _ = await door.ask("POST", f"/v1/preview/card{query}", body=alert())
    assert (status, body["code"]) == (404, "no-card")


async def test_a_card_that_cannot_be_drawn_is_explained(door: Door) -> None:
    """A character that no font has is named, before the night in which it matters."""
    door.channels["city"].picture = LANDSCAPE
    body = alert(info=[info(event="Brand \N{CJK UNIFIED IDEOGRAPH-706B}")])
    status, shown, _ = await door.ask("POST", "/v1/preview/card", body=body)
    assert (status, shown["code"]) == (422, "card-unfit")
    assert "U+706B" in shown["detail"]


async def test_a_bad_alert_is_refused_as_by_the_preview(door: Door) -> None:
    """All faults at once, each with a pointer."""
    status, shown, _ = await door.ask("POST", "/v1/preview/card", body={"status": "Actual"})
    assert status == 422
    assert {one["pointer"] for one in shown["errors"]} >= {"/sender", "/msgType"}
