"""A stand-in mail server: it takes every mail, and shows who would have got it.

It runs in the sandbox's own event loop. A login is offered, not required; its password must begin
`sandbox-`. A mail's key is its Message-ID.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import errno
import logging
import re
from email.message import EmailMessage
from email.utils import parseaddr
from urllib.parse import quote

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from broadcaster.clock import Clock
from broadcaster.sandbox.faults import (
    HANG_SECONDS,
    MAIL,
    Fault,
    Faults,
    Kind,
    On,
    drip,
    reset,
    stream_of,
)
from broadcaster.sandbox.looks import Look
from broadcaster.sandbox.posts import PREFIX, Account, Post, Posts

NAME = "mail"
LOOK = Look(NAME, "Mail", colour="#0f766e", empty="No mail yet.")
SECRET_FILE = "press-mail-url"  # noqa: S105 - the name of a file
PASSWORD = f"{PREFIX}mail"
SENDER = "warnung@stadt-dortmund.example.org"
RECIPIENT = "presse@example.org"
PORT_LAST = 65_535

# At WARNING aiosmtpd complains of its own use of what it has deprecated, at every login.
logging.getLogger("mail.log").setLevel(logging.ERROR)

_TAG = re.compile(r"<[^>]*>")


def channel(_url: str) -> str:
    """Return the table of a channel that mails to this stand-in: its address is a secret."""
    return f"""\
[channels.press-mail]
type = "apprise"
kind = "mail"
url_file = "{SECRET_FILE}"

"""


def secrets(host: str, port: int) -> dict[str, str]:
    """Return the secret file that the table names."""
    login = f"{quote('warnung')}:{PASSWORD}@{host}:{port}"
    return {SECRET_FILE: f"mailto://{login}?from={quote(SENDER)}&to={quote(RECIPIENT)}"}


class Mail:
    """The stand-in, and the handler that aiosmtpd calls."""

    able = MAIL

    def __init__(self, posts: Posts, clock: Clock, faults: Faults) -> None:
        self._posts = posts
        self._clock = clock
        self._faults = faults
        self._server: asyncio.Server | None = None
        self._open: set[SMTP] = set()
        self._count = 0

    async def start(self, host: str, port: int) -> int:
        """Listen on the first free port from this one on, and return it."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._server = await loop.create_server(self._protocol, host, port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or port == PORT_LAST:
                    raise
                port += 1
            else:
                return port

    async def close(self) -> None:
        """Stop listening, and drop whoever is still connected."""
        if self._server is None:
            return
        self._server.close()
        for protocol in self._open:
            if stream := stream_of(protocol.transport):
                stream.abort()
        self._open.clear()
        await self._server.wait_closed()
        self._server = None

    def _protocol(self) -> SMTP:
        protocol = SMTP(
            self,
            hostname="sandbox.invalid",
            ident="sandbox",
            auth_require_tls=False,
            authenticator=_authenticate,
            loop=asyncio.get_running_loop(),
        )
        self._open = {one for one in self._open if one.transport is not None} | {protocol}
        return protocol

    async def handle_DATA(  # noqa: N802 - the name aiosmtpd looks for
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take one mail, or play the fault that befalls it."""
        fault = self._faults.take(NAME, On.CREATE)
        call = self._posts.begin(NAME, fault.fault if fault else None)
        match fault.fault if fault else None:
            case Kind.REFUSE:
                return "554 5.7.1 Message refused"
            case Kind.RATE_LIMIT:
                return "451 4.7.1 Too many messages, try again later"
            case Kind.RESET:
                reset(server.transport)
                return "421 4.3.2 Closing"
        taken = email.message_from_bytes(_bytes(envelope), policy=email.policy.default)
        post = self._post(taken, envelope)
        self._posts.name(NAME, call, post.text)
        self._posts.add(post)
        done = f"250 2.0.0 Ok: queued as {self._count}"
        if fault:
            await _spoil(fault, server, done)
        return done

    def _post(self, taken: EmailMessage, envelope: Envelope) -> Post:
        self._count += 1
        subject = str(taken.get("Subject", "")).strip()
        sender = str(taken.get("From", envelope.mail_from or ""))
        name, address = parseaddr(sender)
        to = [str(one) for one in envelope.rcpt_tos]
        return Post(
            NAME,
            str(self._count),
            Account(address, name or address, 0),
            f"{subject}\n\n{_body(taken)}".strip(),
            self._clock.now(),
            language=str(taken["Content-Language"]) if "Content-Language" in taken else None,
            key=str(taken["Message-ID"]).strip() if "Message-ID" in taken else None,
            details={"subject": subject, "to": to},
        )


def _bytes(envelope: Envelope) -> bytes:
    content = envelope.content or b""
    return content if isinstance(content, bytes) else content.encode()


async def _spoil(fault: Fault, server: SMTP, done: str) -> None:
    """Keep the answer to a mail that was taken from arriving, or from arriving soon."""
    seconds = HANG_SECONDS if fault.seconds is None else fault.seconds
    if fault.fault is Kind.HANG:
        await asyncio.sleep(seconds)
    elif fault.fault is Kind.DRIP:
        await drip(server.transport, f"{done}\r\n".encode(), seconds)
    if stream := stream_of(server.transport):
        stream.close()


def _body(taken: EmailMessage) -> str:
    part = taken.get_body(preferencelist=("plain", "html"))
    if part is None:
        return ""
    text = str(part.get_content()).replace("\r\n", "\n").strip()
    return _TAG.sub("", text) if part.get_content_type() == "text/html" else text


def _authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
) -> AuthResult:
    good = isinstance(data, LoginPassword) and data.password.startswith(PREFIX.encode())
    return AuthResult(success=good, handled=False)
