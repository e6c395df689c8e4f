"""A stand-in for LinkedIn company pages: posts, their list, edits, pictures, comments, deletion.

As LinkedIn does, it answers 201 to a text of which readers see only the beginning, because a
reserved character was not escaped: `text` of a post is what readers see. The same text once more is
a 422 that names the post. A picture has two steps, and is processed for a while; a post is too.
LinkedIn documents no Retry-After; here it says how long the fault lasts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aiohttp.web import Request, Response, UrlDispatcher

from broadcaster.clock import Clock, SystemClock
from broadcaster.sandbox import linkedin_access as access
from broadcaster.sandbox.answers import Answers, answer, as_object
from broadcaster.sandbox.faults import CALL, Faults, On, Stage, possible
from broadcaster.sandbox.linkedin_access import Access, denied, error
from broadcaster.sandbox.linkedin_text import given_back, seen
from broadcaster.sandbox.looks import Look
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import PREFIX, Post, Posts, account, is_text

NAME = "linkedin"
LOOK = Look(NAME, "LinkedIn", colour="#0a66c2")
TEXT_MAX, COMMENT_MAX, ALT_MAX = 3_000, 1_250, 4_086  # of what is seen, in UTF-16 units
PAGE_DEFAULT, PAGE_MAX = 10, 100
PICTURE_TAKES = timedelta(seconds=0.2)
POST_TAKES = timedelta(seconds=0.5)
DUPLICATE_KEPT = timedelta(hours=24)
TOKEN = f"{PREFIX}stadt-dortmund"
TOKEN_FILE, SECRET_FILE = "linkedin-token", "linkedin-client-secret"
GHOST = "urn:li:share:6844785523593134080"  # LinkedIn has been seen to name posts that are not

_NEEDED = ("author", "commentary", "visibility", "distribution", "lifecycleState")
_CHOICES = {
    "visibility": frozenset({"PUBLIC", "CONNECTIONS", "LOGGED_IN"}),
    "lifecycleState": frozenset({"PUBLISHED"}),
}


def channel(url: str) -> str:
    """Return the table of a channel that posts to this stand-in."""
    return f"""\
[channels.city-linkedin]
type = "linkedin"
base_url = {json.dumps(url)}
token_url = {json.dumps(url)}
organization_id = "{account(TOKEN).number}"
access_token_file = "{TOKEN_FILE}"
client_id = "{access.CLIENT_ID}"
client_secret_file = "{SECRET_FILE}"
version = "{access.newest_version(SystemClock().now())}"

"""


def secrets() -> dict[str, str]:
    """Return the secret files that the table names."""
    grant = {"access_token": TOKEN, "refresh_token": f"{TOKEN}.refresh"}
    return {TOKEN_FILE: json.dumps(grant), SECRET_FILE: access.CLIENT_SECRET}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request by somebody whose token is good; `urn` is the part of its path that is one."""

    by: Access
    request: Request
    urn: str
    body: Mapping[str, Any]


@dataclass(slots=True)
class Picture:
    """A picture on its way: `kept` is its id in the sandbox once it was uploaded."""

    owner: str
    kept: str | None = None
    ready: datetime | None = None
    spoiled: bool = False


Handling = Callable[[Asked], Awaitable[Response]]


class LinkedIn:
    """The stand-in."""

    def __init__(self, posts: Posts, clock: Clock, pictures: Pictures) -> None:
        self._posts = posts
        self._clock = clock
        self._kept = pictures
        self._tokens = access.Tokens(clock)
        self._pictures: dict[str, Picture] = {}
        self._number = 0
        self.url = ""
        self.answers = Answers(
            refused=lambda: error(400, "FIELD_LENGTH_TOO_LONG", "commentary is too long"),
            rate_limited=_rate_limited,
            failed=lambda: error(500, "INTERNAL_SERVER_ERROR", "Internal Server Error"),
            without_id=lambda: Response(status=201),
            expired_token=access.expired,
            duplicate=lambda: _duplicate(GHOST),
        )
        self.able = possible(self.answers)

    def route(self, router: UrlDispatcher, faults: Faults) -> None:
        """Put the network's addresses under /linkedin."""
        stage = Stage(NAME, self._posts, faults, self.answers)

        def add(method: str, path: str, sort: On, handling: Handling, scope: str) -> None:
            handler = stage.on(sort, self._for_the_known(handling, scope))
            router.add_route(method, f"/{NAME}/rest{path}", handler)

        add("POST", "/posts", On.CREATE, self.create, access.WRITE)
        add("GET", "/posts", On.READ, self.own_posts, access.READ)
        add("GET", "/posts/{urn}", On.READ, self.read, access.READ)
        add("POST", "/posts/{urn}", On.EDIT, self.edit, access.WRITE)
        add("DELETE", "/posts/{urn}", On.DELETE, self.delete, access.WRITE)
        add("POST", "/images", On.PREPARE, self.place, access.WRITE)
        add("GET", "/images/{urn}", On.READ, self.picture, access.WRITE)
        add("POST", "/socialActions/{urn}/comments", On.CREATE, self.comment, access.WRITE)
        add("GET", "/socialActions/{urn}/comments", On.READ, self.comments, access.READ)
        add("GET", "/socialMetadata/{urn}", On.READ, self.metadata, access.READ)
        router.add_put(f"/{NAME}/dms-uploads/{{id}}", stage.on(On.PREPARE, self.upload))
        exchange = stage.on(On.LOGIN, self._tokens.exchange)
        router.add_post(f"/{NAME}/oauth/v2/accessToken", exchange)
        router.add_get(f"/{NAME}/oauth/v2/authorization", self.agree)

    def _for_the_known(
        self, handling: Handling, scope: str
    ) -> Callable[[Request], Awaitable[Response]]:
        """Let in whoever has a good token, a permission, and asks for a version that is served."""

        async def handle(request: Request) -> Response:
            body = as_object(await request.read() or b"{}")
            if fault := access.version_fault(request, self._clock.now()):
                return fault
            by = access.access_of(request)
            if isinstance(by, Response):
                return by
            if not by.may(scope):
                return denied(f"{handling.__name__} needs {scope}")
            if request.headers.get("X-Restli-Protocol-Version") != "2.0.0":
                return error(400, "ILLEGAL_ARGUMENT", "Rest.li protocol 2.0.0 is needed")
            if re.search(r"[:()'!*]", request.rel_url.raw_path):
                return error(400, "ILLEGAL_ARGUMENT", "Syntax exception in path variables")
            if body is None:
                return error(400, "INVALID_REQUEST", "Invalid JSON")
            return await handling(Asked(by, request, request.match_info.get("urn", ""), body))

        return handle

    # Posts

    async def create(self, asked: Asked) -> Response:
        """POST /rest/posts: the post's URN comes back in a header."""
        if refusal := self._refusal(asked) or self._picture_refusal(asked):
            return refusal
        commentary = str(asked.body["commentary"])
        key = f"{asked.by.urn} {commentary}"
        self._posts.name(NAME, asked.request[CALL], hashlib.sha256(key.encode()).hexdigest())
        before, now = self._posts.marked(NAME, key), self._clock.now()
        if before and not before.deleted and now - before.created < DUPLICATE_KEPT:
            return _duplicate(before.id)
        post = Post(
            NAME,
            f"urn:li:share:{self._next()}",
            asked.by.page,
            seen(commentary),
            now,
            media=self._shown(asked.body),
            details={"commentary": commentary, "seen": seen(commentary)},
        )
        urn = self._posts.add(post, key).id
        return Response(status=201, headers={"x-restli-id": urn, "x-linkedin-id": urn})

    def _refusal(self, asked: Asked) -> Response | None:
        body = asked.body
        for name in _NEEDED:
            if name not in body:
                said = f"ERROR :: /{name} :: field is required but not found and has no default"
                return error(422, "UNPROCESSABLE_ENTITY", f"{said} value")
        for name, choices in _CHOICES.items():
            if body[name] not in choices:
                return error(400, "INVALID_VALUE_FOR_FIELD", f"{name} is not as it must be")
        if body["author"] != asked.by.urn:
            return denied(f"posts of {body['author']}")
        return _text_fault(body["commentary"])

    def _picture_refusal(self, asked: Asked) -> Response | None:
        media = (asked.body.get("content") or {}).get("media")
        if media is None:
            return None
        picture = self._pictures.get(str(media.get("id")))
        if picture is None or picture.owner != asked.by.urn:
            return error(400, "INVALID_URN_ID", "content.media.id names no picture of the author")
        if len(str(media.get("altText", ""))) > ALT_MAX:
            return error(400, "FIELD_LENGTH_TOO_LONG", "altText is too long")
        if picture.spoiled:
            return error(400, "MEDIA_ASSET_PROCESSING_FAILED", "Media asset processing failed")
        if picture.ready is None or self._clock.now() < picture.ready:
            return error(400, "MEDIA_ASSET_WAITING_UPLOAD", "Media asset is waiting upload")
        return None

    def _shown(self, body: Mapping[str, Any]) -> list[dict[str, str]]:
        media = (body.get("content") or {}).get("media")
        if media is None:
            return []
        kept = self._pictures[media["id"]].kept or ""
        return [{"id": kept, "alt": str(media.get("altText", ""))}]

    async def own_posts(self, asked: Asked) -> Response:
        """GET /rest/posts?q=author: newest first, in pages."""
        query = asked.request.query
        if query.get("q") != "author" or asked.request.headers.get("X-RestLi-Method") != "FINDER":
            return error(400, "ILLEGAL_ARGUMENT", "Only the finder `author` is served")
        if query.get("author") != asked.by.urn:
            return denied(f"posts of {query.get('author')}")
        found = [one for one in self._posts.listed(NAME, asked.by.page) if not one.reply_to]
        return _page(asked, [self._fields(post) for post in found])

    async def read(self, asked: Asked) -> Response:
        """GET /rest/posts/{urn}."""
        post = self._own(asked)
        return _missing(asked.urn) if post is None else answer(self._fields(post))

    async def edit(self, asked: Asked) -> Response:
        """POST /rest/posts/{urn} with X-RestLi-Method PARTIAL_UPDATE: another commentary."""
        if asked.request.headers.get("X-RestLi-Method") != "PARTIAL_UPDATE":
            return error(400, "ILLEGAL_ARGUMENT", "Only PARTIAL_UPDATE is served here")
        post, change = self._own(asked), (asked.body.get("patch") or {}).get("$set")
        if post is None:
            return _missing(asked.urn)
        if not isinstance(change, dict) or set(change) != {"commentary"}:
            return error(422, "UNPROCESSABLE_ENTITY", "ERROR :: /patch :: unrecognized field")
        if fault := _text_fault(change["commentary"]):
            return fault
        post.text, post.edited = seen(change["commentary"]), True
        post.details |= {"commentary": change["commentary"], "seen": post.text}
        return Response(status=204)

    async def delete(self, asked: Asked) -> Response:
        """DELETE /rest/posts/{urn}: the same answer however often."""
        if post := self._own(asked):
            post.deleted = True
        return Response(status=204)

    def _own(self, asked: Asked) -> Post | None:
        post = self._posts.get(NAME, asked.urn)
        return post if post and post.account == asked.by.page and not post.reply_to else None

    def _fields(self, post: Post) -> dict[str, Any]:
        created = int(post.created.timestamp() * 1000)
        commentary = given_back(post.details["commentary"])
        if post.text != post.details["seen"]:  # altered from outside, with the sandbox's switch
            commentary = re.sub(r"[\\|{}@\[\]()<>#*_~]", r"\\\g<0>", post.text)
        shown: dict[str, Any] = {
            "id": post.id,
            "author": f"urn:li:organization:{post.account.number}",
            "commentary": commentary,
            "lifecycleState": self._state(post),
            "visibility": "PUBLIC",
            "distribution": {"feedDistribution": "MAIN_FEED"},
            "createdAt": created,
            "publishedAt": created,
            "lastModifiedAt": created,
            "isReshareDisabledByAuthor": False,
        }
        media = [{"altText": one["alt"], "id": f"urn:li:image:{one['id']}"} for one in post.media]
        return shown | ({"content": {"media": media[0]}} if media else {})

    def _state(self, post: Post) -> str:
        if post.concealed:
            return "PUBLISH_FAILED"
        young = self._clock.now() - post.created < POST_TAKES
        return "PUBLISH_REQUESTED" if young else "PUBLISHED"

    # Pictures

    async def place(self, asked: Asked) -> Response:
        """POST /rest/images?action=initializeUpload: where the bytes go."""
        wanted = asked.body.get("initializeUploadRequest")
        if asked.request.query.get("action") != "initializeUpload" or not isinstance(wanted, dict):
            return error(400, "ILLEGAL_ARGUMENT", "Only the action initializeUpload is served")
        if wanted.get("owner") != asked.by.urn:
            return denied(f"images of {wanted.get('owner')}")
        name = f"C4E{self._next()}"
        self._pictures[f"urn:li:image:{name}"] = Picture(asked.by.urn)
        expires = self._clock.now() + timedelta(hours=24)
        value = {
            "uploadUrlExpiresAt": int(expires.timestamp() * 1000),
            "uploadUrl": f"{self.url}/dms-uploads/{name}?ca=vector_feedshare&sync=0",
            "image": f"urn:li:image:{name}",
        }
        return answer({"value": value})

    async def upload(self, request: Request) -> Response:
        """PUT of the bytes, where `place` said."""
        picture = self._pictures.get(f"urn:li:image:{request.match_info['id']}")
        by = access.access_of(request)
        if isinstance(by, Response):
            return by
        if picture is None or picture.owner != by.urn:
            return error(404, "NOT_FOUND", "There is no such upload")
        kind = request.content_type
        picture.kept = self._kept.keep(await request.read(), kind)
        kept = self._kept.get(picture.kept)
        picture.spoiled = kept is None or not kept.width
        picture.ready = self._clock.now() + PICTURE_TAKES
        return Response(status=201)

    async def picture(self, asked: Asked) -> Response:
        """GET /rest/images/{urn}: how far it is."""
        picture = self._pictures.get(asked.urn)
        if picture is None or picture.owner != asked.by.urn:
            return _missing(asked.urn)
        state = "AVAILABLE"
        if picture.ready is None:
            state = "WAITING_UPLOAD"
        elif self._clock.now() < picture.ready:
            state = "PROCESSING"
        elif picture.spoiled:
            state = "PROCESSING_FAILED"
        return answer({"id": asked.urn, "owner": picture.owner, "status": state})

    # Comments and counts

    async def comment(self, asked: Asked) -> Response:
        """POST /rest/socialActions/{urn}/comments, in the page's name. Plain text."""
        if self._own(asked) is None:
            return _missing(asked.urn)
        if asked.body.get("actor") != asked.by.urn:
            return denied(f"comments of {asked.body.get('actor')}")
        message = asked.body.get("message")
        text = message.get("text") if isinstance(message, dict) else None
        if not isinstance(text, str) or not is_text(text) or asked.body.get("object") != asked.urn:
            return error(400, "MISSING_FIELD", "object and message.text are needed")
        if _units(text) > COMMENT_MAX:
            return error(400, "FIELD_LENGTH_TOO_LONG", "message.text is too long")
        key = hashlib.sha256(f"{asked.urn} {text}".encode()).hexdigest()
        self._posts.name(NAME, asked.request[CALL], key)
        post = Post(
            NAME,
            str(self._next()),
            asked.by.page,
            text,
            self._clock.now(),
            reply_to=asked.urn,
            details={"kind": "comment"},
        )
        self._posts.add(post)
        return answer(_comment(post), 201, {"x-restli-id": post.id})

    async def comments(self, asked: Asked) -> Response:
        """GET /rest/socialActions/{urn}/comments."""
        if self._own(asked) is None:
            return _missing(asked.urn)
        return _page(asked, [_comment(one) for one in self._comments_on(asked.urn)])

    async def metadata(self, asked: Asked) -> Response:
        """GET /rest/socialMetadata/{urn}: reactions and comments, counted."""
        if self._own(asked) is None:
            return _missing(asked.urn)
        count = len(self._comments_on(asked.urn))
        summary = {"count": count, "topLevelCount": count}
        return answer({"entity": asked.urn, "reactionSummaries": {}, "commentSummary": summary})

    def _comments_on(self, urn: str) -> list[Post]:
        return [one for one in self._posts.of(NAME) if one.reply_to == urn and not one.deleted]

    # Access

    async def agree(self, request: Request) -> Response:
        """GET /oauth/v2/authorization: where a person agrees."""
        return self._tokens.agreed(request.query)

    def _next(self) -> int:
        milliseconds = int(self._clock.now().timestamp() * 1000)
        self._number = max(self._number + 1, milliseconds << 22)
        return self._number


def _text_fault(commentary: object) -> Response | None:
    if not isinstance(commentary, str) or not is_text(commentary) or not commentary.strip():
        return error(400, "INVALID_VALUE_FOR_FIELD", "commentary is not as it must be")
    if _units(seen(commentary)) > TEXT_MAX:
        return error(
            400, "FIELD_LENGTH_TOO_LONG", f"commentary has more than {TEXT_MAX} characters"
        )
    return None


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _duplicate(urn: str) -> Response:
    said = f"Content is a duplicate of {urn}"
    return error(422, "UNPROCESSABLE_ENTITY", said)


def _missing(urn: str) -> Response:
    return error(404, "NOT_FOUND", f"Could not find entity {urn[:100]}")


def _rate_limited(seconds: float) -> Response:
    refused = error(429, "TOO_MANY_REQUESTS", "Resource level throttle limit is reached", 101)
    refused.headers["Retry-After"] = str(int(seconds + 0.999))
    return refused


def _comment(post: Post) -> dict[str, Any]:
    milliseconds = int(post.created.timestamp() * 1000)
    return {
        "id": post.id,
        "actor": f"urn:li:organization:{post.account.number}",
        "object": post.reply_to,
        "message": {"attributes": [], "text": post.text},
        "created": {"time": milliseconds},
        "$URN": f"urn:li:comment:({post.reply_to},{post.id})",
    }


def _page(asked: Asked, rows: list[dict[str, Any]]) -> Response:
    """Give one page of a list, as asked by `start` and `count`."""
    query = asked.request.query
    start, count = query.get("start", "0"), query.get("count", str(PAGE_DEFAULT))
    if not (start.isdecimal() and count.isdecimal() and 1 <= int(count) <= PAGE_MAX):
        return error(400, "ILLEGAL_ARGUMENT", f"count must be from 1 to {PAGE_MAX}")
    page = rows[int(start) : int(start) + int(count)]
    paging = {"start": int(start), "count": int(count), "links": []}
    return answer({"elements": page, "paging": paging})
