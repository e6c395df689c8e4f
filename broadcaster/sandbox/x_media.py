"""Pictures on the X stand-in: a file, what it shows in words, and a day to post it.

X takes pictures at once: processing is for clips, which this stand-in does not take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp.web import FileField, Request

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import as_object
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import Account

BYTES_MAX = 5_242_880
ALT_MAX = 1000
LASTS_SECONDS = 86_400
KEPT = 1_000
_FIELDS = frozenset({"media", "media_category", "additional_owners", "media_type", "shared"})


@dataclass(slots=True)
class Upload:
    """One picture. `ends`: until when it can be posted, by the clock's elapsed seconds."""

    id: str
    owner: Account
    picture: str
    size: int
    ends: float
    alt: str = ""


class Uploads:
    """What was uploaded, by its id; the newest are kept."""

    def __init__(self, pictures: Pictures, clock: Clock) -> None:
        self._pictures = pictures
        self._clock = clock
        self._kept: dict[str, Upload] = {}
        self._last_id = 1_850_000_000_000_000_000

    async def take(self, request: Request, owner: Account) -> dict[str, Any]:
        """POST /2/media/upload. Raises ValueError with what X refuses."""
        form = await request.post()
        file = form.get("media")
        if unknown := set(form) - _FIELDS:
            raise ValueError(f"[{min(unknown)}] is not a field of this request")
        if form.get("media_category") != "tweet_image":
            raise ValueError("[media_category] is not as it must be: this one takes pictures")
        if not isinstance(file, FileField):
            raise ValueError("[media] is required")  # noqa: TRY004 - it is what a person sent
        data = file.file.read()
        if len(data) > BYTES_MAX:
            raise ValueError("The picture is larger than 5 MB.")
        picture = self._pictures.keep(data, file.content_type)
        kept = self._pictures.get(picture)
        if kept is None or not kept.width:
            raise ValueError("media type unrecognized.")
        self._last_id += 1
        ends = self._clock.elapsed() + LASTS_SECONDS
        one = Upload(str(self._last_id), owner, picture, len(data), ends)
        self._kept[one.id] = one
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return self._shown(one)

    async def state(self, request: Request, owner: Account) -> dict[str, Any]:
        """GET /2/media/upload. Raises ValueError."""
        return self._shown(self._own(request.query.get("media_id", ""), owner))

    async def describe(self, request: Request, owner: Account) -> dict[str, Any]:
        """POST /2/media/metadata. Raises ValueError with what X refuses."""
        body = as_object(await request.read()) or {}
        one = self._own(str(body.get("id")), owner)
        metadata = body.get("metadata")
        alt = metadata.get("alt_text") if isinstance(metadata, dict) else None
        text = alt.get("text") if isinstance(alt, dict) else None
        if not isinstance(text, str) or len(text) > ALT_MAX:
            raise ValueError(f"[metadata.alt_text.text] must have at most {ALT_MAX} characters")
        one.alt = text
        return {"id": one.id, "associated_metadata": {"alt_text": {"text": text}}}

    def media(self, identities: Sequence[str], owner: Account) -> list[dict[str, str]]:
        """Return what a post names, as posts keep it. Raises ValueError."""
        return [
            {"id": one.picture, "alt": one.alt}
            for one in (self._own(identity, owner) for identity in identities)
        ]

    def _own(self, identity: str, owner: Account) -> Upload:
        one = self._kept.get(identity)
        if one is None or one.owner != owner or one.ends <= self._clock.elapsed():
            raise ValueError("Your media IDs are invalid.")
        return one

    def _shown(self, one: Upload) -> dict[str, Any]:
        kept = self._pictures.get(one.picture)
        size = {"w": kept.width, "h": kept.height, "image_type": kept.kind} if kept else {}
        return {
            "id": one.id,
            "media_key": f"3_{one.id}",
            "size": one.size,
            "expires_after_secs": int(one.ends - self._clock.elapsed()),
            "image": size,
        }
