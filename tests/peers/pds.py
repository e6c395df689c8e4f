"""A real Bluesky data server (PDS) on loopback, with one account and a directory of its own.

`make peers` installs it beside this file. Both servers run in node; the directory of identities
is a process of its own: killing the data server loses nothing that the real network would keep.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from broadcaster.terminal.child import free_port
from tests.peers.children import LOOPBACK, stop

HERE = Path(__file__).parent / "pds"
START_SECONDS = 60.0
BUILT = HERE / "node_modules" / "better-sqlite3" / "build" / "Release" / "better_sqlite3.node"


def _new_secrets() -> dict[str, str]:
    names = ("PDS_JWT_SECRET", "PDS_ADMIN_PASSWORD", "PDS_DPOP_SECRET")
    key = {"PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": secrets.token_hex(32)}
    return key | {name: secrets.token_hex(32) for name in names}


@dataclass
class DataServer:
    """A running PDS: log in at `url` with `handle` (or `did`) and `password`."""

    folder: Path
    directory_url: str
    handle: str = "stadt.test"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    did: str = ""
    port: int = field(default_factory=free_port)
    _secrets: dict[str, str] = field(default_factory=_new_secrets)
    child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Give the address of the server; it stays the same over a restart."""
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Start the server on its folder and wait until it listens."""
        self.child, _ = start_node("pds", self._settings())

    def kill(self) -> None:
        """End the server as kill -9 does."""
        if self.child is not None:
            self.child.kill()
            self.child.communicate()
            self.child = None

    def restart(self) -> None:
        """Kill the server where it still runs, and start it on the same folder and port."""
        self.kill()
        self.start()

    def stop(self) -> None:
        """End the server in good order."""
        if self.child is not None:
            stop(self.child)
            self.child = None

    def create_account(self) -> None:
        """Register the one account and keep its `did`."""
        account = {
            "handle": self.handle,
            "email": "stadt@example.org",
            "password": self.password,
        }
        self.did = self.call("com.atproto.server.createAccount", account)["did"]

    def call(self, method: str, body: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Call one XRPC method without a session: a POST with a body, else a GET.

        Raises urllib.error.HTTPError for every answer that is not a 2xx.
        """
        request = urllib.request.Request(
            f"{self.url}/xrpc/{method}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            parsed: dict[str, Any] = json.load(answer)
            return parsed

    def records(self, collection: str = "app.bsky.feed.post") -> list[dict[str, Any]]:
        """List what the public sees in the account's collection, newest first."""
        query = f"com.atproto.repo.listRecords?repo={self.did}&collection={collection}&limit=100"
        found: list[dict[str, Any]] = self.call(query)["records"]
        return found

    def blob(self, cid: str) -> bytes:
        """Fetch a file that a record of the account names, as everybody can."""
        query = f"com.atproto.sync.getBlob?did={self.did}&cid={cid}"
        with urllib.request.urlopen(f"{self.url}/xrpc/{query}", timeout=20) as answer:
            data: bytes = answer.read()
            return data

    def _settings(self) -> dict[str, str]:
        return self._secrets | {
            "PDS_PORT": str(self.port),
            "PDS_HOSTNAME": "localhost",
            "PDS_DATA_DIRECTORY": str(self.folder),
            "PDS_BLOBSTORE_DISK_LOCATION": str(self.folder / "blobs"),
            "PDS_DID_PLC_URL": self.directory_url,
            "PDS_DEV_MODE": "true",  # allows a directory on loopback
            "PDS_INVITE_REQUIRED": "false",
        }


def start_node(role: str, settings: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    """Start `start.mjs` in a role and give the child and its address once it listens.

    Raises RuntimeError when it ends, TimeoutError when it is silent for START_SECONDS.
    """
    node = shutil.which("node") or "node"
    child = subprocess.Popen(
        [node, "start.mjs", role],
        cwd=HERE,
        env={"PATH": os.environ["PATH"], "LOG_ENABLED": "false", **settings},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    if not select.select([child.stdout], [], [], START_SECONDS)[0]:
        stop(child)
        message = f"the {role} server did not listen within {START_SECONDS:.0f} s"
        raise TimeoutError(message)
    line = child.stdout.readline()
    if not line:
        message = f"the {role} server ended with code {child.wait()}"
        raise RuntimeError(message)
    url: str = json.loads(line)["url"]
    return child, url


@pytest.fixture(scope="session")
def pds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataServer]:
    """Run one Bluesky data server for the whole session; its account is new and empty."""
    if shutil.which("node") is None:
        pytest.skip("the Bluesky server needs node >= 18.7, which is not installed")
    if not BUILT.exists():
        pytest.skip("the Bluesky server is not installed (`make peers` does that)")
    directory, directory_url = start_node("plc", {})
    server = DataServer(tmp_path_factory.mktemp("pds"), directory_url)
    try:
        server.start()
        server.create_account()
        yield server
    finally:
        server.stop()
        stop(directory)
