"""The command line: what it offers, how it is used wrongly, and a night by its commands alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from broadcaster.__main__ import app
from broadcaster.sandbox import Sandbox
from broadcaster.sandbox.configuration import configuration
from broadcaster.terminal import story
from broadcaster.terminal.child import daemon, free_port
from broadcaster.terminal.output import now
from tests.conftest import REPOSITORY

COMMANDS = {
    "serve": {"--config"},
    "demo": {"--once", "--json"},
    "check": {"--config", "--json"},
    "send": {"--server", "--key-file", "--watch", "--timeout", "--idempotency-key", "--json"},
    "preview": {"--config", "--server", "--json"},
    "status": {"--config", "--server", "--json"},
    "cancel": {"--text", "--yes", "--watch", "--json"},
    "sandbox": {"--port"},
    "backup": {"--config", "--json"},
    "keys create": {"--role", "--sender", "--severity", "--channels", "--config", "--json"},
    "keys list": {"--config", "--json"},
    "keys revoke": {"--config", "--json"},
}


def ran(*arguments: str) -> tuple[int, str]:
    """Run a command in this process; give its exit code and what it wrote."""
    wide = {"COLUMNS": "200", "TERMINAL_WIDTH": "200"}
    result = CliRunner().invoke(app, arguments, env=wide)
    return result.exit_code, result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """Its help says what it does and names its options."""
    code, text = ran(*command.split(), "--help")
    assert code == 0
    assert [option for option in COMMANDS[command] if option not in text] == []


def test_help_names_what_there_is_and_nothing_else() -> None:
    """A command that is not there yet is not promised."""
    code, text = ran("--help")
    assert code == 0
    assert [name for name in COMMANDS if name.split()[0] not in text] == []
    assert "audit" not in text
    assert ran("audit", "verify")[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["send"],
        ["send", "alert.json", "--timeout", "-1"],
        ["check"],
        ["check", "--config", "/nowhere.toml"],
        ["keys", "create", "a", "--config", "pyproject.toml", "--role", "king", "--sender", "*"],
        ["keys", "create", "a", "--config", "pyproject.toml", "--role", "trigger"],
        ["sandbox", "--port", "70000"],
        ["launch"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    """Before anything is opened or sent."""
    assert ran(*arguments)[0] == 2


def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    """And so is a command that does not say which broadcaster it means."""
    code, text = ran("send", str(tmp_path / "missing.json"), "--server", "http://127.0.0.1:9")
    assert (code, "missing.json" in text) == (2, True)
    code, text = ran("status")
    assert (code, "Which broadcaster?" in text) == (2, True)


def test_the_environment_speaks_where_the_command_line_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is named on the command line is what is meant."""
    from broadcaster.__main__ import _target

    monkeypatch.setenv("BROADCASTER_SERVER", "https://a.example")
    monkeypatch.setenv("BROADCASTER_KEY_FILE", "/keys/a")
    monkeypatch.setenv("BROADCASTER_CONFIG", "/etc/b.toml")
    meant = _target(None)
    assert (meant.server, meant.key_file) == ("https://a.example", Path("/keys/a"))
    meant = _target(Path("/etc/c.toml"))
    assert (meant.server, meant.config) == (None, Path("/etc/c.toml"))
    monkeypatch.delenv("BROADCASTER_SERVER")
    assert _target(None).config == Path("/etc/b.toml")


def test_help_and_send_load_no_channel_library() -> None:
    """They are there at once, also on a small machine in the middle of the night."""
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from broadcaster.__main__ import app\n"
        "CliRunner().invoke(app, ['--help'])\n"
        "early = 'aiohttp' in sys.modules\n"
        "CliRunner().invoke(app, ['send', '/nowhere', '--server', 'http://127.0.0.1:9'])\n"
        "heavy = {'atproto_client', 'mastodon', 'apprise', 'sqlalchemy', 'uvloop', 'jinja2'}\n"
        "print(early, sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.stdout == "False []\n"


async def command(*arguments: str) -> tuple[int, str, str]:
    """Run a command as people do; give exit code, standard output and standard error."""
    import asyncio

    clean = {name: value for name, value in os.environ.items() if "BROADCASTER" not in name}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "broadcaster", *arguments),
        cwd=REPOSITORY,
        env=clean,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


FIVE = ("mastodon", "bluesky", "x", "webhook", "mail")  # none of them waits for a person


@pytest.mark.limit(120)
async def test_a_night_by_commands_alone(tmp_path: Path) -> None:
    """A key made before the daemon runs, an alert sent and watched, looked at, ended, copied."""
    sandbox = Sandbox()
    await sandbox.start()
    try:
        port = free_port()
        place, late = tmp_path / "state", "[timing]\nlooks_seconds = [600]\n"
        config = str(configuration(sandbox, place, port=port, networks=FIVE, more=late))
        key = tmp_path / "key"
        made = ("--role", "trigger", "--sender", story.SENDER, "--config", config)
        code, out, _ = await command("keys", "create", "leitstelle", *made)
        assert code == 0
        key.write_text(out)
        file = tmp_path / "fire.json"
        file.write_text(json.dumps(story.fire(now())))
        async with daemon(Path(config)):
            await _night(config, ["--server", f"http://127.0.0.1:{port}"], key, file)
        assert len(sandbox.posts.of("x")) == 2
    finally:
        await sandbox.close()


async def _night(config: str, server: list[str], key: Path, file: Path) -> None:
    """Send, look, end and copy, as somebody on call would."""
    server += ["--key-file", str(key)]
    code, out, err = await command("send", str(file), "--watch", "--json", *server)
    assert code == 0, err
    sent = json.loads(out)
    assert {one["state"] for one in sent["deliveries"]} == {"sent"}
    code, out, _ = await command("status", sent["reference"], "--config", config)
    assert (code, "✓ sent" in out) == (0, True)
    code, out, err = await command("cancel", sent["reference"], "--watch", *server)
    assert (code, "All out." in out) == (0, True), err
    copy = file.with_suffix(".db")
    code, _, err = await command("backup", str(copy), "--config", config)
    assert (code, copy.exists()) == (0, True), err
    code, _, _ = await command("keys", "revoke", "leitstelle", "--config", config)
    assert code == 0
    code, _, err = await command("status", *server)
    assert (code, "key-refused" in err) == (4, True)
