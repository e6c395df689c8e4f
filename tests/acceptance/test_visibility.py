"""Visible, not just sent: what the public stops seeing raises the alarm in its time."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from broadcaster.sandbox import Sandbox
from tests.acceptance.daemon import SHORT, Daemon, night, posts, scenario
from tests.acceptance.receivers import NETWORKS, told

LOOKED_AT = ("mastodon", "bluesky", "x", "threads", "facebook", "instagram", "linkedin")
UNSEEN_SECONDS, AGAIN_SECONDS = 2.0, 1.0
# X's reads cost money: there it takes five times as long.
QUICK = SHORT.replace(
    "looks_seconds = [600]",
    f"looks_seconds = [0.1, 0.2]\nunseen_told_seconds = {UNSEEN_SECONDS}\n"
    f"look_again_seconds = {AGAIN_SECONDS}",
)
PATIENCE_SECONDS = 5 * (UNSEEN_SECONDS + AGAIN_SECONDS)
CHANGES: dict[str, dict[str, Any]] = {
    "hidden": {"concealed": True},
    "altered": {"text": "Nr. 00-0000/1 ist abgesagt."},
    "deleted": {"deleted": True},
}
# A stand-in whose author sees what the public does not cannot show that it is hidden.
SEES_HIDDEN = frozenset({"threads", "instagram"})


async def visible(daemon: Daemon, alert: str) -> dict[str, Any]:
    """Wait until every post that can be looked up was seen; return channel -> delivery."""
    async with asyncio.timeout(PATIENCE_SECONDS + 10):
        while True:
            found = {one["channel"]: one for one in (await daemon.look(alert))["deliveries"]}
            looked = [one for name, one in found.items() if NETWORKS[name] in LOOKED_AT]
            if looked and all(one["state"] == "visible" for one in looked):
                return found
            await asyncio.sleep(0.1)


async def change(sandbox: Sandbox, network: str, identity: str, body: dict[str, Any]) -> None:
    """Change a post behind its account's back."""
    url = f"{sandbox.url}/_sandbox/posts/{network}/{identity}"
    async with aiohttp.ClientSession() as session, session.put(url, json=body) as answer:
        assert answer.status < 300, await answer.text()


async def alarmed(sandbox: Sandbox, channels: set[str]) -> set[str]:
    """Wait until people were told of these channels' posts, or their time is over."""
    end = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        said = "\n".join(await told(sandbox))
        known = {name for name in channels if re.search(rf"^{name}: gone: ", said, re.MULTILINE)}
        if known == channels or asyncio.get_running_loop().time() > end:
            return known
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.limit(120)
async def test_what_is_hidden_altered_or_deleted_raises_the_alarm(how: str, tmp_path: Path) -> None:
    """On every network that can be asked; until then each post was visible, with what was seen."""
    async with night(tmp_path, QUICK, networks=None) as (sandbox, daemon):
        accepted = await daemon.trigger(scenario())
        found = await visible(daemon, accepted["id"])
        for name, one in found.items():
            if NETWORKS[name] in LOOKED_AT:
                assert one["seen"]["there"], name
                assert one["seen"]["text_hash"], name
                assert one["seen"]["after_seconds"] >= 0, name
                assert one["url"], name
        concerned = set()
        for post in await posts(sandbox):
            network = post["network"]
            if network in LOOKED_AT and not (how == "hidden" and network in SEES_HIDDEN):
                await change(sandbox, network, post["id"], CHANGES[how])
                concerned |= {name for name, of in NETWORKS.items() if of == network}
        assert len(concerned) >= len(LOOKED_AT) - len(SEES_HIDDEN)
        assert await alarmed(sandbox, concerned) == concerned
        shown = {one["channel"]: one for one in (await daemon.look(accepted["id"]))["deliveries"]}
        assert {shown[name]["state"] for name in concerned} == {"sent"}


async def test_a_post_that_never_shows_up_raises_the_alarm(tmp_path: Path) -> None:
    """The network took it, and the public does not see it: two seconds here, two minutes else."""
    async with night(tmp_path, QUICK) as (sandbox, daemon):
        sandbox.posts.conceal("mastodon", on=True)
        accepted = await daemon.trigger(scenario())
        assert await alarmed(sandbox, {"city-mastodon"}) == {"city-mastodon"}
        found = {one["channel"]: one for one in (await daemon.look(accepted["id"]))["deliveries"]}
        assert found["city-mastodon"]["state"] == "sent"
        assert not found["city-mastodon"]["seen"]["there"]
