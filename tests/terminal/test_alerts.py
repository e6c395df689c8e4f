"""Send, preview, cancel: what is said, and which exit code it means."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from broadcaster.terminal import sending, watch
from broadcaster.terminal.alerts import AllClear, Watching, cancel, preview, send, verdict
from broadcaster.terminal.client import Problem
from broadcaster.terminal.ending import FINE, NOT_READY, REFUSED, SOME_NOT_OUT
from broadcaster.terminal.sending import Order
from broadcaster.terminal.target import Target
from tests.terminal.conftest import Daemon, Screen, alert, delivery

ONLY_SEND = Watching(wanted=False, seconds=0)
WATCH = Watching(wanted=True, seconds=30)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeat and look again without waiting for people."""
    monkeypatch.setattr(sending, "_WAITS", wait_none())
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.01)


@pytest.fixture
def target(daemon: Daemon, tmp_path: Path) -> Target:
    """Give the scripted daemon as a command line names it."""
    key = tmp_path / "key"
    key.write_text("bcast_0123456789_secret_abcdef\n")
    return Target(server=daemon.url, key_file=key)


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """Give an alert in a file, to go under a known key."""
    file = tmp_path / "alert.json"
    file.write_text('{"status": "Actual"}')
    return Order(file, "key-1")


async def test_send_says_the_key_and_how_to_follow(
    daemon: Daemon, target: Target, order: Order, screen: Screen
) -> None:
    """Without --watch it ends with the acceptance, which is not yet a post."""
    daemon.says("POST", "/v1/alerts", alert(delivery(state="queued")), status=202)
    assert await send(target, order, ONLY_SEND, screen.output) == FINE
    assert screen.out.startswith("Idempotency-Key: key-1\nAccepted: Nr. 26-0142/1")
    assert "broadcaster status 26-0142/1" in screen.out
    assert daemon.headers[0]["Authorization"] == "Bearer bcast_0123456789_secret_abcdef"


async def test_with_json_standard_output_is_the_alert(
    daemon: Daemon, target: Target, order: Order
) -> None:
    """A program reads the alert; the key goes to standard error."""
    daemon.says("POST", "/v1/alerts", alert(), status=202)
    screen = Screen(json=True)
    assert await send(target, order, WATCH, screen.output) == FINE
    assert json.loads(screen.out)["reference"] == "26-0142/1"
    assert "Idempotency-Key: key-1" in screen.err


async def test_warnings_of_the_daemon_are_shown(
    daemon: Daemon, target: Target, order: Order, screen: Screen
) -> None:
    """A channel whose text did not fit is named at once."""
    daemon.says("POST", "/v1/alerts", alert(warnings=["x: the text does not fit"]), status=202)
    await send(target, order, ONLY_SEND, screen.output)
    assert "Warning: x: the text does not fit" in screen.err


@pytest.mark.parametrize(
    ("state", "code"),
    [("sent", FINE), ("visible", FINE), ("failed", SOME_NOT_OUT), ("expired", SOME_NOT_OUT)],
)
async def test_watching_ends_with_what_became_of_it(
    daemon: Daemon, target: Target, order: Order, screen: Screen, *, state: str, code: int
) -> None:
    """0 only if all is out, 3 if some is not; each change is a line where no table can be drawn."""
    daemon.says("POST", "/v1/alerts", alert(delivery(state="queued", attempts=[])), status=202)
    daemon.says("GET", "/v1/alerts/a1", alert(delivery(state=state, reason="because")))
    assert await send(target, order, WATCH, screen.output) == code
    lines = [line for line in screen.out.splitlines() if "x/de" in line]
    assert len(lines) == 1
    assert state in lines[0]


async def test_watching_draws_a_table_on_a_terminal(
    daemon: Daemon, target: Target, order: Order
) -> None:
    """A person sees channels, states, tries and times in one place."""
    daemon.says("POST", "/v1/alerts", alert(delivery(state="queued")), status=202)
    daemon.says("GET", "/v1/alerts/a1", alert(delivery()))
    screen = Screen(terminal=True)
    assert await send(target, order, WATCH, screen.output) == FINE
    for word in ("channel", "tries", "after", "✓ sent", "https://x.com/i/web/status/1860"):
        assert word in screen.out


async def test_what_is_open_when_the_time_is_over_counts_as_not_out(
    daemon: Daemon, target: Target, order: Order, screen: Screen
) -> None:
    """--timeout ends the watching, and the exit code does not flatter."""
    daemon.says("POST", "/v1/alerts", alert(delivery(state="queued")), status=202)
    daemon.says("GET", "/v1/alerts/a1", alert(delivery(state="queued", reason="HTTP 429")))
    soon = Watching(wanted=True, seconds=0.05)
    assert await send(target, order, soon, screen.output) == SOME_NOT_OUT
    assert "The time is over, and 1 not out yet" in screen.err
    assert "HTTP 429" in screen.err


async def test_an_interrupted_watcher_learns_how_to_go_on(
    daemon: Daemon, target: Target, order: Order, screen: Screen
) -> None:
    """Ctrl-C ends the watching, never the alert."""
    daemon.says("POST", "/v1/alerts", alert(delivery(state="queued")), status=202)
    daemon.says("GET", "/v1/alerts/a1", alert(delivery(state="queued")))
    task = asyncio.create_task(send(target, order, WATCH, screen.output))
    while not any(path == "/v1/alerts/a1" for _, path, _ in daemon.asked):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "goes out all the same" in screen.err
    assert "broadcaster status 26-0142/1" in screen.err


async def test_no_answer_at_all_says_whether_it_may_be_out(
    daemon: Daemon, target: Target, order: Order, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person learns what is known, and that repeating with the key is safe."""
    monkeypatch.setattr(sending, "REPEAT_SECONDS", 0.05)
    monkeypatch.setattr(sending, "_WAITS", lambda _: 0.04)
    hand_in = sending.hand_in
    monkeypatch.setattr(
        "broadcaster.terminal.alerts.hand_in",
        lambda *args: hand_in(*args, seconds=0.05),
    )
    daemon.says("POST", "/v1/alerts", RuntimeError("drop"))
    assert await send(target, order, ONLY_SEND, screen.output) == NOT_READY
    assert "not known whether the alert was accepted" in screen.err
    assert "--idempotency-key key-1" in screen.err
    nowhere = Target(server="http://127.0.0.1:9", key_file=target.key_file)
    other = Screen()
    assert await send(nowhere, order, ONLY_SEND, other.output) == NOT_READY
    assert "nothing has gone out" in other.err


def test_nothing_going_out_at_all_is_no_success(screen: Screen) -> None:
    """An alert that no channel carries never ends with 0."""
    assert verdict(alert(delivery(state="withheld")), screen.output) == SOME_NOT_OUT
    assert "no channel carries" in screen.err


async def test_preview_shows_each_text_with_its_length(
    daemon: Daemon, target: Target, order: Order, screen: Screen
) -> None:
    """Text, length against limit, reason of what is withheld, and warnings; nothing is stored."""
    withheld = delivery("y", "withheld", reason="carries only Extreme", message=None)
    shown = alert(delivery(state="queued"), withheld, warnings=["z: does not fit"])
    daemon.says("POST", "/v1/preview", shown)
    assert await preview(target, order.file, screen.output) == FINE
    assert "x  x  de  9 of 280\n    Großbrand\n" in screen.out
    assert "y  x  de  withheld\n    carries only Extreme\n" in screen.out
    assert "z: does not fit" in screen.err
    assert [path for _, path, _ in daemon.asked] == ["/v1/preview"]


def scripted(daemon: Daemon) -> None:
    """Let the daemon know one alert and its all-clear."""
    daemon.says("GET", "/v1/alerts/26-0142%2F1", alert())
    ended = alert(reference="26-0142/2", msgType="Cancel")
    daemon.says("POST", "/v1/alerts/a1/cancel", RuntimeError("drop"), ended, status=202)


async def test_cancel_repeats_when_the_answer_is_lost(
    daemon: Daemon, target: Target, screen: Screen
) -> None:
    """Cancelling again gives the same all-clear, so a lost answer is simply asked for again."""
    scripted(daemon)
    wish = AllClear("26-0142/1", "Das Feuer ist gelöscht.")
    assert await cancel(target, wish, WATCH, screen.output) == FINE
    bodies = daemon.bodies("/v1/alerts/a1/cancel")
    assert [json.loads(body) for body in bodies] == [{"text": "Das Feuer ist gelöscht."}] * 2
    assert "Accepted: Nr. 26-0142/2" in screen.out


@pytest.mark.parametrize(("answer", "code"), [("n\n", REFUSED), ("\n", REFUSED), ("y\n", FINE)])
async def test_cancel_asks_first_where_it_should(
    daemon: Daemon,
    target: Target,
    screen: Screen,
    monkeypatch: pytest.MonkeyPatch,
    *,
    answer: str,
    code: int,
) -> None:
    """Only a clear yes gives the all-clear; the question names the alert."""
    scripted(daemon)
    monkeypatch.setattr("sys.stdin.readline", lambda: answer)
    wish = AllClear("26-0142/1", ask=True)
    assert await cancel(target, wish, ONLY_SEND, screen.output) == code
    assert "26-0142/1" in screen.out
    assert bool(daemon.bodies("/v1/alerts/a1/cancel")) == (code == FINE)


async def test_cancelling_what_does_not_exist_is_refused(target: Target, screen: Screen) -> None:
    """A mistyped reference ends nothing."""
    with pytest.raises(Problem):
        await cancel(target, AllClear("26-9/1"), ONLY_SEND, screen.output)


async def test_without_a_running_daemon_accepted_is_not_out(screen: Screen) -> None:
    """What only lies in the store is said to, and never ends with 0."""
    from broadcaster.terminal import alerts as room

    client: Any = type("Store", (), {"running": False})()
    code = await room.accepted(client, alert(delivery(state="queued")), WATCH, screen.output)
    assert code == SOME_NOT_OUT
    assert "The daemon does not run" in screen.err
