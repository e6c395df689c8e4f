"""Webhooks by Standard Webhooks: the alert as data, signed, under an id that never changes.

The receiver drops a repeat of an id it has seen, so that an unknown attempt is followed by the
same bytes under the same id.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ssl
from typing import Annotated

from pydantic import AfterValidator
from yarl import URL

from broadcaster.channels import Escape, Limits, Measure, Picture, Setup, http
from broadcaster.config import Carries, Table
from broadcaster.delivery import (
    Delivery,
    Guarantee,
    NeedsPerson,
    Readiness,
    Receipt,
    Rejected,
)

SECRET_BYTES = range(24, 65)  # what Standard Webhooks allows
CHARACTERS_MAX = 100_000  # of the text; a receiver of data has no limit of its own
CARRIES = Carries()


def _address(text: str) -> str:
    try:
        url = URL(text)
        port = url.port
    except ValueError:
        raise ValueError("is no address; write it like https://fire.example.org/hooks") from None
    if url.scheme not in {"http", "https"} or not url.host or port is None:
        raise ValueError("must begin with https:// or http:// and name a host")
    if url.raw_user is not None or url.raw_password is not None:
        raise ValueError("must hold no user or password: a receiver checks the signature")
    if url.raw_fragment:
        raise ValueError("must have no #fragment: it would never be sent")
    return text


Address = Annotated[str, AfterValidator(_address)]


class Settings(Table):
    """`[channels.NAME]` of type webhook.

    `secret_file` holds `whsec_` and 24 to 64 bytes in base64. While a secret is being exchanged,
    `next_secret_file` signs beside it. `base_url` stands for scheme, host and port of `url`.
    """

    url: Address
    secret_file: str
    next_secret_file: str | None = None
    base_url: Address | None = None


class Webhook:
    """One receiver of signed alerts."""

    guarantee = Guarantee.SERVER_KEY
    reads_back = False
    limits = Limits(Measure.CHARACTERS, CHARACTERS_MAX)
    escape = Escape.NONE
    attempts_at_once = 16
    picture: Picture | None = None
    by_hand: str | None = None
    paid_reads = False
    takes_data = True
    posts_per_day_max: int | None = None
    resend_on_unknown = True

    def __init__(self, setup: Setup, url: URL, secrets: tuple[bytes, ...]) -> None:
        self.config = setup.config
        self.carries = setup.config.carries or CARRIES
        self.template = setup.config.template or "webhook"
        self.account = _account(url)
        self._url = url
        self._secrets = secrets
        self._clock = setup.clock
        self._connect_seconds = setup.timing.connect_seconds
        self._client = http.Client(setup.timing)

    async def send(self, delivery: Delivery) -> Receipt:
        """Post the stored bytes once, signed for this moment."""
        if delivery.message is None or delivery.message.data is None:
            raise Rejected("there is no data in this delivery, and a webhook takes nothing else")
        body = delivery.message.data.encode()
        answer = await self._client.post(self._url, body, self._headers(delivery.key, body))
        if 200 <= answer.status < 300:  # whatever the body: a webhook never names what it took
            return Receipt(remote_id=None)
        if answer.status == 410:
            raise NeedsPerson(
                "the receiver answered 410: it wants no more of these. Ask whoever runs it, or "
                "take this channel out of the configuration",
                switch_off=True,
            )
        raise http.failure_for(answer, "the receiver", self._clock.now())

    async def warm(self) -> None:
        """Keep a connection open with a HEAD of the receiver's host: it posts and signs nothing."""
        await self._client.warm(self._url.origin())

    async def find(self, _delivery: Delivery) -> Receipt | None:
        """Find nothing: a receiver has no list to read.

        None does not prove that the message is absent. It only leaves the way on: the same id
        again, which the receiver drops if it has it.
        """
        return None

    async def probe(self) -> Readiness:
        """Open a connection and close it: any request would be a message, or a guess."""
        host = self._url.host or ""
        try:
            await _knock(host, self._url.port or 0, self._url.scheme, self._connect_seconds)
        except TimeoutError:
            return _not_ready(host, "does not answer")
        except ssl.SSLError:
            return _not_ready(host, "shows a certificate that is not accepted")
        except OSError:
            return _not_ready(host, "cannot be reached")
        sentence = f"{host} takes connections. Whether it takes alerts shows when one is sent."
        return Readiness(ready=True, sentence=sentence, account=self.account)

    async def retract(self, _receipt: Receipt) -> None:
        """Refuse: what was handed over cannot be taken back."""
        raise Rejected("a webhook cannot be taken back; send an update or an all-clear")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _headers(self, key: str, body: bytes) -> dict[str, str]:
        name = f"msg_{key}"
        stamp = str(int(self._clock.now().timestamp()))
        signed = b".".join((name.encode(), stamp.encode(), body))
        return {
            "Content-Type": "application/json",
            "webhook-id": name,
            "webhook-timestamp": stamp,
            "webhook-signature": " ".join(_sign(secret, signed) for secret in self._secrets),
        }


def build(setup: Setup, settings: Settings) -> Webhook:
    """Build the channel. Raises ValueError for a secret that is none."""
    files = (settings.secret_file, settings.next_secret_file)
    secrets = tuple(_secret(setup, file) for file in files if file is not None)
    url = URL(settings.url)
    if settings.base_url:
        base = URL(settings.base_url)
        path = base.raw_path.rstrip("/") + url.raw_path_qs
        url = URL(f"{base.origin()}{path}", encoded=True)
    return Webhook(setup, url, secrets)


def _secret(setup: Setup, file: str) -> bytes:
    before, mark, encoded = setup.secrets.read(file).partition("whsec_")
    try:
        secret = base64.b64decode(encoded, validate=True)
    except ValueError:
        secret, mark = b"", ""
    if before or not mark:
        raise ValueError(f"{file} must hold whsec_ and the secret in base64")
    if len(secret) not in SECRET_BYTES:
        raise ValueError(f"the secret in {file} must be 24 to 64 bytes long, not {len(secret)}")
    return secret


def _sign(secret: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


def _account(url: URL) -> str:
    """Tell receivers apart; a query may hold a token, so only its digest is shown."""
    plain = str(url.with_query(None))
    if not url.raw_query_string:
        return plain
    return f"{plain}#{hashlib.sha256(url.raw_query_string.encode()).hexdigest()[:12]}"


async def _knock(host: str, port: int, scheme: str, limit_seconds: float) -> None:
    secure = True if scheme == "https" else None
    async with asyncio.timeout(limit_seconds):
        _, writer = await asyncio.open_connection(host, port, ssl=secure)
    writer.transport.abort()


def _not_ready(host: str, what: str) -> Readiness:
    remedy = "Check the address in the configuration, and ask whoever runs the receiver."
    return Readiness(ready=False, sentence=f"{host} {what}.", remedy=remedy)
