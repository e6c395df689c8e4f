"""What a YouTube channel shows: its own list of videos, one video, what the public sees of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from broadcaster.channels import http
from broadcaster.channels.youtube import google as api
from broadcaster.channels.youtube.google import WHO, Google
from broadcaster.channels.youtube.title import comparable, plain
from broadcaster.delivery import Delivery, Message, Sight, Unknown, names_reference

VIDEOS = "/youtube/v3/videos"
ITEMS = "/youtube/v3/playlistItems"
BEFORE_INTENT = timedelta(seconds=120)  # how far before the intent a read-back looks
PAGE, PAGES_MAX = 50, 10
PRIVATE = f"{WHO} keeps it private: the API project is not audited"

_COUNTS = {"viewCount": "views", "likeCount": "likes", "commentCount": "replies"}


@dataclass(slots=True)
class Videos:
    """Reads the videos of one channel.

    `privacy` is what is asked for when a video is uploaded. `api_key`: to look at videos as
    everybody does. `kept_private`: YouTube has made a video private that should be seen.
    """

    google: Google
    channel_id: str
    privacy: str
    api_key: str | None = field(repr=False)
    kept_private: bool = False

    def is_kept_private(self, privacy: object) -> bool:
        """Say whether a video is private that should not be, and remember it."""
        private = privacy == "private" and self.privacy != "private"
        self.kept_private |= private
        return private

    async def named(self, delivery: Delivery, message: Message) -> str | None:
        """Look for this part's video in the channel's own list, back to the first intent.

        Returns its id. Raises NotSent, NeedsPerson or Unknown.
        """
        since = (delivery.first_attempt or delivery.accepted) - BEFORE_INTENT
        wanted = comparable(plain(message.text))
        async for snippet in self._uploads(since):
            text = str(snippet.get("description", ""))
            named = names_reference(f"{snippet.get('title', '')}\n{text}", delivery.reference)
            # The languages of one alert share its reference: the text tells them apart.
            if named and comparable(text) == wanted:
                return str(part(snippet, "resourceId").get("videoId", ""))
        return None

    async def snippet(self, video: str) -> Mapping[str, Any] | None:
        """Return title, description and the like; None if it is not there. Raises as `named`."""
        answer = await self.google.read(VIDEOS, {"part": "snippet", "id": video})
        item = _only(self._page(answer))
        return None if item is None else part(item, "snippet")

    async def look(self, video: str, text: str) -> Sight:
        """Look as everybody with a key, else, and for the reason, as the owner.

        `text` is what was posted. Raises NotSent or NeedsPerson.
        """
        query = {"part": "status,snippet,statistics", "id": video}
        if self.api_key:
            answer = await self.google.read_publicly(VIDEOS, query, self.api_key)
            if item := _only(self._page(answer)):
                return self._sight(item, text, public=True)
        item = _only(self._page(await self.google.read(VIDEOS, query)))
        if item is None:
            return Sight(there=False, reason="deleted")
        sight = self._sight(item, text, public=False)
        if self.api_key and sight.there:
            return replace(sight, there=False, reason="not shown to the public yet")
        return sight

    async def _uploads(self, since: datetime) -> AsyncIterator[Mapping[str, Any]]:
        """Give the channel's uploads since then, newest first. Raises NotSent or NeedsPerson."""
        playlist = f"UU{self.channel_id[2:]}"
        query = {"part": "snippet", "playlistId": playlist, "maxResults": str(PAGE)}
        for _ in range(PAGES_MAX):
            answer = await self.google.read(ITEMS, query)
            if answer.status == 404 and "playlistNotFound" in api.reasons(answer):
                return  # nothing was ever uploaded
            page = self._page(answer)
            for item in page["items"]:
                snippet = part(item, "snippet")
                if _time(snippet.get("publishedAt")) < since:
                    return
                yield snippet
            if not isinstance(page.get("nextPageToken"), str):
                return
            query["pageToken"] = page["nextPageToken"]
        raise Unknown(f"{WHO} lists more videos than can be read back")

    def _page(self, answer: http.Answer) -> dict[str, Any]:
        """Give a list that was read whole. Raises NotSent or NeedsPerson."""
        page = http.as_object(answer)
        items = page.get("items")
        good = isinstance(items, list) and all(isinstance(item, dict) for item in items)
        if answer.status != 200 or not good:
            raise self.google.unread(answer)
        return page

    def _sight(self, item: Mapping[str, Any], text: str, *, public: bool) -> Sight:
        description = str(part(item, "snippet").get("description", ""))
        statistics = part(item, "statistics")
        counts = {name: api.number(statistics.get(key)) for key, name in _COUNTS.items()}
        reason = self._hidden(part(item, "status"))
        return Sight(
            there=reason is None,
            text=description,
            # A pointer to a newer version may have been put before it.
            altered=comparable(plain(text)) not in comparable(description),
            reason=reason,
            counts={name: count for name, count in counts.items() if count is not None},
            url=url(str(item.get("id"))),
            public=public,
        )

    def _hidden(self, status: Mapping[str, Any]) -> str | None:
        """Say why the public does not see a video, None if it does."""
        state, privacy = status.get("uploadStatus"), status.get("privacyStatus")
        if state in {"rejected", "failed"}:
            why = status.get("rejectionReason") or status.get("failureReason") or "no reason given"
            return f"{state} by {WHO}: {why}"
        if self.is_kept_private(privacy):
            return PRIVATE
        if privacy == "private" or privacy not in {"public", self.privacy}:
            return f"its privacy is {privacy}"
        return f"{WHO} is still processing it" if state == "uploaded" else None


def url(video: str) -> str:
    """Give a video's address."""
    return f"https://youtu.be/{video}"


def part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Give a part of a resource; empty where there is none."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _only(page: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next(iter(page["items"]), None)


def _time(value: object) -> datetime:
    """When it was published, if that is said; else it may be the one."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
