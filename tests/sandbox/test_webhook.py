"""Receivers of webhooks and on-call phones."""

from __future__ import annotations

import base64
import json

import pytest

from broadcaster.sandbox import SANDBOX_WEBHOOK_SECRET
from broadcaster.sandbox.webhook import signature
from tests.kit import ManualClock
from tests.sandbox.client import Answer, Client

BODY = json.dumps(
    {"type": "alert.issued", "data": {"reference": "26-1/1", "info": [{"language": "de"}]}}
).encode()


async def send(client: Client, path: str = "/fire-brigade", **headers: str) -> Answer:
    """Post the event with these webhook- headers."""
    named = {f"webhook-{name}": value for name, value in headers.items()}
    return await client.post("webhook", path, data=BODY, headers=named)


def good(clock: ManualClock, seconds: int = 0) -> dict[str, str]:
    """Return the headers of a good signature made some seconds ago."""
    timestamp = str(int(clock.now().timestamp()) - seconds)
    return {"id": "m1", "timestamp": timestamp, "signature": signature("m1", timestamp, BODY)}


def test_the_signature_is_standard_webhooks() -> None:
    """HMAC-SHA256 over id, timestamp and body, as the standard's own example computes it."""
    import hashlib
    import hmac

    secret = base64.b64decode(SANDBOX_WEBHOOK_SECRET.removeprefix("whsec_"))
    assert secret.startswith(b"sandbox-")
    assert 24 <= len(secret) <= 64
    digest = hmac.new(secret, b"m1.17.{}", hashlib.sha256).digest()
    assert signature("m1", "17", b"{}") == "v1," + base64.b64encode(digest).decode()


async def test_a_signed_event_is_verified(client: Client, clock: ManualClock) -> None:
    """The post says that the signature was right, who received it, and in what language."""
    assert (await send(client, **good(clock))).status == 200
    (post,) = await client.posts("webhook")
    assert post["verified"] is True
    assert post["receiver"] == "fire-brigade"
    assert post["key"] == "m1"
    assert post["language"] == "de"
    assert json.loads(post["text"]) == json.loads(BODY)


@pytest.mark.parametrize(
    "change",
    [
        {"signature": "v1,AAAA"},
        {"signature": ""},
        {"signature": "ü"},
        {"timestamp": "17"},
        {"timestamp": "x"},
        {"id": "m2"},
    ],
)
async def test_a_wrong_signature_is_shown_as_such(
    client: Client, clock: ManualClock, change: dict[str, str]
) -> None:
    """The receiver takes it, so that one can look at it, and marks it not verified."""
    headers = {k: v.encode().decode("latin-1") for k, v in (good(clock) | change).items()}
    assert (await send(client, **headers)).status == 200
    assert (await client.posts("webhook"))[0]["verified"] is False


async def test_one_good_signature_of_several_is_enough(client: Client, clock: ManualClock) -> None:
    """While a secret is exchanged there are two signatures."""
    headers = good(clock)
    headers["signature"] = f"v1,AAAA {headers['signature']}"
    await send(client, **headers)
    assert (await client.posts("webhook"))[0]["verified"] is True


async def test_a_signature_holds_for_five_minutes(client: Client, clock: ManualClock) -> None:
    """An old signature is no proof."""
    await send(client, **good(clock, seconds=301))
    assert (await client.posts("webhook"))[0]["verified"] is False


async def test_a_repeat_of_an_id_is_dropped(client: Client, clock: ManualClock) -> None:
    """The receiver answers 200 again and keeps one; another receiver has its own ids."""
    for path in ("/fire-brigade", "/fire-brigade", "", "/thw"):
        assert (await send(client, path, **good(clock))).status == 200
    receivers = [post["receiver"] for post in await client.posts("webhook")]
    assert receivers == ["fire-brigade", "webhook", "thw"]
    counts = (await client.ask("GET", "/_sandbox/requests", params={"network": "webhook"})).body
    assert (counts["creates"], counts["distinct_keys"], counts["repeats"]) == (4, 3, 1)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b'"x"'])
async def test_what_is_no_object_is_refused(client: Client, data: bytes) -> None:
    """Standard Webhooks carry a JSON object."""
    answer = await client.post("webhook", "/fire-brigade", data=data)
    assert answer.status == 400
    assert await client.posts("webhook") == []
