"""Blocking library calls in a bounded number of a channel's own threads.

They are daemon threads, one per call: a call that never returns keeps its slot and is counted, but
holds up neither the end of the process nor another channel. A pool that is joined at exit would.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from broadcaster.delivery import NotSent

T = TypeVar("T")


class Threads:
    """At most `most` calls at once; more wait for a slot in the order they came.

    A slot is free again when its thread has returned, and not before: not when the caller was
    cancelled. `limit_seconds` is the age from which a running call counts as stuck.
    """

    def __init__(self, most: int, *, name: str = "channel", limit_seconds: float = 15.0) -> None:
        self._slots = asyncio.Semaphore(most)
        self._name = name
        self._limit_seconds = limit_seconds
        self._numbers = itertools.count(1)
        self._begun: dict[int, float] = {}

    @property
    def busy(self) -> int:
        """How many threads have not returned."""
        return len(self._begun)

    @property
    def stuck(self) -> int:
        """How many of them have been at it for longer than the limit."""
        latest = time.monotonic() - self._limit_seconds
        return sum(begun <= latest for begun in list(self._begun.values()))

    async def run(self, call: Callable[[], T]) -> T:
        """Run a blocking call with the caller's context; give its result or raise its exception.

        Raises NotSent where the machine has no thread left: the call was not begun. A cancelled
        caller leaves the call running, with its slot.
        """
        await self._slots.acquire()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        context = contextvars.copy_context()
        number = next(self._numbers)

        def work() -> None:
            ended = _outcome(lambda: context.run(call))
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._finish, number, future, ended)

        self._begun[number] = time.monotonic()
        try:
            threading.Thread(target=work, name=f"{self._name}-{number}", daemon=True).start()
        except RuntimeError as error:
            self._free(number)
            raise NotSent("nothing was sent: this machine has no thread left") from error
        return await future

    def _free(self, number: int) -> None:
        del self._begun[number]
        self._slots.release()

    def _finish(self, number: int, future: asyncio.Future[T], ended: T | _Raised) -> None:
        self._free(number)
        if future.cancelled():
            return
        if isinstance(ended, _Raised):
            future.set_exception(ended.error)
        else:
            future.set_result(ended)


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


def _outcome(call: Callable[[], T]) -> T | _Raised:
    try:
        return call()
    except StopIteration as error:  # a future refuses it, and would then never end
        return _Raised(RuntimeError(repr(error)))
    except BaseException as error:  # noqa: BLE001 - the caller gets it, whatever it is
        return _Raised(error)
