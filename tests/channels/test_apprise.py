"""apprise: what its log proves, and that a message is handed over once, whatever hangs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from broadcaster.channels import Escape, Measure
from broadcaster.channels import apprise as ours
from broadcaster.config import Timing
from broadcaster.delivery import Failure, NeedsPerson, NotSent, Receipt, Rejected, Unknown
from broadcaster.logs import LIBRARY_LEVELS
from broadcaster.terminal.child import free_port
from tests.channels.stub import (
    TEXT,
    Fault,
    Reply,
    Stub,
    delivery,
    keep_secret,
    serving,
    setup_for,
)
from tests.peers.smtp import MailServer

SHORT = Timing(attempt_seconds=1.0, connect_seconds=0.3)
CANARY = "canary-4711"


def build(url: str, place: Path, kind: ours.Kind = "chat", **more: Any) -> ours.AppriseChannel:
    """Build a channel whose URL lies in its file."""
    settings = ours.Settings(kind=kind, url_file=keep_secret(place, "url", url), **more)
    return ours.build(setup_for(place, "apprise", timing=SHORT), settings)


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    """Run a service that answers as told."""
    async with serving() as one:
        yield one


@pytest.fixture
def printed() -> Iterator[list[str]]:
    """Give the lines that reach the daemon's log, whose levels for libraries are those of logs."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.name} {record.getMessage()}")

    handler, root = Lines(), logging.getLogger()
    before = {name: logging.getLogger(name).level for name in LIBRARY_LEVELS}
    for name, level in LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(level)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.setLevel(logging.WARNING)
    root.removeHandler(handler)
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def chat(stub: Stub, tmp_path: Path) -> ours.AppriseChannel:
    """Give a channel to the service."""
    return build(f"json://user:{CANARY}@127.0.0.1:{stub.port}/{CANARY}", tmp_path)


def mail_to(port: int, *, more: str = "") -> str:
    """Write the URL of a mail to one person."""
    people = "from=leitstelle@example.org&to=presse@example.org"
    return f"mailto://alerts:loopback-only@127.0.0.1:{port}/?{people}{more}"


async def test_a_mail_arrives_as_it_was_written(smtp: MailServer, tmp_path: Path) -> None:
    """Subject and text keep their umlauts; nothing is added, and nobody reads a library's name."""
    channel = build(mail_to(smtp.port), tmp_path, "mail")
    text = "Fenster und Türen schließen.\n\nRuß & Rauch: 5 < 6. Stadt Beispiel, Nr. 26-0142/1"
    assert await channel.send(delivery(text=text)) == Receipt(remote_id=None)
    (mail,) = smtp.messages
    assert mail["Subject"] == "Großbrand in Hörde"
    assert mail["To"] == "presse@example.org"
    assert "apprise" not in str(mail["From"]).lower()
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().replace("\r\n", "\n").strip() == text


async def test_a_mail_whose_answer_is_lost_is_unknown(smtp: MailServer, tmp_path: Path) -> None:
    """The server has it, and nobody told us: it may have arrived, and did."""
    smtp.lost_answers = 1
    channel = build(mail_to(smtp.port), tmp_path, "mail")
    with pytest.raises(Unknown):
        await channel.send(delivery())
    assert len(smtp.messages) == 1


async def test_a_mail_that_is_put_off_is_not_sent(smtp: MailServer, tmp_path: Path) -> None:
    """A 451 after the text proves that nothing was taken; the next try arrives, once."""
    smtp.refusals = 1
    channel = build(mail_to(smtp.port), tmp_path, "mail")
    with pytest.raises(NotSent, match="451"):
        await channel.send(delivery())
    await channel.send(delivery())
    assert len(smtp.messages) == 1


@asynccontextmanager
async def scripted_mail(script: Mapping[str, str | None]) -> AsyncIterator[tuple[int, list[str]]]:
    """Run a mail server that says what the script says, at each step; None closes instead."""
    usual: dict[str, str | None] = {
        "banner": "220 ready",
        "EHLO": "250-localhost\r\n250 AUTH PLAIN",
        "AUTH": "235 welcome",
        "MAIL": "250 fine",
        "RCPT": "250 fine",
        "DATA": "354 go on",
        "end": "250 taken",
        "QUIT": "221 bye",
        "RSET": "250 fine",
    }
    replies = usual | dict(script)
    taken: list[str] = []
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        step = "banner"
        while (reply := replies.get(step, "502 what?")) is not None:
            writer.write(f"{reply}\r\n".encode())
            if reply.startswith("354"):
                text = await reader.readuntil(b"\r\n.\r\n")
                taken.append(text.decode())
                step = "end"
                continue
            line = (await reader.readline()).decode()
            if not line:
                break
            step = line.split()[0].upper()
        writer.close()
        writers.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], taken
    server.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)


MAIL_DIALOGUES: list[tuple[str, str | None, type[Failure]]] = [
    ("banner", "421 too busy", NotSent),
    ("banner", "554 we do not know you", NeedsPerson),
    ("banner", None, NotSent),
    ("AUTH", "535 wrong", NeedsPerson),
    ("AUTH", "454 not now", NotSent),
    ("AUTH", None, NotSent),
    ("EHLO", "250 localhost", NeedsPerson),  # offers no login
    ("MAIL", "530 log in first", NeedsPerson),
    ("MAIL", "550 not you", Rejected),
    ("MAIL", "451 not now", NotSent),
    ("MAIL", None, Unknown),  # provable to us, but not from what the library says
    ("RCPT", "550 nobody", Rejected),
    ("RCPT", "450 not now", NotSent),
    ("DATA", "554 no", Rejected),
    ("end", "552 too big", Rejected),
    ("end", "452 disk full", NotSent),
    ("end", "what?", Unknown),
    ("end", None, Unknown),
]


@pytest.mark.parametrize(("step", "reply", "kind"), MAIL_DIALOGUES)
async def test_each_end_of_a_mail_dialogue_has_its_outcome(
    step: str, reply: str | None, kind: type[Failure], tmp_path: Path
) -> None:
    """4yz is not sent, 5yz is refused, and a lost answer after the handing over is unknown."""
    async with scripted_mail({step: reply}) as (port, taken):
        channel = build(mail_to(port), tmp_path, "mail")
        with pytest.raises(Failure) as caught:
            await channel.send(delivery())
    assert type(caught.value) is kind
    assert len(taken) == (1 if step == "end" else 0)
    assert "loopback-only" not in str(caught.value)
    assert "presse" not in str(caught.value)


async def test_a_mail_dialogue_that_goes_well_is_taken(tmp_path: Path) -> None:
    """The script above can succeed: without a change the mail is taken, once."""
    async with scripted_mail({}) as (port, taken):
        await build(mail_to(port), tmp_path, "mail").send(delivery())
    assert len(taken) == 1


async def test_a_mail_server_that_is_not_there_is_not_sent(tmp_path: Path) -> None:
    """Nobody listens: nothing was sent; and the probe says so before it matters."""
    channel = build(mail_to(free_port()), tmp_path, "mail")
    with pytest.raises(NotSent):
        await channel.send(delivery())
    found = await channel.probe()
    assert not found.ready
    assert found.remedy


async def test_a_probe_sends_no_mail(smtp: MailServer, tmp_path: Path) -> None:
    """It opens a connection to the mail server, and says nothing."""
    assert (await build(mail_to(smtp.port), tmp_path, "mail").probe()).ready
    assert smtp.messages == []


ANSWERS: list[tuple[Reply | Fault, type[Failure]]] = [
    (Reply(302, b"", {"Location": "/elsewhere"}), Unknown),
    (Reply(307, b"", {"Location": "/elsewhere"}), Unknown),
    (Reply(400), Rejected),
    (Reply(401), NeedsPerson),
    (Reply(402), NeedsPerson),
    (Reply(403), NeedsPerson),
    (Reply(404), Rejected),
    (Reply(408), Unknown),
    (Reply(410), Rejected),
    (Reply(429), NotSent),
    (Reply(500, b"error=429."), Unknown),
    (Reply(500, b"Socket Exception: (550, b'no')"), Unknown),
    (Reply(503), Unknown),
    (Fault.CLOSE, Unknown),
    (Fault.RESET, Unknown),
    (Fault.HANG, Unknown),
    (Fault.GARBAGE, Unknown),
    (Fault.CUT_BODY, Unknown),
]


@pytest.mark.parametrize(("answer", "kind"), ANSWERS)
async def test_each_answer_of_a_service_has_its_outcome(
    chat: ours.AppriseChannel, stub: Stub, answer: Reply | Fault, kind: type[Failure]
) -> None:
    """What the log proves decides; and there is exactly one POST, whatever happens."""
    stub.answer = lambda _: answer
    with pytest.raises(Failure) as caught:
        await chat.send(delivery())
    assert type(caught.value) is kind
    assert len(stub.posts) == len(stub.requests) == 1


async def test_a_429_pauses_the_channel(chat: ours.AppriseChannel, stub: Stub) -> None:
    """Too many requests concern every message to this target."""
    stub.say(429)
    with pytest.raises(NotSent) as caught:
        await chat.send(delivery())
    assert caught.value.rate_limited


async def test_a_message_that_is_taken_is_a_receipt(chat: ours.AppriseChannel, stub: Stub) -> None:
    """Text and title arrive as they are; apprise never names what it sent."""
    assert await chat.send(delivery()) == Receipt(remote_id=None)
    body = stub.requests[0].body.decode("unicode_escape")
    assert "Großbrand in Hörde" in body
    assert TEXT in body


@pytest.mark.parametrize("url", ["json://127.0.0.1:{port}/", "json://nowhere.invalid/"])
async def test_a_service_that_is_not_there_is_not_sent(url: str, tmp_path: Path) -> None:
    """No connection, no message."""
    channel = build(url.format(port=free_port()), tmp_path)
    with pytest.raises(NotSent):
        await channel.send(delivery())


def test_a_certificate_that_is_not_trusted_is_not_sent() -> None:
    """The log's own words for it prove that nothing was written."""
    entry = ours._Entry(
        "DEBUG",
        "Socket Exception: HTTPSConnectionPool(host='h', port=443): Max retries exceeded with "
        "url: / (Caused by SSLError(SSLCertVerificationError(1, '[SSL: ...] verify failed')))",
    )
    assert isinstance(ours._verdict([entry]), NotSent)


async def test_an_answer_cannot_pretend_that_nothing_was_sent(
    chat: ours.AppriseChannel, stub: Stub
) -> None:
    """Only what the library itself says counts, not what the other side writes."""
    lies = b"(Caused by NewConnectionError( error=429.\r\n\r\n"
    stub.answer = lambda _: Reply(500, lies)
    with pytest.raises(Unknown):
        await chat.send(delivery())


async def test_options_in_the_url_cannot_send_twice(stub: Stub, tmp_path: Path) -> None:
    """Retries belong to the delivery's row, and one delivery is one message."""
    options = "?retry=3&wait=0&overflow=split&optional=yes&redirect=yes"
    channel = build(f"json://127.0.0.1:{stub.port}/{options}", tmp_path)
    stub.say(500)
    with pytest.raises(Unknown):
        await channel.send(delivery(text="Wort " * 20_000))
    assert len(stub.posts) == 1


async def test_a_service_that_hangs_is_unknown_and_ends_by_itself(
    chat: ours.AppriseChannel, stub: Stub
) -> None:
    """The sockets' own limits end it within the attempt's limit, and nothing is sent again."""
    stub.answer = lambda _: Fault.HANG
    began = asyncio.get_running_loop().time()
    with pytest.raises(Unknown):
        await chat.send(delivery())
    assert asyncio.get_running_loop().time() - began < SHORT.attempt_seconds
    assert (len(stub.posts), chat.threads.busy) == (1, 0)


async def test_a_service_that_drips_is_waited_for(chat: ours.AppriseChannel, stub: Stub) -> None:
    """A thread cannot be stopped: the attempt ends when it has returned, not before, as unknown."""
    stub.answer = lambda _: Fault.DRIP_BODY
    sending = asyncio.create_task(chat.send(delivery()))
    await asyncio.wait([sending], timeout=SHORT.attempt_seconds * 1.2)
    assert not sending.done()
    assert chat.threads.stuck == 1
    for writer in list(stub.open):
        writer.transport.abort()
    with pytest.raises(Unknown):
        await sending
    assert len(stub.posts) == 1


async def test_a_full_target_takes_no_more(chat: ours.AppriseChannel, stub: Stub) -> None:
    """While as many messages hang as there are threads, the next is not begun."""
    stub.answer = lambda _: Fault.HANG
    hanging = [asyncio.create_task(chat.send(delivery())) for _ in range(ours.AT_ONCE)]
    while chat.threads.busy < ours.AT_ONCE:
        await asyncio.sleep(0)
    with pytest.raises(NotSent, match="hang"):
        await chat.send(delivery())
    ended = await asyncio.gather(*hanging, return_exceptions=True)
    assert all(isinstance(end, Unknown) for end in ended)
    assert len(stub.posts) == ours.AT_ONCE


async def test_an_on_call_target_is_told(stub: Stub) -> None:
    """Notices go the same way, with the same failures."""
    target = ours.Target(f"json://127.0.0.1:{stub.port}/", SHORT)
    await target.tell("X: 26-0142/1 failed", "The token was revoked. Make a new one.")
    assert b"The token was revoked" in stub.requests[0].body
    stub.say(503)
    with pytest.raises(Unknown):
        await target.tell("again", "again")


async def test_nothing_secret_is_shown(
    chat: ours.AppriseChannel, stub: Stub, printed: list[str]
) -> None:
    """The URL's secrets are in the library's own log, and nowhere else."""
    logging.getLogger("anyone").warning("can be heard")
    shown = [repr(chat), str(await chat.probe()), chat.account]
    for answer in (Reply(401, CANARY.encode()), Fault.CLOSE, Reply(500, CANARY.encode())):
        stub.answer = lambda _, answer=answer: answer  # type: ignore[misc]
        with pytest.raises(Failure) as caught:
            await chat.send(delivery())
        shown.append(repr(caught.value))
    assert "anyone can be heard" in printed
    assert CANARY not in " ".join([*shown, *printed])


RULES: list[tuple[ours.Kind, tuple[str, Measure, int, Escape, bool]]] = [
    ("mail", ("mail", Measure.CHARACTERS, 20_000, Escape.MAIL, True)),
    ("sms", ("sms", Measure.SEGMENTS, 3, Escape.NONE, True)),
    ("pager", ("sms", Measure.CHARACTERS, 480, Escape.NONE, True)),
    ("chat", ("chat", Measure.CHARACTERS, 2_000, Escape.CHAT, False)),
    ("public", ("post", Measure.CHARACTERS, 2_000, Escape.CHAT, False)),
]


@pytest.mark.parametrize(("kind", "rule"), RULES)
def test_a_kind_sets_template_measure_and_what_follows_doubt(
    kind: ours.Kind, rule: tuple[str, Measure, int, Escape, bool], tmp_path: Path
) -> None:
    """Who is woken may be woken twice; the public does not see a warning twice."""
    one = build("json://127.0.0.1/", tmp_path, kind)
    limits = (one.limits.measure, one.limits.maximum)
    assert (one.template, *limits, one.escape, one.resend_on_unknown) == rule


def test_the_configuration_has_the_last_word(tmp_path: Path) -> None:
    """`on_unknown` and `sms_segments_max` override what the kind says."""
    channel = build("json://h/", tmp_path, "sms", on_unknown="hold", sms_segments_max=2)
    assert not channel.resend_on_unknown
    assert channel.limits.maximum == 2


def test_a_service_with_less_room_sets_the_limit(tmp_path: Path) -> None:
    """A text is measured by the smaller of what people read and what the service takes."""
    channel = build("workflows://host:443/workflow/signature/", tmp_path, "chat")
    assert channel.limits.maximum == 1000


BAD_URLS = [
    "json://one.example/ json://two.example/",
    "json://one.example/\njson://two.example/",
    "json://one.example/,json://two.example/",
    "mastodon://token@ruhr.example",
    "bluesky://handle:word@stadt",
    "twitter://a/b/c/d",
    "nope://somewhere",
    "https://example.org",
    "tgram://x",
    "twilio://x",
    "mailto://u:p@127.0.0.1/?from=a@example.org&to=nobody",
    "mailto://u:p@127.0.0.1/?from=a@example.org&to=b@example.org,c@example.org",
    "mailto://u:p@127.0.0.1/?from=a@example.org&to=b@example.org&cc=c@example.org",
    "mailto://u:p@127.0.0.1/?from=a@example.org&to=b@example.org&bcc=c@example.org",
    "just words",
    "mqtt://broker/topic",  # its library is not installed
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_target_that_cannot_be_used_is_refused(
    url: str, tmp_path: Path, printed: list[str]
) -> None:
    """The daemon does not start; the sentence names the file, and shows nothing of the URL."""
    with pytest.raises(ValueError, match="url") as caught:
        build(url, tmp_path)
    assert url not in str(caught.value)
    assert "example" not in str(caught.value)
    assert printed == []


async def test_what_was_handed_over_cannot_be_taken_back_or_looked_up(
    chat: ours.AppriseChannel,
) -> None:
    """There is no id, no list and no deletion; nobody is told that it is not there."""
    with pytest.raises(Rejected):
        await chat.retract(Receipt(remote_id=None))
    with pytest.raises(Unknown):
        await chat.find(delivery())
    with pytest.raises(Rejected):
        await chat.send(delivery(message=None))
    await chat.close()
