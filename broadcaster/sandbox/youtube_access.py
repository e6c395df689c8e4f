"""Who may use the YouTube stand-in: Google's token endpoint, API keys, and the project behind them.

Every refresh token that begins `sandbox-` is a channel of its own. An access token lives an hour;
every renewal gives another one. While the project's consent screen is in testing (`published`
false), a refresh token dies after seven days. The project's state is a switch, see `Project`.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from aiohttp.web import HTTPFound, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import answer, problem
from broadcaster.sandbox.posts import PREFIX, Account, account

CLIENT_ID = "sandbox-client.apps.example.org"
CLIENT_SECRET = f"{PREFIX}client-secret"
LIVES = timedelta(hours=1)
TESTING_LIVES = timedelta(days=7)


def error(status: int, reason: str, message: str = "", domain: str = "youtube.common") -> Response:
    """Return an error as Google's older APIs write it."""
    message = message or reason
    named = {"message": message, "domain": domain, "reason": reason}
    return answer({"error": {"code": status, "message": message, "errors": [named]}}, status)


def unauthorized() -> Response:
    """Return the answer to a token that is not good."""
    said = "Request had invalid authentication credentials."
    named = {"message": "Invalid Credentials", "domain": "global", "reason": "authError"}
    body = {"code": 401, "message": said, "errors": [named], "status": "UNAUTHENTICATED"}
    return answer({"error": body}, 401)


def channel_id(author: Account) -> str:
    """Return the id of an account's channel."""
    digest = hashlib.sha256(author.handle.encode()).digest()
    return f"UC{base64.urlsafe_b64encode(digest).decode()[:22]}"


class Project(BaseModel):
    """What `PUT /youtube/_project` takes; what is left out stays as it is.

    `audited`: Google has looked at the project; else its videos are locked to private.
    `published`: its consent screen is out of testing. `revoked`: refresh tokens are not good any
    more. `processing_seconds`: how long a new video is not processed yet. `units`: what is left of
    the day's quota, null for no end. `break_after`: the next piece of an upload breaks off after so
    many bytes. `forgets`: upload sessions are forgotten from now on, as soon as they are asked for.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    audited: bool = True
    published: bool = True
    revoked: bool = False
    processing_seconds: float = Field(default=1.0, ge=0, le=86_400)
    units: int | None = Field(default=None, ge=0)
    break_after: int | None = Field(default=None, ge=0)
    forgets: bool = False

    def use(self, units: int) -> bool:
        """Take from the quota; False if there is not enough left."""
        if self.units is None:
            return True
        if self.units < units:
            return False
        self.units -= units
        return True


@dataclass(frozen=True, slots=True)
class _Issued:
    refresh: str
    expires: datetime


@dataclass(slots=True)
class Access:
    """Google's part: tokens that were issued, and codes that wait to be exchanged."""

    clock: Clock
    project: Project = field(default_factory=Project)
    _issued: dict[str, _Issued] = field(default_factory=dict)
    _began: dict[str, datetime] = field(default_factory=dict)
    _codes: dict[str, tuple[str, str]] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def author(self, request: Request) -> Account | None:
        """Say whose token a request carries, None if it carries no good one."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        issued = self._issued.get(token) if scheme == "Bearer" else None
        if issued is None or issued.expires <= self.clock.now():
            return None
        return account(issued.refresh)

    async def switch(self, request: Request) -> Response:
        """PUT /youtube/_project."""
        try:
            given = Project.model_validate_json(await request.read())
        except ValidationError:
            return problem(422, "project-not-understood", "See youtube_access.Project.")
        for name in given.model_fields_set:
            setattr(self.project, name, getattr(given, name))
        return answer(self.project.model_dump())

    async def consent(self, request: Request) -> Response:
        """GET the page on which a person agrees: this one does so at once."""
        query = request.query
        if query.get("client_id") != CLIENT_ID or query.get("response_type") != "code":
            return answer({"error": "invalid_client"}, 401)
        code = f"{PREFIX}code-{next(self._numbers)}"
        self._codes[code] = (query.get("redirect_uri", ""), query.get("code_challenge", ""))
        back = urlencode({"code": code, "state": query.get("state", "")})
        raise HTTPFound(f"{query.get('redirect_uri', '')}?{back}")

    async def token(self, request: Request) -> Response:
        """POST /token: a refresh token, or a code, becomes an access token."""
        form = await request.post()
        given = {name: str(value) for name, value in form.items()}
        if (given.get("client_id"), given.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return answer({"error": "invalid_client", "error_description": "Unauthorized"}, 401)
        if given.get("grant_type") == "authorization_code":
            return self._exchanged(given)
        if given.get("grant_type") == "refresh_token":
            return self._renewed(given.get("refresh_token", ""))
        return answer({"error": "unsupported_grant_type"}, 400)

    def _exchanged(self, given: dict[str, str]) -> Response:
        redirect, challenge = self._codes.pop(given.get("code", ""), ("", ""))
        digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        verified = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
        if not redirect or redirect != given.get("redirect_uri") or not verified:
            return _dead()
        refresh = f"{PREFIX}stadt-dortmund.{next(self._numbers)}"
        return answer(self._grant(refresh) | {"refresh_token": refresh})

    def _renewed(self, refresh: str) -> Response:
        began = self._began.setdefault(refresh, self.clock.now())
        over = not self.project.published and self.clock.now() - began >= TESTING_LIVES
        if not refresh.startswith(PREFIX) or self.project.revoked or over:
            return _dead()
        return answer(self._grant(refresh))

    def _grant(self, refresh: str) -> dict[str, Any]:
        now = self.clock.now()
        began = self._began.setdefault(refresh, now)
        token = f"{PREFIX}access-{next(self._numbers)}"
        self._issued[token] = _Issued(refresh, now + LIVES)
        grant: dict[str, Any] = {
            "access_token": token,
            "expires_in": int(LIVES.total_seconds()) - 1,
            "scope": "https://www.googleapis.com/auth/youtube.force-ssl",
            "token_type": "Bearer",
        }
        if not self.project.published:
            left = began + TESTING_LIVES - now
            grant["refresh_token_expires_in"] = int(left.total_seconds())
        return grant


def _dead() -> Response:
    said = "Token has been expired or revoked."
    return answer({"error": "invalid_grant", "error_description": said}, 400)
