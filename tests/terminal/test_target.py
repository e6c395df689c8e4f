"""Targets: which daemon a command means, and what is said when none can be meant."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from broadcaster.terminal.target import Misuse, Target, connect, daemon_runs, read_key


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target(), "Which broadcaster?"),
        (Target(server="warnung.example.org"), "must begin with http"),
        (Target(server="https://warnung.example.org"), "needs --key-file"),
        (Target(server="https://a.example", key_file=Path("/nowhere/key")), "Cannot read the key"),
    ],
)
async def test_a_target_that_is_no_target_is_misuse(target: Target, words: str) -> None:
    """The sentence says what to give instead."""
    with pytest.raises(Misuse, match=words):
        async with connect(target):
            pass


@pytest.mark.parametrize("content", ["", "two keys", "bcast_ü", "a\nb"])
def test_a_key_file_holds_one_key_and_nothing_else(tmp_path: Path, content: str) -> None:
    """A wrong file is named before anything is sent; its content never is."""
    file = tmp_path / "key"
    file.write_text(content)
    with pytest.raises(Misuse) as caught:
        read_key(file)
    assert "exactly one key" in str(caught.value)
    assert not content or content not in str(caught.value)


def test_a_key_may_end_in_a_line_break(tmp_path: Path) -> None:
    """As echo and editors write it; a byte order mark does no harm either."""
    file = tmp_path / "key"
    file.write_bytes(b"\xef\xbb\xbfbcast_1_2_3\r\n")
    assert read_key(file) == "bcast_1_2_3"


def test_a_daemon_runs_if_somebody_listens(tmp_path: Path) -> None:
    """A socket file that a dead daemon left behind is none."""
    path = tmp_path / "broadcaster.sock"
    assert not daemon_runs(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        assert not daemon_runs(path)
        listener.listen()
        assert daemon_runs(path)
    assert path.exists()
    assert not daemon_runs(path)
