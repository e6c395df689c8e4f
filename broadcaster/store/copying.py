"""A backup in slices: SQLite's own online copy, which never holds the writer for long.

SQLite copies in a loop that cannot be left, so the loop has a thread of its own. It moves only
while the store's thread waits for it, between two transactions, and one slice at a time. What is
written meanwhile through the same connection goes into the copy too, so that it never starts anew.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path

from broadcaster.store.engine import Database

SLICE_PAGES = 32  # 128 kB: well under the 5 ms that a read may take


class _GivenUp(Exception):  # noqa: N818 - nobody waits for the copy any more
    """Ends SQLite's loop."""


class Copying:
    """One backup into a file that must not exist yet. Raises OSError if it cannot be made."""

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        self._path = path
        self._thread: threading.Thread | None = None
        self._stepping = threading.Lock()
        self._turn = threading.Semaphore(0)
        self._moved = threading.Semaphore(0)
        self._given_up = False
        self._error: sqlite3.Error | None = None
        self.complete = False

    def step(self, db: Database) -> bool:
        """Copy a slice, in the store's thread; say whether there is no more to do.

        Raises sqlite3.Error if the store itself is damaged.
        """
        with self._stepping:
            if self._given_up:
                return True
            if self._thread is None:
                self._thread = threading.Thread(target=self._copy, args=(db,), name="backup")
                self._thread.start()
            self._turn.release()
            self._moved.acquire()
        error = self._error
        if error and getattr(error, "sqlite_errorname", "").startswith("SQLITE_CORRUPT"):
            self._error = None
            raise error
        return self.complete or error is not None

    def finish(self) -> None:
        """Make a complete copy durable; else take it away. Blocks.

        Raises ValueError if it could not be written.
        """
        with self._stepping:
            self._given_up = True
        self._turn.release()
        if self._thread is not None:
            self._thread.join()
        if self.complete:
            _sync(self._path)
            _sync(self._path.parent)
            return
        self._path.unlink()
        if self._error is not None:
            raise ValueError(f"{self._path} could not be written: {self._error}") from self._error

    def _copy(self, db: Database) -> None:
        self._turn.acquire()
        try:
            with contextlib.closing(sqlite3.connect(self._path)) as target:
                target.execute("PRAGMA synchronous=OFF")  # `finish` does it once, in nobody's way
                db.connection.backup(target, pages=SLICE_PAGES, progress=self._rest)
            self.complete = True
        except sqlite3.Error as error:
            self._error = error
        except _GivenUp:
            pass
        finally:
            self._moved.release()

    def _rest(self, _status: int, _left: int, _pages: int) -> None:
        self._moved.release()
        self._turn.acquire()
        if self._given_up:
            raise _GivenUp


def _sync(path: Path) -> None:
    place = os.open(path, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)
