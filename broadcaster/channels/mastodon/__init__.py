"""Mastodon: a status with an Idempotency-Key, by Mastodon.py in threads of the channel's own.

The instance keeps a key for an hour and then gives the first status again. What an attempt came to
is read off the wire; the library's exceptions do not tell a post that was written from one that was
not.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from mastodon import Mastodon
from mastodon.errors import MastodonError, MastodonNotFoundError
from mastodon.return_types import MediaAttachment, Status
from pydantic import StringConstraints
from yarl import URL

from broadcaster.channels import SERVER, Escape, Picture, Setup
from broadcaster.channels.http import (
    Answer,
    Client,
    as_object,
    retry_after,
)
from broadcaster.channels.mastodon import wire
from broadcaster.channels.mastodon.instance import (
    failure_of,
    kept,
    limits_of,
    picture_of,
    read_limits,
    said_in,
    shut_of,
)
from broadcaster.channels.mastodon.statuses import says, sight_of
from broadcaster.channels.mastodon.wire import Wire
from broadcaster.channels.pictures import Uploads, made, note_of
from broadcaster.channels.pool import Threads
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
ATTEMPTS_AT_ONCE = 2
LIMIT_SHARE = 0.9  # of an attempt's limit: a post has ended before the dispatcher calls it late
BEFORE_INTENT = timedelta(seconds=120)  # how far before the intent a read-back looks
PAGE = 40  # the most Mastodon gives
PAGES_MAX = 25
SAID_MAX = 200
PICTURE_BYTES_MAX = 8_000_000  # every instance takes that much, and no card comes near it
PROCESSED_SECONDS = 0.25  # between two questions whether a picture is ready
VERSION = "4.5.0"  # of the API that is spoken; told, or the library asks before the first upload

T = TypeVar("T")
# What the library raises: errors of its own, and what it makes of JSON in another shape.
_LIBRARY = (
    MastodonError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,  # brackets without end, in the body of an error
)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Settings(Table):
    """`[channels.NAME]` of type mastodon; `base_url` stands for the instance in the sandbox."""

    api_base_url: Annotated[str, StringConstraints(pattern=SERVER)]
    access_token_file: str
    visibility: Literal["public", "unlisted"] = "public"
    base_url: Annotated[str, StringConstraints(pattern=SERVER)] | None = None


class MastodonChannel:
    """One account on one instance."""

    carries: Carries
    guarantee = Guarantee.SERVER_KEY
    reads_back = True
    escape = Escape.MENTIONS
    attempts_at_once = ATTEMPTS_AT_ONCE
    picture: Picture | None
    by_hand: str | None = None
    paid_reads = False
    takes_data = False
    posts_per_day_max: int | None = None
    resend_on_unknown = False

    def __init__(self, setup: Setup, settings: Settings, token: str) -> None:
        url = (settings.base_url or settings.api_base_url).rstrip("/")
        limit = setup.timing.attempt_seconds * LIMIT_SHARE
        timeout = (min(setup.timing.connect_seconds, limit), limit)
        self.config = setup.config
        self.carries = setup.config.carries or CARRIES
        self.template = setup.config.template or "post"
        self.limits = limits_of(setup.limits or {})
        self.picture = picture_of(setup.limits or {})
        self._url = url
        self._host = urlsplit(url).netloc
        self.account = f"{self._host} {hashlib.sha256(token.encode()).hexdigest()[:12]}"
        self._visibility = settings.visibility
        self._clock = setup.clock
        self._limit_seconds = limit
        name = setup.config.name
        # Posts that hang must not keep their own read-back from being done, nor warming either.
        self._sends = Threads(ATTEMPTS_AT_ONCE, name=name, limit_seconds=limit)
        self._reads = Threads(1, name=f"{name}-read", limit_seconds=limit)
        self._warming = Threads(1, name=f"{name}-warm", limit_seconds=limit)
        # One for each thread: the library does not say that threads may share one.
        self._clients = deque(_client(url, token, timeout) for _ in range(ATTEMPTS_AT_ONCE + 2))
        self._public = Client(setup.timing)
        self._signed = {"Authorization": f"Bearer {token}"}
        self._uploads = Uploads(setup, PICTURE_BYTES_MAX)
        self._account_id: str | None = None

    @property
    def stuck(self) -> int:
        """How many threads have not come back within the limit."""
        return self._sends.stuck + self._reads.stuck + self._warming.stuck

    async def prepare(self, delivery: Delivery) -> Mapping[str, Any]:
        """Upload the card, and wait until the instance has processed it."""

        async def upload(media: Media, data: bytes) -> Mapping[str, Any]:
            return await self._ask(self._sends, partial(self._upload, media, data))

        return await self._uploads.handle(delivery, upload)

    async def send(self, delivery: Delivery) -> Receipt:
        """Post the text under the delivery's key, with its card where that was uploaded."""
        limit = self._uploads.rest_seconds(delivery) * LIMIT_SHARE
        return await self._ask(self._sends, partial(self._post, delivery), limit)

    async def find(self, delivery: Delivery) -> Receipt | None:
        """Read the account's own statuses back to the first intent, and look for this part's."""
        try:
            return await self._ask(self._reads, partial(self._search, delivery))
        except (Unknown, Rejected) as failure:
            raise NotSent(f"could not be read back: {failure.reason}") from None

    async def look(self, delivery: Delivery) -> Sight:
        """Look the status up logged out; as its author where the instance refuses strangers."""
        status = _id_of(delivery.receipt)
        answer = await self._shown(status, {})
        if answer.status in {401, 403}:
            answer = await self._shown(status, self._signed)
            if answer.status in {404, 410}:
                return Sight(there=False, reason="deleted", public=False)
            return self._seen(answer, delivery, public=False)
        if answer.status in {404, 410}:
            kept = (await self._shown(status, self._signed)).status == 200
            return Sight(there=False, reason="hidden from the public" if kept else "deleted")
        return self._seen(answer, delivery, public=True)

    async def probe(self) -> Readiness:
        """Ask who we are, and how long a status may be; both change the channel's limits."""
        try:
            readiness = await self._ask(self._reads, self._examine)
        except NeedsPerson as failure:
            remedy = "Make a token with read and write:statuses in the account's settings."
            return Readiness(ready=False, sentence=f"{failure.reason}.", remedy=remedy)
        except Failure as failure:
            remedy = f"Nothing, if it passes; else check the network and {self._host}."
            return Readiness(ready=False, sentence=f"{failure.reason}.", remedy=remedy)
        self.limits = limits_of({**kept(self.limits), **readiness.limits})
        self.picture = picture_of(readiness.limits)
        return readiness

    async def retract(self, receipt: Receipt) -> None:
        """Delete the status; done if it is gone already."""
        await self._ask(self._sends, partial(self._delete, _id_of(receipt)))

    async def warm(self) -> None:
        """Keep the connection of the next post open, by a page that every instance has."""
        with suppress(Failure):
            await self._ask(self._warming, self._touch)

    async def close(self) -> None:
        """Close the clients that are not in a hanging thread's hands."""
        for client in list(self._clients):
            client.session.close()
        await self._public.close()

    async def _ask(
        self,
        threads: Threads,
        ask: Callable[[Mastodon, Wire], T],
        limit_seconds: float | None = None,
    ) -> T:
        """Do it in a thread. At the limit, or when cancelled, the socket is shut."""
        line = Wire()
        limit = limit_seconds or self._limit_seconds
        end = asyncio.get_running_loop().call_later(limit, line.cut)
        try:
            return await threads.run(lambda: self._call(line, ask))
        finally:
            end.cancel()
            line.cut()

    def _call(self, line: Wire, ask: Callable[[Mastodon, Wire], T]) -> T:
        client = self._clients.pop()  # the one that was used last: its connection is warm
        try:
            with line.held():
                return ask(client, line)
        except _LIBRARY as error:
            raise self._failure(line, error) from None
        finally:
            self._clients.append(client)

    def _post(self, delivery: Delivery, client: Mastodon, line: Wire) -> Receipt:
        if delivery.message is None:
            raise Rejected("there is no text in this delivery")
        post = partial(
            client.status_post,
            delivery.message.text,
            visibility=self._visibility,
            language=delivery.message.language.partition("-")[0].lower(),  # it knows no regions
            idempotency_key=delivery.key,
        )
        if picture := made(delivery, "media"):
            post = partial(post, media_ids=[str(picture)])
        reply_to = delivery.reply_to.remote_id if delivery.reply_to else None
        try:
            status = _posted(post, reply_to)
        except MastodonError:
            # 422: a picture that is not ready, or not known any more, or something of the text.
            if picture and line.answer and line.answer.status == 422:
                said = f"{self._host} answered 422{said_in(line.answer)}"
                raise self._uploads.refused(delivery, said) from None
            raise
        return self._receipt(status, line, note_of(delivery))

    def _upload(self, media: Media, data: bytes, client: Mastodon, line: Wire) -> Mapping[str, Any]:
        """Upload a picture, and wait until it is processed: before, no status takes it."""
        found = client.media_post(data, mime_type=media.kind, description=media.alt)
        while True:
            named = _name(found.id) if isinstance(found, MediaAttachment) else None
            if named is None:
                raise self._failure(line)
            if found.url:
                return {"media": named}
            if not line.wait(PROCESSED_SECONDS):
                raise Unknown(f"{self._host} has not processed the picture in time")
            found = client.media(named)

    def _receipt(self, status: object, line: Wire, note: str | None = None) -> Receipt:
        if isinstance(status, Status) and (named := _name(status.id)):
            shows = bool(getattr(status, "media_attachments", None))
            return Receipt(named, status.url or status.uri, note=None if shows else note)
        raise self._failure(line)

    def _search(self, delivery: Delivery, client: Mastodon, line: Wire) -> Receipt | None:
        if delivery.message is None:
            return None
        since = (delivery.first_attempt or delivery.accepted) - BEFORE_INTENT
        for status in self._own(client, line, since):
            if status.created_at >= since and says(status.content, delivery):
                return self._receipt(status, line, note_of(delivery))
        return None

    def _own(self, client: Mastodon, line: Wire, since: datetime) -> Iterator[Status]:
        """Give the own statuses since then, the newest first."""
        account = self._account_id or self._who(client, line)[0]
        before = None
        for _ in range(PAGES_MAX):
            page = client.account_statuses(account, exclude_reblogs=True, limit=PAGE, max_id=before)
            if not _is_list(line.answer) or not all(isinstance(one, Status) for one in page):
                raise self._failure(line)
            yield from page
            if not page or min(status.created_at for status in page) < since:
                return
            before = page[-1].id
        raise Unknown(f"{self._host} lists more statuses than can be read back")

    def _who(self, client: Mastodon, line: Wire) -> tuple[str, str]:
        """Give id and name of the account."""
        account = client.account_verify_credentials()
        named = _name(account.id)
        if named is None or not account.username:
            raise self._failure(line)
        self._account_id = named
        return named, account.username

    def _examine(self, client: Mastodon, line: Wire) -> Readiness:
        named, username = self._who(client, line)
        account = json.loads(line.body)
        domain, limits = self._host, dict[str, int]()
        try:
            instance = client.instance_v2()
            domain, limits = instance.domain or domain, read_limits(json.loads(line.body))
        except _LIBRARY:
            if line.answer is None or line.answer.status != 404:  # other software has no such page
                raise
        name = f"@{username}@{domain}"
        server = urlsplit(self._url).hostname or self._host
        identity = {"id": named, "handle": name, "server": server}
        if shut := shut_of(account):
            said = f"{domain} knows us as {name}, but {shut}."
            remedy = f"Log in to {domain} as this account, and see what it says."
            return Readiness(False, said, remedy, name, limits=limits, identity=identity)
        said = f"{domain} knows us as {name}."
        return Readiness(True, said, account=name, limits=limits, identity=identity)

    def _touch(self, client: Mastodon, line: Wire) -> None:
        # Straight through the session: the library would send the token.
        client.session.head(f"{self._url}/health", timeout=self._limit_seconds)
        line.answer = None

    async def _shown(self, status: str, headers: Mapping[str, str]) -> Answer:
        """Read a status as whoever these headers make of us. Raises NotSent."""
        return await self._public.get(URL(f"{self._url}/api/v1/statuses/{status}"), headers)

    def _seen(self, answer: Answer, delivery: Delivery, *, public: bool) -> Sight:
        status = as_object(answer)
        if answer.status == 200 and _name(status.get("id")) == _id_of(delivery.receipt):
            return sight_of(status, delivery, public=public)
        if answer.status in {401, 403}:
            raise NeedsPerson(f"{self._host} answered {answer.status}{said_in(answer)}")
        wait = retry_after(answer.headers, self._clock.now())
        raise NotSent(f"{self._host} could not be read: it answered {answer.status}", wait)

    def _delete(self, status: str, client: Mastodon, line: Wire) -> None:
        try:
            client.status_delete(status)
        except _LIBRARY:
            if line.answer is None or line.answer.status not in {200, 404}:
                raise

    def _failure(self, line: Wire, error: Exception | None = None) -> Failure:
        return failure_of(line, error, self._host, self._clock.now())


def build(setup: Setup, settings: Settings) -> MastodonChannel:
    """Build the channel. Raises ValueError for a token that cannot be one."""
    token = setup.secrets.read(settings.access_token_file)
    if not re.fullmatch(r"[!-~]+", token):
        raise ValueError(f"{settings.access_token_file} holds no token: one line without spaces")
    return MastodonChannel(setup, settings, token)


def _client(url: str, token: str, timeout: tuple[float, float]) -> Mastodon:
    """Make a client that never waits for a rate limit by itself."""
    client = Mastodon(
        api_base_url=url,
        ratelimit_method="throw",
        request_timeout=timeout,  # type: ignore[arg-type] # it goes to requests, which takes both
        session=wire.session(),
        user_agent="crisis-broadcaster",
        mastodon_version=VERSION,
        version_check_mode="created",
    )
    client.access_token = token  # the constructor would open a file of that name
    return client


def _posted(post: Callable[..., object], reply_to: str | None) -> object:
    try:
        return post(in_reply_to_id=reply_to)
    except MastodonNotFoundError:
        if reply_to is None:
            raise
        # What it answers was taken down: nothing was accepted, and the warning matters more.
        return post()


def _id_of(receipt: Receipt | None) -> str:
    """Give the id of the status that a receipt names. Raises Rejected."""
    if receipt is None or receipt.remote_id is None or not _ID.fullmatch(receipt.remote_id):
        raise Rejected("this receipt names no status")
    return receipt.remote_id


def _name(value: Any) -> str | None:
    """Give an id as text; None for what the library makes of anything else."""
    is_id = isinstance(value, (str, int)) and str(value) not in {"True", "False", "None"}
    return str(value) if is_id and _ID.fullmatch(str(value)) else None


def _is_list(answer: Answer | None) -> bool:
    return answer is not None and answer.body.lstrip().startswith(b"[")
