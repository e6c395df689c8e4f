"""Bad input gets a clear refusal, is made harmless, or is cut off: never a 5xx, never a hang."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from broadcaster.auth import PREFIX, checksum
from broadcaster.record import Key, Role
from tests.web.bad_input import Case, Cut, Harmless, Refused, post, table
from tests.web.door import SENDER, Door, alert, later, opened

CASES = table()
CUT_SECONDS = 3.0  # the door's limits are a tenth of the real ones
ANSWER_SECONDS = 2.5
FOREIGN_SENDER = "andere@example.org"


class Scene:
    """A door with an accepted alert, an ended one, a foreign one, and keys good and bad."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.words: dict[bytes, bytes] = {}

    async def prepare(self) -> None:
        """Accept what the cases refer to."""
        existing = await self.door.accept()
        ended = await self.door.accept()
        await self.door.ask("POST", f"/v1/alerts/{ended['id']}/cancel")
        foreign = await self.door.accept(sender=FOREIGN_SENDER)
        body = alert()
        used = {"Idempotency-Key": "used-before"}
        assert (await self.door.ask("POST", "/v1/alerts", body=body, headers=used))[0] == 202
        self.words = {
            b"{existing}": existing["id"].encode(),
            b"{ended}": ended["id"].encode(),
            b"{foreign}": foreign["id"].encode(),
            b"{identifier}": existing["identifier"].encode(),
            b"{repeated}": post(body),
            b"{unknown}": _bearer("0123456789", "a" * 43),
            b"{altered}": _altered(self.door.keys["office"]),
            b"{revoked}": self.door.bearer("revoked").encode(),
            b"{bearer}": self._header("office"),
        }
        self.words |= {
            b"{%s}" % name.encode(): self._header(name)
            for name in ("reader", "other", "minor", "nowhere")
        }

    def _header(self, name: str) -> bytes:
        return b"Authorization: " + self.door.bearer(name).encode() + b"\r\n"

    def filled(self, sent: bytes) -> bytes:
        """Put the real ids and keys in place, and set the length right again."""
        near = {b"{in %d minutes}" % n: later(minutes=n).encode() for n in (2, 4)}
        for word, value in (self.words | near).items():
            sent = sent.replace(word, value)
        head, gap, body = sent.partition(b"\r\n\r\n")
        if b"Connection: close\r\nContent-Length" in head:
            before = head.rpartition(b"Content-Length: ")[0]
            head = before + b"Content-Length: %d" % len(body)
        return head + gap + body


def _bearer(public: str, secret: str) -> bytes:
    body = f"{PREFIX}_{public}_{secret}"
    return f"Bearer {body}_{checksum(body)}".encode()


def _altered(key: str) -> bytes:
    _, public, secret, _ = key.split("_")
    other = "b" if secret[0] == "a" else "a"
    return _bearer(public, other + secret[1:])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """Give one door for the whole table."""
    directory: Path = tmp_path_factory.mktemp("door")
    wish = Key("", "revoked", Role.TRIGGER, "", senders=("*",))
    async with opened(directory, more_keys=(wish,)) as door:
        await door.store.revoke_key("revoked", "test")
        await door.keyring.reload()
        made = Scene(door)
        await made.prepare()
        yield made


def answered(raw: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Give status, headers and body of the last answer."""
    raw = raw.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in lines)
    return int(first.split(b" ")[1]), headers, body


async def check_refused(case: Refused, scene: Scene) -> None:
    """A 4xx problem document with the code of the table; nothing is stored."""
    before = scene.door.store.accepted_count
    raw = await scene.door.raw(scene.filled(case.sent), seconds=ANSWER_SECONDS)
    status, headers, body = answered(raw)
    problem = json.loads(body)
    assert (status, problem["code"]) == (case.status, case.code), problem
    assert headers[b"content-type"] == b"application/problem+json"
    assert problem["detail"]
    assert problem["status"] == status
    codes = [fault["code"] for fault in problem["errors"]]
    assert case.fault is None or case.fault in codes, problem
    assert scene.door.store.accepted_count == before


async def check_harmless(case: Harmless, scene: Scene) -> None:
    """Preview shows the text as people will read it, and the same text would be accepted."""
    status, shown, _ = await scene.door.ask("POST", "/v1/preview", body=case.body)
    assert status == 200, shown
    text = shown["deliveries"][0]["message"]["text"]
    assert case.shown in text
    assert case.hidden not in text


async def check_cut(case: Cut, scene: Scene) -> None:
    """The connection ends, whatever the other side does, and the door still answers others."""
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.door.port)
    writer.write(scene.filled(case.sent))
    if case.leaves:
        writer.close()
    else:
        async with asyncio.timeout(CUT_SECONDS):
            await asyncio.gather(_drip(writer, case.drip), _end(reader))
        writer.close()
    status, _, _ = await scene.door.ask("GET", "/healthz", key=None)
    assert status == 200


async def _drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    for byte in data:
        if writer.is_closing():
            return
        writer.write(bytes([byte]))
        await asyncio.sleep(0.1)


async def _end(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(65_536):
            pass
    except ConnectionError:
        return


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{type(case).__name__}: {case.name}")
async def test_bad_input_never_does_harm(case: Case, scene: Scene) -> None:
    """Each case is refused as the table says, made harmless, or cut off in time."""
    checks: dict[type, Any] = {Refused: check_refused, Harmless: check_harmless, Cut: check_cut}
    await checks[type(case)](case, scene)


def test_the_table_is_large_enough() -> None:
    """There are at least 300 cases, all different, of all three kinds."""
    names = [case.name for case in CASES]
    assert len(CASES) >= 300
    assert len(names) == len(set(names))
    assert {type(case) for case in CASES} == {Refused, Harmless, Cut}
    assert SENDER != FOREIGN_SENDER
