"""YouTube: a person posts by hand, or a clip of the card is uploaded as a video.

There is no API for posts (platforms.md, section 6). In mode `operator` the delivery waits for a
person: text, card and link are ready. Mode `video` is in youtube_video.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator
from yarl import URL

from broadcaster.alert import Severity, Status
from broadcaster.channels import (
    SERVER,
    SQUARE,
    Escape,
    Limits,
    Measure,
    Picture,
    Setup,
    http,
)
from broadcaster.channels.tokens import OAuth
from broadcaster.channels.youtube import consent as google_consent
from broadcaster.channels.youtube import google as api
from broadcaster.channels.youtube.clip import Clips
from broadcaster.channels.youtube.consent import App
from broadcaster.channels.youtube.google import WHO, Google
from broadcaster.channels.youtube.video import CHANNELS, Video, Wanted
from broadcaster.config import Carries, Table
from broadcaster.delivery import (
    Delivery,
    Failure,
    Guarantee,
    NeedsPerson,
    Readiness,
    Receipt,
    Rejected,
    Unknown,
)

# Where a person has to act, or a channel gets one video more, only what is serious is worth it.
CARRIES = Carries(status=(Status.ACTUAL,), severity=(Severity.EXTREME, Severity.SEVERE))
POST_MAX = 1_000  # characters of a post by hand; YouTube names no number, and no alert needs more
BY_HAND = f"{WHO} has no way to post by program: a person posts, the card waits for them."

_Server = Annotated[str, StringConstraints(pattern=SERVER)]


class Settings(Table):
    """`[channels.NAME]` of type youtube. All but `channel_id` and `api_key_file` is for videos.

    `api_key_file`: a key with which videos are looked up as everybody sees them. `sound`: the
    absolute path of a sound; without one the clip is silent.
    """

    channel_id: Annotated[str, StringConstraints(pattern=r"^UC[A-Za-z0-9_-]{22}$")]
    mode: Literal["operator", "video"] = "operator"
    client_id: str | None = None
    client_secret_file: str | None = None
    refresh_token_file: str | None = None
    api_key_file: str | None = None
    privacy: Literal["public", "unlisted", "private"] = "public"
    sound: Path | None = None
    category_id: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}$")] = "25"  # news
    tags: Annotated[tuple[str, ...], Field(max_length=20)] = ()
    base_url: _Server = "https://www.googleapis.com"
    token_url: _Server = "https://oauth2.googleapis.com"  # noqa: S105 - an address
    authorize_url: _Server = "https://accounts.google.com/o/oauth2/v2/auth"

    @model_validator(mode="after")
    def _complete(self) -> Settings:
        needed = (self.client_id, self.client_secret_file, self.refresh_token_file)
        if self.mode == "video" and not all(needed):
            raise ValueError(
                "mode video needs client_id, client_secret_file and refresh_token_file"
            )
        if self.sound is not None and not self.sound.is_absolute():
            raise ValueError("sound must be an absolute path")
        return self


class Operator:
    """One channel on which a person posts."""

    carries: Carries
    guarantee = Guarantee.NONE
    reads_back = False
    limits = Limits(Measure.CHARACTERS, POST_MAX)
    escape = Escape.MENTIONS
    attempts_at_once = 1
    picture: Picture | None = SQUARE
    paid_reads = False
    takes_data = False
    posts_per_day_max: int | None = None
    resend_on_unknown = False

    def __init__(self, setup: Setup, settings: Settings, api_key: str | None) -> None:
        self.config = setup.config
        self.carries = setup.config.carries or CARRIES
        self.template = setup.config.template or "youtube"
        self.account = settings.channel_id
        channel = f"https://www.youtube.com/channel/{settings.channel_id}"
        self.by_hand: str | None = f"{channel}/community?show_create_dialog=1"
        self._base = settings.base_url.rstrip("/")
        self._channel_id = settings.channel_id
        self._key = api_key
        self._clock = setup.clock
        self._client = http.Client(setup.timing)

    async def send(self, _delivery: Delivery) -> Receipt:
        """Never called on what waits for a person. Raises NeedsPerson."""
        raise NeedsPerson(BY_HAND.rstrip("."))

    async def find(self, _delivery: Delivery) -> Receipt | None:
        """Raises Unknown: only a person sees what was posted."""
        raise Unknown(f"{WHO} lists no posts to a program: look by hand")

    async def probe(self) -> Readiness:
        """Say that a person posts; with a key, see that the channel is there."""
        if self._key is None:
            return Readiness(True, BY_HAND)
        query = {"part": "snippet", "id": self._channel_id, "key": self._key}
        try:
            url = URL(f"{self._base}{CHANNELS}").with_query(query)
            answer = await self._client.get(url, {})
        except Failure as failure:
            return self._not_ready(f"{BY_HAND} {WHO} {failure.reason}.")
        if answer.status != 200:
            what = api.person(answer)
            said = what[0] if what else f"{WHO} answered {answer.status}"
            return self._not_ready(f"{BY_HAND} {said}.", what[1] if what else None)
        return self._known(http.as_object(answer).get("items"))

    async def retract(self, _receipt: Receipt) -> None:
        """Raises Rejected: a person deletes it."""
        raise Rejected(f"posts on {WHO} can only be deleted by hand")

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    def _known(self, items: object) -> Readiness:
        first = items[0] if isinstance(items, list) and items else None
        if not isinstance(first, dict) or first.get("id") != self._channel_id:
            return self._not_ready(f"{WHO} knows no channel {self._channel_id}.")
        snippet = first.get("snippet")
        named = snippet if isinstance(snippet, dict) else {}
        handle = str(named.get("customUrl") or named.get("title") or self._channel_id)
        server = urlsplit(self._base).netloc
        identity = {"id": self._channel_id, "handle": handle, "server": server}
        return Readiness(True, BY_HAND, account=handle, identity=identity)

    def _not_ready(self, sentence: str, remedy: str | None = None) -> Readiness:
        remedy = remedy or "Nothing, if it passes; else check channel_id, api_key_file and network."
        return Readiness(ready=False, sentence=sentence, remedy=remedy)


def build(setup: Setup, settings: Settings) -> Operator | Video:
    """Build the channel. Raises ValueError for a secret or a sound that cannot be read."""
    key = setup.secrets.read(settings.api_key_file) if settings.api_key_file else None
    if settings.mode == "operator":
        return Operator(setup, settings, key)
    given = setup.secrets.read(settings.refresh_token_file or "")
    try:
        google = Google(setup, settings.base_url.rstrip("/"), _app(setup, settings), given)
    except ValueError as error:
        raise ValueError(f"{settings.refresh_token_file} {error}") from None
    wanted = Wanted(settings.channel_id, settings.privacy, settings.category_id, settings.tags, key)
    clips = Clips(setup.state_directory, settings.sound)
    return Video(setup, wanted, google, clips, setup.config.carries or CARRIES)


def oauth(setup: Setup, settings: Settings) -> OAuth:
    """Give the flow that connects a channel for videos. Raises ValueError where none is needed."""
    if settings.mode == "operator" or not settings.refresh_token_file:
        raise ValueError("a person posts on this channel: there is nothing to connect")
    return google_consent.oauth(setup, _app(setup, settings), settings.refresh_token_file)


def _app(setup: Setup, settings: Settings) -> App:
    secret = setup.secrets.read(settings.client_secret_file or "")
    token_url = f"{settings.token_url.rstrip('/')}/token"
    return App(settings.client_id or "", secret, token_url, settings.authorize_url)
