"""Upkeep of a daemon: its keys, and copies of its store. Works whether or not it runs."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from broadcaster.terminal import tables
from broadcaster.terminal.client import Json, listed
from broadcaster.terminal.ending import FINE
from broadcaster.terminal.output import Output, now
from broadcaster.terminal.target import Target, connect


async def create_key(target: Target, wish: Json, output: Output) -> int:
    """Make a key and print it, this once."""
    async with connect(target) as client:
        made = await client.post("/control/keys", wish)
    output.document(made)
    if not output.json:
        output.say(str(made["key"]), "bold")
        output.warn(
            "This is the only time the key is shown; only a hash of it is stored. "
            "Put it into a file that only its user can read (chmod 600)."
        )
    return FINE


async def list_keys(target: Target, output: Output) -> int:
    """Show all keys, without their secrets."""
    async with connect(target) as client:
        found = listed(await client.get("/control/keys"), "keys")
    output.document(found)
    if found and not output.json:
        output.show(tables.keys(found, now()))
    elif not output.json:
        output.say("No key yet. Make one with: broadcaster keys create NAME --role trigger ...")
    return FINE


async def revoke_key(target: Target, name: str, output: Output) -> int:
    """Take a key back at once."""
    async with connect(target) as client:
        answer = await client.request("DELETE", f"/control/keys/{quote(name, safe='')}")
    output.document(answer)
    output.say(f"The key {name} is revoked: it opens nothing any more.")
    return FINE


async def backup(target: Target, file: Path, output: Output) -> int:
    """Write a consistent copy of the store to `file`, an absolute path."""
    async with connect(target) as client:
        answer = await client.post("/control/backup", {"path": str(file)})
    output.document(answer)
    output.say(f"A consistent copy of the store lies in {file}.")
    return FINE
