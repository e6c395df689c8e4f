"""How things stand: one alert with all its attempts, or everything, what needs a person first."""

from __future__ import annotations

from http import HTTPStatus
from textwrap import indent

from broadcaster.delivery import State
from broadcaster.terminal import tables
from broadcaster.terminal.client import Client, Json, Problem, listed
from broadcaster.terminal.confirm import by_hand
from broadcaster.terminal.ending import FINE
from broadcaster.terminal.output import Output, now
from broadcaster.terminal.target import Target, connect

ALERTS_MAX = 20  # looked at closely
NEEDS_PERSON = frozenset({State.FAILED, State.UNKNOWN, State.EXPIRED, State.WAITING})


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
        for heading, lines in by_hand(alert):
            output.say(heading, "bold yellow")
            output.say(indent(lines, "    "))
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
    found = await _standing_of_all(client)
    found["alerts"] = [await client.alert(one["id"]) for one in found["alerts"][:ALERTS_MAX]]
    output.document(found)
    if not output.json:
        _show_needs(found, output)
        title = "Active alerts" if found["alerts"] else "No alert is active."
        output.show(tables.alerts(found["alerts"], now(), title))
        output.show(tables.channels(found["channels"], now()))
    return FINE


async def _standing_of_all(client: Client) -> Json:
    """Return alerts and channels; on the daemon's own socket also notices and readiness."""
    try:
        found: Json = await client.get("/control/status")
    except Problem as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
        return {
            "notices": [],
            "reasons": [],
            "alerts": listed(await client.get("/v1/alerts", state="active"), "alerts"),
            "channels": listed(await client.get("/v1/channels"), "channels"),
        }
    return found


def _show_needs(found: Json, output: Output) -> None:
    """Say first what nobody was told, then what else needs a person."""
    due = [notice for notice in found["notices"] if _is_due(notice)]
    notices = sorted(due, key=lambda notice: bool(notice.get("told")))
    lines = [f"  Not ready: {reason}" for reason in found.get("reasons", [])]
    lines += [_notice(notice) for notice in notices]
    lines += [
        f"  Nr. {alert['reference']}  {tables.standing(one, alert, now())}"
        for alert in found["alerts"]
        for one in alert["deliveries"]
        if one["state"] in NEEDS_PERSON
    ]
    if lines:
        output.say("Needs a person:", "bold red")
        for line in lines:
            output.say(line)
    else:
        output.say("Nothing needs a person.", "green")


def _is_due(notice: Json) -> bool:
    """Whether it is time to tell it: a late notice waits from the start for what may not happen."""
    due = tables.moment(notice.get("due"))
    waits = due is not None and due > now() and not notice.get("told")
    return not waits and bool(_says(notice))


def _says(notice: Json) -> str:
    not_out = [f"{place[0]}/{place[1]} {place[2]}" for place in notice.get("not_out") or []]
    late = f"late, still not out: {', '.join(not_out)}" if not_out else ""
    return ". ".join(part for part in (notice.get("text"), late) if part)


def _notice(notice: Json) -> str:
    told = ", ".join(notice.get("told") or [])
    who = f"told: {told}" if told else "NOBODY WAS TOLD"
    return f"  {tables.clock(notice['created'], now())}  {who}: {_says(notice)}"
