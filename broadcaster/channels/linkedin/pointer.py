"""Marking an older post on LinkedIn as overtaken: a pointer before its text, or a comment below.

Both are safe to repeat: what is there already is found first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from broadcaster.channels import http
from broadcaster.channels.linkedin import little
from broadcaster.channels.linkedin.api import Api, encoded
from broadcaster.channels.linkedin.post import (
    commentary_of,
    comments_on,
    one_post,
    permalink,
    points,
)
from broadcaster.delivery import Receipt, Rejected


async def point(api: Api, us: str, urn: str, pointer: str, *, doubtful: bool) -> Receipt:
    """Put the pointer before the text of a post; where that is refused, below it.

    `doubtful`: an earlier attempt may have commented. Raises the four failures.
    """
    text, receipt = await _old(api, urn), Receipt(urn, permalink(urn))
    if points(little.read(text), pointer):
        return receipt
    # It is little text already; escaped once more only if LinkedIn should ever give it back bare.
    kept = text if little.is_intact(text) else little.escape(text)
    patch = {"patch": {"$set": {"commentary": f"{little.escape(pointer)}\n\n{kept}"}}}
    edited = await api.post(f"posts/{encoded(urn)}", patch, method="PARTIAL_UPDATE")
    if edited.status in {200, 204}:
        return receipt
    failure = api.refused(edited)
    if not isinstance(failure, Rejected) and edited.status != 403:
        raise failure
    # Too long with the pointer, or not ours to edit. On a first attempt no comment of ours can be
    # there, and there may be more than can be read.
    there = await _our_comment(api, us, urn, pointer) if doubtful else None
    return there or await _comment(api, us, urn, pointer)


async def pointed(api: Api, us: str, urn: str, pointer: str) -> Receipt | None:
    """Say whether a post, or a comment of ours on it, has the pointer. Raises the same failures."""
    if points(little.read(await _old(api, urn)), pointer):
        return Receipt(urn, permalink(urn))
    return await _our_comment(api, us, urn, pointer)


async def is_commented(api: Api, us: str, receipt: Receipt, pointer: str) -> bool:
    """Say whether the comment that a receipt names is still there."""
    on = str(receipt.details.get("on", ""))
    return await _our_comment(api, us, on, pointer) is not None


async def _old(api: Api, urn: str) -> str:
    post = await one_post(api, urn)
    if post is None:
        raise Rejected("the post to correct is not there any more")
    return commentary_of(post)


async def _our_comment(api: Api, us: str, urn: str, pointer: str) -> Receipt | None:
    async for comment in comments_on(api, urn):
        if comment.get("actor") == us and _says(comment, pointer):
            return _commented(str(comment["id"]), urn)
    return None


async def _comment(api: Api, us: str, urn: str, pointer: str) -> Receipt:
    body = {"actor": us, "object": urn, "message": {"text": pointer}}
    answer = await api.post(f"socialActions/{encoded(urn)}/comments", body)
    identity = answer.headers.get("x-restli-id") or http.as_object(answer).get("id")
    if answer.status in {200, 201} and identity:
        return _commented(str(identity)[:200], urn)
    raise api.refused(answer)


def _says(comment: Mapping[str, Any], pointer: str) -> bool:
    message = comment.get("message")
    text = message.get("text") if isinstance(message, dict) else None
    return isinstance(text, str) and points(text, pointer)


def _commented(comment: str, urn: str) -> Receipt:
    note = "LinkedIn refused to edit the post: marked as overtaken in a comment instead"
    return Receipt(comment, permalink(urn), {"on": urn}, note)
