"""What a request to X's API v2 asks for, who signs it, and what is wrong with it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from aiohttp.web import Request
from oauthlib.oauth1.rfc5849 import signature

from broadcaster.sandbox.posts import PREFIX, Account, Post, account, is_text

CONSUMER_KEY = "sandbox-consumer-key"
PAGE, PAGE_MIN, PAGE_MAX = 10, 5, 100

_ID = re.compile(r"[0-9]{1,19}\Z")
_OAUTH = re.compile(r'(\w+)="([^"]*)"')


class Wanted:
    """What a reader of a timeline asks for. Raises ValueError with X's sort of sentence."""

    def __init__(self, query: Mapping[str, str]) -> None:
        self.most = _between(query.get("max_results"))
        self._start = _moment(query.get("start_time"))
        self._end = _moment(query.get("end_time"))
        self._since = int(query.get("since_id") or 0)
        self._until = int(query.get("until_id") or 1 << 63)
        if token := query.get("pagination_token"):
            self._until = min(self._until, _from_token(token))
        self._replies = "replies" not in query.get("exclude", "").split(",")

    def takes(self, post: Post) -> bool:
        return (
            self._since < int(post.id) < self._until
            and (self._start is None or post.created >= self._start)
            and (self._end is None or post.created < self._end)
            and (self._replies or post.reply_to is None)
        )


def _between(text: str | None) -> int:
    if text is None:
        return PAGE
    if not text.isdigit() or not PAGE_MIN <= int(text) <= PAGE_MAX:
        raise ValueError(f"The `max_results` value is not between {PAGE_MIN} and {PAGE_MAX}.")
    return int(text)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def token_after(identity: str) -> str:
    """Return the pagination token for what is older than this post."""
    return base64.b32hexencode(identity.encode()).decode().rstrip("=").lower()


def _from_token(token: str) -> int:
    padded = token.upper() + "=" * (-len(token) % 8)
    return int(base64.b32hexdecode(padded))


def _is_id(value: object) -> bool:
    return isinstance(value, str) and bool(_ID.match(value))


def _is_ids(value: object) -> bool:
    return isinstance(value, list) and 1 <= len(value) <= 4 and all(map(_is_id, value))


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _table(**fields: Callable[[object], bool]) -> Callable[[object], bool]:
    """Return a check for an object with these fields and no others."""
    return lambda value: (
        isinstance(value, dict)
        and all(name in fields and fields[name](one) for name, one in value.items())
    )


_FIELDS: dict[str, Callable[[object], bool]] = {
    "text": lambda value: is_text(value) and bool(value),
    "media": _table(media_ids=_is_ids, tagged_user_ids=_is_ids),
    "reply": _table(in_reply_to_tweet_id=_is_id, exclude_reply_user_ids=_is_ids),
    "quote_tweet_id": _is_id,
    "reply_settings": lambda value: (
        value in ("following", "mentionedUsers", "subscribers", "verified")
    ),
    "made_with_ai": _is_bool,
    "paid_partnership": _is_bool,
    "nullcast": _is_bool,
    "for_super_followers_only": _is_bool,
    "share_with_followers": _is_bool,
    "community_id": _is_id,
}


def wrong(body: Mapping[str, object]) -> str | None:
    """Say what a body of POST /2/tweets has that X refuses."""
    for name, value in body.items():
        if name not in _FIELDS:
            return f"[{name}] is not a field of this request"
        if not _FIELDS[name](value):
            return f"[{name}] is not as it must be"
    return None if "text" in body else "[text] is required"


def author_of(request: Request) -> Account | None:
    """Return whose token a request carries; None if it carries no good one.

    What follows a `~` is no part of the account's name: OAuth 2.0 gives it ever new tokens.
    """
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Bearer":
        return account(rest.partition("~")[0]) if rest.startswith(PREFIX) else None
    if scheme != "OAuth":
        return None
    fields = {name: unquote(value) for name, value in _OAUTH.findall(rest)}
    token, consumer = fields.get("oauth_token", ""), fields.get("oauth_consumer_key", "")
    if not token.startswith(PREFIX) or not consumer.startswith(PREFIX):
        return None
    if consumer == CONSUMER_KEY and not _signed(request, token, fields.get("oauth_signature", "")):
        return None
    return account(token)


def bearer_of(request: Request) -> str:
    """Return the token of OAuth 2.0 that a request carries, empty if none."""
    scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
    return rest if scheme == "Bearer" else ""


def _signed(request: Request, token: str, given: str) -> bool:
    """Check an OAuth 1.0a signature (HMAC-SHA1); a JSON body is no part of it."""
    parameters: Any = signature.collect_parameters(
        uri_query=request.query_string,
        headers={"Authorization": request.headers["Authorization"]},
    )
    uri = signature.base_string_uri(f"http://{request.host}{request.rel_url.raw_path}")
    method: Any = request.method
    normal = signature.normalize_parameters(parameters)
    base = signature.signature_base_string(method, uri, normal)
    secrets = f"{CONSUMER_KEY}-secret&{token}-secret".encode()
    digest = hmac.new(secrets, base.encode(), hashlib.sha1).digest()
    return hmac.compare_digest(base64.b64encode(digest), given.encode())
