"""The machine: what it is, and what a process on it has used."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import time
from pathlib import Path

_PAGE_BYTES = 4096
_PAGES = 256
_SCHEDULED = 2  # with the process it makes a clock, as clock_getcpuclockid(3) does on Linux


def facts(fdatasync_ms: float) -> dict[str, str]:
    """Return what the numbers depend on."""
    return {
        "CPU": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "fdatasync p50": f"{fdatasync_ms:.3f} ms",
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def cpu_seconds(pid: int) -> float:
    """Return the user and system time a process has used, all its threads included."""
    return time.clock_gettime(~pid << 3 | _SCHEDULED)


def resident_mb(pid: int) -> float:
    """Return a process's resident memory in MB (10^6 bytes)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Disk:
    """A file beside the daemon's, to measure what one fdatasync costs at this very moment.

    One page is written anew in a file that has its size already, as SQLite does in its log.
    """

    def __init__(self, directory: Path) -> None:
        self._file = os.open(directory / "fdatasync", os.O_RDWR | os.O_CREAT, 0o600)
        self._page = 0
        os.write(self._file, bytes(_PAGE_BYTES * _PAGES))
        os.fsync(self._file)

    def sync_ms(self) -> float:
        """Write one page and return the milliseconds its fdatasync took."""
        self._page = (self._page + 1) % _PAGES
        os.pwrite(self._file, os.urandom(_PAGE_BYTES), self._page * _PAGE_BYTES)
        started = time.perf_counter()
        os.fdatasync(self._file)
        return (time.perf_counter() - started) * 1000

    def median_ms(self, times: int) -> float:
        """Return the median of several."""
        return statistics.median(self.sync_ms() for _ in range(times))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
