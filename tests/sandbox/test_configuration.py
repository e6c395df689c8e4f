"""The ready configuration for the stand-ins."""

from __future__ import annotations

import re
import stat
import tomllib
from pathlib import Path

from broadcaster import config
from broadcaster.sandbox import SHOWN, Sandbox, module
from broadcaster.sandbox.configuration import configuration, credentials

SOME = ("mastodon", "bluesky", "x", "webhook", "mail")


def test_it_is_a_configuration_that_the_daemon_takes(sandbox: Sandbox, tmp_path: Path) -> None:
    """The chosen channels, all pointed at the sandbox, and a phone to tell."""
    loaded = config.load(configuration(sandbox, tmp_path / "demo", networks=SOME))
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


def test_every_network_has_a_channel_that_points_at_the_sandbox(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """Without a choice all of them: each with an address of its own, and mail by its secret."""
    loaded = config.load(configuration(sandbox, tmp_path))
    assert len(loaded.channels) == len(SHOWN)
    addresses = [
        one.settings.get("base_url", one.settings.get("url"))
        for one in loaded.channels.values()
        if one.type != "apprise"
    ]
    assert all(str(address).startswith(f"{sandbox.url}/") for address in addresses)


def test_a_network_left_out_leaves_no_secret(sandbox: Sandbox, tmp_path: Path) -> None:
    """Only what a chosen channel needs is written."""
    configuration(sandbox, tmp_path, networks=["mastodon"])
    files = {file.name for file in tmp_path.iterdir()}
    assert files == {"broadcaster.toml", "pager-url", *module("mastodon").secrets()}


def test_secrets_are_in_files_that_only_the_owner_reads(sandbox: Sandbox, tmp_path: Path) -> None:
    """Every secret file is there, mode 0600, and none stands in the configuration."""
    path = configuration(sandbox, tmp_path)
    text = path.read_text()
    secrets = config.Secrets(tmp_path)
    for name, content in credentials(sandbox).items():
        assert secrets.read(name) == content
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert content not in text
    named = set(re.findall(r'_file = "(.+?)"', text))
    assert named <= set(credentials(sandbox))


def test_with_a_port_the_daemon_is_found_where_it_listens(sandbox: Sandbox, tmp_path: Path) -> None:
    """Networks that fetch a card ask the daemon itself for it; without a port, the sandbox."""
    with_port = config.load(configuration(sandbox, tmp_path / "a", port=8321))
    assert with_port.server.public_url == "http://127.0.0.1:8321"
    assert config.load(configuration(sandbox, tmp_path / "b")).server.public_url == sandbox.url


def test_more_tables_can_be_put_behind_it(sandbox: Sandbox, tmp_path: Path) -> None:
    """A test sets its own short times."""
    path = configuration(sandbox, tmp_path, more="[timing]\nattempt_seconds = 2\n")
    assert config.load(path).timing.attempt_seconds == 2
    assert "timing" in tomllib.loads(path.read_text())
