"""A stand-in for a Mastodon server: statuses with idempotency keys, own statuses, the instance.

What it answers follows Mastodon 4.5: bodies of errors, HTML content, paging by id, and the
X-RateLimit-* headers. An Idempotency-Key holds for an hour per account; the text is not compared.
What the public may see can be read without a token, as on most servers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

import grapheme
from aiohttp.web import Request, Response, UrlDispatcher

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import Answers, Window, answer, as_object
from broadcaster.sandbox.faults import CALL, Faults, On, Stage, possible
from broadcaster.sandbox.looks import Look
from broadcaster.sandbox.mastodon_media import ALT_MAX, BYTES_MAX, Attachment, Attachments
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import PREFIX, Account, Post, Posts, account, is_text

NAME = "mastodon"
LOOK = Look(NAME, "Mastodon", colour="#6364ff")
TOKEN_FILE = "mastodon-token"  # noqa: S105 - the name of a file
CHARACTERS_MAX = 500
CHARACTERS_PER_LINK = 23
KEY_KEPT = timedelta(hours=1)
PAGE, PAGE_MAX = 20, 40
VERSION = "4.5.2"

_LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)]")
_REMOTE_MENTION = re.compile(r"(?<!\w)@(\w[\w.-]*)@[\w.-]+\w")
_MENTION = re.compile(r"(?<![\w/])@(\w+(?:@[\w.-]+\w)?)")


def channel(url: str) -> str:
    """Return the table of a channel that posts to this stand-in."""
    return f"""\
[channels.city-mastodon]
type = "mastodon"
api_base_url = "https://mastodon.example.org"
base_url = {json.dumps(url)}
access_token_file = "{TOKEN_FILE}"

"""


def secrets() -> dict[str, str]:
    """Return the secret files that the table names."""
    return {TOKEN_FILE: f"{PREFIX}stadt-dortmund"}


def length(text: str) -> int:
    """Count as Mastodon does: graphemes, a link 23, of @user@domain only @user."""
    short = _REMOTE_MENTION.sub(r"@\1", _LINK.sub("x" * CHARACTERS_PER_LINK, text))
    return int(grapheme.length(short))


def content(text: str) -> str:
    """Render a text as Mastodon does: paragraphs, line breaks, links and mentions."""
    html = _LINK.sub(r'<a href="\g<0>" target="_blank" rel="nofollow noopener">\g<0></a>', _e(text))
    html = _MENTION.sub(r'<span class="h-card">@<span>\1</span></span>', html)
    paragraphs = (part.replace("\n", "<br />") for part in re.split(r"\n{2,}", html.strip()))
    return "".join(f"<p>{part}</p>" for part in paragraphs)


def _e(text: str) -> str:
    return escape(text.replace("\r\n", "\n"), quote=True)


def _error(sentence: str, status: int) -> Response:
    return answer({"error": sentence}, status)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Mastodon:
    """The stand-in. Every token that begins `sandbox-` is an account of its own."""

    def __init__(self, posts: Posts, clock: Clock, pictures: Pictures) -> None:
        self._posts = posts
        self._clock = clock
        self._attachments = Attachments(pictures, clock)
        self._window = Window(300, 300, clock)
        self._last_id = 0
        self.answers = Answers(
            refused=lambda: _error("Validation failed: Text is not acceptable", 422),
            rate_limited=self._rate_limited,
            failed=lambda: _error("Something went wrong on our end", 500),
            without_id=lambda: answer({}),
            expired_token=lambda: _error("The access token expired", 401),
        )
        self.able = possible(self.answers)
        self.url = ""

    def route(self, router: UrlDispatcher, faults: Faults) -> None:
        """Put the network's addresses under /mastodon."""
        stage = Stage(NAME, self._posts, faults, self.answers)
        api = f"/{NAME}/api"
        router.add_get(f"/{NAME}/health", self.health)
        router.add_post(f"{api}/v2/media", stage.on(On.PREPARE, self.upload))
        router.add_get(f"{api}/v1/media/{{id}}", stage.on(On.READ, self.media))
        router.add_post(f"{api}/v1/statuses", stage.on(On.CREATE, self.create))
        router.add_get(f"{api}/v1/statuses/{{id}}", stage.on(On.READ, self.read))
        router.add_get(f"{api}/v1/statuses/{{id}}/source", stage.on(On.READ, self.source))
        router.add_delete(f"{api}/v1/statuses/{{id}}", stage.on(On.DELETE, self.delete))
        router.add_get(f"{api}/v1/accounts/verify_credentials", stage.on(On.READ, self.credentials))
        router.add_get(f"{api}/v1/accounts/{{id}}/statuses", stage.on(On.READ, self.statuses))
        for version in ("v1", "v2"):
            instance = stage.on(On.READ, self.instance)
            router.add_get(f"{api}/{version}/instance", instance)
            router.add_get(f"{api}/{version}/instance/", instance)

    async def health(self, _request: Request) -> Response:
        """GET /health: whether the server is there at all."""
        return Response(text="OK")

    async def upload(self, request: Request) -> Response:
        """POST /api/v2/media."""
        author = _author(request)
        if not author:
            return _error("The access token is invalid", 401)
        return await self._attachments.upload(request, author, self._sandbox)

    async def media(self, request: Request) -> Response:
        """GET /api/v1/media/{id}."""
        author = _author(request)
        if not author:
            return _error("The access token is invalid", 401)
        return self._attachments.state(request.match_info["id"], author, self._sandbox)

    @property
    def _sandbox(self) -> str:
        return self.url.removesuffix(f"/{NAME}")

    async def create(self, request: Request) -> Response:
        """POST /api/v1/statuses, as a form or as JSON."""
        author = _author(request)
        if not author:
            return _error("The access token is invalid", 401)
        fields, identities = await _fields(request)
        key = request.headers.get("Idempotency-Key")
        self._posts.name(NAME, request[CALL], key or fields.get("status", ""))
        if key and (before := self._repeated(author, key)):
            return _error("Record not found", 404) if before.deleted else self._answer(before)
        if fault := self._fault(fields):
            return fault
        media = self._attachments.wanted(identities, author)
        if isinstance(media, Response):
            return media
        post = self._post(author, fields, key)
        self._attach(post, media)
        self._posts.add(post, (author.handle, key) if key else None)
        return self._answer(post)

    def _attach(self, post: Post, media: list[Attachment]) -> None:
        for one in media:
            one.attached = True
            post.media.append({"id": one.picture, "alt": one.alt})
        post.details["attachments"] = media

    def _repeated(self, author: Account, key: str) -> Post | None:
        before = self._posts.marked(NAME, (author.handle, key))
        return before if before and self._clock.now() - before.created < KEY_KEPT else None

    def _fault(self, fields: Mapping[str, str]) -> Response | None:
        text = fields.get("status", "")
        if not text.strip() or not is_text(text):
            return _error("Validation failed: Text can't be blank", 422)
        visibility = fields.get("visibility", "public")
        if visibility not in {"public", "unlisted", "private", "direct"}:
            return _error("Validation failed: Visibility is not included in the list", 422)
        # A text of few code points has few graphemes: the count, which is slow, is for the rest.
        whole = text + fields.get("spoiler_text", "")
        bound = len(whole) + CHARACTERS_PER_LINK * whole.count("://")
        if bound > CHARACTERS_MAX and length(whole) > CHARACTERS_MAX:
            sentence = f"Validation failed: Text character limit of {CHARACTERS_MAX} exceeded"
            return _error(sentence, 422)
        reply = fields.get("in_reply_to_id")
        if reply and not self._posts.get(NAME, reply):
            return _error("The post you are trying to reply to does not appear to exist.", 404)
        return None

    def _post(self, author: Account, fields: Mapping[str, str], key: str | None) -> Post:
        now = self._clock.now()
        self._last_id = max(self._last_id + 1, int(now.timestamp() * 1000) << 16)
        return Post(
            NAME,
            str(self._last_id),
            author,
            fields["status"],
            now,
            language=fields.get("language") or "de",
            key=key,
            reply_to=fields.get("in_reply_to_id") or None,
            details={
                "visibility": fields.get("visibility", "public"),
                "spoiler_text": fields.get("spoiler_text", ""),
            },
        )

    async def read(self, request: Request) -> Response:
        """GET /api/v1/statuses/{id}: what the public may see; its author sees what is hidden."""
        post = self._posts.get(NAME, request.match_info["id"])
        if not post or (post.concealed and post.account != _author(request)):
            return _error("Record not found", 404)
        # Counted here alone: in a long list it would take longer than the list.
        replies = [one for one in self._posts.of(NAME) if one.reply_to == post.id]
        counts = {"replies_count": sum(not one.deleted for one in replies)}
        return answer(self._status(post) | counts, headers=self._headers())

    async def source(self, request: Request) -> Response:
        """GET /api/v1/statuses/{id}/source: the text as it was written."""
        post = self._posts.get(NAME, request.match_info["id"])
        if not post or post.account != _author(request):
            return _error("Record not found", 404)
        spoiler = post.details["spoiler_text"]
        return answer({"id": post.id, "text": post.text, "spoiler_text": spoiler})

    async def delete(self, request: Request) -> Response:
        """DELETE /api/v1/statuses/{id}: gone, and given back with its text."""
        author = _author(request)
        if not author:
            return _error("The access token is invalid", 401)
        post = self._posts.get(NAME, request.match_info["id"])
        if not post or post.account != author:
            return _error("Record not found", 404)
        post.deleted = True
        return answer(self._status(post) | {"text": post.text}, headers=self._headers())

    async def credentials(self, request: Request) -> Response:
        """GET /api/v1/accounts/verify_credentials: who this token is."""
        author = _author(request)
        if not author:
            return _error("The access token is invalid", 401)
        source = {"privacy": "public", "sensitive": False, "language": "de", "note": ""}
        return answer(self._account(author) | {"source": source}, headers=self._headers())

    async def statuses(self, request: Request) -> Response:
        """GET /api/v1/accounts/{id}/statuses: newest first, paged by id."""
        query = request.query
        author = _author(request)
        if not author:
            return _error("The access token is invalid", 401)
        if request.match_info["id"] != str(author.number):
            return _error("Record not found", 404)
        found = [post for post in self._posts.listed(NAME, author) if _in_page(post, query)]
        if query.get("exclude_replies") in {"true", "1"}:
            found = [post for post in found if not post.reply_to]
        most = _limit(query.get("limit"))
        page = found[-most:] if "min_id" in query else found[:most]
        headers = self._headers() | self._links(request, page)
        return answer([self._status(post) for post in page], headers=headers)

    def _links(self, request: Request, page: list[Post]) -> dict[str, str]:
        if not page:
            return {}
        here = f"{self.url}{request.path.removeprefix(f'/{NAME}')}"
        older, newer = f"{here}?max_id={page[-1].id}", f"{here}?min_id={page[0].id}"
        return {"Link": f'<{older}>; rel="next", <{newer}>; rel="prev"'}

    async def instance(self, request: Request) -> Response:
        """GET /api/v1/instance, /api/v2/instance: limits of this server."""
        host = request.host
        limits = {
            "statuses": {
                "max_characters": CHARACTERS_MAX,
                "max_media_attachments": 4,
                "characters_reserved_per_url": CHARACTERS_PER_LINK,
            },
            "media_attachments": {"description_limit": ALT_MAX, "image_size_limit": BYTES_MAX},
        }
        body = {
            "domain": host,
            "uri": host,
            "title": "Sandbox",
            "version": VERSION,
            "source_url": "",
            "description": "A stand-in. Nothing here reaches anyone.",
            "configuration": limits,
            "languages": ["de"],
            "rules": [],
        }
        return answer(body, headers=self._headers())

    def _answer(self, post: Post) -> Response:
        return answer(self._status(post), headers=self._headers())

    def _status(self, post: Post) -> dict[str, Any]:
        author = self._account(post.account)
        return {
            "id": post.id,
            "created_at": _iso(post.created),
            "in_reply_to_id": post.reply_to,
            "in_reply_to_account_id": author["id"] if post.reply_to else None,
            "sensitive": False,
            "spoiler_text": post.details["spoiler_text"],
            "visibility": post.details["visibility"],
            "language": post.language,
            "uri": f"{self.url}/users/{post.account.handle}/statuses/{post.id}",
            "url": f"{self.url}/@{post.account.handle}/{post.id}",
            "replies_count": 0,
            "reblogs_count": 0,
            "favourites_count": 0,
            "edited_at": _iso(self._clock.now()) if post.edited else None,
            "content": content(post.text),
            "reblog": None,
            "application": {"name": "sandbox", "website": None},
            "account": author,
            "media_attachments": [
                self._attachments.to_json(one, self._sandbox)
                for one in post.details.get("attachments", [])
            ],
            "mentions": [],
            "tags": [],
            "emojis": [],
            "card": None,
            "poll": None,
        }

    def _account(self, author: Account) -> dict[str, Any]:
        return {
            "id": str(author.number),
            "username": author.handle,
            "acct": author.handle,
            "display_name": author.name,
            "locked": False,
            "bot": True,
            "created_at": "2026-01-01T00:00:00.000Z",
            "note": "",
            "url": f"{self.url}/@{author.handle}",
            "avatar": "",
            "header": "",
            "followers_count": 0,
            "following_count": 0,
            "statuses_count": 0,
            "emojis": [],
            "fields": [],
        }

    def _headers(self) -> dict[str, str]:
        left, ends = self._window.use()
        return self._rate_headers(left, datetime.fromtimestamp(ends, UTC))

    def _rate_headers(self, left: int, ends: datetime) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self._window.limit),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": _iso(ends),
        }

    def _rate_limited(self, seconds: float) -> Response:
        ends = self._clock.now() + timedelta(seconds=seconds)
        return answer({"error": "Too many requests"}, 429, self._rate_headers(0, ends))


def _author(request: Request) -> Account | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return account(token) if scheme == "Bearer" and token.startswith(PREFIX) else None


async def _fields(request: Request) -> tuple[dict[str, str], list[str]]:
    """Return the fields of a new status, and the ids of its media beside them."""
    if request.content_type == "application/json":
        body = as_object(await request.read()) or {}
        given = body.pop("media_ids", None)
        media = given if isinstance(given, list) else []
        fields = {name: str(value) for name, value in body.items() if value is not None}
        return fields, [str(one) for one in media]
    form = await request.post()
    fields = {name: value for name, value in form.items() if isinstance(value, str)}
    return fields, [str(one) for one in form.getall("media_ids[]", [])]


def _in_page(post: Post, query: Mapping[str, str]) -> bool:
    number = int(post.id)
    newer = max(_number(query.get("since_id")), _number(query.get("min_id")))
    older = _number(query.get("max_id"))
    return number > newer and (not older or number < older)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0


def _limit(text: str | None) -> int:
    return min(max(_number(text) or PAGE, 1), PAGE_MAX)
