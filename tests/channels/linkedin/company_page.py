"""A company page on LinkedIn, as much of it as the tests of the channel need; and the channel."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest

from broadcaster.channels import linkedin
from broadcaster.config import Timing
from broadcaster.delivery import Act, Delivery, Media, Message, Receipt
from tests.channels.stub import (
    NOW,
    TEXT,
    Fault,
    FixedClock,
    Reply,
    Request,
    Stub,
    delivery,
    keep_secret,
    setup_for,
)
from tests.conftest import shared_path

SHORT = Timing(attempt_seconds=1.2, connect_seconds=0.8)
TOKEN, SECRET = "sandbox-linkedin-token", "sandbox-linkedin-secret"
US = "urn:li:organization:4711"
POST = "urn:li:share:6844785523593134080"
OLD = "urn:li:ugcPost:6844785523593134001"
IMAGE = "urn:li:image:C4E10AQ"
POINTER = "Überholt: siehe Nr. 26-0142/2 (neu)."
PICTURE = b"\x89PNG picture"
LIVING = "202608"


class Napping(FixedClock):
    """A clock on which sleeping takes no time, but is counted."""

    def __init__(self) -> None:
        self.slept = 0.0
        self.moved = timedelta(0)

    def now(self) -> datetime:
        return NOW + self.moved

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds


def build(base_url: str, place: Path, **more: Any) -> linkedin.LinkedIn:
    """Build the channel; `more` are settings, or `clock`, `timing` and the `token` file."""
    timing, clock = more.pop("timing", SHORT), more.pop("clock", None)
    settings = linkedin.Settings(
        organization_id="4711",
        access_token_file=keep_secret(place, "linkedin-token", more.pop("token", TOKEN)),
        base_url=base_url,
        token_url=base_url,
        **more,
    )
    setup = setup_for(place, "linkedin", timing=timing)
    return linkedin.build(replace(setup, clock=clock) if clock else setup, settings)


@dataclass
class Page:
    """The page: `posts` newest first, `comments` by post; `instead` answers what it likes to."""

    posts: list[dict[str, Any]] = field(default_factory=list)
    comments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    states: list[str] = field(default_factory=lambda: ["AVAILABLE"])  # of a picture, in turn
    upload_url: str = ""
    instead: Callable[[Request], Reply | Fault | None] = lambda _: None

    def __call__(self, request: Request) -> Reply | Fault:
        answer = self.instead(request)
        return answer if answer is not None else self._answer(request)

    def _answer(self, request: Request) -> Reply:
        split = urlsplit(request.path)
        kind, _, rest = split.path.removeprefix("/rest/").partition("/")
        query = dict(parse_qsl(split.query))
        if request.method == "PUT":
            return Reply(201)
        if kind == "images":
            return self._image(request, rest)
        if kind == "socialMetadata":
            likes = {"LIKE": {"count": 3}, "PRAISE": {"count": 1}}
            return Reply(200, {"reactionSummaries": likes, "commentSummary": {"count": 2}})
        if kind == "socialActions":
            return self._comment(request, unquote(rest.removesuffix("/comments")), query)
        return self._post(request, unquote(rest), query)

    def _image(self, request: Request, rest: str) -> Reply:
        if request.method == "POST":
            return Reply(200, {"value": {"uploadUrl": self.upload_url, "image": IMAGE}})
        assert unquote(rest) == IMAGE
        return Reply(200, {"id": IMAGE, "status": self.states.pop(0)})

    def _comment(self, request: Request, urn: str, query: Mapping[str, str]) -> Reply:
        there = self.comments.setdefault(urn, [])
        if request.method == "GET":
            start, count = int(query["start"]), int(query["count"])
            return Reply(200, {"elements": there[start : start + count], "paging": {}})
        said = json.loads(request.body)
        there.append({"id": f"70{len(there)}", "actor": said["actor"], "message": said["message"]})
        return Reply(201, {}, {"x-restli-id": there[-1]["id"]})

    def _post(self, request: Request, urn: str, query: Mapping[str, str]) -> Reply:
        if request.method == "GET" and not urn:
            start, count = int(query.get("start", "0")), int(query["count"])
            return Reply(200, {"elements": self.posts[start : start + count], "paging": {}})
        if request.method == "POST" and not urn:
            self.posts.insert(0, listed(POST, json.loads(request.body)["commentary"]))
            return Reply(201, b"", {"x-restli-id": POST})
        mine = [post for post in self.posts if post["id"] == urn]
        if request.method == "DELETE":
            self.posts = [post for post in self.posts if post["id"] != urn]
            return Reply(204)
        if not mine:
            return Reply(404, {"status": 404, "code": "NOT_FOUND", "message": "no such post"})
        if request.method == "POST":
            mine[0] |= json.loads(request.body)["patch"]["$set"]
            return Reply(204)
        return Reply(200, mine[0])


def listed(urn: str, commentary: str, at: datetime = NOW, **more: Any) -> dict[str, Any]:
    """Give a post as LinkedIn lists it; `commentary` is little text."""
    return {
        "id": urn,
        "author": US,
        "commentary": commentary,
        "lifecycleState": "PUBLISHED",
        "visibility": "PUBLIC",
        "createdAt": int(at.timestamp() * 1000),
    } | more


def with_card(**changes: Any) -> Delivery:
    """Give a delivery whose card is drawn."""
    media = Media("c1", "Karte: Rauch (Hörde)", "image/png", 1200, 675, digest="d1", url=None)
    return delivery(message=Message(changes.pop("text", TEXT), "de", media=(media,)), **changes)


def correction(urn: str = OLD, pointer: str = POINTER, **changes: Any) -> Delivery:
    """Give a delivery that marks an older post as overtaken."""
    message = Message(pointer, "de", act=Act.CORRECT)
    changes.setdefault("part", "de.correction")
    return delivery(message=message, reply_to=Receipt(urn), **changes)


def keep_picture(place: Path, data: bytes = PICTURE) -> None:
    """Put the drawn card where the channel finds it."""
    (place / "cards").mkdir()
    (place / "cards" / "d1.png").write_bytes(data)


@cache
def document() -> OpenAPI:
    """Read the contract, as if LinkedIn were at 127.0.0.1; tokens are looked at in the tests."""
    path = shared_path("contracts", "derived", "linkedin-posts.derived.openapi.yaml")
    text = yaml.safe_load(path.read_text("utf-8"))
    text.pop("security")
    return OpenAPI.from_dict(text | {"servers": [{"url": "http://127.0.0.1"}]})


def validate(request: Request) -> None:
    """Raise unless the contract allows the request."""
    split = urlsplit(request.path)
    document().validate_request(
        MockRequest(
            "http://127.0.0.1",
            request.method.lower(),
            split.path,
            args=dict(parse_qsl(split.query)),
            headers=dict(request.headers),
            data=request.body or None,
            content_type=request.headers.get("content-type", "application/json"),
        )
    )


def sent_to(stub: Stub, method: str, part: str) -> list[Request]:
    """Give the requests of a method whose path holds this."""
    return [one for one in stub.requests if one.method == method and part in one.path]
