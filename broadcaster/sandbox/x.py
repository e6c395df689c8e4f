"""A stand-in for X's API v2: create, delete, own posts, one post, who am I, pictures, usage.

Requests and answers keep to X's OpenAPI documents, the older one (tweet.fields) and the newer one
(post.fields). Unknown fields are refused, texts are measured in weighted characters, a text that is
already there is a 403, links come back as t.co and `<>&` as entities, as X gives them.

Every access token that begins `sandbox-` is an account of its own; those that begin with
x_oauth.APP_ONLY are an app's, which sees what the public sees; one with `.without-credits` in it
has nothing left to pay with. OAuth 1.0a signatures are checked where the stand-in knows the
secrets: under x_request.CONSUMER_KEY, where key and token have the secret that is their own name
with `-secret` behind it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, timedelta
from email.utils import format_datetime
from html import escape
from typing import Any

from aiohttp.web import Request, Response, StreamResponse, UrlDispatcher
from twitter_text import extract_urls_with_indices, parse_tweet
from twitter_text.has_invalid_characters import has_invalid_characters

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import PROBLEM, Answers, Window, answer, as_object
from broadcaster.sandbox.faults import CALL, Faults, Handler, On, Stage, possible
from broadcaster.sandbox.looks import Look
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import PREFIX, Account, Post, Posts
from broadcaster.sandbox.x_media import Uploads
from broadcaster.sandbox.x_oauth import APP_ONLY, Grants
from broadcaster.sandbox.x_request import (
    CONSUMER_KEY,
    Wanted,
    author_of,
    bearer_of,
    token_after,
    wrong,
)

NAME = "x"
LOOK = Look(NAME, "X", colour="#536471")
TOKEN = f"{PREFIX}stadt-dortmund"
WEIGHT_MAX = 280
WITHOUT_CREDITS = ".without-credits"
DUPLICATE_KEPT = timedelta(hours=24)
EPOCH_MILLISECONDS = 1_288_834_974_657  # X's ids count from here

_PROBLEMS = "https://api.x.com/2/problems"
_HEAVY = re.compile(r"[^\u0000-\u10ff\u2000-\u200d\u2010-\u201f\u2032-\u2037]")


def channel(url: str) -> str:
    """Return the table of a channel that posts to this stand-in."""
    return f"""\
[channels.x]
type = "x"
languages = ["de"]
base_url = {json.dumps(url)}
consumer_key_file = "x-consumer-key"
consumer_secret_file = "x-consumer-secret"
access_token_file = "x-access-token"
access_token_secret_file = "x-access-token-secret"
bearer_token_file = "x-bearer-token"

"""


def secrets() -> dict[str, str]:
    """Return the secret files that the table names."""
    return {
        "x-consumer-key": CONSUMER_KEY,
        "x-consumer-secret": f"{CONSUMER_KEY}-secret",
        "x-access-token": TOKEN,
        "x-access-token-secret": f"{TOKEN}-secret",
        "x-bearer-token": APP_ONLY,
    }


def _problem(status: int, title: str, detail: str, kind: str = "about:blank") -> Response:
    body = {"title": title, "detail": detail, "type": kind, "status": status}
    return answer(body, status, content_type=PROBLEM)


def _invalid(message: str) -> Response:
    body = {
        "errors": [{"message": message}],
        "title": "Invalid Request",
        "detail": "One or more parameters to your request was invalid.",
        "type": f"{_PROBLEMS}/invalid-request",
    }
    return answer(body, 400, content_type=PROBLEM)


def _forbidden(detail: str) -> Response:
    return _problem(403, "Forbidden", detail)


def _no_credits() -> Response:
    title, kind = "CreditsDepleted", f"{_PROBLEMS}/credits-depleted"
    return _problem(402, title, "The account has no credits left.", kind)


def _unauthorized() -> Response:
    return _problem(401, "Unauthorized", "Unauthorized")


def _duplicate() -> Response:
    return _forbidden("You are not allowed to create a Tweet with duplicate content.")


def fits(text: str) -> bool:
    """Say whether a text has at most 280 weighted characters and none that X refuses.

    The exact count takes most of a millisecond; a text that fits by a bound that is never too low
    (every dot may make a link, which weighs 23) needs no exact count.
    """
    if text and not has_invalid_characters(text):
        bound = len(text) + len(_HEAVY.findall(text)) + 23 * text.count(".")
        if bound <= WEIGHT_MAX:
            return True
    return bool(parse_tweet(text).valid)


def shortened(text: str) -> str:
    """Return a text as X gives it back: links as t.co, and `<>&` as entities."""
    links = extract_urls_with_indices(text) if "." in text else []
    for link in reversed(links):
        begin, end = link["indices"]
        name = base64.urlsafe_b64encode(hashlib.sha256(link["url"].encode()).digest())[:10]
        text = f"{text[:begin]}https://t.co/{name.decode().replace('-', 'A')}{text[end:]}"
    return escape(text, quote=False)


class X:
    """The stand-in."""

    def __init__(self, posts: Posts, clock: Clock, pictures: Pictures) -> None:
        self._posts = posts
        self._clock = clock
        self._uploads = Uploads(pictures, clock)
        self._grants = Grants(TOKEN, clock)
        self._windows = {
            "create": Window(100, 900, clock),
            "delete": Window(50, 900, clock),
            "me": Window(75, 900, clock),
            "read": Window(900, 900, clock),
        }
        self._last_id = 0
        self.answers = Answers(
            refused=lambda: _forbidden("You are not permitted to perform this action."),
            rate_limited=self._rate_limited,
            failed=lambda: _problem(500, "Internal Server Error", "Internal Server Error"),
            without_id=lambda: answer({"errors": [_NO_ID]}, 201),
            expired_token=_unauthorized,
            duplicate=_duplicate,
        )
        self.able = possible(self.answers)

    def route(self, router: UrlDispatcher, faults: Faults) -> None:
        """Put the network's addresses under /x."""
        stage = Stage(NAME, self._posts, faults, self.answers)

        def add(method: str, path: str, sort: On, handler: Handler) -> None:
            router.add_route(method, f"/{NAME}/2{path}", self._dated(stage.on(sort, handler)))

        add("POST", "/tweets", On.CREATE, self.create)
        add("GET", "/users/me", On.READ, self.me)
        add("GET", "/users/{id}/tweets", On.READ, self.timeline)
        add("GET", "/tweets/{id}", On.READ, self.read)
        add("DELETE", "/tweets/{id}", On.DELETE, self.delete)
        add("POST", "/media/upload", On.PREPARE, self._own(self._uploads.take))
        add("GET", "/media/upload", On.READ, self._own(self._uploads.state))
        add("POST", "/media/metadata", On.PREPARE, self._own(self._uploads.describe))
        add("GET", "/usage/tweets", On.READ, self.usage)
        add("POST", "/oauth2/token", On.LOGIN, self._grants.token)
        router.add_get(f"/{NAME}/2/oauth2/authorize", self._grants.authorize)

    def _dated(self, handler: Handler) -> Handler:
        """Give every answer the time of this stand-in's clock: who signs looks at it."""

        async def handle(request: Request) -> StreamResponse:
            broke = WITHOUT_CREDITS in request.headers.get("Authorization", "")
            done = _no_credits() if broke else await handler(request)
            if not done.prepared:
                moment = self._clock.now().astimezone(UTC)
                done.headers["Date"] = format_datetime(moment, usegmt=True)
            return done

        return handle

    def _author(self, request: Request) -> Account | None:
        """Return the account that a request is made with, None if with none or an app's token."""
        token = bearer_of(request)
        if token.startswith(APP_ONLY) or self._grants.is_over(token):
            return None
        return author_of(request)

    def _own(self, handling: Callable[[Request, Account], Awaitable[Any]]) -> Handler:
        """Let in whoever has a good token, and refuse what X refuses, in its words."""

        async def handle(request: Request) -> Response:
            author = self._author(request)
            if not author:
                return _unauthorized()
            try:
                return answer({"data": await handling(request, author)})
            except ValueError as error:
                return _invalid(str(error))

        return handle

    async def usage(self, request: Request) -> Response:
        """GET /2/usage/tweets: an app's token alone may read it."""
        if not bearer_of(request).startswith(APP_ONLY):
            return _forbidden("Authenticating with OAuth 1.0a User Context is forbidden here.")
        used = sum(window.used for window in self._windows.values())
        data = {
            "cap_reset_day": 7,
            "project_cap": "2000000",
            "project_id": "1850000000000000000",
            "project_usage": str(used),
        }
        return answer({"data": data})

    async def create(self, request: Request) -> Response:
        """POST /2/tweets."""
        author = self._author(request)
        if not author:
            return _unauthorized()
        body = as_object(await request.read())
        if body is None:
            return _invalid("Body is not a JSON object.")
        if fault := wrong(body):
            return _invalid(fault)
        text = body["text"]
        self._posts.name(NAME, request[CALL], hashlib.sha256(text.encode()).hexdigest())
        if refusal := self._refusal(author, body):
            return refusal
        try:
            media = self._uploads.media(body.get("media", {}).get("media_ids", []), author)
        except ValueError as error:
            return _invalid(str(error))
        post = self._posts.add(self._post(author, body, media), (author.handle, text.strip()))
        data = {"id": post.id, "text": shortened(text), "edit_history_tweet_ids": [post.id]}
        return answer({"data": data}, 201, self._headers("create"))

    def _refusal(self, author: Account, body: Mapping[str, Any]) -> Response | None:
        text = body["text"]
        if not fits(text):
            return _invalid(f"Your post is longer than {WEIGHT_MAX} characters, or has wrong ones.")
        before = self._posts.marked(NAME, (author.handle, text.strip()))
        if before and not before.deleted and self._clock.now() - before.created < DUPLICATE_KEPT:
            return _duplicate()
        replied = _replied(body)
        if replied and not self._posts.get(NAME, replied):
            return _forbidden("You attempted to reply to a post that is deleted or not visible.")
        return None

    def _post(self, author: Account, body: Mapping[str, Any], media: list[dict[str, str]]) -> Post:
        now = self._clock.now()
        milliseconds = int(now.timestamp() * 1000) - EPOCH_MILLISECONDS
        self._last_id = max(self._last_id + 1, milliseconds << 22)
        return Post(
            NAME,
            str(self._last_id),
            author,
            body["text"],
            now,
            reply_to=_replied(body),
            media=media,
        )

    async def delete(self, request: Request) -> Response:
        """DELETE /2/tweets/{id}."""
        author = self._author(request)
        if not author:
            return _unauthorized()
        post = self._posts.get(NAME, request.match_info["id"])
        if not post:
            return answer(_not_found(request.match_info["id"]) | {"status": 404}, 404)
        if post.account != author:
            return _forbidden("You are not authorized to delete this Tweet.")
        post.deleted = True
        return answer({"data": {"deleted": True}}, headers=self._headers("delete"))

    async def me(self, request: Request) -> Response:
        """GET /2/users/me."""
        author = self._author(request)
        if not author:
            return _unauthorized()
        user = {"id": str(author.number), "name": author.name, "username": author.handle}
        return answer({"data": user}, headers=self._headers("me"))

    async def read(self, request: Request) -> Response:
        """GET /2/tweets/{id}: one that is not there, or not for the reader, is in `errors`."""
        author, app_only = self._author(request), bearer_of(request).startswith(APP_ONLY)
        if not author and not app_only:
            return _unauthorized()
        identity = request.match_info["id"]
        post = self._posts.get(NAME, identity)
        if post is None:
            return answer({"errors": [_not_found(identity)]}, headers=self._headers("read"))
        if post.concealed and post.account != author:
            return answer({"errors": [_not_for_you(identity)]}, headers=self._headers("read"))
        replies = [one for one in self._posts.of(NAME) if one.reply_to == identity]
        body = _shown(post, request, sum(not one.deleted for one in replies))
        return answer({"data": body}, headers=self._headers("read"))

    async def timeline(self, request: Request) -> Response:
        """GET /2/users/{id}/tweets: newest first, paged, from `start_time` on."""
        author = self._author(request)
        if not author:
            return _unauthorized()
        try:
            wanted = Wanted(request.query)
        except ValueError as error:
            return _invalid(str(error))
        own = request.match_info["id"] == str(author.number)
        found = [post for post in self._posts.listed(NAME, author) if own and wanted.takes(post)]
        page = found[: wanted.most]
        meta: dict[str, Any] = {"result_count": len(page)}
        if not page:
            return answer({"meta": meta}, headers=self._headers("read"))
        meta |= {"newest_id": page[0].id, "oldest_id": page[-1].id}
        if len(found) > len(page):
            meta["next_token"] = token_after(page[-1].id)
        data = [_shown(post, request) for post in page]
        return answer({"data": data, "meta": meta}, headers=self._headers("read"))

    def _headers(self, window: str) -> dict[str, str]:
        left, ends = self._windows[window].use()
        return _rate_headers(self._windows[window].limit, left, ends)

    def _rate_limited(self, seconds: float) -> Response:
        ends = int(self._clock.now().timestamp() + seconds + 0.999)
        refused = _problem(429, "Too Many Requests", "Too Many Requests")
        refused.headers.update(_rate_headers(self._windows["create"].limit, 0, ends))
        return refused


_NO_ID = {"title": "Internal Error", "detail": "The post has no id.", "type": "about:blank"}


def _rate_headers(limit: int, left: int, ends: int) -> dict[str, str]:
    return {
        "x-rate-limit-limit": str(limit),
        "x-rate-limit-remaining": str(left),
        "x-rate-limit-reset": str(ends),
    }


def _not_found(identity: str) -> dict[str, Any]:
    return {
        "value": identity,
        "detail": f"Could not find tweet with id: [{identity}].",
        "title": "Not Found Error",
        "resource_type": "tweet",
        "parameter": "id",
        "resource_id": identity,
        "type": f"{_PROBLEMS}/resource-not-found",
    }


def _not_for_you(identity: str) -> dict[str, Any]:
    return {
        "value": identity,
        "detail": f"Sorry, you are not authorized to see the Tweet with id: [{identity}].",
        "title": "Authorization Error",
        "section": "data",
        "resource_type": "tweet",
        "parameter": "id",
        "resource_id": identity,
        "type": f"{_PROBLEMS}/not-authorized-for-resource",
    }


def _shown(post: Post, request: Request, replies: int = 0) -> dict[str, Any]:
    """Return a post with the fields that were asked for, in the spelling that was asked in."""
    newer = "post.fields" in request.query
    asked = request.query.get("post.fields" if newer else "tweet.fields", "")
    every: dict[str, Any] = {
        "id": post.id,
        "text": shortened(post.text),
        "created_at": post.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "author_id": str(post.account.number),
        "lang": "und",
        "conversation_id": post.id,
        "public_metrics": {
            f"{'repost' if newer else 'retweet'}_count": 0,
            "reply_count": replies,
            "like_count": 0,
            "quote_count": 0,
            "bookmark_count": 0,
            "impression_count": 0,
        },
    }
    shown = {name: every[name] for name in every if name in {"id", "text", *asked.split(",")}}
    return shown | {f"edit_history_{'post' if newer else 'tweet'}_ids": [post.id]}


def _replied(body: Mapping[str, Any]) -> str | None:
    reply: str | None = body.get("reply", {}).get("in_reply_to_tweet_id")
    return reply
