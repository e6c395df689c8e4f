"""The phones of on-call staff."""

from __future__ import annotations

from typing import Any

from tests.sandbox.client import Client


async def test_on_call_phones_show_what_staff_were_told(client: Client) -> None:
    """A phone is a network of its own, apart from the list of all."""
    told: dict[str, Any] = {"version": "1.0", "title": "Warnung", "message": "X: nicht gesendet"}
    assert (await client.post("on-call", "/first", json=told)).status == 200
    (post,) = await client.posts("on-call")
    assert (post["text"], post["receiver"]) == ("Warnung\n\nX: nicht gesendet", "first")
    assert (await client.ask("GET", "/_sandbox/posts")).body == []


async def test_a_dead_phone_tells_nobody(client: Client) -> None:
    """The first target can be dead, so that the second is due."""
    await client.fault("on-call", "refuse")
    assert (await client.post("on-call", "/first", json={"message": "x"})).status == 400
    assert await client.posts("on-call") == []
