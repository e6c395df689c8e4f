"""A stand-in for Facebook Pages on the Graph API: feed, photos, edits, comments, lists, deletion.

Parameters and answers keep to Meta's own parameter lists (v25.0, v26.0) and error envelope: limits
are a 400 with a code, never a 429. A picture is really fetched from its address; a text that equals
the newest one is a 506; an app edits only what it posted itself. Who a token is: facebook_access.py
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from aiohttp.web import Request, Response, UrlDispatcher

from broadcaster.clock import Clock
from broadcaster.sandbox import facebook_access as access
from broadcaster.sandbox.answers import Answers, Window, answer
from broadcaster.sandbox.facebook_access import Access, error, missing
from broadcaster.sandbox.faults import CALL, Faults, On, Stage, possible
from broadcaster.sandbox.looks import Look
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import PREFIX, Post, Posts, account, is_text

NAME = "facebook"
LOOK = Look(NAME, "Facebook", colour="#0866ff")
TEXT_MAX = 63_206
PAGE_DEFAULT, PAGE_MAX = 25, 100
PAGE_TOKEN = f"{PREFIX}stadt-dortmund"
TOKEN_FILE, SECRET_FILE = "facebook-page-token", "facebook-app-secret"

_FIELD = re.compile(r"(\w+)((?:\.\w+\([^)]*\))*)(?:\{[^}]*\})?")
_POST_FIELDS = frozenset(
    {
        *("id", "message", "created_time", "permalink_url", "is_published", "is_hidden"),
        *("privacy", "shares", "comments", "reactions", "from", "updated_time"),
    }
)
_PAGE_FIELDS = frozenset({"id", "name", "username", "link", "is_published"})
_COMMENT_FIELDS = frozenset({"id", "message", "created_time", "from"})


def channel(url: str) -> str:
    """Return the table of a channel that posts to this stand-in."""
    return f"""\
[channels.city-facebook]
type = "facebook"
base_url = {json.dumps(url)}
page_id = "{account(PAGE_TOKEN).number}"
access_token_file = "{TOKEN_FILE}"
app_id = "{access.APP_ID}"
app_secret_file = "{SECRET_FILE}"

"""


def secrets() -> dict[str, str]:
    """Return the secret files that the table names."""
    return {TOKEN_FILE: PAGE_TOKEN, SECRET_FILE: access.APP_SECRET}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with its parameters, by somebody whose token is good."""

    by: Access
    given: Mapping[str, str]
    node: str
    request: Request


Handling = Callable[[Asked], Awaitable[Response]]


class Facebook:
    """The stand-in."""

    def __init__(self, posts: Posts, clock: Clock, pictures: Pictures) -> None:
        self._posts = posts
        self._clock = clock
        self._pictures = pictures
        self._window = Window(4_800, 86_400, clock)
        self._last_id = 0
        self.answers = Answers(
            refused=lambda: error(100, "Invalid parameter"),
            rate_limited=_rate_limited,
            failed=lambda: error(2, "Service temporarily unavailable", status=500, transient=True),
            without_id=lambda: answer({"success": True}),
            expired_token=access.expired,
            duplicate=_duplicate,
        )
        self.able = possible(self.answers)

    def route(self, router: UrlDispatcher, faults: Faults) -> None:
        """Put the network's addresses under /facebook."""
        stage = Stage(NAME, self._posts, faults, self.answers)
        root = f"/{NAME}/{{version:v[0-9]+[.][0-9]+}}"

        def add(method: str, path: str, sort: On, handling: Handling) -> None:
            router.add_route(method, root + path, stage.on(sort, self._for_the_known(handling)))

        router.add_get(f"{root}/debug_token", stage.on(On.READ, self.debug_token))
        router.add_get(f"{root}/oauth/access_token", stage.on(On.LOGIN, self.exchange))
        router.add_get(f"{root}/dialog/oauth", self.agree)
        add("GET", "/me/accounts", On.READ, self.accounts)
        add("GET", "/{node}/published_posts", On.READ, self.published_posts)
        add("POST", "/{node}/feed", On.CREATE, self.feed)
        add("POST", "/{node}/photos", On.CREATE, self.photos)
        add("GET", "/{node}/comments", On.READ, self.comments)
        add("POST", "/{node}/comments", On.CREATE, self.comment)
        add("GET", "/{node}", On.READ, self.read)
        add("POST", "/{node}", On.EDIT, self.edit)
        add("DELETE", "/{node}", On.DELETE, self.delete)

    def _for_the_known(self, handling: Handling) -> Callable[[Request], Awaitable[Response]]:
        """Let in whoever has a good token, and give every answer the headers Graph gives."""

        async def handle(request: Request) -> Response:
            now = self._clock.now()
            version = access.served(request.match_info["version"], now)
            given = await access.parameters(request)
            by = access.access_of(access.token_of(request, given), now)
            node = request.match_info.get("node", "")
            if version is None:
                return error(2500, "Unknown path components: this version does not exist.")
            if by is None:
                return error(190, "Invalid OAuth access token - Cannot parse access token")
            if not by.valid:
                return access.expired()
            page = by.page_id if node == "me" else node
            done = await handling(Asked(by, given, page, request))
            done.headers.update(self._usage(by.page_id) | {"facebook-api-version": version})
            return done

        return handle

    async def feed(self, asked: Asked) -> Response:
        """POST /{page}/feed: a text."""
        message = asked.given.get("message", "")
        if refusal := self._refusal(asked, message):
            return refusal
        if not message.strip():
            return error(100, "(#100) Requires one of the params: message, link, attached_media")
        self._counted(asked, message)
        there = [post for post in self._posts.of(NAME) if self._is_posted_by(post, asked)]
        if there and there[-1].text.strip() == message.strip():
            return _duplicate()
        return answer({"id": self._add(asked, message).id})

    async def photos(self, asked: Asked) -> Response:
        """POST /{page}/photos: a picture from an address, with a text."""
        caption = asked.given.get("caption", asked.given.get("message", ""))
        if refusal := self._refusal(asked, caption):
            return refusal
        picture = await self._pictures.fetch(asked.given.get("url", ""))
        kept = self._pictures.get(picture) if picture else None
        if picture is None or kept is None or not kept.width:
            title = "Your photos couldn't be uploaded"
            advice = "Photos should be less than 4 MB and saved as JPG, PNG, GIF or TIFF files."
            said = "(#324) Missing or invalid image file"
            return error(324, said, subcode=2069019, title=title, advice=advice)
        photo = str(self._number())
        if asked.given.get("published", "true") == "false":
            return answer({"id": photo})
        self._counted(asked, caption)
        post = self._add(asked, caption)
        post.media.append({"id": picture, "alt": asked.given.get("alt_text_custom", "")})
        return answer({"id": photo, "post_id": post.id})

    async def comment(self, asked: Asked) -> Response:
        """POST /{post}/comments: a comment by the Page on a post of its own."""
        message = asked.given.get("message", "")
        if "pages_manage_engagement" not in asked.by.scopes:
            return access.lacks("pages_manage_engagement")
        post = self._own(asked)
        if post is None:
            return missing(asked.node)
        if not message.strip() or not is_text(message):
            return error(100, "(#100) Param message must not be empty")
        self._counted(asked, message)
        identity = f"{post.id.rpartition('_')[2]}_{self._number()}"
        return answer({"id": self._keep(asked, identity, message, post.id).id})

    async def comments(self, asked: Asked) -> Response:
        """GET /{post}/comments: oldest first, as Graph does unless asked otherwise."""
        if self._own(asked) is None:
            return missing(asked.node)
        found = self._comments_on(asked.node)
        if asked.given.get("order") == "reverse_chronological":
            found.reverse()
        return self._page_of(asked, found, _COMMENT_FIELDS, "id,message,created_time")

    async def published_posts(self, asked: Asked) -> Response:
        """GET /{page}/published_posts: newest first, in pages with cursors."""
        if asked.node != asked.by.page_id:
            return missing(asked.node)
        if "pages_read_engagement" not in asked.by.scopes:
            return access.lacks("pages_read_engagement")
        return self._page_of(asked, self._listed(asked), _POST_FIELDS, "id,message,created_time")

    async def read(self, asked: Asked) -> Response:
        """GET of a Page or a post, with the fields that were asked for."""
        if asked.node == asked.by.page_id:
            page = asked.by.page
            every: dict[str, Any] = {
                "id": asked.node,
                "name": page.name,
                "username": page.handle,
                "link": f"https://www.facebook.com/{page.handle}",
                "is_published": True,
            }
            return _shown(asked, every, _PAGE_FIELDS, "id,name")
        post = self._own(asked)
        if post is None:
            return missing(asked.node)
        return _shown(asked, self._fields(post), _POST_FIELDS, "id,message,created_time")

    async def edit(self, asked: Asked) -> Response:
        """POST /{post}: another text in its place."""
        message = asked.given.get("message", "")
        post = self._own(asked)
        if post is None:
            return missing(asked.node)
        if refusal := self._refusal(asked, message, page=asked.by.page_id):
            return refusal
        post.text, post.edited = message, True
        return answer({"success": True})

    async def delete(self, asked: Asked) -> Response:
        """DELETE /{post}."""
        post = self._own(asked)
        if post is None:
            return missing(asked.node)
        if "pages_manage_posts" not in asked.by.scopes:
            return access.lacks("pages_manage_posts")
        post.deleted = True
        return answer({"success": True})

    async def accounts(self, asked: Asked) -> Response:
        """GET /me/accounts: the Pages of the person whose token this is."""
        if not asked.by.user:
            return error(100, "(#100) Tried accessing nonexisting field (accounts) on node (Page)")
        page = asked.by.page
        token = PREFIX + page.handle.replace("_", "-")
        found = {"id": asked.by.page_id, "name": page.name, "access_token": token}
        return answer({"data": [found | {"tasks": ["CREATE_CONTENT", "MODERATE", "MANAGE"]}]})

    async def debug_token(self, request: Request) -> Response:
        """GET /debug_token, for the app that gave the token out."""
        given = await access.parameters(request)
        token = access.token_of(request, given)
        if token != f"{access.APP_ID}|{access.APP_SECRET}":
            return error(190, "Invalid OAuth access token - an app access token is needed")
        return access.inspected(given.get("input_token", ""), self._clock)

    async def exchange(self, request: Request) -> Response:
        """GET /oauth/access_token."""
        return access.exchanged(await access.parameters(request))

    async def agree(self, request: Request) -> Response:
        """GET /dialog/oauth: where a person agrees."""
        return access.agreed(request.query, PAGE_TOKEN)

    def _refusal(self, asked: Asked, message: str, page: str | None = None) -> Response | None:
        if (page or asked.node) != asked.by.page_id:
            return missing(asked.node)
        if asked.by.user or "pages_manage_posts" not in asked.by.scopes:
            return access.lacks("pages_manage_posts")
        if len(message) > TEXT_MAX or not is_text(message):
            return error(100, "(#100) Param message is too long, or no text")
        return None

    def _counted(self, asked: Asked, message: str) -> None:
        key = hashlib.sha256(f"{asked.node} {message}".encode()).hexdigest()
        self._posts.name(NAME, asked.request[CALL], key)

    def _add(self, asked: Asked, message: str) -> Post:
        return self._keep(asked, f"{asked.by.page_id}_{self._number()}", message, None)

    def _keep(self, asked: Asked, identity: str, message: str, on: str | None) -> Post:
        kind = {"kind": "comment"} if on else {}
        now = self._clock.now()
        post = Post(NAME, identity, asked.by.page, message, now, reply_to=on, details=kind)
        return self._posts.add(post)

    def _number(self) -> int:
        self._last_id = max(self._last_id + 1, int(self._clock.now().timestamp() * 1000))
        return self._last_id

    def _own(self, asked: Asked) -> Post | None:
        post = self._posts.get(NAME, asked.node)
        return post if post and post.account == asked.by.page else None

    def _listed(self, asked: Asked) -> list[Post]:
        return [post for post in self._posts.listed(NAME, asked.by.page) if not post.reply_to]

    def _is_posted_by(self, post: Post, asked: Asked) -> bool:
        return post.account == asked.by.page and not post.deleted and not post.reply_to

    def _comments_on(self, post: str) -> list[Post]:
        every = self._posts.of(NAME)
        return [one for one in every if one.reply_to == post and not one.deleted]

    def _fields(self, post: Post) -> dict[str, Any]:
        page = str(post.account.number)
        comments = len(self._comments_on(post.id))
        return {
            "id": post.id,
            "message": post.text,
            "created_time": post.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000"),
            "permalink_url": f"https://www.facebook.com/{post.id.replace('_', '/posts/')}",
            "is_published": True,
            "is_hidden": post.concealed,
            "privacy": {"value": "EVERYONE", "description": "Public", "friends": "", "allow": ""},
            "from": {"id": page, "name": post.account.name},
            "comments": {"data": [], "summary": {"order": "ranked", "total_count": comments}},
            "reactions": {"data": [], "summary": {"total_count": 0, "viewer_reaction": "NONE"}},
        }

    def _page_of(
        self, asked: Asked, found: list[Post], known: frozenset[str], usual: str
    ) -> Response:
        """Give one page of a list, as asked by `limit` and `after`."""
        limit = asked.given.get("limit", str(PAGE_DEFAULT))
        if not limit.isdecimal() or not 1 <= int(limit) <= PAGE_MAX:
            return error(100, f"(#100) limit must be from 1 to {PAGE_MAX}")
        after = asked.given.get("after")
        places = [place for place, post in enumerate(found) if post.id == after]
        if after and not places:
            return error(100, "(#100) The cursor is not valid")
        rest = found[places[0] + 1 :] if places else found
        page = rest[: int(limit)]
        shown = [_picked(asked, self._fields(post), known, usual) for post in page]
        if fault := next((one for one in shown if isinstance(one, Response)), None):
            return fault
        body: dict[str, Any] = {"data": shown}
        if page:
            body["paging"] = {"cursors": {"before": page[0].id, "after": page[-1].id}}
        if len(rest) > len(page):
            body["paging"]["next"] = f"{asked.request.url.path}?after={page[-1].id}"
        return answer(body)

    def _usage(self, page: str) -> dict[str, str]:
        left, _ = self._window.use()
        used = 100 - 100 * left // self._window.limit
        usage = {"call_count": used, "total_cputime": 1, "total_time": 1}
        return _usage_headers(page, usage, 0)


def _usage_headers(page: str, usage: Mapping[str, int], minutes: int) -> dict[str, str]:
    pages = {"type": "pages", **usage, "estimated_time_to_regain_access": minutes}
    return {
        "X-App-Usage": json.dumps(usage),
        "X-Business-Use-Case-Usage": json.dumps({page: [pages]}),
    }


def _rate_limited(seconds: float) -> Response:
    """Refuse a call as one too many; the wait is told in whole minutes, below that not at all."""
    sentence = "(#80001) There have been too many calls to this Page account."
    refused = error(80001, sentence, subcode=2446079)
    usage = {"call_count": 100, "total_cputime": 25, "total_time": 25}
    refused.headers.update(_usage_headers("0", usage, int(seconds // 60)))
    return refused


def _duplicate() -> Response:
    return error(506, "(#506) Duplicate status message", subcode=1455006, title="Duplicate Status")


def _shown(asked: Asked, every: Mapping[str, Any], known: frozenset[str], usual: str) -> Response:
    picked = _picked(asked, every, known, usual)
    return picked if isinstance(picked, Response) else answer(picked)


def _picked(
    asked: Asked, every: Mapping[str, Any], known: frozenset[str], usual: str
) -> dict[str, Any] | Response:
    """Return the fields that were asked for; what has no value is left out, as Graph does."""
    wanted = [found[1] for found in _FIELD.finditer(asked.given.get("fields", usual))]
    if strange := [name for name in wanted if name not in known]:
        return error(100, f"(#100) Tried accessing nonexisting field ({strange[0]})")
    return {name: every[name] for name in every if name in {"id", *wanted}}
