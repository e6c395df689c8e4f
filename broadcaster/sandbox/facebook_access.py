"""Who may do what on the Facebook stand-in: errors, versions, tokens, their inspection, OAuth.

Every token that begins `sandbox-` is a Page of its own, named by the words before the first dot.
What stands behind the dots makes another token of the same Page:

    sandbox-stadt.user                    of the person who runs the Page: finds it by /me/accounts
    sandbox-stadt.expired                 no longer good
    sandbox-stadt.days-5                  good for 5 days more
    sandbox-stadt.without-pages_manage_posts    that permission was not granted
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

from aiohttp.web import Request, Response

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import answer, as_object
from broadcaster.sandbox.posts import PREFIX, Account, account

APP_ID = "100000000000001"
APP_SECRET = f"{PREFIX}app-secret"
SCOPES = (
    "pages_show_list",
    "pages_read_engagement",
    "pages_read_user_engagement",
    "pages_manage_posts",
    "pages_manage_engagement",
)
LONG_LIVED_SECONDS = 5_184_000
SHORT_LIVED_SECONDS = 3_600
DATA_ACCESS = timedelta(days=90)
# Until when a version is served; an older one is answered by the oldest there is, as Graph does.
VERSIONS: Mapping[str, datetime] = {
    "v23.0": datetime(2027, 10, 8, tzinfo=UTC),
    "v24.0": datetime(2028, 2, 18, tzinfo=UTC),
    "v25.0": datetime(2028, 7, 29, tzinfo=UTC),
    "v26.0": datetime.max.replace(tzinfo=UTC),
}


def error(  # noqa: PLR0913 - the envelope has so many fields
    code: int,
    message: str,
    *,
    status: int = 400,
    subcode: int | None = None,
    title: str | None = None,
    advice: str | None = None,
    transient: bool | None = None,
    kind: str = "OAuthException",
) -> Response:
    """Return Graph's error envelope."""
    said: dict[str, Any] = {"message": message, "type": kind, "code": code}
    optional = {
        "error_subcode": subcode,
        "is_transient": transient,
        "error_user_title": title,
        "error_user_msg": advice,
    }
    said |= {name: value for name, value in optional.items() if value is not None}
    said["fbtrace_id"] = hashlib.sha256(message.encode()).hexdigest()[:23]
    return answer({"error": said}, status)


def missing(identity: str) -> Response:
    """Answer for an object that is not there, or that this token does not see."""
    sentence = (
        f"Unsupported request. Object with ID '{identity}' does not exist, cannot be loaded due to "
        "missing permissions, or does not support this operation."
    )
    return error(100, sentence, subcode=33, kind="GraphMethodException")


def lacks(scope: str) -> Response:
    """Answer for a permission that the token has not."""
    return error(200, f"(#200) Requires the {scope} permission.")


def expired() -> Response:
    """Answer to a token that is over."""
    sentence = "Error validating access token: Session has expired."
    return error(190, sentence, subcode=463)


def served(version: str, now: datetime) -> str | None:
    """Return the version that answers a request for this one; None if it was never there."""
    if version not in VERSIONS and not re.fullmatch(r"v(1?[0-9]|2[0-2])\.[0-9]", version):
        return None
    living = [name for name, ends in VERSIONS.items() if now < ends]
    return version if version in living else living[0]


@dataclass(frozen=True, slots=True)
class Access:
    """What a token opens: a Page, by itself (`user` False) or through the person who runs it."""

    page: Account
    user: bool
    scopes: tuple[str, ...]
    expires: datetime | None
    valid: bool

    @property
    def page_id(self) -> str:
        """The Page's number."""
        return str(self.page.number)


def access_of(token: str, now: datetime) -> Access | None:
    """Read a token; None for one that Facebook never gave out."""
    if not re.fullmatch(rf"{PREFIX}[\w-]+(\.[\w-]+)*", token):
        return None
    name, *marks = token.split(".")
    scopes = tuple(scope for scope in SCOPES if f"without-{scope}" not in marks)
    days = [int(mark.removeprefix("days-")) for mark in marks if re.fullmatch(r"days-\d+", mark)]
    valid = "expired" not in marks
    ends = now + timedelta(days=days[0]) if days else None
    ends = ends if valid else now - timedelta(days=1)
    return Access(account(name), "user" in marks, scopes, ends, valid)


async def parameters(request: Request) -> dict[str, str]:
    """Return the parameters of a request: from its address, a form, or a JSON object."""
    body = await request.read()
    found = dict(request.query)
    if request.content_type == "application/json":
        given = as_object(body) or {}
        return found | {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in given.items()
        }
    return found | dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))


def token_of(request: Request, given: Mapping[str, str]) -> str:
    """Return the token a request comes with: a header, or the parameter access_token."""
    header = request.headers.get("Authorization", "")
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme in {"Bearer", "OAuth"} else given.get("access_token", "")


def inspected(token: str, clock: Clock) -> Response:
    """Answer what GET /debug_token says of a token."""
    now = clock.now()
    access = access_of(token, now)
    if access is None:
        refused = {"code": 190, "message": "Invalid OAuth access token."}
        return answer({"data": {"error": refused, "is_valid": False, "scopes": []}})
    data: dict[str, Any] = {
        "app_id": APP_ID,
        "type": "USER" if access.user else "PAGE",
        "application": "Sandbox",
        "data_access_expires_at": int((now + DATA_ACCESS).timestamp()),
        "expires_at": int(access.expires.timestamp()) if access.expires else 0,
        "is_valid": access.valid,
        "issued_at": int((now - timedelta(days=1)).timestamp()),
        "scopes": [*access.scopes, "public_profile"],
        "user_id": "200000000000001",
    }
    if not access.user:
        data["profile_id"] = access.page_id
    if not access.valid:
        data["error"] = {"code": 190, "message": "Session has expired.", "subcode": 463}
    return answer({"data": data})


def exchanged(given: Mapping[str, str]) -> Response:
    """Answer GET /oauth/access_token: a code, or a token of an hour, against a user's token."""
    if (given.get("client_id"), given.get("client_secret")) != (APP_ID, APP_SECRET):
        return error(101, "Error validating client secret.", kind="OAuthException")
    if given.get("grant_type") == "fb_exchange_token":
        source, seconds = given.get("fb_exchange_token", ""), LONG_LIVED_SECONDS
    else:
        source, seconds = given.get("code", ""), SHORT_LIVED_SECONDS
        if not given.get("redirect_uri"):
            return error(191, "Missing redirect_uri parameter.")
    if not re.fullmatch(rf"{PREFIX}[\w.-]+", source):
        return error(100, "This authorization code has been used or is not valid.", subcode=36007)
    token = f"{source.partition('.')[0]}.user"
    return answer({"access_token": token, "token_type": "bearer", "expires_in": seconds})


def agreed(given: Mapping[str, str], page: str) -> Response:
    """Answer the page on which a person agrees: this one agrees at once, and leads back."""
    redirect = given.get("redirect_uri", "")
    if given.get("client_id") != APP_ID or not re.match(
        r"https?://(127\.0\.0\.1|localhost)[:/]", redirect
    ):
        return error(191, "Can't load URL: the domain of this URL isn't included in the app.")
    query = urlencode({"code": page, "state": given.get("state", "")})
    return Response(status=302, headers={"Location": f"{redirect}?{query}"})
