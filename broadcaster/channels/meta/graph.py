"""What the answers of Meta's Graph API mean: Facebook, Threads and Instagram share one envelope.

    {"error": {"message", "type", "code", "error_subcode", "is_transient", "error_user_msg", ...}}

Graph says "rate limited" with a 400 and "try again" for a post that it may have made, so the body
comes before the status. Codes: Meta's error handling pages and the Instagram error table (copies,
2026-06).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from broadcaster.channels import http
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Rejected, Unknown

BRAKE_PERCENT = 95  # of what Meta allows; it refuses from 100 on
LIFE_MAX = timedelta(days=3650)  # a token that is said to last longer has no end that matters

_DUPLICATE = 506
_BLOCKED = 368
_REPEATED = 1404082  # subcode of 368
_PARAMETER = 100
_NOT_THERE = 33  # subcode of 100
_GONE = frozenset({24, 803})  # 24: Threads and Instagram
_TOKEN = frozenset({102, 104, 190, 2500})
_PERMISSION = frozenset({3, 10, *range(200, 300)})
_THROTTLED = frozenset({4, 17, 32, 341, 613, *range(80000, 80100)})
_TEMPORARY = frozenset({1, 2})

_TOKEN_SAYS: Mapping[int, str] = {
    458: "the app was removed from the account",
    459: "the account must pass a security check",
    460: "the password was changed",
    463: "the token has expired",
    464: "the account must be confirmed",
    467: "the token was withdrawn",
    492: "whoever gave the token has lost the role on the Page",
}
_RECONNECT = "Connect the channel again: broadcaster channels connect NAME."


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error envelope says. `code` is 0 where there is none; `words` are in lower case."""

    code: int = 0
    subcode: int = 0
    transient: bool = False
    words: str = ""

    @classmethod
    def of(cls, answer: http.Answer) -> Problem:
        """Read an answer; of any other shape it is empty."""
        error = http.as_object(answer).get("error")
        if not isinstance(error, dict):
            return cls()
        said = (error.get(key) for key in ("message", "type", "error_user_title", "error_user_msg"))
        return cls(
            _number(error.get("code")),
            _number(error.get("error_subcode")),
            error.get("is_transient") is True,
            " ".join(text for text in said if isinstance(text, str)).lower(),
        )


@dataclass(frozen=True, slots=True)
class Person:
    """What somebody must act on: `sentence` without its full stop, `remedy` with it."""

    sentence: str
    remedy: str

    @property
    def failure(self) -> NeedsPerson:
        """The same as a failure."""
        return NeedsPerson(f"{self.sentence}. {self.remedy}".rstrip("."))


def failure_for(answer: http.Answer, who: str, now: datetime) -> Failure:
    """Give what an answer to a write means: the body first, then the status.

    `who` begins the sentence ("Facebook"). A temporary error is unknown: it may have been done.
    """
    if not 400 <= answer.status < 500:
        return http.failure_for(answer, who, now)
    if not answer.whole:
        return Unknown(f"{who} answered {answer.status}, but the answer broke off")
    problem = Problem.of(answer)
    if problem.code == _DUPLICATE or (problem.code, problem.subcode) == (_BLOCKED, _REPEATED):
        return Rejected(f"{who} says that it has this text already", duplicate=True)
    if found := person(problem, who):
        return found.failure
    if problem.code in _THROTTLED:
        wait = regain(answer.headers) or http.retry_after(answer.headers, now)
        said = f"{who} says that it was asked too often (code {problem.code})"
        return NotSent(said, wait, rate_limited=True)
    if problem.code in _TEMPORARY or problem.transient:
        return Unknown(f"{who} had a temporary fault (code {problem.code}): it may have taken it")
    if problem.code:
        said = f"{who} refuses this request: code {problem.code}"
        return Rejected(f"{said}/{problem.subcode}" if problem.subcode else said)
    return http.failure_for(answer, who, now)


def unread_for(answer: http.Answer, who: str, now: datetime) -> Failure:
    """Give what a failed read means: nothing about the post, and mostly a hiccup."""
    failure = failure_for(answer, who, now)
    if isinstance(failure, NeedsPerson | NotSent):
        return failure
    return NotSent(f"{who} could not be read: it answered {answer.status}")


def person(problem: Problem, who: str) -> Person | None:
    """Say what a person must act on, and how; None if nobody need."""
    if problem.code in _TOKEN:
        why = _TOKEN_SAYS.get(problem.subcode, f"code {problem.code}")
        return Person(f"{who} does not accept the token: {why}", _RECONNECT)
    if problem.code in _PERMISSION:
        remedy = "Grant it when you connect the channel again: broadcaster channels connect NAME."
        return Person(f"{who} says that a permission is missing (code {problem.code})", remedy)
    if problem.code == _BLOCKED:
        remedy = f"Log in to {who} as this account, confirm what it asks for, or appeal."
        return Person(f"{who} has blocked the account from posting", remedy)
    return None


def is_gone(answer: http.Answer) -> bool:
    """Say whether Graph tells that the object is not there (or not for us: it tells no more)."""
    problem = Problem.of(answer)
    is_missing = (problem.code, problem.subcode) == (_PARAMETER, _NOT_THERE)
    return 400 <= answer.status < 500 and (is_missing or problem.code in _GONE)


def is_permission(answer: http.Answer) -> bool:
    """Say whether a permission is missing for this."""
    return 400 <= answer.status < 500 and Problem.of(answer).code in _PERMISSION


def is_token(answer: http.Answer) -> bool:
    """Say whether a whole answer refuses the token: nothing was done, and a new one may help."""
    refused = answer.status == 401 or Problem.of(answer).code in _TOKEN
    return 400 <= answer.status < 500 and answer.whole and refused


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of a list; each row has a string `id`. `after`: the cursor of the next piece."""

    rows: list[dict[str, Any]]
    after: str | None


def page_of(body: Mapping[str, Any]) -> Page | None:
    """Read a piece of a list; None if it is none, for then it proves no absence."""
    rows, paging = body.get("data"), body.get("paging", {})
    if not isinstance(rows, list) or not isinstance(paging, dict):
        return None
    if not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        return None
    if not paging.get("next"):  # a cursor is given with the last piece too
        return Page(rows, None)
    cursors = paging.get("cursors")
    after = cursors.get("after") if isinstance(cursors, dict) else None
    # A next piece that cannot be asked for hides what is on it.
    return Page(rows, after) if isinstance(after, str) and after else None


def used_percent(headers: Mapping[str, str]) -> int | None:
    """Say how much is used of the calls that Meta allows; None if it does not tell."""
    shares = ("call_count", "total_cputime", "total_time")
    used = [row[share] for row in _usage(headers) for share in shares if _is_number(row, share)]
    return int(max(used)) if used else None


def regain(headers: Mapping[str, str]) -> timedelta | None:
    """Say how long Meta asks to wait; it gives minutes. None if it does not tell, or junk."""
    name = "estimated_time_to_regain_access"
    minutes = [row[name] for row in _usage(headers) if _is_number(row, name)]
    longest = max(minutes, default=0)
    return http.sensible(timedelta(minutes=longest)) if 0 < longest < 1e6 else None


def expires(body: Mapping[str, Any], now: datetime) -> datetime | None:
    """Say when a token ends that was granted now; None if it has no end, or none is told."""
    seconds = body.get("expires_in")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    return now + timedelta(seconds=seconds) if 0 < seconds < LIFE_MAX.total_seconds() else None


def moment(value: object) -> datetime | None:
    """Read a time as Graph writes it (2026-11-22T01:47:00+0000); None if it is none."""
    try:
        read = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def comparable(text: str) -> str:
    """Take out what may differ without a reader seeing it: invisible characters, white space."""
    plain = unicodedata.normalize("NFC", text)
    seen = "".join(one for one in plain if unicodedata.category(one) != "Cf")
    return " ".join(seen.split())


def is_id(value: object) -> bool:
    """Say whether a value names an object of Graph."""
    return isinstance(value, str) and re.fullmatch(r"[0-9]{1,40}(_[0-9]{1,40})?", value) is not None


def _usage(headers: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Give the rows of both usage headers: one of the app, and some by business and use case."""
    yield from _rows([_loaded(headers.get("X-App-Usage", ""))])
    business = _loaded(headers.get("X-Business-Use-Case-Usage", ""))
    for rows in business.values() if isinstance(business, dict) else ():
        yield from _rows(rows if isinstance(rows, list) else [])


def _rows(values: list[Any]) -> Iterator[dict[str, Any]]:
    yield from (value for value in values if isinstance(value, dict))


def _loaded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_number(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value < 1e9


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
