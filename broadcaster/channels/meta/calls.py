"""One account's requests to Meta's Graph API, as Threads and Instagram make them.

A token of 60 days goes with each; it is exchanged for a new one in time. How much is used of the
calls that Meta allows is read from every answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from yarl import URL

from broadcaster.channels import http
from broadcaster.channels.meta import graph
from broadcaster.channels.tokens import Grant, Refresh, Tokens
from broadcaster.clock import Clock
from broadcaster.delivery import Failure, NeedsPerson, Readiness, Unknown

PAGE = 25  # posts in one answer: a hundred long ones would exceed what is read of a body
PAGES_MAX = 40
BRAKE_SECONDS = 300.0  # Meta counts over a moving window: what is used falls by itself
SOON_DAYS = 30.0
RECONNECT = "Connect the channel again: broadcaster channels connect NAME."
PASSES = "Nothing, if it passes; else check the network and Meta's status page."


class Api:
    """One account's requests: its token goes with each, and is renewed once where it is refused.

    `in_header`: the token goes into the Authorization header; else it is a parameter, which is the
    only way that Meta documents for Threads.
    """

    def __init__(  # noqa: PLR0913 - what a request is made of
        self,
        who: str,
        root: str,
        client: http.Client,
        tokens: Tokens,
        clock: Clock,
        *,
        in_header: bool,
    ) -> None:
        self.who = who
        self.used_percent: int | None = None
        self._root = root
        self._client = client
        self._tokens = tokens
        self._clock = clock
        self._in_header = in_header
        self._braked_until = 0.0  # elapsed seconds

    async def get(self, path: str, query: Mapping[str, str]) -> http.Answer:
        """Read. Raises NotSent where no answer came, NeedsPerson for a token that is over."""

        def ask(token: str) -> Awaitable[http.Answer]:
            return self._client.get(self._url(path, self._with(token, query)), self._head(token))

        return await self._asked(ask)

    async def post(self, path: str, form: Mapping[str, str]) -> http.Answer:
        """Post a form once. Raises NotSent, Unknown or NeedsPerson."""

        def ask(token: str) -> Awaitable[http.Answer]:
            body = urlencode(self._with(token, form)).encode()
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._client.post(self._url(path, {}), body, self._head(token) | kind)

        return await self._asked(ask)

    async def delete(self, path: str) -> http.Answer:
        """Delete, which is safe to repeat."""

        def ask(token: str) -> Awaitable[http.Answer]:
            return self._client.delete(self._url(path, self._with(token, {})), self._head(token))

        return await self._asked(ask)

    async def read(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Read an object. Raises NotSent or NeedsPerson for anything else."""
        answer = await self.get(path, query)
        found = http.as_object(answer)
        if answer.status != 200 or not found or "error" in found:
            raise self.unread(answer)
        return found

    async def rows(self, path: str, query: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """Give a list row by row, to its end. Raises NotSent, NeedsPerson or Unknown."""
        asked = dict(query) | {"limit": str(PAGE)}
        for _ in range(PAGES_MAX):
            answer = await self.get(path, asked)
            page = graph.page_of(http.as_object(answer))
            if answer.status != 200 or page is None:
                raise self.unread(answer)
            for row in page.rows:
                yield row
            if page.after is None:
                return
            asked["after"] = page.after
        raise Unknown(f"{self.who} lists more than can be read back")

    def failure(self, answer: http.Answer) -> Failure:
        """Give what the answer to a write means."""
        return graph.failure_for(answer, self.who, self._clock.now())

    def unread(self, answer: http.Answer) -> Failure:
        """Give what a failed read means."""
        return graph.unread_for(answer, self.who, self._clock.now())

    @property
    def braked(self) -> bool:
        """Whether the calls that Meta allows are nearly used up, and are to be kept for posts."""
        return self._clock.elapsed() < self._braked_until

    async def _asked(self, ask: Callable[[str], Awaitable[http.Answer]]) -> http.Answer:
        token = await self._tokens.current()
        answer = self._noted(await ask(token))
        if not graph.is_token(answer):
            return answer
        try:
            renewed = await self._tokens.renew(token)
        except Failure:  # what was answered first says more than why there is no new token
            return answer
        return self._noted(await ask(renewed))

    def _noted(self, answer: http.Answer) -> http.Answer:
        used = graph.used_percent(answer.headers)
        if used is not None:
            self.used_percent = used
            pause = BRAKE_SECONDS if used >= graph.BRAKE_PERCENT else 0.0
            self._braked_until = self._clock.elapsed() + pause
        return answer

    def _url(self, path: str, query: Mapping[str, str]) -> URL:
        asked = f"?{urlencode(query)}" if query else ""
        return URL(f"{self._root}/{path}{asked}", encoded=True)

    def _with(self, token: str, given: Mapping[str, str]) -> dict[str, str]:
        return dict(given) | ({} if self._in_header else {"access_token": token})

    def _head(self, token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"} if self._in_header else {}


def renewing(client: http.Client, url: str, grant_type: str, who: str, clock: Clock) -> Refresh:
    """Return how a token of 60 days is exchanged for one of 60 more."""

    async def refresh(grant: Grant) -> Grant:
        query = {"grant_type": grant_type, "access_token": grant.access_token}
        answer = await client.get(URL(f"{url}?{urlencode(query)}", encoded=True), {})
        return granted(answer, who, clock.now())

    return refresh


def granted(answer: http.Answer, who: str, now: datetime) -> Grant:
    """Read a token that was granted. Raises a Failure where there is none."""
    said = http.as_object(answer)
    if answer.status != 200:
        raise graph.unread_for(answer, who, now)
    try:
        plain = {"access_token": said["access_token"], "obtained": now.isoformat()}
        return Grant.from_json(plain | {"expires": _iso(graph.expires(said, now))})
    except (KeyError, ValueError):
        raise Unknown(f"{who} answered, but not with a token") from None


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def not_ready(failure: Failure, who: str) -> Readiness:
    """Say why a post would not work now, and what to do."""
    sentence, _, remedy = failure.reason.partition(". ")
    if not sentence.startswith((who, "the token")):
        sentence = f"{who} {sentence}"
    usual = RECONNECT if isinstance(failure, NeedsPerson) else PASSES
    said = f"{sentence[0].upper()}{sentence[1:]}."
    return Readiness(ready=False, sentence=said, remedy=f"{remedy}." if remedy else usual)


def remarked(api: Api, known: Readiness) -> Readiness:
    """Add what a good probe has to say besides: calls nearly used up, a token that soon ends."""
    if api.braked:
        sentence = f"{known.sentence} {api.used_percent} % of the calls Meta allows are used up."
        return replace(known, sentence=sentence, remedy="Let nothing else use this app for now.")
    if known.days_left is not None and known.days_left <= SOON_DAYS:
        remedy = f"The token ends in {max(known.days_left, 0):.0f} days. {RECONNECT}"
        return replace(known, remedy=remedy)
    return known


async def quota_of(api: Api, path: str, fields: str, scope: str) -> tuple[int, int] | None:
    """Read a publishing limit, which takes the permission to publish: `scope` names that.

    Raises NeedsPerson without it, NotSent for a hiccup.
    """
    answer = await api.get(path, {"fields": fields})
    if graph.is_permission(answer):
        remedy = f"Grant {scope}: {RECONNECT[0].lower()}{RECONNECT[1:-1]}"
        raise NeedsPerson(f"{api.who} does not let this token post: {scope} is missing. {remedy}")
    limit = http.as_object(answer)
    if answer.status != 200 or "data" not in limit:
        raise api.unread(answer)
    return quota(limit)


def quota(limit: Mapping[str, Any]) -> tuple[int, int] | None:
    """Read a publishing limit: how many posts are left, of how many; None if it does not say."""
    rows = limit.get("data")
    row = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
    config = row.get("config")
    total = config.get("quota_total") if isinstance(config, dict) else None
    used = row.get("quota_usage")
    if type(total) is not int or type(used) is not int:
        return None
    return max(0, total - used), total


def counts(body: Mapping[str, Any]) -> dict[str, int]:
    """Read insights: {"data": [{"name": "views", "values": [{"value": 3}]}, ...]}."""
    rows = body.get("data")
    found = {}
    for row in rows if isinstance(rows, list) else []:
        value = _value(row) if isinstance(row, dict) else None
        if type(value) is int and isinstance(row.get("name"), str):
            found[row["name"]] = value
    return found


def _value(row: Mapping[str, Any]) -> object:
    values = row.get("values")
    first = values[0] if isinstance(values, list) and values else row.get("total_value")
    return first.get("value") if isinstance(first, dict) else None
