"""Two steps: killed between them, or in the middle of an upload, and still one post."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from broadcaster.sandbox import Sandbox
from tests.acceptance.daemon import SHORT, Daemon, fault, night, no_faults, posts, scenario
from tests.conftest import count

# Nothing but the network under test has a channel; X is there because every night has it.
PATIENT = SHORT.replace("attempt_seconds = 2", "attempt_seconds = 10")
SECONDS = 60.0


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for something to come about."""
    async with asyncio.timeout(SECONDS):
        while not await condition():
            await asyncio.sleep(0.02)
    assert what


async def handle_of(daemon: Daemon, alert: str, channel: str) -> str | None:
    """Return the state of a channel's delivery."""
    found = await daemon.look(alert)
    return next((one["state"] for one in found["deliveries"] if one["channel"] == channel), None)


async def killed_while(daemon: Daemon, begun: Callable[[], Awaitable[bool]]) -> None:
    """Kill the daemon as soon as something has begun, and start it again."""
    await until(begun, "begun")
    daemon.kill()
    await daemon.ended()
    await daemon.start()


async def one_post(sandbox: Sandbox, daemon: Daemon, alert: str, channel: str, of: str) -> None:
    """Wait until the delivery is out, and hold what the network has against it."""

    async def out() -> bool:
        return await handle_of(daemon, alert, channel) in {"sent", "visible"}

    await until(out, "out")
    await asyncio.sleep(0.5)
    there = [one for one in await posts(sandbox, of) if one.get("kind") != "comment"]
    assert len(there) == 1, there
    assert there[0]["media"], there
    assert all(one["alt"] for one in there[0]["media"])


@pytest.mark.soak
@pytest.mark.parametrize("network", ["threads", "instagram"])
@pytest.mark.limit(120)
async def test_killed_between_the_two_steps_there_is_one_post(network: str, tmp_path: Path) -> None:
    """The container was made and stored; after the restart that one is published, and no other."""
    for number in range(1, count(1, 10) + 1):
        place = tmp_path / str(number)
        async with night(place, PATIENT, networks=("x", network)) as (sandbox, daemon):
            await fault(sandbox, network, "hang", on="read", times=100, seconds=30)
            accepted = await daemon.trigger(scenario(number))

            async def made() -> bool:
                return sandbox.posts.prepared(network) > 0

            await until(made, "container")
            await asyncio.sleep(
                0.05 * number
            )  # another moment each time: before, in, after storing
            daemon.kill()
            await daemon.ended()
            await no_faults(sandbox)
            await daemon.start()
            await one_post(sandbox, daemon, accepted["id"], f"city-{network}", network)


@pytest.mark.soak
@pytest.mark.parametrize("network", ["threads", "instagram"])
@pytest.mark.limit(120)
async def test_killed_while_publishing_there_is_one_post(network: str, tmp_path: Path) -> None:
    """The container is published, and nobody heard of it: it is found, not published again."""
    for number in range(1, count(1, 10) + 1):
        place = tmp_path / str(number)
        async with night(place, PATIENT, networks=("x", network)) as (sandbox, daemon):
            await fault(sandbox, network, "hang", seconds=30)
            accepted = await daemon.trigger(scenario(number))

            async def published() -> bool:
                return bool(await posts(sandbox, network))

            await killed_while(daemon, published)
            await one_post(sandbox, daemon, accepted["id"], f"city-{network}", network)
            assert sandbox.posts.calls(network).creates == 1


@pytest.mark.soak
@pytest.mark.limit(180)
@pytest.mark.skipif(
    importlib.util.find_spec("imageio_ffmpeg") is None, reason="needs the package imageio-ffmpeg"
)
async def test_killed_in_the_middle_of_an_upload_there_is_one_video(tmp_path: Path) -> None:
    """It goes on where it broke off; a second upload is never started."""
    for number in range(1, count(1, 5) + 1):
        place = tmp_path / str(number)
        both = ("x", "youtube")
        async with night(place, PATIENT, networks=both, videos=True) as (sandbox, daemon):
            await fault(sandbox, "youtube", "hang", seconds=30)
            accepted = await daemon.trigger(scenario(number))

            async def under_way() -> bool:
                calls = sandbox.posts.calls("youtube")
                return calls.creates > 0

            await killed_while(daemon, under_way)
            await no_faults(sandbox)

            async def out() -> bool:
                state = await handle_of(daemon, accepted["id"], "city-youtube-video")  # noqa: B023
                return state in {"sent", "visible"}

            await until(out, "out")
            assert len(await posts(sandbox, "youtube")) == 1
