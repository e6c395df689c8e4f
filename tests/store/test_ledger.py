"""Keys and channels on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from broadcaster.delivery import Readiness
from broadcaster.record import ChannelRow, Key, Refused, Role
from broadcaster.store import Store


def _key(name: str = "dispatch", number: str = "k1") -> Key:
    return Key(
        number,
        name,
        Role.TRIGGER,
        "ab" * 32,
        ("leitstelle@example.org", "*"),
        ("Severe",),
        ("one",),
    )


async def test_a_key_is_kept_as_it_was_made(store: Store) -> None:
    """Role, senders and limits, and when it was made; in the trail without its hash."""
    before = datetime.now(UTC)
    await store.create_key(_key(), "cli:anna")
    (found,) = await store.keys()
    assert found.created is not None
    assert before <= found.created <= datetime.now(UTC)
    assert (found.name, found.role, found.digest) == ("dispatch", Role.TRIGGER, "ab" * 32)
    assert (found.senders, found.severities) == (("leitstelle@example.org", "*"), ("Severe",))
    assert (found.channels, found.revoked) == (("one",), None)
    (entry,) = await store.audit()
    assert (entry.actor, entry.action, entry.object) == ("cli:anna", "create-key", "k1")
    assert "ab" * 32 not in str(entry)


async def test_two_active_keys_never_share_a_name(store: Store) -> None:
    """Revoking by name must mean one key."""
    await store.create_key(_key(), "cli:a")
    with pytest.raises(Refused) as refused:
        await store.create_key(_key(number="k2"), "cli:a")
    assert refused.value.code == "key-exists"
    await store.revoke_key("dispatch", "cli:a")
    await store.create_key(_key(number="k2"), "cli:a")
    assert [(one.id, one.revoked is None) for one in await store.keys()] == [
        ("k1", False),
        ("k2", True),
    ]


@pytest.mark.parametrize("by", ["dispatch", "k1"])
async def test_a_key_is_revoked_by_name_or_id_and_once(store: Store, by: str) -> None:
    """It stays in the list, with the time of its end."""
    await store.create_key(_key(), "cli:a")
    ended = await store.revoke_key(by, "cli:b")
    assert ended is not None
    assert ended.revoked is not None
    assert await store.keys() == [ended]
    assert await store.revoke_key(by, "cli:b") is None
    assert [one.action for one in await store.audit()] == ["revoke-key", "create-key"]


async def test_a_channel_is_known_once(store: Store) -> None:
    """A restart with the same and more channels keeps what is known of them."""
    await store.switch_off("one", "gone")
    await store.know_channels({"one": "fake", "four": "x"})
    found = {one.name: one for one in await store.channels()}
    assert list(found) == ["four", "one", "three", "two"]
    assert (found["one"].switched_off, found["four"]) == ("gone", ChannelRow("four", "x"))


async def test_a_pause_lasts_until_it_is_taken_back(store: Store) -> None:
    """It outlives a restart, and says why."""
    until = datetime.now(UTC) + timedelta(minutes=15)
    await store.pause("one", until, "429: too many requests")
    (one,) = [row for row in await store.channels() if row.name == "one"]
    assert (one.paused_until, one.pause_reason) == (until, "429: too many requests")
    await store.pause("one", None, None)
    assert ChannelRow("one", "fake") in await store.channels()


async def test_a_channel_that_was_switched_off_is_switched_on_by_a_person(store: Store) -> None:
    """The other side wanted no more of it; only that is said, nothing else is touched."""
    await store.switch_off("one", "410 Gone")
    rows = {row.name: row.switched_off for row in await store.channels()}
    assert rows == {"one": "410 Gone", "two": None, "three": None}
    await store.switch_off("one", None)
    assert all(row.switched_off is None for row in await store.channels())


async def test_what_a_probe_found_comes_back_whole(store: Store) -> None:
    """Account, remedy, days and limits; and when it was probed."""
    found = Readiness(False, "the token ends", "renew it", "@stadt", 3.5, 12, {"characters": 500})
    await store.probed("one", found, {"characters": 500, "url": 23})
    (one,) = [row for row in await store.channels() if row.name == "one"]
    assert (one.readiness, one.limits) == (found, {"characters": 500, "url": 23})
    assert one.probed is not None
