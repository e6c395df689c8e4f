"""A video on YouTube: a clip of the card, with the text as its description.

Two steps (youtube_upload.py): a session is begun and stored, then its bytes are sent. A session
that is gone proves nothing by itself, so the channel's own list is read before another is begun.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from yarl import URL

from broadcaster.channels import (
    LANDSCAPE,
    Escape,
    Limits,
    Measure,
    Picture,
    Setup,
    card_path,
    http,
)
from broadcaster.channels.youtube import google as api
from broadcaster.channels.youtube import upload
from broadcaster.channels.youtube.clip import ClipError, Clips, ProgramMissing, ffmpeg
from broadcaster.channels.youtube.google import WHO, Google
from broadcaster.channels.youtube.title import begins, marked, plain, title_of
from broadcaster.channels.youtube.upload import Progress, Upload
from broadcaster.channels.youtube.uploads import PRIVATE, VIDEOS, Videos, part, url
from broadcaster.config import Carries
from broadcaster.delivery import (
    Act,
    Delivery,
    Failure,
    Guarantee,
    Message,
    NeedsPerson,
    NotSent,
    Readiness,
    Receipt,
    Rejected,
    Sight,
    Unknown,
)

CHANNELS = "/youtube/v3/channels"
LISTED_AFTER = timedelta(seconds=90)  # so long an upload may be missing from its channel's own list
ASK_AGAIN = timedelta(seconds=20)
SHARE = 0.5  # of an attempt's limit, for each of the two steps
WARNED_DAYS = 30

_ID = re.compile(r"[A-Za-z0-9_-]{6,32}")
_CHANGEABLE = ("title", "description", "tags", "categoryId", "defaultLanguage")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the configuration says of the videos. `api_key`: to look at them as everybody does."""

    channel_id: str
    privacy: str = "public"
    category_id: str = "25"
    tags: tuple[str, ...] = ()
    api_key: str | None = field(default=None, repr=False)


class Video:
    """One channel on YouTube, to which videos are uploaded."""

    carries: Carries
    guarantee = Guarantee.TWO_STEPS
    reads_back = True
    # Of 5000 bytes: the rest is for what is put before the text when it is overtaken.
    limits = Limits(Measure.CHARACTERS, 4900, bytes_maximum=4900)
    escape = Escape.MENTIONS
    attempts_at_once = 2
    picture: Picture | None = replace(LANDSCAPE, required=True)
    by_hand: str | None = None
    paid_reads = False
    takes_data = False
    posts_per_day_max: int | None = None
    resend_on_unknown = False

    def __init__(
        self, setup: Setup, wanted: Wanted, google: Google, clips: Clips, carries: Carries
    ) -> None:
        self.config = setup.config
        self.carries = carries
        self.template = setup.config.template or "youtube"
        self.account = f"{wanted.channel_id} (videos)"  # its posts may be a channel beside this one
        self._setup = setup
        self._wanted = wanted
        self._google = google
        self._clips = clips
        self._limit_seconds = setup.timing.attempt_seconds * SHARE
        connect = f"broadcaster channels connect {setup.config.name}"
        self._connect = f"Run: {connect}, and log in as the owner of the channel."
        self._videos = Videos(google, wanted.channel_id, wanted.privacy, wanted.api_key)

    async def prepare(self, delivery: Delivery) -> Mapping[str, Any]:
        """Make the clip and begin an upload; nobody can see anything yet."""
        message = _message(delivery)
        card = next((one.digest for one in message.media if one.digest), None)
        if card is None:
            raise Rejected("a video needs a card, and none was drawn")
        try:
            async with asyncio.timeout(self._limit_seconds):
                path = await self._clip(card, message)
                data = await asyncio.to_thread(path.read_bytes)
                video = self._resource(message)
                session = await upload.begin(self._google, video, len(data))
        except TimeoutError:
            raise NotSent("the clip is not made yet, or the upload not begun") from None
        digest = hashlib.sha256(data).hexdigest()
        return Upload(session, path.name, card, len(data), digest).to_json()

    async def send(self, delivery: Delivery) -> Receipt:
        """Send what the session does not have yet; its end is the video."""
        handle = _handle(delivery)
        try:
            async with asyncio.timeout(self._limit_seconds):
                progress = await self._carried_on(handle, delivery)
                return await self._sent(progress, delivery)
        except TimeoutError:
            raise Unknown("the upload did not come to its end within the attempt") from None

    async def find(self, delivery: Delivery) -> Receipt | None:
        """Ask the session; where it is gone, read the channel's own list."""
        if delivery.message is None:
            return None
        if delivery.message.act is Act.CORRECT:
            return await self._corrected(delivery)
        if delivery.handle is None:
            return None
        try:
            progress = await self._asked(_handle(delivery))
        except Rejected as failure:  # refuses the question, which says nothing of the video
            raise NotSent(f"could not be read back: {failure.reason}") from None
        if progress.video is not None:
            return self._receipt(progress.video)
        if progress.received is not None:
            return None
        found = await self._listed(delivery)
        if found is None and not progress.gone:
            raise Unknown(f"{WHO} has the whole video, but does not list it yet")
        if found is None:
            self._mind_delay(delivery)
        return found

    async def correct(self, delivery: Delivery) -> Receipt:
        """Put the text before title and description of the video `reply_to`."""
        try:
            async with asyncio.timeout(2 * self._limit_seconds):
                return await self._mark(delivery)
        except TimeoutError:
            raise Unknown("the change was not confirmed within the attempt") from None

    async def _mark(self, delivery: Delivery) -> Receipt:
        pointer, video = plain(_message(delivery).text), _video_id(delivery.reply_to)
        snippet = await self._videos.snippet(video)
        if snippet is None:
            raise Rejected("the video that is to be corrected is not there any more")
        if begins(str(snippet.get("description", "")), pointer):
            return Receipt(video, url(video))
        kept = {name: snippet[name] for name in _CHANGEABLE if name in snippet}
        body = {"id": video, "snippet": kept | marked(snippet, pointer)}
        answer = await self._google.put(VIDEOS, {"part": "snippet"}, body)
        if answer.status == 200 and http.as_object(answer).get("id") == video:
            return Receipt(video, url(video))
        raise self._google.failure(answer)

    async def look(self, delivery: Delivery) -> Sight:
        """Look the video up: as everybody with a key, else, and for the reason, as its owner."""
        text = delivery.message.text if delivery.message else ""
        return await self._videos.look(_video_id(delivery.receipt), text)

    async def probe(self) -> Readiness:
        """Ask whose token it is; see what is left of the quota, and whether clips can be made."""
        try:
            await asyncio.to_thread(ffmpeg)
            answer = await self._google.read(CHANNELS, {"part": "snippet,status", "mine": "true"})
        except ClipError as fault:
            remedy = "Install crisis-broadcaster with the extra `video`."
            return Readiness(ready=False, sentence=f"No clip can be made: {fault}.", remedy=remedy)
        except NeedsPerson as failure:
            return Readiness(ready=False, sentence=f"{failure.reason}.", remedy=self._connect)
        except Failure as failure:
            remedy = f"Nothing, if it passes; else check the network and {WHO}'s status page."
            return Readiness(ready=False, sentence=f"{WHO} {failure.reason}.", remedy=remedy)
        if answer.status != 200:
            return self._not_ready(answer)
        return self._ready(_items(answer))

    async def retract(self, receipt: Receipt) -> None:
        """Delete the video; done if it is gone already."""
        video = _video_id(receipt)
        answer = await self._google.delete(VIDEOS, {"id": video})
        if answer.status not in {204, 404}:
            raise self._google.failure(answer)

    async def warm(self) -> None:
        """Keep a connection open."""
        await self._google.client.warm(URL(self._google.base))

    async def close(self) -> None:
        """Close the connections, and end a clip that is being made."""
        await self._clips.close()
        await self._google.client.close()

    # Uploading

    async def _clip(self, card: str, message: Message) -> Path:
        media = next(one for one in message.media if one.digest == card)
        picture = card_path(self._setup.state_directory, card, media.kind)
        try:
            return await self._clips.made(picture, card)
        except ProgramMissing as fault:
            raise NeedsPerson(f"{fault}. Install the extra `video`") from None
        except (ClipError, OSError) as fault:
            what = fault if isinstance(fault, ClipError) else "the clip could not be written"
            raise NotSent(f"there is no clip: {what}") from None

    def _resource(self, message: Message) -> dict[str, Any]:
        snippet = {
            "title": title_of(message),
            "description": plain(message.text),
            "tags": list(self._wanted.tags),
            "categoryId": self._wanted.category_id,
            "defaultLanguage": message.language.partition("-")[0].lower(),
        }
        status = {
            "privacyStatus": self._wanted.privacy,
            "selfDeclaredMadeForKids": False,
            "containsSyntheticMedia": False,
        }
        return {"snippet": snippet, "status": status}

    async def _asked(self, handle: Upload | None) -> Progress:
        return await upload.ask(self._google, handle) if handle else Progress(gone=True)

    async def _carried_on(self, handle: Upload | None, delivery: Delivery) -> Progress:
        """Ask how far it is, always: what is sent must follow what has arrived."""
        progress = await self._asked(handle)
        if handle is None or progress.received is None:
            return progress
        data = await self._data(handle, delivery)
        received: int | None = progress.received
        while received is not None:
            progress = await upload.push(self._google, handle, data, received)
            received = progress.received
        return progress

    async def _data(self, handle: Upload, delivery: Delivery) -> bytes:
        """Read the clip; made again where its file is gone. The session is known to be unfinished.

        Raises NotSent(afresh=True) where other bytes would follow those that have arrived.
        """
        path = self._clips.path(handle.clip)
        if not await asyncio.to_thread(path.exists):
            message = _message(delivery)
            if handle.card not in {one.digest for one in message.media}:
                raise NotSent("the clip is gone, and its card as well", afresh=True)
            path = await self._clip(handle.card, message)
        data = await asyncio.to_thread(path.read_bytes)
        if hashlib.sha256(data).hexdigest() != handle.sha256:
            raise NotSent("the clip is not the one whose upload was begun", afresh=True)
        return data

    async def _sent(self, progress: Progress, delivery: Delivery) -> Receipt:
        if progress.video is not None:
            return self._receipt(progress.video)
        if not progress.gone:
            raise Unknown(f"{WHO} has the whole video, but does not say under which name")
        try:
            if found := await self._listed(delivery):
                return found
            if delivery.doubtful:
                self._mind_delay(delivery)
        except NotSent as failure:
            if delivery.doubtful:  # an earlier attempt may have landed all the same
                raise Unknown(failure.reason) from None
            raise
        raise NotSent(f"the upload was given up by {WHO}", afresh=True)

    async def _listed(self, delivery: Delivery) -> Receipt | None:
        video = await self._videos.named(delivery, _message(delivery))
        return None if video is None else self._receipt({"id": video})

    def _mind_delay(self, delivery: Delivery) -> None:
        """Not in the list: that proves something only after a while. Raises NotSent before."""
        since = delivery.unknown_since or delivery.first_attempt or delivery.accepted
        if self._setup.clock.now() - since < LISTED_AFTER:
            raise NotSent("the upload is gone, and its video not in the list so far", ASK_AGAIN)

    def _receipt(self, video: Mapping[str, Any]) -> Receipt:
        name = str(video["id"])
        if not _ID.fullmatch(name):
            raise Unknown(f"{WHO} names the video by something that is no name")
        privacy = part(video, "status").get("privacyStatus")
        details = {"privacy": privacy} if isinstance(privacy, str) else {}
        note = PRIVATE if self._videos.is_kept_private(privacy) else None
        return Receipt(name, url(name), details, note)

    async def _corrected(self, delivery: Delivery) -> Receipt | None:
        if delivery.reply_to is None:
            return None
        video = _video_id(delivery.reply_to)
        snippet = await self._videos.snippet(video)
        pointer = plain(_message(delivery).text)
        if snippet is None or not begins(str(snippet.get("description", "")), pointer):
            return None
        return Receipt(video, url(video))

    # Readiness

    def _ready(self, items: list[Mapping[str, Any]]) -> Readiness:
        mine = [item for item in items if item.get("id") == self._wanted.channel_id]
        if not mine:
            sentence = f"The token is not that of the channel {self._wanted.channel_id}."
            return Readiness(ready=False, sentence=sentence, remedy=self._connect)
        snippet, quota = part(mine[0], "snippet"), self._google.quota
        handle = str(snippet.get("customUrl") or snippet.get("title") or self._wanted.channel_id)
        left = f"{quota.uploads_left} uploads and {quota.units_left} units are left today"
        sentence = f"{WHO} knows us as {handle}; {left}."
        days, remedy = self._google.days_left, None
        if self._videos.kept_private:
            sentence += " The last video stayed private: the API project is not audited."
            remedy = "Have Google audit the API project; until then set videos public by hand."
        if days is not None and days <= WARNED_DAYS:
            remedy = "Publish the app's consent screen, then connect the channel again."
        ready = quota.units_left > 0 and quota.uploads_left > 0
        server = urlsplit(self._google.base).netloc
        return Readiness(
            ready,
            sentence if ready else f"{WHO}: the project's quota of the day is used up.",
            remedy if ready else "It comes back at midnight Pacific time; ask Google for more.",
            account=handle,
            days_left=days,
            quota_left=min(quota.units_left, quota.uploads_left),
            identity={"id": self._wanted.channel_id, "handle": handle, "server": server},
        )

    def _not_ready(self, answer: http.Answer) -> Readiness:
        if found := api.person(answer):
            return Readiness(ready=False, sentence=f"{found[0]}.", remedy=found[1])
        remedy = "Nothing, if it passes; else look at the project in Google's console."
        sentence = f"{self._google.unread(answer).reason}."
        return Readiness(ready=False, sentence=sentence, remedy=remedy)


def _message(delivery: Delivery) -> Message:
    if delivery.message is None:
        raise Rejected("there is no text in this delivery")
    return delivery.message


def _handle(delivery: Delivery) -> Upload | None:
    """Read what was stored; None where it cannot be read: as if the session were gone."""
    if delivery.handle is None:
        raise NotSent("no upload was begun", afresh=True)
    try:
        return Upload.from_json(delivery.handle)
    except (KeyError, TypeError, ValueError):
        return None


def _video_id(receipt: Receipt | None) -> str:
    if receipt is None or receipt.remote_id is None or not _ID.fullmatch(receipt.remote_id):
        raise Rejected(f"this receipt names no video on {WHO}")
    return receipt.remote_id


def _items(answer: http.Answer) -> list[Mapping[str, Any]]:
    items = http.as_object(answer).get("items")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
