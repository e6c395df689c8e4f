"""X, the minimal presence: one self-contained post per part, over API v2 with OAuth 1.0a.

Never a reply: the self-serve tiers refuse replies to an account's own posts, so that a correction
is a post of its own. X drops no repeats; after a lost answer the own posts are read back.
"""

from __future__ import annotations

import html
import json
import logging
import re
import unicodedata
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from oauthlib import oauth1
from pydantic import Field, StringConstraints
from yarl import URL

from broadcaster.alert import Certainty, Severity, Status, Urgency
from broadcaster.channels import SERVER, Escape, Limits, Measure, Picture, Setup, http
from broadcaster.clock import Clock
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

CARRIES = Carries(
    status=(Status.ACTUAL,),
    severity=(Severity.EXTREME, Severity.SEVERE),
    urgency=(Urgency.IMMEDIATE, Urgency.EXPECTED),
    certainty=(Certainty.OBSERVED, Certainty.LIKELY),
)
BEFORE_INTENT = timedelta(seconds=120)  # how far before the intent a read-back looks
PAGE = 100
PAGES_MAX = 20  # of a read-back: far more than an account with a cost guard can fill

# At DEBUG oauthlib writes what it signs, tokens included.
logging.getLogger("oauthlib").setLevel(logging.WARNING)


class Settings(Table):
    """`[channels.NAME]` of type x: four secret files of one app and one account.

    `max_posts_per_day` is the cost guard; Extreme and all-clears are exempt, but counted.
    `link`: whether texts may hold a link, which makes a post many times dearer.
    """

    consumer_key_file: str
    consumer_secret_file: str
    access_token_file: str
    access_token_secret_file: str
    max_posts_per_day: Annotated[int, Field(ge=1)] = 20
    link: bool = False
    base_url: Annotated[str, StringConstraints(pattern=SERVER)] = "https://api.x.com"


@dataclass(frozen=True, slots=True, repr=False)
class _Credentials:
    consumer_key: str
    consumer_secret: str
    access_token: str
    access_token_secret: str

    def sign(self, method: Literal["GET", "POST", "DELETE"], url: str, now: datetime) -> str:
        """Give the Authorization header. A JSON body is not signed, query parameters are."""
        client = oauth1.Client(
            self.consumer_key,
            client_secret=self.consumer_secret,
            resource_owner_key=self.access_token,
            resource_owner_secret=self.access_token_secret,
            timestamp=str(int(now.timestamp())),
        )
        _, headers, _ = client.sign(url, http_method=method)
        return str(headers["Authorization"])

    @property
    def account(self) -> str:
        """The account's number, with which X begins its access tokens; else a digest."""
        owner = re.match(r"([0-9]+)-", self.access_token)
        return owner[1] if owner else sha256(self.access_token.encode()).hexdigest()[:12]


class X:
    """One account on X."""

    carries: Carries
    guarantee = Guarantee.READ_BACK
    reads_back = True
    limits = Limits(Measure.WEIGHTED, 280, link_length=23)
    escape = Escape.MENTIONS
    attempts_at_once = 4
    picture: Picture | None = None
    by_hand: str | None = None
    paid_reads = True
    takes_data = False
    resend_on_unknown = False

    def __init__(self, setup: Setup, settings: Settings, credentials: _Credentials) -> None:
        self.config = setup.config
        self.carries = setup.config.carries or CARRIES
        self.template = setup.config.template or ("x-link" if settings.link else "x")
        self.account = credentials.account
        self.posts_per_day_max: int | None = settings.max_posts_per_day
        self.link = settings.link
        self._base = settings.base_url.rstrip("/")
        self._credentials = credentials
        self._clock: Clock = setup.clock
        self._client = http.Client(setup.timing)
        self._user: str | None = None
        self._posts_left: int | None = None

    async def send(self, delivery: Delivery) -> Receipt:
        """Post the text once."""
        if delivery.message is None:
            raise Rejected("there is no text in this delivery")
        body = json.dumps({"text": delivery.message.text}, ensure_ascii=False).encode()
        url = f"{self._base}/2/tweets"
        headers = self._signed("POST", url) | {"Content-Type": "application/json"}
        answer = await self._client.post(URL(url, encoded=True), body, headers)
        self._posts_left = _number(answer.headers, "x-rate-limit-remaining")
        post = _data(answer).get("id") if answer.status in {200, 201} else None
        if isinstance(post, str) and post:
            return _receipt(post)
        raise _failure(answer, self._clock.now())

    async def find(self, delivery: Delivery) -> Receipt | None:
        """Read the account's own posts back to the first intent, and look for this part's text."""
        if delivery.message is None:
            return None
        since = (delivery.first_attempt or delivery.accepted) - BEFORE_INTENT
        wanted = _comparable(delivery.message.text)
        async for post in self._own_posts(since):
            text = html.unescape(str(post.get("text", "")))
            named = names_reference(text, delivery.reference)
            # The languages of one alert share its reference: the text tells them apart.
            if named and _created(post) >= since and _comparable(text) == wanted:
                return _receipt(str(post["id"]))
        return None

    async def probe(self) -> Readiness:
        """Ask X who we are: that needs valid tokens, an account in good standing, and credit.

        `quota_left` is what X still allows in this window: posts, once one was sent, else checks.
        """
        try:
            answer = await self._get("/2/users/me")
        except Failure as failure:
            remedy = "Nothing, if it passes; else check the network and X's status page."
            return Readiness(ready=False, sentence=f"X {failure.reason}.", remedy=remedy)
        if answer.status != 200:
            return _not_ready(answer, self._clock.now())
        user = _data(answer)
        if not isinstance(user.get("id"), str):
            sentence = "X answers, but not with who we are."
            return Readiness(ready=False, sentence=sentence, remedy="Check base_url.")
        self._user = user["id"]
        left = self._posts_left
        if left is None:
            left = _number(answer.headers, "x-rate-limit-remaining")
        name = f"@{user.get('username', self._user)}"
        return Readiness(True, f"X knows us as {name}.", account=name, quota_left=left)

    async def retract(self, receipt: Receipt) -> None:
        """Delete the post; done if it is gone already."""
        if receipt.remote_id is None or not receipt.remote_id.isdecimal():
            raise Rejected("this receipt names no post on X")
        url = f"{self._base}/2/tweets/{receipt.remote_id}"
        answer = await self._client.delete(URL(url, encoded=True), self._signed("DELETE", url))
        if answer.status == 404 or (answer.status == 200 and _data(answer).get("deleted") is True):
            return
        raise _failure(answer, self._clock.now())

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _signed(self, method: Literal["GET", "POST", "DELETE"], url: str) -> dict[str, str]:
        return {"Authorization": self._credentials.sign(method, url, self._clock.now())}

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> http.Answer:
        url = f"{self._base}{path}" + (f"?{urlencode(query)}" if query else "")
        return await self._client.get(URL(url, encoded=True), self._signed("GET", url))

    async def _user_id(self) -> str:
        if self._user is None:
            answer = await self._get("/2/users/me")
            user = _data(answer).get("id") if answer.status == 200 else None
            if not isinstance(user, str):
                raise _unread(answer, self._clock.now())
            self._user = user
        return self._user

    async def _own_posts(self, since: datetime) -> AsyncIterator[Mapping[str, Any]]:
        """Give the own posts since then, newest first. Raises NotSent, NeedsPerson or Unknown."""
        # No field is asked for by name: X is moving the names from tweet.* to post.*, and refuses
        # those it does not know. `id` and `text` always come.
        query = {
            "max_results": str(PAGE),
            "start_time": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for _ in range(PAGES_MAX):
            page = await self._page(f"/2/users/{await self._user_id()}/tweets", query)
            for post in page.get("data", []):
                yield post
            following = page.get("meta", {}).get("next_token")
            if not following:
                return
            query["pagination_token"] = following
        raise Unknown("X lists more posts than can be read back")

    async def _page(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        answer = await self._get(path, query)
        page = _json(answer)
        if answer.status != 200 or not _is_page(page):
            raise _unread(answer, self._clock.now())
        return page


def build(setup: Setup, settings: Settings) -> X:
    """Build the channel. Raises ValueError for a secret that cannot be read."""
    read = setup.secrets.read
    credentials = _Credentials(
        read(settings.consumer_key_file),
        read(settings.consumer_secret_file),
        read(settings.access_token_file),
        read(settings.access_token_secret_file),
    )
    return X(setup, settings, credentials)


def _receipt(post: str) -> Receipt:
    return Receipt(post, f"https://x.com/i/web/status/{post}")


def _failure(answer: http.Answer, now: datetime) -> Failure:
    """Give what X's answer to a write means: the body first, then the status."""
    if 400 <= answer.status < 500 and not answer.whole:
        return Unknown(f"X answered {answer.status}, but the answer broke off")
    problem = _Problem.of(answer)
    if 400 <= answer.status < 500:
        if problem.says("duplicate content", "is a duplicate") or 187 in problem.codes:
            return Rejected("X says that it has this text already", duplicate=True)
        if person := _person(answer.status, problem):
            return NeedsPerson(". ".join(person).rstrip("."))
    if answer.status == 429:
        wait = _until_reset(answer.headers, now) or http.retry_after(answer.headers, now)
        return NotSent("X answered 429: too many requests", wait, rate_limited=True)
    return http.failure_for(answer, "X", now)


def _unread(answer: http.Answer, now: datetime) -> Failure:
    """Give what a failed read means: nothing about the post, and mostly a hiccup."""
    failure = _failure(answer, now)
    if isinstance(failure, (NeedsPerson, NotSent)):
        return failure
    return NotSent(f"X could not be read: it answered {answer.status}")


@dataclass(frozen=True, slots=True)
class _Problem:
    """What an error body says, in either of X's two shapes, in lower case."""

    words: str
    codes: frozenset[int]

    @classmethod
    def of(cls, answer: http.Answer) -> _Problem:
        top = _json(answer)
        errors = top.get("errors")
        said = [top, *(errors if isinstance(errors, list) else [])]
        parts = [part for part in said if isinstance(part, dict)]
        keys = ("type", "title", "detail", "message")
        words = " ".join(str(part.get(key, "")) for part in parts for key in keys)
        codes = (part.get("code") for part in parts)
        return cls(words.lower(), frozenset(code for code in codes if isinstance(code, int)))

    def says(self, *words: str) -> bool:
        return any(re.search(rf"\b{re.escape(word)}\b", self.words) for word in words)


def _person(status: int, problem: _Problem) -> tuple[str, str] | None:
    """Say what a person must act on, and how; None if nobody need."""
    if status == 402 or problem.says("creditsdepleted", "credits-depleted"):
        return "X: the credits are used up", "Buy credits in X's developer console."
    if problem.says("usage-capped", "usagecapexceeded"):
        return "X: the usage cap is reached", "Raise the spending cap in X's developer console."
    if problem.codes & {64, 326} or problem.says("suspended", "locked"):
        return "X: the account is locked or suspended", "Log in to X as this account and appeal."
    if status == 401:
        return "X does not accept the tokens", "Make new tokens in X's developer console."
    return None


def _not_ready(answer: http.Answer, now: datetime) -> Readiness:
    person = _person(answer.status, _Problem.of(answer))
    if person:
        return Readiness(ready=False, sentence=f"{person[0]}.", remedy=person[1])
    sentence = f"{_failure(answer, now).reason}."
    remedy = "Nothing, if it passes; else look at the app's permissions in X's developer console."
    return Readiness(ready=False, sentence=sentence, remedy=remedy)


def _json(answer: http.Answer) -> dict[str, Any]:
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _data(answer: http.Answer) -> dict[str, Any]:
    data = _json(answer).get("data")
    return data if isinstance(data, dict) else {}


def _is_page(page: Mapping[str, Any]) -> bool:
    """Say whether a 200 is a list of posts: without `meta` it proves no absence."""
    posts = page.get("data", [])
    if not isinstance(posts, list) or not isinstance(page.get("meta"), dict):
        return False
    return all(isinstance(post, dict) and "id" in post for post in posts)


def _created(post: Mapping[str, Any]) -> datetime:
    """When X made the post, if it says so; else it has kept to `start_time`."""
    try:
        created = datetime.fromisoformat(str(post["created_at"]))
    except (KeyError, ValueError):
        return datetime.max.replace(tzinfo=UTC)
    return created if created.tzinfo else created.replace(tzinfo=UTC)


_LINK = re.compile(
    r"(?:https?://)?(?:[\w-]+\.)+[a-z]{2,}(?::[0-9]+)?(?:/(?:\S*[\w/=&#-])?)?", re.IGNORECASE
)


def _comparable(text: str) -> str:
    """Take out what X may rewrite: links (to t.co), invisible characters, white space."""
    plain = _LINK.sub("", unicodedata.normalize("NFC", text))
    seen = "".join(one for one in plain if unicodedata.category(one) != "Cf")
    return " ".join(seen.split())


def _number(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "")
    return int(value) if re.fullmatch(r"[0-9]{1,12}", value) else None


def _until_reset(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    reset = _number(headers, "x-rate-limit-reset")
    return None if reset is None else http.until(reset, now)
