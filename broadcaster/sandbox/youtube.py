"""A stand-in for YouTube: videos by resumable upload, their edits and lists; and posts by hand.

Bodies and names keep to the discovery document of the Data API v3. There is no API for posts; what
a person does is played by `POST /youtube/_post` {"text", "picture"}: `picture` is the address of a
card on this machine, and may be left out. `PUT /youtube/_project` switches the state of the API
project, see youtube_access.Project. Who a token is: youtube_access.py.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets as random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aiohttp.web import Request, Response, StreamResponse, UrlDispatcher

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import Answers, answer, as_object, problem
from broadcaster.sandbox.faults import CALL, Faults, On, Stage, possible, reset
from broadcaster.sandbox.looks import Look
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import PREFIX, Account, Post, Posts, account, is_text
from broadcaster.sandbox.youtube_access import (
    CLIENT_ID,
    CLIENT_SECRET,
    Access,
    channel_id,
    error,
    unauthorized,
)
from broadcaster.sandbox.youtube_resource import channel_of, is_video, item, listing, video
from broadcaster.sandbox.youtube_upload import Place, Session, wrong

NAME = "youtube"
LOOK = Look(NAME, "YouTube", colour="#c4302b", empty="No videos and no posts yet.")
REFRESH_TOKEN = f"{PREFIX}stadt-dortmund"
API_KEY = f"{PREFIX}api-key"
SESSION_LIVES = timedelta(days=7)
SESSIONS_KEPT = 1_000
READ, WRITE = 1, 50  # units of the quota
PAGE_DEFAULT, PAGE_MAX = "5", 50
BY_HAND = "post"  # the kind of what a person posted

_PARTS = frozenset({"snippet", "status", "statistics", "contentDetails", "id"})
_UPLOAD = f"/{NAME}/upload/youtube/v3/videos"


def channel(url: str) -> str:
    """Return the table of a channel on which a person posts."""
    return f"""\
[channels.city-youtube]
type = "youtube"
channel_id = "{channel_id(account(REFRESH_TOKEN))}"
base_url = {json.dumps(url)}
api_key_file = "youtube-api-key"

"""


def video_channel(url: str) -> str:
    """Return the table of a channel to which clips are uploaded; beside the other, if wanted."""
    return f"""\
[channels.city-youtube-video]
type = "youtube"
mode = "video"
channel_id = "{channel_id(account(REFRESH_TOKEN))}"
base_url = {json.dumps(url)}
token_url = {json.dumps(url)}
authorize_url = {json.dumps(f"{url}/o/oauth2/v2/auth")}
client_id = "{CLIENT_ID}"
client_secret_file = "youtube-client-secret"
refresh_token_file = "youtube-refresh-token"
api_key_file = "youtube-api-key"

"""


def secrets() -> dict[str, str]:
    """Return the secret files that both tables name."""
    return {
        "youtube-client-secret": CLIENT_SECRET,
        "youtube-refresh-token": REFRESH_TOKEN,
        "youtube-api-key": API_KEY,
    }


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose token, or key, is good. `by` is None for everybody."""

    by: Account | None
    parts: frozenset[str]
    request: Request


Handling = Callable[[Asked], Awaitable[StreamResponse]]


class YouTube:
    """The stand-in. `url` is its own address, set once the sandbox listens."""

    def __init__(self, posts: Posts, clock: Clock, pictures: Pictures) -> None:
        self.url = ""
        self._posts = posts
        self._clock = clock
        self._pictures = pictures
        self._access = Access(clock)
        self._sessions: dict[str, Session] = {}
        self.answers = Answers(
            refused=lambda: error(400, "invalidVideoMetadata", domain="youtube.video"),
            rate_limited=_rate_limited,
            failed=lambda: error(503, "backendError", "Backend Error", "global"),
            without_id=lambda: answer({"kind": "youtube#video", "etag": "e"}),
            expired_token=unauthorized,
        )
        self.able = possible(self.answers)

    def route(self, router: UrlDispatcher, faults: Faults) -> None:
        """Put the network's addresses under /youtube."""
        stage = Stage(NAME, self._posts, faults, self.answers)
        self._puts = {
            sort: stage.on(sort, self._own(self.take)) for sort in (On.CREATE, On.PREPARE, On.READ)
        }
        videos = f"/{NAME}/youtube/v3/videos"
        lists = f"/{NAME}/youtube/v3"
        router.add_post(_UPLOAD, stage.on(On.PREPARE, self._own(self.begin)))
        router.add_put(_UPLOAD, self.put)
        router.add_get(videos, stage.on(On.READ, self._public(self.videos)))
        router.add_put(videos, stage.on(On.EDIT, self._own(self.edit, WRITE)))
        router.add_delete(videos, stage.on(On.DELETE, self._own(self.delete, WRITE)))
        router.add_get(f"{lists}/playlistItems", stage.on(On.READ, self._own(self.items, READ)))
        router.add_get(f"{lists}/channels", stage.on(On.READ, self._public(self.channels)))
        router.add_post(f"/{NAME}/token", stage.on(On.LOGIN, self._access.token))
        router.add_get(f"/{NAME}/o/oauth2/v2/auth", self._access.consent)
        router.add_put(f"/{NAME}/_project", self._access.switch)
        router.add_post(f"/{NAME}/_post", self.by_hand)

    async def begin(self, asked: Asked) -> Response:
        """POST /upload/youtube/v3/videos: begin an upload."""
        request, body = asked.request, as_object(await asked.request.read())
        size = request.headers.get("X-Upload-Content-Length", "")
        if body is None or request.query.get("uploadType") != "resumable" or not size.isdecimal():
            return error(400, "badRequest", domain="global")
        if reason := wrong(body, status=True):
            return error(400, reason, domain="youtube.video")
        assert asked.by  # noqa: S101 - `_own` has seen to it
        name = random.token_urlsafe(32)
        self._sessions[name] = Session(asked.by, body, int(size), self._clock.now())
        if len(self._sessions) > SESSIONS_KEPT:
            del self._sessions[next(iter(self._sessions))]
        place = f"{self.url}/upload/youtube/v3/videos?uploadType=resumable&upload_id={name}"
        return Response(headers={"Location": place, "X-GUploader-UploadID": name})

    async def put(self, request: Request) -> StreamResponse:
        """PUT to a session: only the piece that makes it whole shows something to the public."""
        place = Place.read(request.headers.get("Content-Range", ""))
        if place is None:
            return error(400, "badRequest", "Failed to parse Content-Range header.", "global")
        sort = On.READ if place.start is None else On.CREATE if place.is_last else On.PREPARE
        return await self._puts[sort](request)

    async def take(self, asked: Asked) -> StreamResponse:
        """Take a piece, or say how far the upload is."""
        request = asked.request
        place = Place.read(request.headers["Content-Range"])
        session = self._session(request)
        if session is None or place is None or session.author != asked.by:
            return Response(status=404)
        if session.ended_in:
            return self._made(session)
        if place.start is None:
            return Response(status=308, headers=session.headers)
        data = await request.read()
        if CALL in request:
            digest = hashlib.sha256(json.dumps(session.video).encode()).hexdigest()
            self._posts.name(NAME, request[CALL], digest)
        if said := session.wrong(place, len(data)):
            return error(400, "badRequest", said, "global")
        return self._taken(session, data, request)

    def _taken(self, session: Session, data: bytes, request: Request) -> Response:
        project = self._access.project
        if project.break_after is not None:
            session.data += data[: project.break_after]
            project.break_after = None
            return reset(request.transport)
        session.data += data
        if len(session.data) < session.size:
            return Response(status=308, headers=session.headers)
        self._publish(session)
        return self._made(session)

    def _publish(self, session: Session) -> None:
        snippet, status = session.video["snippet"], session.video.get("status", {})
        clip = self._pictures.keep(bytes(session.data), "video/mp4")
        privacy = status.get("privacyStatus", "public")
        session.ended_in = base64.urlsafe_b64encode(random.token_bytes(8)).decode()[:11]
        locked = not self._access.project.audited
        self._posts.add(
            Post(
                NAME,
                session.ended_in,
                session.author,
                snippet.get("description", ""),
                self._clock.now(),
                language=snippet.get("defaultLanguage"),
                media=[{"id": clip, "alt": snippet["title"]}],
                concealed=locked or privacy == "private",
                details={
                    "title": snippet["title"],
                    "privacy": "private" if locked else privacy,
                    "kind": "video",
                    "tags": snippet.get("tags", []),
                    "categoryId": snippet["categoryId"],
                },
            )
        )

    def _made(self, session: Session) -> Response:
        post = self._posts.any(NAME, session.ended_in or "")
        if post is None:  # all was forgotten
            return Response(status=404)
        return answer(self._video(post, frozenset({"snippet", "status"})))

    async def videos(self, asked: Asked) -> Response:
        """GET /youtube/v3/videos: those of the ids that the asker may see."""
        if "id" not in asked.request.query:
            return error(
                400, "missingRequiredParameter", "No filter selected.", "youtube.parameter"
            )
        named = asked.request.query["id"].split(",")
        found = [post for one in named if (post := self._seen(one, asked.by))]
        items = [self._video(post, asked.parts) for post in found]
        return answer(listing("video", items))

    async def edit(self, asked: Asked) -> Response:
        """PUT /youtube/v3/videos: the whole snippet."""
        body = as_object(await asked.request.read()) or {}
        post = self._mine(str(body.get("id")), asked.by)
        if post is None:
            return error(404, "videoNotFound", domain="youtube.video")
        given = {"snippet": body.get("snippet")}
        if reason := wrong(given, status=False):
            return error(400, reason, domain="youtube.video")
        snippet = body["snippet"]
        post.text, post.edited = snippet.get("description", ""), True
        post.language = snippet.get("defaultLanguage")
        post.details |= {"title": snippet["title"], "tags": snippet.get("tags", [])}
        post.details["categoryId"] = snippet["categoryId"]
        return answer(self._video(post, asked.parts))

    async def delete(self, asked: Asked) -> Response:
        """DELETE /youtube/v3/videos."""
        post = self._mine(asked.request.query.get("id", ""), asked.by)
        if post is None:
            return error(404, "videoNotFound", domain="youtube.video")
        post.deleted = True
        return Response(status=204)

    async def items(self, asked: Asked) -> Response:
        """GET /youtube/v3/playlistItems: a channel's uploads, newest first."""
        query = asked.request.query
        assert asked.by  # noqa: S101 - `_own` has seen to it
        own = channel_id(asked.by)
        posts = [post for post in self._posts.listed(NAME, asked.by) if is_video(post)]
        if query.get("playlistId") != f"UU{own[2:]}" or not posts:
            return error(404, "playlistNotFound", domain="youtube.playlistItem")
        asked_most, token = query.get("maxResults", PAGE_DEFAULT), query.get("pageToken", "T0")
        if not asked_most.isdecimal() or not token[1:].isdecimal():
            return error(400, "invalidPageToken", domain="youtube.parameter")
        most, start = min(int(asked_most), PAGE_MAX), int(token[1:])
        page = posts[start : start + most]
        body = listing("playlistItem", [item(post) for post in page], len(posts))
        if len(posts) > start + most:
            body["nextPageToken"] = f"T{start + most}"
        return answer(body)

    async def channels(self, asked: Asked) -> Response:
        """GET /youtube/v3/channels: one's own, or the sandbox's by its id."""
        query = asked.request.query
        city = account(REFRESH_TOKEN)
        who = asked.by if query.get("mine") == "true" else city
        if who is None or (query.get("id") and query["id"] != channel_id(who)):
            return answer(listing("channel", []))
        return answer(listing("channel", [channel_of(who, asked.parts)]))

    async def by_hand(self, request: Request) -> Response:
        """POST /youtube/_post: a person posts, with the card or without."""
        body = as_object(await request.read()) or {}
        text, picture = body.get("text"), body.get("picture")
        if not is_text(text) or not str(text).strip():
            return problem(422, "no-text", "A post needs a text.")
        kept = await self._pictures.fetch(str(picture)) if picture else None
        if picture and kept is None:
            return problem(422, "no-picture", "There is no picture at this address.")
        name = f"Ugkx{random.token_urlsafe(24)}"
        media = [{"id": kept, "alt": str(body.get("alt", ""))}] if kept else []
        author, now = account(REFRESH_TOKEN), self._clock.now()
        kind = {"kind": BY_HAND}
        post = Post(NAME, name, author, str(text), now, media=media, details=kind)
        self._posts.add(post)
        return answer({"url": f"https://www.youtube.com/post/{name}"}, 201)

    def _own(
        self, handle: Handling, units: int = 0
    ) -> Callable[[Request], Awaitable[StreamResponse]]:
        """Let in who has a good token, and what is left of the quota."""

        async def handled(request: Request) -> StreamResponse:
            author = self._access.author(request)
            if author is None:
                return unauthorized()
            return await self._within(Asked(author, _parts(request), request), handle, units)

        return handled

    def _public(self, handle: Handling) -> Callable[[Request], Awaitable[StreamResponse]]:
        """Let in everybody with a key, or with a token."""

        async def handled(request: Request) -> StreamResponse:
            author = self._access.author(request)
            if author is None and "key" not in request.query:
                return unauthorized()
            if author is None and not request.query["key"].startswith(PREFIX):
                return error(400, "badRequest", "API key not valid.", "global")
            return await self._within(Asked(author, _parts(request), request), handle, READ)

        return handled

    async def _within(self, asked: Asked, handle: Handling, units: int) -> StreamResponse:
        if unknown := asked.parts - _PARTS:
            return error(400, "unknownPart", ", ".join(sorted(unknown)), "youtube.part")
        if not self._access.project.use(units):
            return error(403, "quotaExceeded", domain="youtube.quota")
        return await handle(asked)

    def _session(self, request: Request) -> Session | None:
        session = self._sessions.get(request.query.get("upload_id", ""))
        if session is None or self._access.project.forgets:
            return None
        return session if self._clock.now() - session.begun < SESSION_LIVES else None

    def _mine(self, identity: str, author: Account | None) -> Post | None:
        post = self._posts.get(NAME, identity)
        return post if post and is_video(post) and post.account == author else None

    def _seen(self, identity: str, author: Account | None) -> Post | None:
        """Return a video if it is one's own, or the public sees it."""
        post = self._posts.public(NAME, identity)
        return self._mine(identity, author) or (post if post and is_video(post) else None)

    def _video(self, post: Post, parts: frozenset[str]) -> dict[str, Any]:
        takes = timedelta(seconds=self._access.project.processing_seconds)
        return video(post, parts, processed=self._clock.now() - post.created >= takes)


def _rate_limited(seconds: float) -> Response:
    refused = error(403, "rateLimitExceeded", "Rate Limit Exceeded", "usageLimits")
    refused.headers["Retry-After"] = str(int(seconds + 0.999))
    return refused


def _parts(request: Request) -> frozenset[str]:
    return frozenset(part for part in request.query.get("part", "").split(",") if part)
