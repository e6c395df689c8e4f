"""`broadcaster check` before the night: what would fail is said in a plain sentence each."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from broadcaster.sandbox import Sandbox
from broadcaster.sandbox.configuration import configuration
from tests.acceptance.daemon import edit

CITY = "sandbox-stadt-dortmund"
FIVE = ("x", "threads", "facebook", "instagram", "linkedin")


async def check(config: Path, *options: str) -> tuple[int, str]:
    """Run the command; return its exit code and what it printed on stdout."""
    command = [sys.executable, "-m", "broadcaster", "check", "--config", str(config), *options]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    printed, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, printed.decode()


def put(config: Path, name: str, secret: str) -> None:
    """Exchange the content of a secret file."""
    path = config.parent / name
    assert path.exists(), name
    path.write_text(secret, encoding="utf-8")


def troubled(sandbox: Sandbox, directory: Path) -> Path:
    """Write a configuration in which each of five channels has a trouble of its own."""
    config = configuration(sandbox, directory, networks=FIVE)
    put(config, "threads-token", f"{CITY}.expired")
    put(config, "facebook-page-token", f"{CITY}.days-5")
    put(config, "instagram-token", f"{CITY}.without-instagram_business_content_publish")
    put(config, "x-access-token", f"{CITY}.without-credits")
    put(config, "x-access-token-secret", f"{CITY}.without-credits-secret")
    text = config.read_text(encoding="utf-8")
    version = next(line for line in text.splitlines() if line.startswith("version = "))
    edit(config, {version: 'version = "202401"'})
    return config


async def test_five_troubles_are_five_plain_sentences(tmp_path: Path) -> None:
    """Expired, near its end, without permission, without credit, switched off: exit 1."""
    sandbox = Sandbox()
    await sandbox.start()
    try:
        config = troubled(sandbox, tmp_path)
        code, printed = await check(config, "--json")
        _, table = await check(config)
    finally:
        await sandbox.close()
    assert code == 1
    found: dict[str, dict[str, Any]] = {one["what"]: one for one in json.loads(printed)}
    says = {
        "channel city-threads": (False, "expired"),
        "channel city-facebook": (True, "5 days"),
        "channel city-instagram": (False, "instagram_business_content_publish"),
        "channel x": (False, "credit"),
        "channel city-linkedin": (False, "202401"),
    }
    for what, (ok, word) in says.items():
        one = found[what]
        assert one["ok"] is ok, one
        assert word in f"{one['sentence']} {one['remedy']}", one
        assert one["sentence"].endswith("."), one
        assert one["remedy"], one
        assert "Traceback" not in one["sentence"]
    assert all(name in table for name in says)
    assert "ready, but" in table
    assert CITY not in table
    for network in FIVE:
        assert not sandbox.posts.of(network), "a check posts nothing"
