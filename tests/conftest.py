"""What every test has: shared data, real servers, a time limit, and skips that are named."""

from __future__ import annotations

import faulthandler
import logging
import os
import secrets
import signal
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType

import pytest
import structlog
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

from broadcaster import logs

pytest_plugins = ["tests.peers.pds", "tests.peers.postgres", "tests.peers.smtp", "tests.stores"]

# A machine under load is no reason to fail; `limit` watches over time.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"
SOAK = os.environ.get("BROADCASTER_SOAK") == "1"
TEST_SECONDS = 90.0  # leaves room for a fixture that starts a server
REMIND_SECONDS = 5.0


def shared_path(*parts: str) -> Path:
    """Give a path in the data that lies beside the checkout; skips the test where it is missing."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        place = "/".join(("../shared", *parts[:1]))
        pytest.skip(f"needs {place}, which is not beside this checkout")
    return path


@pytest.fixture(scope="session")
def shared() -> Path:
    """Give the folder of shared data; skips the test where it is missing."""
    return shared_path()


def count(part: int, whole: int) -> int:
    """Say how often a test marked `soak` repeats itself: whole under `make soak`, else in part."""
    return whole if SOAK else part


SEED = "BROADCASTER_SEED"
# These start daemons, kill them and measure: one after the other, in one process.
HEAVY = ("tests/acceptance/", "tests/bench/", "tests/terminal/test_demo.py", "tests/test_main.py")


def pytest_configure() -> None:
    """Choose the seed before there are worker processes: they share it."""
    os.environ.setdefault(SEED, str(secrets.randbelow(2**32)))


_ROOT = logging.getLogger()
_LEVELS = {one: one.level for one in (_ROOT, *map(logging.getLogger, logs.LIBRARY_LEVELS))}


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undo what a test, or a command it ran, set up for its whole process."""
    yield
    if not structlog.is_configured():
        return
    logging.captureWarnings(capture=False)
    for handler in [*_ROOT.handlers]:
        if isinstance(handler, logs._Handoff):
            _ROOT.removeHandler(handler)
            handler.close()
    for logger, level in _LEVELS.items():
        logger.setLevel(level)
    structlog.reset_defaults()


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # it comes without types
    """Deals whole files out to the worker processes, and all that is heavy to one of them."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "heavy" if file.startswith(HEAVY) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    """Share the tests out under `-n 2`."""
    return ByFile(config, log)


@pytest.fixture(scope="session")
def seed() -> int:
    """Give this run's seed, which is printed at its end; BROADCASTER_SEED repeats one."""
    return int(os.environ[SEED])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test, its fixtures included, that takes longer than its limit; it never just hangs.

    The limit is TEST_SECONDS, or what the marker `limit(seconds)` says; a soak has none.
    """
    marker = item.get_closest_marker("limit")
    seconds = float(marker.args[0]) if marker else TEST_SECONDS

    def too_long(_signal: int, _frame: FrameType | None) -> None:
        faulthandler.dump_traceback()
        pytest.fail(f"took longer than {seconds:g} s", pytrace=False)

    before = signal.signal(signal.SIGALRM, too_long)
    # Again and again: a task of the event loop may have swallowed the first one.
    signal.setitimer(signal.ITIMER_REAL, 0 if SOAK else seconds, REMIND_SECONDS)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def skipped_by_reason(config: pytest.Config) -> dict[str, list[str]]:
    """Group what was skipped in this run by the reason given."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    reasons: dict[str, list[str]] = defaultdict(list)
    for report in terminal.stats.get("skipped", []) if terminal else []:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")].append(report.nodeid)
    return dict(reasons)


def skips_are_errors() -> bool:
    """Say whether this run must not skip anything, as under continuous integration."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Turn a green run with skips into a red one where nothing may be skipped."""
    if skips_are_errors() and skipped_by_reason(session.config) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Name the seed, and last what was skipped and why: a green line never hides it."""
    terminalreporter.line(f"seed: {SEED}={os.environ[SEED]} repeats this run")
    reasons = skipped_by_reason(config)
    if not reasons:
        return
    title = "skipped, which is an error here" if skips_are_errors() else "skipped"
    terminalreporter.section(title, red=skips_are_errors(), yellow=not skips_are_errors())
    for reason, tests in sorted(reasons.items()):
        files = sorted({test.partition("::")[0] for test in tests})
        terminalreporter.line(f"{len(tests)} test(s): {reason}")
        terminalreporter.line(f"    in {', '.join(files)}")
