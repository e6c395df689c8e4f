"""Google's API: what each answer means, tokens that are renewed, and the day's quota."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from broadcaster.channels.tokens import Grant
from broadcaster.channels.youtube import google
from broadcaster.channels.youtube.video import Video
from broadcaster.delivery import (
    Failure,
    NeedsPerson,
    NotSent,
    Receipt,
    Rejected,
    Unknown,
)
from tests.channels.stub import (
    NOW,
    Fault,
    Reply,
    Stub,
    serving,
)
from tests.channels.youtube.test_clip import needs_ffmpeg
from tests.channels.youtube.youtube_stub import (
    REFRESH,
    SECRET,
    VIDEO,
    build,
    correction,
    error,
    keep_clip,
    network,
    operation,
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


ODD: list[tuple[Reply, type[Failure]]] = [
    (error(403, "rateLimitExceeded", Retry_After="7"), NotSent),
    (error(403, "userRateLimitExceeded"), NotSent),
    (Reply(429), NotSent),
    (error(403, "insufficientPermissions"), NeedsPerson),
    (error(403, "accessNotConfigured"), NeedsPerson),
    (error(401, "youtubeSignupRequired"), NeedsPerson),
    (error(403, "dailyLimitExceeded"), NeedsPerson),
    (error(400, "invalidTitle"), Rejected),
    (error(403, "forbiddenPrivacySetting"), Rejected),
    (Reply(403, {"error": {"errors": [None, {"reason": 7}]}}), Rejected),
    (Reply(403, {"error": {"errors": "no list"}}), Rejected),
    (Reply(403, {"error": "no object"}), Rejected),
    (Reply(403, b"x" * 3_000_000), Unknown),
    (Reply(408), Unknown),
    (Reply(302, b"", {"Location": "/elsewhere"}), Unknown),
]


@pytest.mark.parametrize(("answer", "kind"), ODD)
async def test_odd_answers_have_an_outcome_too(
    channel: Video, stub: Stub, answer: Reply, kind: type[Failure]
) -> None:
    """The reason in the body comes first, then the status; a body of any shape has an outcome."""
    stub.answer = network(update=answer)
    with pytest.raises(kind) as caught:
        await channel.correct(correction())
    assert type(caught.value) is kind
    if isinstance(caught.value, NotSent):
        assert caught.value.rate_limited


async def test_a_token_is_renewed_once_after_a_401(channel: Video, stub: Stub) -> None:
    """The first answer proves that nothing was done, so the request is made again."""
    tokens: list[Reply | Fault] = [
        Reply(200, {"access_token": f"ya29.{number}", "expires_in": 3599}) for number in (1, 2)
    ]
    stub.answer = network(token=tokens, delete=[Reply(401), Reply(204)])
    await channel.retract(Receipt(VIDEO))
    used = [one.headers["authorization"] for one in stub.requests if operation(one) == "delete"]
    assert used == ["Bearer ya29.1", "Bearer ya29.2"]
    form = dict(parse_qsl(stub.requests[0].body.decode()))
    assert form == {
        "grant_type": "refresh_token",
        "refresh_token": REFRESH,
        "client_id": "client-1",
        "client_secret": SECRET,
    }


async def test_a_token_is_kept_for_the_next_start(stub: Stub, tmp_path: Path) -> None:
    """In a file that only its owner reads."""
    stub.answer = network()
    for _ in range(2):
        channel = build(stub.url, tmp_path)
        await channel.retract(Receipt(VIDEO))
        await channel.close()
    assert [operation(one) for one in stub.requests] == ["token", "delete", "delete"]
    kept = tmp_path / "city-youtube.token"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert REFRESH in kept.read_text("utf-8")


def grant(**changes: Any) -> str:
    """Give a token file as `channels connect` writes it."""
    kept = Grant("ya29.kept", NOW + timedelta(hours=1), REFRESH, obtained=NOW)
    return json.dumps(replace(kept, **changes).to_json())


@needs_ffmpeg
async def test_days_left_are_those_of_the_refresh_token(stub: Stub, tmp_path: Path) -> None:
    """An access token's hour is no reason to worry; seven days of a test screen are."""
    stub.answer = network()
    channel = build(stub.url, tmp_path, refresh=grant())
    assert (await channel.probe()).days_left is None
    await channel.close()
    ends = NOW + timedelta(days=6)
    channel = build(stub.url, tmp_path, refresh=grant(refresh_expires=ends))
    found = await channel.probe()
    await channel.close()
    assert (found.ready, found.days_left) == (True, 6)
    assert "consent screen" in str(found.remedy)


@needs_ffmpeg
async def test_a_used_up_quota_is_told_until_midnight_pacific(channel: Video, stub: Stub) -> None:
    """Google says so once; what is left is known then, until its day ends."""
    stub.answer = network(update=error(403, "quotaExceeded"))
    with pytest.raises(NeedsPerson, match="midnight Pacific"):
        await channel.correct(correction())
    stub.answer = network()
    found = await channel.probe()
    assert (found.ready, found.quota_left) == (False, 0)
    quota = google.Quota(channel._setup.clock)
    quota.exhaust()
    assert quota.units_left == 0

    class Tomorrow:
        def now(self) -> datetime:
            return NOW + timedelta(hours=7)  # midnight at the Pacific is 08:00 UTC; it was 01:47

        def elapsed(self) -> float:
            return 0.0

        async def sleep(self, seconds: float) -> None:
            raise AssertionError(seconds)

    quota.clock = Tomorrow()
    assert quota.units_left == 10_000
