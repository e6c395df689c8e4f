"""Logs: what a line holds, what it must never hold, and that writing one never waits."""

from __future__ import annotations

import io
import json
import logging
import os
import time
import warnings
from typing import Any, TextIO

import pytest
import structlog

from broadcaster import logs

CANARY = "C4N4RY-9f1b2c"


class Lines:
    """A stream, and how to read the lines that went to it."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def text(self) -> str:
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logs._Handoff):
                handler.close()  # writes what is left
        return self.stream.getvalue()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def lines() -> Lines:
    """Give a stream in memory to log to."""
    return Lines()


def test_a_line_is_json_with_time_level_logger_and_context(lines: Lines) -> None:
    """In production one line is one JSON object that says when, how grave, who, and about what."""
    logs.configure(json=True, stream=lines.stream)
    with structlog.contextvars.bound_contextvars(alert="a1"):
        structlog.get_logger("dispatcher").warning("attempt failed", reason="Zeitüberschreitung")
    (event,) = lines.events()
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "attempt failed",
        "level": "warning",
        "logger": "dispatcher",
        "alert": "a1",
        "reason": "Zeitüberschreitung",
    }


def test_lines_of_libraries_and_warnings_come_out_the_same_way(lines: Lines) -> None:
    """What aiohttp, urllib3 or Python itself have to say is JSON with our context too."""
    logs.configure(json=True, stream=lines.stream)
    with structlog.contextvars.bound_contextvars(alert="a1"):
        logging.getLogger("aiohttp.server").error("bad %s", "request", extra={"peer": "127.0.0.1"})
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old way", stacklevel=1)
    library, warning = lines.events()
    assert (library["event"], library["peer"], library["alert"]) == (
        "bad request",
        "127.0.0.1",
        "a1",
    )
    assert warning["logger"] == "py.warnings"
    assert "old way" in warning["event"]


def test_chatty_libraries_are_kept_quiet(lines: Lines) -> None:
    """The client httpx logs every address at info, urllib3 at debug: neither is ever shown."""
    logs.configure(json=True, level="debug", stream=lines.stream)
    logging.getLogger("httpx").info("HTTP Request: POST https://example.org/")
    logging.getLogger("urllib3.connectionpool").debug("https://example.org GET /bot1:x")
    logging.getLogger("aiohttp.access").info("GET /healthz")
    logging.getLogger("apprise").debug("body")
    assert lines.text() == ""


def test_a_level_hides_what_is_below_it(lines: Lines) -> None:
    """At info, successes at debug cost nothing and show nothing."""
    logs.configure(json=True, level="info", stream=lines.stream)
    structlog.get_logger().debug("delivered")
    structlog.get_logger().info("accepted")
    assert [event["event"] for event in lines.events()] == ["accepted"]


@pytest.mark.parametrize(
    "fields",
    [
        {"access_token": CANARY},
        {"headers": {"Authorization": CANARY}},
        {"settings": [{"app_password": CANARY}]},
        {"apikey": CANARY},
        {"session": {"accessJwt": CANARY}},
        {"url": f"mailtos://user:{CANARY}@mail.example.org"},
        {"url": f"https://api.example.org/bot123456:{CANARY}/sendMessage"},
        {"url": f"https://example.org/post?x=1&access_token={CANARY}&y=2"},
        {"url": f"json://example.org/?+X-Token={CANARY}"},
        {"header": f"Authorization: Bearer {CANARY}"},
        {"reason": f"refused: OAuth oauth_signature={CANARY}"},
        {"body": f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.sig"},
        {"body": f'{{"password": "{CANARY}"}}'},
        {"secretless": f"whsec_{CANARY}"},
        {"said": f"no such key: bcast_0123456789_{CANARY.replace('-', '')}_0f0f0f"},
        {"what": ValueError(f"postgresql://broadcaster:{CANARY}@db1/alerts")},
    ],
    ids=lambda fields: "-".join(map(str, fields)),
)
@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_is_ever_written(lines: Lines, fields: dict[str, Any], *, as_json: bool) -> None:
    """A secret is recognised by its name or its shape, at any depth, in either form of a line."""
    logs.configure(json=as_json, stream=lines.stream)
    structlog.get_logger().info("something", **fields)
    logging.getLogger("library").warning("something %s", fields, extra={"more": fields})
    text = lines.text()
    assert text.count("something") >= 2
    assert CANARY not in text
    assert CANARY.replace("-", "") not in text


@pytest.mark.parametrize("as_json", [True, False])
def test_tracebacks_show_neither_local_variables_nor_secrets(
    lines: Lines, *, as_json: bool
) -> None:
    """A traceback says where, never what the variables held; its message is redacted too."""
    logs.configure(json=as_json, stream=lines.stream)
    held = CANARY + str(os.getpid())
    try:
        raise RuntimeError("https://user:%s@example.org/ refused" % held)  # noqa: TRY301, UP031
    except RuntimeError:
        structlog.get_logger().exception("attempt broke")
        logging.getLogger("library").exception("library broke")
    text = lines.text()
    assert text.count("RuntimeError") >= 2
    assert text.count("test_tracebacks_show") >= 2
    assert CANARY not in text


def test_what_is_no_secret_stays_readable() -> None:
    """Redaction leaves addresses, references and ordinary words alone."""
    for text in (
        "https://x.com/i/web/status/1860000000000000000",
        "Nr. 26-0142/1: Fenster und Türen schließen",
        "the key leitstelle was created",
        "info@feuerwehr.example.org",
    ):
        assert logs.redact_text(text) == text


def test_a_person_gets_a_readable_line(lines: Lines) -> None:
    """On a terminal a line is words, not JSON."""
    logs.configure(json=False, stream=lines.stream)
    structlog.get_logger().info("accepted", reference="26-0142/1")
    text = lines.text()
    assert "accepted" in text
    assert "26-0142/1" in text
    assert not text.startswith("{")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_stream_decides_between_json_and_words(lines: Lines) -> None:
    """Without being told, a terminal gets words and everything else JSON."""
    lines.stream = Terminal()
    logs.configure(stream=lines.stream)
    structlog.get_logger().info("accepted")
    assert not lines.text().startswith("{")


class Stalled(io.StringIO):
    """A stream that takes a line only every 50 ms, as a full pipe does."""

    def write(self, text: str) -> int:
        time.sleep(0.05)
        return super().write(text)


def test_a_slow_stream_never_holds_up_who_logs(lines: Lines) -> None:
    """Ten lines to a stream that needs half a second are handed over at once, none lost."""
    lines.stream = Stalled()
    logs.configure(json=True, stream=lines.stream)
    logger = structlog.get_logger()
    logger.info("first")
    started = time.monotonic()
    for number in range(10):
        logger.info("line", number=number)
    assert time.monotonic() - started < 0.25
    assert [event.get("number") for event in lines.events()] == [None, *range(10)]


def test_lines_that_found_no_room_are_counted(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that stands still costs lines, not memory; how many is said afterwards."""
    monkeypatch.setattr(logs, "QUEUE_LINES_MAX", 2)
    lines.stream = Stalled()
    logs.configure(json=True, stream=lines.stream)
    for number in range(20):
        structlog.get_logger().info("line", number=number)
    events = lines.events()
    written = [event for event in events if event["event"] == "line"]
    (dropped,) = [event for event in events if event["event"] == "log lines dropped"]
    assert len(written) + dropped["n"] == 20


def test_a_closed_stream_ends_nothing(lines: Lines) -> None:
    """When nobody reads stderr any more, the daemon goes on."""
    stream: TextIO = io.StringIO()
    logs.configure(json=True, stream=stream)
    stream.close()
    structlog.get_logger().info("unheard")
    lines.text()
    structlog.get_logger().info("still alive")
