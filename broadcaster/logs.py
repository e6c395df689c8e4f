"""Logs: structlog through the standard library, so that every library's lines look like ours.

JSON where a machine reads (no terminal), readable where a person does. Redaction runs last, over
everything a line holds: our events, other people's loggers, warnings and tracebacks. Lines are
handed to a thread, so that a stalled stderr never stops the event loop; what it could not take is
counted and said.
"""

from __future__ import annotations

import atexit
import logging
import queue
import re
import sys
import threading
from collections.abc import Mapping
from logging.handlers import QueueHandler
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

QUEUE_LINES_MAX = 10_000
STOP_SECONDS = 2.0
FRAMES_MAX = 20
HIDDEN = "***"

# What these log below these levels holds addresses, tokens or whole messages, or is mere noise.
LIBRARY_LEVELS: Mapping[str, int] = {
    "aiohttp.access": logging.WARNING,
    "alembic": logging.WARNING,
    "apprise": logging.WARNING,
    "asyncio": logging.WARNING,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "mail.log": logging.ERROR,
    "requests": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "urllib3": logging.WARNING,
}

_SECRET_NAMES = re.compile(
    r"token|passw|passphrase|secret|authorization|api_?key|credential|cookie|jwt|session|signature",
    re.IGNORECASE,
)
_SECRET_VALUES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"([a-z][a-z0-9+.-]{1,30}://)[^\s/@]*@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    (re.compile(r"/bot\d+:[\w-]+"), f"/bot{HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic|OAuth) +[^\s,;\"']{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(\.[\w-]*)?"), HIDDEN),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), HIDDEN),
    (re.compile(r"\b(bcast_[0-9A-Za-z]+)_[0-9A-Za-z_]+"), rf"\1_{HIDDEN}"),
    (
        re.compile(
            r"([?&][-+]?[\w.-]*(?:token|key|secret|pass|auth|sig)[\w.-]*=)[^&\s\"']+", re.IGNORECASE
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(
            r"([\w-]*(?:token|passw|secret|authorization|api_?key|jwt|signature)[\w-]*"
            r"[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&}]+",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
)


def configure(
    *, json: bool | None = None, level: str = "info", stream: TextIO | None = None
) -> None:
    """Set up all logging of this process, once at its start.

    `json`: True or False, None decides by whether `stream` (stderr) is a terminal. `level` is the
    lowest level shown: debug, info, warning or error. Calling it again replaces the set-up.
    """
    stream = stream or sys.stderr
    json = not stream.isatty() if json is None else json
    shared = _shared()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # loggers made while modules load follow a later set-up
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=_endings(json=json),
    )
    _install(_Handoff(_Writer(stream), formatter), level)


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace whatever looks like a secret, by its name or by its shape, at any depth."""
    return {name: _redacted(name, value) for name, value in event.items()}


def redact_text(text: str) -> str:
    """Replace whatever in a text has the shape of a secret."""
    for pattern, replacement in _SECRET_VALUES:
        text = pattern.sub(replacement, text)
    return text


def _redacted(name: str, value: Any) -> Any:
    if _SECRET_NAMES.search(name) and not isinstance(value, bool | None):
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: _redacted(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted("", item) for item in value]
    if isinstance(value, bool | int | float | None):
        return value
    return redact_text(value if isinstance(value, str) else str(value))


def _shared() -> list[Processor]:
    """What our lines and those of libraries have in common."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _endings(*, json: bool) -> list[Processor]:
    """From event to line: exceptions without local variables, redaction, then the text."""
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if json:
        transform = structlog.tracebacks.ExceptionDictTransformer(
            show_locals=False, max_frames=FRAMES_MAX
        )
        exceptions: Processor = structlog.processors.ExceptionRenderer(transform)
        last: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        exceptions = structlog.processors.format_exc_info
        last = structlog.dev.ConsoleRenderer(
            exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    return [strip, exceptions, redact, last]


def _install(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    for old in [*root.handlers]:
        if isinstance(old, _Handoff):
            root.removeHandler(old)
            old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, lowest in LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(max(lowest, root.level))
    logging.captureWarnings(capture=True)


class _Handoff(QueueHandler):
    """Makes the line where it is logged (context and arguments are right there) and hands it on."""

    def __init__(self, writer: _Writer, formatter: logging.Formatter) -> None:
        super().__init__(writer.lines)
        self._writer = writer
        self.setFormatter(formatter)
        atexit.register(self.close)

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self._writer.lines.put_nowait(record.getMessage())
        except queue.Full:
            self._writer.dropped += 1

    def close(self) -> None:
        atexit.unregister(self.close)
        self._writer.stop()
        super().close()


class _Writer(threading.Thread):
    """Writes lines as fast as the stream takes them; nobody waits for it but the end."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(name="logs", daemon=True)
        self.lines: queue.Queue[str | None] = queue.Queue(QUEUE_LINES_MAX)
        self.dropped = 0
        self._stream = stream
        self.start()

    def run(self) -> None:
        while (line := self.lines.get()) is not None:
            self._write(line)
            if self.lines.empty():
                self._say_dropped()
        self._say_dropped()

    def stop(self) -> None:
        """Write what is left, but wait no longer than STOP_SECONDS for a stalled stream."""
        if self.is_alive():
            try:
                self.lines.put(None, timeout=STOP_SECONDS)
            except queue.Full:
                return  # the stream takes nothing, so a last word would not arrive either
            self.join(STOP_SECONDS)

    def _write(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads any more; there is no other place to say so
            self.dropped += 1

    def _say_dropped(self) -> None:
        if self.dropped:
            dropped, self.dropped = self.dropped, 0
            self._write(f'{{"event": "log lines dropped", "level": "warning", "n": {dropped}}}')
