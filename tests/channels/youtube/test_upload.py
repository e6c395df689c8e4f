"""A resumable upload: asked first, resumed where it stopped, and one video each time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broadcaster.channels.youtube import upload as youtube_upload
from broadcaster.channels.youtube.video import Video
from broadcaster.delivery import (
    NotSent,
    Receipt,
    Rejected,
    Unknown,
)
from tests.channels.stub import (
    Reply,
    Stub,
    serving,
)
from tests.channels.youtube.youtube_stub import (
    CLIP,
    VIDEO,
    begun,
    build,
    carded,
    keep_clip,
    network,
    operation,
    operations,
    resource,
)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for Google that answers as told."""
    async with serving() as one:
        yield one


@pytest.fixture
async def channel(stub: Stub, tmp_path: Path) -> AsyncIterator[Video]:
    """Give a channel to the stand-in; the clip is made already."""
    keep_clip(tmp_path)
    one = build(stub.url, tmp_path)
    yield one
    await one.close()


@pytest.mark.parametrize(
    "location", ["", "https://elsewhere.example/upload", "http://127.0.0.1:1/upload", "::"]
)
async def test_a_session_elsewhere_is_not_used(channel: Video, stub: Stub, location: str) -> None:
    """The token is sent to Google's host and nowhere else."""
    stub.answer = network(start=Reply(200, b"", {"Location": location}))
    with pytest.raises(NotSent, match="no place of its own"):
        await channel.prepare(carded())


async def test_a_clip_goes_up_in_pieces(channel: Video, stub: Stub) -> None:
    """Asked first, then sent in multiples of 256 KiB; the receipt names the video."""
    stub.answer = network()
    receipt = await channel.send(begun(stub.url))
    assert receipt == Receipt(VIDEO, f"https://youtu.be/{VIDEO}", {"privacy": "public"})
    assert operations(stub) == ["ask", "put", "put"]
    pieces = [one for one in stub.requests if operation(one) == "put"]
    size = len(CLIP)
    first = youtube_upload.PIECE_BYTES
    assert [one.headers["content-range"] for one in pieces] == [
        f"bytes 0-{first - 1}/{size}",
        f"bytes {first}-{size - 1}/{size}",
    ]
    assert b"".join(one.body for one in pieces) == CLIP
    assert first % (256 * 1024) == 0


async def test_an_upload_goes_on_where_it_stopped(channel: Video, stub: Stub) -> None:
    """What has arrived is not sent again."""
    stub.answer = network(ask=Reply(308, b"", {"Range": "bytes=0-1049999"}))
    await channel.send(begun(stub.url))
    assert operations(stub) == ["ask", "put"]
    assert stub.requests[-1].body == CLIP[1_050_000:]
    assert (
        stub.requests[-1].headers["content-range"] == f"bytes 1050000-{len(CLIP) - 1}/{len(CLIP)}"
    )


@pytest.mark.parametrize("status", [200, 201])
async def test_an_upload_that_had_ended_is_not_sent_again(
    channel: Video, stub: Stub, status: int
) -> None:
    """Its answer was lost; asked, it names the video."""
    stub.answer = network(ask=Reply(status, resource()))
    assert (await channel.send(begun(stub.url))).remote_id == VIDEO
    assert operations(stub) == ["ask"]


STUCK: list[tuple[Reply, str]] = [
    (Reply(308), "has 0 of"),
    (Reply(308, b"", {"Range": "bytes=0-99"}), "has 100 of"),
    (Reply(308, b"", {"Range": "bytes=5-9"}), "clearly"),
    (Reply(308, b"", {"Range": "bytes=0-99999999"}), "clearly"),
    (Reply(308, b"", {"Range": "junk"}), "clearly"),
]


@pytest.mark.parametrize(("answer", "words"), STUCK)
async def test_an_upload_that_does_not_advance_is_left_for_later(
    channel: Video, stub: Stub, answer: Reply, words: str
) -> None:
    """A 308 says that the video is not whole: nothing was published, and nothing loops."""
    stub.answer = network(ask=Reply(308, b"", {"Range": "bytes=0-99"}), put=answer)
    one = begun(stub.url)
    if answer.headers == {}:
        stub.answer = network(put=answer)
    with pytest.raises(NotSent, match=words) as caught:
        await channel.send(one)
    assert not caught.value.afresh
    assert operations(stub).count("put") == 1


async def test_an_upload_that_is_whole_and_not_ended_is_waited_for(
    channel: Video, stub: Stub
) -> None:
    """All bytes are there, and the video is not yet."""
    whole = Reply(308, b"", {"Range": f"bytes=0-{len(CLIP) - 1}"})
    stub.answer = network(ask=whole)
    with pytest.raises(NotSent, match="still taking it in"):
        await channel.send(begun(stub.url))
    assert operations(stub) == ["ask"]


async def test_a_redirect_in_between_proves_nothing(channel: Video, stub: Stub) -> None:
    """A 308 that leads elsewhere is no word of Google's about the upload."""
    moved = Reply(308, b"", {"Location": "https://portal.example/login"})
    stub.answer = network(put=moved)
    with pytest.raises(Unknown):
        await channel.send(begun(stub.url))
    stub.answer = network(ask=moved)
    with pytest.raises(NotSent):
        await channel.find(begun(stub.url))


async def test_a_piece_that_came_twice_is_no_refusal(channel: Video, stub: Stub) -> None:
    """A PUT repeated below us is refused; asked, the session knows the truth."""
    done = Reply(200, resource())
    stub.answer = network(put=Reply(400), ask=[Reply(308), done])
    assert (await channel.send(begun(stub.url))).remote_id == VIDEO
    stub.answer = network(put=Reply(400), ask=[Reply(308), Reply(503)])
    with pytest.raises(Unknown):
        await channel.send(begun(stub.url))
    stub.answer = network(put=Reply(400))
    with pytest.raises(Rejected):
        await channel.send(begun(stub.url))
