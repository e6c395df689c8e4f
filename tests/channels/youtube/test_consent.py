"""How a person connects a channel, and what it means when Google gives no token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from broadcaster.channels import (
    youtube,
)
from broadcaster.channels.youtube import consent as google_consent
from broadcaster.channels.youtube.video import Video
from broadcaster.delivery import (
    Failure,
    NeedsPerson,
    NotSent,
)
from tests.channels.stub import (
    NOW,
    Fault,
    Reply,
    Stub,
    keep_secret,
    serving,
    setup_for,
)
from tests.channels.youtube.youtube_stub import (
    CHANNEL,
    SECRET,
    SHORT,
    build,
    carded,
    keep_clip,
    network,
    operations,
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


NO_TOKEN: list[tuple[Reply | Fault, type[Failure], str]] = [
    (Reply(400, {"error": "invalid_grant"}), NeedsPerson, "7 days"),
    (Reply(401, {"error": "invalid_client"}), NeedsPerson, "client id"),
    (Reply(403), NeedsPerson, "client id"),
    (Reply(429, b"", {"Retry-After": "9"}), NotSent, "429"),
    (Reply(503), NotSent, "503"),
    (Reply(200, {"access_token": 7}), NotSent, "200"),
    (Reply(200, {"access_token": "two words"}), NotSent, "200"),
    (Reply(200, b"junk"), NotSent, "200"),
    (Fault.CLOSE, NotSent, "Google gave no token"),
    (Fault.HANG, NotSent, "not begun"),
]


@pytest.mark.parametrize(("answer", "kind", "words"), NO_TOKEN)
async def test_without_a_token_nothing_is_sent(
    channel: Video, stub: Stub, answer: Reply | Fault, kind: type[Failure], words: str
) -> None:
    """A token that is dead for good needs a person, who reads why; anything else is tried again."""
    stub.answer = network(token=answer)
    with pytest.raises(kind, match=words):
        await channel.prepare(carded())
    assert operations(stub) == []


async def test_a_person_connects_the_channel(stub: Stub, tmp_path: Path) -> None:
    """The page asks for both permissions and a lasting token; the code becomes a grant."""
    settings = {
        "client_id": "client-1",
        "client_secret_file": keep_secret(tmp_path, "client-secret", SECRET),
        "refresh_token_file": "refresh-token",
        "token_url": stub.url,
        "base_url": stub.url,
    }
    chosen = youtube.Settings.model_validate({"channel_id": CHANNEL, "mode": "video", **settings})
    flow = youtube.oauth(setup_for(tmp_path, "youtube", timing=SHORT), chosen)
    assert flow.token_file == "refresh-token"
    assert "consent screen" in flow.advice
    page = urlsplit(flow.authorize("http://127.0.0.1:7/cb", "state-1"))
    asked = {name: one[0] for name, one in parse_qs(page.query).items()}
    assert f"{page.scheme}://{page.netloc}{page.path}" == (
        "https://accounts.google.com/o/oauth2/v2/auth"
    )
    assert asked["scope"].split() == list(google_consent.SCOPES)
    assert (asked["access_type"], asked["prompt"], asked["state"]) == (
        "offline",
        "consent",
        "state-1",
    )
    stub.say(200, {"access_token": "a", "refresh_token": "r", "expires_in": 3599})
    made = await flow.exchange("code-1", "http://127.0.0.1:7/cb")
    assert (made.access_token, made.refresh_token) == ("a", "r")
    assert made.expires == NOW + timedelta(seconds=3599)
    stub.say(200, {"access_token": "a"})
    with pytest.raises(NeedsPerson, match="no refresh token"):
        await flow.exchange("code-1", "http://127.0.0.1:7/cb")
