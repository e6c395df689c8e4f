"""Facebook Pages: a text on the Page's feed, or the card as a photo with the text as its caption.

There is no key against posting twice: a lost answer is unknown until the Page's own list was read.
A Page edits what its own app has posted: so an older post is marked as overtaken. Pages have no
replies, an update is a post of its own. Parameters and errors: Graph API v25.0 and v26.0.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self, TypeVar

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
from broadcaster.channels.facebook.calls import Calls
from broadcaster.channels.facebook.post import (
    SITE,
    counts,
    created,
    hidden,
    permalink,
    points,
    post_of,
    says,
    text_of,
)
from broadcaster.channels.facebook.token import ADVICE, GRAPH, Flow, ends_of, fault_of, lacking
from broadcaster.channels.meta import graph
from broadcaster.channels.tokens import Grant, OAuth
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
    names_reference,
)

CARRIES = Carries()
# The number everyone quotes; no text of Meta's says it (UNVERIFIED). It is far above any alert.
TEXT_MAX = 63_206
BEFORE_INTENT = timedelta(seconds=120)  # how far before the intent a read-back looks
PAGE = 25  # posts in one answer: a hundred long ones would exceed what is read of a body
REST_SECONDS_MIN = 2.0  # what a text still gets where the picture took nearly all of an attempt
PASSES = "Nothing, if it passes; else check the network and Meta's status page."
SOON_DAYS = 30
# Until when Meta serves a version: its changelog of 2026-07-29. A later one has no end yet.
VERSION_ENDS = {
    "v23.0": datetime(2027, 10, 8, tzinfo=UTC),
    "v24.0": datetime(2028, 2, 18, tzinfo=UTC),
    "v25.0": datetime(2028, 7, 29, tzinfo=UTC),
}
POST_FIELDS = "id,message,permalink_url,is_published,is_hidden,created_time,privacy"
COUNTS = "shares,comments.summary(true).limit(0),reactions.summary(true).limit(0)"

T = TypeVar("T")
Digits = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,32}$")]


class Settings(Table):
    """`[channels.NAME]` of type facebook.

    With the app's id and secret, `probe` reads how long the token lasts and what it may do.
    """

    page_id: Digits
    access_token_file: str
    app_id: Digits | None = None
    app_secret_file: str | None = None
    api_version: Annotated[str, StringConstraints(pattern=r"^v[0-9]{1,3}\.[0-9]$")] = "v25.0"
    base_url: Annotated[str, StringConstraints(pattern=SERVER)] = GRAPH

    @model_validator(mode="after")
    def _app_is_whole(self) -> Self:
        if (self.app_id is None) != (self.app_secret_file is None):
            raise ValueError("app_id and app_secret_file go together: give both, or neither")
        return self


class Facebook:
    """One Page."""

    carries: Carries
    guarantee = Guarantee.READ_BACK
    reads_back = True
    limits = Limits(Measure.CHARACTERS, TEXT_MAX)
    escape = Escape.MENTIONS
    attempts_at_once = 4
    picture: Picture | None = LANDSCAPE
    by_hand: str | None = None
    paid_reads = False
    takes_data = False
    posts_per_day_max: int | None = None
    resend_on_unknown = False

    def __init__(self, setup: Setup, settings: Settings, calls: Calls) -> None:
        self.config = setup.config
        self.carries = setup.config.carries or CARRIES
        self.template = setup.config.template or "post"
        self.account = settings.page_id
        self._page = settings.page_id
        self._version = settings.api_version
        self._server = URL(settings.base_url).host or settings.base_url
        self._graph = calls
        self._clock: Clock = setup.clock
        self._limit_seconds = setup.timing.attempt_seconds

    async def send(self, delivery: Delivery) -> Receipt:
        """Post the text with its card; without it where Facebook refuses the picture."""
        if delivery.message is None:
            raise Rejected("there is no text in this delivery")
        text, started = delivery.message.text, self._clock.elapsed()
        card = next((media for media in delivery.message.media if media.url), None)
        if card is None:
            return self._published(await self._graph.write(f"{self._page}/feed", {"message": text}))
        photo = {
            "url": card.url,
            "caption": text,
            "alt_text_custom": card.alt,
            "published": True,
        }
        answer = await self._graph.write(f"{self._page}/photos", photo)
        refusal = self._refusal_of_picture(answer)
        if refusal is None:
            return self._published(answer)
        work = self._graph.write(f"{self._page}/feed", {"message": text})
        note = f"posted without its card: {refusal}"
        return self._published(await self._in_the_rest(started, work), note)

    async def find(self, delivery: Delivery) -> Receipt | None:
        """Read the Page's own posts back to the first intent, and look for this part's text."""
        message = delivery.message
        if message is None:
            return None
        if message.act is Act.CORRECT:
            return await self._corrected(post_of(delivery.reply_to), message.text)
        since = (delivery.first_attempt or delivery.accepted) - BEFORE_INTENT
        async for post in self._own_posts(since):
            text = text_of(post)
            named = names_reference(text, delivery.reference)
            # The languages of one alert share its reference: the text tells them apart.
            if named and created(post) >= since and says(text, message.text, delivery):
                return Receipt(str(post["id"]), permalink(post))
        return None

    async def correct(self, delivery: Delivery) -> Receipt:
        """Put the pointer before the text of the old post; where that is refused, below it."""
        if delivery.message is None:
            raise Rejected("there is no text in this delivery")
        pointer, started = delivery.message.text, self._clock.elapsed()
        post = post_of(delivery.reply_to)
        old = await self._old(post)
        if old is None:
            raise Rejected("the post to correct is not there any more")
        if points(text_of(old), pointer):
            return Receipt(post, permalink(old))
        work = self._point(old, pointer, doubtful=delivery.doubtful)
        return await self._in_the_rest(started, work)

    async def retract(self, receipt: Receipt) -> None:
        """Delete the post; done if it is gone already."""
        post = post_of(receipt)
        answer = await self._graph.delete(post)
        if answer.status == 200 and http.as_object(answer).get("success") is True:
            return
        if not graph.is_gone(answer):
            raise self._graph.refused(answer)
        # The same words are said of a post that is gone, and of one that an app may not delete.
        there = await self._graph.read(post, {"fields": "id"})
        if not graph.is_gone(there):
            self._graph.object_of(there)
            raise Rejected("Facebook does not let this app delete the post: delete it on the Page")

    async def look(self, delivery: Delivery) -> Sight:
        """Look the post up as the Page itself: there is no way to do it logged out."""
        if self._graph.nearly_used_up:
            raise NotSent("looking has to wait: the calls that Facebook allows are nearly used up")
        if delivery.receipt is None:
            raise Rejected("there is no receipt to look up")
        post = await self._post_and_counts(post_of(delivery.receipt))
        if post is None:
            return Sight(there=False, reason="deleted, or hidden by Facebook", public=False)
        reason = hidden(post) or await self._page_hidden()
        text = text_of(post)
        ours = delivery.message.text if delivery.message else text
        return Sight(
            there=reason is None,
            text=text,
            altered=not says(text, ours, delivery),
            reason=reason,
            counts=counts(post),
            url=permalink(post),
            public=False,
        )

    async def probe(self) -> Readiness:
        """Ask what the token may do and how long it lasts, and whether the Page is public.

        `quota_left` is the share of calls, in percent, that Facebook still allows.
        """
        try:
            return await self._readiness()
        except NeedsPerson as failure:
            reason, _, remedy = failure.reason.partition(". ")
            named = f"{remedy.replace('NAME', self.config.name)}." if remedy else self._reconnect
            return _not_ready(reason, named)
        except Failure as failure:
            return _not_ready(failure.reason, PASSES)

    async def warm(self) -> None:
        """Keep a connection open; nothing is asked that counts."""
        await self._graph.warm()

    async def close(self) -> None:
        """Close the connections."""
        await self._graph.close()

    # Posting and reading back

    async def _in_the_rest(self, started: float, work: Awaitable[T]) -> T:
        """Do a second step within what is left of the attempt. Raises Unknown when that is over."""
        rest = self._limit_seconds - (self._clock.elapsed() - started)
        try:
            async with asyncio.timeout(max(rest, REST_SECONDS_MIN)):
                return await work
        except TimeoutError:
            raise Unknown("the time limit was reached after the request had begun") from None

    def _refusal_of_picture(self, answer: http.Answer) -> str | None:
        """Say why a photo was refused; None if it was not, or if the text alone would be too."""
        if _no_picture(answer):
            return "Facebook could not fetch the picture"
        failure = None if answer.status == 200 else self._graph.refused(answer)
        # Refused for good, so nothing is there. It may be for the text: then the feed says so too.
        plain = isinstance(failure, Rejected) and not failure.duplicate
        return failure.reason if failure and plain else None

    def _published(self, answer: http.Answer, note: str | None = None) -> Receipt:
        """Read the post's id: a photo has one of its own, which is not that of its post."""
        said = http.as_object(answer) if answer.status == 200 else {}
        post = said.get("post_id") or said.get("id")
        if isinstance(post, str) and re.fullmatch(r"[0-9]{1,32}_[0-9]{1,32}", post):
            return Receipt(post, f"{SITE}/{post}", note=note)
        raise self._graph.refused(answer)

    async def _own_posts(self, since: datetime) -> AsyncIterator[Mapping[str, Any]]:
        """Give the Page's posts since then, newest first."""
        fields = {"fields": "id,message,created_time,permalink_url", "limit": str(PAGE)}
        async for page in self._graph.pages(f"{self._page}/published_posts", fields):
            for post in page:
                yield post
            if page and all(created(post) < since for post in page):  # pinned ones come first
                return

    # Corrections

    async def _point(self, old: Mapping[str, Any], pointer: str, *, doubtful: bool) -> Receipt:
        post, text = str(old["id"]), text_of(old)
        if text and await self._edited(post, f"{pointer}\n\n{text}"):
            return Receipt(post, permalink(old))
        # On a first attempt none of ours can be there, and there may be more than can be read.
        there = await self._our_comment(post, pointer) if doubtful else None
        return there or await self._comment(post, pointer)

    async def _edited(self, post: str, text: str) -> bool:
        """Give a post another text; False where that is refused: only its own app may, for one."""
        answer = await self._graph.write(post, {"message": text})
        if answer.status == 200 and http.as_object(answer).get("success") is True:
            return True
        failure = self._graph.refused(answer)
        if not isinstance(failure, Rejected) and not graph.is_permission(answer):
            raise failure
        return False

    async def _corrected(self, post: str, pointer: str) -> Receipt | None:
        """Say whether the old post, or a comment of ours on it, names what has overtaken it."""
        old = await self._old(post)
        if old is None:
            return None
        if points(text_of(old), pointer):
            return Receipt(post, permalink(old))
        return await self._our_comment(post, pointer)

    async def _old(self, post: str) -> dict[str, Any] | None:
        answer = await self._graph.read(post, {"fields": "id,message,permalink_url"})
        return None if graph.is_gone(answer) else self._graph.object_of(answer) | {"id": post}

    async def _our_comment(self, post: str, pointer: str) -> Receipt | None:
        fields = {"fields": "id,message,from", "limit": str(PAGE), "order": "reverse_chronological"}
        async for page in self._graph.pages(f"{post}/comments", fields):
            for comment in page:
                if self._is_ours(comment) and points(text_of(comment), pointer):
                    return _commented(str(comment["id"]))
        return None

    async def _comment(self, post: str, pointer: str) -> Receipt:
        answer = await self._graph.write(f"{post}/comments", {"message": pointer})
        comment = http.as_object(answer).get("id") if answer.status == 200 else None
        if graph.is_id(comment):
            return _commented(str(comment))
        raise self._graph.refused(answer)

    def _is_ours(self, comment: Mapping[str, Any]) -> bool:
        """Say whether the Page wrote it; where Facebook does not say who did, the text decides."""
        author = comment.get("from")
        return not isinstance(author, dict) or author.get("id") == self._page

    # Looking

    async def _post_and_counts(self, post: str) -> dict[str, Any] | None:
        """Read a post; without the counts where the token may not read those."""
        answer = await self._graph.read(post, {"fields": f"{POST_FIELDS},{COUNTS}"})
        if graph.is_permission(answer):
            answer = await self._graph.read(post, {"fields": POST_FIELDS})
        return None if graph.is_gone(answer) else self._graph.object_of(answer)

    async def _page_hidden(self) -> str | None:
        answer = await self._graph.read(self._page, {"fields": "id,is_published"})
        page = self._graph.object_of(answer)
        return "the whole Page is unpublished" if page.get("is_published") is False else None

    # Readiness

    async def _readiness(self) -> Readiness:
        token = await self._graph.inspected()
        if fault := fault_of(token, self._page):
            return _not_ready(fault, self._reconnect)
        answer = await self._graph.read(self._page, {"fields": "id,name,username,is_published"})
        if graph.is_gone(answer):
            return _not_ready(
                "Facebook shows this token no Page with this page_id", "Check page_id."
            )
        page = self._graph.object_of(answer)
        name = str(page.get("name") or self._page)[:100]
        if page.get("is_published") is False:
            said = f"Facebook shows the Page {name} to nobody: it is unpublished"
            return _not_ready(said, "Publish the Page in its settings on Facebook.")
        ends = [*ends_of(token), *filter(None, [VERSION_ENDS.get(self._version)])]
        days = min((self._days_to(end) for end in ends), default=None)
        missing, remedy = lacking(token), self._remedy(answer, days)
        but = f", but without {' and '.join(missing)} it cannot comment" if missing else ""
        return Readiness(
            ready=True,
            sentence=f"Facebook knows us as the Page {name}{but}.",
            remedy=self._reconnect if missing else remedy,
            account=name,
            days_left=days,
            quota_left=self._graph.percent_left,
            identity={"id": self._page, "handle": name, "server": self._server},
        )

    @property
    def _reconnect(self) -> str:
        return f"Connect it again: broadcaster channels connect {self.config.name}."

    def _remedy(self, answer: http.Answer, days: float | None) -> str | None:
        """Say what must be done before long, None if nothing."""
        served = answer.headers.get("facebook-api-version", self._version)
        if served != self._version and re.fullmatch(r"v[0-9.]{3,8}", served):
            return f"Facebook answers {self._version} as {served}: set api_version to that."
        if (ends := VERSION_ENDS.get(self._version)) and self._days_to(ends) <= SOON_DAYS:
            return f"Facebook ends {self._version} on {ends:%Y-%m-%d}: set api_version higher."
        if days is not None and days <= SOON_DAYS:
            return f"The token ends in {max(days, 0):.0f} days. {self._reconnect}"
        if self._graph.nearly_used_up:
            return f"{self._graph.percent_left} % of the calls are left: ask Facebook less often."
        return None

    def _days_to(self, end: datetime) -> float:
        return (end - self._clock.now()) / timedelta(days=1)


def build(setup: Setup, settings: Settings) -> Facebook:
    """Build the channel. Raises ValueError for a secret that cannot be read."""
    token = Grant.read(setup.secrets.read(settings.access_token_file)).access_token
    app_token = None
    if settings.app_secret_file is not None:
        app_token = f"{settings.app_id}|{setup.secrets.read(settings.app_secret_file)}"
    root = f"{settings.base_url.rstrip('/')}/{settings.api_version}"
    return Facebook(setup, settings, Calls(setup, root, token, app_token))


def oauth(setup: Setup, settings: Settings) -> OAuth:
    """Walk a person to a token of the Page, which has no end of its own.

    Raises ValueError without the app's id and secret.
    """
    if settings.app_id is None or settings.app_secret_file is None:
        raise ValueError("app_id and app_secret_file are needed to connect a Page")
    flow = Flow(
        setup,
        settings.base_url.rstrip("/"),
        settings.api_version,
        settings.page_id,
        settings.app_id,
        setup.secrets.read(settings.app_secret_file),
    )
    return OAuth(flow.authorize, flow.exchange, settings.access_token_file, ADVICE)


def _commented(comment: str) -> Receipt:
    note = "Facebook refused to edit the post: marked as overtaken in a comment instead"
    return Receipt(comment, f"{SITE}/{comment}", note=note)


def _not_ready(reason: str, remedy: str) -> Readiness:
    named = reason if reason.startswith(("Facebook", "the token")) else f"Facebook {reason}"
    return Readiness(ready=False, sentence=f"{named[0].upper()}{named[1:]}.", remedy=remedy)


def _no_picture(answer: http.Answer) -> bool:
    """Say whether a whole answer refuses the picture: then nothing was posted.

    324 is a missing or invalid image file; the subcodes say so of a file that cannot be read. The
    file has to come with a 200: Facebook asks for a range of bytes, and takes no 206.
    """
    problem = graph.Problem.of(answer)
    refused = problem.code == 324 or problem.subcode in {1366046, 2069019}
    return answer.whole and 400 <= answer.status < 500 and refused
