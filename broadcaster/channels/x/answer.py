"""What X's answers mean: to a write, to a read, and to a look at a post.

Errors come in two shapes, problem+json and a list; X says "credits used up" and "duplicate" in
words of the body, so the body comes before the status.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from broadcaster.channels import http
from broadcaster.delivery import (
    Delivery,
    Failure,
    NeedsPerson,
    NotSent,
    Readiness,
    Rejected,
    Sight,
    Unknown,
)

_COUNTS = {
    "reply_count": "replies",
    "retweet_count": "shares",
    "repost_count": "shares",
    "like_count": "likes",
    "quote_count": "quotes",
    "bookmark_count": "bookmarks",
    "impression_count": "views",
}


def failure_for(answer: http.Answer, now: datetime) -> Failure:
    """Give what X's answer to a write means: the body first, then the status."""
    if 400 <= answer.status < 500 and not answer.whole:
        return Unknown(f"X answered {answer.status}, but the answer broke off")
    problem = Problem.of(answer)
    if 400 <= answer.status < 500:
        if problem.says("duplicate content", "is a duplicate") or 187 in problem.codes:
            return Rejected("X says that it has this text already", duplicate=True)
        if person := person_for(answer.status, problem):
            return NeedsPerson(". ".join(person).rstrip("."))
    if answer.status == 429:
        wait = _until_reset(answer.headers, now) or http.retry_after(answer.headers, now)
        return NotSent("X answered 429: too many requests", wait, rate_limited=True)
    return http.failure_for(answer, "X", now)


def unread_for(answer: http.Answer, now: datetime) -> Failure:
    """Give what a failed read means: nothing about the post, and mostly a hiccup."""
    failure = failure_for(answer, now)
    if isinstance(failure, (NeedsPerson, NotSent)):
        return failure
    return NotSent(f"X could not be read: it answered {answer.status}")


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error body says, in either of X's two shapes, in lower case."""

    words: str
    codes: frozenset[int]

    @classmethod
    def of(cls, answer: http.Answer) -> Problem:
        top = http.as_object(answer)
        errors = top.get("errors")
        said = [top, *(errors if isinstance(errors, list) else [])]
        parts = [part for part in said if isinstance(part, dict)]
        keys = ("type", "title", "detail", "message")
        words = " ".join(str(part.get(key, "")) for part in parts for key in keys)
        codes = (part.get("code") for part in parts)
        return cls(words.lower(), frozenset(code for code in codes if isinstance(code, int)))

    def says(self, *words: str) -> bool:
        return any(re.search(rf"\b{re.escape(word)}\b", self.words) for word in words)


def person_for(status: int, problem: Problem) -> tuple[str, str] | None:
    """Say what a person must act on, and how; None if nobody need."""
    if status == 402 or problem.says("creditsdepleted", "credits-depleted"):
        return "X: the credits are used up", "Buy credits in X's developer console."
    if problem.says("usage-capped", "usagecapexceeded"):
        return "X: the usage cap is reached", "Raise the spending cap in X's developer console."
    if problem.codes & {64, 326} or problem.says("suspended", "locked"):
        return "X: the account is locked or suspended", "Log in to X as this account and appeal."
    if status == 401:
        return "X does not accept the tokens", "Make new tokens in X's developer console."
    return None


def not_ready(answer: http.Answer, now: datetime) -> Readiness:
    """Say why nothing could be posted, and what to do."""
    person = person_for(answer.status, Problem.of(answer))
    if person:
        return Readiness(ready=False, sentence=f"{person[0]}.", remedy=person[1])
    sentence = f"{failure_for(answer, now).reason}."
    remedy = "Nothing, if it passes; else look at the app's permissions in X's developer console."
    return Readiness(ready=False, sentence=sentence, remedy=remedy)


def data_of(answer: http.Answer) -> dict[str, Any]:
    """Give the object under `data`; empty where there is none."""
    data = http.as_object(answer).get("data")
    return data if isinstance(data, dict) else {}


def is_page(page: Mapping[str, Any]) -> bool:
    """Say whether a 200 is a list of posts: without `meta` it proves no absence."""
    posts = page.get("data", [])
    if not isinstance(posts, list) or not isinstance(page.get("meta"), dict):
        return False
    return all(isinstance(post, dict) and "id" in post for post in posts)


def created(post: Mapping[str, Any]) -> datetime:
    """When X made the post, if it says so; else it has kept to `start_time`."""
    try:
        created = datetime.fromisoformat(str(post["created_at"]))
    except (KeyError, ValueError):
        return datetime.max.replace(tzinfo=UTC)
    return created if created.tzinfo else created.replace(tzinfo=UTC)


# A bare domain ends where letters are not Latin any more: X takes no more of it for a link.
_LINK = re.compile(
    r"(?:https?://(?:[\w-]+\.)+|(?:[a-z0-9_-]+\.)+)[a-z]{2,}(?::[0-9]+)?(?:/(?:\S*[\w/=&#-])?)?",
    re.IGNORECASE,
)


def comparable(text: str) -> str:
    """Take out what X may rewrite: links (to t.co), invisible characters, white space."""
    plain = _LINK.sub("", unicodedata.normalize("NFC", text))
    seen = "".join(one for one in plain if unicodedata.category(one) != "Cf")
    return " ".join(seen.split())


def number(headers: Mapping[str, str], name: str) -> int | None:
    """Read a header that holds a count; None where it does not."""
    value = headers.get(name, "")
    return int(value) if re.fullmatch(r"[0-9]{1,12}", value) else None


def _until_reset(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    reset = number(headers, "x-rate-limit-reset")
    return None if reset is None else http.until(reset, now)


def clock_off(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """Give how far our clock is from X's, None if X does not say; `Date` counts seconds."""
    try:
        theirs = parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return abs(now - theirs) if theirs.tzinfo else None


def sight_of(answer: http.Answer, delivery: Delivery, *, public: bool) -> Sight | None:
    """Say what looking at a post has shown; None where the answer says nothing of it."""
    if answer.status == 404:
        return Sight(there=False, reason="deleted", public=public)
    if answer.status != 200 or delivery.receipt is None:
        return None
    post = data_of(answer)
    if not post:
        reason = _absent(http.as_object(answer))
        return Sight(there=False, reason=reason, public=public) if reason else None
    if post.get("id") != delivery.receipt.remote_id or not isinstance(post.get("text"), str):
        return None
    text, reason = html.unescape(post["text"]), _withheld(post.get("withheld"))
    ours = delivery.message.text if delivery.message else text
    return Sight(
        there=reason is None,
        text=text,
        altered=comparable(text) != comparable(ours),
        reason=reason,
        counts=_counts(post.get("public_metrics")),
        public=public,
    )


def _absent(said: Mapping[str, Any]) -> str | None:
    """Read why a post is not in a 200: X tells it in `errors`."""
    errors = said.get("errors")
    kinds = (
        [str(one.get("type")) for one in errors if isinstance(one, dict)]
        if isinstance(errors, list)
        else []
    )
    if any(kind.endswith("resource-not-found") for kind in kinds):
        return "deleted"
    if any("not-authorized" in kind for kind in kinds):
        return "hidden by X"
    return None


def _withheld(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    codes = value.get("country_codes")
    where = [one for one in codes if isinstance(one, str)] if isinstance(codes, list) else []
    return f"withheld by X in {', '.join(where[:20]) or 'some countries'}"


def _counts(metrics: object) -> dict[str, int]:
    if not isinstance(metrics, dict):
        return {}
    found = {name: metrics.get(key) for key, name in _COUNTS.items() if key in metrics}
    return {name: value for name, value in found.items() if type(value) is int and value >= 0}
