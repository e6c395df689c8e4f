"""Corrections: which post of an earlier version one marks as overtaken, and when a person must.

What counts is the newest earlier version of which anything is, or may be, out on the channel in a
language of the correction: what is older points to that already.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, select

from broadcaster.delivery import CORRECTION, MAY_BE_OUT, OUT, State
from broadcaster.store.engine import Database, Row
from broadcaster.store.rows import UNREADABLE, receipt_from_json
from broadcaster.store.tables import among, delivery

# What ended in doubt may be out as well, and so may what is about to be tried again.
_MAY_BE_OUT = among(delivery.c.state, MAY_BE_OUT) | (
    (delivery.c.doubtful == 1)
    & (delivery.c.absent == 0)
    & among(delivery.c.state, (State.QUEUED, State.FAILED, State.EXPIRED, State.SUPERSEDED))
)
_EARLIER = (
    select(*(delivery.c[name] for name in ("part", "version", "state", "due", "receipt")))
    .where(
        delivery.c.incident == bindparam("of"),
        delivery.c.channel == bindparam("on"),
        delivery.c.version < bindparam("version_now"),
        ~delivery.c.part.like(f"%{CORRECTION}"),
        _MAY_BE_OUT,
    )
    .order_by(delivery.c.version.desc(), delivery.c.position)
)
_OWN_POST = select(delivery.c.id).where(
    delivery.c.alert == bindparam("of"),
    delivery.c.channel == bindparam("on"),
    delivery.c.part == bindparam("own_part"),
    _MAY_BE_OUT,
)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a correction finds on its channel.

    `receipt`: of the post it marks, as stored; None where it cannot. `waits`: until the fate of
    that post is found out. `by_hand`: what a person is to do if the correction does not.
    """

    by_hand: str
    receipt: str | None = None
    waits: bool = False


def is_one(row: Row) -> bool:
    """Say whether a delivery marks an older post, instead of being one."""
    return str(row["part"]).endswith(CORRECTION)


def mark(db: Database, row: Row) -> Mark | None:
    """Say what a correction is to mark; None: no earlier version is out on its channel."""
    part = row["part"].removesuffix(CORRECTION)
    values = {"of": row["incident"], "on": row["channel"], "version_now": row["version"]}
    earlier = [one for one in db.rows(_EARLIER, **values) if _share(one["part"], part)]
    newest = [one for one in earlier if one["version"] == earlier[0]["version"]]
    if not newest:
        return None
    if same := next((one for one in newest if one["part"] == part), None):
        return _of(same)
    # Two corrections would write over each other, or one would mark only one of two posts.
    which = " and ".join(f"{one['part']}{_at(one)}" for one in newest)
    return Mark(f"posted in other combinations of languages: mark by hand {which}")


def left_unmarked(db: Database, row: Row) -> str | None:
    """Say what a person must do if this correction is not to be sent any more; None: nothing.

    The next one marks the post of this one's own version, where that is or may be out.
    """
    if not is_one(row):
        return None
    part = row["part"].removesuffix(CORRECTION)
    if not db.row(_OWN_POST, of=row["alert"], on=row["channel"], own_part=part):
        return None
    found = mark(db, row)
    return found.by_hand if found else None


def _share(one: str, other: str) -> bool:
    """Say whether two parts have a language in common: "de+en" is one post in two."""
    return not set(one.split("+")).isdisjoint(other.split("+"))


def _of(row: Row) -> Mark:
    if row["state"] in OUT:
        return _of_post(row)
    if row["state"] == State.SENDING or (row["state"] == State.UNKNOWN and row["due"] is not None):
        return Mark("an older post may be out: look by hand and mark it", waits=True)
    return Mark("an older post may be out and could not be read back: look by hand and mark it")


def _of_post(row: Row) -> Mark:
    try:
        post = receipt_from_json(row["receipt"])
    except UNREADABLE:
        return Mark("the older post's receipt cannot be read: look for it by hand and mark it")
    if post is None or post.remote_id is None:
        return Mark(f"a person posted what this marks: mark it by hand{_at(row)}")
    return Mark(f"mark the older post by hand{_at(row)}", row["receipt"])


def _at(row: Row) -> str:
    try:
        post = receipt_from_json(row["receipt"])
    except UNREADABLE:
        return ""
    return f" at {post.url}" if post and post.url else ""
