"""The pages: every network's posts as a citizen would see them, without a login and without script.

`/` has all networks side by side, `/N/` one of them, `/N/@handle/ID` leads to one post.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from broadcaster.sandbox.faults import Faults
from broadcaster.sandbox.looks import Look
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import PICTURES, Post, Posts

POSTS_SHOWN = 100
REFRESH_SECONDS = 3
CITY = ZoneInfo("Europe/Berlin")
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src 'self'; media-src 'self'"
)

_LINK = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)]")


def templates() -> Path:
    """Return where the pages' templates lie: beside the package, or inside it once installed."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "templates" / "sandbox"
    return inside if inside.is_dir() else package.parent / "templates" / "sandbox"


def local(moment: datetime, form: str) -> str:
    """Return a time as the city's clocks show it."""
    return moment.astimezone(CITY).strftime(form)


def linked(text: str) -> Markup:
    """Return a text for HTML, with its links to follow."""
    shown = Markup()
    end = 0
    for link in _LINK.finditer(text):
        shown += escape(text[end : link.start()])
        shown += Markup('<a href="{0}" rel="noopener nofollow">{0}</a>').format(link[0])
        end = link.end()
    return shown + escape(text[end:])


def address(identity: str) -> str:
    """Return where a picture that was kept is shown."""
    return f"{PICTURES}/{identity}"


def event(post: Post) -> dict[str, Any]:
    """Return what a webhook's body says, as the page shows it: its type, and the alert inside."""
    body = json.loads(post.text)
    data = body.get("data")
    data = data if isinstance(data, dict) else {}
    infos = data.get("info")
    info = infos[0] if isinstance(infos, list) and infos and isinstance(infos[0], dict) else {}
    return {
        "type": body.get("type"),
        "reference": data.get("reference"),
        "headline": _whole(str(info.get("headline") or info.get("event") or "")),
        "severity": info.get("severity"),
        "pretty": _whole(json.dumps(body, ensure_ascii=False, indent=2)),
    }


def _whole(text: str) -> str:
    """Return a text in which halves of characters, which no page can hold, are question marks."""
    return text.encode("utf-8", "replace").decode()


class Timeline:
    """The pages."""

    def __init__(
        self, posts: Posts, pictures: Pictures, faults: Faults, looks: Sequence[Look]
    ) -> None:
        self._posts = posts
        self._faults = faults
        self._looks = {look.name: look for look in looks}
        environment = Environment(
            loader=FileSystemLoader(templates()),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        environment.filters |= {
            "linked": linked,
            "event": event,
            "local": local,
            "kept": pictures.get,
            "address": address,
        }
        self._page = environment.get_template("timeline.html")

    def route(self, router: web.UrlDispatcher) -> None:
        """Put the pages at `/` and `/N/`."""
        router.add_get("/", self.show)
        names = "|".join(self._looks)
        router.add_get(f"/{{network:{names}}}", self.move)
        router.add_get(f"/{{network:{names}}}/", self.show)
        router.add_get(f"/{{network:{names}}}/@{{handle}}/{{id}}", self.lead)

    async def show(self, request: web.Request) -> web.Response:
        """Show all networks, or one."""
        network = request.match_info.get("network")
        names = [network] if network else list(self._looks)
        page = self._page.render(
            columns=[self._column(name) for name in names],
            networks=list(self._looks.values()),
            only=network,
            faults=self._faults.to_json(),
            refresh_seconds=REFRESH_SECONDS,
        )
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
        return web.Response(text=page, content_type="text/html", headers=headers)

    async def move(self, request: web.Request) -> web.Response:
        """Lead from `/N` to `/N/`."""
        raise web.HTTPMovedPermanently(f"/{request.match_info['network']}/")

    async def lead(self, request: web.Request) -> web.Response:
        """Lead from the address of one post to its place in the timeline."""
        network, identity = request.match_info["network"], request.match_info["id"]
        if not self._posts.get(network, identity):
            raise web.HTTPNotFound(text="There is no such post.")
        raise web.HTTPFound(f"/{network}/#post-{identity}")

    def _column(self, name: str) -> dict[str, Any]:
        posts = self._posts.of(name)
        there = {post.id: post for post in posts}
        comments = _comments(posts, there)
        own = [post for post in posts if not _is_comment(post, there)]
        return {
            "look": self._looks[name],
            "count": len(own),
            "posts": [
                (post, there.get(post.reply_to or ""), comments.get(post.id, ()))
                for post in own[: -POSTS_SHOWN - 1 : -1]
            ],
        }


def _is_comment(post: Post, there: Mapping[str, Post]) -> bool:
    """Say whether a post stands under another; where that one is gone, it stands for itself."""
    return post.details.get("kind") == "comment" and post.reply_to in there


def _comments(posts: Sequence[Post], there: Mapping[str, Post]) -> dict[str, list[Post]]:
    """Return the comments under each post, oldest first."""
    under: dict[str, list[Post]] = {}
    for post in posts:
        if post.reply_to and _is_comment(post, there):
            under.setdefault(post.reply_to, []).append(post)
    return under
