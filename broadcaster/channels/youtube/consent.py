"""How Google gives tokens: for a person's consent, and again for a refresh token."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from yarl import URL

from broadcaster.channels import Setup, http
from broadcaster.channels.tokens import Grant, OAuth
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Unknown

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SCOPES = (
    "https://www.googleapis.com/auth/youtube.upload",
    "https://www.googleapis.com/auth/youtube.force-ssl",
)


@dataclass(frozen=True, slots=True, repr=False)
class App:
    """The OAuth client of a Google project, and where its tokens are asked for."""

    client_id: str
    client_secret: str
    token_url: str
    authorize_url: str


async def granted(client: http.Client, app: App, form: Mapping[str, str], now: datetime) -> Grant:
    """Ask for tokens. Raises NeedsPerson where Google gives none any more, else NotSent."""
    own = {"client_id": app.client_id, "client_secret": app.client_secret}
    body = urlencode({**form, **own}).encode()
    try:
        answer = await client.post(URL(app.token_url, encoded=True), body, FORM)
    except Unknown as failure:  # no post hangs on it: it may be asked again
        raise NotSent(f"Google gave no token: {failure.reason}") from None
    said = http.as_object(answer)
    token = said.get("access_token")
    if answer.status == 200 and _is_word(token):
        refresh = said.get("refresh_token")
        return Grant(
            str(token),
            _ends(said.get("expires_in"), now),
            str(refresh) if _is_word(refresh) else None,
            _ends(said.get("refresh_token_expires_in"), now),
            now,
        )
    raise _no_token(answer, said.get("error"), now)


def _no_token(answer: http.Answer, error: object, now: datetime) -> Failure:
    if error == "invalid_grant":
        return NeedsPerson(
            "Google does not take the refresh token any more. Connect the channel again; while the "
            "project's consent screen is in testing, every refresh token dies after 7 days: "
            "publish the app"
        )
    if error in {"invalid_client", "unauthorized_client"} or answer.status in {401, 403}:
        return NeedsPerson("Google does not know the project's client id or secret")
    wait = http.retry_after(answer.headers, now)
    return NotSent(f"Google answered {answer.status} and gave no token", wait)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and len(value.split()) == 1


def _ends(seconds: object, now: datetime) -> datetime | None:
    good = isinstance(seconds, int) and 0 < seconds < 10**10
    return now + timedelta(seconds=seconds) if good and isinstance(seconds, int) else None


def oauth(setup: Setup, app: App, token_file: str) -> OAuth:
    """Give the flow for an installed program: a page to open, a code that comes back, PKCE."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def authorize(redirect: str, state: str) -> str:
        query = {
            "client_id": app.client_id,
            "redirect_uri": redirect,
            "response_type": "code",
            "scope": " ".join(SCOPES),
            "access_type": "offline",  # else there is no refresh token
            "prompt": "consent",  # else there is one only the first time
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{app.authorize_url}?{urlencode(query)}"

    async def exchange(code: str, redirect: str) -> Grant:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect}
        client = http.Client(setup.timing)
        try:
            form["code_verifier"] = verifier
            grant = await granted(client, app, form, setup.clock.now())
        finally:
            await client.close()
        if grant.refresh_token is None:
            raise NeedsPerson("Google gave no refresh token: remove the app's access, and repeat")
        return grant

    advice = (
        "In the Google project: switch on the YouTube Data API, make an OAuth client of type "
        "desktop app, and publish the consent screen, or the token dies after 7 days. Log in as "
        "the owner of the channel."
    )
    return OAuth(authorize, exchange, token_file, advice)
