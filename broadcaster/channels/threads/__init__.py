"""Threads: a container is made, and published once it is ready; its id is stored in between.

Threads fetches the card from our public address. Where it cannot, or takes too long, the text goes
without it. Posts cannot be edited: an update answers the post before it. Parameters: Meta's Postman
collection (2026-01); texts, limits and states: its Threads pages (copies, 2025-12 to 2026-04).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Any, Literal, Self

from pydantic import StringConstraints, model_validator
from yarl import URL

from broadcaster.channels import (
    LANDSCAPE,
    SERVER,
    Escape,
    Limits,
    Measure,
    Picture,
    Setup,
    http,
)
from broadcaster.channels.meta import calls as meta
from broadcaster.channels.meta import graph
from broadcaster.channels.meta.containers import Container, Steps, Ways, permalink
from broadcaster.channels.meta.login import Login
from broadcaster.channels.threads.container import (
    Handle,
    broken,
    error_of,
    is_not_ready,
    names_picture,
    without_card,
)
from broadcaster.channels.tokens import OAuth, Tokens
from broadcaster.clock import Clock
from broadcaster.config import Carries, Table
from broadcaster.delivery import (
    Delivery,
    Failure,
    Guarantee,
    Media,
    Message,
    NotSent,
    Readiness,
    Receipt,
    Rejected,
    Sight,
)
from broadcaster.measure import links

CARRIES = Carries()
SERVICE = "https://graph.threads.net"
CONSENT = "https://www.threads.net/oauth/authorize"
# Threads takes 500, an emoji as its UTF-8 bytes. Meta does not say where an emoji begins and ends,
# and a refused warning is worse than one that is 20 characters shorter.
TEXT_MAX = 480
LINKS_MAX = 5  # distinct ones
PICTURE_PATIENCE = timedelta(seconds=45)  # Meta says 30 on average
SETTLE_SHARE_FIRST, SETTLE_SHARE = 0.25, 0.45  # of an attempt: for a picture, in either step
SOON_DAYS = 30
WITHOUT_KEPT = 1000
QUOTA_FIELDS = "quota_usage,config,reply_quota_usage,reply_config"
PUBLISHING = "threads_content_publish"
METRICS = "views,likes,replies,reposts,quotes,shares"
SCOPES = (
    "threads_basic",
    "threads_content_publish",
    "threads_delete",
    "threads_manage_replies",
    "threads_read_replies",
    "threads_manage_insights",
)
ADVICE = (
    "The app at developers.facebook.com needs the use case Threads API, its own Threads app id and"
    " secret, and this redirect address; the account needs a role in the app, or the app a review."
)

ReplyControl = Literal[
    "everyone", "accounts_you_follow", "mentioned_only", "parent_post_author_only", "followers_only"
]


class Settings(Table):
    """`[channels.NAME]` of type threads.

    `access_token_file`: a token of 60 days, which is renewed. The app's id and secret are needed
    for `broadcaster channels connect` alone.
    """

    access_token_file: str
    user_id: Annotated[str, StringConstraints(pattern=r"^(me|[0-9]{1,32})$")] = "me"
    app_id: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,32}$")] | None = None
    app_secret_file: str | None = None
    reply_control: ReplyControl = "everyone"
    base_url: Annotated[str, StringConstraints(pattern=SERVER)] = SERVICE

    @model_validator(mode="after")
    def _app_is_whole(self) -> Self:
        if (self.app_id is None) != (self.app_secret_file is None):
            raise ValueError("app_id and app_secret_file go together: give both, or neither")
        return self


class Threads:
    """One account on Threads."""

    carries: Carries
    guarantee = Guarantee.TWO_STEPS
    reads_back = True
    limits = Limits(Measure.THREADS, TEXT_MAX, links_maximum=LINKS_MAX)
    escape = Escape.MENTIONS
    attempts_at_once = 4
    picture: Picture | None = LANDSCAPE
    by_hand: str | None = None
    paid_reads = False
    takes_data = False
    posts_per_day_max: int | None = None
    resend_on_unknown = False

    def __init__(self, setup: Setup, settings: Settings, token: str) -> None:
        self.config = setup.config
        self.carries = setup.config.carries or CARRIES
        self.template = setup.config.template or "post"
        digest = sha256(token.encode()).hexdigest()[:12]
        self.account = digest if settings.user_id == "me" else settings.user_id
        self._user = settings.user_id
        self._reply_control = settings.reply_control
        self._base = settings.base_url.rstrip("/")
        self._clock: Clock = setup.clock
        self._client = http.Client(setup.timing)
        self._tokens = _tokens(setup, token, self._base, self._client)
        root = f"{self._base}/v1.0"
        self._api = meta.Api(
            "Threads", root, self._client, self._tokens, self._clock, in_header=False
        )
        self._steps = Steps(self._api, self._ways(), self._clock, setup.timing.attempt_seconds)
        self._without: OrderedDict[str, str] = OrderedDict()  # keys of posts, and why no card

    def _ways(self) -> Ways:
        return Ways(
            publish=f"{self._user}/threads_publish",
            status="status",
            said="error_message",
            text="text",
            lists=(f"{self._user}/threads", f"{self._user}/replies"),
            publish_failure=self._publish_failure,
            broken=broken,
        )

    async def prepare(self, delivery: Delivery) -> Mapping[str, Any]:
        """Make a container: with the card and as a reply, as far as Threads takes that."""
        message = _message(delivery)
        if (linked := len(links(message.text))) > LINKS_MAX:
            raise Rejected(f"the text has {linked} different links; Threads takes {LINKS_MAX}")
        handle = await self._steps.prepared(delivery, self._made(delivery, message))
        return handle.to_json()

    async def send(self, delivery: Delivery) -> Receipt:
        """Publish the container once it is ready."""
        handle = Handle.of(delivery)
        with self._steps.second(delivery):
            found = await self._steps.settled(delivery, handle.container, SETTLE_SHARE)
            if handle.picture and (why := self._spoilt(found, handle)):
                self._give_up_card(delivery, why)
                raise NotSent(f"the text goes without its card: {why}", afresh=True)
            return await self._steps.published(delivery, found, handle.note, handle.made)

    async def find(self, delivery: Delivery) -> Receipt | None:
        """Ask the container whether it was published, and the account's lists which post it is."""
        if delivery.handle is None:
            return None
        handle = Handle.of(delivery)
        return await self._steps.find(delivery, handle.container, handle.note)

    async def probe(self) -> Readiness:
        """Ask who we are, how many posts are left today, and how long the token lasts."""
        try:
            return await self._readiness()
        except Failure as failure:
            return meta.not_ready(failure, "Threads")

    async def retract(self, receipt: Receipt) -> None:
        """Delete the post; done if it is gone already."""
        post = _post_of(receipt)
        answer = await self._api.delete(post)
        if answer.status == 200 and http.as_object(answer).get("success") is True:
            return
        if not graph.is_gone(answer):
            raise self._api.failure(answer)
        # The same words are said of a post that is gone, and of one that a token may not delete.
        if not graph.is_gone(await self._api.get(post, {"fields": "id"})):
            raise Rejected("Threads does not let this app delete the post: delete it in the app")

    async def look(self, delivery: Delivery) -> Sight:
        """Look the post up as its author: logged out is not open to everybody."""
        if self._api.braked:
            raise NotSent("looking has to wait: the calls that Meta allows are nearly used up")
        post = _post_of(delivery.receipt)
        answer = await self._api.get(post, {"fields": "id,text,timestamp,permalink"})
        if graph.is_gone(answer):
            return Sight(there=False, reason="deleted, or hidden by Threads", public=False)
        found = http.as_object(answer)
        if answer.status != 200 or not graph.is_id(found.get("id")):
            raise self._api.unread(answer)
        text = found.get("text")
        seen = text if isinstance(text, str) else ""
        ours = delivery.message.text if delivery.message else seen
        return Sight(
            there=True,
            text=seen,
            altered=graph.comparable(seen) != graph.comparable(ours),
            counts=await self._counts(post),
            url=permalink(found),
            public=False,
        )

    async def warm(self) -> None:
        """Keep a connection open; nothing is asked that counts."""
        await self._client.warm(URL(self._base, encoded=True))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    # The first step

    async def _made(self, delivery: Delivery, message: Message) -> Handle:
        """Make a container, leaving out what Threads refuses of it: the card, or the reply."""
        card, notes = self._card(delivery, message)
        reply = delivery.reply_to.remote_id if delivery.reply_to else None
        while True:
            answer = await self._api.post(f"{self._user}/threads", self._form(message, card, reply))
            made = http.as_object(answer).get("id") if answer.status == 200 else None
            if graph.is_id(made):
                why = await self._refused_picture(delivery, str(made)) if card else None
                if why is None:
                    note = "; ".join(notes) or None
                    return Handle(str(made), card is not None, self._clock.now(), note)
                card, notes = None, [*notes, without_card(why)]
                continue
            failure = self._api.failure(answer)
            if not isinstance(failure, Rejected) or (card is None and reply is None):
                raise failure
            if reply is not None and not (card and names_picture(answer)):
                reply, notes = None, [*notes, "posted on its own: Threads took it for no reply"]
            else:
                card, notes = None, [*notes, without_card("Threads could not fetch the picture")]

    def _card(self, delivery: Delivery, message: Message) -> tuple[Media | None, list[str]]:
        if why := self._without.get(delivery.key):
            return None, [without_card(why)]
        return next((media for media in message.media if media.url), None), []

    def _form(self, message: Message, card: Media | None, reply: str | None) -> dict[str, str]:
        form = {"media_type": "TEXT", "text": message.text, "reply_control": self._reply_control}
        if card is not None:
            form |= {"media_type": "IMAGE", "image_url": str(card.url), "alt_text": card.alt}
        return form | ({"reply_to_id": reply} if reply else {})

    async def _refused_picture(self, delivery: Delivery, container: str) -> str | None:
        """Wait a little for a picture to be fetched, and say what is wrong with it."""
        try:
            found = await self._steps.settled(delivery, container, SETTLE_SHARE_FIRST)
        except NotSent:  # how it is will be asked again before it is published
            return None
        return error_of(found) if found.status == "ERROR" else None

    # The second step

    def _spoilt(self, found: Container, handle: Handle) -> str | None:
        """Say why a container with a card will not do, None if it may yet."""
        if found.status == "ERROR":
            return error_of(found)
        late = handle.made is not None and self._clock.now() - handle.made > PICTURE_PATIENCE
        if found.status == "IN_PROGRESS" and late:
            return f"Threads took longer than {PICTURE_PATIENCE.seconds} s over the picture"
        return None

    def _give_up_card(self, delivery: Delivery, why: str) -> None:
        self._without[delivery.key] = why
        if len(self._without) > WITHOUT_KEPT:
            self._without.popitem(last=False)

    def _publish_failure(self, answer: http.Answer) -> Failure | None:
        return None if is_not_ready(answer) else self._api.failure(answer)

    # Readiness and looks

    async def _readiness(self) -> Readiness:
        me = await self._api.read("me", {"fields": "id,username"})
        path = f"{self._user}/threads_publishing_limit"
        limit = await meta.quota_of(self._api, path, QUOTA_FIELDS, PUBLISHING)
        identity, handle = str(me.get("id", "")), str(me.get("username", ""))
        if not graph.is_id(identity) or not handle:
            raise NotSent("Threads answers, but not with who we are")
        if self._user not in {"me", identity}:
            sentence = f"Threads knows this token as @{handle}, who is not user_id {self._user}."
            return Readiness(ready=False, sentence=sentence, remedy="Check user_id, or reconnect.")
        left = limit[0] if limit else None
        if left == 0:
            sentence = "Threads takes no more posts from us today: its limit is used up."
            return Readiness(ready=False, sentence=sentence, remedy="Wait, or post by hand.")
        known = Readiness(
            ready=True,
            sentence=f"Threads knows us as @{handle}.",
            account=f"@{handle}",
            days_left=self._tokens.days_left,
            quota_left=left,
            identity={"id": identity, "handle": handle, "server": self._base},
        )
        return meta.remarked(self._api, known)

    async def _counts(self, post: str) -> dict[str, int]:
        """Read the engagement; a token without that permission tells none."""
        try:
            return meta.counts(await self._api.read(f"{post}/insights", {"metric": METRICS}))
        except Failure:
            return {}


def build(setup: Setup, settings: Settings) -> Threads:
    """Build the channel. Raises ValueError for a secret that cannot be read."""
    return Threads(setup, settings, setup.secrets.read(settings.access_token_file))


def oauth(setup: Setup, settings: Settings) -> OAuth:
    """Walk a person to a token of 60 days. Raises ValueError without the app's id and secret."""
    if settings.app_id is None or settings.app_secret_file is None:
        raise ValueError("app_id and app_secret_file are needed to connect Threads")
    base = settings.base_url.rstrip("/")
    login = Login(
        setup,
        "Threads",
        page=CONSENT if base == SERVICE else f"{base}/oauth/authorize",
        code_url=f"{base}/oauth/access_token",
        long_url=f"{base}/access_token",
        grant_type="th_exchange_token",
        scopes=SCOPES,
        app_id=settings.app_id,
        app_secret=setup.secrets.read(settings.app_secret_file),
    )
    return OAuth(login.authorize, login.exchange, settings.access_token_file, ADVICE)


def _tokens(setup: Setup, token: str, base: str, client: http.Client) -> Tokens:
    url = f"{base}/refresh_access_token"
    return Tokens(
        setup.state_directory / f"{setup.config.name}.token",
        token,
        setup.clock,
        meta.renewing(client, url, "th_refresh_token", "Threads", setup.clock),
        ahead=timedelta(days=SOON_DAYS),
        not_before=timedelta(hours=24),
        ends_untold=True,
    )


def _message(delivery: Delivery) -> Message:
    if delivery.message is None:
        raise Rejected("there is no text in this delivery")
    return delivery.message


def _post_of(receipt: Receipt | None) -> str:
    if receipt is None or not graph.is_id(receipt.remote_id):
        raise Rejected("this receipt names no post on Threads")
    return str(receipt.remote_id)
