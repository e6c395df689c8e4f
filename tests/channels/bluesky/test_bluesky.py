"""Bluesky, against a real data server where one is installed, and against a stub for its faults."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from broadcaster.channels.bluesky import (
    DELETE,
    GET,
    POSTS,
    PUBLIC_API,
    PUT,
    UPLOAD,
    WHO,
    Bluesky,
    Settings,
    build,
)
from broadcaster.channels.bluesky.record import COLLECTION, record_key, record_of
from broadcaster.config import Timing
from broadcaster.delivery import (
    Delivery,
    Failure,
    Message,
    NeedsPerson,
    NotSent,
    Receipt,
    Rejected,
    Unknown,
    delivery_key,
)
from broadcaster.terminal.child import free_port
from tests.channels.stub import (
    CARD,
    NOW,
    TEXT,
    Fault,
    Reply,
    Request,
    Stub,
    carded,
    delivery,
    keep_secret,
    serving,
    setup_for,
)
from tests.peers.pds import DataServer

LOGIN = "com.atproto.server.createSession"
REFRESH = "com.atproto.server.refreshSession"
SHORT = Timing(attempt_seconds=1.2, connect_seconds=0.8)
PASSWORD = "abcd-efgh-ijkl-mnop"
HANDLE = "stadt.example.org"
DID = "did:plc:abcdefghijklmnopqrstuvwx"
FIRE = "🔥 Großbrand in #Hörde: Fenster zu! Mehr: https://www.dortmund.de/warnung. Nr. 26-0142/1"


def made(place: Path, url: str, timing: Timing = SHORT, **settings: Any) -> Bluesky:
    """Build a channel on the server at `url`."""
    settings = {"handle": HANDLE, "base_url": url, "password": PASSWORD} | settings
    file = keep_secret(place, "bluesky-app-password", settings.pop("password"))
    setup = setup_for(place, "bluesky", timing=timing)
    return build(setup, Settings(app_password_file=file, **settings))


# The real server


_numbers = itertools.count(1)


def another(**changes: Any) -> Delivery:
    """Give a delivery that no test before had: the server lives for the whole run."""
    number = next(_numbers)
    one = delivery(stamp=NOW + timedelta(seconds=number), key=delivery_key(f"a{number}", "b", "de"))
    message = Message(changes.pop("text", f"{TEXT} ({number})"), "de")
    return replace(one, message=message, **changes)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give one state directory to all tests, so that they share one log-in."""
    return tmp_path_factory.mktemp("bluesky")


def real(pds: DataServer, state: Path, url: str | None = None) -> Bluesky:
    """Build a channel on the real server, or on a proxy before it."""
    own = {"handle": pds.handle, "password": pds.password}
    return made(state, url or pds.url, Timing(attempt_seconds=10), **own)


@pytest.fixture
async def bluesky(pds: DataServer, state: Path) -> AsyncIterator[Bluesky]:
    """Give a channel on the real server."""
    one = real(pds, state)
    yield one
    await one.close()


def records(pds: DataServer, one: Delivery) -> list[dict[str, Any]]:
    """Give what the public sees under the delivery's key."""
    key = record_key(one.stamp, one.key)
    return [record for record in pds.records() if record["uri"].endswith(key)]


async def test_a_post_is_there_for_the_public(pds: DataServer, bluesky: Bluesky) -> None:
    """The record carries text, language and the time of acceptance, under the receipt's name."""
    one = another()
    receipt = await bluesky.send(one)
    (record,) = records(pds, one)
    assert one.message is not None
    assert record["value"]["text"] == one.message.text
    assert record["value"]["langs"] == ["de"]
    assert datetime.fromisoformat(record["value"]["createdAt"]) == one.stamp
    assert receipt.remote_id == record["uri"]
    assert receipt.details["cid"] == record["cid"]
    key = record_key(one.stamp, one.key)
    assert receipt.url == f"https://bsky.app/profile/{pds.handle}/post/{key}"


async def test_a_repeat_is_the_same_record(pds: DataServer, bluesky: Bluesky) -> None:
    """The same delivery again gives the same receipt, and there is one record."""
    one = another()
    first = await bluesky.send(one)
    assert await bluesky.send(one) == first
    assert await bluesky.find(one) == first
    assert len(records(pds, one)) == 1


async def test_two_repeats_at_once_are_one_record(pds: DataServer, bluesky: Bluesky) -> None:
    """Of two at the same moment both get the same receipt."""
    one = another()
    first, second = await asyncio.gather(bluesky.send(one), bluesky.send(one))
    assert first == second
    assert len(records(pds, one)) == 1


async def test_another_text_never_replaces_a_post(pds: DataServer, bluesky: Bluesky) -> None:
    """What is under a key stays as it is; other content is refused, and is not found."""
    one = another()
    await bluesky.send(one)
    other = replace(one, message=Message("Etwas anderes", "de"))
    with pytest.raises(Rejected):
        await bluesky.send(other)
    assert await bluesky.find(other) is None
    assert [record["value"]["text"] for record in records(pds, one)] == [
        one.message.text if one.message else ""
    ]


async def test_links_and_hashtags_lead_somewhere(pds: DataServer, bluesky: Bluesky) -> None:
    """Facets count bytes, so umlauts and emoji before them move nothing."""
    one = another(text=FIRE)
    await bluesky.send(one)
    (record,) = records(pds, one)
    data = FIRE.encode()
    marked = {
        data[facet["index"]["byteStart"] : facet["index"]["byteEnd"]].decode(): facet["features"][0]
        for facet in record["value"]["facets"]
    }
    assert marked["#Hörde"]["tag"] == "Hörde"
    assert marked["https://www.dortmund.de/warnung"]["uri"] == "https://www.dortmund.de/warnung"
    assert len(marked) == 2


async def test_an_all_clear_answers_in_the_thread(pds: DataServer, bluesky: Bluesky) -> None:
    """Each version answers the one before, and all name the first as the root."""
    first = await bluesky.send(another())
    second = await bluesky.send(another(reply_to=first))
    third = another(reply_to=second)
    await bluesky.send(third)
    reply = records(pds, third)[0]["value"]["reply"]
    assert reply["parent"] == {name: second.details[name] for name in ("uri", "cid")}
    assert reply["root"] == {name: first.details[name] for name in ("uri", "cid")}


async def test_a_reply_to_a_post_made_by_hand_stands_alone(
    pds: DataServer, bluesky: Bluesky
) -> None:
    """A person's own post has no content id here: the all-clear goes out as a post of its own."""
    one = another(reply_to=Receipt("by hand", "https://bsky.app/profile/x/post/y"))
    await bluesky.send(one)
    assert "reply" not in records(pds, one)[0]["value"]


async def test_a_text_that_is_too_long_is_refused_by_the_server(
    pds: DataServer, bluesky: Bluesky
) -> None:
    """300 graphemes fit, whatever they are made of; 301 are rejected, with the server's words."""
    family = "👨‍👩‍👧"
    await bluesky.send(another(text=family * 100 + "ß" * 200))
    one = another(text="ß" * 301)
    with pytest.raises(Rejected, match="grapheme"):
        await bluesky.send(one)
    assert records(pds, one) == []


async def test_a_retraction_may_be_repeated_on_the_server(
    pds: DataServer, bluesky: Bluesky
) -> None:
    """After it the record is gone, and a second time changes nothing."""
    one = another()
    receipt = await bluesky.send(one)
    await bluesky.retract(receipt)
    await bluesky.retract(receipt)
    assert records(pds, one) == []
    assert await bluesky.find(one) is None


def with_card(place: Path, **changes: Any) -> Delivery:
    """Give a delivery with a card that no test before had."""
    one = another(**changes)
    assert one.message
    return replace(carded(place, text=one.message.text), stamp=one.stamp, key=one.key)


async def test_a_card_goes_with_the_post(pds: DataServer, bluesky: Bluesky, state: Path) -> None:
    """Uploaded, named by the record with its description and size, and given out again whole."""
    one = with_card(state)
    handle = await bluesky.prepare(one)
    receipt = await bluesky.send(replace(one, handle=handle))
    assert receipt.note is None
    (record,) = records(pds, one)
    (image,) = record["value"]["embed"]["images"]
    assert one.message
    assert image["alt"] == one.message.media[0].alt
    assert image["aspectRatio"] == {"width": 1200, "height": 675}
    assert image["image"] == handle["blob"]
    assert image["image"]["size"] == len(CARD)
    link = image["image"]["ref"]["$link"]
    got = await asyncio.to_thread(pds.blob, link)
    assert got == CARD


async def test_a_repeat_with_a_card_is_the_same_record(
    pds: DataServer, bluesky: Bluesky, state: Path
) -> None:
    """With the stored handle; and uploaded again, the same picture has the same name."""
    one = with_card(state)
    handle = await bluesky.prepare(one)
    assert "blob" in handle
    first = await bluesky.send(replace(one, handle=handle))
    assert first.note is None
    assert await bluesky.send(replace(one, handle=handle)) == first
    assert await bluesky.prepare(one) == handle
    assert await bluesky.find(replace(one, handle=handle)) == first
    assert len(records(pds, one)) == 1


async def test_a_card_the_server_does_not_know_is_uploaded_afresh(
    pds: DataServer, bluesky: Bluesky, state: Path
) -> None:
    """A blob that was never uploaded, or given up meanwhile, cannot be named by a record."""
    one = with_card(state)
    blob = {
        "$type": "blob",
        "ref": {"$link": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"},
        "mimeType": "image/png",
        "size": 7,
    }
    with pytest.raises(NotSent) as failure:
        await bluesky.send(replace(one, handle={"blob": blob}))
    assert failure.value.afresh
    assert records(pds, one) == []


async def test_a_post_in_simple_language_is_taken(pds: DataServer, bluesky: Bluesky) -> None:
    """`de-simple` is a language tag as BCP 47 writes them."""
    one = another()
    assert one.message
    simple = replace(one, message=replace(one.message, language="de-simple"))
    await bluesky.send(simple)
    assert records(pds, simple)[0]["value"]["langs"] == ["de-simple"]


async def test_a_post_is_looked_up_without_a_log_in(bluesky: Bluesky, state: Path) -> None:
    """There, altered by hand, and deleted: as everybody can read it on the server."""
    one = with_card(state)
    receipt = await bluesky.send(replace(one, handle=await bluesky.prepare(one)))
    sent = replace(one, receipt=receipt)
    sight = await bluesky.look(sent)
    assert one.message
    assert (sight.there, sight.altered, sight.public) == (True, False, True)
    assert sight.text == one.message.text
    other = replace(sent, message=Message("Etwas anderes", "de"))
    assert (await bluesky.look(other)).altered
    await bluesky.retract(receipt)
    sight = await bluesky.look(sent)
    assert (sight.there, sight.reason) == (False, "deleted")


async def test_the_server_is_kept_warm(pds: DataServer, tmp_path: Path) -> None:
    """Its health page needs no log-in, and never disturbs the session."""
    channel = real(pds, tmp_path)
    await channel.warm()
    assert (await channel.probe()).ready
    await channel.warm()
    await channel.close()


async def test_the_probe_knows_the_account(pds: DataServer, bluesky: Bluesky) -> None:
    """It names the account as the server does."""
    readiness = await bluesky.probe()
    assert readiness.ready
    assert readiness.account == f"@{pds.handle} ({pds.did})"
    named = {"id": pds.did, "handle": f"@{pds.handle}", "server": "127.0.0.1"}
    assert readiness.identity == named


async def test_a_wrong_password_needs_a_person(pds: DataServer, tmp_path: Path) -> None:
    """Nothing was posted, the probe says what to do, and nobody reads the password."""
    channel = made(tmp_path, pds.url, handle=pds.handle, password="wrong-password")
    with pytest.raises(NeedsPerson) as failure:
        await channel.send(another())
    readiness = await channel.probe()
    assert not readiness.ready
    assert readiness.remedy
    assert "wrong-password" not in f"{failure.value} {readiness}"
    await channel.close()


class Proxy:
    """Stands before a server; while `drop` is set, it swallows every answer to a putRecord."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.drop = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        with suppress(ConnectionError):
            while request := await reader.read(65_536):
                server_writer.write(request)
                answer = await server_reader.read(65_536)
                if self.drop and PUT.encode() in request:
                    break
                writer.write(answer)
        server_writer.close()
        writer.close()


@asynccontextmanager
async def proxied(port: int) -> AsyncIterator[Proxy]:
    """Run a proxy before the server on `port`."""
    proxy = Proxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield proxy
    server.close()
    await asyncio.sleep(0.05)


async def test_a_lost_answer_leaves_one_record(pds: DataServer, tmp_path: Path) -> None:
    """The server took it, we were not told: unknown, then found, and a repeat adds nothing."""
    async with proxied(pds.port) as proxy:
        channel = real(pds, tmp_path, proxy.url)
        assert (await channel.probe()).ready
        one = another()
        proxy.drop = True
        with pytest.raises(Unknown):
            await channel.send(one)
        with pytest.raises(Unknown):  # again lost: still one record
            await channel.send(one)
        found = await channel.find(one)
        proxy.drop = False
        assert found == await channel.send(one)
        assert len(records(pds, one)) == 1
        await channel.close()


async def test_a_server_that_is_down_is_not_sent_to(pds: DataServer, bluesky: Bluesky) -> None:
    """Nobody listens: not sent; when it is back the same delivery goes out, in the same session."""
    assert (await bluesky.probe()).ready
    one = another()
    pds.kill()
    try:
        with pytest.raises(NotSent):
            await bluesky.send(one)
    finally:
        pds.restart()
    await bluesky.send(one)
    assert len(records(pds, one)) == 1


# The stub


def token(name: str, expires: datetime) -> str:
    """Make something of the shape of a token."""
    parts = ({"alg": "none"}, {"exp": int(expires.timestamp()), "jti": name})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts]
    return b".".join([*encoded, b"c2ln"]).decode()


class Server:
    """Answers as a data server does; `says` holds what a method answers instead."""

    def __init__(self) -> None:
        self.says: dict[str, Reply | Fault] = {}
        self.records: dict[str, dict[str, Any]] = {}
        self.life = timedelta(hours=2)
        self.revoked: set[str] = set()
        self._numbers = itertools.count(1)

    def __call__(self, request: Request) -> Reply | Fault:
        method = method_of(request)
        if method in self.says:
            return self.says[method]
        if method == "_health":
            return Reply(body={"version": "0.4.217"})
        if method in {LOGIN, REFRESH}:
            return Reply(body=self.session())
        if request.headers["authorization"].removeprefix("Bearer ") in self.revoked:
            return Reply(400, {"error": "ExpiredToken", "message": "Token has been revoked"})
        if method == PUT:
            return self.put(json.loads(request.body))
        if method == WHO:
            return Reply(body={"handle": HANDLE, "did": DID, "active": True})
        return Reply(400, {"error": "RecordNotFound"}) if method == GET else Reply(body={})

    def session(self) -> dict[str, Any]:
        number = next(self._numbers)
        expires = datetime.now(UTC) + self.life
        tokens = {
            f"{kind}Jwt": token(f"{kind}-{number}", expires) for kind in ("access", "refresh")
        }
        return {"handle": HANDLE, "did": DID, **tokens}

    def put(self, body: dict[str, Any]) -> Reply:
        return Reply(body={"uri": f"at://{DID}/{body['collection']}/{body['rkey']}", "cid": "bafy"})


def method_of(request: Request) -> str:
    """Give the XRPC method that was called."""
    return request.path.partition("?")[0].rpartition("/")[2]


def called(stub: Stub) -> list[str]:
    """Give the last words of the methods that were called."""
    return [method_of(request).rpartition(".")[2] for request in stub.requests]


@pytest.fixture
def server() -> Server:
    """Give what the stub answers."""
    return Server()


@pytest.fixture
async def stub(server: Server) -> AsyncIterator[Stub]:
    """Run a stub of a data server."""
    async with serving() as one:
        one.answer = server
        yield one


@pytest.fixture
async def channel(stub: Stub, tmp_path: Path) -> AsyncIterator[Bluesky]:
    """Give a channel on the stub."""
    one = made(tmp_path, stub.url, Timing())
    yield one
    await one.close()


@pytest.fixture
async def hasty(stub: Stub, tmp_path: Path) -> AsyncIterator[Bluesky]:
    """Give a channel on the stub, with short limits."""
    one = made(tmp_path, stub.url)
    yield one
    await one.close()


async def test_a_log_in_asks_for_nothing_else(channel: Bluesky, stub: Stub) -> None:
    """The first post needs two requests: the profile is not asked for."""
    await channel.send(delivery())
    assert called(stub) == ["createSession", "putRecord"]


async def test_every_repeat_is_the_same_bytes(channel: Bluesky, stub: Stub) -> None:
    """Create-only, and to the byte the same, or a repeat would be another record."""
    for _ in range(2):
        await channel.send(delivery(text=FIRE))
    first, second = stub.posts[1:]
    assert first.body == second.body
    assert b'"swapRecord": null' in first.body
    assert FIRE.encode() in first.body


ERRORS: list[tuple[str, Reply, type[Failure]]] = [
    ("invalid", Reply(400, {"error": "InvalidRequest", "message": "no"}), Rejected),
    ("not-found", Reply(404, b"nothing here"), Rejected),
    ("conflict", Reply(409, {"error": "x"}), Rejected),
    ("too-large", Reply(413, b"<html>"), Rejected),
    ("odd-error", Reply(400, b"[]"), Rejected),
    ("words", Reply(400, b'"no"'), Rejected),
    ("token", Reply(401, {"error": "AuthMissing"}), NeedsPerson),
    ("expired", Reply(400, {"error": "ExpiredToken"}), NeedsPerson),
    ("forbidden", Reply(403, {"error": "Forbidden"}), NeedsPerson),
    ("taken-down", Reply(400, {"error": "AccountTakedown"}), NeedsPerson),
    ("deactivated", Reply(400, {"error": "RepoDeactivated"}), NeedsPerson),
    ("paid", Reply(402, b""), NeedsPerson),
    ("request-timeout", Reply(408, b""), Unknown),
    ("error-500", Reply(500, {"error": "InternalServerError"}), Unknown),
    ("error-502", Reply(502, b"<html>"), Unknown),
    ("error-503", Reply(503, b""), Unknown),
    ("error-524", Reply(524, b""), Unknown),
    ("redirect", Reply(302, b"", {"Location": "/elsewhere"}), Unknown),
    ("redirect-307", Reply(307, b"", {"Location": "/elsewhere"}), Unknown),
    ("html", Reply(200, b"<html>", {"Content-Type": "text/html"}), Unknown),
    ("broken-json", Reply(200, b'{"uri": '), Unknown),
    ("no-id", Reply(200, {}), Unknown),
    ("another-record", Reply(200, {"uri": "at://x/app.bsky.feed.post/1", "cid": "b"}), Unknown),
    ("no-cid", Reply(200, {"uri": f"at://x/app.bsky.feed.post/{record_key(NOW, '0')}"}), Unknown),
    ("too-long", Reply(200, b" " * 100_000), Unknown),
    ("bad-gzip", Reply(200, b"junk", {"Content-Encoding": "gzip"}), Unknown),
]


@pytest.mark.parametrize(
    ("reply", "outcome"), [row[1:] for row in ERRORS], ids=[row[0] for row in ERRORS]
)
async def test_an_answer_means_what_the_contract_says(
    channel: Bluesky, server: Server, stub: Stub, reply: Reply, outcome: type[Failure]
) -> None:
    """Each answer has one outcome; only a refused session is renewed and asked again, once."""
    server.says[PUT] = reply
    with pytest.raises(outcome) as failure:
        await channel.send(delivery())
    assert type(failure.value) is outcome
    refused = outcome is NeedsPerson and reply.status in {400, 401} and b"Tak" not in reply.raw()
    again = refused and b"Repo" not in reply.raw()
    assert called(stub).count("putRecord") == (2 if again else 1)
    assert PASSWORD not in str(failure.value)


@pytest.mark.parametrize("fault", [*Fault])
async def test_a_lost_answer_is_unknown_and_ends_in_time(
    hasty: Bluesky, server: Server, stub: Stub, fault: Fault
) -> None:
    """Closed, reset, hanging, dripping or garbled: one request, and an end within the limit."""
    server.says[PUT] = fault
    begun = asyncio.get_running_loop().time()
    with pytest.raises(Unknown):
        await hasty.send(delivery())
    assert asyncio.get_running_loop().time() - begun < SHORT.attempt_seconds + 2
    assert called(stub).count("putRecord") == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30),
        ({"ratelimit-reset": str(int(NOW.timestamp()) + 60)}, 60),
        ({"ratelimit-reset": "0"}, None),
        ({"ratelimit-reset": "soon", "Retry-After": "-5"}, None),
        ({"ratelimit-reset": "99999999999"}, None),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 -1200"}, None),
        ({}, None),
    ],
)
async def test_too_many_writes_pause_the_channel_for_as_long_as_asked(
    channel: Bluesky, server: Server, headers: dict[str, str], seconds: float | None
) -> None:
    """A 429 was not accepted; junk in its headers counts as missing."""
    server.says[PUT] = Reply(429, {"error": "RateLimitExceeded"}, headers)
    with pytest.raises(NotSent) as failure:
        await channel.send(delivery())
    assert failure.value.rate_limited
    wait = failure.value.retry_after
    assert (wait.total_seconds() if wait else None) == seconds


LOGINS: list[tuple[str, Reply | Fault, type[Failure]]] = [
    ("password", Reply(401, {"error": "AuthenticationRequired"}), NeedsPerson),
    ("second-factor", Reply(401, {"error": "AuthFactorTokenRequired"}), NeedsPerson),
    ("taken-down", Reply(400, {"error": "AccountTakedown"}), NeedsPerson),
    ("limit", Reply(429, {"error": "RateLimitExceeded"}, {"Retry-After": "9"}), NotSent),
    ("error-500", Reply(500, {}), NotSent),
    ("redirect", Reply(302, b"", {"Location": "/elsewhere"}), NotSent),
    ("html", Reply(200, b"<html>"), NotSent),
    ("no-tokens", Reply(200, {"handle": HANDLE, "did": DID}), NotSent),
    (
        "odd-tokens",
        Reply(200, {"handle": HANDLE, "did": DID, "accessJwt": "x", "refreshJwt": "y"}),
        NotSent,
    ),
    *((str(fault), fault, NotSent) for fault in Fault),
]


@pytest.mark.parametrize(
    ("answer", "outcome"), [row[1:] for row in LOGINS], ids=[row[0] for row in LOGINS]
)
async def test_without_a_log_in_nothing_was_sent(
    hasty: Bluesky, server: Server, stub: Stub, answer: Reply | Fault, outcome: type[Failure]
) -> None:
    """Whatever goes wrong before the post proves that there is none."""
    server.says[LOGIN] = answer
    with pytest.raises(outcome) as failure:
        await hasty.send(delivery())
    assert type(failure.value) is outcome
    assert "putRecord" not in called(stub)
    readiness = await hasty.probe()
    assert not readiness.ready
    assert readiness.remedy


async def test_what_was_never_connected_was_not_sent(tmp_path: Path) -> None:
    """Refused, unknown name, failed TLS: with or without a session nothing was written."""
    async with serving() as plain:
        plain.answer = Server()
        live = made(tmp_path, plain.url)
        await live.probe()
        await live.close()
        for url in (
            f"http://127.0.0.1:{free_port()}",
            "https://no-such-host.invalid",
            plain.url.replace("http:", "https:"),
        ):
            kept = json.loads((tmp_path / "city-bluesky.session").read_text())
            kept["owner"] = f"{HANDLE} {url}"
            (tmp_path / "city-bluesky.session").write_text(json.dumps(kept))
            channel = made(tmp_path, url)
            with pytest.raises(NotSent):
                await channel.send(delivery())
            await channel.close()


async def test_a_session_outlives_the_process(stub: Stub, tmp_path: Path) -> None:
    """It is kept in a file of the owner's own, and taken up again without a log-in."""
    for _ in range(2):
        channel = made(tmp_path, stub.url)
        await channel.send(delivery())
        await channel.close()
    assert called(stub) == ["createSession", "putRecord", "putRecord"]
    file = tmp_path / "city-bluesky.session"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PASSWORD not in file.read_text()


@pytest.mark.parametrize("kept", ["", "{}", '{"owner": "x", "session": "a:::b"}', "[1]", "\x00"])
async def test_a_session_file_that_is_broken_costs_one_log_in(
    stub: Stub, tmp_path: Path, kept: str
) -> None:
    """Nothing that lies there can keep an alert from going out."""
    (tmp_path / "city-bluesky.session").write_text(kept)
    channel = made(tmp_path, stub.url)
    await channel.send(delivery())
    assert called(stub) == ["createSession", "putRecord"]
    await channel.close()


async def test_another_accounts_session_is_not_taken(stub: Stub, tmp_path: Path) -> None:
    """When handle or server was changed in the configuration, the old session does not count."""
    for handle in (HANDLE, "andere.example.org"):
        channel = made(tmp_path, stub.url, handle=handle)
        await channel.send(delivery())
        await channel.close()
    assert called(stub).count("createSession") == 2


async def test_a_session_that_cannot_be_kept_does_not_keep_an_alert(
    stub: Stub, tmp_path: Path
) -> None:
    """A disk that refuses the file costs a log-in after the next start, not the post."""
    (tmp_path / "city-bluesky.session").mkdir()
    (tmp_path / ".city-bluesky.session.new").mkdir()
    channel = made(tmp_path, stub.url)
    await channel.send(delivery())
    assert called(stub) == ["createSession", "putRecord"]
    await channel.close()


async def test_the_probe_refreshes_a_session_in_time(
    channel: Bluesky, server: Server, stub: Stub, tmp_path: Path
) -> None:
    """Near its end the probe renews it, and what is kept is the new one; the alert just posts."""
    server.life = timedelta(minutes=10)
    await channel.probe()
    before = (tmp_path / "city-bluesky.session").read_text()
    server.life = timedelta(hours=2)
    stub.requests.clear()
    await channel.probe()
    await channel.send(delivery())
    assert called(stub) == ["refreshSession", "getSession", "putRecord"]
    assert (tmp_path / "city-bluesky.session").read_text() != before


async def test_a_revoked_session_is_renewed_once_for_all(
    channel: Bluesky, server: Server, stub: Stub
) -> None:
    """Several posts at once find it revoked: one log-in, and each post goes out once."""
    await channel.probe()
    server.revoked.add(stub.requests[-1].headers["authorization"].removeprefix("Bearer "))
    stub.requests.clear()
    await asyncio.gather(*(channel.send(another()) for _ in range(4)))
    assert called(stub).count("createSession") == 1
    taken = [r for r in stub.requests if method_of(r) == PUT]
    assert len(taken) == 8  # each refused once, and taken once


async def test_a_refresh_that_is_refused_leads_to_a_log_in(
    channel: Bluesky, server: Server, stub: Stub
) -> None:
    """A used refresh token is void; the app password still works."""
    server.life = timedelta(minutes=10)
    server.says[REFRESH] = Reply(400, {"error": "ExpiredToken", "message": "revoked"})
    await channel.probe()
    server.life = timedelta(hours=2)
    stub.requests.clear()
    await channel.send(delivery())
    assert called(stub)[-2:] == ["createSession", "putRecord"]


async def test_a_refresh_that_fails_has_sent_nothing(
    channel: Bluesky, server: Server, stub: Stub
) -> None:
    """The library refreshes on the way to a post: that its answer is lost says nothing of ours."""
    server.life = timedelta(minutes=10)
    await channel.find(delivery())
    for answer in (Reply(503, b""), Fault.CLOSE):
        server.says[REFRESH] = answer
        with pytest.raises(NotSent):
            await channel.send(delivery())
    assert "putRecord" not in called(stub)


async def test_log_ins_stay_below_the_servers_limit(
    channel: Bluesky, server: Server, stub: Stub
) -> None:
    """A token that is refused for ever must not lock the account out of logging in."""
    server.says[PUT] = Reply(400, {"error": "ExpiredToken"})
    for _ in range(15):
        with suppress(NeedsPerson, NotSent):
            await channel.send(delivery())
    assert called(stub).count("createSession") == 10
    with pytest.raises(NotSent) as failure:
        await channel.send(delivery())
    assert failure.value.rate_limited
    assert failure.value.retry_after == timedelta(seconds=300)


async def test_a_token_is_never_taken_elsewhere(
    channel: Bluesky, server: Server, stub: Stub
) -> None:
    """With `base_url` no address that the server names is asked."""
    service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer"}
    document = {
        "@context": ["https://www.w3.org/ns/did/v1"],
        "id": DID,
        "alsoKnownAs": [f"at://{HANDLE}"],
        "verificationMethod": [],
        "service": [service | {"serviceEndpoint": "https://elsewhere.invalid"}],
    }
    server.says[LOGIN] = Reply(body={**server.session(), "didDoc": document})
    await channel.send(delivery())
    assert called(stub) == ["createSession", "putRecord"]


SWAP = Reply(400, {"error": "InvalidSwap", "message": "Record was at bafy"})


async def test_a_record_that_cannot_be_compared_is_unknown(
    channel: Bluesky, server: Server, stub: Stub
) -> None:
    """The server says that one is there, and then not which: undecided."""
    server.says |= {PUT: SWAP, GET: Reply(500, b"")}
    with pytest.raises(Unknown):
        await channel.send(delivery())
    assert called(stub).count("putRecord") == 1


@pytest.mark.parametrize(
    "answer",
    [Reply(500), Reply(404, {}), Reply(200, {}), Reply(200, b"<html>"), Fault.CLOSE, Fault.HANG],
    ids=str,
)
async def test_a_failed_read_is_not_taken_for_absence(
    hasty: Bluesky, server: Server, answer: Reply | Fault
) -> None:
    """Only RecordNotFound proves that there is no record."""
    server.says[GET] = answer
    with pytest.raises(NotSent):
        await hasty.find(delivery())


async def test_a_shut_account_is_not_ready(channel: Bluesky, server: Server) -> None:
    """An account that was taken down can still log in; the probe tells."""
    server.says[WHO] = Reply(
        body={"handle": HANDLE, "did": DID, "active": False, "status": "takendown"}
    )
    readiness = await channel.probe()
    assert not readiness.ready
    assert "takendown" in readiness.sentence


RETRACTIONS: list[tuple[Reply | Fault, type[Failure]]] = [
    (Reply(403, {}), NeedsPerson),
    (Reply(429, {}), NotSent),
    (Reply(503), Unknown),
    (Fault.CLOSE, Unknown),
]


@pytest.mark.parametrize(("answer", "outcome"), RETRACTIONS)
async def test_a_retraction_that_fails_says_how(
    channel: Bluesky, server: Server, answer: Reply | Fault, outcome: type[Failure]
) -> None:
    """Taking down has the same outcomes as posting."""
    server.says[DELETE] = answer
    with pytest.raises(outcome):
        await channel.retract(Receipt("at://x/app.bsky.feed.post/3n2uinnh5c22k"))


async def test_only_a_record_can_be_retracted(channel: Bluesky, stub: Stub) -> None:
    """A receipt that names none leads to no request."""
    with pytest.raises(Rejected):
        await channel.retract(Receipt(None))
    assert stub.requests == []


BLOB = {
    "$type": "blob",
    "ref": {"$link": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"},
    "mimeType": "image/png",
    "size": 4711,
}


async def test_a_repeat_with_a_card_is_the_same_bytes(
    channel: Bluesky, server: Server, stub: Stub, tmp_path: Path
) -> None:
    """What the upload made is stored, so that every repeat names the same picture."""
    server.says[UPLOAD] = Reply(200, {"blob": BLOB})
    handle = await channel.prepare(carded(tmp_path))
    assert handle == {"blob": BLOB}
    upload = stub.posts[-1]
    assert (upload.body, upload.headers["content-type"]) == (CARD, "image/png")
    for _ in range(2):
        await channel.send(carded(tmp_path, handle=handle))
    first, second = stub.posts[-2:]
    assert first.body == second.body
    assert BLOB["ref"]["$link"].encode() in first.body  # type: ignore[index]


@pytest.mark.parametrize(
    "answer",
    [
        Reply(400, {"error": "InvalidRequest", "message": "no picture"}),
        Reply(413, b"<html>"),
        Reply(429, {}),
        Reply(403, {"error": "Forbidden"}),
        Reply(500),
        Reply(200, {}),
        Reply(200, {"blob": {"$type": "blob", "ref": "bafy"}}),
        Reply(200, b"x" * 100_000),
        Fault.CLOSE,
        Fault.HANG,
    ],
    ids=lambda one: str(one)[:60],
)
async def test_a_card_that_fails_never_stops_the_text(
    hasty: Bluesky, server: Server, tmp_path: Path, answer: Reply | Fault
) -> None:
    """Whatever becomes of the upload, it ends in time and in a sentence."""
    server.says[UPLOAD] = answer
    begun = asyncio.get_running_loop().time()
    handle = await hasty.prepare(carded(tmp_path))
    assert asyncio.get_running_loop().time() - begun < SHORT.attempt_seconds
    assert handle["note"].startswith("posted without its card: ")
    one = carded(tmp_path, handle=handle)
    assert "embed" not in record_of(one)
    assert (await hasty.send(one)).note == handle["note"]


async def test_a_card_that_is_larger_than_bluesky_takes_stays_out(
    channel: Bluesky, stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million bytes is the limit for pictures in posts; nothing is uploaded in vain."""
    monkeypatch.setattr(channel._uploads, "_bytes_max", len(CARD) - 1)
    assert "note" in await channel.prepare(carded(tmp_path))
    assert stub.requests == []


async def test_a_server_that_is_not_there_keeps_the_card(tmp_path: Path) -> None:
    """The text would not have come through either: both are tried again."""
    channel = made(tmp_path, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NotSent):
        await channel.prepare(carded(tmp_path))
    await channel.close()


async def test_a_post_found_with_its_card_has_no_note(
    channel: Bluesky, server: Server, tmp_path: Path
) -> None:
    """What is there counts, not what was planned."""
    note = {"note": "posted without its card: why"}
    one = carded(tmp_path, handle=note)
    uri = f"at://{DID}/{COLLECTION}/{record_key(one.stamp, one.key)}"
    value = record_of(one)
    server.says[GET] = Reply(200, {"uri": uri, "cid": "bafy", "value": value})
    found = await channel.find(one)
    assert found
    assert found.note == note["note"]
    server.says[GET] = Reply(200, {"uri": uri, "cid": "bafy", "value": value | {"embed": {}}})
    found = await channel.find(one)
    assert found
    assert found.note is None


URI = f"at://{DID}/{COLLECTION}/3n2uinnh5c22k"
SENT = delivery(receipt=Receipt(URI))
PUBLIC = {
    "uri": URI,
    "cid": "bafy",
    "record": {"$type": COLLECTION, "text": TEXT},
    "replyCount": 2,
    "repostCount": 30,
    "likeCount": 4,
    "quoteCount": 1,
    "labels": [],
}
KEPT = Reply(200, {"uri": URI, "cid": "bafy", "value": {"text": TEXT}})


@pytest.fixture
async def open_eyed(stub: Stub, tmp_path: Path) -> AsyncIterator[Bluesky]:
    """Give a channel that knows where the public's view is read; short limits."""
    one = made(tmp_path, stub.url, public_api=stub.url)
    yield one
    await one.close()


async def test_a_post_is_looked_up_in_the_public_view(
    open_eyed: Bluesky, server: Server, stub: Stub
) -> None:
    """Without a log-in: its text, and who reacted."""
    server.says[POSTS] = Reply(200, {"posts": [PUBLIC]})
    sight = await open_eyed.look(SENT)
    assert (sight.there, sight.altered, sight.public, sight.text) == (True, False, True, TEXT)
    assert sight.counts == {"replies": 2, "shares": 30, "likes": 4, "quotes": 1}
    (request,) = stub.requests
    assert method_of(request) == POSTS
    assert "authorization" not in request.headers


NOT_SEEN: list[tuple[str, Reply, Reply, str]] = [
    ("not-yet", Reply(200, {"posts": []}), KEPT, "not in Bluesky's public view yet"),
    ("unknown", Reply(200, {"posts": []}), Reply(500), "not in Bluesky's public view yet"),
    ("deleted", Reply(200, {"posts": []}), Reply(400, {"error": "RecordNotFound"}), "deleted"),
    (
        "account",
        Reply(200, {"posts": []}),
        Reply(400, {"error": "RepoTakendown"}),
        "the account is shut: RepoTakendown",
    ),
    (
        "hidden",
        Reply(200, {"posts": [PUBLIC | {"labels": [7, {"val": "!hide"}]}]}),
        KEPT,
        "hidden by Bluesky: it is labelled !hide",
    ),
    (
        "taken-down",
        Reply(200, {"posts": [PUBLIC | {"author": {"labels": [{"val": "!takedown"}]}}]}),
        KEPT,
        "hidden by Bluesky: it is labelled !takedown",
    ),
]


@pytest.mark.parametrize(
    ("public", "kept", "reason"), [row[1:] for row in NOT_SEEN], ids=[row[0] for row in NOT_SEEN]
)
async def test_a_post_that_the_public_does_not_see_says_why(
    open_eyed: Bluesky, server: Server, public: Reply, kept: Reply, reason: str
) -> None:
    """Not indexed, deleted, labelled, or its account is shut."""
    server.says |= {POSTS: public, GET: kept}
    sight = await open_eyed.look(SENT)
    assert (sight.there, sight.reason) == (False, reason)


async def test_a_post_that_says_something_else_is_altered(
    open_eyed: Bluesky, server: Server
) -> None:
    """Bluesky rewrites nothing: the text is ours to the letter, or it is not."""
    server.says[POSTS] = Reply(200, {"posts": [PUBLIC | {"record": {"text": f"{TEXT}!"}}]})
    sight = await open_eyed.look(SENT)
    assert (sight.there, sight.altered, sight.text) == (True, True, f"{TEXT}!")


LOOKS_THAT_FAIL = [
    Reply(200, {}),
    Reply(200, {"posts": {}, "uri": "other"}),
    Reply(200, b"<html>"),
    Reply(200, b"[" * 100_000),
    Reply(200, b" " * 100_000_000),
    Reply(302, b"", {"Location": "/login"}),
    Reply(400, {"error": "InvalidRequest"}),
    Reply(404),
    Reply(429),
    Reply(503),
    Fault.CLOSE,
    Fault.CUT_BODY,
    Fault.HANG,
]


@pytest.mark.parametrize("answer", LOOKS_THAT_FAIL, ids=lambda one: str(one)[:60])
async def test_a_look_that_fails_shows_nothing(
    hasty: Bluesky, open_eyed: Bluesky, server: Server, answer: Reply | Fault
) -> None:
    """A hiccup or junk is neither presence nor absence, wherever it was looked."""
    server.says |= {POSTS: answer, GET: answer}
    for channel in (hasty, open_eyed):
        with pytest.raises(NotSent):
            await channel.look(SENT)


@pytest.mark.parametrize("receipt", [None, Receipt(None), Receipt("at://x/y/../z")])
async def test_only_a_record_can_be_looked_up(
    channel: Bluesky, stub: Stub, receipt: Receipt | None
) -> None:
    """A receipt that names none leads to no request."""
    with pytest.raises(Rejected):
        await channel.look(delivery(receipt=receipt))
    assert stub.requests == []


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, PUBLIC_API),
        ({"public_api": ""}, ""),
        ({"public_api": "https://view.example/"}, "https://view.example"),
        ({"base_url": "https://pds.example"}, ""),
        (
            {"base_url": "https://pds.example", "public_api": "https://v.example"},
            "https://v.example",
        ),
    ],
)
async def test_the_public_view_is_bluesky_s_unless_told_otherwise(
    tmp_path: Path, settings: dict[str, Any], asked: str
) -> None:
    """With a server of one's own nobody else is asked, but for what is configured."""
    file = keep_secret(tmp_path, "bluesky-app-password", PASSWORD)
    config = Settings(handle=HANDLE, app_password_file=file, **settings)
    channel = build(setup_for(tmp_path, "bluesky"), config)
    assert channel._public_api == asked
    await channel.close()


async def test_a_warm_connection_is_the_one_of_the_next_post(channel: Bluesky, stub: Stub) -> None:
    """A free request without a log-in opens it; the post pays no handshake."""
    await channel.warm()
    (request,) = stub.requests
    assert (request.method, request.path) == ("GET", "/xrpc/_health")
    assert "authorization" not in request.headers
    await channel.send(delivery())
    await channel.warm()
    await channel.send(delivery())
    assert stub.connections == 1
    assert "authorization" not in stub.requests[-2].headers


@pytest.mark.parametrize("fault", [Fault.CLOSE, Fault.RESET])
async def test_a_warm_connection_closed_at_the_post_leaves_it_in_doubt(
    channel: Bluesky, server: Server, stub: Stub, fault: Fault
) -> None:
    """It may have been taken: unknown, to be read, and never put again from here."""
    await channel.send(delivery())
    server.says[PUT] = fault
    with pytest.raises(Unknown):
        await channel.send(delivery())
    assert called(stub).count("putRecord") == 2


async def test_a_connection_closed_while_idle_costs_no_post(channel: Bluesky, stub: Stub) -> None:
    """The server closed it meanwhile: the post goes out once, on another one."""
    await channel.warm()
    for writer in list(stub.open):
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.05)
    await channel.send(delivery())
    assert called(stub) == ["_health", "createSession", "putRecord"]


@pytest.mark.parametrize("answer", [Reply(500), Fault.CLOSE, Fault.HANG], ids=str)
async def test_warming_never_raises(hasty: Bluesky, server: Server, answer: Reply | Fault) -> None:
    """What becomes of it matters to nobody."""
    server.says["_health"] = answer
    await hasty.warm()
    await hasty.send(delivery())


@pytest.mark.parametrize(
    "wrong", [{"service": "http://bsky.social"}, {"handle": "@stadt"}, {"handle": "stadt"}]
)
def test_a_wrong_setting_is_a_fault_of_the_configuration(wrong: dict[str, str]) -> None:
    """The password travels by https alone, and a handle has a domain and no @."""
    with pytest.raises(ValidationError):
        Settings(**{"handle": HANDLE, "app_password_file": "p"} | wrong)
