"""A damaged alert: every page still shows it, all others too, and its all-clear can be given."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from sqlalchemy import update

from broadcaster.store.rows import FROM_ANSWER, NOT_READABLE
from broadcaster.store.tables import alert, idempotency
from tests.web.door import Door

BODIES = ["{", "", "null", '{"info": [{"event": 5}]}']


async def damaged(door: Door, body: str, *, answer: str | None = None) -> dict[str, Any]:
    """Give an alert that is out on every channel, and whose stored text was damaged since."""
    made = await door.accept()
    await door.send("city", "crisis", "fire-brigade")
    await damage(door, made["id"], body, answer)
    return made


async def damage(door: Door, name: str, body: str, answer: str | None = None) -> None:
    """Write over the alert's text, and over its stored answer if one is given."""
    text = update(alert).where(alert.c.id == name).values(body=body)
    await door.store._engine.write(lambda db: db.change(text))
    if answer is not None:
        kept = update(idempotency).where(idempotency.c.alert == name).values(answer=answer)
        await door.store._engine.write(lambda db: db.change(kept))


@pytest.mark.parametrize("body", BODIES)
async def test_a_damaged_alert_is_shown_as_it_was_answered(door: Door, body: str) -> None:
    """Its stored answer says the same, and the warning says why it is shown."""
    made = await damaged(door, body)
    status, shown, _ = await door.ask("GET", f"/v1/alerts/{made['id']}")
    assert (status, shown["warnings"]) == (200, [FROM_ANSWER])
    changing = {"deliveries", "state", "warnings", "newest"}
    assert {k: v for k, v in shown.items() if k not in changing} == {
        k: v for k, v in made.items() if k not in changing
    }


@pytest.mark.parametrize("answer", [*BODIES, '{"identifier": "another", "info": []}'])
async def test_a_wholly_damaged_alert_is_shown_without_its_text(door: Door, answer: str) -> None:
    """Whose it is, how it stands and what became of it is known; what it says is not."""
    made = await damaged(door, "{", answer=answer)
    status, shown, _ = await door.ask("GET", f"/v1/alerts/{made['id']}")
    assert status == 200
    kept = ("id", "reference", "identifier", "sender", "status", "msgType", "accepted", "expires")
    assert {name: shown[name] for name in kept} == {name: made[name] for name in kept}
    assert (shown["info"], shown["warnings"]) == ([], [NOT_READABLE])
    assert {one["state"] for one in shown["deliveries"]} == {"sent"}


async def test_a_damaged_alert_hides_no_other(door: Door) -> None:
    """The list and the status show it among the others."""
    made = await damaged(door, "{", answer="{")
    other = await door.accept()
    status, page, _ = await door.ask("GET", "/v1/alerts")
    assert (status, [one["id"] for one in page["alerts"]]) == (200, [other["id"], made["id"]])
    connector = aiohttp.UnixConnector(str(door.socket))
    async with (
        aiohttp.ClientSession("http://daemon", connector=connector) as local,
        local.get("/control/status") as answer,
    ):
        assert answer.status == 200
        assert len((await answer.json())["alerts"]) == 2


async def test_the_all_clear_of_a_damaged_alert_goes_out(door: Door) -> None:
    """On every channel that carried the warning: its answer still names event and place."""
    made = await damaged(door, "{")
    status, shown, _ = await door.ask("POST", f"/v1/alerts/{made['id']}/cancel")
    assert (status, shown["msgType"], shown["incident"]) == (202, "Cancel", made["incident"])
    assert {one["state"] for one in shown["deliveries"]} == {"queued"}
    assert "Großbrand" in shown["deliveries"][0]["message"]["text"]
    again, same, _ = await door.ask("POST", f"/v1/alerts/{made['id']}/cancel")
    assert (again, same["id"]) == (202, shown["id"])


async def test_a_damaged_all_clear_is_still_one(door: Door) -> None:
    """What ended an incident keeps it ended, and is given again as what it was."""
    made = await door.accept()
    _, ended, _ = await door.ask("POST", f"/v1/alerts/{made['id']}/cancel")
    await damage(door, ended["id"], "{")
    status, again, _ = await door.ask("POST", f"/v1/alerts/{made['id']}/cancel")
    assert (status, again["id"], again["msgType"]) == (202, ended["id"], "Cancel")
