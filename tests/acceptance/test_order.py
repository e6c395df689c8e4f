"""Versions of an incident, in the order in which the public sees them."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from broadcaster.sandbox import Sandbox
from broadcaster.sandbox.faults import Kind
from tests.acceptance.daemon import (
    SHORT,
    Daemon,
    by_channel,
    fault,
    night,
    no_faults,
    scenario,
)
from tests.acceptance.receivers import (
    NETWORKS,
    at_rest,
    out_of_order,
    received,
    table,
    violations,
)
from tests.conftest import count

NUISANCES = (
    Kind.LOST_ANSWER,
    Kind.ERROR,
    Kind.ERROR_ACCEPTED,
    Kind.RESET,
    Kind.RATE_LIMIT,
    Kind.HANG,
)
# The real waits in this proportion under `make test`: the contract's own under `make soak`.
SCALE = 15


async def update(daemon: Daemon, before: str, text: str, **changes: Any) -> Any:
    """Hand an update in; it must be accepted."""
    return await daemon.trigger(following(before, text, **changes))


def following(before: str, text: str, **changes: Any) -> dict[str, Any]:
    """Return an update of an alert that says something else."""
    body = scenario(msgType="Update", references=[before])
    body["info"][0].update({"description": text, **changes})
    return body


async def cancel(daemon: Daemon, before: str) -> Any:
    """Give the all-clear the short way."""
    answer = await daemon.ask("POST", f"/v1/alerts/{before}/cancel", {})
    assert answer.status == 202, answer.body
    return answer.body


async def nuisances(sandbox: Sandbox, chance: random.Random) -> None:
    """Let some networks fail at what comes next."""
    for network in NETWORKS.values():
        kind = chance.choice(NUISANCES)
        if chance.random() < 0.5 and kind in sandbox.faults._able[network]:
            await fault(sandbox, network, kind.value, seconds=chance.uniform(0.3, 3))


@pytest.mark.soak
async def test_nothing_overtakes_on_a_channel(tmp_path: Path, seed: int) -> None:
    """Alert, update and all-clear appear in their order, whatever befalls each of them."""
    chance = random.Random(seed)
    wrong: list[str] = []
    async with night(tmp_path) as (sandbox, daemon):
        for number in range(1, 1 + count(3, 30)):
            versions = await _incident(sandbox, daemon, number, chance)
            last = await at_rest(sandbox, daemon, versions[-1]["id"])
            await no_faults(sandbox)
            seen = [await at_rest(sandbox, daemon, one["id"]) for one in versions]
            there = await received(sandbox)
            wrong += [line for one in seen for line in violations(one, there)]
            wrong += out_of_order(there)
            wrong += [
                f"{one['channel']} {last['reference']}: {one['state']} {one['reason']}"
                for one in last["deliveries"]
                if one["state"] not in {"sent", "withheld"}
            ]
    assert not wrong, table(wrong)


async def _incident(
    sandbox: Sandbox, daemon: Daemon, number: int, chance: random.Random
) -> list[Any]:
    await nuisances(sandbox, chance)
    first = await daemon.trigger(scenario(number))
    await asyncio.sleep(chance.uniform(0, 1))
    await nuisances(sandbox, chance)
    second = await update(daemon, first["id"], f"Das Feuer in Halle {number} ist kleiner.")
    await asyncio.sleep(chance.uniform(0, 1))
    return [first, second, await cancel(daemon, second["id"])]


async def test_what_is_queued_is_superseded(tmp_path: Path) -> None:
    """A version that waits for a rate limit never goes out once there is a newer one."""
    async with night(tmp_path) as (sandbox, daemon):
        await fault(sandbox, "mastodon", "rate-limit", seconds=3)
        first = await daemon.trigger(scenario())
        await _until(daemon, first["id"], "city-mastodon", "queued")
        second = await update(daemon, first["id"], "Das Feuer ist kleiner geworden.")
        old = await daemon.look(first["id"])
        new = await daemon.settled(second["id"])
        there = await received(sandbox)
    superseded = next(one for one in old["deliveries"] if one["channel"] == "city-mastodon")
    assert superseded["state"] == "superseded"
    assert "version 2" in superseded["reason"]
    assert set(by_channel(new).values()) == {"sent"}
    assert there.counts["mastodon", first["reference"]] == 0
    assert there.counts["mastodon", second["reference"]] == 1
    assert all(there.counts[one, first["reference"]] == 1 for one in ("x", "bluesky", "webhook"))


async def _until(daemon: Daemon, alert: str, channel: str, state: str) -> Any:
    async with asyncio.timeout(10):
        while True:
            found = await daemon.look(alert)
            one = next(one for one in found["deliveries"] if one["channel"] == channel)
            if one["state"] == state and one["attempts"]:
                return one
            await asyncio.sleep(0.02)


async def test_a_correction_reaches_every_channel_the_warning_may_be_on(tmp_path: Path) -> None:
    """Where any version is or may be out, what follows goes too, whatever the policy says of it."""
    async with night(tmp_path) as (sandbox, daemon):
        # On X the alert is out, but it does not know; it is still unknown when the update comes.
        await fault(sandbox, "x", "lost-answer", hidden_seconds=1)
        first = await daemon.trigger(scenario())
        await _until(daemon, first["id"], "x", "unknown")
        second = await update(daemon, first["id"], "Es ist nur noch Rauch.", severity="Minor")
        third = await cancel(daemon, second["id"])
        await at_rest(sandbox, daemon, second["id"])
        ended = await at_rest(sandbox, daemon, third["id"])
        there = await received(sandbox)
    assert next(one for one in second["deliveries"] if one["channel"] == "x")["state"] == "queued"
    assert set(by_channel(ended).values()) == {"sent"}
    assert [one for one in there.order if one[0] == "x"][-1] == ("x", third["reference"])


async def test_an_all_clear_goes_nowhere_else(tmp_path: Path) -> None:
    """Where no version was out there is nothing to take back."""
    async with night(tmp_path) as (sandbox, daemon):
        body = scenario()
        body["info"][0]["severity"] = "Minor"
        first = await daemon.settled((await daemon.trigger(body))["id"])
        ended = await daemon.settled((await cancel(daemon, first["id"]))["id"])
        there = await received(sandbox)
    assert by_channel(first)["x"] == by_channel(ended)["x"] == "withheld"
    reason = next(one["reason"] for one in ended["deliveries"] if one["channel"] == "x")
    assert reason == "never carried the warning"
    assert not [one for one in there.order if one[0] == "x"]
    assert {state for one, state in by_channel(ended).items() if one != "x"} == {"sent"}


@pytest.mark.soak
@pytest.mark.parametrize("landed", [True, False])
async def test_the_old_text_never_appears_after_the_all_clear(
    landed: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    """X loses the answer and hides the post, and the all-clear comes before it could be found."""
    scale = count(SCALE, 1)
    timing = SHORT.replace(
        "read_back_seconds = [0.2, 0.5, 1.0]",
        f"read_back_seconds = [{3 / scale}, {30 / scale}, {90 / scale}]",
    ).replace("order_hold_seconds = 6", f"order_hold_seconds = {20 / scale}")
    async with night(tmp_path, timing) as (sandbox, daemon):
        if landed:
            await fault(sandbox, "x", "lost-answer", hidden_seconds=60 / scale)
        else:
            await fault(sandbox, "x", "reset")
        first = await daemon.trigger(scenario())
        await _until(daemon, first["id"], "x", "unknown")
        await asyncio.sleep(5 / scale)
        ended = await cancel(daemon, first["id"])
        await at_rest(sandbox, daemon, ended["id"], 120 / scale + 10)
        old = await at_rest(sandbox, daemon, first["id"], 120 / scale + 10)
        await asyncio.sleep(2)
        there = await received(sandbox)
    on_x = [reference for network, reference in there.order if network == "x"]
    assert on_x == ([first["reference"]] if landed else []) + [ended["reference"]]
    assert not out_of_order(there)
    assert by_channel(old)["x"] == ("sent" if landed else "superseded")


async def test_of_two_updates_at_once_one_wins(tmp_path: Path) -> None:
    """The other is told which one is the newest, and to refer to that."""
    async with night(tmp_path) as (_, daemon):
        first = await daemon.trigger(scenario())
        answers = await asyncio.gather(
            *(
                daemon.ask(
                    "POST",
                    "/v1/alerts",
                    following(first["id"], f"Meldung {number}."),
                    **{"Idempotency-Key": f"update-{number}"},
                )
                for number in range(2)
            )
        )
        won, lost = sorted(answers, key=lambda one: one.status)
    assert (won.status, lost.status) == (202, 409)
    assert (lost.body["code"], lost.body["alert"]) == ("not-newest", won.body["id"])


async def test_a_repeat_gets_the_same_answer_over_a_restart(tmp_path: Path) -> None:
    """Whoever did not get the answer repeats, and learns what was accepted; nothing is doubled."""
    async with night(tmp_path) as (sandbox, daemon):
        key = {"Idempotency-Key": "the-caller's-own"}
        first = await daemon.ask("POST", "/v1/alerts", scenario(), **key)
        daemon.kill()
        await daemon.ended()
        await daemon.start()
        again = await daemon.ask("POST", "/v1/alerts", scenario(), **key)
        other = await daemon.ask("POST", "/v1/alerts", scenario(7), **key)
        alert = await at_rest(sandbox, daemon, first.body["id"])
        there = await received(sandbox)
    assert (first.status, again.status, other.status) == (202, 202, 422)
    assert again.body == first.body
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert not violations(alert, there)
    assert {reference_of_one for _, reference_of_one in there.order} == {first.body["reference"]}
