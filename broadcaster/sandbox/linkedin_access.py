"""Who may use the LinkedIn stand-in: tokens, their renewal, and which versions are served.

Every token that begins `sandbox-` is of a company page, named by the words before the first dot.
What stands behind the dots makes another token of the same page:

    sandbox-stadt.expired                           no longer good
    sandbox-stadt.without-w_organization_social     that permission was not granted
    sandbox-stadt.refresh                           a refresh token: good for a year, never longer
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp.web import Request, Response

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import answer
from broadcaster.sandbox.posts import PREFIX, Account, account

READ, WRITE = "r_organization_social", "w_organization_social"
CLIENT_ID = "86sandboxclient"
CLIENT_SECRET = f"{PREFIX}linkedin-client-secret"
TOKEN_LIVES = timedelta(days=60)
REFRESH_LIVES = timedelta(days=365)
SWITCHED_OFF_DAY = 15  # of the month a year later, as LinkedIn mostly announces it

_TOKEN = re.compile(rf"{PREFIX}[\w-]+(\.[\w-]+)*")
_HERE = re.compile(r"http://(127\.0\.0\.1|localhost)(:[0-9]+)?/")


def error(status: int, code: str, message: str, service: int | None = None) -> Response:
    """Return an error as LinkedIn writes it."""
    body: dict[str, Any] = {"status": status, "code": code, "message": message}
    return answer(body if service is None else body | {"serviceErrorCode": service}, status)


def expired() -> Response:
    """Answer to a token that is over."""
    said = "The token used in the request has expired"
    return error(401, "EXPIRED_ACCESS_TOKEN", said, 65602)


def denied(what: str) -> Response:
    """Answer to somebody who may not do this."""
    return error(403, "ACCESS_DENIED", f"Not enough permissions to access: {what}", 100)


@dataclass(frozen=True, slots=True)
class Access:
    """What a token opens."""

    page: Account
    marks: frozenset[str]

    @property
    def urn(self) -> str:
        """The page's URN."""
        return f"urn:li:organization:{self.page.number}"

    def may(self, scope: str) -> bool:
        """Say whether a permission was granted."""
        return f"without-{scope}" not in self.marks


def access_of(request: Request) -> Access | Response:
    """Say whose token a request carries, or why it is refused."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not token:
        return error(401, "EMPTY_ACCESS_TOKEN", "Empty oauth2 access token", 65604)
    if not _TOKEN.fullmatch(token) or token.endswith(".refresh"):
        return error(401, "INVALID_ACCESS_TOKEN", "Invalid access token", 65600)
    name, *marks = token.split(".")
    return expired() if "expired" in marks else Access(account(name), frozenset(marks))


def version_fault(request: Request, now: datetime) -> Response | None:
    """Say what is wrong with the version that a request asks for, None if it is served."""
    version = request.headers.get("LinkedIn-Version", "")
    if not version:
        return error(400, "VERSION_MISSING", "A version must be present. Please specify a version")
    served = re.fullmatch(r"20[0-9]{2}(0[1-9]|1[0-2])", version) and _is_served(version, now)
    if not served:
        said = f"Requested version {version[:20]} is not active"
        return error(426, "NONEXISTENT_VERSION", said)
    return None


def _is_served(version: str, now: datetime) -> bool:
    """A version lives from its month to the middle of the same month a year later."""
    day = now.astimezone(UTC)
    months = (day.year - int(version[:4])) * 12 + day.month - int(version[4:])
    return 0 <= months < 12 or (months == 12 and day.day < SWITCHED_OFF_DAY)


def newest_version(now: datetime) -> str:
    """Return the version of the last month: it has been there for some time, and has long to go."""
    last = now.astimezone(UTC).replace(day=1) - timedelta(days=1)
    return f"{last:%Y%m}"


class Tokens:
    """The token endpoint: a code or a refresh token against an access token of 60 days."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._first: dict[str, datetime] = {}  # when a refresh token was given out
        self._given = 0

    def agreed(self, query: Mapping[str, str]) -> Response:
        """Answer the page on which a person agrees: this one agrees at once, and leads back."""
        redirect = query.get("redirect_uri", "")
        if query.get("client_id") != CLIENT_ID or not _HERE.match(redirect):
            return answer({"error": "invalid_request"}, 400)
        back = urlencode({"code": f"{PREFIX}stadt-dortmund", "state": query.get("state", "")})
        return Response(status=302, headers={"Location": f"{redirect}?{back}"})

    async def exchange(self, request: Request) -> Response:
        """POST /oauth/v2/accessToken."""
        form = dict(parse_qsl((await request.read()).decode(errors="replace")))
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return _refused(401, "invalid_client", "Client authentication failed")
        if form.get("grant_type") == "authorization_code":
            code = form.get("code", "")
            if not re.fullmatch(rf"{PREFIX}[\w-]+", code) or not form.get("redirect_uri"):
                return _refused(400, "invalid_request", "Unable to retrieve access token")
            return self._granted(code)
        refresh = form.get("refresh_token", "")
        if form.get("grant_type") != "refresh_token" or not _TOKEN.fullmatch(refresh):
            return _refused(400, "invalid_request", "A required parameter is missing")
        name, *marks = refresh.split(".")
        if marks != ["refresh"] or self._left(name) <= timedelta(0):
            said = (
                "The provided authorization grant or refresh token is invalid, expired or revoked"
            )
            return _refused(400, "invalid_grant", said)
        return self._granted(name)

    def _left(self, name: str) -> timedelta:
        now = self._clock.now()
        return self._first.setdefault(name, now) + REFRESH_LIVES - now

    def _granted(self, name: str) -> Response:
        self._given += 1
        return answer(
            {
                "access_token": f"{name}.{self._given}",
                "expires_in": int(TOKEN_LIVES.total_seconds()),
                "refresh_token": f"{name}.refresh",
                "refresh_token_expires_in": int(self._left(name).total_seconds()),
                "scope": f"{READ},{WRITE}",
            }
        )


def _refused(status: int, name: str, said: str) -> Response:
    return answer({"error": name, "error_description": said}, status)
