"""A stand-in for a Bluesky PDS: sessions, and records of app.bsky.feed.post.

Answers follow the reference PDS: putRecord with `swapRecord: null` creates and never overwrites
(InvalidSwap if the record is there), the same record put again without it is a no-op without
`commit`, createRecord on a key that is taken is a 500, and a record key must be a TID. The CID is
the real one: sha256 over the record in DAG-CBOR. Any app password that begins `sandbox-` opens the
account of the handle it comes with. The public's view of posts, which is another server's, is here
too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import grapheme
from aiohttp.web import Request, Response, UrlDispatcher

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import Answers, Window, answer, as_object
from broadcaster.sandbox.bluesky_blob import UPLOAD_BYTES_MAX, Blobs, cid_of, embed_fault
from broadcaster.sandbox.bluesky_session import Refused, Sessions, did_of
from broadcaster.sandbox.faults import CALL, Faults, On, Stage, possible
from broadcaster.sandbox.looks import Look
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import PREFIX, Post, Posts, account, is_text

NAME = "bluesky"
LOOK = Look(NAME, "Bluesky", colour="#0a7cff")
HANDLE = "stadt-dortmund.example.org"
PASSWORD_FILE = "bluesky-app-password"  # noqa: S105 - the name of a file
COLLECTION = "app.bsky.feed.post"
GRAPHEMES_MAX = 300
BYTES_MAX = 3000
LANGUAGES_MAX = 3
PAGE, PAGE_MAX = 50, 100
POSTS_MAX = 25
VERSION = "0.4.217"

_TID = re.compile(r"[234567abcdefghij][234567abcdefghijklmnopqrstuvwxyz]{12}\Z")
_TID_LETTERS = "234567abcdefghijklmnopqrstuvwxyz"


def channel(url: str) -> str:
    """Return the table of a channel that posts to this stand-in."""
    return f"""\
[channels.city-bluesky]
type = "bluesky"
base_url = {json.dumps(url)}
public_api = {json.dumps(url)}
handle = "{HANDLE}"
app_password_file = "{PASSWORD_FILE}"

"""


def secrets() -> dict[str, str]:
    """Return the secret files that the table names."""
    return {PASSWORD_FILE: f"{PREFIX}app-password"}


def tid(microseconds: int, clock_id: int = 0) -> str:
    """Return a TID: 53 bits of microseconds and 10 bits of clock id, in sortable base 32."""
    value = (microseconds & ((1 << 53) - 1)) << 10 | clock_id & 1023
    return "".join(_TID_LETTERS[value >> shift & 31] for shift in range(60, -1, -5))


def _error(status: int, name: str, message: str) -> Response:
    return answer({"error": name, "message": message}, status)


def _invalid(message: str) -> Response:
    return _error(400, "InvalidRequest", message)


class Bluesky:
    """The stand-in."""

    def __init__(self, posts: Posts, clock: Clock, pictures: Pictures) -> None:
        self._posts = posts
        self._clock = clock
        self._blobs = Blobs(pictures)
        self._window = Window(5000, 3600, clock)
        self._sessions = Sessions(clock)
        self._last_tid = 0
        self.answers = Answers(
            refused=lambda: _invalid(f"Invalid {COLLECTION} record: not acceptable"),
            rate_limited=self._rate_limited,
            failed=lambda: _error(500, "InternalServerError", "Internal Server Error"),
            without_id=lambda: answer({}),
            expired_token=lambda: _error(400, "ExpiredToken", "Token has expired"),
        )
        self.able = possible(self.answers)

    def route(self, router: UrlDispatcher, faults: Faults) -> None:
        """Put the network's addresses under /bluesky/xrpc."""
        stage = Stage(NAME, self._posts, faults, self.answers)
        server, repo = f"/{NAME}/xrpc/com.atproto.server.", f"/{NAME}/xrpc/com.atproto.repo."
        router.add_post(f"{server}createSession", stage.on(On.LOGIN, self.create_session))
        router.add_post(f"{server}refreshSession", stage.on(On.LOGIN, self.refresh_session))
        router.add_get(f"{server}getSession", stage.on(On.READ, self.get_session))
        view = f"/{NAME}/xrpc/app.bsky.feed.getPosts"
        router.add_get(f"/{NAME}/xrpc/_health", self.health)
        router.add_get(view, stage.on(On.READ, self.get_posts))
        router.add_post(f"{repo}uploadBlob", stage.on(On.PREPARE, self.upload_blob))
        router.add_post(f"{repo}putRecord", stage.on(On.CREATE, self.put_record))
        router.add_post(f"{repo}createRecord", stage.on(On.CREATE, self.create_record))
        router.add_post(f"{repo}deleteRecord", stage.on(On.DELETE, self.delete_record))
        router.add_get(f"{repo}getRecord", stage.on(On.READ, self.get_record))
        router.add_get(f"{repo}listRecords", stage.on(On.READ, self.list_records))
        profile = f"/{NAME}/xrpc/app.bsky.actor.getProfile"
        router.add_get(profile, stage.on(On.READ, self.get_profile))

    async def create_session(self, request: Request) -> Response:
        """com.atproto.server.createSession, without a DID document: it would move the client."""
        body = as_object(await request.read()) or {}
        identifier, password = str(body.get("identifier", "")), str(body.get("password", ""))
        try:
            return answer(self._sessions.open(identifier.lower().lstrip("@"), password))
        except Refused as refused:
            return refused.answer

    async def refresh_session(self, request: Request) -> Response:
        """com.atproto.server.refreshSession: new tokens; the refresh token given is used up."""
        try:
            return answer(self._sessions.refresh(request))
        except Refused as refused:
            return refused.answer

    async def get_session(self, request: Request) -> Response:
        """com.atproto.server.getSession."""
        try:
            handle = self._sessions.handle(request)
        except Refused as refused:
            return refused.answer
        body = {"handle": handle, "did": did_of(handle), "active": True}
        return answer(body, headers=self._headers())

    async def get_profile(self, request: Request) -> Response:
        """app.bsky.actor.getProfile of the account that asks."""
        try:
            handle = self._sessions.handle(request)
        except Refused as refused:
            return refused.answer
        name = account(handle).name
        return answer({"did": did_of(handle), "handle": handle, "displayName": name})

    async def health(self, _request: Request) -> Response:
        """_health: whether the server is there at all."""
        return answer({"version": VERSION})

    async def upload_blob(self, request: Request) -> Response:
        """com.atproto.repo.uploadBlob: bytes, until a record names them."""
        try:
            self._sessions.handle(request)
        except Refused as refused:
            return refused.answer
        data = await request.read()
        if len(data) > UPLOAD_BYTES_MAX:
            return _error(413, "PayloadTooLarge", "request entity too large")
        blob = self._blobs.keep(data, request.content_type)
        return answer({"blob": blob}, headers=self._headers())

    async def get_posts(self, request: Request) -> Response:
        """app.bsky.feed.getPosts: what the public sees; what it does not is left out."""
        uris = request.query.getall("uris", [])
        if not 1 <= len(uris) <= POSTS_MAX:
            return _invalid(f"Error: uris must have between 1 and {POSTS_MAX} elements")
        found = (self._posts.public(NAME, uri) for uri in uris)
        return answer({"posts": [self._view(post) for post in found if post]})

    def _view(self, post: Post) -> dict[str, Any]:
        handle = post.details["handle"]
        answering = [one for one in self._posts.of(NAME) if one.reply_to == post.id]
        author = {"did": did_of(handle), "handle": handle, "labels": []}
        return {
            "uri": post.id,
            "cid": post.details["cid"],
            "author": author | {"displayName": post.account.name},
            "record": post.details["record"] | {"text": post.text},
            "indexedAt": post.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "replyCount": sum(not one.deleted for one in answering),
            "repostCount": 0,
            "likeCount": 0,
            "quoteCount": 0,
            "labels": [],
        }

    async def put_record(self, request: Request) -> Response:
        """com.atproto.repo.putRecord."""
        return await self._write(request, overwrites=True)

    async def create_record(self, request: Request) -> Response:
        """com.atproto.repo.createRecord; without a record key the server chooses one."""
        return await self._write(request, overwrites=False)

    async def _write(self, request: Request, *, overwrites: bool) -> Response:
        try:
            handle = self._sessions.handle(request)
        except Refused as refused:
            return refused.answer
        body = as_object(await request.read()) or {}
        rkey = body.get("rkey")
        if rkey is None and not overwrites:
            rkey = self._next_tid()
        self._posts.name(NAME, request[CALL], str(rkey))
        if wrong := _wrong(body, handle, rkey):
            return wrong
        if missing := self._blobs.missing(body["record"]):
            return _error(400, "BlobNotFound", f"Could not find blob: {missing}")
        cid, uri = cid_of(body["record"]), f"at://{did_of(handle)}/{COLLECTION}/{rkey}"
        before = self._posts.get(NAME, uri)
        if before and (answered := _met(before, body, cid, overwrites=overwrites)):
            return answered
        if not before and body.get("swapRecord"):
            return _error(400, "InvalidSwap", "Record was at null")
        self._posts.add(self._post(uri, handle, body["record"], cid))
        commit = {"cid": cid_of({"uri": uri, "cid": cid}), "rev": self._next_tid()}
        done = {"uri": uri, "cid": cid, "commit": commit, "validationStatus": "valid"}
        return answer(done, headers=self._headers())

    def _post(self, uri: str, handle: str, record: dict[str, Any], cid: str) -> Post:
        languages = record.get("langs") or [None]
        reply = record.get("reply") or {}
        return Post(
            NAME,
            uri,
            account(handle),
            record["text"],
            self._clock.now(),
            language=languages[0],
            key=uri.rpartition("/")[2],
            reply_to=(reply.get("parent") or {}).get("uri"),
            media=self._blobs.media(record),
            details={"record": record, "cid": cid, "handle": handle},
        )

    async def delete_record(self, request: Request) -> Response:
        """com.atproto.repo.deleteRecord: deleting what is not there is no error."""
        try:
            handle = self._sessions.handle(request)
        except Refused as refused:
            return refused.answer
        body = as_object(await request.read()) or {}
        uri = f"at://{did_of(handle)}/{body.get('collection')}/{body.get('rkey')}"
        post = self._posts.get(NAME, uri)
        if not post:
            return answer({}, headers=self._headers())
        post.deleted = True
        commit = {"cid": cid_of({"deleted": uri}), "rev": self._next_tid()}
        return answer({"commit": commit}, headers=self._headers())

    async def get_record(self, request: Request) -> Response:
        """com.atproto.repo.getRecord: public."""
        query = request.query
        uri = f"at://{_did(query.get('repo', ''))}/{query.get('collection')}/{query.get('rkey')}"
        post = self._posts.get(NAME, uri)
        if not post or query.get("cid", post.details["cid"]) != post.details["cid"]:
            return _error(400, "RecordNotFound", f"Could not locate record: {uri}")
        return answer(_record(post), headers=self._headers())

    async def list_records(self, request: Request) -> Response:
        """com.atproto.repo.listRecords: public, newest key first."""
        query = request.query
        limit = query.get("limit", str(PAGE))
        if not limit.isdigit() or not 1 <= int(limit) <= PAGE_MAX:
            return _invalid(f"Error: limit must be between 1 and {PAGE_MAX}")
        found = self._found(_did(query.get("repo", "")), query)
        page = found[: int(limit)]
        body: dict[str, Any] = {"records": [_record(post) for post in page]}
        if len(found) > len(page):
            body["cursor"] = page[-1].key
        return answer(body, headers=self._headers())

    def _found(self, did: str, query: Mapping[str, str]) -> list[Post]:
        reverse, cursor = query.get("reverse") == "true", query.get("cursor")
        begin = f"at://{did}/{query.get('collection')}/"
        owner = next((post for post in self._posts.of(NAME) if post.id.startswith(begin)), None)
        found = self._posts.listed(NAME, owner.account) if owner else []
        found.sort(key=lambda post: post.id, reverse=not reverse)
        if not cursor:
            return found
        return [p for p in found if p.key and (p.key > cursor if reverse else p.key < cursor)]

    def _next_tid(self) -> str:
        now = int(self._clock.now().timestamp() * 1_000_000)
        self._last_tid = max(self._last_tid + 1, now)
        return tid(self._last_tid)

    def _headers(self) -> dict[str, str]:
        left, ends = self._window.use()
        return self._rate_headers(left, ends)

    def _rate_headers(self, left: int, ends: int) -> dict[str, str]:
        return {
            "ratelimit-limit": str(self._window.limit),
            "ratelimit-remaining": str(left),
            "ratelimit-reset": str(ends),
            "ratelimit-policy": f"{self._window.limit};w={self._window.seconds}",
        }

    def _rate_limited(self, seconds: float) -> Response:
        refused = _error(429, "RateLimitExceeded", "Rate Limit Exceeded")
        ends = int(self._clock.now().timestamp() + seconds + 0.999)
        refused.headers.update(self._rate_headers(0, ends))
        refused.headers["Retry-After"] = str(int(seconds + 0.999))
        return refused


def _did(repo: str) -> str:
    return repo if repo.startswith("did:") else did_of(repo)


def _record(post: Post) -> dict[str, Any]:
    value = post.details["record"] | {"text": post.text}
    return {"uri": post.id, "cid": post.details["cid"], "value": value}


def _met(before: Post, body: Mapping[str, Any], cid: str, *, overwrites: bool) -> Response | None:
    """Answer a write that meets a record of the same key; None if it is to be overwritten."""
    there = before.details["cid"]
    if not overwrites:
        return _error(500, "InternalServerError", "Internal Server Error")
    if "swapRecord" in body and body["swapRecord"] != there:
        return _error(400, "InvalidSwap", f"Record was at {there}")
    if there == cid:
        return answer({"uri": before.id, "cid": cid, "validationStatus": "valid"})
    return None


def _wrong(body: Mapping[str, Any], handle: str, rkey: object) -> Response | None:
    """Say what is wrong with a write, as the PDS says it."""
    if body.get("repo") not in (handle, did_of(handle)):
        return _error(401, "AuthenticationRequired", "Authentication Required")
    if body.get("collection") != COLLECTION:
        return _invalid("Lexicon not found: this stand-in has app.bsky.feed.post alone")
    if not isinstance(rkey, str) or not _TID.match(rkey):
        return _invalid(f"Invalid TID string (got {json.dumps(rkey)})")
    fault = _record_fault(body.get("record"))
    return _invalid(f"Invalid {COLLECTION} record: {fault}") if fault else None


def _record_fault(record: object) -> str | None:
    if not isinstance(record, dict):
        return "Input/record must be an object"
    if record.get("$type") != COLLECTION:
        return f"Invalid $type: expected {COLLECTION}, got {record.get('$type')}"
    text = record.get("text")
    if not isinstance(text, str) or not is_text(text):
        return 'Record must have the property "text"'
    if len(text.encode()) > BYTES_MAX:
        return f"Record/text must not be longer than {BYTES_MAX} bytes"
    if len(text) > GRAPHEMES_MAX and grapheme.length(text) > GRAPHEMES_MAX:
        return f"Record/text must not be longer than {GRAPHEMES_MAX} graphemes"
    if len(record.get("langs") or []) > LANGUAGES_MAX:
        return f"Record/langs must not have more than {LANGUAGES_MAX} elements"
    faults = _created_fault(record.get("createdAt")) or _reply_fault(record.get("reply"))
    return faults or embed_fault(record)


def _created_fault(created: object) -> str | None:
    try:
        moment = datetime.fromisoformat(str(created))
    except ValueError:
        moment = None
    if moment and moment.tzinfo and moment > datetime(1, 1, 2, tzinfo=UTC):
        return None
    return "Record/createdAt must be an valid atproto datetime (both RFC-3339 and ISO-8601)"


def _reply_fault(reply: object) -> str | None:
    if reply is None:
        return None
    for end in ("root", "parent"):
        strong = reply.get(end) if isinstance(reply, dict) else None
        if not isinstance(strong, dict) or not {"uri", "cid"} <= strong.keys():
            return f"Record/reply/{end} must be a strong reference"
    return None
