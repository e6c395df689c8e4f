"""The ready configuration for the stand-ins."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path

from broadcaster import config
from broadcaster.sandbox import Sandbox
from broadcaster.sandbox.configuration import configuration, credentials


def test_it_is_a_configuration_that_the_daemon_takes(sandbox: Sandbox, tmp_path: Path) -> None:
    """Five channels, all pointed at the sandbox, and a phone to tell."""
    loaded = config.load(configuration(sandbox, tmp_path / "demo"))
    assert {name: one.type for name, one in loaded.channels.items()} == {
        "city-mastodon": "mastodon",
        "city-bluesky": "bluesky",
        "x": "x",
        "fire-brigade": "webhook",
        "press-mail": "apprise",
    }
    assert loaded.server.listen == "127.0.0.1:0"
    assert loaded.server.timezone == "Europe/Berlin"
    assert loaded.texts.source == "Stadt Dortmund"
    assert loaded.store.path == tmp_path / "demo" / "broadcaster.db"
    assert [target.url_file for target in loaded.on_call.targets] == ["pager-url"]
    addresses = [
        loaded.channels["city-mastodon"].settings["base_url"],
        loaded.channels["city-bluesky"].settings["base_url"],
        loaded.channels["x"].settings["base_url"],
        loaded.channels["fire-brigade"].settings["url"],
    ]
    assert all(address.startswith(sandbox.url) for address in addresses)


def test_secrets_are_in_files_that_only_the_owner_reads(sandbox: Sandbox, tmp_path: Path) -> None:
    """Every secret file is there, mode 0600, and none stands in the configuration."""
    path = configuration(sandbox, tmp_path)
    text = path.read_text()
    secrets = config.Secrets(tmp_path)
    for name, content in credentials(sandbox).items():
        assert secrets.read(name) == content
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert content not in text
        assert f'"{name}"' in text


def test_more_tables_can_be_put_behind_it(sandbox: Sandbox, tmp_path: Path) -> None:
    """A test sets its own short times."""
    path = configuration(sandbox, tmp_path, more="[timing]\nattempt_seconds = 2\n")
    assert config.load(path).timing.attempt_seconds == 2
    assert "timing" in tomllib.loads(path.read_text())
