"""A small network in two steps, for Threads and Instagram; and a clock that waiting moves."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from broadcaster.delivery import Delivery, Media, Message
from tests.channels.stub import NOW, TEXT, Fault, FixedClock, Reply, Request, delivery
from tests.conftest import SHARED

CARD = Media(
    "c0", "Warnkarte: Großbrand", "image/jpeg", 1080, 1350, digest="d0", url="https://s.example/d0"
)


class MovingClock(FixedClock):
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def elapsed(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def error(code: int, subcode: int | None = None, message: str = "m", status: int = 400) -> Reply:
    """Give Graph's error envelope."""
    said: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code}
    if subcode:
        said["error_subcode"] = subcode
    return Reply(status, {"error": said | {"fbtrace_id": "A1"}})


GONE = error(100, 33)


def path_of(request: Request) -> str:
    """Give a request's path behind the version."""
    path = urlsplit(request.path).path.strip("/")
    first, _, rest = path.partition("/")
    return rest if first.startswith("v") and first[1:2].isdecimal() else path


def given_in(request: Request) -> dict[str, str]:
    """Give a request's parameters, from its address and its form."""
    both = f"{urlsplit(request.path).query}&{request.body.decode()}"
    return dict(parse_qsl(both, keep_blank_values=True))


def carded(text: str = TEXT, **changes: Any) -> Delivery:
    """Give a delivery with a drawn card."""
    return delivery(message=Message(text, "de", media=(CARD,)), **changes)


@dataclass
class TwoSteps:
    """The network; set an attribute to have it misbehave. `posts` is what the public would see.

    `status_of` gives what a container says of itself, `says` what it says beside that.
    `instead` may answer for it; what it gives None for is answered as it should be.
    """

    text: str = "text"
    status: str = "status"
    status_of: Callable[[str], str] = lambda _: "FINISHED"
    says: Mapping[str, str] = field(default_factory=dict)
    instead: Callable[[Request], Reply | Fault | None] = lambda _: None
    lose: bool = False  # publish, and lose the answer
    made: list[dict[str, str]] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)
    published: set[str] = field(default_factory=set)
    other: Mapping[str, Reply | Fault] = field(default_factory=dict)  # by path

    def __call__(self, request: Request) -> Reply | Fault:
        if instead := self.instead(request):
            return instead
        path = path_of(request)
        if path in self.other:
            return self.other[path]
        if request.method == "GET":
            return self._read(path)
        if request.method == "DELETE":
            return Reply(200, {"success": True})
        if path.endswith("publish"):
            return self._publish(given_in(request)["creation_id"])
        self.made.append(given_in(request))
        return Reply(200, {"id": str(1800 + len(self.made))})

    def _read(self, path: str) -> Reply:
        if path.endswith(("/threads", "/media")):
            return Reply(200, {"data": self.posts})
        if path.endswith(("/replies", "/comments")):
            return Reply(200, {"data": []})
        if 1800 < int(path) <= 1800 + len(self.made):
            published = path in self.published
            status = "PUBLISHED" if published else self.status_of(path)
            return Reply(200, {"id": path, self.status: status, **self.says})
        found = [post for post in self.posts if post["id"] == path]
        return Reply(200, found[0]) if found else GONE

    def _publish(self, container: str) -> Reply | Fault:
        if container in self.published:
            return error(-1, 2207032)
        self.published.add(container)
        post = {
            "id": str(9000 + len(self.posts)),
            self.text: self.made[int(container) - 1801][self.text],
            "timestamp": NOW.strftime("%Y-%m-%dT%H:%M:%S+0000"),
            "permalink": f"https://meta.example/@stadt/post/{len(self.posts)}",
        }
        self.posts.insert(0, post)
        return Fault.CLOSE if self.lose else Reply(200, {"id": post["id"]})


def instagram_network(**changes: Any) -> TwoSteps:
    """Give the network in Instagram's words."""
    return TwoSteps(text="caption", status="status_code", **changes)


def error_cases(*platforms: str) -> list[dict[str, Any]]:
    """Read the rows of these platforms; none without the shared data."""
    path = SHARED / "contracts" / "derived" / "error-cases.json"
    if not path.exists():
        return []
    rows = json.loads(path.read_text("utf-8"))["cases"]
    return [row for row in rows if row["platform"] in platforms]


def name_of(row: Mapping[str, Any]) -> str:
    """Name a row of the table as a test."""
    said = (row["body"] or {}).get("error", row["body"] or {})
    code = said.get("code", said.get("status", said.get("status_code", "")))
    parts = (row["operation"], row["http_status"], code, said.get("error_subcode", ""))
    return "-".join(str(part) for part in parts if part != "")
