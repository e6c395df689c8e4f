"""Every fault a network can have: one post, or people are told. The receiving side counts."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from broadcaster.sandbox import Sandbox, faults
from broadcaster.sandbox.faults import CREATE_ONLY, Kind
from tests.acceptance.daemon import SHORT, Daemon, fault, night, no_faults, scenario
from tests.acceptance.receivers import (
    BY_HAND,
    NETWORKS,
    TOLD,
    at_rest,
    received,
    table,
    tells,
    told,
    violations,
)
from tests.conftest import count

LISTS = ("mastodon", "bluesky", "x", "threads", "facebook", "instagram", "linkedin")
SECONDS = {Kind.RATE_LIMIT: 1.0, Kind.HANG: 4.0, Kind.DRIP: 20.0}
RUNS_PER_DAEMON = 5  # each run costs a log-in, and the channel allows itself few in five minutes

# Where a person must act; everything else ends with the post out.
ENDS_FAILED = {
    # Mastodon and Facebook are asked once more, without the picture.
    Kind.REFUSE: set(NETWORKS.values()) - {"mastodon", "facebook"},
    # Elsewhere a session is refreshed instead; Meta renews no token that it refuses.
    Kind.EXPIRED_TOKEN: {"mastodon", "x", "threads", "facebook", "instagram"},
    Kind.DUPLICATE: {"x", "facebook", "linkedin"},
}


@pytest.fixture(autouse=True)
def quick_drip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let an answer drip faster: what counts is that it takes longer than an attempt may."""
    monkeypatch.setattr(faults, "DRIP_SECONDS", 0.2)


def able(sandbox: Sandbox, kind: Kind) -> list[str]:
    """Return the networks that can have a fault."""
    names = [name for name in NETWORKS.values() if name not in BY_HAND]
    return [name for name in names if kind in sandbox.faults._able[name]]


async def befall(sandbox: Sandbox, network: str, kind: Kind, on: str = "create") -> None:
    """Let one request of a network meet a fault."""
    await fault(sandbox, network, kind.value, on=on, seconds=SECONDS.get(kind))


def unexpected(alert: Mapping[str, Any], kind: Kind, befallen: list[str]) -> list[str]:
    """Name deliveries that did not end as this fault should end."""
    found = []
    for one in alert["deliveries"]:
        network = NETWORKS[one["channel"]]
        failed = network in befallen and network in ENDS_FAILED.get(kind, ())
        ends = "waiting" if network in BY_HAND else "failed" if failed else "sent"
        if one["state"] != ends:
            found.append(f"{network}: {one['state']} ({one['reason']})")
    return found


@pytest.mark.soak
@pytest.mark.limit(150)
async def test_every_fault_ends_in_one_post_or_in_people_told(tmp_path: Path) -> None:
    """Whatever a network does to a post, it is out once, or it failed and people know."""
    wrong: list[str] = []
    async with night(tmp_path, networks=None) as (sandbox, daemon):
        for number in range(count(1, 10)):
            if number and number % RUNS_PER_DAEMON == 0:
                await daemon.stop()
                await daemon.start()
            for kind in Kind:
                befallen = able(sandbox, kind)
                for network in befallen:
                    await befall(sandbox, network, kind)
                alert = await _posted(sandbox, daemon, number, kind.value)
                there = await received(sandbox)
                found = violations(alert, there) + unexpected(alert, kind, befallen)
                wrong += [f"{kind} #{number}: {one}" for one in found]
    assert not wrong, table(wrong)


@pytest.mark.soak
@pytest.mark.limit(150)
async def test_a_fault_while_reading_back_posts_nothing_twice(tmp_path: Path) -> None:
    """An answer is lost, and then the list by which it is found fails too."""
    wrong: list[str] = []
    async with night(tmp_path, networks=None) as (sandbox, daemon):
        for number in range(count(1, 10)):
            for kind in sorted(set(Kind) - CREATE_ONLY):
                for network in set(LISTS) & set(able(sandbox, kind)):
                    await fault(sandbox, network, "lost-answer")
                    await befall(sandbox, network, kind, on="read")
                alert = await _posted(sandbox, daemon, number, f"read-{kind}")
                found = violations(alert, await received(sandbox))
                wrong += [f"{kind} #{number}: {one}" for one in found]
    assert not wrong, table(wrong)


@pytest.mark.soak
@pytest.mark.limit(150)
@pytest.mark.skipif(
    importlib.util.find_spec("imageio_ffmpeg") is None, reason="needs the package imageio-ffmpeg"
)
async def test_every_fault_of_an_upload_ends_in_one_video_or_in_people_told(
    tmp_path: Path,
) -> None:
    """A clip is uploaded once, however the network behaves; or it failed and people know."""
    wrong: list[str] = []
    timing = SHORT.replace("attempt_seconds = 2", "attempt_seconds = 5")
    both = ("x", "youtube")
    async with night(tmp_path, timing, networks=both, videos=True) as (sandbox, daemon):
        for number in range(count(1, 10)):
            for kind in sorted(sandbox.faults._able["youtube"]):
                sandbox.posts.clear(("youtube",))
                await befall(sandbox, "youtube", kind)
                alert = await _posted(sandbox, daemon, number, f"video-{kind}")
                (one,) = [d for d in alert["deliveries"] if d["channel"] == "city-youtube-video"]
                videos = len(sandbox.posts.of("youtube"))
                known = tells(await told(sandbox), alert["reference"], one["channel"])
                out = one["state"] == "sent" and videos == 1
                if not out and not (one["state"] in TOLD and known and videos <= 1):
                    said = f"{one['state']} ({one['reason']}), {videos} videos, told: {known}"
                    wrong.append(f"{kind} #{number}: {said}")
    assert not wrong, table(wrong)


async def _posted(sandbox: Sandbox, daemon: Daemon, number: int, name: str) -> Any:
    """Post one alert of its own, wait until it is at rest, and let the networks be well again."""
    body = scenario()
    body["info"][0]["headline"] = f"Großbrand in Dortmund, Halle {number} ({name})"
    body["info"][0]["area"][0]["areaDesc"] = f"Dortmund, Halle {number}"
    accepted = await daemon.trigger(body)
    alert = await at_rest(sandbox, daemon, accepted["id"])
    await no_faults(sandbox)
    return alert


@pytest.mark.parametrize("kind", [Kind.HANG, Kind.DRIP])
async def test_a_blocking_library_never_posts_twice(kind: Kind, tmp_path: Path) -> None:
    """A thread that hangs is waited for, and what it may have sent is not sent again."""
    hold = {'kind = "mail"\n': 'kind = "mail"\non_unknown = "hold"\n'}
    async with night(tmp_path, edits=hold) as (sandbox, daemon):
        for network in ("mastodon", "mail"):
            await befall(sandbox, network, kind)
        accepted = await daemon.trigger(scenario())
        alert = await at_rest(sandbox, daemon, accepted["id"])
        await asyncio.sleep(2)
        there = await received(sandbox)
    assert not violations(alert, there)
    assert [len([p for p in there.order if p[0] == one]) for one in ("mastodon", "mail")] == [1, 1]
