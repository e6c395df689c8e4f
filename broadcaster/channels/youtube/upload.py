"""A resumable upload to Google: one session, one video, however often the line breaks.

The session is begun with the video's title and text, and shows nothing to anybody. Its bytes follow
in pieces; how far it has come, and whether it has ended, can always be asked. A session ends in one
video at most, so whoever goes on with the same session never posts twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from yarl import URL

from broadcaster.channels import http
from broadcaster.channels.youtube.google import JSON, WHO, Google, as_json
from broadcaster.delivery import Failure, NotSent, Rejected, Unknown

START = "/upload/youtube/v3/videos"
PARTS = {"part": "snippet,status", "uploadType": "resumable"}
PIECE_BYTES = 4 * 256 * 1024  # all but the last must be a multiple of 256 KiB
VIDEO = "video/mp4"
AGAIN = timedelta(seconds=1)

_UP_TO = re.compile(r"bytes=0-([0-9]{1,12})")


@dataclass(frozen=True, slots=True)
class Upload:
    """What is stored of a session between the two steps.

    `clip` names the file, `sha256` is its content's: other bytes must never follow the first ones.
    `card` is the picture it was made from.
    """

    session: str
    clip: str
    card: str
    size: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return the handle."""
        return {
            "session": self.session,
            "clip": self.clip,
            "card": self.card,
            "size": self.size,
            "sha256": self.sha256,
        }

    @classmethod
    def from_json(cls, handle: Mapping[str, Any]) -> Upload:
        """Read a handle. Raises KeyError, TypeError or ValueError."""
        session, clip, card = (str(handle[name]) for name in ("session", "clip", "card"))
        return cls(session, clip, card, int(handle["size"]), str(handle["sha256"]))


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a session stands: `received` bytes of an unfinished one, or the `video`, or gone.

    All three are None or False where it has ended and does not say in which video.
    """

    received: int | None = None
    video: Mapping[str, Any] | None = None
    gone: bool = False


async def begin(google: Google, video: Mapping[str, Any], size: int) -> str:
    """Begin a session and return its address. Nothing can be seen yet.

    Raises the four failures.
    """
    url, body = google.url(START, PARTS), as_json(video)
    kind = {"X-Upload-Content-Type": VIDEO, "X-Upload-Content-Length": str(size)}
    google.quota.use(uploads=1)
    answer = await google.asked(
        lambda headers: google.client.post(url, body, headers | JSON | kind)
    )
    session = answer.headers.get("Location", "")
    if answer.status != 200:
        raise google.failure(answer)
    if not session or not google.is_own(session):
        raise NotSent(f"{WHO} began an upload, but named no place of its own for it")
    return session


async def ask(google: Google, upload: Upload) -> Progress:
    """Ask how far a session has come. Raises NotSent or NeedsPerson: nothing was sent."""
    if not google.is_own(upload.session):  # base_url was changed since
        return Progress(gone=True)
    try:
        answer = await _put(google, upload, b"", f"bytes */{upload.size}")
        return _progress(google, answer, upload)
    except Unknown as failure:
        raise NotSent(f"the upload could not be asked about: {failure.reason}") from None


async def push(google: Google, upload: Upload, data: bytes, received: int) -> Progress:
    """Send the next piece of `data`; the last one publishes. Raises the four failures."""
    piece = data[received : received + PIECE_BYTES]
    if not piece:
        raise NotSent(f"{WHO} has all of the upload and is still taking it in", AGAIN)
    place = f"bytes {received}-{received + len(piece) - 1}/{upload.size}"
    try:
        progress = _progress(google, await _put(google, upload, piece, place), upload)
    except Rejected as refusal:
        progress = await _anew(google, upload, received, refusal)
    if progress.gone and received + len(piece) == upload.size:
        # The last piece may have landed the first time, and its repeat found nothing to add to.
        raise Unknown(f"{WHO} knows nothing of the upload any more, after its last piece")
    if progress.received is not None and progress.received <= received:
        said = f"{WHO} has {progress.received} of {upload.size} bytes, and takes no more now"
        raise NotSent(said, AGAIN)
    return progress


async def _anew(google: Google, upload: Upload, received: int, refusal: Rejected) -> Progress:
    """A piece was refused: that is so only if nothing of it has arrived.

    aiohttp repeats a PUT by itself after a connection that broke. What arrived the first time, in
    part or whole, is then refused the second time. Raises the refusal, or Unknown.
    """
    try:
        progress = await ask(google, upload)
    except Failure:
        reason = f"{refusal.reason}, and the upload could not be asked about"
        raise Unknown(reason) from None
    if progress.received == received:
        raise refusal
    return progress


async def _put(google: Google, upload: Upload, data: bytes, place: str) -> http.Answer:
    url = URL(upload.session, encoded=True)
    kind = {"Content-Type": VIDEO, "Content-Range": place}
    return await google.asked(lambda headers: google.client.put(url, data, headers | kind))


def _progress(google: Google, answer: http.Answer, upload: Upload) -> Progress:
    if answer.status in {200, 201}:
        video = http.as_object(answer)
        return Progress(video=video if video.get("id") else None)
    # A 308 with a place to go to instead is a redirect of something in between.
    if answer.status == 308 and ("Range" in answer.headers or "Location" not in answer.headers):
        return Progress(received=_received(answer, upload))
    if answer.status in {404, 410}:
        return Progress(gone=True)
    raise google.failure(answer)


def _received(answer: http.Answer, upload: Upload) -> int:
    """Read how many bytes have arrived; without `Range` there are none."""
    value = answer.headers.get("Range")
    if value is None:
        return 0
    found = _UP_TO.fullmatch(value.strip())
    count = int(found[1]) + 1 if found else -1
    if not 0 < count <= upload.size:
        raise NotSent(f"{WHO} does not say clearly how much of the upload has arrived", AGAIN)
    return count
