"""Cards are drawn in a process of their own, which a slow or broken drawing cannot leave.

One worker at lower priority than sending, fed through its standard input: a card as JSON in, a
picture or a fault out, each behind its length. It ends when that pipe ends, so none outlives the
daemon, however the daemon ends.

`python -m broadcaster.drawers [TEMPLATES]` is that worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import struct
import sys
import threading
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from broadcaster.drawing import CardFault, Spec, draw

LIMIT_SECONDS = 10.0  # for one card; then the worker is killed
START_SECONDS = 30.0  # until it has read fonts and templates, on a machine under load
NICENESS = 5  # sending has three quarters of a processor that both want
_LENGTH = struct.Struct("!I")
_HEAD = struct.Struct("!cI")  # what it is, and how many bytes follow
_READY, _PICTURE, _FAULT = b"r", b"p", b"f"
_PLACE = Path(__file__).resolve().parents[1]  # where the worker finds this package
_WARM_WITH = Spec("de", "alert", "Severe", "Fire", "ÜBUNG", *("Großbrand خطر Опасность",) * 7)
# A word too wide for any card has the dictionary of its language read, which may take 0.3 s: while
# nobody asks for anything.
_HYPHENATED = [
    replace(_WARM_WITH, language=language, title="W" * 80, width=320, height=320)
    for language in ("de", "en", "uk", "pl", "ro", "ru")
]


class WorkerFault(CardFault):
    """Drawing failed, perhaps not for the card's sake: the same card may be tried again."""


@dataclass(slots=True)
class Drawers:
    """Draws cards, one after the other. `templates`: a city's own, whose `card/` comes first."""

    templates: Path | None = None
    limit_seconds: float = LIMIT_SECONDS
    _worker: Process | None = None
    _starting: asyncio.Task[Process] | None = None
    _one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock)
    _previews: asyncio.Lock = field(default_factory=asyncio.Lock)
    _closed: bool = False

    async def start(self) -> None:
        """Start the worker. It gets ready by itself; the first card waits for it."""
        self._closed = False
        self._begin()

    async def close(self) -> None:
        """End the worker, whatever it is doing."""
        self._closed = True
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        await self._end()

    @property
    def pid(self) -> int | None:
        """The worker's process, None while there is none."""
        return self._worker.pid if self._worker else None

    async def preview(self, spec: Spec) -> bytes:
        """Draw for somebody who only looks; raises as `draw` does.

        Only one of them is ever in line: what is really sent waits for no more than that.
        """
        async with self._previews:
            return await self.draw(spec)

    async def draw(self, spec: Spec) -> bytes:
        """Return the picture as a file.

        Raises CardFault as `drawing.draw` does, and WorkerFault if the worker ended or took longer
        than `limit_seconds`. Then another worker is started at once.
        """
        async with self._one_by_one:
            worker = await self._ready()
            try:
                async with asyncio.timeout(self.limit_seconds):
                    what, data = await _ask(worker, spec)
            except TimeoutError as error:
                await self._replace()
                took = f"drawing the card took longer than {self.limit_seconds:g} s"
                raise WorkerFault(took) from error
            except (OSError, asyncio.IncompleteReadError) as error:
                code = await self._replace()
                raise WorkerFault(f"the process that draws cards ended ({code})") from error
            except asyncio.CancelledError:
                await self._replace()  # its answer would be taken for that to another card
                raise
        if what == _FAULT:
            raise CardFault(data.decode())
        return data

    async def _ready(self) -> Process:
        if self._closed:
            raise WorkerFault("no cards are drawn any more: the daemon is stopping")
        if self._worker and self._worker.returncode is not None:
            await self._replace()  # it ended while nobody asked for anything: no card's fault
        if self._starting is None:
            self._begin()
        starting = self._starting
        assert starting is not None  # noqa: S101 - `_begin` has just set it
        try:
            self._worker = await asyncio.shield(starting)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._starting = None  # the next card tries again
            await self._end()
            reason = str(error) or "it took too long"
            raise WorkerFault(f"the process that draws cards does not start: {reason}") from error
        return self._worker

    def _begin(self) -> None:
        self._starting = asyncio.create_task(self._start())

    async def _start(self) -> Process:
        templates = [str(self.templates.absolute())] if self.templates else []
        paths = [str(_PLACE), *filter(None, [os.environ.get("PYTHONPATH")])]
        # -P: the directory the daemon was started in is no place to import from.
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "broadcaster.drawers", *templates),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # Ctrl-C is for the daemon, which ends it in its own time
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )
        self._worker = worker
        async with asyncio.timeout(START_SECONDS):
            await _answer(worker)
        return worker

    async def _replace(self) -> str:
        """End the worker and start another; return how the old one ended, in words."""
        code = await self._end()
        self._starting = None
        if not self._closed:
            self._begin()
        return "it was killed" if code is None or code < 0 else f"exit code {code}"

    async def _end(self) -> int | None:
        worker, self._worker = self._worker, None
        if worker is None:
            return None
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            worker.kill()
        return await worker.wait()


async def _ask(worker: Process, spec: Spec) -> tuple[bytes, bytes]:
    assert worker.stdin  # noqa: S101 - it was started with a pipe
    data = spec.to_json().encode()
    worker.stdin.write(_LENGTH.pack(len(data)) + data)
    await worker.stdin.drain()
    return await _answer(worker)


async def _answer(worker: Process) -> tuple[bytes, bytes]:
    assert worker.stdout  # noqa: S101 - it was started with a pipe
    what, length = _HEAD.unpack(await worker.stdout.readexactly(_HEAD.size))
    return what, await worker.stdout.readexactly(length)


def main() -> None:
    """Draw what standard input asks for, until it ends."""
    templates = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # a stray print would be taken for an answer
    try:
        os.nice(NICENESS)
    except PermissionError as error:
        sys.stderr.write(f"drawing cards at normal priority: {error}\n")
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, asked), daemon=True).start()
    _drawn(_WARM_WITH.to_json().encode(), templates)
    _say(answers, _READY, b"")
    unread = list(_HYPHENATED)
    while True:
        while unread and asked.empty():
            _drawn(unread.pop(0).to_json().encode(), templates)
        _say(answers, *_drawn(asked.get(), templates))


def _drawn(asked: bytes, templates: Path | None) -> tuple[bytes, bytes]:
    """Answer with a picture, or with what is wrong: with the card, or a city's own template."""
    try:
        return _PICTURE, draw(Spec.from_json(asked.decode()), templates)
    except CardFault as fault:
        return _FAULT, str(fault).encode(errors="backslashreplace")


def _listen(source: BinaryIO, asked: queue.SimpleQueue[bytes]) -> None:
    """Read ahead, in a thread: the daemon's end is noticed in the middle of a drawing as well."""
    while len(head := source.read(_LENGTH.size)) == _LENGTH.size:
        asked.put(source.read(_LENGTH.unpack(head)[0]))
    os._exit(0)


def _say(answers: BinaryIO, what: bytes, data: bytes) -> None:
    answers.write(_HEAD.pack(what, len(data)) + data)
    answers.flush()


if __name__ == "__main__":
    main()
