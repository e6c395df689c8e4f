"""A stand-in for Threads: containers, publication, replies, lists, insights, deletion, tokens.

Methods, paths and parameters keep to Meta's Postman collection. A picture is really fetched from
its address, and takes `picture_seconds`; a text is ready at once. A container is published once: a
second time is refused. Texts are measured as Meta says: an emoji by its UTF-8 bytes.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import Any

from aiohttp.web import Response, UrlDispatcher

from broadcaster.clock import Clock
from broadcaster.sandbox import meta_access as access
from broadcaster.sandbox.answers import Answers, Window, answer
from broadcaster.sandbox.containers import Container, Containers
from broadcaster.sandbox.facebook_access import error, expired, lacks, missing
from broadcaster.sandbox.faults import CALL, Faults, On, Stage, possible
from broadcaster.sandbox.looks import Look
from broadcaster.sandbox.meta_access import Door
from broadcaster.sandbox.meta_request import Asked, Handling, for_the_known, metric, page_of, shown
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import PREFIX, Post, Posts, is_text

NAME = "threads"
LOOK = Look(NAME, "Threads", colour="#000000")
TEXT_MAX, ALT_MAX, LINKS_MAX, POSTS_PER_DAY = 500, 1000, 5, 250
RATIO_MAX = 10.0
TOKEN = f"{PREFIX}stadt-dortmund"
TOKEN_FILE, SECRET_FILE = "threads-token", "threads-app-secret"
SCOPES = "threads_basic,threads_content_publish,threads_delete,threads_manage_insights"
REPLY_CONTROL = frozenset(
    {
        *("everyone", "accounts_you_follow", "mentioned_only"),
        *("parent_post_author_only", "followers_only"),
    }
)

_FIELDS = frozenset(
    {
        *("id", "media_product_type", "media_type", "permalink", "username", "text"),
        *("timestamp", "shortcode", "is_quote_post", "has_replies", "is_reply", "alt_text"),
    }
)
_LINK = re.compile(r"https?://[^\s<>\"]+")


def channel(url: str) -> str:
    """Return the table of a channel that posts to this stand-in."""
    return f"""\
[channels.city-threads]
type = "threads"
base_url = {json.dumps(url)}
access_token_file = "{TOKEN_FILE}"
app_id = "{access.APP_ID}"
app_secret_file = "{SECRET_FILE}"

"""


def secrets() -> dict[str, str]:
    """Return the secret files that the table names."""
    return {TOKEN_FILE: TOKEN, SECRET_FILE: access.APP_SECRET}


def units(text: str) -> int:
    """Count a text: emoji, and what belongs to them, by their UTF-8 bytes, the rest one each."""
    found = 0
    for one in text:
        symbol = unicodedata.category(one) in {"So", "Sk"} and ord(one) > 0x2000
        emoji = symbol or ord(one) >= 0x1F000 or one in "\ufe0f\u200d\u20e3"
        found += len(one.encode()) if emoji else 1
    return found


class Threads:
    """The stand-in."""

    def __init__(self, posts: Posts, clock: Clock, pictures: Pictures) -> None:
        self.picture_seconds = 0.3
        self.text_seconds = 0.0
        self._posts = posts
        self._clock = clock
        self._pictures = pictures
        self._containers = Containers(clock)
        self._window = Window(4_800, 86_400, clock)
        self._door = Door("th", SCOPES, clock, TOKEN)
        self.answers = Answers(
            refused=lambda: error(100, "Invalid parameter"),
            rate_limited=_rate_limited,
            failed=lambda: error(2, "An unexpected error has occurred.", status=500),
            without_id=lambda: answer({"success": True}),
            expired_token=expired,
        )
        self.able = possible(self.answers)

    def route(self, router: UrlDispatcher, faults: Faults) -> None:
        """Put the network's addresses under /threads."""
        stage = Stage(NAME, self._posts, faults, self.answers)
        self._door.route(router, stage, f"/{NAME}")

        def add(method: str, path: str, sort: On, handling: Handling) -> None:
            handler = stage.on(sort, for_the_known(self._window, handling))
            router.add_route(method, f"/{NAME}/v1.0{path}", handler)

        add("GET", "/me", On.READ, self.me)
        add("POST", "/{node}/threads", On.PREPARE, self.make)
        add("POST", "/{node}/threads_publish", On.CREATE, self.publish)
        add("GET", "/{node}/threads", On.READ, self.own_posts)
        add("GET", "/{node}/replies", On.READ, self.own_replies)
        add("GET", "/{node}/threads_publishing_limit", On.READ, self.limit)
        add("GET", "/{node}/insights", On.READ, self.insights)
        add("GET", "/{node}", On.READ, self.read)
        add("DELETE", "/{node}", On.DELETE, self.delete)

    async def me(self, asked: Asked) -> Response:
        """GET /me."""
        every = {"id": asked.by.number, "username": asked.by.account.handle}
        return shown(asked, every | {"name": asked.by.account.name}, frozenset(every) | {"name"})

    # Publishing

    async def make(self, asked: Asked) -> Response:
        """POST /{user}/threads: a container."""
        if refusal := self._refusal(asked):
            return refusal
        text, reply = asked.given.get("text", ""), asked.given.get("reply_to_id")
        if asked.given["media_type"] == "TEXT":
            made = self._containers.make(asked.by.account, text, self.text_seconds, reply_to=reply)
            return answer({"id": made.id})
        picture = await self._pictures.fetch(asked.given["image_url"])
        fault = "UNKNOWN" if picture is None else self._unfit(picture)
        media = [{"id": picture, "alt": asked.given.get("alt_text", "")}] if picture else []
        made = self._containers.make(
            asked.by.account, text, self.picture_seconds, reply_to=reply, media=media, fault=fault
        )
        return answer({"id": made.id})

    def _refusal(self, asked: Asked) -> Response | None:
        given, text = asked.given, asked.given.get("text", "")
        if asked.node != asked.by.number:
            return missing(asked.node)
        if asked.by.lacks("threads_content_publish"):
            return lacks("threads_content_publish")
        if given.get("media_type") not in {"TEXT", "IMAGE"}:
            return error(100, "(#100) Param media_type must be one of {TEXT, IMAGE}")
        if given.get("reply_control", "everyone") not in REPLY_CONTROL:
            return error(100, "(#100) Param reply_control is not valid")
        if given["media_type"] == "IMAGE" and not given.get("image_url"):
            return error(100, "(#100) The parameter image_url is required")
        if not is_text(text) or (not text.strip() and given["media_type"] == "TEXT"):
            return error(100, "(#100) The parameter text is required")
        return self._too_much(text, given)

    def _too_much(self, text: str, given: Mapping[str, str]) -> Response | None:
        if units(text) > TEXT_MAX:
            return error(100, f"Param text must be at most {TEXT_MAX} characters long.")
        if len(given.get("alt_text", "")) > ALT_MAX:
            return error(100, f"Param alt_text must be at most {ALT_MAX} characters long.")
        if len(set(_LINK.findall(text))) > LINKS_MAX:
            said = "THREADS_API__LINK_LIMIT_EXCEEDED"
            return error(100, said, kind=said)
        reply = given.get("reply_to_id")
        if reply and not self._posts.get(NAME, reply):
            return _not_found()
        return None

    def _unfit(self, identity: str) -> str | None:
        picture = self._pictures.get(identity)
        if picture is None or picture.kind not in {"image/jpeg", "image/png"}:
            return "UNKNOWN"
        sides = sorted((picture.width, picture.height))
        return "INVALID_ASPEC_RATIO" if not sides[0] or sides[1] / sides[0] > RATIO_MAX else None

    async def publish(self, asked: Asked) -> Response:
        """POST /{user}/threads_publish: a container becomes a post, once."""
        identity = asked.given.get("creation_id", "")
        self._posts.name(NAME, asked.request[CALL], identity)
        if asked.node != asked.by.number:
            return missing(asked.node)
        if asked.by.lacks("threads_content_publish"):
            return lacks("threads_content_publish")
        found = self._containers.get(identity, asked.by.account)
        status = found.status(self._clock.now()) if found else ""
        if found is None or status in {"EXPIRED", "IN_PROGRESS"}:
            return _not_found()
        if status != "FINISHED":
            return error(100, f"(#100) This container cannot be published: {status}")
        found.published = True
        return answer({"id": self._post(found).id})

    def _post(self, found: Container) -> Post:
        identity, now = self._containers.number(), self._clock.now()
        post = Post(NAME, identity, found.account, found.text, now, reply_to=found.reply_to)
        post.media.extend(found.media)
        return self._posts.add(post)

    # Reading

    async def own_posts(self, asked: Asked) -> Response:
        """GET /{user}/threads: without replies, newest first."""
        return self._page_of(asked, replies=False)

    async def own_replies(self, asked: Asked) -> Response:
        """GET /{user}/replies: those alone, newest first."""
        return self._page_of(asked, replies=True)

    def _page_of(self, asked: Asked, *, replies: bool) -> Response:
        if asked.node != asked.by.number:
            return missing(asked.node)
        listed = self._posts.listed(NAME, asked.by.account)
        found = [self._fields(post) for post in listed if bool(post.reply_to) == replies]
        return page_of(asked, found, _FIELDS)

    async def read(self, asked: Asked) -> Response:
        """GET of a container's status, or of a post."""
        if found := self._containers.get(asked.node, asked.by.account):
            status = found.status(self._clock.now())
            every = {"id": found.id, "status": status}
            every |= {"error_message": found.fault} if status == "ERROR" and found.fault else {}
            return shown(asked, every, frozenset({"id", "status", "error_message"}))
        post = self._own(asked)
        return shown(asked, self._fields(post), _FIELDS) if post else missing(asked.node)

    async def limit(self, asked: Asked) -> Response:
        """GET /{user}/threads_publishing_limit: told, and enforced for a token marked `full`."""
        if asked.node != asked.by.number:
            return missing(asked.node)
        if asked.by.lacks("threads_content_publish"):
            return lacks("threads_content_publish")
        day = self._clock.now() - timedelta(days=1)
        listed = self._posts.listed(NAME, asked.by.account)
        used = min(sum(post.created > day for post in listed), POSTS_PER_DAY - 1)
        usage = POSTS_PER_DAY if "full" in asked.by.marks else used
        config = {"quota_total": POSTS_PER_DAY, "quota_duration": 86_400}
        row = {"quota_usage": usage, "config": config, "reply_quota_usage": 0}
        return answer({"data": [row | {"reply_config": config | {"quota_total": 1000}}]})

    async def insights(self, asked: Asked) -> Response:
        """GET /{post}/insights."""
        post = self._own(asked)
        if post is None:
            return missing(asked.node)
        if asked.by.lacks("threads_manage_insights"):
            return lacks("threads_manage_insights")
        replies = sum(one.reply_to == post.id for one in self._posts.of(NAME) if not one.deleted)
        known = dict.fromkeys(("views", "likes", "reposts", "quotes", "shares"), 0)
        known["replies"] = replies
        wanted = [name for name in asked.given.get("metric", "").split(",") if name in known]
        return answer({"data": [metric(post.id, name, known[name]) for name in wanted]})

    async def delete(self, asked: Asked) -> Response:
        """DELETE /{post}."""
        post = self._own(asked)
        if post is None:
            return missing(asked.node)
        if asked.by.lacks("threads_delete"):
            return lacks("threads_delete")
        post.deleted = True
        return answer({"success": True, "deleted_id": post.id})

    def _own(self, asked: Asked) -> Post | None:
        post = self._posts.get(NAME, asked.node)
        return post if post and post.account == asked.by.account else None

    def _fields(self, post: Post) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "id": post.id,
            "media_product_type": "THREADS",
            "media_type": "IMAGE" if post.media else "TEXT_POST",
            "permalink": f"https://www.threads.com/@{post.account.handle}/post/{post.id}",
            "username": post.account.handle,
            "text": post.text,
            "timestamp": post.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000"),
            "shortcode": post.id,
            "is_quote_post": False,
            "is_reply": post.reply_to is not None,
        }
        return fields | ({"alt_text": post.media[0]["alt"]} if post.media else {})


def _not_found() -> Response:
    said = "The requested resource does not exist"
    return error(24, said, subcode=4279009, title="Media Not Found")


def _rate_limited(seconds: float) -> Response:
    refused = error(4, "(#4) Application request limit reached")
    usage = {"call_count": 100, "total_cputime": 25, "total_time": 25}
    minutes = {"type": "threads", "estimated_time_to_regain_access": int(seconds // 60)}
    refused.headers["X-App-Usage"] = json.dumps(usage)
    refused.headers["X-Business-Use-Case-Usage"] = json.dumps({"0": [usage | minutes]})
    return refused
