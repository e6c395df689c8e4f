"""The frame of the tests itself: nothing hangs, and nothing is skipped in silence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SKIPS = """
import pytest

def test_needs_a_thing():
    pytest.skip("the thing is not installed")

def test_needs_it_too():
    pytest.skip("the thing is not installed")
"""

HANGS = """
import asyncio, pytest

@pytest.mark.limit(0.3)
async def test_waits_for_ever():
    await asyncio.Event().wait()
"""

SWALLOWS = """
import asyncio, pytest

@pytest.mark.limit(0.3)
async def test_waits_for_a_task_that_waits_for_ever():
    async def spin():
        while True:
            await asyncio.sleep(0)
    await asyncio.gather(spin(), asyncio.Event().wait(), return_exceptions=True)
"""


def run(folder: Path, text: str, *, ci: str = "") -> subprocess.CompletedProcess[str]:
    """Run a test file of its own under this project's conftest and settings."""
    file = folder / "test_it.py"
    file.write_text(text)
    settings = ("-c", str(REPOSITORY / "pyproject.toml"), f"--rootdir={folder}")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", *settings, str(file)],
        cwd=REPOSITORY,
        env=os.environ | {"CI": ci, "BROADCASTER_SOAK": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_skips_are_named_by_reason_at_the_end(tmp_path: Path) -> None:
    """The last lines before pytest's closing line say what was skipped and why."""
    done = run(tmp_path, SKIPS)
    *_, reason, place, closing = filter(None, done.stdout.splitlines())
    assert done.returncode == 0
    assert reason == "2 test(s): the thing is not installed"
    assert place == "    in test_it.py"
    assert "2 skipped" in closing


def test_a_skip_is_an_error_under_continuous_integration(tmp_path: Path) -> None:
    """With CI=true the same run ends red, and the list says so."""
    done = run(tmp_path, SKIPS, ci="true")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "skipped, which is an error here" in done.stdout


@pytest.mark.parametrize("text", [HANGS, SWALLOWS])
def test_a_test_that_hangs_fails_at_its_limit(tmp_path: Path, text: str) -> None:
    """A test that waits for ever is ended and named, whoever swallows the first signal."""
    done = run(tmp_path, text)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "took longer than 0.3 s" in done.stdout
