"""LinkedIn's REST API: how it is asked, and what its answers mean.

    {"status", "code", "message", "serviceErrorCode", "errorDetails": {"inputErrors": [{"code"}]}}

Nothing of an answer is passed on as it stands but codes and URNs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from urllib.parse import quote

from yarl import URL

from broadcaster.channels import http
from broadcaster.channels.tokens import Tokens
from broadcaster.clock import Clock
from broadcaster.config import Timing
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Rejected, Unknown

POST = r"urn:li:(?:share|ugcPost):[0-9]{1,32}"
WAITING = "MEDIA_ASSET_WAITING_UPLOAD"
TOO_LONG = "FIELD_LENGTH_TOO_LONG"
AGAIN = timedelta(seconds=1)
JSON = {"Content-Type": "application/json"}

_DUPLICATE = re.compile(rf"\bduplicate of ({POST})?")
_SWITCHED_OFF = ("NONEXISTENT_VERSION", "VERSION_MISSING")


class Api:
    """One page's access. `renews`: the token can be renewed after a 401."""

    def __init__(  # noqa: PLR0913 - one access has so many sides
        self,
        base_url: str,
        version: str,
        tokens: Tokens,
        clock: Clock,
        timing: Timing,
        *,
        renews: bool,
    ) -> None:
        self.base = URL(base_url)
        self.tokens = tokens
        self.clock = clock
        self.client = http.Client(timing)
        self._root = f"{base_url.rstrip('/')}/rest"
        self._version = version
        self._renews = renews

    async def get(self, path: str, query: str = "", method: str | None = None) -> http.Answer:
        """Read. `path` and `query` are encoded; `method` is Rest.li's own word. Raises NotSent."""
        url = self._url(path, query)
        return await self._asked(lambda headers: self.client.get(url, headers), method)

    async def post(
        self, path: str, body: Mapping[str, Any], query: str = "", method: str | None = None
    ) -> http.Answer:
        """Write. Raises NotSent, NeedsPerson or Unknown."""
        data, url = json.dumps(body, ensure_ascii=False).encode(), self._url(path, query)
        return await self._asked(
            lambda headers: self.client.post(url, data, headers | JSON), method
        )

    async def delete(self, path: str) -> http.Answer:
        """Delete. Raises NotSent, NeedsPerson or Unknown."""
        url = self._url(path)
        return await self._asked(lambda headers: self.client.delete(url, headers), "DELETE")

    async def _asked(
        self, ask: Callable[[dict[str, str]], Awaitable[http.Answer]], method: str | None
    ) -> http.Answer:
        """Ask; after a 401, which accepts nothing, once more with a renewed token."""
        token = await self.tokens.current()
        answer = await ask(self._headers(token, method))
        if answer.status == 401 and answer.whole and self._renews:
            answer = await ask(self._headers(await self.tokens.renew(token), method))
        return answer

    def _url(self, path: str, query: str = "") -> URL:
        return URL(f"{self._root}/{path}" + (f"?{query}" if query else ""), encoded=True)

    def _headers(self, token: str, method: str | None) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {token}",
            "LinkedIn-Version": self._version,
            "X-Restli-Protocol-Version": "2.0.0",
        }
        return headers | ({"X-RestLi-Method": method} if method else {})

    def refused(self, answer: http.Answer) -> Failure:
        """Give what an answer to a write means."""
        return failure_for(answer, self.clock.now())

    def unread(self, answer: http.Answer) -> Failure:
        """Give what a failed read means: nothing about the post, and mostly a hiccup."""
        failure = self.refused(answer)
        if isinstance(failure, NeedsPerson | NotSent):
            return failure
        return NotSent(f"LinkedIn could not be read: it answered {answer.status}")


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error body says: `words` are its codes and its message; `code` if it looks like one.

    `duplicate`: LinkedIn has this text already; `named` is the post that it means, if it says so.
    """

    words: str = ""
    code: str | None = None
    duplicate: bool = False
    named: str | None = None

    @classmethod
    def of(cls, answer: http.Answer) -> Problem:
        """Read an answer; of any other shape it is empty."""
        body = http.as_object(answer)
        words = " ".join(_words(body))
        code = body.get("code")
        known = isinstance(code, str) and re.fullmatch(r"[A-Z][A-Z_]{2,60}", code)
        found = _DUPLICATE.search(words)
        duplicate = found is not None or "DUPLICATE_POST" in words
        return cls(words, str(code) if known else None, duplicate, found[1] if found else None)


def _words(body: Mapping[str, Any]) -> Iterator[str]:
    """Give the codes and the message, those of single fields included."""
    details = body.get("errorDetails")
    inputs = details.get("inputErrors") if isinstance(details, dict) else None
    rows = [body, *(inputs if isinstance(inputs, list) else [])]
    for row in rows:
        if isinstance(row, dict):
            yield from (str(row[name]) for name in ("code", "message") if name in row)


_PERSON: Mapping[int, str] = {
    401: "LinkedIn does not accept the token; connect the channel again",
    403: "LinkedIn says that a permission, or the role on the page, is missing",
}


def failure_for(answer: http.Answer, now: datetime) -> Failure:
    """Give what LinkedIn's answer to a write means: the body first, then the status."""
    if not 400 <= answer.status < 500:
        return http.failure_for(answer, "LinkedIn", now)
    if not answer.whole:
        return Unknown(f"LinkedIn answered {answer.status}, but the answer broke off")
    problem = Problem.of(answer)
    if problem.duplicate:
        named = f", as {problem.named}" if problem.named else ""
        return Rejected(f"LinkedIn says that it has this text already{named}", duplicate=True)
    if WAITING in problem.words:
        return NotSent("LinkedIn is still processing the picture", AGAIN)
    if is_switched_off(answer):
        return Rejected("LinkedIn does not serve this version of its API: set `version` higher")
    if answer.status in _PERSON:
        return NeedsPerson(_PERSON[answer.status])
    if answer.status == 409:  # "retry", it says; but it drops no repeats
        return Unknown("LinkedIn answered 409: something else was being written")
    if answer.status == 429:
        return NotSent(_too_many(problem), _pause(answer, problem, now), rate_limited=True)
    if problem.code and answer.status not in {402, 408}:
        return Rejected(f"LinkedIn refuses this message: {answer.status} {problem.code}")
    return http.failure_for(answer, "LinkedIn", now)


def is_switched_off(answer: http.Answer) -> bool:
    """Say whether LinkedIn refuses the version that was asked for."""
    words = Problem.of(answer).words
    named = any(code in words for code in _SWITCHED_OFF)
    return answer.status == 426 or (400 <= answer.status < 500 and named)


def _is_of_the_day(problem: Problem) -> bool:
    return re.search(r"\bDAY\b", problem.words) is not None


def _too_many(problem: Problem) -> str:
    if _is_of_the_day(problem):
        return "LinkedIn answered 429: the calls of this day are used up, until 00:00 UTC"
    return "LinkedIn answered 429: too many requests"


def _pause(answer: http.Answer, problem: Problem, now: datetime) -> timedelta | None:
    """Say how long to wait; LinkedIn's counts of a day begin anew at 00:00 UTC.

    Only where it names the day: for a mere burst, that would be silence for hours.
    """
    if _is_of_the_day(problem) and "Retry-After" not in answer.headers:
        tomorrow = now.astimezone(UTC).date() + timedelta(days=1)
        return http.sensible(datetime.combine(tomorrow, time.min, UTC) - now)
    return http.retry_after(answer.headers, now)


def encoded(urn: str) -> str:
    """Write a URN as part of an address; Rest.li wants ( ) ' ! * encoded too."""
    return quote(urn, safe="")
