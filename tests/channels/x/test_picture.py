"""A card on X: uploaded, waited for, described, and told from other reasons to refuse a post."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from broadcaster.channels.http import Answer
from broadcaster.channels.x import picture as x_picture
from broadcaster.channels.x.api import Api
from broadcaster.channels.x.picture import refuses_picture, upload
from broadcaster.config import Timing
from broadcaster.delivery import Failure, Media, NotSent, Rejected, Unknown
from tests.channels.stub import NOW, Fault, Reply, Request, Stub, serving
from tests.channels.x.test_api import Pass

MEDIA = Media("c1", "Warnkarte: Großbrand", "image/png", 1200, 675, digest="d")
ID = "1850000000000000777"


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for X that answers as told."""
    async with serving() as one:
        yield one


@pytest.fixture
async def api(stub: Stub) -> AsyncIterator[Api]:
    """Give requests to the stand-in."""
    one = Api(stub.url, Pass(), None, Timing(attempt_seconds=1.2, connect_seconds=0.8))
    yield one
    await one.close()


def saying(states: Iterator[Any], metadata: Reply | None = None) -> Any:
    """Answer uploads and questions with these states, one after the other."""

    def answer(request: Request) -> Reply | Fault:
        if request.path == "/2/media/metadata":
            return metadata or Reply(200, {"data": {"id": ID}})
        info = next(states)
        return Reply(200, {"data": {"id": ID} | ({"processing_info": info} if info else {})})

    return answer


@pytest.mark.parametrize(
    "states",
    [
        [None],
        [{"state": "succeeded"}],
        [{"state": "pending"}, {"state": "in_progress"}, {"state": "succeeded"}],
        [{"state": "in_progress", "check_after_secs": "soon"}, None],
        [{"state": "in_progress", "check_after_secs": 10**9}, None],
        [{"state": "in_progress", "check_after_secs": -1}, None],
        [{"state": 7}],
        ["done"],
    ],
)
async def test_a_picture_is_waited_for_and_described(
    api: Api, stub: Stub, states: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Junk about when to ask again is no reason to wait for ever."""
    monkeypatch.setattr(x_picture, "PROCESSED_SECONDS", 0.01)
    stub.answer = saying(iter(states))
    assert await upload(api, MEDIA, b"png", NOW) == {"media": ID}
    assert len(stub.requests) == len(states) + 1
    described = json.loads(stub.requests[-1].body)
    assert described == {"id": ID, "metadata": {"alt_text": {"text": MEDIA.alt}}}


async def test_a_picture_that_fails_is_told(api: Api, stub: Stub) -> None:
    """X could not make sense of it."""
    stub.answer = saying(iter([{"state": "failed"}]))
    with pytest.raises(Rejected):
        await upload(api, MEDIA, b"png", NOW)


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        (Reply(400, {"title": "Invalid Request"}), Rejected),
        (Reply(200, {"errors": [{"title": "no"}]}), Unknown),
        (Reply(200, b"<html>"), Unknown),
        (Reply(429, {}), NotSent),
        (Reply(500), Unknown),
    ],
)
async def test_no_picture_goes_without_its_description(
    api: Api, stub: Stub, metadata: Reply, kind: type[Failure]
) -> None:
    """Who cannot see it must be able to read it."""
    stub.answer = saying(iter([None]), metadata)
    with pytest.raises(kind):
        await upload(api, MEDIA, b"png", NOW)


@pytest.mark.parametrize("lasts", [86_400, 0, -1, "long", None])
async def test_how_long_x_keeps_it_is_remembered(api: Api, stub: Stub, lasts: Any) -> None:
    """As far as X says something sensible."""
    stub.say(200, {"data": {"id": ID, "expires_after_secs": lasts}})
    found = await upload(api, MEDIA, b"png", NOW)
    ends = {"expires": int(NOW.timestamp()) + 86_400} if lasts == 86_400 else {}
    assert found == {"media": ID} | ends


@pytest.mark.parametrize(
    ("status", "message", "refused"),
    [
        (400, "Your media IDs are invalid.", True),
        (400, "[media.media_ids] is not as it must be", True),
        (403, "You may not use this media ID.", True),
        (400, "Your text is too long.", False),
        (500, "Your media IDs are invalid.", False),
    ],
)
def test_a_post_refused_for_its_picture_is_told_from_others(
    status: int, message: str, *, refused: bool
) -> None:
    """Only a whole refusal proves that nothing was posted."""
    body = json.dumps({"errors": [{"message": message}]}).encode()
    assert refuses_picture(Answer(status, {}, body)) == refused
    assert not refuses_picture(Answer(status, {}, body, whole=False))
