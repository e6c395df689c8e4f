"""Following an alert: by events where there are some, by asking where not, until all is settled."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from broadcaster.delivery import State
from broadcaster.terminal import watch
from broadcaster.terminal.client import Client, Problem
from broadcaster.terminal.watch import News, all_out, follow, is_settled, not_out
from tests.terminal.conftest import Daemon, alert, delivery

OPEN = alert(delivery(state="queued"))
SENT = alert(delivery(state="sent"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask and gather without waiting for people."""
    monkeypatch.setattr(watch, "GATHER_SECONDS", 0.0)
    monkeypatch.setattr(watch, "RECONNECT_SECONDS", 0.0)


def stream(*events: dict[str, Any]) -> web.Response:
    """Give an event stream that ends after these."""
    text = "".join(
        f"id: {number}\nevent: delivery\ndata: {json.dumps(event)}\n\n"
        for number, event in enumerate(events, 1)
    )
    return web.Response(text=text, content_type="text/event-stream")


@pytest.mark.parametrize("name", list(State))
def test_settled_means_nothing_changes_by_itself(name: State) -> None:
    """Queued, sending and unknown are open; everything else stays until a person acts."""
    settled = is_settled(alert(delivery(), delivery("y", name)))
    assert settled == (name not in {State.QUEUED, State.SENDING, State.UNKNOWN})


def test_unknown_is_settled_once_people_were_told() -> None:
    """Then somebody looks after it, and waiting ends."""
    assert is_settled(alert(delivery(state="unknown", told=True)))


def test_a_state_of_a_later_version_counts_as_open() -> None:
    """What is not understood is not taken for done."""
    assert not is_settled(alert(delivery(state="translating")))


def test_all_out_needs_every_delivery_out_and_at_least_one() -> None:
    """Withheld by rule is as it should be; nothing at all going out is not."""
    assert all_out(alert(delivery(), delivery("y", "visible"), delivery("z", "withheld")))
    assert not all_out(alert(delivery("z", "withheld")))
    for name in ("failed", "unknown", "expired", "waiting", "queued", "sending", "superseded"):
        some = alert(delivery(), delivery("y", name))
        assert not all_out(some)
        assert [one["channel"] for one in not_out(some)] == ["y"]


async def test_events_bring_every_change(daemon: Daemon, client: Client) -> None:
    """An event leads to a look at the alert; the look ends when all is settled."""
    daemon.says("GET", "/v1/alerts/a1/events", lambda: stream({"delivery": "d-x", "at": "T"}))
    daemon.says("GET", "/v1/alerts/a1", OPEN, SENT)
    shown: list[str] = []
    last = await follow(
        client, OPEN, lambda one: shown.append(one["deliveries"][0]["state"]), seconds=30
    )
    assert shown == ["queued", "queued", "sent"]
    assert last["deliveries"][0]["state"] == "sent"
    assert last["deliveries"][0]["changed"] == "T"


async def test_a_broken_stream_is_resumed_behind_its_last_event(
    daemon: Daemon, client: Client
) -> None:
    """Last-Event-ID names what was heard, so nothing is missed and nothing heard twice."""
    daemon.says("GET", "/v1/alerts/a1/events", lambda: stream({"n": 1}, {"n": 2}))
    daemon.says("GET", "/v1/alerts/a1", OPEN, OPEN, OPEN, SENT)
    await follow(client, OPEN, lambda _: None, seconds=30)
    asked = [
        h for h, (_, path, _) in zip(daemon.headers, daemon.asked, strict=True) if "ev" in path
    ]
    assert asked[0].get("Last-Event-ID") is None
    assert asked[1]["Last-Event-ID"] == "2"


async def test_without_a_stream_it_asks_now_and_then(
    daemon: Daemon, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that passes no streams costs promptness, nothing else."""
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.01)
    daemon.says("GET", "/v1/alerts/a1", OPEN, OPEN, SENT)
    last = await follow(client, OPEN, lambda _: None, seconds=30)
    assert last["deliveries"][0]["state"] == "sent"
    assert sum("events" in path for _, path, _ in daemon.asked) == 1


async def test_following_ends_with_its_time(daemon: Daemon, client: Client) -> None:
    """What is still open then is given back as it is."""
    daemon.says("GET", "/v1/alerts/a1", OPEN)
    last = await follow(client, OPEN, lambda _: None, seconds=0.05)
    assert last["deliveries"][0]["state"] == "queued"


async def test_a_daemon_that_is_away_for_a_moment_is_waited_for(
    daemon: Daemon, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart of the daemon does not end the watching."""
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.01)
    daemon.says("GET", "/v1/alerts/a1", RuntimeError("drop"), RuntimeError("drop"), SENT)
    last = await follow(client, OPEN, lambda _: None, seconds=30)
    assert last["deliveries"][0]["state"] == "sent"


async def test_a_key_that_no_longer_holds_ends_the_watching(
    daemon: Daemon, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal will not mend itself."""
    monkeypatch.setattr(watch, "POLL_SECONDS", 0.01)
    daemon.says("GET", "/v1/alerts/a1", {"code": "key-refused", "detail": "No."}, status=401)
    with pytest.raises(Problem):
        await follow(client, OPEN, lambda _: None, seconds=30)


async def test_events_that_are_not_understood_are_still_news(
    daemon: Daemon, client: Client
) -> None:
    """Whatever an event carries, the alert itself is what counts."""
    text = "data: not json\n\ndata: [1]\n\ndata: {}\n\n"
    answer = web.Response(text=text, content_type="text/event-stream")
    daemon.says("GET", "/v1/alerts/a1/events", answer)
    daemon.says("GET", "/v1/alerts/a1", SENT)
    last = await follow(client, OPEN, lambda _: None, seconds=30)
    assert last["deliveries"][0]["state"] == "sent"


def test_an_answer_ahead_of_its_event_says_itself_since_when() -> None:
    """A post that is out is not dated by the try before it."""
    news = News()
    news.heard('{"delivery": "d-x", "at": "2026-11-22T02:49:00.100+00:00"}')
    later = "2026-11-22T02:49:04.100+00:00"
    shown = news.dated(alert(delivery(since=later), delivery("y", since=later)))
    assert [one["changed"] for one in shown["deliveries"]] == [later, None]
