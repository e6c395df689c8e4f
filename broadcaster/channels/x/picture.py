"""The card on X: a file, what it shows in words, and whether a post may name it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from broadcaster.channels import http
from broadcaster.channels.x.answer import Problem, data_of, failure_for
from broadcaster.channels.x.api import Api
from broadcaster.delivery import Media, Rejected

BYTES_MAX = 5_000_000
PROCESSED_SECONDS = 0.5  # between two questions whether a picture is ready, unless X says


async def upload(api: Api, media: Media, data: bytes, now: datetime) -> Mapping[str, Any]:
    """Upload a picture, wait until X has processed it, and say what it shows.

    Gives its id, and until when X keeps it (seconds since 1970). Raises the four failures.
    """
    body, kind = _form(media, data)
    found = _uploaded(await api.post_bytes("/2/media/upload", body, kind), now)
    lasts = found.get("expires_after_secs")
    while (wait := _processing(found)) is not None:
        await asyncio.sleep(wait)
        query = {"media_id": found["id"], "command": "STATUS"}
        found = _uploaded(await api.get("/2/media/upload", query), now)
    shown = {"id": found["id"], "metadata": {"alt_text": {"text": media.alt}}}
    answer = await api.post("/2/media/metadata", shown)
    said = http.as_object(answer)
    if answer.status not in {200, 201} or not said or "errors" in said:
        raise failure_for(answer, now)
    if type(lasts) is not int or lasts <= 0:
        return {"media": found["id"]}
    return {"media": found["id"], "expires": int(now.timestamp()) + lasts}


def _uploaded(answer: http.Answer, now: datetime) -> dict[str, Any]:
    found = data_of(answer)
    named = isinstance(found.get("id"), str) and found["id"].isdecimal()
    if answer.status not in {200, 201, 202} or not named:
        raise failure_for(answer, now)
    return found


def _processing(found: Mapping[str, Any]) -> float | None:
    """Give how long to wait for a picture, None if it is ready. Raises Rejected."""
    info = found.get("processing_info")
    state = info.get("state") if isinstance(info, dict) else "succeeded"
    if state == "failed":
        raise Rejected("X could not process the picture")
    if state not in {"pending", "in_progress"} or not isinstance(info, dict):
        return None
    after = info.get("check_after_secs")
    return float(after) if type(after) is int and 0 < after < 60 else PROCESSED_SECONDS


def _form(media: Media, data: bytes) -> tuple[bytes, str]:
    """Write a picture as a form with its file, and give the type that names its boundary."""
    boundary = hashlib.sha256(data).hexdigest()
    name = f"card.{media.kind.partition('/')[2]}"
    lines = [
        f"--{boundary}",
        'Content-Disposition: form-data; name="media_category"',
        "",
        "tweet_image",
        f"--{boundary}",
        f'Content-Disposition: form-data; name="media"; filename="{name}"',
        f"Content-Type: {media.kind}",
        "",
        "",
    ]
    body = "\r\n".join(lines).encode() + data + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def refuses_picture(answer: http.Answer) -> bool:
    """Say whether a whole refusal is about the card: then nothing was posted."""
    refused = answer.whole and answer.status in {400, 403}
    return refused and Problem.of(answer).says("media id", "media ids", "media_ids")
