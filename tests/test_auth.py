"""Keys: what they look like, what is kept of them, and how bad ones are answered."""

from __future__ import annotations

import asyncio
import hashlib
import re

import pytest

from broadcaster.alert import Severity
from broadcaster.auth import (
    Crowded,
    Keyring,
    Unauthenticated,
    bearer,
    checksum,
    client_address,
    key_caller,
    local_caller,
    new_key,
)
from broadcaster.record import Key, Role
from tests.kit import NOW, ManualClock

WISH = Key("", "office", Role.TRIGGER, "", senders=("a@example.org",))


async def ring(*keys: Key, clock: ManualClock | None = None, waiting_max: int = 5) -> Keyring:
    """Return a keyring with these keys."""

    async def load() -> list[Key]:
        return list(keys)

    made = Keyring(load, clock or ManualClock(), waiting_max=waiting_max)
    await made.reload()
    return made


def test_a_key_is_recognised_by_its_form() -> None:
    """Prefix, public id, 256 random bits, checksum: scanners and people know it."""
    key, text = new_key(WISH)
    assert re.fullmatch(r"bcast_[0-9A-Za-z]{10}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}", text)
    assert text.split("_")[1] == key.id
    assert new_key(WISH)[1] != text


def test_only_a_hash_of_the_secret_is_kept() -> None:
    """Whoever reads the store cannot act with what is there."""
    key, text = new_key(WISH)
    secret = text.split("_")[2]
    assert key.digest == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in repr(key)


async def test_a_good_key_is_never_slowed() -> None:
    """Its answer waits for nobody, even while bad keys are held back."""
    key, text = new_key(WISH)
    clock = ManualClock()
    made = await ring(key, clock=clock)
    caller = await made.authenticate([f"Bearer {text}"])
    assert (caller.actor, caller.scope, caller.role) == (
        "key:office",
        f"key:{key.id}",
        Role.TRIGGER,
    )
    assert clock.now() == NOW


async def test_a_bad_key_is_held_back_for_a_second() -> None:
    """Trying keys costs time."""
    clock = ManualClock()
    made = await ring(clock=clock)
    with pytest.raises(Unauthenticated) as refused:
        await made.authenticate(["Bearer nonsense"])
    assert refused.value.code == "key-mistyped"
    assert (clock.now() - NOW).total_seconds() == 1.0


async def test_a_missing_key_is_answered_at_once() -> None:
    """Nothing was guessed, so nothing is slowed."""
    clock = ManualClock()
    made = await ring(clock=clock)
    with pytest.raises(Unauthenticated):
        await made.authenticate([])
    assert clock.now() == NOW


async def test_only_so_many_bad_keys_wait_at_once() -> None:
    """A flood of bad keys takes no memory; those beyond the bound are turned away."""

    class Stopped(ManualClock):
        async def sleep(self, seconds: float) -> None:  # noqa: ARG002
            await asyncio.Event().wait()

    made = await ring(clock=Stopped(), waiting_max=2)
    waiting = [asyncio.ensure_future(made.authenticate(["Bearer x"])) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Crowded):
        await made.authenticate(["Bearer x"])
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_revoked_key_opens_nothing() -> None:
    """From the moment the ring was read again."""
    key, text = new_key(WISH)
    keys = [key]

    async def load() -> list[Key]:
        return keys

    made = Keyring(load, ManualClock())
    await made.reload()
    assert made.check(text).name == "office"
    keys[0] = Key(key.id, key.name, key.role, key.digest, revoked=NOW)
    await made.reload()
    with pytest.raises(Unauthenticated) as refused:
        made.check(text)
    assert refused.value.code == "key-refused"


async def test_a_mistyped_key_is_told_from_a_wrong_one() -> None:
    """The checksum finds a typo without looking anything up."""
    key, text = new_key(WISH)
    made = await ring(key)
    last = "0" if text[20] != "0" else "1"
    typo = text[:20] + last + text[21:]
    with pytest.raises(Unauthenticated) as refused:
        made.check(typo)
    assert refused.value.code == "key-mistyped"
    body = typo.rpartition("_")[0]
    with pytest.raises(Unauthenticated) as refused:
        made.check(f"{body}_{checksum(body)}")
    assert refused.value.code == "key-refused"


async def test_no_refusal_repeats_the_secret() -> None:
    """Errors end up in logs."""
    key, text = new_key(WISH)
    made = await ring()
    with pytest.raises(Unauthenticated) as refused:
        made.check(text)
    assert text.split("_")[2] not in str(refused.value) + refused.value.detail
    assert key.id not in str(refused.value)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "key-missing"),
        (["Bearer a", "Bearer b"], "key-repeated"),
        (["Basic a"], "key-scheme"),
        (["Bearer"], "key-scheme"),
        ([""], "key-scheme"),
    ],
)
def test_the_header_must_be_one_bearer_token(headers: list[str], code: str) -> None:
    """Anything else is refused before a key is looked at."""
    with pytest.raises(Unauthenticated) as refused:
        bearer(headers)
    assert refused.value.code == code


def test_the_scheme_may_be_written_in_any_case() -> None:
    """RFC 9110 says so."""
    assert bearer(["bearer  abc "]) == "abc"


def test_a_caller_speaks_only_for_the_senders_of_its_key() -> None:
    """A star stands for all."""
    caller = key_caller(WISH)
    assert caller.speaks_for("a@example.org")
    assert not caller.speaks_for("b@example.org")
    assert local_caller("root").speaks_for("anybody")


def test_limits_bind_only_where_there_are_some() -> None:
    """Empty limits mean none."""
    free = key_caller(WISH)
    bound = key_caller(Key("i", "n", Role.READ, "", severities=("Minor",), channels=("city",)))
    assert free.may_be_as_severe_as(Severity.EXTREME)
    assert free.may_use("x")
    assert not bound.may_be_as_severe_as(Severity.EXTREME)
    assert bound.may_be_as_severe_as(Severity.MINOR)
    assert not bound.may_use("x")


def test_the_local_user_is_an_admin_with_a_scope_of_its_own() -> None:
    """The audit trail names the person, not a key."""
    caller = local_caller("anna")
    assert (caller.actor, caller.role) == ("local:anna", Role.ADMIN)


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "expected"),
    [
        ("203.0.113.9", ["198.51.100.1"], [], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1"], ["10.0.0.0/8"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.7"], ["10.0.0.1"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], ["10.0.0.0/8"], "198.51.100.1"),
        ("10.0.0.1", ["junk"], ["10.0.0.1"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1", "203.0.113.7"], ["10.0.0.1"], "203.0.113.7"),
        ("::1", ["2001:db8::1"], ["::1"], "2001:db8::1"),
        ("local", ["198.51.100.1"], ["10.0.0.1"], "local"),
    ],
)
def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    peer: str, forwarded: list[str], trusted: list[str], expected: str
) -> None:
    """Anybody can write the header; the last hop that is no proxy of ours is the client."""
    assert client_address(peer, forwarded, trusted) == expected
