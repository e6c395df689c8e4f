"""Pictures on the Mastodon stand-in: uploaded first, processed for a moment, then attached once.

What is not processed cannot be attached, and what is attached cannot be attached again; both are a
422 in Mastodon's words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp.web import FileField, Request, Response

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import answer
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import PICTURES, Account

PROCESSING_SECONDS = 0.3
ALT_MAX = 1500
BYTES_MAX = 16_777_216
MOST = 4
KEPT = 1_000


@dataclass(slots=True)
class Attachment:
    """One upload. `ready`: when it is processed, by the clock's elapsed seconds."""

    id: str
    owner: Account
    picture: str
    alt: str
    ready: float
    attached: bool = False


class Attachments:
    """What was uploaded, by its id; the newest are kept."""

    def __init__(self, pictures: Pictures, clock: Clock) -> None:
        self._pictures = pictures
        self._clock = clock
        self._kept: dict[str, Attachment] = {}
        self._last_id = 110_000_000_000_000_000

    async def upload(self, request: Request, owner: Account, url: str) -> Response:
        """POST /api/v2/media: 202, for it is processed afterwards."""
        form = await request.post()
        file, alt = form.get("file"), form.get("description")
        if not isinstance(file, FileField):
            return _invalid("Validation failed: File can't be blank")
        data = file.file.read()
        alt = alt if isinstance(alt, str) else ""
        if len(alt) > ALT_MAX:
            said = f"Description is too long (maximum is {ALT_MAX} characters)"
            return _invalid(f"Validation failed: {said}")
        if len(data) > BYTES_MAX:
            return _invalid("Validation failed: File must be less than 16 MB")
        picture = self._pictures.keep(data, file.content_type)
        kept = self._pictures.get(picture)
        if kept is None or not kept.width:
            return _invalid("Validation failed: File has contents that are not what they are said")
        self._last_id += 1
        ready = self._clock.elapsed() + PROCESSING_SECONDS
        one = Attachment(str(self._last_id), owner, picture, alt, ready)
        self._kept[one.id] = one
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return answer(self.to_json(one, url), 202)

    def state(self, identity: str, owner: Account, url: str) -> Response:
        """GET /api/v1/media/{id}: 206 while it is processed; 404 once it is attached."""
        one = self._kept.get(identity)
        if one is None or one.owner != owner or one.attached:
            return answer({"error": "Record not found"}, 404)
        return answer(self.to_json(one, url), 200 if self._is_ready(one) else 206)

    def wanted(self, identities: Sequence[str], owner: Account) -> list[Attachment] | Response:
        """Return what a new status may attach, or the answer that refuses it."""
        if len(identities) > MOST:
            return _invalid("Cannot attach more than 4 files")
        found = [self._kept.get(identity) for identity in identities]
        good = [one for one in found if one and one.owner == owner and not one.attached]
        if len(good) < len(identities):
            missing = set(identities) - {one.id for one in good}
            ids = ", ".join(sorted(missing))
            return _invalid(f"Media {ids} not found or already attached to another post")
        if not all(self._is_ready(one) for one in good):
            said = "Cannot attach files that have not finished processing."
            return _invalid(f"{said} Try again in a moment!")
        return good

    def to_json(self, one: Attachment, url: str) -> dict[str, Any]:
        """Return a MediaAttachment; `url` is where the sandbox is."""
        kept = self._pictures.get(one.picture)
        place = f"{url}{PICTURES}/{one.picture}"
        size = {"width": kept.width, "height": kept.height} if kept else {}
        return {
            "id": one.id,
            "type": "image",
            "url": place if self._is_ready(one) else None,
            "preview_url": place,
            "remote_url": None,
            "description": one.alt or None,
            "blurhash": None,
            "meta": {"original": size},
        }

    def _is_ready(self, one: Attachment) -> bool:
        return self._clock.elapsed() >= one.ready


def _invalid(sentence: str) -> Response:
    return answer({"error": sentence}, 422)
