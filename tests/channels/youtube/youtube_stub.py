"""What the tests of YouTube share: a network that answers, deliveries, Google's document."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from broadcaster.channels import (
    youtube,
)
from broadcaster.channels.youtube import upload as youtube_upload
from broadcaster.channels.youtube.video import Video
from broadcaster.config import Timing
from broadcaster.delivery import (
    Act,
    Delivery,
    Media,
    Message,
    Receipt,
)
from tests.channels.stub import (
    TEXT,
    Fault,
    Reply,
    Request,
    Stub,
    delivery,
    keep_secret,
    setup_for,
)
from tests.conftest import shared_path

SHORT = Timing(attempt_seconds=1.0, connect_seconds=0.3)


LONG = Timing(attempt_seconds=20.0, connect_seconds=2.0)


SECRET, REFRESH, KEY = "sandbox-client-secret-1", "sandbox-refresh-1", "sandbox-key-1"


CHANNEL = "UC0123456789abcdefghijkl"


VIDEO = "dQw4w9WgXcQ"


CARD = hashlib.sha256(b"a card").hexdigest()


CLIP = bytes(range(256)) * 4500  # more than one piece


POINTER = "Überholt: siehe Nr. 26-0142/2 für den neuen Stand."


def build(
    url: str, place: Path, *, timing: Timing = SHORT, refresh: str = REFRESH, **more: Any
) -> Video:
    """Build the channel for videos with its secrets."""
    settings = youtube.Settings.model_validate(
        {
            "channel_id": CHANNEL,
            "mode": "video",
            "base_url": url,
            "token_url": url,
            "client_id": "client-1",
            "client_secret_file": keep_secret(place, "client-secret", SECRET),
            "refresh_token_file": keep_secret(place, "refresh-token", refresh),
            **more,
        }
    )
    made = youtube.build(setup_for(place, "youtube", timing=timing), settings)
    assert isinstance(made, Video)
    return made


def keep_clip(place: Path) -> None:
    """Put a clip where the channel would have made it."""
    (place / "cards").mkdir(exist_ok=True)
    (place / "cards" / f"{CARD}-silent.mp4").write_bytes(CLIP)


def card(**changes: Any) -> Media:
    """Give a drawn card."""
    one = Media("c0", "Warnkarte: Großbrand", "image/png", 1200, 675, required=True, digest=CARD)
    return replace(one, **changes)


def carded(**changes: Any) -> Delivery:
    """Give a delivery with a drawn card."""
    text = changes.pop("text", TEXT)
    subject = changes.pop("subject", "Großbrand in Hörde")
    return delivery(message=Message(text, "de", subject, media=(card(),)), **changes)


def begun(url: str, **changes: Any) -> Delivery:
    """Give a delivery whose upload was begun at this address."""
    digest = hashlib.sha256(CLIP).hexdigest()
    session = f"{url}/upload/youtube/v3/videos?uploadType=resumable&upload_id=u1"
    handle = youtube_upload.Upload(session, f"{CARD}-silent.mp4", CARD, len(CLIP), digest)
    return carded(handle=handle.to_json(), **changes)


def correction(**changes: Any) -> Delivery:
    """Give a delivery that marks the video of the version before as overtaken."""
    message = Message(POINTER, "de", act=Act.CORRECT)
    return delivery(message=message, reply_to=Receipt(VIDEO), **changes)


def sent(**changes: Any) -> Delivery:
    """Give a delivery that is out."""
    return carded(receipt=Receipt(VIDEO), **changes)


def resource(**changes: Any) -> dict[str, Any]:
    """Give a video as Google shows it."""
    return {
        "kind": "youtube#video",
        "id": VIDEO,
        "snippet": {
            "title": "Großbrand in Hörde",
            "description": TEXT,
            "categoryId": "25",
            "tags": ["Warnung"],
            "publishedAt": "2026-11-22T01:47:05Z",
            "channelId": CHANNEL,
        }
        | changes.pop("snippet", {}),
        "status": {"uploadStatus": "processed", "privacyStatus": "public"}
        | changes.pop("status", {}),
        "statistics": {"viewCount": "1200", "likeCount": "3", "commentCount": "4"},
    } | changes


def listed(text: str, *, name: str = VIDEO, at: str = "2026-11-22T01:47:05Z") -> dict[str, Any]:
    """Give a video as an item of the channel's uploads."""
    where = {"kind": "youtube#video", "videoId": name}
    snippet = {"title": "t", "description": text, "publishedAt": at, "resourceId": where}
    return {"kind": "youtube#playlistItem", "snippet": snippet}


def error(status: int, reason: str, **headers: str) -> Reply:
    """Give Google's error envelope."""
    named = {"message": reason, "domain": "youtube.common", "reason": reason}
    body = {"error": {"code": status, "message": reason, "errors": [named]}}
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


TOKEN = Reply(200, {"access_token": "ya29.sandbox-access", "expires_in": 3599})


ITEMS = Reply(200, {"items": []})


Answering = Callable[[Request], Reply | Fault]


def query_of(request: Request) -> dict[str, str]:
    """Give the parameters in a request's address."""
    return dict(parse_qsl(urlsplit(request.path).query))


def path_of(request: Request) -> str:
    """Give the path of a request's address."""
    return urlsplit(request.path).path


def operation(request: Request) -> str:
    """Name what a request asks for."""
    if request.path == "/token":
        return "token"
    path = path_of(request)
    if path.startswith("/upload"):
        if request.method == "POST":
            return "start"
        return "ask" if "*" in request.headers["content-range"] else "put"
    names = {"PUT": "update", "DELETE": "delete", "GET": path.rpartition("/")[2]}
    return names[request.method]


def network(**answers: Reply | Fault | list[Reply | Fault]) -> Answering:
    """Answer as Google does when all is well; `answers` by operation come first, lists in turn."""
    good: dict[str, Reply | Fault] = {
        "token": TOKEN,
        "ask": Reply(308),
        "put": Reply(200, resource()),
        "update": Reply(200, resource()),
        "delete": Reply(204),
        "videos": Reply(200, {"items": [resource()]}),
        "playlistItems": ITEMS,
        "channels": Reply(200, {"items": [{"id": CHANNEL, "snippet": {"customUrl": "@stadt"}}]}),
    }

    def answer(request: Request) -> Reply | Fault:
        name = operation(request)
        said = answers.get(name) or good.get(name)
        if isinstance(said, list):
            return said.pop(0) if len(said) > 1 else said[0]
        if name == "put" and name not in answers:
            return piece(request)
        if said is not None:
            return said
        place = f"http://{request.headers['host']}{request.path}&upload_id=u1"
        return Reply(200, b"", {"Location": place})

    return answer


def piece(request: Request) -> Reply:
    """Take a piece as Google does: 308 and how far it is, or the video."""
    up_to, _, size = request.headers["content-range"].removeprefix("bytes ").partition("/")
    last = int(up_to.partition("-")[2])
    if last + 1 == int(size):
        return Reply(200, resource())
    return Reply(308, b"", {"Range": f"bytes=0-{last}"})


def operations(stub: Stub) -> list[str]:
    """Name what was asked, in order, tokens left out."""
    return [name for one in stub.requests if (name := operation(one)) != "token"]


# What these do publishes nothing: an ambiguous answer is one more try, never a doubt.
READS = frozenset({"ask", "videos", "playlistItems"})


ALL = ("start", "ask", "put", "update", "delete", "videos", "playlistItems")


@cache
def document() -> dict[str, Any]:
    """Read the discovery document of the Data API v3."""
    path = shared_path("contracts", "youtube.v3.trimmed.discovery.json")
    read: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return read


def methods() -> list[dict[str, Any]]:
    """Give all methods of the document."""
    return [
        method for one in document()["resources"].values() for method in one["methods"].values()
    ]


def validate(request: Request) -> None:
    """Raise unless the document knows method, path, parameters and fields of a request."""
    path, query = path_of(request), query_of(request)
    is_upload = path.startswith("/upload")
    if is_upload and request.method == "PUT":  # the session's own address, no method
        assert query["upload_id"]
        return
    same = [one for one in methods() if one["httpMethod"] == request.method]
    (method,) = (one for one in same if path == _path(one, is_upload=is_upload))
    known = method["parameters"].keys() | document()["parameters"].keys()
    assert not query.keys() - known - ({"uploadType"} if is_upload else set())
    needed = {name for name, one in method["parameters"].items() if one.get("required")}
    assert needed <= query.keys()
    if request.body:
        _fields(json.loads(request.body), method["request"], "body")


def _path(method: Mapping[str, Any], *, is_upload: bool) -> str:
    """Give a method's path; Google's guide sends resumable uploads to that of simple ones."""
    if not is_upload:
        return f"/{method['path']}"
    protocols: dict[str, Any] = method.get("mediaUpload", {"protocols": {}})["protocols"]
    return str(protocols.get("simple", {}).get("path"))


def _fields(value: Any, kind: Mapping[str, Any], where: str) -> None:
    kind = document()["schemas"][kind["$ref"]] if "$ref" in kind else kind
    types = {"string": str, "boolean": bool, "array": list, "object": dict}
    assert isinstance(value, types[kind["type"]]), where
    assert "enum" not in kind or value in kind["enum"], where
    for one in value if isinstance(value, list) else ():
        _fields(one, kind["items"], where)
    for name, one in value.items() if isinstance(value, dict) else ():
        assert name in kind["properties"], f"{where}.{name}"
        _fields(one, kind["properties"][name], f"{where}.{name}")
