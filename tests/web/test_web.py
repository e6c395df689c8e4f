"""The order at the door: form, key, role, and only then the body."""

from __future__ import annotations

import asyncio

import pytest

from tests.web.door import Door, alert


@pytest.mark.parametrize(
    ("key", "method", "path", "status"),
    [
        ("reader", "GET", "/v1/alerts", 200),
        ("reader", "GET", "/v1/channels", 200),
        ("reader", "POST", "/v1/alerts", 403),
        ("reader", "POST", "/v1/preview", 403),
        ("reader", "POST", "/v1/alerts/x/cancel", 403),
        ("office", "POST", "/v1/alerts/x/deliveries/y/retry", 403),
        ("office", "POST", "/v1/alerts/x/deliveries/y/confirm", 403),
        ("office", "POST", "/v1/alerts/x/deliveries/y/retract", 403),
        ("approver", "POST", "/v1/alerts/x/deliveries/y/retry", 404),
        ("approver", "GET", "/v1/alerts", 200),
        (None, "GET", "/v1/alerts", 401),
        (None, "GET", "/v1/channels", 401),
        (None, "GET", "/metrics", 401),
        (None, "GET", "/openapi.json", 200),
    ],
)
async def test_each_role_includes_the_ones_before_it(
    door: Door, key: str | None, method: str, path: str, status: int
) -> None:
    """Read, trigger, approve; and what is open is open."""
    assert (await door.ask(method, path, key=key))[0] == status


async def test_a_good_key_does_not_wait_behind_bad_ones(door: Door) -> None:
    """However many guess at the same time."""
    guesses = [
        asyncio.ensure_future(
            door.ask("GET", "/v1/alerts", key=None, headers={"Authorization": "Bearer x"})
        )
        for _ in range(20)
    ]
    await asyncio.sleep(0.01)
    status, _, _ = await door.ask("POST", "/v1/alerts", body=alert())
    assert status == 202
    refused = await asyncio.gather(*guesses)
    assert {status for status, _, _ in refused} <= {401, 429}


async def test_what_is_not_built_yet_does_not_exist(door: Door) -> None:
    """Webhooks in, public pages, a dashboard: 404, and absent from the description."""
    _, document, _ = await door.ask("GET", "/openapi.json", key=None)
    for path in ("/v1/hooks/fire", "/", "/p/26-0001", "/feed.atom", "/banner.js"):
        assert (await door.ask("GET", path))[0] == 404
        assert path not in document["paths"]
    assert not any(path.startswith(("/v1/hooks", "/control")) for path in document["paths"])
