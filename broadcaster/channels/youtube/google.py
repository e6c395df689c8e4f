"""Google's API as YouTube speaks it: a token that is renewed, errors by reason, the day's quota.

Facts: platforms.md, section 6. An access token lives an hour and is renewed with a refresh token,
which Google does not exchange for another. A 401 proves that nothing was done, so the token is
renewed once and the request made again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from yarl import URL

from broadcaster.channels import Setup, http
from broadcaster.channels.tokens import Grant, Tokens
from broadcaster.channels.youtube.consent import App, granted
from broadcaster.clock import Clock
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Unknown

WHO = "YouTube"
AHEAD = timedelta(minutes=20)  # of the hour that an access token lives: two probes
UNITS_PER_DAY, UPLOADS_PER_DAY = 10_000, 100  # what a project gets by default
COST_READ, COST_WRITE = 1, 50
_PACIFIC = ZoneInfo("America/Los_Angeles")  # Google's day of quotas ends there
_NO_TOKEN = "none-yet"  # noqa: S105 - stands where Google has given no access token so far
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

Headers = Mapping[str, str]
Asking = Callable[[dict[str, str]], Awaitable[http.Answer]]


@dataclass(slots=True)
class Quota:
    """What this process has used of the project's quota since midnight Pacific time.

    Google tells it nowhere; another program of the same project is not counted.
    """

    clock: Clock
    units: int = 0
    uploads: int = 0
    _day: date | None = None

    def use(self, units: int = 0, uploads: int = 0) -> None:
        """Count a request."""
        self._begin_day()
        self.units += units
        self.uploads += uploads

    def exhaust(self) -> None:
        """Google says that there is nothing left, whatever was counted here."""
        self._begin_day()
        self.units = max(self.units, UNITS_PER_DAY)

    @property
    def units_left(self) -> int:
        """Units left today."""
        self._begin_day()
        return max(0, UNITS_PER_DAY - self.units)

    @property
    def uploads_left(self) -> int:
        """Uploads left today, which have a quota of their own."""
        self._begin_day()
        return max(0, UPLOADS_PER_DAY - self.uploads)

    def _begin_day(self) -> None:
        today = self.clock.now().astimezone(_PACIFIC).date()
        if today != self._day:
            self._day, self.units, self.uploads = today, 0, 0


@dataclass(slots=True, repr=False)
class Google:
    """The connection of one channel to the API at `base`. `given` is the refresh token's file."""

    setup: Setup
    base: str
    app: App
    given: str
    client: http.Client = field(init=False)
    tokens: Tokens = field(init=False)
    quota: Quota = field(init=False)

    def __post_init__(self) -> None:
        """Raises ValueError with a sentence where `given` holds no token."""
        path = self.setup.state_directory / f"{self.setup.config.name}.token"
        clock = self.setup.clock
        given = _grant(self.given)
        self.client = http.Client(self.setup.timing)
        self.tokens = Tokens(path, given, clock, self._refresh, ahead=AHEAD)
        self.quota = Quota(clock)

    @property
    def days_left(self) -> float | None:
        """Days until a person must connect the channel again; None: Google named no end."""
        ends = self.tokens.grant.refresh_expires
        return None if ends is None else (ends - self.setup.clock.now()) / timedelta(days=1)

    def url(self, path: str, query: Mapping[str, str]) -> URL:
        """Give an address of the API."""
        return URL(f"{self.base}{path}?{urlencode(query)}", encoded=True)

    def is_own(self, url: str) -> bool:
        """Say whether an address is the API's: a token is sent nowhere else."""
        try:
            return URL(url).origin() == URL(self.base).origin()
        except ValueError:
            return False

    async def asked(self, ask: Asking) -> http.Answer:
        """Make a request with the token; after a 401, once more with a new one.

        `ask` is given the header. Raises the failures of the request and of the renewal.
        """
        token = await self.tokens.current()
        answer = await ask({"Authorization": f"Bearer {token}"})
        if answer.status == 401:
            token = await self.tokens.renew(token)
            answer = await ask({"Authorization": f"Bearer {token}"})
        if "quotaExceeded" in reasons(answer):
            self.quota.exhaust()
        return answer

    async def read(self, path: str, query: Mapping[str, str]) -> http.Answer:
        """Read with the token. Raises NotSent or NeedsPerson."""
        url = self.url(path, query)
        self.quota.use(COST_READ)
        return await self.asked(lambda headers: self.client.get(url, headers))

    async def read_publicly(self, path: str, query: Mapping[str, str], key: str) -> http.Answer:
        """Read as everybody can, with an API key. Raises NotSent."""
        self.quota.use(COST_READ)
        return await self.client.get(self.url(path, {**query, "key": key}), {})

    async def put(self, path: str, query: Mapping[str, str], body: Any) -> http.Answer:
        """Change something. Raises NotSent, NeedsPerson or Unknown."""
        url, data = self.url(path, query), as_json(body)
        self.quota.use(COST_WRITE)
        return await self.asked(lambda headers: self.client.put(url, data, headers | JSON))

    async def delete(self, path: str, query: Mapping[str, str]) -> http.Answer:
        """Delete something. Raises NotSent, NeedsPerson or Unknown."""
        url = self.url(path, query)
        self.quota.use(COST_WRITE)
        return await self.asked(lambda headers: self.client.delete(url, headers))

    def failure(self, answer: http.Answer) -> Failure:
        """Give what an answer other than the one hoped for means."""
        return failure_of(answer, self.setup.clock.now())

    def unread(self, answer: http.Answer) -> Failure:
        """Give what a failed read means: nothing about the post, and mostly a hiccup."""
        failure = self.failure(answer)
        if isinstance(failure, (NeedsPerson, NotSent)):
            return failure
        return NotSent(f"{WHO} could not be read: it answered {answer.status}")

    async def _refresh(self, grant: Grant) -> Grant:
        form = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token or ""}
        fresh = await granted(self.client, self.app, form, self.setup.clock.now())
        return replace(
            fresh,
            refresh_token=fresh.refresh_token or grant.refresh_token,
            refresh_expires=fresh.refresh_expires or grant.refresh_expires,
        )


JSON = {"Content-Type": "application/json; charset=UTF-8"}


def as_json(body: Any) -> bytes:
    """Give a body as it goes over the wire."""
    return json.dumps(body, ensure_ascii=False).encode()


def _grant(given: str) -> str:
    """Turn a bare refresh token into what `Tokens` reads: a grant that is over, to be renewed."""
    if given.startswith("{"):
        return given
    refresh = Grant.read(given).access_token
    return json.dumps(Grant(_NO_TOKEN, _LONG_AGO, refresh).to_json())


def reasons(answer: http.Answer) -> frozenset[str]:
    """Give the reasons that an error names."""
    error = http.as_object(answer).get("error")
    errors = error.get("errors") if isinstance(error, dict) else None
    each = errors if isinstance(errors, list) else []
    named = (one.get("reason") for one in each if isinstance(one, dict))
    return frozenset(one for one in named if isinstance(one, str))


# What a person must act on, and how, by the reason that Google names.
PERSONS: Mapping[str, tuple[str, str]] = {
    "quotaExceeded": (
        "the project's quota of the day is used up",
        "It comes back at midnight Pacific time; ask Google for more.",
    ),
    "dailyLimitExceeded": (
        "the project's quota of the day is used up",
        "It comes back at midnight Pacific time; ask Google for more.",
    ),
    "uploadLimitExceeded": (
        "the channel has uploaded as much as it may",
        "Wait a day; verify the channel to raise its limit.",
    ),
    "authenticatedUserAccountSuspended": (
        "the account is suspended",
        "Log in to YouTube as its owner and appeal.",
    ),
    "authenticatedUserAccountClosed": (
        "the account is closed",
        "Configure another channel.",
    ),
    "forbidden": (
        "the account may not do this",
        "Connect the channel again as its owner, with all that is asked for.",
    ),
    "insufficientPermissions": (
        "the token lacks a permission",
        "Connect the channel again, with all that is asked for.",
    ),
    "youtubeSignupRequired": (
        "the account has no channel",
        "Connect again as the owner of the channel.",
    ),
    "accessNotConfigured": (
        "the YouTube Data API is switched off in the project",
        "Switch it on in Google's console.",
    ),
}
_TOO_FAST = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})


def person(answer: http.Answer) -> tuple[str, str] | None:
    """Say what a person must act on, and how; None if nobody need."""
    for reason in sorted(reasons(answer) & PERSONS.keys()):
        what, how = PERSONS[reason]
        return f"{WHO}: {what}", how
    if answer.status == 401:
        return f"{WHO} does not accept the token", "Connect the channel again."
    return None


def failure_of(answer: http.Answer, now: datetime) -> Failure:
    """Give what an answer means: the reasons in its body first, then its status."""
    if not 400 <= answer.status < 500 or answer.status == 408:
        return http.failure_for(answer, WHO, now)
    if not answer.whole:
        return Unknown(f"{WHO} answered {answer.status}, but the answer broke off")
    if reasons(answer) & _TOO_FAST:
        wait = http.retry_after(answer.headers, now)
        said = f"{WHO} answered {answer.status}: too many requests"
        return NotSent(said, wait, rate_limited=True)
    if found := person(answer):
        return NeedsPerson(". ".join(found).rstrip("."))
    return http.failure_for(answer, WHO, now)


def number(value: object) -> int | None:
    """Read a count, which Google writes as text."""
    text = str(value)
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None
