"""How a command ends: its exit code, and for every trouble a sentence that says what to do.

0 as wished; 1 not ready, or no answer; 2 a usage error; 3 some deliveries are not out; 4 refused;
130 interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from broadcaster.config import ConfigError
from broadcaster.record import StoreBroken, StoreUnavailable
from broadcaster.terminal.client import Lost, Problem
from broadcaster.terminal.output import Output
from broadcaster.terminal.target import Misuse

FINE = 0
NOT_READY = 1
USAGE = 2
SOME_NOT_OUT = 3
REFUSED = 4
INTERRUPTED = 130


Loops = Callable[[], asyncio.AbstractEventLoop]


def run(work: Coroutine[Any, Any, int], output: Output, loops: Loops | None = None) -> int:
    """Run a command's work to its end and return its exit code, with every trouble told.

    `loops` makes the event loop; None takes the standard one.
    """
    try:
        with asyncio.Runner(loop_factory=loops) as runner:
            return runner.run(work)
    except Problem as problem:
        return refused(problem, output)
    except Lost as lost:
        output.error(str(lost))
        return NOT_READY
    except Misuse as misuse:
        output.error(str(misuse))
        return USAGE
    except ConfigError as error:
        return faulty(error, output)
    except (StoreUnavailable, StoreBroken) as error:
        output.error(f"The store cannot be used: {error}")
        return NOT_READY
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has what it wanted
        return FINE


def refused(problem: Problem, output: Output) -> int:
    """Tell why the daemon refused: the sentence, then each fault with its pointer on a line."""
    output.document(problem.document)
    output.error(f"Refused: {problem.detail} [{problem.code}]")
    faults = problem.faults
    width = max((len(fault.where) for fault in faults), default=0)
    for fault in faults:
        output.warn(f"  {fault.where.ljust(width)}  {fault.what}")
    if advice := _ADVICE.get(problem.code) or _BY_STATUS.get(problem.status):
        output.warn(advice)
    return REFUSED


def faulty(error: ConfigError, output: Output) -> int:
    """Tell everything that is wrong with a configuration."""
    many = len(error.faults) > 1
    output.error(f"The configuration has {len(error.faults)} fault{'s' if many else ''}:")
    for fault in error.faults:
        output.warn(f"  {fault}")
    return USAGE


_ADVICE = {
    "possible-duplicate": (
        "The same warning was accepted a moment ago. Look at it with: broadcaster status. "
        "If this really is a second one, send it with --allow-duplicate-of and that alert's id."
    ),
    "unknown-alert": "See which alerts there are with: broadcaster status",
    "unknown-key": "See which keys there are with: broadcaster keys list --config FILE",
    "not-newest": "Look at the newest version with: broadcaster status REFERENCE.",
}
_BY_STATUS = {
    401: "Make a key on the daemon's machine with: broadcaster keys create NAME --role trigger "
    "--sender SENDER --config FILE",
    403: "Ask whoever keeps the keys for one that may do this: broadcaster keys list --config FILE",
    507: "The disk of the daemon's machine is full: make room there, then send it again.",
}
