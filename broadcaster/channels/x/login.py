"""How a channel proves to X whose it is: OAuth 1.0a signatures, or OAuth 2.0 tokens that rotate.

Signatures have no end, but hold the time: a clock that is minutes off makes them worthless. Tokens
of OAuth 2.0 last for two hours; each renewal voids the one before.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, Protocol
from urllib.parse import quote, urlencode

from oauthlib import oauth1
from yarl import URL

from broadcaster.channels import Setup, http
from broadcaster.channels.tokens import Grant, Tokens
from broadcaster.clock import Clock
from broadcaster.delivery import NeedsPerson, NotSent, Unknown

API = "https://api.x.com"
SITE = "https://x.com/i"
SCOPES = ("tweet.read", "tweet.write", "users.read", "media.write", "offline.access")
AHEAD = timedelta(minutes=30)  # of two hours: warming renews long before an alert would have to
LIFE_MAX_SECONDS = 366 * 86_400
ADVICE = (
    "The app in X's developer console needs user authentication set up: read and write, type web"
    " app, and this redirect address. Its client id and secret are not its API key."
)

Method = Literal["GET", "POST", "DELETE"]

# At DEBUG oauthlib writes what it signs, tokens included.
logging.getLogger("oauthlib").setLevel(logging.WARNING)


class Login(Protocol):
    """One account's way in."""

    @property
    def timed(self) -> bool:
        """Whether it holds the time, so that a wrong clock makes it worthless."""
        ...

    @property
    def account(self) -> str:
        """What tells two configurations of one account apart; no secret."""
        ...

    @property
    def days_left(self) -> float | None:
        """Days until a person must act, None if there is no such end."""
        ...

    async def header(self, method: Method, url: str) -> str:
        """Give the Authorization header of a request. Raises NotSent or NeedsPerson."""
        ...

    async def renewed(self, header: str) -> bool:
        """Say whether another header is worth a try, after a 401 for this one."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Signed:
    """OAuth 1.0a: an app's key and an account's token, with their secrets."""

    consumer_key: str
    consumer_secret: str
    access_token: str
    access_token_secret: str
    clock: Clock
    timed: bool = True
    days_left: float | None = None

    @property
    def account(self) -> str:
        """The account's number, with which X begins its access tokens; else a digest."""
        owner = re.match(r"([0-9]+)-", self.access_token)
        return owner[1] if owner else _digest(self.access_token)

    async def header(self, method: Method, url: str) -> str:
        """Sign a request. A body is not signed, query parameters are."""
        client = oauth1.Client(
            self.consumer_key,
            client_secret=self.consumer_secret,
            resource_owner_key=self.access_token,
            resource_owner_secret=self.access_token_secret,
            timestamp=str(int(self.clock.now().timestamp())),
        )
        _, headers, _ = client.sign(url, http_method=method)
        return str(headers["Authorization"])

    async def renewed(self, _header: str) -> bool:
        """Say no: a signature that is refused will be refused again."""
        return False


class Granted:
    """OAuth 2.0: an account's token, renewed ahead of its end."""

    timed = False

    def __init__(self, tokens: Tokens, account: str) -> None:
        self._tokens = tokens
        self.account = account

    @property
    def days_left(self) -> float | None:
        """Days until a person must act: None while the token can be renewed."""
        return None if self._tokens.grant.refresh_token else self._tokens.days_left

    async def header(self, _method: Method, _url: str) -> str:
        """Give the token, renewed first if it ends soon."""
        return f"Bearer {await self._tokens.current()}"

    async def renewed(self, header: str) -> bool:
        """Renew the token now. Raises NotSent or NeedsPerson."""
        await self._tokens.renew(header.removeprefix("Bearer "))
        return True


@dataclass(frozen=True, slots=True, repr=False)
class Flow:
    """X's OAuth 2.0 with PKCE: a person's agreement, and each renewal of it."""

    setup: Setup
    base_url: str
    client_id: str
    client_secret: str | None
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def authorize(self, redirect: str, state: str) -> str:
        """Give the page on which a person agrees."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect,
            "scope": " ".join(SCOPES),
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        site = SITE if self.base_url == API else f"{self.base_url}/2"
        return f"{site}/oauth2/authorize?{urlencode(query, quote_via=quote)}"

    async def exchange(self, code: str, redirect: str) -> Grant:
        """Make a grant of the code that the person was led back with."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": self.verifier,
        }
        return await self._grant(form, None)

    async def refresh(self, grant: Grant) -> Grant:
        """Renew a grant. Raises NeedsPerson where it is over, else NotSent: nothing was posted."""
        if grant.refresh_token is None:
            raise NeedsPerson("X: the token cannot be renewed; connect the channel again")
        form = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
        try:
            return await self._grant(form, grant.refresh_token)
        except Unknown as failure:
            raise NotSent(f"X: the token was not renewed: {failure.reason}") from None

    async def _grant(self, form: Mapping[str, str], refresh_token: str | None) -> Grant:
        client = http.Client(self.setup.timing)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if self.client_secret is not None:
            pair = f"{quote(self.client_id, safe='')}:{quote(self.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        body = urlencode({**form, "client_id": self.client_id}).encode()
        try:
            url = URL(f"{self.base_url}/2/oauth2/token", encoded=True)
            answer = await client.post(url, body, headers)
        finally:
            await client.close()
        if answer.status in {400, 401, 403} and answer.whole:
            raise NeedsPerson("X does not renew the token; connect the channel again")
        if answer.status != 200:
            raise http.failure_for(answer, "X", self.setup.clock.now())
        return self._read(http.as_object(answer), refresh_token)

    def _read(self, said: Mapping[str, Any], refresh_token: str | None) -> Grant:
        now, seconds = self.setup.clock.now(), said.get("expires_in")
        timed = type(seconds) is int and 0 < seconds <= LIFE_MAX_SECONDS
        return Grant(
            _word(said.get("access_token")),
            expires=now + timedelta(seconds=seconds) if timed and seconds else None,
            refresh_token=_word(said["refresh_token"])
            if "refresh_token" in said
            else refresh_token,
            obtained=now,
        )


def granted(setup: Setup, flow: Flow, given: str) -> Granted:
    """Give the way in that begins with a token file. Raises ValueError for one that holds none."""
    path = setup.state_directory / f"{setup.config.name}.token"
    tokens = Tokens(path, given, setup.clock, flow.refresh, ahead=AHEAD)
    return Granted(tokens, _digest(given))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _word(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]{1,4000}", value):
        raise Unknown("X answered, but not with a token")
    return value
