"""Bluesky: a record under a key that we choose, put once and never over another.

The record's key and time come from the delivery, and so every repeat is the same record, byte by
byte. `swapRecord: null` lets the server take it only where none is; where one is already, it is
read and compared.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

from atproto_client import models
from pydantic import StringConstraints
from yarl import URL

from broadcaster.channels import (
    ATTEMPTS_AT_ONCE,
    LANDSCAPE,
    SERVER,
    Escape,
    Limits,
    Measure,
    Picture,
    Setup,
)
from broadcaster.channels.bluesky.record import (
    COLLECTION,
    is_blob,
    record_key,
    record_of,
    reply_to,
    same,
    sight_of,
    uri_of,
)
from broadcaster.channels.bluesky.xrpc import LIMIT_SHARE, Account, Login, body_of, error_of, pause
from broadcaster.channels.http import Answer, Client, failure_for
from broadcaster.channels.pictures import Uploads, note_of
from broadcaster.config import Carries, Table
from broadcaster.delivery import (
    Delivery,
    Failure,
    Guarantee,
    Media,
    NeedsPerson,
    NotSent,
    Readiness,
    Receipt,
    Rejected,
    Sight,
    Unknown,
)

CARRIES = Carries()
SAID_MAX = 200
BLOB_BYTES_MAX = 1_000_000  # of a picture in a post
PUBLIC_API = "https://public.api.bsky.app"

PUT = "com.atproto.repo.putRecord"
GET = "com.atproto.repo.getRecord"
DELETE = "com.atproto.repo.deleteRecord"
WHO = "com.atproto.server.getSession"
UPLOAD = "com.atproto.repo.uploadBlob"
POSTS = "app.bsky.feed.getPosts"

_SHUT = re.compile(r"(Account|Repo)(Takedown|Takendown|Suspended|Deactivated|Inactive)")


class Settings(Table):
    """`[channels.NAME]` of type bluesky.

    With `base_url` no other address is ever asked, but for `public_api`: where the public's view
    of posts is read. Without `base_url` that is Bluesky's own; "" is none, the data server tells.
    """

    service: Annotated[str, StringConstraints(pattern=SERVER)] = "https://bsky.social"
    handle: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]+\.[A-Za-z0-9-]+$")]
    app_password_file: str
    base_url: Annotated[str, StringConstraints(pattern=SERVER)] | None = None
    public_api: Annotated[str, StringConstraints(pattern=f"^$|{SERVER}")] | None = None


class Bluesky:
    """One account on Bluesky."""

    carries: Carries
    guarantee = Guarantee.CALLER_ID
    reads_back = True
    limits = Limits(Measure.GRAPHEMES, 300, bytes_maximum=3000)
    escape = Escape.MENTIONS
    attempts_at_once = ATTEMPTS_AT_ONCE
    picture: Picture | None = LANDSCAPE
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
        url = (settings.base_url or settings.service).rstrip("/")
        # As it is configured: that data moves from one of Bluesky's servers to another is no news.
        self._host = urlsplit(url).hostname or url
        login = Login(
            url,
            self._handle,
            password,
            pinned=settings.base_url is not None,
        )
        file = setup.state_directory / f"{setup.config.name}.session"
        self._server = Account(login, file, setup.timing, setup.clock)
        self._uploads = Uploads(setup, BLOB_BYTES_MAX)
        self._public = Client(setup.timing)
        default = "" if settings.base_url else PUBLIC_API
        self._public_api = (default if settings.public_api is None else settings.public_api).rstrip(
            "/"
        )

    async def prepare(self, delivery: Delivery) -> Mapping[str, Any]:
        """Upload the card; the server keeps it for hours, until a record names it."""
        return await self._uploads.handle(delivery, self._upload)

    async def send(self, delivery: Delivery) -> Receipt:
        """Put the record where none is; if it is there already, that is as good."""
        record = record_of(delivery)
        body = {"record": record, "swapRecord": None, "validate": True}
        end = self._server.end(self._uploads.rest_seconds(delivery) * LIMIT_SHARE)
        answer = await self._procedure(PUT, record_key(delivery.stamp, delivery.key), body, end)
        if answer.status == 400 and error_of(answer) == "InvalidSwap":
            return await self._already(delivery, end)
        if answer.status == 400 and error_of(answer) == "BlobNotFound":
            said = "Bluesky does not know the uploaded card any more"
            raise self._uploads.refused(delivery, said)
        if answer.status != 200:
            raise self._failure(answer)
        return self._receipt(answer, delivery, note_of(delivery))

    async def find(self, delivery: Delivery) -> Receipt | None:
        """Read the record under the delivery's key; one that says something else is not ours."""
        return await self._read(delivery, self._server.end())

    async def look(self, delivery: Delivery) -> Sight:
        """Look the post up logged out: in Bluesky's public view, and in the account's own data."""
        uri = uri_of(delivery.receipt)
        if not self._public_api:
            return await self._kept(uri, delivery)
        answer = await self._asked(self._public_api, POSTS, {"uris": uri})
        posts = body_of(answer).get("posts") if answer.status == 200 else None
        if not isinstance(posts, list):
            raise self._unread(answer)
        post = next((one for one in posts if isinstance(one, dict) and one.get("uri") == uri), None)
        if post is not None:
            return sight_of(post, delivery)
        with suppress(NotSent):  # whether or not it can be asked: the public does not see the post
            kept = await self._kept(uri, delivery)
            if not kept.there:
                return kept
        return Sight(there=False, reason="not in Bluesky's public view yet")

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
        return _readiness(body_of(answer), self._host)

    async def retract(self, receipt: Receipt) -> None:
        """Delete the record; the server takes it as done when it is gone already."""
        rkey = (receipt.remote_id or "").rpartition("/")[2]
        if not rkey:
            raise Rejected("this receipt names no record")
        answer = await self._procedure(DELETE, rkey, {}, self._server.end())
        if answer.status != 200 and error_of(answer) != "RecordNotFound":
            raise self._failure(answer)

    async def warm(self) -> None:
        """Keep the connection of the next post open, by a page that needs no log-in."""
        await self._server.warm()

    async def close(self) -> None:
        """Close the connections."""
        await self._server.close()
        await self._public.close()

    async def _upload(self, media: Media, data: bytes) -> Mapping[str, Any]:
        async def call(_did: str) -> object:
            headers = {"Content-Type": media.kind}
            return await self._server.client.invoke_procedure(UPLOAD, content=data, headers=headers)

        answer = await self._server.ask(UPLOAD, call, self._server.end())
        blob = body_of(answer).get("blob")
        if answer.status != 200 or not is_blob(blob):
            raise self._failure(answer)
        return {"blob": blob}

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
        found = body_of(answer).get("value")
        if not same(found, record_of(delivery)):
            return None
        note = None if isinstance(found, dict) and "embed" in found else note_of(delivery)
        return replace(receipt, note=note)

    async def _already(self, delivery: Delivery, end: float) -> Receipt:
        try:
            found = await self._read(delivery, end)
        except Failure as failure:
            raise Unknown(f"a record is there already, but {failure.reason}") from None
        if found is None:
            raise Rejected("another record is under this delivery's key, and was left as it is")
        return found

    async def _kept(self, uri: str, delivery: Delivery) -> Sight:
        """Look into the account's own data, which everybody may read."""
        repo, collection, rkey = uri.removeprefix("at://").split("/")
        query = {"repo": repo, "collection": collection, "rkey": rkey}
        answer = await self._asked(self._server.url, GET, query)
        if answer.status == 400 and error_of(answer) == "RecordNotFound":
            return Sight(there=False, reason="deleted")
        if answer.status == 400 and _SHUT.match(error_of(answer)):
            return Sight(there=False, reason=f"the account is shut: {error_of(answer)}")
        body = body_of(answer)
        if (
            answer.status != 200
            or body.get("uri") != uri
            or not isinstance(body.get("value"), dict)
        ):
            raise self._unread(answer)
        return sight_of({"record": body["value"]}, delivery)

    async def _asked(self, base: str, method: str, query: Mapping[str, str]) -> Answer:
        url = URL(f"{base}/xrpc/{method}?{urlencode(query)}", encoded=True)
        return await self._public.get(url, {})

    def _unread(self, answer: Answer) -> Failure:
        said = f"Bluesky could not be read: it answered {answer.status} {error_of(answer)}"
        return NotSent(said.rstrip()[:SAID_MAX], pause(answer, self._clock))

    def _receipt(self, answer: Answer, delivery: Delivery, note: str | None = None) -> Receipt:
        told = body_of(answer)
        uri, cid = told.get("uri"), told.get("cid")
        rkey = record_key(delivery.stamp, delivery.key)
        named = isinstance(uri, str) and uri.endswith(f"/{COLLECTION}/{rkey}")
        if not named or not isinstance(cid, str) or not cid:
            raise failure_for(answer, "Bluesky", self._clock.now())
        here = {"uri": uri, "cid": cid}
        reply = reply_to(delivery.reply_to)
        url = f"https://bsky.app/profile/{self._handle}/post/{rkey}"
        return Receipt(uri, url, {**here, "root": reply["root"] if reply else here}, note)

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


def _said(answer: Answer) -> str:
    """Give the server's own words, shortened."""
    told = body_of(answer)
    words = " ".join(str(told[name]) for name in ("error", "message") if told.get(name))
    return "".join(letter if letter.isprintable() else " " for letter in words)[:SAID_MAX]


def _readiness(account: Mapping[str, Any], server: str) -> Readiness:
    if not isinstance(account.get("did"), str):
        sentence = "Bluesky answers, but not with who we are."
        return Readiness(ready=False, sentence=sentence, remedy="Check base_url.")
    did, handle = str(account.get("did")), f"@{account.get('handle')}"
    name = f"{handle} ({did})"
    identity = {"id": did, "handle": handle, "server": server}
    if account.get("active") is False:
        sentence = f"The account {name} is not active: {account.get('status', 'no reason given')}."
        remedy = "Log in to Bluesky as this account, and see what it says."
        return Readiness(False, sentence, remedy, account=name, identity=identity)
    sentence = f"Bluesky knows us as {name}."
    return Readiness(ready=True, sentence=sentence, account=name, identity=identity)
