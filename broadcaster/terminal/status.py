"""How things stand: one alert with all its attempts, or everything, what needs a person first."""

from __future__ import annotations

from collections.abc import Sequence

from broadcaster.delivery import State
from broadcaster.terminal import tables
from broadcaster.terminal.client import Client, Json, Problem, listed
from broadcaster.terminal.ending import FINE
from broadcaster.terminal.output import Output, now
from broadcaster.terminal.target import Target, connect

OPEN_ALERTS_MAX = 20


async def status(target: Target, name: str | None, output: Output) -> int:
    """Show one alert, or everything: what needs a person first."""
    async with connect(target) as client:
        return await (_one(client, name, output) if name else _overview(client, output))


async def _one(client: Client, name: str, output: Output) -> int:
    alert = await client.alert(name)
    output.document(alert)
    if not output.json:
        output.show(tables.deliveries(alert, now()))
        output.say(_standing(alert))
        if any(one.get("attempts") for one in alert.get("deliveries", [])):
            output.show(tables.attempts(alert, now()))
    return FINE


def _standing(alert: Json) -> str:
    at = now()
    words = [
        f"{alert.get('state')}, accepted {tables.clock(alert.get('released_at'), at)}",
        f"by {alert.get('released_by')}",
        f"in force until {tables.clock(alert.get('expires'), at)}",
    ]
    return ", ".join(words) + f". Identifier: {alert.get('identifier')}, id: {alert.get('id')}"


async def _overview(client: Client, output: Output) -> int:
    found = await client.get("/v1/alerts", state="active", limit=str(OPEN_ALERTS_MAX))
    active = [await client.alert(one["id"]) for one in listed(found, "alerts")]
    channels = listed(await client.get("/v1/channels"), "channels")
    notices = await _notices(client)
    output.document({"notices": notices, "alerts": active, "channels": channels})
    if not output.json:
        _show_needs(notices, active, output)
        title = "Active alerts" if active else "No alert is active."
        output.show(tables.alerts(active, now(), title))
        output.show(tables.channels(channels, now()))
    return FINE


async def _notices(client: Client) -> list[Json]:
    """Return what people are yet to be told; only the daemon's own socket says so."""
    try:
        return listed(await client.get("/control/status"), "notices")
    except Problem as problem:
        if problem.status in {401, 403, 404}:
            return []
        raise


def _show_needs(notices: Sequence[Json], active: Sequence[Json], output: Output) -> None:
    needy = [
        (alert, one)
        for alert in active
        for one in alert.get("deliveries", [])
        if one.get("state") in {State.FAILED, State.UNKNOWN, State.EXPIRED, State.WAITING}
    ]
    if not notices and not needy:
        output.say("Nothing needs a person.", "green")
        return
    output.say("Needs a person:", "bold red")
    for notice in notices:
        told = "told" if notice.get("told") else "NOBODY WAS TOLD"
        output.say(f"  {tables.clock(notice.get('created'), now())}  {told}: {notice.get('text')}")
    for alert, one in needy:
        output.say(f"  Nr. {alert['reference']}  {tables.change(one, alert, now())}")
