"""A ready configuration for the stand-ins: channels, secrets, on-call phone; for demo and tests."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from broadcaster.sandbox import HOST, SHOWN, Sandbox, mail, module, on_call

SOURCE = "Stadt Dortmund"
FILE = "broadcaster.toml"


def credentials(sandbox: Sandbox, networks: Sequence[str] | None = None) -> dict[str, str]:
    """Return the content of every secret file, by its name; of all networks without a choice."""
    files = on_call.secrets(urlsplit(sandbox.url).netloc)
    for name in _chosen(networks):
        if name == mail.NAME:
            files |= mail.secrets(HOST, sandbox.smtp_port)
        else:
            files |= module(name).secrets()
    return files


def configuration(
    sandbox: Sandbox,
    directory: Path,
    *,
    more: str = "",
    port: int = 0,
    networks: Sequence[str] | None = None,
) -> Path:
    """Write a configuration and its secrets (mode 0600) into a directory; return its path.

    `more` is TOML put behind it: further tables such as `[timing]`. The daemon listens on `port`
    (0: a free one) and is found there by networks that fetch cards; without a port they find
    none. It keeps its SQLite file in the same directory. `networks` chooses some of the sandbox's
    SHOWN: a channel for each; None has all. The sandbox must have been started.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in credentials(sandbox, networks).items():
        _write(directory / name, content)
    path = directory / FILE
    _write(path, _frame(sandbox, directory, port) + _channels(sandbox, networks) + more)
    return path


def _chosen(networks: Sequence[str] | None) -> list[str]:
    return [name for name in SHOWN if networks is None or name in networks]


def _write(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content + "\n")


def _frame(sandbox: Sandbox, directory: Path, port: int) -> str:
    store = json.dumps(f"sqlite:///{directory.resolve() / 'broadcaster.db'}")
    public_url = f"http://{HOST}:{port}" if port else sandbox.url
    return f"""\
[server]
listen = "{HOST}:{port}"
public_url = {json.dumps(public_url)}
timezone = "Europe/Berlin"

[store]
url = {store}

[texts]
source = {json.dumps(SOURCE)}

[on_call]
targets = [{{ url_file = "{on_call.SECRET_FILE}", after = 0, name = "first on call" }}]

"""


def _channels(sandbox: Sandbox, networks: Sequence[str] | None) -> str:
    tables = []
    for name in _chosen(networks):
        room = mail if name == mail.NAME else module(name)
        tables.append(room.channel(f"{sandbox.url}/{name}"))
    return "".join(tables)
