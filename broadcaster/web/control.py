"""What only the machine's own people may do: keys, backup, audit, status, over the Unix socket.

On the TCP port these paths do not exist. On the socket the kernel says who is calling, so no key is
needed; only the daemon's own user and root are heard.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, StringConstraints

from broadcaster import __version__, answer
from broadcaster.alert import CapModel, Severity
from broadcaster.auth import Caller, Keyring, local_caller, new_key
from broadcaster.clock import Clock
from broadcaster.config import Server
from broadcaster.record import Key, Refused, Role
from broadcaster.store import Store
from broadcaster.web.alerts import shown
from broadcaster.web.channels import Channels
from broadcaster.web.limits import read_model
from broadcaster.web.problems import Problem
from broadcaster.web.routes import Route

PREFIX = "/control/"
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_ROOT = 0
_PAGE = 100

_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
_Sender = Annotated[str, StringConstraints(pattern=r"^[^\s,<&]{1,200}$")]

_Severity = Annotated[str, StringConstraints(pattern=f"^({'|'.join(Severity)})$")]


class NewKey(CapModel):
    """The body of a new key. From trigger on, it must name the senders it may speak for."""

    name: _Name
    role: Annotated[str, StringConstraints(pattern="^(read|trigger|approve|admin)$")]
    senders: list[_Sender] = Field(default=[], max_length=100)
    severities: list[_Severity] = Field(default=[], max_length=5)
    channels: list[_Name] = Field(default=[], max_length=100)


class BackupTo(CapModel):
    """The body of a backup: an absolute path on the daemon's machine."""

    path: Annotated[str, StringConstraints(pattern=r"^/[^\x00]{1,1000}$")]


@dataclass(frozen=True, slots=True)
class Control:
    """The control routes."""

    store: Store
    keyring: Keyring
    channels: Channels
    server: Server
    clock: Clock
    readiness: Callable[[], Sequence[str]]
    release: Callable[[str, str], Awaitable[bool]]

    def routes(self) -> list[Route]:
        """Give the routes of this room; they are not part of the public description."""
        table = (
            ("GET", "status", self.status),
            ("GET", "audit", self.audit),
            ("GET", "keys", self.keys),
            ("POST", "keys", self.create),
            ("DELETE", "keys/{name}", self.revoke),
            ("POST", "backup", self.backup),
            ("POST", "channels/{name}/rebind", self.rebind),
        )
        return [
            Route(method, PREFIX + path, handler.__name__, "", handler, Role.ADMIN)
            for method, path, handler in table
        ]

    async def status(self, _request: web.Request, _caller: Caller) -> web.Response:
        """What needs a person, then what is under way."""
        now = self.clock.now()
        rows = await self.store.alerts(state="active", limit=50)
        counts = await self.store.counts([row.id for row in rows])
        reasons = list(self.readiness())
        return shown(
            {
                "version": __version__,
                "ready": not reasons,
                "reasons": reasons,
                "notices": [notice_json(one) for one in await self.store.open_notices()],
                "alerts": [answer.listed_json(row, counts.get(row.id, {}), now) for row in rows],
                "channels": await self.channels.listed(),
            }
        )

    async def audit(self, request: web.Request, _caller: Caller) -> web.Response:
        """A page of the audit trail, the newest first; `before` is a number."""
        before = request.query.get("before", "")
        if before and not (before.isascii() and before.isdecimal() and len(before) < _PAGE):
            raise Problem(400, "query", "before must be the number of an entry.")
        entries = await self.store.audit(_PAGE, int(before) if before else None)
        shown_entries = [
            {
                "seq": one.seq,
                "at": answer.moment(one.at),
                "actor": one.actor,
                "action": one.action,
                "object": one.object,
                "details": dict(one.details),
            }
            for one in entries
        ]
        return shown({"entries": shown_entries})

    async def keys(self, _request: web.Request, _caller: Caller) -> web.Response:
        """All keys, without anything that would let one in."""
        return shown({"keys": [key_json(key) for key in await self.store.keys()]})

    async def create(self, request: web.Request, caller: Caller) -> web.Response:
        """Make a key; the answer is the only place its text is ever seen."""
        wish = wished(await read_model(request, NewKey, self.server))
        key, text = new_key(wish)
        await self.store.create_key(key, caller.actor)
        await self.keyring.reload()
        return shown(key_json(key) | {"key": text}, 201)

    async def revoke(self, request: web.Request, caller: Caller) -> web.Response:
        """End a key by name or id."""
        name = request.match_info["name"]
        key = await self.store.revoke_key(name, caller.actor) if name.isprintable() else None
        if key is None:
            raise Problem(404, "unknown-key", "There is no active key of this name.")
        await self.keyring.reload()
        return shown(key_json(key))

    async def rebind(self, request: web.Request, caller: Caller) -> web.Response:
        """Let a channel go on with the account it has now; it is bound to it by a probe."""
        name = request.match_info["name"]
        if not name.isprintable() or not await self.release(name, caller.actor):
            raise Problem(404, "unknown-channel", "There is no channel of this name.")
        found = next((one for one in await self.channels.listed() if one["name"] == name), None)
        return shown(found or {"name": name})

    async def backup(self, request: web.Request, caller: Caller) -> web.Response:
        """Write a consistent copy of the store."""
        path = Path((await read_model(request, BackupTo, self.server)).path)
        try:
            await self.store.backup(path)
        except ValueError as error:
            raise Problem(409, "backup-refused", str(error)) from None
        except OSError as error:
            raise Problem(409, "backup-failed", f"{path}: {error.strerror}") from None
        await self.store.note(caller.actor, "backup", str(path), {})
        return shown({"path": str(path)})


def wished(said: NewKey) -> Key:
    """Return the key a body asks for. Raises Refused without the senders its role needs."""
    role = Role(said.role)
    if role.includes(Role.TRIGGER) and not said.senders:
        raise Refused("sender-missing", "Name the senders this key may speak for, or *.")
    return Key(
        "",
        said.name,
        role,
        "",
        senders=tuple(said.senders),
        severities=tuple(said.severities),
        channels=tuple(said.channels),
    )


def key_json(key: Key) -> dict[str, Any]:
    """Return what may be shown of a key."""
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "senders": list(key.senders),
        "severities": list(key.severities),
        "channels": list(key.channels),
        "created": answer.moment(key.created),
        "revoked": answer.moment(key.revoked),
    }


def notice_json(matter: Any) -> dict[str, Any]:
    """Return an open notice, with who was told."""
    notice = matter.notice
    return {
        "id": notice.id,
        "kind": notice.kind,
        "alert": notice.alert,
        "delivery": notice.delivery,
        "channel": notice.channel,
        "text": notice.text,
        "not_out": [list(one) for one in matter.not_out],
        "created": answer.moment(notice.created),
        "due": answer.moment(notice.due),
        "told": {name: answer.moment(at) for name, at in notice.told.items()},
    }


def local_peer(request: web.Request) -> Caller | None:
    """Return who calls on the Unix socket, None on TCP. Raises Problem 403 for other users."""
    sock = request.get_extra_info("socket")
    if sock is None or sock.family != socket.AF_UNIX:
        return None
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(raw)
    if uid not in (_ROOT, os.getuid()):
        raise Problem(403, "not-this-user", "Only root and the daemon's own user are heard here.")
    return local_caller(_user(uid))


@lru_cache(maxsize=16)
def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
