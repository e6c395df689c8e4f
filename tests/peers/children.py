"""Servers as children of the test run: waiting, and an end that is sure."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Callable

LOOPBACK = "127.0.0.1"


def wait_until(ready: Callable[[], bool], *, limit_seconds: float, what: str) -> None:
    """Ask `ready` every 20 ms; raises TimeoutError that names `what` after `limit_seconds`."""
    end = time.monotonic() + limit_seconds
    while not ready():
        if time.monotonic() > end:
            message = f"{what} was not there after {limit_seconds:.0f} s"
            raise TimeoutError(message)
        time.sleep(0.02)


def stop(
    child: subprocess.Popen[bytes],
    *,
    ask: signal.Signals = signal.SIGTERM,
    limit_seconds: float = 10,
) -> None:
    """Ask the child to end, kill it when it does not, and reap it."""
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    child.send_signal(ask)
    try:
        child.wait(limit_seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
