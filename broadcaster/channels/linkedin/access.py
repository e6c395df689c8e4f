"""Access to LinkedIn: how long a version of its API lasts, and how a token is got and renewed.

An access token lasts 60 days. Approved programmes also get a refresh token, of 365 days that no
renewal extends: a person must agree again once a year.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from yarl import URL

from broadcaster.channels import http
from broadcaster.channels.tokens import Grant
from broadcaster.clock import Clock
from broadcaster.config import Timing
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Unknown

SITE = "https://www.linkedin.com"
SCOPES = ("r_organization_social", "w_organization_social")
ADVICE = (
    "The app at developer.linkedin.com needs the product Community Management API and this redirect"
    " address; the person who agrees needs a role on the page that may post."
)
LIFE_MAX = timedelta(days=3650)
# As LinkedIn's migration page announces them; no other version has an announced end.
VERSION_ENDS = {
    "202510": datetime(2026, 10, 15, tzinfo=UTC),
    "202511": datetime(2026, 11, 16, tzinfo=UTC),
    "202601": datetime(2027, 1, 15, tzinfo=UTC),
    "202602": datetime(2027, 2, 15, tzinfo=UTC),
    "202603": datetime(2027, 3, 16, tzinfo=UTC),
}


def version_ends(version: str) -> datetime:
    """When a version (YYYYMM) is switched off: as announced, else after the promised 12 months."""
    year, month = int(version[:4]), int(version[4:])
    return VERSION_ENDS.get(version) or datetime(year + 1, month, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, repr=False)
class Flow:
    """The way from a person's consent to a token, and from one token to the next."""

    timing: Timing
    clock: Clock
    token_url: str
    client_id: str
    client_secret: str

    def authorize(self, redirect: str, state: str) -> str:
        """Give the page on which the person agrees."""
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect,
            "state": state,
            "scope": " ".join(SCOPES),
        }
        return f"{self.token_url}/oauth/v2/authorization?{urlencode(query)}"

    async def exchange(self, code: str, redirect: str) -> Grant:
        """Make the grant of what the person brought back. Raises NeedsPerson or NotSent."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
        return await self._asked(form, None)

    async def refresh(self, grant: Grant) -> Grant:
        """Renew a grant. Raises NeedsPerson, else NotSent: it may be asked as often as needed."""
        if grant.refresh_token is None:
            raise NeedsPerson("the token cannot be renewed; connect the channel again")
        form = {"grant_type": "refresh_token", "refresh_token": grant.refresh_token}
        return await self._asked(form, grant)

    async def _asked(self, form: Mapping[str, str], old: Grant | None) -> Grant:
        app = {"client_id": self.client_id, "client_secret": self.client_secret}
        client = http.Client(self.timing)
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        url = URL(f"{self.token_url}/oauth/v2/accessToken", encoded=True)
        try:
            answer = await client.post(url, urlencode({**form, **app}).encode(), kind)
        except Unknown as failure:
            raise NotSent(f"no token was given: {failure.reason}") from None
        finally:
            await client.close()
        return self._grant(answer, old)

    def _grant(self, answer: http.Answer, old: Grant | None) -> Grant:
        now, said = self.clock.now(), http.as_object(answer)
        token = _word(said.get("access_token"))
        if answer.status != 200 or token is None:
            raise _refused(answer, now)
        refresh = _word(said.get("refresh_token")) or (old.refresh_token if old else None)
        refresh_ends = _after(now, said.get("refresh_token_expires_in"))
        if refresh_ends is None and old is not None:
            refresh_ends = old.refresh_expires
        return Grant(token, _after(now, said.get("expires_in")), refresh, refresh_ends, now)


def _refused(answer: http.Answer, now: datetime) -> Failure:
    if answer.status in {400, 401, 403}:
        error = http.as_object(answer).get("error")
        known = isinstance(error, str) and re.fullmatch(r"[a-z_]{1,40}", error)
        why = f" ({error})" if known else ""
        return NeedsPerson(f"LinkedIn gives no token{why}; connect the channel again")
    wait = http.retry_after(answer.headers, now) if answer.status == 429 else None
    return NotSent(f"LinkedIn gave no token: it answered {answer.status}", wait)


def _word(value: object) -> str | None:
    good = isinstance(value, str) and re.fullmatch(r"[!-~]{1,4000}", value)
    return str(value) if good else None


def _after(now: datetime, seconds: object) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return now + timedelta(seconds=seconds) if 0 < seconds < LIFE_MAX.total_seconds() else None
