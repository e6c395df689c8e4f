"""Webhooks: signed as Standard Webhooks asks, under one id, in the very bytes that were stored."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from broadcaster.channels import webhook
from broadcaster.config import Timing
from broadcaster.delivery import NeedsPerson, NotSent, Receipt, Rejected, Unknown
from broadcaster.terminal.child import free_port
from tests.channels.stub import (
    NOW,
    Fault,
    Request,
    Stub,
    delivery,
    keep_secret,
    serving,
    setup_for,
)

SHORT = Timing(attempt_seconds=0.4, connect_seconds=0.2)
SECRET = b"a secret of thirty-two bytes ..."
NEXT = b"another one that comes after it."


def written(secret: bytes) -> str:
    """Write a secret as its file holds it."""
    return "whsec_" + base64.b64encode(secret).decode()


def settings(url: str, place: Path, **more: Any) -> webhook.Settings:
    """Give settings with a secret in its file."""
    keep_secret(place, "secret", written(SECRET))
    return webhook.Settings(url=url, secret_file="secret", **more)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a receiver that answers as told."""
    async with serving() as one:
        yield one


@pytest.fixture
async def channel(stub: Stub, tmp_path: Path) -> AsyncIterator[webhook.Webhook]:
    """Give a channel to the receiver."""
    setup = setup_for(tmp_path, "webhook", timing=SHORT)
    one = webhook.build(setup, settings(f"{stub.url}/hooks/alerts?via=city", tmp_path))
    yield one
    await one.close()


def verified(request: Request, secret: bytes) -> bool:
    """Verify as a receiver does, by the text of Standard Webhooks alone."""
    parts = (request.headers["webhook-id"], request.headers["webhook-timestamp"])
    signed = ".".join(parts).encode() + b"." + request.body
    wanted = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    return f"v1,{wanted}" in request.headers["webhook-signature"].split(" ")


async def test_a_receiver_can_verify_what_it_gets(channel: webhook.Webhook, stub: Stub) -> None:
    """Id, time and body are signed with the shared secret."""
    one = delivery()
    assert await channel.send(one) == Receipt(remote_id=None)
    (request,) = stub.requests
    assert verified(request, SECRET)
    assert not verified(request, NEXT)
    assert request.path == "/hooks/alerts?via=city"
    assert request.headers["webhook-id"] == f"msg_{one.key}"
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert request.headers["content-type"] == "application/json"


async def test_the_bytes_are_those_that_were_stored(channel: webhook.Webhook, stub: Stub) -> None:
    """The body is never built again: what was accepted is what goes out."""
    data = '{"b": 1,  "a": "Großbrand in Hörde"}'
    one = delivery()
    assert one.message is not None
    object.__setattr__(one.message, "data", data)
    await channel.send(one)
    assert stub.requests[0].body == data.encode()


async def test_a_repeat_has_the_same_id(channel: webhook.Webhook, stub: Stub) -> None:
    """A receiver that drops known ids takes an alert once, however often it was sent."""
    stub.answer = lambda _: Fault.CLOSE
    one = delivery()
    with pytest.raises(Unknown):
        await channel.send(one)
    assert await channel.find(one) is None
    stub.say(204)
    await channel.send(one)
    first, second = stub.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


async def test_while_a_secret_is_exchanged_both_verify(stub: Stub, tmp_path: Path) -> None:
    """Receivers may change over at any time between: both secrets sign."""
    keep_secret(tmp_path, "next", written(NEXT))
    chosen = settings(stub.url, tmp_path, next_secret_file="next")
    channel = webhook.build(setup_for(tmp_path, "webhook"), chosen)
    await channel.send(delivery())
    await channel.close()
    assert verified(stub.requests[0], SECRET)
    assert verified(stub.requests[0], NEXT)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_a_receipt(channel: webhook.Webhook, stub: Stub, status: int) -> None:
    """A webhook never names what it took: its status is the proof."""
    stub.say(status)
    assert (await channel.send(delivery())).remote_id is None


@pytest.mark.parametrize("fault", [Fault.DRIP_BODY, Fault.CUT_BODY])
async def test_a_2xx_counts_whatever_becomes_of_its_body(
    channel: webhook.Webhook, stub: Stub, fault: Fault
) -> None:
    """The status was read, and a webhook's body says nothing."""
    stub.answer = lambda _: fault
    assert (await channel.send(delivery())).remote_id is None


async def test_a_410_switches_the_channel_off(channel: webhook.Webhook, stub: Stub) -> None:
    """The receiver is gone for good: a person is told, and no more is sent there."""
    stub.say(410)
    with pytest.raises(NeedsPerson, match="410") as caught:
        await channel.send(delivery())
    assert caught.value.switch_off


async def test_a_429_says_when_to_come_back(channel: webhook.Webhook, stub: Stub) -> None:
    """The whole channel waits for as long as the receiver asks."""
    stub.say(429, Retry_After="20")
    with pytest.raises(NotSent) as caught:
        await channel.send(delivery())
    assert caught.value.retry_after == timedelta(seconds=20)
    assert caught.value.rate_limited


@pytest.mark.parametrize("status", [301, 302, 307, 308, 408, 500, 502, 503, 504])
async def test_what_proves_nothing_is_unknown(
    channel: webhook.Webhook, stub: Stub, status: int
) -> None:
    """A redirect or a server's error may come after the alert was taken."""
    stub.say(status, Location="/elsewhere")
    with pytest.raises(Unknown):
        await channel.send(delivery())
    assert len(stub.requests) == 1


async def test_a_delivery_without_data_is_rejected(channel: webhook.Webhook, stub: Stub) -> None:
    """There is nothing to post, and nothing is posted."""
    with pytest.raises(Rejected):
        await channel.send(delivery(message=None))
    assert stub.requests == []


async def test_a_probe_posts_nothing(channel: webhook.Webhook, stub: Stub) -> None:
    """It opens a connection and closes it: no request is made that could be taken for an alert."""
    assert (await channel.probe()).ready
    while stub.open:
        await asyncio.sleep(0)
    assert stub.requests == []


async def test_a_probe_tells_that_nobody_is_there(tmp_path: Path) -> None:
    """A receiver that cannot be reached is not ready, and a person reads what to do."""
    chosen = settings(f"http://127.0.0.1:{free_port()}", tmp_path)
    found = await webhook.build(setup_for(tmp_path, "webhook"), chosen).probe()
    assert not found.ready
    assert found.remedy


async def test_a_probe_tells_that_tls_fails(stub: Stub, tmp_path: Path) -> None:
    """A receiver without TLS where https is set is not ready, and gets no request."""
    chosen = settings(stub.url.replace("http:", "https:"), tmp_path)
    found = await webhook.build(setup_for(tmp_path, "webhook", timing=SHORT), chosen).probe()
    assert not found.ready
    assert stub.requests == []


async def test_a_webhook_cannot_be_taken_back(channel: webhook.Webhook) -> None:
    """A receiver acted on it long ago."""
    with pytest.raises(Rejected):
        await channel.retract(Receipt(remote_id=None))


async def test_base_url_stands_for_the_receivers_address(stub: Stub, tmp_path: Path) -> None:
    """A sandbox takes the place of the server; path and query stay."""
    url = "https://fire.example.org/hooks?kind=alert"
    chosen = settings(url, tmp_path, base_url=f"{stub.url}/webhook/")
    channel = webhook.build(setup_for(tmp_path, "webhook"), chosen)
    await channel.send(delivery())
    await channel.close()
    assert stub.requests[0].path == "/webhook/hooks?kind=alert"


BAD_URLS = [
    "fire.example.org/hooks",
    "ftp://fire.example.org/",
    "https://user:hidden@fire.example.org/",
    "https://user@fire.example.org/",
    "https:///hooks",
    "https://fire.example.org:99999/",
    "https://fire.example.org/#part",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_an_address_that_cannot_be_is_refused(url: str) -> None:
    """The daemon does not start with it; and what might be a password is not repeated."""
    with pytest.raises(ValidationError) as caught:
        webhook.Settings(url=url, secret_file="secret")
    assert "hidden" not in str(caught.value)


BAD_SECRETS = [
    "plain text",
    base64.b64encode(SECRET).decode(),
    "whsec_",
    "whsec_not base64!",
    written(b"x" * 23),
    written(b"x" * 65),
    "x" + written(SECRET),
]


@pytest.mark.parametrize("text", BAD_SECRETS)
def test_a_secret_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    """The sentence names the file and the rule, never what the file holds."""
    chosen = settings("https://fire.example.org/", tmp_path)
    keep_secret(tmp_path, "secret", text)
    with pytest.raises(ValueError, match="secret") as caught:
        webhook.build(setup_for(tmp_path, "webhook"), chosen)
    assert text not in str(caught.value)


@pytest.mark.parametrize("length", [24, 64])
def test_secrets_of_the_allowed_lengths_are_taken(length: int, tmp_path: Path) -> None:
    """24 to 64 bytes, as Standard Webhooks says."""
    chosen = settings("https://fire.example.org/", tmp_path)
    keep_secret(tmp_path, "secret", written(b"x" * length))
    assert webhook.build(setup_for(tmp_path, "webhook"), chosen).account


def test_an_account_tells_receivers_apart_and_hides_a_query(tmp_path: Path) -> None:
    """Two queries are two receivers; what a query holds may be a token."""
    accounts = [
        webhook.build(
            setup_for(tmp_path, "webhook"),
            settings(f"https://fire.example.org/hooks{query}", tmp_path),
        ).account
        for query in ("", "?token=one", "?token=two")
    ]
    assert len(set(accounts)) == 3
    assert "one" not in json.dumps(accounts)


async def test_keeping_warm_posts_nothing_and_pays_the_handshake_before(
    channel: webhook.Webhook, stub: Stub
) -> None:
    """A HEAD of the receiver's host, unsigned; the post after it comes on the same connection."""
    await channel.warm()
    await channel.send(delivery())
    assert [(one.method, one.path) for one in stub.requests] == [
        ("HEAD", "/"),
        ("POST", "/hooks/alerts?via=city"),
    ]
    assert "webhook-signature" not in stub.requests[0].headers
    assert stub.connections == 1


async def test_keeping_warm_fails_quietly(tmp_path: Path) -> None:
    """A receiver that is away is told of by the probe, not by this."""
    setup = setup_for(tmp_path, "webhook", timing=SHORT)
    away = f"http://127.0.0.1:{free_port()}/"
    one = webhook.build(setup, settings(away, tmp_path))
    await one.warm()
    await one.close()
