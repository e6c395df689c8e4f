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
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from html.parser import HTMLParser
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from mastodon import Mastodon
from mastodon.errors import MastodonError, MastodonNotFoundError
from mastodon.return_types import Status
from pydantic import StringConstraints

from broadcaster.channels import SERVER, Escape, Limits, Measure, Picture, Setup, wire
from broadcaster.channels.http import Answer, failure_for, retry_after, sensible
from broadcaster.channels.pool import Threads
from broadcaster.channels.wire import Wire
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
    names_reference,
)

CARRIES = Carries()
ATTEMPTS_AT_ONCE = 2
LIMIT_SHARE = 0.9  # of an attempt's limit: a post has ended before the dispatcher calls it late
BEFORE_INTENT = timedelta(seconds=120)  # how far before the intent a read-back looks
PAGE = 40  # the most Mastodon gives
PAGES_MAX = 25
SAID_MAX = 200

T = TypeVar("T")
# What the library raises: errors of its own, and what it makes of JSON in another shape.
_LIBRARY = (MastodonError, OSError, ValueError, TypeError, LookupError, AttributeError)
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
    picture: Picture | None = None
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
        self.limits = _limits(setup.limits or {})
        self._host = urlsplit(url).netloc
        self.account = f"{self._host} {hashlib.sha256(token.encode()).hexdigest()[:12]}"
        self._visibility = settings.visibility
        self._clock = setup.clock
        self._limit_seconds = limit
        name = setup.config.name
        # Posts that hang must not keep their own read-back from being done.
        self._sends = Threads(ATTEMPTS_AT_ONCE, name=name, limit_seconds=limit)
        self._reads = Threads(1, name=f"{name}-read", limit_seconds=limit)
        # One for each thread: the library does not say that threads may share one.
        self._clients = deque(_client(url, token, timeout) for _ in range(ATTEMPTS_AT_ONCE + 1))
        self._account_id: str | None = None

    @property
    def stuck(self) -> int:
        """How many threads have not come back within the limit."""
        return self._sends.stuck + self._reads.stuck

    async def send(self, delivery: Delivery) -> Receipt:
        """Post the text under the delivery's key."""
        return await self._ask(self._sends, partial(self._post, delivery))

    async def find(self, delivery: Delivery) -> Receipt | None:
        """Read the account's own statuses back to the first intent, and look for this part's."""
        try:
            return await self._ask(self._reads, partial(self._search, delivery))
        except (Unknown, Rejected) as failure:
            raise NotSent(f"could not be read back: {failure.reason}") from None

    async def probe(self) -> Readiness:
        """Ask who we are, and how long a status may be; both change the channel's limits."""
        try:
            readiness = await self._ask(self._reads, self._look)
        except NeedsPerson as failure:
            remedy = "Make a token with read and write:statuses in the account's settings."
            return Readiness(ready=False, sentence=f"{failure.reason}.", remedy=remedy)
        except Failure as failure:
            remedy = f"Nothing, if it passes; else check the network and {self._host}."
            return Readiness(ready=False, sentence=f"{failure.reason}.", remedy=remedy)
        self.limits = _limits({**_kept(self.limits), **readiness.limits})
        return readiness

    async def retract(self, receipt: Receipt) -> None:
        """Delete the status; done if it is gone already."""
        if receipt.remote_id is None or not _ID.fullmatch(receipt.remote_id):
            raise Rejected("this receipt names no status")
        await self._ask(self._sends, partial(self._delete, receipt.remote_id))

    async def close(self) -> None:
        """Close the clients that are not in a hanging thread's hands."""
        for client in list(self._clients):
            client.session.close()

    async def _ask(self, threads: Threads, ask: Callable[[Mastodon, Wire], T]) -> T:
        """Do it in a thread. At the limit, or when cancelled, the socket is shut."""
        line = Wire()
        end = asyncio.get_running_loop().call_later(self._limit_seconds, line.cut)
        try:
            return await threads.run(lambda: self._call(line, ask))
        finally:
            end.cancel()
            line.cut()

    def _call(self, line: Wire, ask: Callable[[Mastodon, Wire], T]) -> T:
        client = self._clients.popleft()
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
        reply_to = delivery.reply_to.remote_id if delivery.reply_to else None
        try:
            status = post(in_reply_to_id=reply_to)
        except MastodonNotFoundError:
            if reply_to is None:
                raise
            # What it answers was taken down: nothing was accepted, and the warning matters more.
            status = post()
        return self._receipt(status, line)

    def _receipt(self, status: object, line: Wire) -> Receipt:
        if isinstance(status, Status) and (named := _name(status.id)):
            return Receipt(named, status.url or status.uri)
        raise self._failure(line, None)

    def _search(self, delivery: Delivery, client: Mastodon, line: Wire) -> Receipt | None:
        if delivery.message is None:
            return None
        since = (delivery.first_attempt or delivery.accepted) - BEFORE_INTENT
        for status in self._own(client, line, since):
            if status.created_at >= since and _says(status, delivery):
                return self._receipt(status, line)
        return None

    def _own(self, client: Mastodon, line: Wire, since: datetime) -> Iterator[Status]:
        """Give the own statuses since then, the newest first."""
        account = self._account_id or self._who(client, line)[0]
        before = None
        for _ in range(PAGES_MAX):
            page = client.account_statuses(account, exclude_reblogs=True, limit=PAGE, max_id=before)
            if not _is_list(line.answer) or not all(isinstance(one, Status) for one in page):
                raise self._failure(line, None)
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
            raise self._failure(line, None)
        self._account_id = named
        return named, account.username

    def _look(self, client: Mastodon, line: Wire) -> Readiness:
        _, username = self._who(client, line)
        domain, limits = self._host, dict[str, int]()
        try:
            instance = client.instance_v2()
            domain, limits = instance.domain or domain, _read_limits(json.loads(_body(line)))
        except _LIBRARY:
            if line.answer is None or line.answer.status != 404:  # other software has no such page
                raise
        name = f"@{username}@{domain}"
        return Readiness(True, f"{domain} knows us as {name}.", account=name, limits=limits)

    def _delete(self, status: str, client: Mastodon, line: Wire) -> None:
        try:
            client.status_delete(status)
        except _LIBRARY:
            if line.answer is None or line.answer.status not in {200, 404}:
                raise

    def _failure(self, line: Wire, error: Exception | None) -> Failure:
        """Give what the latest request came to, by what was seen of it."""
        answer, now = line.answer, self._clock.now()
        if answer is None and not line.connected:
            reason = wire.unreached(error) if error else "no request was made"
            return NotSent(f"nothing was sent to {self._host}: {reason}")
        if answer is None:
            return Unknown(f"{self._host} was sent the request, but no answer came")
        said = f"{self._host} answered {answer.status}{_said(answer)}"
        if answer.status == 429:
            wait = _until_reset(answer.headers, now) or retry_after(answer.headers, now)
            return NotSent(said, wait, rate_limited=True)
        if answer.status in {401, 403}:
            return NeedsPerson(said)
        if 400 <= answer.status < 500 and answer.status not in {402, 408}:
            return Rejected(said)
        return failure_for(answer, self._host, now)


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
    )
    client.access_token = token  # the constructor would open a file of that name
    return client


def _limits(read: Mapping[str, int]) -> Limits:
    return Limits(
        Measure.MASTODON, read.get("maximum", 500), link_length=read.get("link_length", 23)
    )


def _kept(limits: Limits) -> dict[str, int]:
    return {"maximum": limits.maximum, "link_length": limits.link_length or 23}


def _read_limits(instance: Any) -> dict[str, int]:
    """Give the limits an instance names; what is no sensible number is left out."""
    statuses = instance["configuration"]["statuses"]
    found = {
        "maximum": statuses.get("max_characters"),
        "link_length": statuses.get("characters_reserved_per_url"),
    }
    return {name: value for name, value in found.items() if type(value) is int and value > 0}


def _name(value: Any) -> str | None:
    """Give an id as text; None for what the library makes of anything else."""
    is_id = isinstance(value, (str, int)) and not isinstance(value, bool)
    return str(value) if is_id and _ID.fullmatch(str(value)) else None


def _body(line: Wire) -> bytes:
    return line.answer.body if line.answer else b""


def _is_list(answer: Answer | None) -> bool:
    return answer is not None and answer.body.lstrip().startswith(b"[")


def _said(answer: Answer) -> str:
    """Give the server's own sentence, shortened; empty if it has none."""
    try:
        error = json.loads(answer.body)["error"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    words = "".join(letter if letter.isprintable() else " " for letter in str(error))
    return f": {words[:SAID_MAX]}"


def _until_reset(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Read `X-RateLimit-Reset` (ISO 8601, or seconds since 1970) against the server's own clock."""
    value = headers.get("X-RateLimit-Reset", "")
    try:
        if re.fullmatch(r"[0-9]{1,11}", value):
            reset = datetime.fromtimestamp(int(value), now.tzinfo)
        else:
            reset = datetime.fromisoformat(value)
        wait = reset - (parsedate_to_datetime(headers["Date"]) if "Date" in headers else now)
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return sensible(wait) if wait > timedelta(0) else None


def _says(status: Status, delivery: Delivery) -> bool:
    """Say whether a status is this part: it names the reference, and says the same in its language.

    The languages of one alert share its reference. The network makes HTML of a text: links may be
    shortened, a mention loses its host. So links are left out, and words are compared.
    """
    text = delivery.message.text if delivery.message else ""
    for addresses in (False, True):
        read = _Text(addresses=addresses)
        read.feed(status.content)
        read.close()
        if names_reference(read.text, delivery.reference) and _words(read.text) == _words(text):
            return True
    return False


def _words(text: str) -> list[str]:
    text = re.sub(r"https?://\S+", " ", unicodedata.normalize("NFC", text))
    return re.findall(r"\w+", re.sub(r"(@[\w.-]+)@[\w.-]+", r"\1", text).casefold())


class _Text(HTMLParser):
    """The text of a status' HTML; with `addresses`, a link's address stands for its words."""

    def __init__(self, *, addresses: bool) -> None:
        super().__init__()
        self.text = ""
        self._addresses = addresses
        self._hidden = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag in {"p", "br"}:
            self.text += "\n"
        elif tag == "a" and self._addresses and not _is_name(attributes.get("class") or ""):
            self.text += attributes.get("href") or ""
            self._hidden = True

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._hidden = False
        elif tag == "p":
            self.text += "\n"

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text += data


def _is_name(classes: str) -> bool:
    """Say whether a link is a mention or a hashtag, whose words are the author's."""
    return bool({"mention", "hashtag"} & set(classes.split()))
