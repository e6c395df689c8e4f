"""Pictures that came with posts: kept, bounded, shown, and fetched from this machine alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from broadcaster.sandbox import Sandbox, pictures
from broadcaster.sandbox.pictures import Pictures, size_of
from tests.sandbox.client import Client, picture


@pytest.fixture
async def kept() -> AsyncIterator[Pictures]:
    """Give a place to keep pictures."""
    place = Pictures()
    yield place
    await place.close()


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """Serve a card, a redirect to it, one too long, and nothing else."""

    async def card(_request: web.Request) -> web.Response:
        return web.Response(body=picture(form="JPEG"), content_type="image/jpeg")

    async def long(_request: web.Request) -> web.Response:
        return web.Response(body=b"x" * (pictures.FETCH_BYTES_MAX + 1))

    async def moved(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/card.jpg")

    application = web.Application()
    application.router.add_get("/card.jpg", card)
    application.router.add_get("/long", long)
    application.router.add_get("/moved", moved)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_measured_by_its_own_bytes(kept: Pictures, form: str) -> None:
    """What it claims to be is kept as said; how large it is, is looked at."""
    one = kept.get(kept.keep(picture(form=form), f"image/{form.lower()}"))
    assert one
    assert (one.width, one.height, one.kind) == (40, 30, f"image/{form.lower()}")


@pytest.mark.parametrize("data", [b"", b"junk", picture()[:20], b"\x89PNG\r\n\x1a\n" + b"\0" * 99])
def test_what_is_no_picture_has_no_size(data: bytes) -> None:
    """Junk is told apart by its size, and breaks nothing."""
    assert size_of(data) == (0, 0)


def test_a_picture_of_too_many_pixels_is_none() -> None:
    """A small file that would fill the memory when opened is no picture."""
    head = bytearray(picture())
    head[16:24] = (100_000).to_bytes(4, "big") * 2
    assert size_of(bytes(head)) == (0, 0)


def test_the_same_picture_is_kept_once(kept: Pictures) -> None:
    """The id is made of the content and its kind."""
    first = kept.keep(picture(), "image/png")
    assert kept.keep(picture(), "image/png") == first
    assert kept.keep(picture(), "image/jpeg") != first
    assert kept.keep(picture(41), "image/png") != first


def test_memory_is_bounded(kept: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first; the newest stays, however large."""
    monkeypatch.setattr(pictures, "BYTES_KEPT", 25)
    ids = [kept.keep(bytes([n]) * 10, "image/png") for n in range(4)]
    assert [kept.get(one) is not None for one in ids] == [False, False, True, True]
    large = kept.keep(b"x" * 99, "image/png")
    assert kept.get(large)
    assert kept.get(ids[3]) is None


async def test_a_card_is_really_fetched(kept: Pictures, server: str) -> None:
    """The bytes that the address gives are kept, under the type it names."""
    identity = await kept.fetch(f"{server}/card.jpg")
    assert identity
    one = kept.get(identity)
    assert one
    assert (one.data, one.kind) == (picture(form="JPEG"), "image/jpeg")


@pytest.mark.parametrize("path", ["/none.jpg", "/moved", "/long"])
async def test_a_card_that_is_not_there_is_not_fetched(
    kept: Pictures, server: str, path: str
) -> None:
    """An error, a redirect and a file too long are no card."""
    assert await kept.fetch(f"{server}{path}") is None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/card.jpg",
        "http://127.0.0.1.example.org/card.jpg",
        "http://127.0.0.1:1/card.jpg",
        "file:///etc/hostname",
        "http://[::1",
        "",
    ],
)
async def test_nothing_is_fetched_from_elsewhere(kept: Pictures, url: str) -> None:
    """A stand-in speaks to this machine alone, and an address that is none is no error."""
    assert await kept.fetch(url) is None


async def test_a_kept_picture_is_shown(sandbox: Sandbox, client: Client) -> None:
    """The page's pictures come from the sandbox itself, and can run nothing."""
    identity = sandbox.pictures.keep(picture(), "image/png")
    shown = await client.ask("GET", f"/_sandbox/pictures/{identity}")
    assert (shown.status, shown.raw) == (200, picture())
    assert shown.headers["Content-Type"] == "image/png"
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    gone = await client.ask("GET", "/_sandbox/pictures/none")
    assert (gone.status, gone.body["code"]) == (404, "no-such-picture")
