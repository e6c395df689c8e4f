"""The command line. What a command does lies in the terminal room, loaded when it is called."""

from __future__ import annotations

import os
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from broadcaster import __version__
from broadcaster.terminal.output import Output, terminal

if TYPE_CHECKING:
    from broadcaster.terminal.target import Target


class RoleName(StrEnum):
    """What a key may do; each role includes the ones before it."""

    READ = "read"
    TRIGGER = "trigger"
    APPROVE = "approve"
    ADMIN = "admin"


class Level(StrEnum):
    """The lowest level of log lines that are shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_EPILOG = (
    "Exit codes: 0 as wished, 1 not ready or no answer, 2 wrong usage, 3 some deliveries are not "
    "out, 4 refused."
)
app = typer.Typer(
    name="broadcaster",
    help="One crisis alert in, durably, and out on every channel, with receipts that are true.",
    epilog=_EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
keys = typer.Typer(
    help="Keys that programs and people call with.", no_args_is_help=True, add_completion=False
)
app.add_typer(keys, name="keys")
channels = typer.Typer(
    help="Channels, and the accounts they post to.", no_args_is_help=True, add_completion=False
)
app.add_typer(channels, name="channels")

ConfigFile = Annotated[
    Path,
    typer.Option(
        "--config",
        envvar="BROADCASTER_CONFIG",
        exists=True,
        dir_okay=False,
        help="The configuration file (TOML).",
    ),
]
ConfigOrNone = Annotated[
    Path | None,
    typer.Option(
        "--config",
        exists=True,
        dir_okay=False,
        help="The configuration of a daemon on this machine, else $BROADCASTER_CONFIG.",
    ),
]
Server = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="A daemon elsewhere, instead of --config, else $BROADCASTER_SERVER."
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A file that holds the key for --server, else $BROADCASTER_KEY_FILE.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document for programs, words to stderr.")
]
Watch = Annotated[bool, typer.Option("--watch", help="Follow it live until all is settled.")]
Timeout = Annotated[
    float,
    typer.Option(min=0, metavar="SECONDS", help="With --watch: follow no longer than this."),
]
AlertFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="The alert as JSON; - reads standard input.")
]
AlertName = Annotated[
    str, typer.Argument(metavar="ALERT", help="Its reference (26-0142/1), id or identifier.")
]


def _end(
    work: Coroutine[Any, Any, int],
    output: Output,
    loops: Callable[[], AbstractEventLoop] | None = None,
) -> NoReturn:
    from broadcaster.terminal.ending import run  # noqa: PLC0415 - `--help` needs no HTTP client

    raise typer.Exit(run(work, output, loops))


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback
    if wanted:
        typer.echo(f"broadcaster {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(config: ConfigFile, log_level: Level = Level.INFO) -> None:
    """Run the daemon until Ctrl-C or SIGTERM.

    Logs go to standard error: words on a terminal, JSON elsewhere.

    Example: broadcaster serve --config /etc/broadcaster/broadcaster.toml
    """
    import uvloop  # noqa: PLC0415

    from broadcaster.terminal.service import serve as work  # noqa: PLC0415

    output = terminal(as_json=True)  # words go where the log goes
    _end(work(config, output, level=log_level), output, uvloop.new_event_loop)


@app.command()
def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="End when the story is told.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell one night of alerts on stand-in networks, on this machine alone.

    Nothing leaves this machine, and no configuration of yours is read. With --once the exit code
    is 0 only if everything went as it should.
    """
    from broadcaster.terminal.demo import demo as work  # noqa: PLC0415

    output = terminal(as_json=as_json)
    _end(work(output, once=once), output)


@app.command()
def check(config: ConfigFile, *, as_json: AsJson = False) -> None:
    """Examine configuration, store and every channel. Posts nothing; exit code 1 if not ready.

    Example: broadcaster check --config broadcaster.toml
    """
    from broadcaster.terminal.service import check as work  # noqa: PLC0415

    output = terminal(as_json=as_json)
    _end(work(config, output), output)


@app.command()
def send(  # noqa: PLR0913 - options of a command line
    file: AlertFile,
    *,
    config: ConfigOrNone = None,
    server: Server = None,
    key_file: KeyFile = None,
    watch: Watch = False,
    timeout: Timeout = 180.0,
    idempotency_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Repeat an earlier send: the key it printed."),
    ] = None,
    allow_duplicate_of: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Send it although that alert says the same."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hand an alert in: exit code 0 accepted (with --watch: all out), 3 some not out, 4 refused.

    The idempotency key is printed first. If the answer is lost, the alert is handed in again under
    the same key for up to 30 seconds, which never makes a second alert.

    Example: broadcaster send alert.json --server https://warnung.example.org --key-file key --watch
    """
    from broadcaster.terminal.alerts import Watching  # noqa: PLC0415
    from broadcaster.terminal.alerts import send as work  # noqa: PLC0415
    from broadcaster.terminal.sending import Order  # noqa: PLC0415

    output = terminal(as_json=as_json)
    order = Order(file, idempotency_key, allow_duplicate_of)
    watching = Watching(watch, timeout)
    _end(work(_target(config, server, key_file), order, watching, output), output)


@app.command()
def preview(  # noqa: PLR0913 - the options of one command
    file: AlertFile,
    *,
    config: ConfigOrNone = None,
    server: Server = None,
    key_file: KeyFile = None,
    cards: Annotated[
        Path | None,
        typer.Option(help="Draw the cards too, into this directory.", file_okay=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what would go out: each text, its length, and why a channel would not carry it.

    Nothing is stored and nothing is posted.

    Examples: broadcaster preview alert.json --config broadcaster.toml

    broadcaster preview alert.json --cards pictures --config broadcaster.toml
    """
    from broadcaster.terminal.alerts import preview as work  # noqa: PLC0415

    output = terminal(as_json=as_json)
    _end(work(_target(config, server, key_file), file, output, cards), output)


@app.command()
def status(
    alert: Annotated[
        str | None,
        typer.Argument(metavar="[ALERT]", help="Its reference (26-0142/1), id or identifier."),
    ] = None,
    *,
    config: ConfigOrNone = None,
    server: Server = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show how things stand: what needs a person first, or one alert with every attempt.

    Examples: broadcaster status --config broadcaster.toml

    broadcaster status 26-0142/1 --config broadcaster.toml
    """
    from broadcaster.terminal.status import status as work  # noqa: PLC0415

    output = terminal(as_json=as_json)
    _end(work(_target(config, server, key_file), alert, output), output)


@app.command()
def cancel(  # noqa: PLR0913 - options of a command line
    alert: AlertName,
    *,
    text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="A sentence of your own in the all-clear.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    watch: Watch = False,
    timeout: Timeout = 180.0,
    config: ConfigOrNone = None,
    server: Server = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Give the all-clear on every channel that carries the alert. Asks first on a terminal.

    Example: broadcaster cancel 26-0142/1 --watch --config broadcaster.toml
    """
    from broadcaster.terminal import alerts  # noqa: PLC0415

    output = terminal(as_json=as_json)
    wish = alerts.AllClear(alert, text, ask=not yes and sys.stdin.isatty())
    watching = alerts.Watching(watch, timeout)
    _end(alerts.cancel(_target(config, server, key_file), wish, watching, output), output)


@app.command()
def confirm(  # noqa: PLR0913 - options of a command line
    alert: AlertName,
    channel: Annotated[str, typer.Argument(metavar="CHANNEL", help="Where it was posted.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="The link of the post.")],
    *,
    part: Annotated[
        str | None, typer.Option(help="Which part, where more than one of the channel waits.")
    ] = None,
    config: ConfigOrNone = None,
    server: Server = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Say where a post is that a person made, or that was seen after an answer was lost.

    Example: broadcaster confirm 26-0142/1 city-youtube https://www.youtube.com/post/... --config F
    """
    from broadcaster.terminal.confirm import Posted  # noqa: PLC0415
    from broadcaster.terminal.confirm import confirm as work  # noqa: PLC0415

    output = terminal(as_json=as_json)
    posted = Posted(alert, channel, url, part)
    _end(work(_target(config, server, key_file), posted, output), output)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
) -> None:
    """Run the stand-in networks alone. Prints their addresses as one JSON line."""
    from broadcaster.terminal.service import sandbox as work  # noqa: PLC0415

    output = terminal()
    _end(work(port, output), output)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where to write the copy; must not exist yet.")],
    config: ConfigFile,
    *,
    as_json: AsJson = False,
) -> None:
    """Write a consistent copy of the store, whether or not the daemon runs.

    Example: broadcaster backup /backup/broadcaster.db --config broadcaster.toml
    """
    from broadcaster.terminal.upkeep import backup as work  # noqa: PLC0415

    output = terminal(as_json=as_json)
    _end(work(_target(config), file.absolute(), output), output)


@keys.command("create")
def create_key(  # noqa: PLR0913 - options of a command line
    name: Annotated[str, typer.Argument(help="Who will hold it, like leitstelle.")],
    config: ConfigFile,
    *,
    role: Annotated[RoleName, typer.Option(help="What it may do; each includes those before.")],
    sender: Annotated[
        list[str] | None,
        typer.Option(help="A sender it may speak for, * for any; needed from role trigger on."),
    ] = None,
    severity: Annotated[
        list[str] | None, typer.Option(help="Only alerts of this severity; may be repeated.")
    ] = None,
    channels: Annotated[
        list[str] | None, typer.Option(help="Only this channel; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once.

    Example: broadcaster keys create leitstelle --role trigger --sender leitstelle@feuerwehr.example
    --config broadcaster.toml
    """
    from broadcaster.terminal.upkeep import create_key as work  # noqa: PLC0415

    if role is not RoleName.READ and not sender:
        raise typer.BadParameter("a key that may send needs at least one --sender (* for any)")
    output = terminal(as_json=as_json)
    wish = {
        "name": name,
        "role": role,
        "senders": _values(sender),
        "severities": _values(severity),
        "channels": _values(channels),
    }
    _end(work(_target(config), wish, output), output)


@keys.command("list")
def list_keys(config: ConfigFile, *, as_json: AsJson = False) -> None:
    """Show all keys, without their secrets."""
    from broadcaster.terminal.upkeep import list_keys as work  # noqa: PLC0415

    output = terminal(as_json=as_json)
    _end(work(_target(config), output), output)


@keys.command("revoke")
def revoke_key(
    name: Annotated[str, typer.Argument(help="The key's name or id.")],
    config: ConfigFile,
    *,
    as_json: AsJson = False,
) -> None:
    """Take a key back at once."""
    from broadcaster.terminal.upkeep import revoke_key as work  # noqa: PLC0415

    output = terminal(as_json=as_json)
    _end(work(_target(config), name, output), output)


@channels.command("list")
def list_channels(
    *,
    config: ConfigOrNone = None,
    server: Server = None,
    key_file: KeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Show every channel with its account, and whether a post would work now."""
    from broadcaster.terminal.connect import list_channels as work  # noqa: PLC0415

    output = terminal(as_json=as_json)
    _end(work(_target(config, server, key_file), output), output)


@channels.command("connect")
def connect_channel(
    name: Annotated[str, typer.Argument(help="The channel, as the configuration names it.")],
    config: ConfigFile,
    *,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Be led back to this port of this machine.")
    ] = 8180,
    redirect: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Be led back to this address, registered at the network, and paste it by hand.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk through a network's OAuth flow, write the token file, and probe once. Posts nothing.

    Example: broadcaster channels connect city-threads --config broadcaster.toml
    """
    from broadcaster.terminal.connect import Way  # noqa: PLC0415
    from broadcaster.terminal.connect import connect_channel as work  # noqa: PLC0415

    output = terminal(as_json=as_json)
    _end(work(config, name, Way(port, redirect), output), output)


@channels.command("rebind")
def rebind_channel(
    name: Annotated[str, typer.Argument(help="The channel that is held.")],
    config: ConfigFile,
    *,
    as_json: AsJson = False,
) -> None:
    """Release a channel that is held because another account appeared under its name.

    Example: broadcaster channels rebind city-threads --config broadcaster.toml
    """
    from broadcaster.terminal.connect import rebind as work  # noqa: PLC0415

    output = terminal(as_json=as_json)
    _end(work(_target(config), name, output), output)


def _values(given: list[str] | None) -> list[str]:
    """Return the values of an option that may be repeated, or given with commas."""
    parts = (part.strip() for value in given or [] for part in value.split(","))
    return [part for part in parts if part]


def _target(config: Path | None, server: str | None = None, key_file: Path | None = None) -> Target:
    """Return which daemon is meant; the environment speaks where the command line is silent."""
    from broadcaster.terminal.target import Target  # noqa: PLC0415

    if config is None and server is None:
        server = os.environ.get("BROADCASTER_SERVER")
        named = None if server else os.environ.get("BROADCASTER_CONFIG")
        config = Path(named) if named else None
    if server and key_file is None and (named := os.environ.get("BROADCASTER_KEY_FILE")):
        key_file = Path(named)
    return Target(config, server, key_file)


def main() -> None:
    """Run the command line."""
    app(prog_name="broadcaster")


if __name__ == "__main__":
    main()
