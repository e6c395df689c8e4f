"""What is asked of Graph in the name of one Page: with its token, within bounds, and sparingly."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broadcaster.channels.facebook import calls as facebook_calls
from broadcaster.channels.facebook.calls import Calls
from broadcaster.config import Timing
from broadcaster.delivery import NotSent
from tests.channels.stub import Reply, Stub, serving, setup_for
from tests.kit import ManualClock

TOKEN, APP = "EAAB-token", "7|app-secret"


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for Graph that answers as told."""
    async with serving() as one:
        yield one


@pytest.fixture
async def calls(stub: Stub, tmp_path: Path) -> AsyncIterator[Calls]:
    """Give the calls of a channel to the stand-in."""
    setup = setup_for(tmp_path, "facebook", timing=Timing(attempt_seconds=0.4))
    one = Calls(setup, f"{stub.url}/v25.0", TOKEN, APP)
    yield one
    await one.close()


async def test_the_token_is_in_no_address(calls: Calls, stub: Stub) -> None:
    """It goes in a header, with every call."""
    stub.say(200, {"id": "1", "data": []})
    await calls.write("1/feed", {"message": "ü"})
    await calls.read("1", {"fields": "id,name"})
    await calls.delete("1_2")
    assert [pages async for pages in calls.pages("1/published_posts", {})] == [[]]
    assert [one.method for one in stub.requests] == ["POST", "GET", "DELETE", "GET"]
    for request in stub.requests:
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert TOKEN not in request.path
    assert json.loads(stub.requests[0].body) == {"message": "ü"}


def usage(percent: object) -> Reply:
    """Give an answer that tells how many of the calls are used."""
    return Reply(200, {"id": "1"}, {"X-App-Usage": json.dumps({"call_count": percent})})


@pytest.mark.parametrize(("used", "left", "low"), [(0, 100, False), (94, 6, False), (95, 5, True)])
async def test_the_calls_that_are_left_are_told(
    calls: Calls, stub: Stub, used: int, left: int, *, low: bool
) -> None:
    """Near the end the rest is kept for posts."""
    stub.answer = lambda _: usage(used)
    await calls.read("1", {})
    assert (calls.percent_left, calls.nearly_used_up) == (left, low)


async def test_the_calls_may_be_used_up_beyond_the_last(calls: Calls, stub: Stub) -> None:
    """Facebook counts on; and an answer that tells nothing changes nothing."""
    stub.answer = lambda _: usage(130)
    await calls.read("1", {})
    stub.answer = lambda _: usage("many")
    await calls.read("1", {})
    assert (calls.percent_left, calls.nearly_used_up) == (0, True)


async def test_a_pause_ends(calls: Calls, stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The share falls by itself: after a while it is asked again."""
    clock = ManualClock()
    monkeypatch.setattr(calls, "_clock", clock)
    stub.answer = lambda _: usage(99)
    await calls.read("1", {})
    clock.move(facebook_calls.LOOKS_PAUSE_SECONDS - 1)
    assert calls.nearly_used_up
    clock.move(1)
    assert not calls.nearly_used_up


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": "x"}, {"id": ["1"]}, b"[1]", b"{"])
async def test_an_object_without_an_id_was_not_read(calls: Calls, stub: Stub, body: bytes) -> None:
    """Another shape says nothing of a post."""
    stub.say(200, body)
    with pytest.raises(NotSent):
        calls.object_of(await calls.read("1", {}))


def test_no_token_is_shown(calls: Calls) -> None:
    """Not even where the channel is printed."""
    assert TOKEN not in repr(calls)
    assert "app-secret" not in repr(calls)
