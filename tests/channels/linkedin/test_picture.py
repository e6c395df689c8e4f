"""LinkedIn: the card is uploaded in two steps, and whatever fails there, the text goes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from broadcaster.channels import linkedin
from broadcaster.channels.linkedin.picture import _is_linkedins, _safe
from broadcaster.delivery import NeedsPerson, NotSent
from tests.channels.linkedin.company_page import (
    IMAGE,
    PICTURE,
    SHORT,
    TOKEN,
    US,
    Napping,
    Page,
    build,
    keep_picture,
    sent_to,
    with_card,
)
from tests.channels.stub import NOW, Fault, Reply, Request, Stub, serving


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a stand-in for LinkedIn."""
    async with serving() as one:
        yield one


@pytest.fixture
def page(stub: Stub) -> Page:
    """Let the stand-in take pictures."""
    stub.answer = one = Page(upload_url=f"{stub.url}/dms-uploads/1?ca=vector&x=%2F")
    return one


@pytest.fixture
def clock() -> Napping:
    """Give a clock on which waiting takes no time."""
    return Napping()


@pytest.fixture
async def channel(stub: Stub, tmp_path: Path, clock: Napping) -> AsyncIterator[linkedin.LinkedIn]:
    """Give a channel to the stand-in, and a drawn card."""
    keep_picture(tmp_path)
    one = build(stub.url, tmp_path, clock=clock)
    yield one
    await one.close()


async def noted(channel: linkedin.LinkedIn) -> str:
    """Prepare, and give why the text goes alone."""
    handle = await channel.prepare(with_card())
    assert set(handle) == {"note"}
    note: str = handle["note"]
    assert note.startswith("posted without its card: ")
    return note.removeprefix("posted without its card: ")


async def test_the_bytes_go_where_linkedin_says(
    channel: linkedin.LinkedIn, stub: Stub, page: Page
) -> None:
    """A place is asked for, the file is put there as it is, and is named for the post."""
    handle = await channel.prepare(with_card())
    assert handle == {"image": IMAGE, "uploaded": NOW.isoformat()}
    place, put, state = stub.requests
    assert place.path == "/rest/images?action=initializeUpload"
    assert place.body == b'{"initializeUploadRequest": {"owner": "%s"}}' % US.encode()
    assert (put.method, put.path) == ("PUT", page.upload_url.removeprefix(stub.url))
    assert put.body == PICTURE
    assert put.headers["content-type"] == "image/png"
    assert put.headers["authorization"] == f"Bearer {TOKEN}"
    assert state.path == "/rest/images/urn%3Ali%3Aimage%3AC4E10AQ"


async def test_a_picture_in_work_is_waited_for(
    channel: linkedin.LinkedIn, page: Page, clock: Napping
) -> None:
    """A post with an unfinished picture would be refused."""
    page.states = ["WAITING_UPLOAD", "PROCESSING", "PROCESSING", "AVAILABLE"]
    assert (await channel.prepare(with_card()))["image"] == IMAGE
    assert clock.slept == 0.75


@pytest.mark.parametrize("answer", [Reply(403, {}), Reply(404, {}), Reply(200, {}), Fault.CLOSE])
async def test_a_picture_of_which_nothing_is_told_is_tried(
    channel: linkedin.LinkedIn, page: Page, answer: Reply | Fault
) -> None:
    """The post will tell whether it is ready."""
    page.instead = lambda one: answer if one.path.startswith("/rest/images/") else None
    assert (await channel.prepare(with_card()))["image"] == IMAGE


async def test_a_picture_that_never_gets_ready_ends_in_time(
    stub: Stub, page: Page, tmp_path: Path
) -> None:
    """Half of the attempt is for the picture, the rest for the post."""
    from broadcaster.clock import SystemClock

    keep_picture(tmp_path)
    page.states = ["PROCESSING"] * 1_000
    channel = build(stub.url, tmp_path, clock=SystemClock())
    started = SystemClock().elapsed()
    assert await noted(channel) == "the upload took too long"
    assert SystemClock().elapsed() - started < SHORT.attempt_seconds
    await channel.close()


async def test_a_picture_that_cannot_be_processed_is_left_out(
    channel: linkedin.LinkedIn, page: Page
) -> None:
    """LinkedIn says so before the post is made."""
    page.states = ["PROCESSING_FAILED"]
    assert await noted(channel) == "LinkedIn could not process the picture"


async def test_a_picture_that_was_not_drawn_is_left_out(
    stub: Stub, page: Page, tmp_path: Path
) -> None:
    """Nothing is asked of LinkedIn for it."""
    assert page.posts == []
    channel = build(stub.url, tmp_path)
    assert await noted(channel) == "the drawn picture could not be read"
    assert stub.requests == []
    await channel.close()


PUTS: list[tuple[Reply | Fault, str]] = [
    (Reply(403), "LinkedIn answered the upload with 403"),
    (Reply(500), "LinkedIn answered the upload with 500"),
    (Reply(302, b"", {"Location": "http://127.0.0.1:1/"}), "with 302"),
    (Fault.GARBAGE, "after the request had begun"),
    (Fault.HANG, "took too long"),
]


@pytest.mark.parametrize(("answer", "why"), PUTS)
async def test_an_upload_that_fails_lets_the_text_go(
    channel: linkedin.LinkedIn, page: Page, answer: Reply | Fault, why: str
) -> None:
    """And the receipt will say why."""
    page.instead = lambda one: answer if one.method == "PUT" else None
    assert why in await noted(channel)


PLACES: list[Any] = [
    {},
    {"value": None},
    {"value": {"image": IMAGE}},
    {"value": {"image": IMAGE, "uploadUrl": 7}},
    {"value": {"image": "../posts", "uploadUrl": "https://www.linkedin.com/x"}},
    {"value": {"image": IMAGE, "uploadUrl": "http://www.linkedin.com/x"}},
    {"value": {"image": IMAGE, "uploadUrl": "http://127.0.0.1:1/x"}},
    {"value": {"image": IMAGE, "uploadUrl": "file:///etc/passwd"}},
    {"value": {"image": IMAGE, "uploadUrl": "https://"}},
]


@pytest.mark.parametrize("body", PLACES)
async def test_a_place_that_is_none_gets_nothing(
    channel: linkedin.LinkedIn, stub: Stub, page: Page, body: Any
) -> None:
    """The answer comes from outside: no bytes, and no token, go where it likes."""
    page.instead = lambda one: Reply(200, body) if "initializeUpload" in one.path else None
    await noted(channel)
    assert sent_to(stub, "PUT", "") == []


@pytest.mark.parametrize(
    ("address", "safe", "token"),
    [
        ("https://www.linkedin.com/dms-uploads/1", True, True),
        ("https://linkedin.com/1", True, True),
        ("https://api.linkedin.com/1", True, True),
        ("https://uploads.example.org/1", True, False),
        ("https://evillinkedin.com/1", True, False),
        ("https://www.linkedin.com.example.org/1", True, False),
        ("https://user@example.org:1/www.linkedin.com", True, False),
        ("http://www.linkedin.com/1", False, False),
        ("http://127.0.0.1/1", False, False),
        ("//www.linkedin.com/1", False, False),
    ],
)
async def test_the_token_goes_to_linkedin_alone(
    tmp_path: Path, address: str, *, safe: bool, token: bool
) -> None:
    """A picture is public; a token is not."""
    channel = build("https://api.linkedin.com", tmp_path)
    url = _safe(channel._api, address)
    assert (url is not None) is safe
    assert (url is not None and _is_linkedins(channel._api, url)) is token
    await channel.close()


STOPPED: list[tuple[Callable[[Request], Reply | Fault], type[Exception]]] = [
    (lambda _: Reply(401, {}), NeedsPerson),
]


@pytest.mark.parametrize(("answer", "kind"), STOPPED)
async def test_what_would_stop_the_text_too_is_said_at_once(
    channel: linkedin.LinkedIn,
    stub: Stub,
    answer: Callable[[Request], Reply | Fault],
    kind: type[Exception],
) -> None:
    """A token that is not accepted is no fault of the picture."""
    stub.answer = answer
    with pytest.raises(kind):
        await channel.prepare(with_card())


@pytest.mark.parametrize(
    "answer",
    [
        Reply(403, {"code": "ACCESS_DENIED"}),
        Reply(429, {}),
        Reply(500, {}),
        Reply(200, b"x" * 2_000_000),
        Fault.CLOSE,
    ],
)
async def test_a_limit_on_pictures_does_not_hold_up_texts(
    channel: linkedin.LinkedIn, stub: Stub, answer: Reply | Fault
) -> None:
    """LinkedIn counts each sort of call by itself, and has permissions for each."""
    stub.answer = lambda _: answer
    assert await noted(channel)


async def test_a_network_that_is_away_keeps_the_picture_for_later(tmp_path: Path) -> None:
    """The text could not go either: the next attempt tries both."""
    keep_picture(tmp_path)
    channel = build("http://127.0.0.1:9", tmp_path)
    with pytest.raises(NotSent):
        await channel.prepare(with_card())
    await channel.close()
