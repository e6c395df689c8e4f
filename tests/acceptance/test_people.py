"""On-call staff learn in time what is late, failed or unknown, also past a dead first phone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from broadcaster.sandbox import Sandbox
from tests.acceptance.daemon import SHORT, Daemon, by_channel, fault, night, posts, scenario
from tests.kit import eventually

LATE = """late_seconds = { Extreme = 1, Severe = 1, Moderate = 1, Minor = 1, Unknown = 1 }
late_again_seconds = [2.5]
"""


@asynccontextmanager
async def on_call(directory: Path, *, dead_first: bool) -> AsyncIterator[tuple[Sandbox, Daemon]]:
    """Run a night with two people on call; the first one's phone may be dead."""
    async with night(directory, SHORT + LATE) as (sandbox, daemon):
        await daemon.stop()
        good = (directory / "pager-url").read_text().replace("first-on-call", "second-on-call")
        (directory / "second-url").write_text(good)
        (directory / "second-url").chmod(0o600)
        if dead_first:
            (directory / "pager-url").write_text("json://127.0.0.1:9/nobody")
        text = daemon.config.read_text()
        old = text[text.index("targets = [") :].splitlines()[0]
        new = (
            'targets = [{ url_file = "pager-url", name = "first" }, '
            '{ url_file = "second-url", after = 4, name = "second" }]'
        )
        daemon.config.write_text(text.replace(old, new))
        await daemon.start()
        yield sandbox, daemon


async def _said(sandbox: Sandbox, receiver: str) -> str:
    found = [post for post in await posts(sandbox, "on-call") if receiver in str(post["id"])]
    return "\n".join(post["text"] for post in found)


async def _hears(sandbox: Sandbox, receiver: str, *words: str, seconds: float = 10.0) -> None:
    async def check() -> bool:
        said = await _said(sandbox, receiver)
        return all(word in said for word in words)

    await eventually(check, seconds)


async def test_failed_unknown_and_late_reach_the_first_person(tmp_path: Path) -> None:
    """Three troubles at once: each is told with its channel, its reason and what to do."""
    async with on_call(tmp_path, dead_first=False) as (sandbox, daemon):
        await fault(sandbox, "mastodon", "expired-token", times=1)
        await fault(sandbox, "webhook", "rate-limit", times=1, seconds=8)
        await fault(sandbox, "x", "lost-answer", times=99, hidden_seconds=60)
        alert = await daemon.trigger(scenario())
        await _hears(
            sandbox, "first-on-call", "city-mastodon: needs-person", "fire-brigade (de): still"
        )
        await _hears(sandbox, "first-on-call", "x: unknown", seconds=15)
        found = by_channel(await daemon.look(alert["id"]))
        assert found["city-mastodon"] == "failed"
        assert alert["reference"] in await _said(sandbox, "first-on-call")


async def test_a_dead_first_target_leads_to_the_second(tmp_path: Path) -> None:
    """Nobody is told within the time for the first one: the next one is."""
    async with on_call(tmp_path, dead_first=True) as (sandbox, daemon):
        await fault(sandbox, "mastodon", "expired-token", times=1)
        await daemon.trigger(scenario())
        await _hears(sandbox, "second-on-call", "city-mastodon: needs-person", seconds=15)


async def test_readiness_names_what_reached_nobody(tmp_path: Path) -> None:
    """With every phone dead the monitoring must see it."""
    async with on_call(tmp_path, dead_first=True) as (sandbox, daemon):
        await daemon.stop()
        (tmp_path / "second-url").write_text("json://127.0.0.1:9/nobody-either")
        await daemon.start()
        await fault(sandbox, "mastodon", "expired-token", times=1)
        await daemon.trigger(scenario())

        async def named() -> bool:
            ready = await daemon.ask("GET", "/readyz")
            return ready.status == 503 and "reached nobody" in str(ready.body)

        await eventually(named, 15)
        assert (await daemon.ask("GET", "/healthz")).status == 200


async def test_who_mends_the_cause_and_retries_gets_it_out(tmp_path: Path) -> None:
    """The token is mended: one retry by a person, and the delivery is out, once."""
    async with night(tmp_path) as (sandbox, daemon):
        await fault(sandbox, "mastodon", "expired-token", times=1)
        alert = await daemon.trigger(scenario())
        settled = await daemon.settled(alert["id"])
        (failed,) = [one for one in settled["deliveries"] if one["state"] == "failed"]
        path = f"/v1/alerts/{alert['id']}/deliveries/{failed['id']}/retry"
        answers = await asyncio.gather(daemon.ask("POST", path), daemon.ask("POST", path))
        assert {answer.status for answer in answers} <= {200, 202}
        settled = await daemon.settled(alert["id"])
        assert by_channel(settled)["city-mastodon"] == "sent"
        assert len(await posts(sandbox, "mastodon")) == 1
