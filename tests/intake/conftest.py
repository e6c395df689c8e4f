"""One door for each test of the intake: the same whole one as for the web."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.door import Door, opened


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    """Give a running door on an empty store."""
    async with opened(tmp_path) as made:
        yield made
