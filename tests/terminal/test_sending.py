"""Handing an alert in: one key, repeated while answers are lost, never a second alert."""

from __future__ import annotations

import io
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tenacity import wait_none

from broadcaster.terminal import sending
from broadcaster.terminal.client import Client, Lost, Problem
from broadcaster.terminal.sending import Letter, Order, hand_in, read_alert
from broadcaster.terminal.target import Misuse
from tests.terminal.conftest import Daemon, alert

LETTER = Letter(b'{"status": "Actual"}', "key-1")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give what was told between repeats, which then do not wait."""
    monkeypatch.setattr(sending, "_WAITS", wait_none())
    return []


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(
    daemon: Daemon, client: Client, told: list[str]
) -> None:
    """The daemon accepted and its answer was lost: the repeat brings the same alert."""
    daemon.says("POST", "/v1/alerts", RuntimeError("drop"), RuntimeError("drop"), alert())
    accepted = await hand_in(client, LETTER, told.append)
    assert accepted["id"] == "a1"
    assert daemon.bodies("/v1/alerts") == [LETTER.body] * 3
    assert {headers["Idempotency-Key"] for headers in daemon.headers} == {"key-1"}
    assert len(told) == 2
    assert "broke before the answer" in told[0]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_daemon_in_trouble_is_asked_again(
    daemon: Daemon, client: Client, told: list[str], status: int
) -> None:
    """Nothing is known to be stored after these, and the key makes a repeat safe."""
    trouble = web.json_response({"code": "trouble", "detail": "Not now."}, status=status)
    daemon.says("POST", "/v1/alerts", trouble, alert())
    assert (await hand_in(client, LETTER, told.append))["id"] == "a1"


async def test_an_alert_still_in_flight_is_waited_for_as_asked(
    daemon: Daemon, client: Client, told: list[str]
) -> None:
    """409 with Retry-After: the first request is still being worked on."""
    flight = web.json_response({"code": "in-progress"}, status=409, headers={"Retry-After": "0"})
    daemon.says("POST", "/v1/alerts", flight, alert())
    assert (await hand_in(client, LETTER, told.append))["id"] == "a1"


@pytest.mark.parametrize("status", [400, 401, 403, 409, 413, 415, 422, 501, 507])
async def test_a_refusal_is_final(
    daemon: Daemon, client: Client, told: list[str], status: int
) -> None:
    """What the daemon refuses for good is asked once."""
    daemon.says("POST", "/v1/alerts", {"code": "no", "detail": "No."}, status=status)
    with pytest.raises(Problem):
        await hand_in(client, LETTER, told.append)
    assert (len(daemon.asked), told) == (1, [])


async def test_a_wait_longer_than_the_time_left_is_not_begun(
    daemon: Daemon, client: Client, told: list[str]
) -> None:
    """Retry-After beyond the time for repeats ends them at once, with the daemon's own reason."""
    answer = web.json_response({"code": "busy"}, status=503, headers={"Retry-After": "3600"})
    daemon.says("POST", "/v1/alerts", answer)
    with pytest.raises(Problem, match="busy"):
        await hand_in(client, LETTER, told.append, seconds=30.0)
    assert len(daemon.asked) == 1


async def test_doubt_from_an_earlier_try_stays(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once an answer was lost, a later refused connection does not prove that nothing went out."""
    daemon.says("POST", "/v1/alerts", RuntimeError("drop"))
    told: list[str] = []
    async with aiohttp.ClientSession() as session:
        client = Client(session, daemon.url, daemon.url)
        monkeypatch.setattr(sending, "_WAITS", lambda _state: 0.01)

        def gone(sentence: str) -> None:
            told.append(sentence)
            client._base = "http://127.0.0.1:9"

        with pytest.raises(Lost, match="Nothing answers") as caught:
            await hand_in(client, LETTER, gone, seconds=0.05)
    assert caught.value.sent


async def test_a_name_that_does_not_exist_is_not_tried_again(
    client: Client, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repeat would meet the same, so the person learns it at once."""

    async def nowhere(*_: Any, **__: Any) -> Any:
        raise Lost("There is no host by that name.", sent=False, hopeless=True)

    monkeypatch.setattr(client, "post_alert", nowhere)
    with pytest.raises(Lost):
        await hand_in(client, LETTER, told.append)
    assert told == []


def test_a_fresh_key_is_made_unless_one_is_given(tmp_path: Path) -> None:
    """Every send has a key of its own; a repeat by hand names the old one."""
    file = tmp_path / "alert.json"
    file.write_bytes(b"{}")
    first, second = Order(file).letter(), Order(file).letter()
    assert uuid.UUID(first.key) != uuid.UUID(second.key)
    assert Order(file, "key-1").letter().key == "key-1"


def test_a_meant_repeat_names_the_first_alert() -> None:
    """Allow-Duplicate-Of is sent only when asked for."""
    assert "Allow-Duplicate-Of" not in LETTER.headers
    assert Letter(b"", "k", "a1").headers["Allow-Duplicate-Of"] == "a1"


def test_an_alert_is_read_from_a_file_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes are passed on as they are; a file that is not there is named."""
    file = tmp_path / "alert.json"
    file.write_bytes(b"\xff{}")
    assert read_alert(file) == b"\xff{}"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"from a pipe")))
    assert read_alert(Path("-")) == b"from a pipe"
    with pytest.raises(Misuse, match=r"missing\.json: No such file"):
        read_alert(tmp_path / "missing.json")
