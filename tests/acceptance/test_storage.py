"""When the disk is full or fails: no false 202, open deliveries are finished, nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.acceptance.daemon import SHORT, Answer, Daemon, by_channel, fault, night, posts, scenario

DISK_BYTES = 6_000_000
BALLAST_BYTES = 2_000_000
LEFT_BYTES = 50_000
CHUNK_BYTES = 16_384


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a directory on a file system of its own that is soon full."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("needs root to mount a small tmpfs")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)], check=False
    )
    if done.returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def _reserve(config: Path) -> None:
    text = config.read_text().replace("[store]", f"[store]\nballast_bytes = {BALLAST_BYTES}")
    config.write_text(text)


async def test_a_full_disk_answers_507_and_finishes_what_is_open(small_disk: Path) -> None:
    """No new alert is promised; the ballast's space lets the accepted one go out."""
    async with night(small_disk) as (sandbox, daemon):
        await daemon.stop()
        _reserve(daemon.config)
        await daemon.start()
        await fault(sandbox, "mastodon", "rate-limit", times=1, seconds=2)
        open_alert = await daemon.trigger(scenario())
        _fill(small_disk)
        refused = await _until_refused(daemon)
        assert refused.status == 507, refused.body
        assert refused.body["code"] == "storage-full"
        ready = await daemon.ask("GET", "/readyz")
        assert ready.status == 503
        settled = await daemon.settled(open_alert["id"])
        assert set(by_channel(settled).values()) == {"sent"}
        (small_disk / "filler").unlink()
        again = await daemon.trigger(scenario(9999))
        settled = await daemon.settled(again["id"])
        assert set(by_channel(settled).values()) == {"sent"}
        texts = [post["text"] for post in await posts(sandbox, "x")]
        assert len([text for text in texts if "Halle 9999" in text]) == 1


def _fill(disk: Path) -> None:
    """Take what is free, up to the last bytes; the daemon may take some of it meanwhile."""
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize > LEFT_BYTES:
            file.write(b"\0" * CHUNK_BYTES)


async def _until_refused(daemon: Daemon) -> Answer:
    for number in range(1, 200):
        answer = await daemon.ask(
            "POST", "/v1/alerts", scenario(number), **{"Idempotency-Key": uuid4().hex}
        )
        if answer.status != 202:
            return answer
    raise AssertionError("the disk never became full")


async def test_a_store_that_fails_to_sync_ends_the_process_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    """After a failed fsync nobody may carry on: no 202, exit, and the supervisor starts anew."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace to let a sync fail")
    async with night(tmp_path) as (sandbox, daemon):
        before = [await daemon.trigger(scenario(number)) for number in range(1, 4)]
        for alert in before:
            await daemon.settled(alert["id"])
        assert daemon.child is not None
        tracer = await _failing_syncs(daemon.child.pid)
        try:
            answer = await daemon.ask(
                "POST", "/v1/alerts", scenario(4), **{"Idempotency-Key": "lost"}
            )
            assert answer.status in {500, 503}, answer.body
            assert await asyncio.wait_for(daemon.ended(), 20) != 0
        finally:
            if tracer.returncode is None:
                tracer.terminate()
            await tracer.wait()
        await daemon.start()
        for alert in before:
            found = await daemon.look(alert["id"])
            assert set(by_channel(found).values()) == {"sent"}
        repeated = await daemon.trigger(scenario(4), key="lost")
        await daemon.settled(repeated["id"])
        texts = [post["text"] for post in await posts(sandbox, "mastodon")]
        assert [sum(f"Halle {n}" in text for text in texts) for n in range(1, 5)] == [1] * 4


async def _failing_syncs(pid: int) -> asyncio.subprocess.Process:
    """Let every sync of a process fail from now on."""
    tracer = await asyncio.create_subprocess_exec(
        *("strace", "-f", "-p", str(pid), "-e", "trace=fdatasync,fsync"),
        *("-e", "inject=fdatasync,fsync:error=EIO"),
        stderr=asyncio.subprocess.PIPE,
    )
    assert tracer.stderr is not None
    line = await asyncio.wait_for(tracer.stderr.readline(), 10)
    assert b"attached" in line, line
    return tracer


async def test_a_second_daemon_on_the_same_store_is_refused(tmp_path: Path) -> None:
    """Two senders over one outbox would post everything twice."""
    async with night(tmp_path) as (_, daemon):
        second = Daemon(daemon.config)
        await second.start(wait=False)
        assert await asyncio.wait_for(second.ended(), 20) != 0
        assert any("in use by another" in str(line) for line in second.log)
        assert (await daemon.ask("GET", "/healthz")).status == 200


async def test_a_broken_configuration_names_every_fault_and_does_not_start(tmp_path: Path) -> None:
    """One start shows all there is to mend."""
    async with night(tmp_path) as (_, daemon):
        await daemon.stop()
        text = daemon.config.read_text().replace('timezone = "Europe/Berlin"', 'timezone = "Mars"')
        text = text.replace('kind = "mail"', 'kind = "pigeon"').replace(SHORT, "")
        daemon.config.write_text(text + "\n[timing]\nattempt_secnds = 1\n")
        (tmp_path / "mastodon-token").chmod(0o644)
        second = Daemon(daemon.config)
        await second.start(wait=False)
        assert await asyncio.wait_for(second.ended(), 20) != 0
        said = "\n".join(str(line) for line in second.log)
        for word in (
            "server.timezone",
            "timing.attempt_secnds",
            "channels.press-mail.kind",
            "channels.city-mastodon.access_token_file",
        ):
            assert word in said
