"""A real SMTP server on loopback that keeps what it took, and can lose its answer."""

from __future__ import annotations

import asyncio
import email
import email.policy
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.peers.children import LOOPBACK

USER = "alerts"
PASSWORD = "loopback-only"


@dataclass
class MailServer:
    """Where to send mail, and what arrived.

    `messages` holds what was taken, whatever became of the answer. Of the next mails, as many as
    `refusals` says are answered 451 and not taken; then as many as `lost_answers` says are taken,
    and the connection closes instead of a 250.
    """

    port: int = 0
    host: str = LOOPBACK
    user: str = USER
    password: str = PASSWORD
    lost_answers: int = 0
    refusals: int = 0
    messages: list[EmailMessage] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Give the server's address as apprise writes it, without a recipient."""
        return f"mailto://{self.user}:{self.password}@{self.host}:{self.port}"

    async def handle_DATA(  # noqa: N802 - the name aiosmtpd looks for
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take one mail, and answer as the switches say."""
        if self.refusals > 0:
            self.refusals -= 1
            return "451 try again later"
        assert isinstance(envelope.content, bytes)
        taken = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.messages.append(taken)
        if self.lost_answers > 0:
            self.lost_answers -= 1
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return "250 taken"

    def protocol(self) -> SMTP:
        """Make the protocol of one connection; a login is checked where the client offers one."""
        return SMTP(
            self,
            hostname="localhost",
            auth_require_tls=False,
            authenticator=self._authenticate,
        )

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object
    ) -> AuthResult:
        expected = LoginPassword(self.user.encode(), self.password.encode())
        return AuthResult(success=data == expected, handled=False)


@pytest.fixture
def smtp() -> Iterator[MailServer]:
    """Run a mail server in a thread of its own, so that a blocking client cannot starve it."""
    mail = MailServer()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="test mail server")
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(
        loop.create_server(mail.protocol, mail.host, 0), loop
    ).result(10)
    mail.port = listening.sockets[0].getsockname()[1]
    yield mail
    loop.call_soon_threadsafe(listening.close)
    asyncio.run_coroutine_threadsafe(_cancel_the_rest(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _cancel_the_rest() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
