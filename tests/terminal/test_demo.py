"""The demo, whole: a real daemon, stand-in networks, and the night as it should be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from broadcaster.sandbox import SHOWN
from broadcaster.terminal.proof import NETWORK_OF
from tests.conftest import REPOSITORY


@pytest.mark.limit(120)
def test_the_night_goes_as_it_should(tmp_path: Path) -> None:
    """Every promise holds on the receiving side, and nothing of the user's own was looked at.

    Nor does it stumble over a long path of temporary files, in which no socket has room.
    """
    place = tmp_path / ("long" * 20)
    place.mkdir()
    environment = os.environ | {"BROADCASTER_CONFIG": "/nowhere.toml", "TMPDIR": str(place)}
    done = subprocess.run(
        [sys.executable, "-m", "broadcaster", "demo", "--once", "--json"],
        check=False,
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    night = json.loads(done.stdout)
    assert night["as_expected"]
    assert len(night["checks"]) == 13
    fire = night["alerts"][0]
    networks = {NETWORK_OF.get(one["type"], one["type"]) for one in fire["deliveries"]}
    assert networks == {*SHOWN}
    assert {"threads", "facebook", "instagram", "linkedin", "youtube"} < networks
    assert "✓" in done.stderr
    assert "Fenster und Türen schließen" in done.stderr
    assert list(place.iterdir()) == []
