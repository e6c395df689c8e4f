"""Answers that no honest network gives, for every type and everything it does.

A body of 100 MB, brackets without end, another shape, another type of content: each ends as one of
the four failures, or in a sentence of the probe, and takes no more memory than a good answer may.
"""

from __future__ import annotations

import importlib
import json
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from broadcaster import channels
from broadcaster.channels import Channel, Corrects, Looks, Prepares, card_path
from broadcaster.config import Timing
from broadcaster.delivery import (
    Act,
    Delivery,
    Failure,
    Media,
    Message,
    NeedsPerson,
    NotSent,
    Readiness,
    Receipt,
    Rejected,
    Unknown,
)
from tests.channels import test_contract as contract
from tests.channels.stub import FLOODS, Fault, Reply, Request, Stub, serving
from tests.channels.test_contract import NETWORKS, NEVER_NAMED, built, only_posts

# There a deletion is told by the status of its answer alone.
DELETED_BY_STATUS = {"mastodon", "bluesky", "linkedin"}
FOUR = {NotSent, Unknown, NeedsPerson, Rejected}
PICTURE = b"\x89PNG\r\n\x1a\n drawn"
CARD = Media("c", "Warnkarte", "image/png", 1200, 675, False, "d" * 64, "https://s.example/d.png")
POINTER = "Überholt: siehe Nr. 26-0142/2"
READ_MAX = 24_000_000  # bytes that leave the stub before a client closes: it reads less than 5 MB
MEMORY_MAX = 24_000_000  # bytes that Python holds at once, the stub's own among them

DEEP = b"[" * 200_000
DEEPER = b'{"data":' * 100_000
KEYS = (
    *("id", "data", "error", "errors", "paging", "meta", "uri", "cid", "url", "status", "items"),
    *("message", "text", "elements", "records", "feed", "posts", "account", "access_token"),
)


def shaped(value: Any) -> bytes:
    """Give an object that has every name a network may look for, with a value of another kind."""
    return json.dumps(dict.fromkeys(KEYS, value)).encode()


BODIES: dict[str, bytes] = {
    "null": b"null",
    "number": b"7",
    "text": b'"fine"',
    "list": b"[]",
    "lists": b'[[], {"id": []}, null, "x"]',
    "deep": DEEP,
    "deeper": DEEPER,
    "not-utf-8": b'{"id": "\xff\xfe\xfd"}',
    "half-a-character": b'{"id": "\\ud800", "uri": "\\ud800"}',
    "long-number": b'{"id": ' + b"9" * 6000 + b"}",
    "not-a-number": b'{"id": NaN, "status": Infinity}',
    "html": b"<!doctype html><title>Sorry</title>",
    "xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    "names-with-null": shaped(None),
    "names-with-true": shaped(value=True),
    "names-with-numbers": shaped(-1.5),
    "names-with-lists": shaped([None, [], {}]),
    "names-with-objects": shaped({"id": [], "code": {}, "summary": 7}),
    "names-with-empty-texts": shaped(""),
}
KINDS = {
    "json": "application/json",
    "html": "text/html; charset=utf-16",
    "nonsense": "application/json; charset=no-such-thing",
    "none": "\x01;;=",
}


@dataclass(frozen=True)
class Doing:
    """Something a channel does for a post that is out, or is to go out."""

    name: str
    does: Callable[[Channel, Delivery, Receipt], Awaitable[Any]]
    needs: str = "send"  # the method that a channel must have for it


def _correction(one: Delivery, receipt: Receipt) -> Delivery:
    return replace(one, message=Message(POINTER, "de", act=Act.CORRECT), reply_to=receipt)


def _correct(channel: Channel, one: Delivery, receipt: Receipt) -> Awaitable[Any]:
    assert isinstance(channel, Corrects)
    return channel.correct(_correction(one, receipt))


def _look(channel: Channel, one: Delivery, receipt: Receipt) -> Awaitable[Any]:
    assert isinstance(channel, Looks)
    return channel.look(replace(one, receipt=receipt))


def _prepare(channel: Channel, one: Delivery, _receipt: Receipt) -> Awaitable[Any]:
    assert isinstance(channel, Prepares)
    assert one.message is not None
    message = one.message if one.message.media else replace(one.message, media=(CARD,))
    return channel.prepare(replace(one, message=message, handle=None))


DOINGS = [
    Doing("send", lambda channel, one, _: channel.send(one)),
    Doing("find", lambda channel, one, _: channel.find(one)),
    Doing("retract", lambda channel, _, receipt: channel.retract(receipt)),
    Doing("look", _look, "look"),
    Doing("correct", _correct, "correct"),
    Doing(
        "find-correction",
        lambda channel, one, receipt: channel.find(_correction(one, receipt)),
        "correct",
    ),
    Doing("prepare", _prepare, "prepare"),
    Doing("probe", lambda channel, _, __: channel.probe()),
]


def kind_of(name: str) -> Any:
    """Give the class of a type's channels, as its module's `build` says."""
    module: Any = importlib.import_module(f"{channels.__name__}.{name}")
    kind = get_type_hints(module.build)["return"]
    return get_args(kind)[-1] if get_args(kind) else kind  # YouTube has a second one, for a person


EVERY = [
    pytest.param(name, doing, id=f"{name}-{doing.name}")
    for name in NETWORKS
    for doing in DOINGS
    if hasattr(kind_of(name), doing.needs)
]


@dataclass
class Met:
    """What a hostile answer came to, and how many bytes left the stub."""

    result: Any
    flooded: int
    peak: int


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading what is hostile takes a while, the more so as memory is traced: no limit is near."""
    monkeypatch.setattr(contract, "SHORT", Timing(attempt_seconds=5.0, connect_seconds=3.0))


async def meets(
    name: str, doing: Doing, answer: Callable[[Request], Reply | Fault], place: Path
) -> Met:
    """Post as it should be, then do something while every answer is hostile."""
    network = NETWORKS[name]
    drawn = card_path(place, str(CARD.digest), CARD.kind)
    drawn.parent.mkdir(exist_ok=True)
    drawn.write_bytes(PICTURE)
    async with serving() as stub:
        one = network.delivery(stub.url)
        stub.answer = only_posts(network, network.good(one))
        async with built(name, stub.url, place) as channel:
            receipt = await channel.send(one)
            stub.answer = answer
            return await _met(stub, doing.does(channel, one, receipt))


async def _met(stub: Stub, work: Awaitable[Any]) -> Met:
    tracemalloc.start()
    try:
        result: Any = await work
    except Failure as failure:
        result = failure
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return Met(result, stub.flooded, peak)


def is_no_success(name: str, doing: Doing, result: Any) -> bool:
    """Say whether what it came to claims nothing that a hostile answer cannot prove."""
    never_named = name in {"webhook", "apprise"}
    if doing.name == "retract" and name in DELETED_BY_STATUS:
        return type(result) in {*FOUR, type(None)}
    if doing.name == "prepare":  # a text may go without its picture, and says why
        left_out = isinstance(result, dict) and set(result) <= {"missing", "note"} and result
        return type(result) in FOUR or bool(left_out)
    if doing.name == "probe":
        said = isinstance(result, Readiness) and result.sentence.endswith(".")
        return said and (never_named or not result.ready) and bool(result.ready or result.remedy)
    if never_named and doing.name in {"send", "find"}:  # any status is all they ever get
        return type(result) in {*FOUR, Receipt, type(None)}
    return type(result) in FOUR


@pytest.mark.parametrize(("name", "doing"), EVERY)
@pytest.mark.parametrize("flood", sorted(FLOODS))
async def test_no_flood_fills_the_memory(
    name: str, doing: Doing, flood: Fault, tmp_path: Path
) -> None:
    """100 MB are cut off after a few, whatever was asked."""
    met = await meets(name, doing, lambda _: flood, tmp_path)
    assert is_no_success(name, doing, met.result), met.result
    assert met.flooded < READ_MAX
    assert met.peak < MEMORY_MAX


@pytest.mark.parametrize(("name", "doing"), EVERY)
async def test_no_shape_of_an_answer_is_a_crash_or_a_success(
    name: str, doing: Doing, tmp_path: Path
) -> None:
    """A network may change its answers over night: that ends in a failure, and never in a lie."""
    wrong = []
    for body_name, body in BODIES.items():
        for status in (200, 400):
            reply = Reply(status, body)
            met = await meets(name, doing, lambda _, reply=reply: reply, tmp_path)  # type: ignore[misc]
            if not is_no_success(name, doing, met.result):
                wrong.append((body_name, status, met.result))
    assert wrong == []


@pytest.mark.parametrize(("name", "doing"), EVERY)
async def test_no_type_of_content_is_a_crash_or_a_success(
    name: str, doing: Doing, tmp_path: Path
) -> None:
    """Nor one that it calls by another name, or compresses though nobody asked for that."""
    wrong = []
    odd = [{"Content-Type": kind} for kind in KINDS.values()]
    odd += [{"Content-Encoding": kind} for kind in ("gzip", "br", "nonsense")]
    for headers in odd:
        reply = Reply(200, b"\x1f\x8bnot what it says", headers)
        met = await meets(name, doing, lambda _, reply=reply: reply, tmp_path)  # type: ignore[misc]
        if not is_no_success(name, doing, met.result):
            wrong.append((headers, met.result))
    assert wrong == []


def test_a_success_would_be_noticed() -> None:
    """The check above can fail: a receipt, an absence and a ready channel are claims."""
    send, find, probe = DOINGS[0], DOINGS[1], DOINGS[-1]
    assert not is_no_success("x", send, Receipt("1"))
    assert not is_no_success("x", find, None)
    assert not is_no_success("x", probe, Readiness(True, "Fine."))
    assert not is_no_success("x", send, ValueError("a crash"))
    assert set(NEVER_NAMED) == {"no-id", "no-json", "empty"}
