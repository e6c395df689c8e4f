"""What Instagram's own error codes mean, and what a caption must not have too much of.

Meta's table of 2026-06 (copy): the subcode decides, for the codes above it are shared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from broadcaster.channels import http
from broadcaster.channels.meta import graph
from broadcaster.channels.meta.containers import Container
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Rejected, Unknown

TEXT_MAX, HASHTAGS_MAX, MENTIONS_MAX = 2_200, 30, 20
DAILY_LIMIT = 2207042

_NOT_READY = (9007, 2207027)
_REMAKE = frozenset({2207003, 2207008, 2207020, 2207032})  # of no use any more: another container
_SERVER_ERROR = 2207001
ACTS: Mapping[int, tuple[str, str]] = {
    DAILY_LIMIT: (
        "Instagram takes no more posts from us today: its limit is used up",
        "Wait, or post by hand.",
    ),
    2207050: (
        "Instagram has restricted the account",
        "Log in to Instagram as this account, and do what it asks for.",
    ),
    2207051: (
        "Instagram takes this for spam, and has blocked it",
        "Log in to Instagram as this account, and tell it that this was no spam.",
    ),
}
_WRONG: Mapping[int, str] = {
    2207004: "the picture is too large",
    2207005: "it does not take this type of picture",
    2207006: "it does not find the container, or may not use it",
    2207009: "it does not take a picture of this shape",
    2207010: "the caption is too long, or has too many hashtags or names",
    2207052: "it could not fetch the picture from our public address",
}


def failure_for(answer: http.Answer, now: datetime) -> Failure:
    """Give what an answer means: Instagram's own table by subcode, then Graph's."""
    subcode = graph.Problem.of(answer).subcode
    if not 400 <= answer.status < 500:
        return graph.failure_for(answer, "Instagram", now)
    if subcode in ACTS:
        return NeedsPerson(". ".join(ACTS[subcode]).rstrip("."))
    if subcode in _REMAKE:
        return NotSent(f"Instagram cannot use the container (code {subcode})", afresh=True)
    if subcode == _SERVER_ERROR:
        return Unknown("Instagram had a fault of its own: it may have taken it")
    if subcode in _WRONG:
        return Rejected(f"Instagram refuses the post: {_WRONG[subcode]}")
    return graph.failure_for(answer, "Instagram", now)


def is_not_ready(answer: http.Answer) -> bool:
    """Say whether Instagram refuses to publish a container only because it is not ready yet."""
    problem = graph.Problem.of(answer)
    return 400 <= answer.status < 500 and (problem.code, problem.subcode) == _NOT_READY


def broken(found: Container) -> Failure:
    """Give what a container in error means; the code of the table is in its words."""
    code = re.search(r"\b22070[0-9]{2}\b", found.said)
    subcode = int(code[0]) if code else 0
    if subcode in _REMAKE:
        return NotSent(f"Instagram could not take the picture (code {subcode})", afresh=True)
    why = _WRONG.get(subcode, f"code {subcode}" if subcode else "it does not say why")
    return Rejected(f"Instagram could not take the picture: {why}")


def fault_of(caption: str) -> str | None:
    """Say what a caption has too much of; its length is seen to where texts are made, too."""
    if len(caption) > TEXT_MAX:
        return f"the caption has {len(caption)} characters; Instagram takes {TEXT_MAX}"
    hashtags, names = (len(re.findall(rf"{sign}\w", caption)) for sign in "#@")
    if hashtags > HASHTAGS_MAX:
        return f"the caption has {hashtags} hashtags; Instagram takes {HASHTAGS_MAX}"
    if names > MENTIONS_MAX:
        return f"the caption names {names} accounts; Instagram takes {MENTIONS_MAX}"
    return None
