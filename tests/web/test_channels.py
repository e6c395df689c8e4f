"""The list of channels: rule, account, readiness."""

from __future__ import annotations

from broadcaster.delivery import Readiness
from tests.web.door import Door


async def test_a_channel_shows_its_rule_and_whether_it_would_post(door: Door) -> None:
    """What it carries, who it is bound to, and what to do if it is not ready."""
    found = Readiness(False, "the token was revoked", "make a new one", account="@stadt")
    await door.store.probed("city", found, {})
    status, shown, _ = await door.ask("GET", "/v1/channels", key="reader")
    assert status == 200
    city, crisis, _ = shown["channels"]
    assert city["readiness"]["account"] == "@stadt"
    assert city["readiness"]["ready"] is False
    assert city["readiness"]["remedy"] == "make a new one"
    assert crisis["carries"] == {"status": ["Actual"], "severity": ["Extreme", "Severe"]}
    assert crisis["posts_per_day_max"] == 20
    assert crisis["readiness"]["ready"] is None


async def test_a_channel_that_is_no_longer_configured_is_not_listed(door: Door) -> None:
    """The store remembers it; nobody can use it."""
    await door.store.know_channels({"gone": "fake"})
    _, shown, _ = await door.ask("GET", "/v1/channels")
    assert "gone" not in {channel["name"] for channel in shown["channels"]}
