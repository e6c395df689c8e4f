"""Keys and channels: who may speak, and what is known of each way out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import bindparam, select, update

from broadcaster.delivery import Readiness
from broadcaster.record import ChannelRow, Key, Refused, Role
from broadcaster.store import journal
from broadcaster.store.engine import Database, Row
from broadcaster.store.journal import Deed
from broadcaster.store.rows import as_mapping, maybe_plain, maybe_time, maybe_us, to_json, to_us
from broadcaster.store.tables import api_key, channel

_KEYS = select(api_key).order_by(api_key.c.created)
_ACTIVE_NAME = select(api_key).where(
    (api_key.c.name == bindparam("of")) | (api_key.c.id == bindparam("of")),
    api_key.c.revoked.is_(None),
)
_REVOKE = update(api_key).where(api_key.c.id == bindparam("of")).values(revoked=bindparam("at"))
_CHANNELS = select(channel).order_by(channel.c.name)
_PAUSE = (
    update(channel)
    .where(channel.c.name == bindparam("of"))
    .values(paused_until=bindparam("until"), pause_reason=bindparam("why"))
)
_SWITCH = (
    update(channel).where(channel.c.name == bindparam("of")).values(switched_off=bindparam("why"))
)
_PROBED = (
    update(channel)
    .where(channel.c.name == bindparam("of"))
    .values(readiness=bindparam("found"), probed=bindparam("at"))
)
_BOUND = select(channel.c.bound).where(channel.c.name == bindparam("of"))
_BIND = update(channel).where(channel.c.name == bindparam("of")).values(bound=bindparam("to"))
_HOLD = update(channel).where(channel.c.name == bindparam("of")).values(held=bindparam("why"))
_LIMITS = update(channel).where(channel.c.name == bindparam("of")).values(limits=bindparam("known"))


def keys(db: Database) -> list[Key]:
    """Return all keys, revoked ones too."""
    return [_key(row) for row in db.rows(_KEYS)]


def _key(row: Row) -> Key:
    return Key(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        digest=row["digest"],
        senders=tuple(json.loads(row["senders"])),
        severities=tuple(json.loads(row["severities"])),
        channels=tuple(json.loads(row["channels"])),
        created=maybe_time(row["created"]),
        revoked=maybe_time(row["revoked"]),
    )


def create_key(db: Database, key: Key, actor: str, now: datetime) -> None:
    """Keep a key (its hash). Raises Refused when an active key has this name."""
    if db.row(_ACTIVE_NAME, of=key.name):
        raise Refused("key-exists", f"there is an active key named {key.name}; revoke it first")
    row = {
        "id": key.id,
        "name": key.name,
        "role": key.role.value,
        "digest": key.digest,
        "senders": to_json(key.senders),
        "severities": to_json(key.severities),
        "channels": to_json(key.channels),
        "created": to_us(now),
    }
    db.insert(api_key, [row])
    details = {"name": key.name, "role": key.role.value, "senders": list(key.senders)}
    journal.note(db, Deed(actor, "create-key", key.id, details), now)


def revoke_key(db: Database, name: str, actor: str, now: datetime) -> Key | None:
    """End a key by name or id; None if there is no such active key."""
    row = db.row(_ACTIVE_NAME, of=name)
    if row is None:
        return None
    db.change(_REVOKE, of=row["id"], at=to_us(now))
    journal.note(db, Deed(actor, "revoke-key", row["id"], {"name": row["name"]}), now)
    return _key(row | {"revoked": to_us(now)})


def channels(db: Database) -> list[ChannelRow]:
    """Return what is known of every channel that ever was configured."""
    return [
        ChannelRow(
            name=row["name"],
            type=row["type"],
            readiness=_readiness(row["readiness"]),
            probed=maybe_time(row["probed"]),
            paused_until=maybe_time(row["paused_until"]),
            pause_reason=row["pause_reason"],
            switched_off=row["switched_off"],
            limits=as_mapping(row["limits"]),
            bound=as_mapping(row["bound"]) or None,
            held=row["held"],
        )
        for row in db.rows(_CHANNELS)
    ]


def _readiness(text: str | None) -> Readiness | None:
    return None if text is None else Readiness(**json.loads(text))


def know_channels(db: Database, configured: Mapping[str, str]) -> None:
    """Make a row for every configured channel (name -> type) that has none."""
    known = {row["name"] for row in db.rows(_CHANNELS)}
    rows = [
        {"name": name, "type": kind, "limits": "{}"}
        for name, kind in configured.items()
        if name not in known
    ]
    db.insert(channel, rows)


def pause(db: Database, name: str, until: datetime | None, why: str | None) -> None:
    """Pause a channel, or let it go on."""
    db.change(_PAUSE, of=name, until=maybe_us(until), why=maybe_plain(why))


def switch(db: Database, name: str, why: str | None) -> None:
    """Switch a channel off (410), or on again (None)."""
    db.change(_SWITCH, of=name, why=maybe_plain(why))


def probed(
    db: Database, name: str, found: Readiness, limits: Mapping[str, int], now: datetime
) -> None:
    """Keep what a probe found; limits once read stay until others are read."""
    readiness = {
        "ready": found.ready,
        "sentence": found.sentence,
        "remedy": found.remedy,
        "account": found.account,
        "days_left": found.days_left,
        "quota_left": found.quota_left,
        "limits": dict(found.limits),
        "identity": dict(found.identity),
    }
    db.change(_PROBED, of=name, found=to_json(readiness), at=to_us(now))
    if limits:
        db.change(_LIMITS, of=name, known=to_json(dict(limits)))


def bind(db: Database, name: str, identity: Mapping[str, str]) -> Mapping[str, str]:
    """Bind a channel that is bound to nobody to this account; return whom it is bound to."""
    row = db.row(_BOUND, of=name)
    if row is None or row["bound"] is not None:
        return as_mapping(row["bound"]) if row else identity
    db.change(_BIND, of=name, to=to_json(dict(identity)))
    return identity


def hold(db: Database, name: str, why: str | None) -> None:
    """Post nothing on a channel until a person says so, or (None) go on."""
    db.change(_HOLD, of=name, why=maybe_plain(why))


def rebind(db: Database, name: str, actor: str, now: datetime) -> bool:
    """Let a channel be bound anew by its next good probe; say whether there is such a channel."""
    row = db.row(_BOUND, of=name)
    if row is None:
        return False
    db.change(_BIND, of=name, to=None)
    hold(db, name, None)
    journal.note(db, Deed(actor, "rebind", name, {"before": as_mapping(row["bound"])}), now)
    return True
