"""A channel's threads are bounded, keep their slots, and never hold up the end of the process."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from broadcaster.channels.pool import Threads
from broadcaster.delivery import NotSent


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Give an event that blocked threads wait for; it opens when the test is over."""
    event = threading.Event()
    yield event
    event.set()


async def until(threads: Threads, busy: int) -> None:
    """Let the loop turn until so many threads are at work."""
    while threads.busy != busy:
        await asyncio.sleep(0.001)


async def test_a_call_gives_its_result_or_its_exception() -> None:
    """The caller gets what the call returned, or what it raised."""
    threads = Threads(1)
    assert await threads.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads.run(lambda: next(iter(())))
    assert threads.busy == 0


async def test_no_more_threads_run_than_there_are_slots(gate: threading.Event) -> None:
    """A third call waits while two slots are taken, and runs when one is given back."""
    threads = Threads(2)
    most: list[int] = []
    running = threading.Semaphore(0)

    def call() -> int:
        running.release()
        gate.wait()
        most.append(threads.busy)
        return 1

    calls = [asyncio.create_task(threads.run(call)) for _ in range(6)]
    await until(threads, 2)
    await asyncio.sleep(0.02)
    assert threads.busy == 2
    gate.set()
    assert sum(await asyncio.gather(*calls)) == 6
    assert max(most) <= 2


async def test_a_cancelled_caller_does_not_give_its_slot_away(gate: threading.Event) -> None:
    """The slot is free when the thread has returned, not when nobody waits for it any more."""
    threads = Threads(1)
    first = asyncio.create_task(threads.run(gate.wait))
    await until(threads, 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(threads.run(lambda: "second"))
    await asyncio.sleep(0.02)
    assert threads.busy == 1
    assert not second.done()
    gate.set()
    assert await second == "second"


async def test_a_caller_cancelled_before_its_turn_takes_no_slot(gate: threading.Event) -> None:
    """Who gave up while waiting for a slot neither runs nor blocks those behind."""
    threads = Threads(1)
    ran: list[str] = []
    first = asyncio.create_task(threads.run(gate.wait))
    await until(threads, 1)
    second = asyncio.create_task(threads.run(lambda: ran.append("second")))
    await asyncio.sleep(0)
    second.cancel()
    gate.set()
    await first
    await threads.run(lambda: ran.append("third"))
    assert ran == ["third"]


async def test_a_call_that_does_not_return_is_counted_as_stuck(gate: threading.Event) -> None:
    """Stuck are the calls that run for longer than the limit, and only those."""
    patient, strict = Threads(1, limit_seconds=3600), Threads(1, limit_seconds=0)
    calls = [asyncio.create_task(threads.run(gate.wait)) for threads in (patient, strict)]
    await until(patient, 1)
    await until(strict, 1)
    assert (patient.stuck, strict.stuck) == (0, 1)
    gate.set()
    await asyncio.gather(*calls)
    assert strict.stuck == 0


async def test_a_call_sees_the_context_of_its_caller() -> None:
    """What was bound to the log's context is there in the thread too."""
    alert: contextvars.ContextVar[str] = contextvars.ContextVar("alert")
    alert.set("26-0142")
    assert await Threads(1).run(alert.get) == "26-0142"


async def test_without_a_thread_left_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that cannot start a thread has not called anything, and the slot is free again."""
    threads = Threads(1)

    def start(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(NotSent):
            await threads.run(lambda: None)
    assert await threads.run(lambda: "again") == "again"


def test_a_thread_that_hangs_does_not_hold_up_the_end_of_the_process() -> None:
    """The process ends while a call still hangs, and says nothing about it."""
    program = (
        "import asyncio, threading\n"
        "from broadcaster.channels.pool import Threads\n"
        "async def main():\n"
        "    call = asyncio.create_task(Threads(1).run(threading.Event().wait))\n"
        "    await asyncio.sleep(0.05)\n"
        "    call.cancel()\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], timeout=20, check=True, capture_output=True
    )
    assert ended.stderr == b""
