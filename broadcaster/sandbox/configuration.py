"""A ready configuration for the stand-ins: channels, secrets, on-call phone; for demo and tests."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import quote, urlsplit

from broadcaster.sandbox import Sandbox
from broadcaster.sandbox.webhook import ON_CALL, SANDBOX_WEBHOOK_SECRET
from broadcaster.sandbox.x_request import CONSUMER_KEY

ACCOUNT = "sandbox-stadt-dortmund"
HANDLE = "stadt-dortmund.example.org"
MAIL_PASSWORD = "sandbox-mail"  # noqa: S105 - every one that begins so is good here
SENDER = "warnung@stadt-dortmund.example.org"
RECIPIENT = "presse@example.org"
SOURCE = "Stadt Dortmund"
FILE = "broadcaster.toml"


def credentials(sandbox: Sandbox) -> dict[str, str]:
    """Return the content of every secret file, by its name."""
    host = urlsplit(sandbox.url).hostname
    login = f"{quote('warnung')}:{MAIL_PASSWORD}@{host}:{sandbox.smtp_port}"
    return {
        "mastodon-token": ACCOUNT,
        "bluesky-app-password": "sandbox-app-password",
        "x-consumer-key": CONSUMER_KEY,
        "x-consumer-secret": f"{CONSUMER_KEY}-secret",
        "x-access-token": ACCOUNT,
        "x-access-token-secret": f"{ACCOUNT}-secret",
        "fire-brigade-secret": SANDBOX_WEBHOOK_SECRET,
        "press-mail-url": f"mailto://{login}?from={quote(SENDER)}&to={quote(RECIPIENT)}",
        "pager-url": f"json://{urlsplit(sandbox.url).netloc}/{ON_CALL}/first-on-call",
    }


def configuration(sandbox: Sandbox, directory: Path, *, more: str = "", port: int = 0) -> Path:
    """Write a configuration and its secrets (mode 0600) into a directory; return its path.

    `more` is TOML put behind it: further tables such as `[timing]`. The daemon listens on
    `port` (0: a free one), and keeps its SQLite file in the same directory. The sandbox must have
    been started.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in credentials(sandbox).items():
        _write(directory / name, content)
    path = directory / FILE
    _write(path, _toml(sandbox, directory, port) + more)
    return path


def _write(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content + "\n")


def _toml(sandbox: Sandbox, directory: Path, port: int) -> str:
    networks = {name: json.dumps(url) for name, url in sandbox.networks.items()}
    fire_brigade = json.dumps(f"{sandbox.networks['webhook']}/fire-brigade")
    store = json.dumps(f"sqlite:///{directory.resolve() / 'broadcaster.db'}")
    return f"""\
[server]
listen = "127.0.0.1:{port}"
public_url = {json.dumps(sandbox.url)}
timezone = "Europe/Berlin"

[store]
url = {store}

[texts]
source = {json.dumps(SOURCE)}

[on_call]
targets = [{{ url_file = "pager-url", after = 0, name = "first on call" }}]

[channels.city-mastodon]
type = "mastodon"
api_base_url = "https://mastodon.example.org"
base_url = {networks["mastodon"]}
access_token_file = "mastodon-token"

[channels.city-bluesky]
type = "bluesky"
base_url = {networks["bluesky"]}
handle = "{HANDLE}"
app_password_file = "bluesky-app-password"

[channels.x]
type = "x"
languages = ["de"]
base_url = {networks["x"]}
consumer_key_file = "x-consumer-key"
consumer_secret_file = "x-consumer-secret"
access_token_file = "x-access-token"
access_token_secret_file = "x-access-token-secret"

[channels.fire-brigade]
type = "webhook"
url = {fire_brigade}
secret_file = "fire-brigade-secret"

[channels.press-mail]
type = "apprise"
kind = "mail"
url_file = "press-mail-url"

"""
