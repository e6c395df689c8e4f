"""Who may do what on the Threads and Instagram stand-ins: tokens, their renewal, OAuth.

Every token that begins `sandbox-` is an account of its own, named by the words before the first
dot. What stands behind the dots makes another token of the same account:

    sandbox-stadt.expired             no longer good, and not to be renewed
    sandbox-stadt.full                its account has used up the posts of the day
    sandbox-stadt.facebook            from Facebook Login (Instagram)
    sandbox-stadt.without-SCOPE       that permission was not granted
    sandbox-stadt.hour                of an hour, as a code is exchanged for; to be made long
    sandbox-stadt.t1763776000         given out then; it can be renewed a day later
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from aiohttp.web import Request, Response, UrlDispatcher

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import answer
from broadcaster.sandbox.facebook_access import error, expired, parameters, token_of
from broadcaster.sandbox.faults import On, Stage
from broadcaster.sandbox.posts import PREFIX, Account, account

APP_ID = "200000000000002"
APP_SECRET = f"{PREFIX}app-secret"
LONG_LIVED_SECONDS = 5_184_000
SHORT_LIVED_SECONDS = 3_600
RENEWED_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Access:
    """What a token opens. `marks` are the words behind its dots."""

    account: Account
    marks: frozenset[str]

    @property
    def number(self) -> str:
        """The account's number."""
        return str(self.account.number)

    @property
    def valid(self) -> bool:
        """Whether it is still good."""
        return "expired" not in self.marks

    def lacks(self, scope: str) -> bool:
        """Say whether a permission was not granted."""
        return f"without-{scope}" in self.marks

    @property
    def given_out(self) -> datetime | None:
        """When it was given out; None if that is long ago."""
        times = [mark[1:] for mark in self.marks if re.fullmatch(r"t[0-9]{1,11}", mark)]
        return datetime.fromtimestamp(int(times[0]), UTC) if times else None


def access_of(token: str) -> Access | None:
    """Read a token; None for one that was never given out."""
    if not re.fullmatch(rf"{PREFIX}[\w-]+(\.[\w-]+)*", token):
        return None
    name, *marks = token.split(".")
    return Access(account(name), frozenset(marks))


@dataclass(frozen=True, slots=True)
class Door:
    """How tokens are given out on one network: `words` is "th" or "ig", as its grants begin."""

    words: str
    scopes: str
    clock: Clock
    token: str  # of the account that agrees to everything

    def route(self, router: UrlDispatcher, stage: Stage, root: str) -> None:
        """Put the addresses of the log-in under `root`."""
        router.add_get(f"{root}/oauth/authorize", self.agree)
        router.add_post(f"{root}/oauth/access_token", stage.on(On.LOGIN, self.from_code))
        router.add_get(f"{root}/access_token", stage.on(On.LOGIN, self.made_long))
        router.add_get(f"{root}/refresh_access_token", stage.on(On.LOGIN, self.renewed))

    async def agree(self, request: Request) -> Response:
        """GET /oauth/authorize: this person agrees at once, and is led back."""
        return agreed(request.query, self.token)

    async def from_code(self, request: Request) -> Response:
        """POST /oauth/access_token: a code for a token of an hour."""
        given = await parameters(request)
        if refusal := wrong_app(given):
            return refusal
        code = access_of(given.get("code", ""))
        if code is None or given.get("grant_type") != "authorization_code":
            return error(100, "This authorization code has been used or is not valid.")
        token = f"{given['code'].partition('.')[0]}.hour"
        return answer({"access_token": token, "user_id": code.account.number})

    async def made_long(self, request: Request) -> Response:
        """GET /access_token: a token of an hour for one of sixty days."""
        given = request.query
        if given.get("client_secret") != APP_SECRET:
            return error(101, "Error validating client secret.")
        if given.get("grant_type") != f"{self.words}_exchange_token":
            return error(100, "Unsupported grant_type")
        token = given.get("access_token", "")
        access = access_of(token)
        if access is None or "hour" not in access.marks:
            return error(100, "This token cannot be exchanged: it is not a short-lived one.")
        return self._granted(token.replace(".hour", ""))

    async def renewed(self, request: Request) -> Response:
        """GET /refresh_access_token: a token of sixty days, a day old, for sixty days more."""
        given = await parameters(request)
        if given.get("grant_type") != f"{self.words}_refresh_token":
            return error(100, "Unsupported grant_type")
        token = token_of(request, given)
        access = access_of(token)
        if access is None or not access.valid:
            return expired()
        since = access.given_out
        if since is not None and self.clock.now() - since < RENEWED_AFTER:
            return error(100, "This token is younger than 24 hours and cannot be refreshed yet.")
        return self._granted(re.sub(r"\.t[0-9]+", "", token))

    def _granted(self, token: str) -> Response:
        fresh = f"{token}.t{int(self.clock.now().timestamp())}"
        body = {"access_token": fresh, "token_type": "bearer", "expires_in": LONG_LIVED_SECONDS}
        return answer(body | ({"permissions": self.scopes} if self.words == "ig" else {}))


def wrong_app(given: Mapping[str, str]) -> Response | None:
    """Refuse an app whose id and secret are not those of the sandbox."""
    if (given.get("client_id"), given.get("client_secret")) == (APP_ID, APP_SECRET):
        return None
    return error(101, "Error validating client secret.")


def agreed(given: Mapping[str, str], token: str) -> Response:
    """Lead a person back who agreed, with a code, to an address on this machine alone."""
    redirect = given.get("redirect_uri", "")
    if given.get("client_id") != APP_ID or not re.match(
        r"https?://(127\.0\.0\.1|localhost)[:/]", redirect
    ):
        return error(191, "Can't load URL: the domain of this URL isn't included in the app.")
    query = urlencode({"code": token, "state": given.get("state", "")})
    return Response(status=302, headers={"Location": f"{redirect}?{query}#_"})
