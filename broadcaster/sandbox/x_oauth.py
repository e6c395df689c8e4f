"""OAuth 2.0 on the X stand-in: consent with PKCE, tokens of two hours, renewals that rotate.

A token is the account's name in the sandbox, `~`, and a number of its own. Tokens that begin with
APP_ONLY are the app's: they read what the public sees, and post nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from aiohttp.web import Request, Response

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import answer
from broadcaster.sandbox.posts import PREFIX

CLIENT_ID = f"{PREFIX}client"
APP_ONLY = f"{PREFIX}app-only"
LASTS_SECONDS = 7_200
KEPT = 1_000
SCOPE = "tweet.read tweet.write users.read media.write offline.access"


class Grants:
    """Tokens that this process gave, and which are still good."""

    def __init__(self, who: str, clock: Clock) -> None:
        self._who = who
        self._clock = clock
        self._codes: dict[str, str] = {}
        self._renewals: dict[str, str] = {}
        self._ends: dict[str, float] = {}

    async def authorize(self, request: Request) -> Response:
        """GET /2/oauth2/authorize: where a person agrees; this one agrees at once."""
        query = request.query
        redirect, challenge = query.get("redirect_uri", ""), query.get("code_challenge", "")
        local = re.match(r"https?://(127\.0\.0\.1|localhost)[:/]", redirect)
        whole = query.get("response_type") == "code" and query.get("client_id") == CLIENT_ID
        if not local or not whole or query.get("code_challenge_method") != "S256" or not challenge:
            return _invalid("Value passed for the authorization is not as it must be.")
        code = secrets.token_urlsafe(16)
        _keep(self._codes, code, challenge)
        place = urlencode({"code": code, "state": query.get("state", "")})
        return Response(status=302, headers={"Location": f"{redirect}?{place}"})

    async def token(self, request: Request) -> Response:
        """POST /2/oauth2/token: tokens for a code or a refresh token, each of which is used up."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        granted = self._granted(form)
        return answer(granted) if granted else _invalid("Value passed for the token was invalid.")

    def _granted(self, form: Mapping[str, str]) -> dict[str, Any] | None:
        if form.get("client_id") != CLIENT_ID:
            return None
        if form.get("grant_type") == "refresh_token":
            who = self._renewals.pop(form.get("refresh_token", ""), None)
            return self.grant(who) if who else None
        challenge = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proved = base64.urlsafe_b64encode(digest).decode().rstrip("=") == challenge
        return self.grant(self._who) if proved else None

    def grant(self, who: str) -> dict[str, Any]:
        """Return new tokens of an account."""
        access, refresh = (f"{who}~{secrets.token_urlsafe(12)}" for _ in range(2))
        _keep(self._ends, access, self._clock.elapsed() + LASTS_SECONDS)
        _keep(self._renewals, refresh, who)
        return {
            "token_type": "bearer",
            "expires_in": LASTS_SECONDS,
            "access_token": access,
            "refresh_token": refresh,
            "scope": SCOPE,
        }

    def is_over(self, token: str) -> bool:
        """Say whether a token was given here, and has ended, or was given by somebody else."""
        return "~" in token and self._ends.get(token, 0.0) <= self._clock.elapsed()


def _invalid(sentence: str) -> Response:
    return answer({"error": "invalid_request", "error_description": sentence}, 400)


def _keep(mapping: dict[str, Any], key: str, value: Any) -> None:
    mapping[key] = value
    if len(mapping) > KEPT:
        del mapping[next(iter(mapping))]
