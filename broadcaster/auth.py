"""Who is calling: bearer keys, what they may do, and the address a request came from.

A key is `bcast_<public id>_<secret>_<checksum>`. The secret has 256 random bits, so its plain
SHA-256 is all that is stored, and a fast hash is right. The checksum tells a mistyped key from a
wrong one without asking anybody.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import re
import secrets
import string
import zlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from broadcaster.alert import Severity
from broadcaster.clock import Clock
from broadcaster.record import Key, Role

PREFIX = "bcast"
ANY_SENDER = "*"
_ALPHABET = string.digits + string.ascii_letters
_ID_LENGTH = 10
_SECRET_LENGTH = 43  # 62**43 > 2**256
_CHECKSUM_LENGTH = 6
_FORM = re.compile(
    rf"{PREFIX}_([0-9A-Za-z]{{{_ID_LENGTH}}})_([0-9A-Za-z]{{{_SECRET_LENGTH}}})"
    rf"_([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})",
    re.ASCII,
)
# Compared where the id is unknown, so that the answer takes as long as for a known one.
_NOBODY = Key("", "", Role.READ, "0" * 64)


class Unauthenticated(Exception):  # noqa: N818 - an answer, not a malfunction
    """The request does not say who is calling. `code` and `detail` are safe to show."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Crowded(Exception):  # noqa: N818 - as above
    """So many bad keys are waiting for their answer that one more is turned away."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, and what they may do. Empty `severities`/`channels` mean no limit.

    `actor` is what answers and the audit trail name. `scope` is the credential: idempotency keys of
    two credentials never meet.
    """

    actor: str
    scope: str
    role: Role
    senders: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    def speaks_for(self, sender: str) -> bool:
        """Say whether this caller may send alerts in the name of `sender`."""
        return ANY_SENDER in self.senders or sender in self.senders

    def may_be_as_severe_as(self, severity: Severity) -> bool:
        """Say whether this caller may send an alert of this severity."""
        return not self.severities or severity in self.severities

    def may_use(self, channel: str) -> bool:
        """Say whether this caller may post on this channel."""
        return not self.channels or channel in self.channels


def key_caller(key: Key) -> Caller:
    """Return the caller a key stands for."""
    return Caller(
        f"key:{key.name}", f"key:{key.id}", key.role, key.senders, key.severities, key.channels
    )


def local_caller(user: str) -> Caller:
    """Return the caller at the daemon's own Unix socket: the daemon's user or root, role admin."""
    actor = f"local:{user}"
    return Caller(actor, actor, Role.ADMIN, (ANY_SENDER,))


def new_key(wish: Key) -> tuple[Key, str]:
    """Make a key: its row, and the text that is shown once and never stored.

    `wish` says name, role and limits; its `id` and `digest` are replaced by new ones.
    """
    public, secret = _random(_ID_LENGTH), _random(_SECRET_LENGTH)
    body = f"{PREFIX}_{public}_{secret}"
    return replace(wish, id=public, digest=digest_of(secret)), f"{body}_{checksum(body)}"


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def digest_of(secret: str) -> str:
    """Return what is stored of a secret: its SHA-256, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def checksum(body: str) -> str:
    """Return the last part of a key: CRC-32 of all before it, in six characters."""
    number, text = zlib.crc32(body.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        text = _ALPHABET[digit] + text
    return text


def bearer(authorization: Sequence[str]) -> str:
    """Return the token of the one Authorization header. Raises Unauthenticated."""
    if not authorization:
        raise Unauthenticated("key-missing", "Send your key as: Authorization: Bearer bcast_...")
    if len(authorization) > 1:
        raise Unauthenticated("key-repeated", "There is more than one Authorization header.")
    scheme, _, token = authorization[0].strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("key-scheme", "The Authorization header must say: Bearer bcast_...")
    return token.strip()


class Keyring:
    """All keys in memory, so that checking one asks no database.

    `load` reads all rows (the store's `keys`). Answers to bad keys are held back for
    `delay_seconds`, at most `waiting_max` of them at once; good keys never wait.
    """

    def __init__(
        self,
        load: Callable[[], Awaitable[Iterable[Key]]],
        clock: Clock,
        *,
        delay_seconds: float = 1.0,
        waiting_max: int = 50,
    ) -> None:
        self._load = load
        self._clock = clock
        self._delay_seconds = delay_seconds
        self._places = asyncio.Semaphore(waiting_max)
        self._keys: dict[str, Key] = {}

    async def reload(self) -> None:
        """Read all keys again; called at start and after one was made or revoked."""
        self._keys = {key.id: key for key in await self._load() if key.revoked is None}

    async def authenticate(self, authorization: Sequence[str]) -> Caller:
        """Return who a request's Authorization headers say is calling.

        Raises Unauthenticated, at once where there is no key at all, else after the delay; Crowded
        when too many are waiting already.
        """
        token = bearer(authorization)
        try:
            return key_caller(self.check(token))
        except Unauthenticated:
            await self._hold_back()
            raise

    def check(self, token: str) -> Key:
        """Return the key a token proves. Raises Unauthenticated."""
        form = _FORM.fullmatch(token)
        if form is None or not _same(checksum(token.rpartition("_")[0]), form[3]):
            raise Unauthenticated(
                "key-mistyped", "This is no complete key: it was cut or mistyped when copied."
            )
        key = self._keys.get(form[1], _NOBODY)
        if not _same(digest_of(form[2]), key.digest):
            raise Unauthenticated("key-refused", "This key is not known here, or it was revoked.")
        return key

    async def _hold_back(self) -> None:
        if self._places.locked():
            raise Crowded
        async with self._places:
            await self._clock.sleep(self._delay_seconds)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def client_address(peer: str, forwarded: Sequence[str], trusted: Iterable[str]) -> str:
    """Return the address a request came from.

    `X-Forwarded-For` counts only as far as trusted proxies wrote it: read from the right, the first
    address that is no trusted proxy is the client. Junk in it leaves the peer.
    """
    networks = [ipaddress.ip_network(one, strict=False) for one in trusted]
    address = peer
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    while hops and _is_in(address, networks):
        hop = hops.pop()
        if not _is_address(hop):
            break
        address = hop
    return address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_in(text: str, networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return _is_address(text) and any(ipaddress.ip_address(text) in one for one in networks)
