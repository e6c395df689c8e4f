"""LinkedIn company pages: a post in LinkedIn's "little" text, with the card as its picture.

There is no key against posting twice: a lost answer is unknown until the page's own list was read.
There are no replies either: an update is a post of its own, and the older one is edited so that it
begins with a pointer. LinkedIn publishes no OpenAPI: /rest as its documentation writes it, 2026-08.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import StringConstraints, model_validator

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
from broadcaster.channels.linkedin import little
from broadcaster.channels.linkedin.access import ADVICE, SITE, Flow, version_ends
from broadcaster.channels.linkedin.api import (
    TOO_LONG,
    WAITING,
    Api,
    Problem,
    encoded,
    is_switched_off,
)
from broadcaster.channels.linkedin.picture import NoPicture, upload
from broadcaster.channels.linkedin.pointer import is_commented, point, pointed
from broadcaster.channels.linkedin.post import (
    by_author,
    commentary_of,
    counts,
    created_urn,
    hidden,
    is_it,
    is_page,
    one_post,
    own_posts,
    permalink,
    points,
    says,
    urn_of,
)
from broadcaster.channels.tokens import Grant, OAuth, Tokens
from broadcaster.clock import Clock
from broadcaster.config import Carries, Table
from broadcaster.delivery import (
    Act,
    Delivery,
    Failure,
    Guarantee,
    NeedsPerson,
    NotSent,
    Readiness,
    Receipt,
    Rejected,
    Sight,
    Unknown,
)

CARRIES = Carries()
# What everyone quotes; LinkedIn names no number, and not what it counts (UNVERIFIED). Of all ways
# to count, UTF-16 finds the most.
TEXT_MAX = 3_000
BEFORE_INTENT = timedelta(seconds=120)  # how far before the intent a read-back looks
UPLOAD_SHARE = 0.5  # of an attempt: the rest is for the post
REFRESH_SHARE = 0.2  # the same
PROCESSING = timedelta(seconds=5)  # then the text goes without the picture
NAMED_MAX = 1_000
REFRESH_AHEAD = timedelta(days=10)
VERSION_WARNED_DAYS, TOKEN_WARNED_DAYS = 60, 30
PASSES = "Nothing, if it passes; else check the network and LinkedIn's API status page."
WITHOUT = "posted without its card"

Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,32}$")]
Server = Annotated[str, StringConstraints(pattern=SERVER)]
Version = Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}(0[1-9]|1[0-2])$")]


class Settings(Table):
    """`[channels.NAME]` of type linkedin.

    With the app's id and secret, a token that came with a refresh token is renewed by itself.
    `version`: of LinkedIn's API, YYYYMM; each is switched off after a year or so.
    """

    organization_id: Digits
    access_token_file: str
    client_id: str | None = None
    client_secret_file: str | None = None
    version: Version = "202608"
    base_url: Server = "https://api.linkedin.com"
    token_url: Server = SITE

    @model_validator(mode="after")
    def _app_is_whole(self) -> Self:
        if (self.client_id is None) != (self.client_secret_file is None):
            raise ValueError("client_id and client_secret_file go together: give both, or neither")
        return self


class LinkedIn:
    """One company page."""

    carries: Carries
    guarantee = Guarantee.READ_BACK
    reads_back = True
    limits = Limits(Measure.UTF16, TEXT_MAX)
    escape = Escape.NONE  # little text mentions nobody by accident
    attempts_at_once = 4
    picture: Picture | None = LANDSCAPE
    by_hand: str | None = None
    paid_reads = False
    takes_data = False
    posts_per_day_max: int | None = None
    resend_on_unknown = False

    def __init__(self, setup: Setup, settings: Settings, api: Api) -> None:
        self.config = setup.config
        self.carries = setup.config.carries or CARRIES
        self.template = setup.config.template or "post"
        self.account = settings.organization_id
        self._urn = f"urn:li:organization:{settings.organization_id}"
        self._version = settings.version
        self._setup = setup
        self._clock: Clock = setup.clock
        self._api = api
        self._named: dict[str, str] = {}  # by delivery: the post that LinkedIn called its duplicate

    async def prepare(self, delivery: Delivery) -> Mapping[str, Any]:
        """Upload the card. Whatever fails there, the text goes: then the handle says why.

        Raises NeedsPerson, and NotSent where LinkedIn was not reached at all.
        """
        media = delivery.message.media[0] if delivery.message and delivery.message.media else None
        if media is None:
            return {}
        try:
            data = await asyncio.to_thread(self._setup.drawn, media)
            async with asyncio.timeout(self._setup.timing.attempt_seconds * UPLOAD_SHARE):
                image = await upload(self._api, self._urn, data, media.kind)
        except TimeoutError:  # before OSError, which it is one of
            return {"note": f"{WITHOUT}: the upload took too long"}
        except OSError:
            return {"note": f"{WITHOUT}: the drawn picture could not be read"}
        except NoPicture as why:
            return {"note": f"{WITHOUT}: {why}"}
        return {"image": image, "uploaded": self._clock.now().isoformat()}

    async def send(self, delivery: Delivery) -> Receipt:
        """Post the text with its card; without it where LinkedIn does not take the picture."""
        if delivery.message is None:
            raise Rejected("there is no text in this delivery")
        handle = delivery.handle or {}
        post, picture, note = (
            self._post(delivery.message.text),
            _shown(delivery),
            handle.get("note"),
        )
        answer = await self._api.post("posts", post | picture)
        if picture and (reason := self._refuses_picture(answer, handle)):
            # Nothing was accepted: the warning goes without it.
            note = f"{WITHOUT}: {reason}"
            answer = await self._api.post("posts", post)
        if urn := created_urn(answer):
            return Receipt(urn, permalink(urn), note=note)
        self._remember(delivery, Problem.of(answer).named)
        raise self._api.refused(answer)

    async def find(self, delivery: Delivery) -> Receipt | None:
        """Read the page's own posts back to the first intent, and look for this part's text.

        A post that LinkedIn named as its duplicate is looked up too: the list may be behind.
        """
        message = delivery.message
        if message is None:
            return None
        if message.act is Act.CORRECT:
            return await pointed(self._api, self._urn, urn_of(delivery.reply_to), message.text)
        since = (delivery.first_attempt or delivery.accepted) - BEFORE_INTENT
        async for post in own_posts(self._api, self._urn, since):
            if is_it(post, delivery, since):
                return _found(post, delivery)
        named = self._named.get(delivery.id)
        one = await one_post(self._api, named) if named else None
        return _found(one, delivery) if one and is_it(one, delivery, since) else None

    async def correct(self, delivery: Delivery) -> Receipt:
        """Put the pointer before the text of the old post; where that is refused, below it."""
        if delivery.message is None:
            raise Rejected("there is no text in this delivery")
        urn = urn_of(delivery.reply_to)
        try:
            async with asyncio.timeout(self._setup.timing.attempt_seconds):
                text, doubtful = delivery.message.text, delivery.doubtful
                return await point(self._api, self._urn, urn, text, doubtful=doubtful)
        except TimeoutError:
            raise Unknown("the time limit was reached after the request had begun") from None

    async def retract(self, receipt: Receipt) -> None:
        """Delete the post; done if it is gone already."""
        if "on" in receipt.details:
            raise Rejected("this is a comment: delete it on the page")
        answer = await self._api.delete(f"posts/{encoded(urn_of(receipt))}")
        if answer.status not in {200, 204, 404}:
            raise self._api.refused(answer)

    async def look(self, delivery: Delivery) -> Sight:
        """Look the post up as the page itself: LinkedIn shows the API nothing logged out."""
        receipt, message = delivery.receipt, delivery.message
        if receipt and message and "on" in receipt.details:
            there = await is_commented(self._api, self._urn, receipt, message.text)
            return Sight(there, reason=None if there else "the comment is gone", public=False)
        urn = urn_of(receipt)
        post = await one_post(self._api, urn)
        if post is None:
            return Sight(there=False, reason="deleted, or taken down by LinkedIn", public=False)
        reason = hidden(post)
        return Sight(
            there=reason is None,
            text=little.read(commentary_of(post)),
            altered=not _is_as_posted(post, delivery),
            reason=reason,
            counts=await self._counts(urn),
            url=permalink(urn),
            public=False,
        )

    async def probe(self) -> Readiness:
        """List one own post: that needs a good token, its permissions, and a living version."""
        try:
            answer = await self._api.get("posts", by_author(self._urn, 1), "FINDER")
        except NeedsPerson as failure:
            return _not_ready(failure.reason, self._reconnect)
        except Failure as failure:
            return _not_ready(failure.reason, PASSES)
        return self._readiness(answer)

    async def warm(self) -> None:
        """Keep a connection open; nothing is asked that counts."""
        await self._api.client.warm(self._api.base)

    async def close(self) -> None:
        """Close the connections."""
        await self._api.client.close()

    def _post(self, text: str) -> dict[str, Any]:
        return {
            "author": self._urn,
            "commentary": little.escape(text),
            "visibility": "PUBLIC",
            "distribution": {
                "feedDistribution": "MAIN_FEED",
                "targetEntities": [],
                "thirdPartyDistributionChannels": [],
            },
            "lifecycleState": "PUBLISHED",
            "isReshareDisabledByAuthor": False,
        }

    def _refuses_picture(self, answer: http.Answer, handle: Mapping[str, Any]) -> str | None:
        """Say why a post may be made once more without its picture; None: it may not, or need not.

        A refusal that was read whole has accepted nothing.
        """
        failure, words = self._api.refused(answer), Problem.of(answer).words
        if WAITING in words and isinstance(failure, NotSent):
            waited = self._clock.now() - _moment(handle.get("uploaded"), self._clock.now())
            return "LinkedIn has not processed the picture in time" if waited > PROCESSING else None
        if not isinstance(failure, Rejected) or failure.duplicate:
            return None
        if TOO_LONG in words or is_switched_off(answer):
            return None
        return "LinkedIn did not take the picture"

    def _remember(self, delivery: Delivery, named: str | None) -> None:
        if named is None:
            return
        self._named[delivery.id] = named
        if len(self._named) > NAMED_MAX:
            del self._named[next(iter(self._named))]

    async def _counts(self, urn: str) -> dict[str, int]:
        """Read reactions and comments; where that fails, there are none to tell."""
        try:
            answer = await self._api.get(f"socialMetadata/{encoded(urn)}")
        except Failure:
            return {}
        return counts(http.as_object(answer)) if answer.status == 200 else {}

    def _readiness(self, answer: http.Answer) -> Readiness:
        ends, now = version_ends(self._version), self._clock.now()
        name = f"LinkedIn's API version {self._version}"
        if is_switched_off(answer):
            return _not_ready(f"{name} is switched off", self._newer)
        if answer.status in {401, 403}:
            return _not_ready(self._api.refused(answer).reason, self._reconnect)
        if answer.status != 200 or not is_page(http.as_object(answer)):
            return _not_ready(self._api.unread(answer).reason, PASSES)
        if ends <= now:
            return _not_ready(f"{name} is past its end, {ends:%Y-%m-%d}", self._newer)
        version_days = (ends - now) / timedelta(days=1)
        token_days = self._api.tokens.days_left
        return Readiness(
            ready=True,
            sentence=f"LinkedIn shows us the posts of organization {self.account}.",
            remedy=self._remedy(ends, version_days, token_days),
            account=f"organization {self.account}",
            days_left=version_days if token_days is None else min(version_days, token_days),
            identity={
                "id": self._urn,
                "handle": self.account,
                "server": self._api.base.host or "",
            },
        )

    def _remedy(self, ends: datetime, version_days: float, token_days: float | None) -> str | None:
        """Say what must be done before long, None if nothing."""
        if token_days is not None and token_days <= min(TOKEN_WARNED_DAYS, version_days):
            return f"The token ends in {token_days:.0f} days. {self._reconnect}"
        if version_days <= VERSION_WARNED_DAYS:
            return f"Version {self._version} ends on {ends:%Y-%m-%d}. {self._newer}"
        return None

    @property
    def _newer(self) -> str:
        return f"Set channels.{self.config.name}.version to a newer one (YYYYMM), and restart."

    @property
    def _reconnect(self) -> str:
        return f"Connect it again: broadcaster channels connect {self.config.name}."


def build(setup: Setup, settings: Settings) -> LinkedIn:
    """Build the channel. Raises ValueError for a secret that cannot be read."""
    given = setup.secrets.read(settings.access_token_file)
    # A token that is still good must not keep an alert waiting while a new one is asked for.
    flow = _flow(setup, settings, REFRESH_SHARE)
    renews = flow is not None and Grant.read(given).refresh_token is not None
    tokens = Tokens(
        setup.state_directory / f"{setup.config.name}.token",
        given,
        setup.clock,
        flow.refresh if flow and renews else None,
        ahead=REFRESH_AHEAD,
    )
    base, version = settings.base_url, settings.version
    api = Api(base, version, tokens, setup.clock, setup.timing, renews=renews)
    return LinkedIn(setup, settings, api)


def oauth(setup: Setup, settings: Settings) -> OAuth:
    """Walk a person to a token of the page. Raises ValueError without the app's id and secret."""
    flow = _flow(setup, settings)
    if flow is None:
        raise ValueError("client_id and client_secret_file are needed to connect a page")
    return OAuth(flow.authorize, flow.exchange, settings.access_token_file, ADVICE)


def _flow(setup: Setup, settings: Settings, share: float = 1.0) -> Flow | None:
    if settings.client_id is None or settings.client_secret_file is None:
        return None
    secret = setup.secrets.read(settings.client_secret_file)
    url = settings.token_url.rstrip("/")
    limit = setup.timing.attempt_seconds * share
    timing = setup.timing.model_copy(update={"attempt_seconds": limit})
    return Flow(timing, setup.clock, url, settings.client_id, secret)


def _shown(delivery: Delivery) -> dict[str, Any]:
    """Return the part of a post that shows the uploaded card; nothing where there is none."""
    image = (delivery.handle or {}).get("image")
    if not image or delivery.message is None or not delivery.message.media:
        return {}
    return {"content": {"media": {"id": image, "altText": delivery.message.media[0].alt}}}


def _moment(text: object, otherwise: datetime) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return otherwise


def _found(post: Mapping[str, Any], delivery: Delivery) -> Receipt:
    urn = str(post["id"])
    return Receipt(urn, permalink(urn), note=(delivery.handle or {}).get("note"))


def _is_as_posted(post: Mapping[str, Any], delivery: Delivery) -> bool:
    if delivery.message is None:
        return True
    text, ours = commentary_of(post), delivery.message.text
    if delivery.message.act is Act.CORRECT:  # what stands below the pointer is the older post's
        return points(little.read(text), ours)
    return says(text, ours, delivery)


def _not_ready(reason: str, remedy: str) -> Readiness:
    own = reason.startswith(("LinkedIn", "the token"))
    whole = reason if own else f"LinkedIn {reason}"
    return Readiness(False, f"{whole[0].upper()}{whole[1:]}.", remedy)
