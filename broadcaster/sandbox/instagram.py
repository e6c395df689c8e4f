"""A stand-in for Instagram: containers of pictures, publication, comments, lists, deletion, tokens.

Edges and parameters keep to Meta's lists (v25.0, v26.0), errors to its table of 2026-06. A picture
is really fetched from its address: a JPEG of 4:5 to 1.91:1. It takes `picture_seconds` until it can
be published, once. A token with `.facebook` is from Facebook Login, which alone can delete.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, timedelta
from typing import Any

from aiohttp.web import Request, Response, UrlDispatcher

from broadcaster.clock import Clock
from broadcaster.sandbox import meta_access as access
from broadcaster.sandbox.answers import Answers, Window, answer
from broadcaster.sandbox.containers import Container, Containers
from broadcaster.sandbox.facebook_access import error, expired, lacks, missing, parameters
from broadcaster.sandbox.faults import CALL, Faults, On, Stage, possible
from broadcaster.sandbox.looks import Look
from broadcaster.sandbox.meta_access import Door, agreed, wrong_app
from broadcaster.sandbox.meta_request import Asked, Handling, for_the_known, metric, page_of, shown
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import PREFIX, Post, Posts, account, is_text

NAME = "instagram"
LOOK = Look(NAME, "Instagram", colour="#e1306c")
CAPTION_MAX, HASHTAGS_MAX, NAMES_MAX, POSTS_PER_DAY = 2_200, 30, 20, 50
RATIO_MIN, RATIO_MAX = 0.8, 1.91
TOKEN = f"{PREFIX}stadt-dortmund"
TOKEN_FILE, SECRET_FILE = "instagram-token", "instagram-app-secret"
PUBLISH, COMMENT, TAKE_DOWN = "content_publish", "manage_comments", "manage_contents"
SCOPES = "instagram_business_basic,instagram_business_content_publish"
PERMISSIONS = ("instagram_basic", f"instagram_{PUBLISH}", f"instagram_{COMMENT}")

_FIELDS = frozenset(
    {
        *("id", "caption", "timestamp", "permalink", "like_count", "comments_count"),
        *("media_type", "media_product_type", "shortcode", "username", "alt_text"),
    }
)
_COMMENT_FIELDS = frozenset({"id", "text", "timestamp", "username"})


def channel(url: str) -> str:
    """Return the table of a channel that posts to this stand-in."""
    return f"""\
[channels.city-instagram]
type = "instagram"
login = "instagram"
base_url = {json.dumps(url)}
ig_user_id = "{account(TOKEN).number}"
access_token_file = "{TOKEN_FILE}"
app_id = "{access.APP_ID}"
app_secret_file = "{SECRET_FILE}"

"""


def secrets() -> dict[str, str]:
    """Return the secret files that the table names."""
    return {TOKEN_FILE: TOKEN, SECRET_FILE: access.APP_SECRET}


class Instagram:
    """The stand-in."""

    def __init__(self, posts: Posts, clock: Clock, pictures: Pictures) -> None:
        self.picture_seconds = 0.3
        self._posts = posts
        self._clock = clock
        self._pictures = pictures
        self._containers = Containers(clock)
        self._window = Window(4_800, 86_400, clock)
        self._door = Door("ig", SCOPES, clock, TOKEN)
        self.answers = Answers(
            refused=lambda: error(100, "Invalid parameter"),
            rate_limited=_rate_limited,
            failed=lambda: error(2, "An unexpected error has occurred.", status=500),
            without_id=lambda: answer({"success": True}),
            expired_token=expired,
        )
        self.able = possible(self.answers)

    def route(self, router: UrlDispatcher, faults: Faults) -> None:
        """Put the network's addresses under /instagram."""
        stage = Stage(NAME, self._posts, faults, self.answers)
        root = f"/{NAME}/{{version:v[0-9]+[.][0-9]+}}"
        self._door.route(router, stage, f"/{NAME}")
        router.add_get(f"{root}/dialog/oauth", self.agree)
        router.add_get(f"{root}/oauth/access_token", stage.on(On.LOGIN, self.exchange))

        def add(method: str, path: str, sort: On, handling: Handling) -> None:
            handler = stage.on(sort, for_the_known(self._window, handling))
            router.add_route(method, root + path, handler)

        add("GET", "/me/permissions", On.READ, self.permissions)
        add("POST", "/{node}/media", On.PREPARE, self.make)
        add("POST", "/{node}/media_publish", On.CREATE, self.publish)
        add("GET", "/{node}/media", On.READ, self.own_posts)
        add("GET", "/{node}/content_publishing_limit", On.READ, self.limit)
        add("GET", "/{node}/comments", On.READ, self.comments)
        add("POST", "/{node}/comments", On.CREATE, self.comment)
        add("GET", "/{node}/insights", On.READ, self.insights)
        add("GET", "/{node}", On.READ, self.read)
        add("DELETE", "/{node}", On.DELETE, self.delete)

    # Publishing

    async def make(self, asked: Asked) -> Response:
        """POST /{user}/media: a container."""
        caption = asked.given.get("caption", "")
        if asked.node != asked.by.number:
            return missing(asked.node)
        if refusal := _lacks(asked, PUBLISH) or _too_much(caption):
            return refusal
        if asked.given.get("media_type", "IMAGE") != "IMAGE":
            return error(100, "Unknown media type", subcode=2207023)
        if not asked.given.get("image_url"):
            return error(100, "The parameter image_url is required")
        picture = await self._pictures.fetch(asked.given["image_url"])
        if picture is None:
            title = "The media could not be fetched from this URI"
            return error(9004, "Only photo or video can be accepted.", subcode=2207052, title=title)
        if refusal := self._unfit(picture):
            return refusal
        media = [{"id": picture, "alt": asked.given.get("alt_text", "")}]
        seconds = self.picture_seconds
        made = self._containers.make(asked.by.account, caption, seconds, media=media)
        return answer({"id": made.id})

    def _unfit(self, identity: str) -> Response | None:
        picture = self._pictures.get(identity)
        if picture is None or picture.kind != "image/jpeg" or not picture.height:
            return error(36001, "The image format is not supported.", subcode=2207005)
        # Pixels are whole: a picture of 4:5 may be a fraction of one narrower.
        ratio = picture.width / picture.height
        if not RATIO_MIN - 0.005 <= ratio <= RATIO_MAX + 0.005:
            return error(36003, "The aspect ratio is not supported.", subcode=2207009)
        return None

    async def publish(self, asked: Asked) -> Response:
        """POST /{user}/media_publish: a container becomes a post, once."""
        identity = asked.given.get("creation_id", "")
        self._posts.name(NAME, asked.request[CALL], identity)
        if asked.node != asked.by.number:
            return missing(asked.node)
        if refusal := _lacks(asked, PUBLISH):
            return refusal
        if "full" in asked.by.marks:
            return error(9, "The user reached maximum number of posts.", subcode=2207042)
        found = self._containers.get(identity, asked.by.account)
        status = found.status(self._clock.now()) if found else ""
        if status == "IN_PROGRESS":
            return error(9007, "Media ID is not available", subcode=2207027)
        if found is None or status == "EXPIRED":
            return error(24, "The requested resource does not exist", subcode=2207008)
        if status != "FINISHED":
            return error(24, "The media was published already", subcode=2207006)
        found.published = True
        return answer({"id": self._post(found).id})

    def _post(self, found: Container) -> Post:
        identity, now = self._containers.number(), self._clock.now()
        post = Post(NAME, identity, found.account, found.text, now)
        post.media.extend(found.media)
        return self._posts.add(post)

    async def comment(self, asked: Asked) -> Response:
        """POST /{post}/comments: a comment of the account on a post of its own."""
        message, post = asked.given.get("message", ""), self._own(asked)
        self._posts.name(NAME, asked.request[CALL], f"{asked.node} {message}")
        if post is None:
            return missing(asked.node)
        if refusal := _lacks(asked, COMMENT):
            return refusal
        if not message.strip() or not is_text(message):
            return error(100, "The parameter message is required")
        made = Post(
            NAME,
            self._containers.number(),
            asked.by.account,
            message,
            self._clock.now(),
            reply_to=post.id,
            details={"kind": "comment"},
        )
        return answer({"id": self._posts.add(made).id})

    # Reading

    async def own_posts(self, asked: Asked) -> Response:
        """GET /{user}/media: newest first."""
        if asked.node != asked.by.number:
            return missing(asked.node)
        listed = self._posts.listed(NAME, asked.by.account)
        found = [self._fields(post) for post in listed if not post.reply_to]
        return page_of(asked, found, _FIELDS)

    async def comments(self, asked: Asked) -> Response:
        """GET /{post}/comments."""
        post = self._own(asked)
        if post is None:
            return missing(asked.node)
        found = [_comment(one) for one in self._comments_on(post)]
        return page_of(asked, found, _COMMENT_FIELDS)

    async def read(self, asked: Asked) -> Response:
        """GET of the account, of a container's status, or of a post."""
        if asked.node == asked.by.number:
            own = asked.by.account
            every: dict[str, Any] = {"id": asked.node, "user_id": asked.node, "name": own.name}
            return shown(asked, every | {"username": own.handle}, frozenset({*every, "username"}))
        if found := self._containers.get(asked.node, asked.by.account):
            status = found.status(self._clock.now())
            every = {"id": found.id, "status_code": status, "status": status.capitalize()}
            return shown(asked, every, frozenset(every))
        post = self._own(asked)
        return shown(asked, self._fields(post), _FIELDS) if post else missing(asked.node)

    async def limit(self, asked: Asked) -> Response:
        """GET /{user}/content_publishing_limit: enforced for a token marked `full` alone."""
        if asked.node != asked.by.number:
            return missing(asked.node)
        if refusal := _lacks(asked, PUBLISH):
            return refusal
        day = self._clock.now() - timedelta(days=1)
        listed = self._posts.listed(NAME, asked.by.account)
        used = min(sum(post.created > day for post in listed), POSTS_PER_DAY - 1)
        usage = POSTS_PER_DAY if "full" in asked.by.marks else used
        config = {"quota_total": POSTS_PER_DAY, "quota_duration": 86_400}
        return answer({"data": [{"quota_usage": usage, "config": config}]})

    async def insights(self, asked: Asked) -> Response:
        """GET /{post}/insights."""
        post = self._own(asked)
        if post is None:
            return missing(asked.node)
        if refusal := _lacks(asked, "manage_insights"):
            return refusal
        known = ("views", "reach", "saved", "shares", "likes", "comments")
        wanted = [name for name in asked.given.get("metric", "").split(",") if name in known]
        return answer({"data": [metric(post.id, name, 0) for name in wanted]})

    async def permissions(self, asked: Asked) -> Response:
        """GET /me/permissions, with Facebook Login alone."""
        if "facebook" not in asked.by.marks:
            return missing("permissions")
        names = (*PERMISSIONS, f"instagram_{TAKE_DOWN}", "instagram_manage_insights")
        rows = [
            {"permission": name, "status": "declined" if asked.by.lacks(name) else "granted"}
            for name in names
        ]
        return answer({"data": rows})

    async def delete(self, asked: Asked) -> Response:
        """DELETE /{post}, with Facebook Login alone."""
        post = self._own(asked)
        if post is None or "facebook" not in asked.by.marks:
            return missing(asked.node)
        if refusal := _lacks(asked, TAKE_DOWN):
            return refusal
        post.deleted = True
        return answer({"success": True})

    # Facebook Login

    async def agree(self, request: Request) -> Response:
        """GET /dialog/oauth: this person agrees at once, and is led back."""
        return agreed(request.query, TOKEN)

    async def exchange(self, request: Request) -> Response:
        """GET /oauth/access_token: a code, or a token of an hour, for a person's token."""
        given = await parameters(request)
        if refusal := wrong_app(given):
            return refusal
        long = given.get("grant_type") == "fb_exchange_token"
        source = given.get("fb_exchange_token" if long else "code", "")
        if access.access_of(source) is None:
            return error(100, "This authorization code has been used or is not valid.")
        token = f"{source.partition('.')[0]}.facebook"
        seconds = access.LONG_LIVED_SECONDS if long else access.SHORT_LIVED_SECONDS
        return answer({"access_token": token, "token_type": "bearer", "expires_in": seconds})

    def _own(self, asked: Asked) -> Post | None:
        post = self._posts.get(NAME, asked.node)
        return post if post and post.account == asked.by.account else None

    def _comments_on(self, post: Post) -> list[Post]:
        every = self._posts.of(NAME)
        return [one for one in every if one.reply_to == post.id and not one.deleted]

    def _fields(self, post: Post) -> dict[str, Any]:
        return {
            "id": post.id,
            "caption": post.text,
            "timestamp": _time(post),
            "permalink": f"https://www.instagram.com/p/{post.id}/",
            "like_count": 0,
            "comments_count": len(self._comments_on(post)),
            "media_type": "IMAGE",
            "media_product_type": "FEED",
            "shortcode": post.id,
            "username": post.account.handle,
            "alt_text": post.media[0]["alt"] if post.media else "",
        }


def _time(post: Post) -> str:
    return post.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def _comment(post: Post) -> dict[str, Any]:
    own = post.account.handle
    return {"id": post.id, "text": post.text, "timestamp": _time(post), "username": own}


def _lacks(asked: Asked, right: str) -> Response | None:
    """Refuse what was not granted, under the name it has with this login."""
    login = "instagram" if "facebook" in asked.by.marks else "instagram_business"
    scope = f"{login}_{right}"
    return lacks(scope) if asked.by.lacks(scope) else None


def _too_much(caption: str) -> Response | None:
    if not is_text(caption):
        return error(100, "Invalid parameter")
    hashtags, names = len(re.findall(r"#\w", caption)), len(re.findall(r"@\w", caption))
    if len(caption) > CAPTION_MAX or hashtags > HASHTAGS_MAX or names > NAMES_MAX:
        return error(36004, "The caption was too long.", subcode=2207010)
    return None


def _rate_limited(seconds: float) -> Response:
    refused = error(80002, "(#80002) There have been too many calls to this Instagram account.")
    usage = {"call_count": 100, "total_cputime": 25, "total_time": 25}
    minutes = {"type": "instagram", "estimated_time_to_regain_access": int(seconds // 60)}
    refused.headers["X-Business-Use-Case-Usage"] = json.dumps({"0": [usage | minutes]})
    return refused
