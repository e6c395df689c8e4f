"""Status: what needs a person comes first, and nothing that needs none alarms anybody."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broadcaster.terminal.status import status
from broadcaster.terminal.target import Target
from tests.terminal.conftest import Daemon, Screen, alert, delivery

CHANNEL = {
    "name": "x",
    "type": "x",
    "readiness": {"ready": False, "sentence": "No credit.", "remedy": "Buy some."},
}


@pytest.fixture
def target(daemon: Daemon, tmp_path: Path) -> Target:
    """Give the scripted daemon as a command line names it."""
    key = tmp_path / "key"
    key.write_text("bcast_0123456789_secret_abcdef\n")
    return Target(server=daemon.url, key_file=key)


def notice(text: str, *, due: timedelta = timedelta(), **more: Any) -> dict[str, Any]:
    """Give a notice as the control path shows it."""
    now = datetime.now(UTC)
    times = {"created": now.isoformat(), "due": (now + due).isoformat()}
    return {"text": text, "kind": "failed", "told": {}, "not_out": [], **times, **more}


def stands(daemon: Daemon, *notices: dict[str, Any], **more: Any) -> None:
    """Let the daemon say how things stand."""
    found = {"notices": list(notices), "reasons": [], "alerts": [], "channels": [CHANNEL]}
    daemon.says("GET", "/control/status", found | more)


async def test_what_nobody_was_told_comes_first(
    daemon: Daemon, target: Target, screen: Screen
) -> None:
    """Then what somebody was told, then deliveries, alerts and channels."""
    told = notice("x: token revoked", told={"first on call": "2026-11-22T02:49:00+00:00"})
    failed = alert(delivery("y", "failed", reason="refused"))
    stands(daemon, told, notice("z: no answer"), alerts=[failed])
    daemon.says("GET", "/v1/alerts/a1", failed)
    assert await status(target, None, screen.output) == 0
    words = (
        "NOBODY WAS TOLD: z",
        "told: first on call: x",
        "✗ failed",
        "Active alerts",
        "Channels",
    )
    places = [screen.out.index(word) for word in words]
    assert places == sorted(places)
    assert screen.out.startswith("Needs a person:")
    assert "No credit. Buy some." in screen.out


async def test_a_notice_whose_time_has_not_come_alarms_nobody(
    daemon: Daemon, target: Target, screen: Screen
) -> None:
    """Late notices lie ready from the start, for the case that something is late."""
    stands(daemon, notice("", due=timedelta(seconds=60), not_out=[["x", "de", "queued", None]]))
    await status(target, None, screen.output)
    assert screen.out.startswith("Nothing needs a person.")


async def test_a_late_delivery_is_named(daemon: Daemon, target: Target, screen: Screen) -> None:
    """Once its time has come, the notice says what is still not out."""
    stands(daemon, notice("", not_out=[["x", "de", "queued", None]]))
    await status(target, None, screen.output)
    assert "NOBODY WAS TOLD: late, still not out: x/de queued" in screen.out


async def test_a_late_notice_for_what_is_out_by_now_is_no_news(
    daemon: Daemon, target: Target, screen: Screen
) -> None:
    """When all went out in time, nothing is left to say."""
    stands(daemon, notice("", not_out=[]))
    await status(target, None, screen.output)
    assert "Nothing needs a person." in screen.out


async def test_why_the_daemon_is_not_ready_is_said(
    daemon: Daemon, target: Target, screen: Screen
) -> None:
    """Readiness speaks in the same place."""
    stands(daemon, reasons=["the disk is full"])
    await status(target, None, screen.output)
    assert "Not ready: the disk is full" in screen.out


async def test_from_elsewhere_alerts_and_channels_are_shown(
    daemon: Daemon, target: Target, screen: Screen
) -> None:
    """The control paths exist on the daemon's own socket only; the rest is for every key."""
    daemon.says("GET", "/v1/alerts", {"alerts": [alert()], "next": None})
    daemon.says("GET", "/v1/alerts/a1", alert())
    daemon.says("GET", "/v1/channels", {"channels": [CHANNEL]})
    assert await status(target, None, screen.output) == 0
    assert "26-0142/1" in screen.out
    assert "No credit." in screen.out


async def test_everything_is_one_document_with_json(daemon: Daemon, target: Target) -> None:
    """A program gets notices, alerts with their deliveries, and channels."""
    stands(daemon, notice("z"), alerts=[alert()])
    daemon.says("GET", "/v1/alerts/a1", alert())
    screen = Screen(json=True)
    await status(target, None, screen.output)
    document = json.loads(screen.out)
    assert document["notices"][0]["text"] == "z"
    assert document["alerts"][0]["deliveries"][0]["state"] == "sent"


async def test_one_alert_is_shown_with_every_attempt(
    daemon: Daemon, target: Target, screen: Screen
) -> None:
    """By its reference, as citizens quote it."""
    daemon.says("GET", "/v1/alerts/26-0142%2F1", alert())
    assert await status(target, "26-0142/1", screen.output) == 0
    for word in ("✓ sent", "Attempts", "accepted", "Identifier: leitstelle.1, id: a1"):
        assert word in screen.out


async def test_what_waits_for_a_person_can_be_posted_from_here(
    daemon: Daemon, target: Target, screen: Screen
) -> None:
    """One alert shows the text and the place of what is to be posted by hand."""
    message = {"text": "Großbrand in Hörde", "link": "https://www.youtube.com/c", "media": []}
    waiting = delivery("youtube", "waiting", message=message, attempts=[])
    daemon.says("GET", "/v1/alerts/26-0142%2F1", alert(delivery(), waiting))
    await status(target, "26-0142/1", screen.output)
    assert "To be posted by hand: youtube/de" in screen.out
    assert "    Großbrand in Hörde" in screen.out
    assert "broadcaster confirm 26-0142/1 youtube LINK --part de" in screen.out
