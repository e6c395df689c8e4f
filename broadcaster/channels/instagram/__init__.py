"""Instagram, a professional account: the card with the text as its caption, in two steps.

There are no posts without a picture, and Instagram fetches it from our public address. There are
two set-ups, and they differ in what they can do: only with Facebook Login can a post be taken down.
A caption cannot be edited, so that an older post is marked as overtaken by a comment. Parameters:
Graph API v25.0 and v26.0; errors: Meta's table of 2026-06 (copy).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import StringConstraints, model_validator
from yarl import URL

from broadcaster.channels import (
    PORTRAIT,
    SERVER,
    Escape,
    Limits,
    Measure,
    Picture,
    Setup,
    http,
)
from broadcaster.channels.instagram import answers
from broadcaster.channels.instagram.login import (
    ADVICE,
    HOSTS,
    PUBLISHING,
    SCOPES,
    addresses,
    cannot,
)
from broadcaster.channels.meta import calls as meta
from broadcaster.channels.meta import graph
from broadcaster.channels.meta.containers import Steps, Ways, permalink, within
from broadcaster.channels.meta.login import Login
from broadcaster.channels.tokens import OAuth, Tokens
from broadcaster.clock import Clock
from broadcaster.config import Carries, Table
from broadcaster.delivery import (
    Act,
    Delivery,
    Failure,
    Guarantee,
    Media,
    NotSent,
    Readiness,
    Receipt,
    Rejected,
    Sight,
    Unknown,
)

CARRIES = Carries()
SETTLE_SHARE = 0.5  # of an attempt: until then Instagram may take over the picture
METRICS = "views,reach,saved,shares"


class Settings(Table):
    """`[channels.NAME]` of type instagram.

    `login` says which of Meta's two set-ups the token is from. With login = "instagram" the token
    is renewed. The app's id and secret are needed for `broadcaster channels connect` alone.
    """

    login: Literal["instagram", "facebook"]
    ig_user_id: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,32}$")]
    access_token_file: str
    app_id: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,32}$")] | None = None
    app_secret_file: str | None = None
    api_version: Annotated[str, StringConstraints(pattern=r"^v[0-9]{1,3}\.[0-9]$")] = "v25.0"
    base_url: Annotated[str, StringConstraints(pattern=SERVER)] | None = None

    @model_validator(mode="after")
    def _app_is_whole(self) -> Self:
        if (self.app_id is None) != (self.app_secret_file is None):
            raise ValueError("app_id and app_secret_file go together: give both, or neither")
        return self

    @property
    def base(self) -> str:
        """The address of the network, without a slash at its end."""
        return (self.base_url or HOSTS[self.login]).rstrip("/")


class Instagram:
    """One professional account on Instagram."""

    carries: Carries
    guarantee = Guarantee.TWO_STEPS
    reads_back = True
    limits = Limits(Measure.CHARACTERS, answers.TEXT_MAX)
    escape = Escape.MENTIONS
    attempts_at_once = 4
    picture: Picture | None = replace(PORTRAIT, kind="image/jpeg", required=True)
    by_hand: str | None = None
    paid_reads = False
    takes_data = False
    posts_per_day_max: int | None = None
    resend_on_unknown = False

    def __init__(self, setup: Setup, settings: Settings, token: str) -> None:
        self.config = setup.config
        self.carries = setup.config.carries or CARRIES
        self.template = setup.config.template or "post"
        self.account = settings.ig_user_id
        self._login = settings.login
        self._user = settings.ig_user_id
        self._base = settings.base
        self._clock: Clock = setup.clock
        self._attempt_seconds = setup.timing.attempt_seconds
        self._client = http.Client(setup.timing)
        self._tokens = _tokens(setup, settings, token, self._client)
        root = f"{self._base}/{settings.api_version}"
        self._api = meta.Api(
            "Instagram", root, self._client, self._tokens, self._clock, in_header=True
        )
        self._steps = Steps(self._api, self._ways(), self._clock, setup.timing.attempt_seconds)

    def _ways(self) -> Ways:
        return Ways(
            publish=f"{self._user}/media_publish",
            status="status_code",
            said="status",
            text="caption",
            lists=(f"{self._user}/media",),
            publish_failure=self._publish_failure,
            broken=answers.broken,
        )

    async def prepare(self, delivery: Delivery) -> Mapping[str, Any]:
        """Make a container of the card, its description and the caption."""
        text = _text_of(delivery)
        if fault := answers.fault_of(text):
            raise Rejected(fault)
        return await self._steps.prepared(delivery, self._made(_card_of(delivery), text))

    async def send(self, delivery: Delivery) -> Receipt:
        """Publish the container once it is ready."""
        container = _container_of(delivery)
        with self._steps.second(delivery):
            found = await self._steps.settled(delivery, container, SETTLE_SHARE)
            made = graph.moment((delivery.handle or {}).get("made"))
            return await self._steps.published(delivery, found, None, made)

    async def find(self, delivery: Delivery) -> Receipt | None:
        """Ask the container whether it was published, and the account's list which post it is."""
        if delivery.message and delivery.message.act is Act.CORRECT:
            post = _post_of(delivery.reply_to)
            return await self._our_comment(post, delivery.message.text)
        if delivery.handle is None:
            return None
        return await self._steps.find(delivery, _container_of(delivery), None)

    async def correct(self, delivery: Delivery) -> Receipt:
        """Comment on the old post, for a caption cannot be edited.

        Where an earlier attempt may have done it `find` was asked before: a post that everybody
        comments on has more comments than can be read.
        """
        post = _post_of(delivery.reply_to)
        work = self._api.post(f"{post}/comments", {"message": _text_of(delivery)})
        lost = Unknown("the time limit was reached after the request had begun")
        answer = await within(self._attempt_seconds, work, lost)
        comment = http.as_object(answer).get("id") if answer.status == 200 else None
        if graph.is_id(comment):
            return _commented(str(comment))
        if graph.is_gone(answer):
            raise Rejected("the post to correct is not there any more")
        raise self._failure(answer)

    async def probe(self) -> Readiness:
        """Ask who we are, how many posts are left today, and what this login cannot do."""
        try:
            return await self._readiness()
        except Failure as failure:
            return meta.not_ready(failure, "Instagram")

    async def retract(self, receipt: Receipt) -> None:
        """Delete the post, which only Facebook Login allows; done if it is gone already."""
        post = _post_of(receipt)
        if self._login == "instagram":
            raise Rejected("Instagram Login cannot take a post down: delete it in the app")
        answer = await self._api.delete(post)
        if answer.status == 200 and http.as_object(answer).get("success") is True:
            return
        if not graph.is_gone(answer):
            raise self._failure(answer)
        # The same words are said of a post that is gone, and of one that a token may not delete.
        if not graph.is_gone(await self._api.get(post, {"fields": "id"})):
            raise Rejected("Instagram does not let this app delete the post: delete it in the app")

    async def look(self, delivery: Delivery) -> Sight:
        """Look the post up as its author: logged out is not open to anybody."""
        if self._api.braked:
            raise NotSent("looking has to wait: the calls that Meta allows are nearly used up")
        post = _post_of(delivery.receipt)
        fields = {"fields": "id,caption,timestamp,permalink,like_count,comments_count"}
        answer = await self._api.get(post, fields)
        if graph.is_gone(answer):
            return Sight(there=False, reason="deleted, or hidden by Instagram", public=False)
        found = http.as_object(answer)
        if answer.status != 200 or not graph.is_id(found.get("id")):
            raise self._api.unread(answer)
        caption = found.get("caption")
        seen = caption if isinstance(caption, str) else ""
        ours = delivery.message.text if delivery.message else seen
        return Sight(
            there=True,
            text=seen,
            altered=graph.comparable(seen) != graph.comparable(ours),
            counts=await self._counts(post, found),
            url=permalink(found),
            public=False,
        )

    async def warm(self) -> None:
        """Keep a connection open; nothing is asked that counts."""
        await self._client.warm(URL(self._base, encoded=True))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    # Posting

    async def _made(self, card: Media, text: str) -> dict[str, Any]:
        form = {"image_url": str(card.url), "caption": text, "alt_text": card.alt}
        answer = await self._api.post(f"{self._user}/media", form)
        container = http.as_object(answer).get("id") if answer.status == 200 else None
        if not graph.is_id(container):
            raise self._failure(answer)
        return {"container": container, "made": self._clock.now().isoformat()}

    def _publish_failure(self, answer: http.Answer) -> Failure | None:
        return None if answers.is_not_ready(answer) else self._failure(answer)

    def _failure(self, answer: http.Answer) -> Failure:
        return answers.failure_for(answer, self._clock.now())

    # Comments

    async def _our_comment(self, post: str, pointer: str) -> Receipt | None:
        """Look among the comments for the pointer: nobody else's text is the same."""
        wanted = graph.comparable(pointer)
        async for comment in self._api.rows(f"{post}/comments", {"fields": "id,text"}):
            if graph.comparable(str(comment.get("text") or "")) == wanted:
                return _commented(comment["id"])
        return None

    # Readiness and looks

    async def _readiness(self) -> Readiness:
        handle = await self._handle()
        if handle is None:
            sentence = f"Instagram knows this token as somebody else than {self._user}."
            return Readiness(ready=False, sentence=sentence, remedy="Check ig_user_id.")
        path, scope = f"{self._user}/content_publishing_limit", PUBLISHING[self._login]
        limit = await meta.quota_of(self._api, path, "quota_usage,config", scope)
        left = limit[0] if limit else None
        if left == 0:
            sentence, remedy = answers.ACTS[answers.DAILY_LIMIT]
            return Readiness(ready=False, sentence=f"{sentence}.", remedy=remedy)
        granted = await self._granted()
        if granted is not None and scope not in granted:
            sentence = f"Instagram lets nobody post as @{handle} without {scope}."
            return Readiness(ready=False, sentence=sentence, remedy=meta.RECONNECT)
        known = Readiness(
            ready=True,
            sentence=f"Instagram knows us as @{handle}{self._limits_of(granted)}.",
            account=f"@{handle}",
            days_left=self._tokens.days_left,
            quota_left=left,
            identity={"id": self._user, "handle": handle, "server": self._base},
        )
        return meta.remarked(self._api, known)

    async def _handle(self) -> str | None:
        """Ask for our name; None where the token is another account's."""
        if self._login == "facebook":
            me = await self._api.read(self._user, {"fields": "id,username"})
        else:
            me = await self._api.read("me", {"fields": "id,user_id,username"})
        handle = me.get("username")
        if not isinstance(handle, str) or not handle:
            raise NotSent("Instagram answers, but not with who we are")
        return handle if self._user in {str(me.get("id")), str(me.get("user_id"))} else None

    async def _granted(self) -> frozenset[str] | None:
        """Read the permissions; None where they are not told, as with Instagram Login."""
        if self._login == "instagram":
            return None
        answer = await self._api.get("me/permissions", {})
        rows = http.as_object(answer).get("data")
        if answer.status != 200 or not isinstance(rows, list):
            return None
        given = (row for row in rows if isinstance(row, dict) and row.get("status") == "granted")
        return frozenset(str(row.get("permission")) for row in given)

    def _limits_of(self, granted: frozenset[str] | None) -> str:
        """Say what this set-up cannot do, to go on with in a sentence."""
        if self._login == "instagram":
            return "; Instagram Login cannot take posts down: that is done by hand"
        if granted is None:
            return "; whether it may take posts down could not be read"
        lacking = cannot(granted)
        return f"; it cannot {' and '.join(lacking)}" if lacking else ""

    async def _counts(self, post: str, found: Mapping[str, Any]) -> dict[str, int]:
        """Read the engagement; a token without that permission tells less."""
        named = {"likes": found.get("like_count"), "replies": found.get("comments_count")}
        told = {name: count for name, count in named.items() if type(count) is int}
        try:
            insights = await self._api.read(f"{post}/insights", {"metric": METRICS})
        except Failure:
            return told
        return meta.counts(insights) | told


def build(setup: Setup, settings: Settings) -> Instagram:
    """Build the channel. Raises ValueError for a secret that cannot be read."""
    return Instagram(setup, settings, setup.secrets.read(settings.access_token_file))


def oauth(setup: Setup, settings: Settings) -> OAuth:
    """Walk a person to a token of 60 days. Raises ValueError without the app's id and secret."""
    if settings.app_id is None or settings.app_secret_file is None:
        raise ValueError("app_id and app_secret_file are needed to connect Instagram")
    login = Login(
        setup,
        "Instagram",
        **addresses(settings.login, settings.base, settings.api_version),
        scopes=SCOPES[settings.login],
        app_id=settings.app_id,
        app_secret=setup.secrets.read(settings.app_secret_file),
    )
    advice = ADVICE[settings.login]
    return OAuth(login.authorize, login.exchange, settings.access_token_file, advice)


def _tokens(setup: Setup, settings: Settings, token: str, client: http.Client) -> Tokens:
    """Return the token; one from Facebook Login can only be had anew from a person."""
    url = f"{settings.base}/refresh_access_token"
    renewing = meta.renewing(client, url, "ig_refresh_token", "Instagram", setup.clock)
    return Tokens(
        setup.state_directory / f"{setup.config.name}.token",
        token,
        setup.clock,
        renewing if settings.login == "instagram" else None,
        ahead=timedelta(days=meta.SOON_DAYS),
        not_before=timedelta(hours=24),
        ends_untold=True,
    )


def _text_of(delivery: Delivery) -> str:
    if delivery.message is None:
        raise Rejected("there is no text in this delivery")
    return delivery.message.text


def _card_of(delivery: Delivery) -> Media:
    media = delivery.message.media if delivery.message else ()
    card = next((one for one in media if one.url), None)
    if card is None:
        raise NotSent("its card is not drawn yet, and Instagram takes no post without a picture")
    return card


def _container_of(delivery: Delivery) -> str:
    container = (delivery.handle or {}).get("container")
    if not graph.is_id(container):
        raise NotSent("what was prepared names no container", afresh=True)
    return str(container)


def _post_of(receipt: Receipt | None) -> str:
    if receipt is None or not graph.is_id(receipt.remote_id):
        raise Rejected("this receipt names no post on Instagram")
    return str(receipt.remote_id)


def _commented(comment: str) -> Receipt:
    note = "Instagram lets no caption be edited: marked as overtaken in a comment"
    return Receipt(comment, note=note)
