"""Bluesky: a record under a key that we choose, put once and never over another.

The record's key and time come from the delivery, and so every repeat is the same record, byte by
byte. `swapRecord: null` lets the server take it only where none is; where one is already, it is
read and compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from atproto_client import models
from atproto_client.models.utils import get_model_as_dict
from atproto_client.utils import facet_detection
from pydantic import StringConstraints

from broadcaster.channels import ATTEMPTS_AT_ONCE, SERVER, Escape, Limits, Measure, Picture, Setup
from broadcaster.channels.http import Answer, failure_for
from broadcaster.channels.xrpc import Account, Login, body_of, error_of, pause
from broadcaster.config import Carries, Table
from broadcaster.delivery import (
    Delivery,
    Failure,
    Guarantee,
    NeedsPerson,
    NotSent,
    Readiness,
    Receipt,
    Rejected,
    Unknown,
)

CARRIES = Carries()
COLLECTION = "app.bsky.feed.post"
SAID_MAX = 200

PUT = "com.atproto.repo.putRecord"
GET = "com.atproto.repo.getRecord"
DELETE = "com.atproto.repo.deleteRecord"
WHO = "com.atproto.server.getSession"

_SORTABLE = "234567abcdefghijklmnopqrstuvwxyz"
_SHUT = re.compile(r"(Account|Repo)(Takedown|Takendown|Suspended|Deactivated|Inactive)")


class Settings(Table):
    """`[channels.NAME]` of type bluesky; with `base_url` no other address is ever asked."""

    service: Annotated[str, StringConstraints(pattern=SERVER)] = "https://bsky.social"
    handle: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+\.[A-Za-z0-9-]+$")]
    app_password_file: str
    base_url: Annotated[str, StringConstraints(pattern=SERVER)] | None = None


class Bluesky:
    """One account on Bluesky."""

    carries: Carries
    guarantee = Guarantee.CALLER_ID
    reads_back = True
    limits = Limits(Measure.GRAPHEMES, 300, bytes_maximum=3000)
    escape = Escape.MENTIONS
    attempts_at_once = ATTEMPTS_AT_ONCE
    picture: Picture | None = None
    by_hand: str | None = None
    paid_reads = False
    takes_data = False
    posts_per_day_max: int | None = None
    resend_on_unknown = False

    def __init__(self, setup: Setup, settings: Settings, password: str) -> None:
        self.config = setup.config
        self.carries = setup.config.carries or CARRIES
        self.template = setup.config.template or "post"
        self._handle = settings.handle.lower()
        self.account = " ".join(filter(None, [self._handle, settings.base_url]))
        self._clock = setup.clock
        login = Login(
            (settings.base_url or settings.service).rstrip("/"),
            self._handle,
            password,
            pinned=settings.base_url is not None,
        )
        file = setup.state_directory / f"{setup.config.name}.session"
        self._server = Account(login, file, setup.timing, setup.clock)

    async def send(self, delivery: Delivery) -> Receipt:
        """Put the record where none is; if it is there already, that is as good."""
        record = _record(delivery)
        body = {"record": record, "swapRecord": None, "validate": True}
        end = self._server.end()
        answer = await self._procedure(PUT, record_key(delivery.stamp, delivery.key), body, end)
        if answer.status == 400 and error_of(answer) == "InvalidSwap":
            return await self._already(delivery, end)
        if answer.status != 200:
            raise self._failure(answer)
        return self._receipt(answer, delivery)

    async def find(self, delivery: Delivery) -> Receipt | None:
        """Read the record under the delivery's key; one that says something else is not ours."""
        return await self._read(delivery, self._server.end())

    async def probe(self) -> Readiness:
        """Ask who we are. It keeps the session fresh, so that no alert has to wait for a log-in."""
        client = self._server.client
        try:
            answer = await self._server.ask(
                WHO, lambda _: client.invoke_query(WHO), self._server.end()
            )
            if answer.status != 200:
                raise self._failure(answer)
        except NeedsPerson as failure:
            remedy = "Check the account, make a new app password, and put it in its file."
            return Readiness(ready=False, sentence=f"{failure.reason}.", remedy=remedy)
        except Failure as failure:
            remedy = "Nothing, if it passes; else check the network and Bluesky's status page."
            return Readiness(ready=False, sentence=f"{failure.reason}.", remedy=remedy)
        return _readiness(body_of(answer))

    async def retract(self, receipt: Receipt) -> None:
        """Delete the record; the server takes it as done when it is gone already."""
        rkey = (receipt.remote_id or "").rpartition("/")[2]
        if not rkey:
            raise Rejected("this receipt names no record")
        answer = await self._procedure(DELETE, rkey, {}, self._server.end())
        if answer.status != 200 and error_of(answer) != "RecordNotFound":
            raise self._failure(answer)

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()

    async def _procedure(
        self, method: str, rkey: str, body: Mapping[str, Any], end: float
    ) -> Answer:
        """Call with bytes of our own making: the library's models leave out what is null."""

        async def call(did: str) -> object:
            whole = {"repo": did, "collection": COLLECTION, "rkey": rkey, **body}
            content = json.dumps(whole, ensure_ascii=False, sort_keys=True).encode()
            headers = {"Content-Type": "application/json"}
            return await self._server.client.invoke_procedure(
                method, content=content, headers=headers
            )

        return await self._server.ask(method, call, end)

    async def _read(self, delivery: Delivery, end: float) -> Receipt | None:
        rkey = record_key(delivery.stamp, delivery.key)

        async def call(did: str) -> object:
            params = models.ComAtprotoRepoGetRecord.Params(
                repo=did, collection=COLLECTION, rkey=rkey
            )
            return await self._server.client.invoke_query(GET, params=params)

        try:
            answer = await self._server.ask(GET, call, end)
            if answer.status == 400 and error_of(answer) == "RecordNotFound":
                return None
            if answer.status != 200:
                raise self._failure(answer)
            receipt = self._receipt(answer, delivery)
        except (Unknown, Rejected) as failure:
            raise NotSent(f"the record could not be read: {failure.reason}") from None
        return receipt if _same(body_of(answer).get("value"), _record(delivery)) else None

    async def _already(self, delivery: Delivery, end: float) -> Receipt:
        try:
            found = await self._read(delivery, end)
        except Failure as failure:
            raise Unknown(f"a record is there already, but {failure.reason}") from None
        if found is None:
            raise Rejected("another record is under this delivery's key, and was left as it is")
        return found

    def _receipt(self, answer: Answer, delivery: Delivery) -> Receipt:
        told = body_of(answer)
        uri, cid = told.get("uri"), told.get("cid")
        rkey = record_key(delivery.stamp, delivery.key)
        named = isinstance(uri, str) and uri.endswith(f"/{COLLECTION}/{rkey}")
        if not named or not isinstance(cid, str) or not cid:
            raise failure_for(answer, "Bluesky", self._clock.now())
        here = {"uri": uri, "cid": cid}
        reply = _reply(delivery.reply_to)
        url = f"https://bsky.app/profile/{self._handle}/post/{rkey}"
        return Receipt(uri, url, {**here, "root": reply["root"] if reply else here})

    def _failure(self, answer: Answer) -> Failure:
        """Give what an answer that is no success means: its own error first, then its status."""
        status = answer.status
        said = f"Bluesky answered {status} {_said(answer)}".rstrip()
        if status == 429:
            return NotSent(said, pause(answer, self._clock), rate_limited=True)
        if 400 <= status < 500 and not answer.whole:
            return Unknown(f"{said}, but the answer broke off")
        if 400 <= status < 500 and status not in {402, 408}:
            refused = status in {401, 403} or error_of(answer) in {"ExpiredToken", "InvalidToken"}
            shut = _SHUT.match(error_of(answer))
            return NeedsPerson(said) if refused or shut else Rejected(said)
        return failure_for(answer, "Bluesky", self._clock.now())


def build(setup: Setup, settings: Settings) -> Bluesky:
    """Build the channel. Raises ValueError for a secret that cannot be read."""
    return Bluesky(setup, settings, setup.secrets.read(settings.app_password_file))


def record_key(stamp: datetime, key: str) -> str:
    """Return the record's key, a TID: the microseconds of `stamp`, and 10 bits of `key` (hex)."""
    microseconds = (stamp - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    number = (microseconds & (1 << 53) - 1) << 10 | int(key, 16) & 0x3FF
    return "".join(_SORTABLE[number >> shift & 31] for shift in range(60, -1, -5))


def _record(delivery: Delivery) -> dict[str, Any]:
    """Make the record; the same delivery always makes the same one."""
    if delivery.message is None:
        raise Rejected("there is no text in this delivery")
    text = delivery.message.text
    created = delivery.stamp.astimezone(UTC).isoformat(timespec="milliseconds")
    record: dict[str, Any] = {
        "$type": COLLECTION,
        "text": text,
        "createdAt": created.replace("+00:00", "Z"),
        "langs": [delivery.message.language],
    }
    if facets := [get_model_as_dict(facet) for facet in facet_detection.detect_facets(text)]:
        record["facets"] = facets
    if reply := _reply(delivery.reply_to):
        record["reply"] = reply
    return record


def _reply(receipt: Receipt | None) -> dict[str, Any] | None:
    """Give a reply's references; None where the receipt lacks them, being a person's own post."""
    parent = {name: receipt.details.get(name) for name in ("uri", "cid")} if receipt else {}
    if receipt is None or not all(parent.values()):
        return None
    return {"root": receipt.details.get("root", parent), "parent": parent}


def _same(found: object, record: Mapping[str, Any]) -> bool:
    """Say whether a record that was read is ours.

    Links and hashtags are left out: they follow from the text, by rules that may change with the
    library between two attempts.
    """
    names = ("$type", "text", "createdAt", "langs", "reply")
    return isinstance(found, dict) and all(found.get(name) == record.get(name) for name in names)


def _said(answer: Answer) -> str:
    """Give the server's own words, shortened."""
    told = body_of(answer)
    words = " ".join(str(told[name]) for name in ("error", "message") if told.get(name))
    return "".join(letter if letter.isprintable() else " " for letter in words)[:SAID_MAX]


def _readiness(account: Mapping[str, Any]) -> Readiness:
    name = f"@{account.get('handle')} ({account.get('did')})"
    if account.get("active") is False:
        sentence = f"The account {name} is not active: {account.get('status', 'no reason given')}."
        remedy = "Log in to Bluesky as this account, and see what it says."
        return Readiness(ready=False, sentence=sentence, remedy=remedy, account=name)
    return Readiness(ready=True, sentence=f"Bluesky knows us as {name}.", account=name)
