"""X, the minimal presence: one self-contained post per part, over API v2, with the card.

Never a reply: the self-serve tiers refuse replies to an account's own posts, so that a correction
is a post of its own. X drops no repeats; after a lost answer the own posts are read back.
"""

from __future__ import annotations

import html
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from broadcaster.alert import Certainty, Severity, Status, Urgency
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
from broadcaster.channels.pictures import Uploads, made, note_of
from broadcaster.channels.tokens import OAuth
from broadcaster.channels.x.answer import (
    clock_off,
    comparable,
    created,
    data_of,
    failure_for,
    is_page,
    not_ready,
    number,
    sight_of,
    unread_for,
)
from broadcaster.channels.x.api import Api
from broadcaster.channels.x.login import ADVICE, API, Flow, Login, Signed, granted
from broadcaster.channels.x.picture import BYTES_MAX, refuses_picture, upload
from broadcaster.clock import Clock
from broadcaster.config import Carries, Table
from broadcaster.delivery import (
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
    names_reference,
)

CARRIES = Carries(
    status=(Status.ACTUAL,),
    severity=(Severity.EXTREME, Severity.SEVERE),
    urgency=(Urgency.IMMEDIATE, Urgency.EXPECTED),
    certainty=(Certainty.OBSERVED, Certainty.LIKELY),
)
BEFORE_INTENT = timedelta(seconds=120)  # how far before the intent a read-back looks
PAGE = 100
PAGES_MAX = 20  # of a read-back: far more than an account with a cost guard can fill
CLOCK_OFF_MAX = timedelta(seconds=60)
USED_SHARE = 0.9  # of what may be read in a month: from there on somebody should know
# X is moving its names from tweet.* to post.*, and refuses those it does not know. Without any it
# tells no counts.
SPELLINGS = ("tweet.fields", "post.fields")
LOOKED_AT = "public_metrics,withheld"

_SIGNED_BY = (
    "consumer_key_file",
    "consumer_secret_file",
    "access_token_file",
    "access_token_secret_file",
)
_GRANTED_BY = ("oauth2_client_id", "oauth2_token_file")


class Settings(Table):
    """`[channels.NAME]` of type x: one app and one account.

    Either the four secret files of OAuth 1.0a, or OAuth 2.0: the app's client id, its secret where
    it has one, and the token file that `broadcaster channels connect` writes. With the app's
    `bearer_token_file` posts are looked up as the public sees them. `max_posts_per_day` is the
    cost guard; Extreme and all-clears are exempt, but counted. `link`: whether texts may hold a
    link, which makes a post many times dearer. `card`: whether the picture goes with them.
    """

    consumer_key_file: str | None = None
    consumer_secret_file: str | None = None
    access_token_file: str | None = None
    access_token_secret_file: str | None = None
    oauth2_client_id: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")] | None = None
    oauth2_client_secret_file: str | None = None
    oauth2_token_file: str | None = None
    bearer_token_file: str | None = None
    max_posts_per_day: Annotated[int, Field(ge=1)] = 20
    link: bool = False
    card: bool = True
    base_url: Annotated[str, StringConstraints(pattern=SERVER)] = API

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        given = {name for name, value in self if value is not None}
        signed, oauth2 = given & set(_SIGNED_BY), {name for name in given if "oauth2" in name}
        whole = (len(signed) == len(_SIGNED_BY), set(_GRANTED_BY) <= oauth2)
        if whole == (True, False) and not oauth2:
            return self
        if whole == (False, True) and not signed:
            return self
        raise ValueError(
            f"give either the four files of OAuth 1.0a ({', '.join(_SIGNED_BY)}),"
            f" or {' and '.join(_GRANTED_BY)} of OAuth 2.0: all of one, nothing of the other"
        )


class X:
    """One account on X."""

    carries: Carries
    guarantee = Guarantee.READ_BACK
    reads_back = True
    limits = Limits(Measure.WEIGHTED, 280, link_length=23)
    escape = Escape.MENTIONS
    attempts_at_once = 4
    picture: Picture | None
    by_hand: str | None = None
    paid_reads = True
    takes_data = False
    resend_on_unknown = False

    def __init__(
        self, setup: Setup, settings: Settings, login: Login, bearer_token: str | None
    ) -> None:
        self.config = setup.config
        self.carries = setup.config.carries or CARRIES
        self.template = setup.config.template or ("x-link" if settings.link else "x")
        self.account = login.account
        self.picture = LANDSCAPE if settings.card else None
        self.posts_per_day_max: int | None = settings.max_posts_per_day
        self.link = settings.link
        self._login = login
        self._clock: Clock = setup.clock
        self._api = Api(settings.base_url, login, bearer_token, setup.timing)
        self._uploads = Uploads(setup, BYTES_MAX)
        self._spelling: str | None = None
        self._user: str | None = None
        self._posts_left: int | None = None

    async def prepare(self, delivery: Delivery) -> Mapping[str, Any]:
        """Upload the card and describe it; X keeps it for a day."""
        if self.picture is None:
            return {}
        return await self._uploads.handle(
            delivery, lambda media, data: upload(self._api, media, data, self._clock.now())
        )

    async def send(self, delivery: Delivery) -> Receipt:
        """Post the text once, with its card where that was uploaded."""
        if delivery.message is None:
            raise Rejected("there is no text in this delivery")
        body: dict[str, Any] = {"text": delivery.message.text}
        picture, expires = made(delivery, "media"), made(delivery, "expires")
        if picture is not None:
            if isinstance(expires, int) and expires <= self._clock.now().timestamp():
                raise NotSent("nothing was sent: X has dropped the uploaded card", afresh=True)
            body["media"] = {"media_ids": [picture]}
        answer = await self._uploads.in_the_rest(delivery, self._api.post("/2/tweets", body))
        self._posts_left = number(answer.headers, "x-rate-limit-remaining")
        post = data_of(answer).get("id") if answer.status in {200, 201} else None
        if isinstance(post, str) and post:
            return _receipt(post, note_of(delivery))
        if picture is not None and refuses_picture(answer):
            raise self._uploads.refused(delivery, "X does not know the uploaded card any more")
        raise failure_for(answer, self._clock.now())

    async def find(self, delivery: Delivery) -> Receipt | None:
        """Read the account's own posts back to the first intent, and look for this part's text."""
        if delivery.message is None:
            return None
        since = (delivery.first_attempt or delivery.accepted) - BEFORE_INTENT
        wanted = comparable(delivery.message.text)
        async for post in self._own_posts(since):
            text = html.unescape(str(post.get("text", "")))
            named = names_reference(text, delivery.reference)
            # The languages of one alert share its reference: the text tells them apart.
            if named and created(post) >= since and comparable(text) == wanted:
                return _receipt(str(post["id"]), note_of(delivery))
        return None

    async def look(self, delivery: Delivery) -> Sight:
        """Look the post up app-only, as the public sees it; else with the account's own login."""
        post = _id_of(delivery.receipt)
        answer = await self._seen(post)
        sight = sight_of(answer, delivery, public=self._api.reads_app_only)
        if sight is None:
            raise unread_for(answer, self._clock.now())
        return sight

    async def probe(self) -> Readiness:
        """Ask X who we are: that needs valid tokens, an account in good standing, and credit.

        `quota_left` is what X still allows in this window: posts, once one was sent, else checks.
        """
        try:
            answer = await self._api.get("/2/users/me")
        except NeedsPerson as failure:
            return Readiness(False, f"{failure.reason}.", self._reconnect)
        except Failure as failure:
            remedy = "Nothing, if it passes; else check the network and X's status page."
            return Readiness(ready=False, sentence=f"X {failure.reason}.", remedy=remedy)
        if off := self._clock_off(answer):
            sentence = f"This machine's clock is {off.total_seconds():.0f} s off X's."
            remedy = "Set the clock (NTP): X refuses what is signed at another time."
            return Readiness(ready=False, sentence=sentence, remedy=remedy)
        if answer.status != 200:
            return not_ready(answer, self._clock.now())
        user = data_of(answer)
        if not isinstance(user.get("id"), str):
            sentence = "X answers, but not with who we are."
            return Readiness(ready=False, sentence=sentence, remedy="Check base_url.")
        self._user = user["id"]
        return await self._ready(answer, user)

    async def retract(self, receipt: Receipt) -> None:
        """Delete the post; done if it is gone already."""
        answer = await self._api.delete(f"/2/tweets/{_id_of(receipt)}")
        deleted = answer.status == 200 and data_of(answer).get("deleted") is True
        if not deleted and answer.status != 404:
            raise failure_for(answer, self._clock.now())

    async def warm(self) -> None:
        """Keep a connection open, and the token fresh, so that no alert has to wait for either."""
        await self._api.warm()

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def _user_id(self) -> str:
        if self._user is None:
            answer = await self._api.get("/2/users/me")
            user = data_of(answer).get("id") if answer.status == 200 else None
            if not isinstance(user, str):
                raise unread_for(answer, self._clock.now())
            self._user = user
        return self._user

    async def _own_posts(self, since: datetime) -> AsyncIterator[Mapping[str, Any]]:
        """Give the own posts since then, newest first. Raises NotSent, NeedsPerson or Unknown."""
        # No field is asked for by name: X is moving the names from tweet.* to post.*, and refuses
        # those it does not know. `id` and `text` always come.
        query = {
            "max_results": str(PAGE),
            "start_time": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for _ in range(PAGES_MAX):
            page = await self._page(f"/2/users/{await self._user_id()}/tweets", query)
            for post in page.get("data", []):
                yield post
            following = page.get("meta", {}).get("next_token")
            if not following:
                return
            query["pagination_token"] = following
        raise Unknown("X lists more posts than can be read back")

    async def _page(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        answer = await self._api.get(path, query)
        page = http.as_object(answer)
        if answer.status != 200 or not is_page(page):
            raise unread_for(answer, self._clock.now())
        return page

    # Looking and readiness

    async def _seen(self, post: str) -> http.Answer:
        """Read a post in the spelling that X takes; which one that is, is found out once."""
        path = f"/2/tweets/{post}"
        get = self._api.get_app_only if self._api.reads_app_only else self._api.get
        for spelling in SPELLINGS if self._spelling is None else (self._spelling,):
            answer = await get(path, {spelling: LOOKED_AT})
            if answer.status == 200:
                self._spelling = spelling
            if answer.status != 400:
                return answer
        return await get(path, {})

    async def _ready(self, answer: http.Answer, user: Mapping[str, Any]) -> Readiness:
        left = self._posts_left
        if left is None:
            left = number(answer.headers, "x-rate-limit-remaining")
        name = f"@{user.get('username', user['id'])}"
        used, remedy = await self._usage()
        days = self._login.days_left
        if days is not None:
            remedy = f"The token ends in {days:.1f} days. {self._reconnect}"
        return Readiness(
            ready=True,
            sentence=f"X knows us as {name}; {used}.",
            remedy=remedy,
            account=name,
            days_left=days,
            quota_left=left,
            identity={
                "id": user["id"],
                "handle": name,
                "server": self._api.server,
            },
        )

    @property
    def _reconnect(self) -> str:
        return f"Connect it again: broadcaster channels connect {self.config.name}."

    async def _usage(self) -> tuple[str, str | None]:
        """Say what was used this month, and what to do about it; X tells it app-only."""
        console = "what credit is left is shown in X's developer console alone"
        if not self._api.reads_app_only:
            return console, None
        try:
            answer = await self._api.get_app_only("/2/usage/tweets", {})
        except Failure:
            return console, None
        if answer.status in {401, 403}:
            return "its app-only token is not accepted", "Put a new token into bearer_token_file."
        used, most = (_whole(data_of(answer).get(key)) for key in ("project_usage", "project_cap"))
        if answer.status != 200 or used is None or not most:
            return console, None
        remedy = "Raise the cap in X's developer console." if used >= most * USED_SHARE else None
        return f"{used} of {most} posts were read this month, and {console}", remedy

    def _clock_off(self, answer: http.Answer) -> timedelta | None:
        off = clock_off(answer.headers, self._clock.now()) if self._login.timed else None
        return off if off and off > CLOCK_OFF_MAX else None


def build(setup: Setup, settings: Settings) -> X:
    """Build the channel. Raises ValueError for a secret that cannot be read."""
    read = setup.secrets.read
    bearer = read(settings.bearer_token_file) if settings.bearer_token_file else None
    return X(setup, settings, _login(setup, settings), bearer)


def oauth(setup: Setup, settings: Settings) -> OAuth:
    """Walk a person to a token of OAuth 2.0. Raises ValueError where OAuth 1.0a is configured."""
    if settings.oauth2_token_file is None:
        raise ValueError("its four files of OAuth 1.0a are made in X's developer console")
    flow = _flow(setup, settings)
    return OAuth(flow.authorize, flow.exchange, settings.oauth2_token_file, ADVICE)


def _login(setup: Setup, settings: Settings) -> Login:
    read = setup.secrets.read
    if settings.oauth2_token_file is not None:
        given = read(settings.oauth2_token_file)
        try:
            return granted(setup, _flow(setup, settings), given)
        except ValueError as error:
            raise ValueError(f"{settings.oauth2_token_file} {error}") from None
    key, secret, token, token_secret = (read(getattr(settings, name)) for name in _SIGNED_BY)
    return Signed(key, secret, token, token_secret, setup.clock)


def _flow(setup: Setup, settings: Settings) -> Flow:
    file = settings.oauth2_client_secret_file
    secret = setup.secrets.read(file) if file else None
    return Flow(setup, settings.base_url.rstrip("/"), settings.oauth2_client_id or "", secret)


def _receipt(post: str, note: str | None) -> Receipt:
    return Receipt(post, f"https://x.com/i/web/status/{post}", note=note)


def _id_of(receipt: Receipt | None) -> str:
    """Give the number of the post that a receipt names. Raises Rejected."""
    post = receipt.remote_id if receipt else None
    if post is None or not (post.isascii() and post.isdecimal()):
        raise Rejected("this receipt names no post on X")
    return post


def _whole(value: object) -> int | None:
    """Read a count; X gives it as a number or as text."""
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None
