"""The mail server, spoken to by smtplib and by apprise."""

from __future__ import annotations

import asyncio
import smtplib
from email.message import EmailMessage

import apprise
import pytest

from broadcaster.sandbox import Sandbox
from broadcaster.sandbox.configuration import credentials
from tests.sandbox.client import Client


def mail(text: str = "Fenster schließen.\n") -> EmailMessage:
    """Write a mail with umlauts."""
    message = EmailMessage()
    message["Subject"] = "Großbrand in Hörde"
    message["From"] = "Stadt Dortmund <warnung@example.org>"
    message["To"] = "presse@example.org"
    message["Message-ID"] = "<eins@example.org>"
    message.set_content(text)
    message["Content-Language"] = "de"
    return message


async def send(sandbox: Sandbox, password: str | None = None, *, seconds: float = 5) -> None:
    """Send the mail in a thread, as smtplib blocks."""

    def blocking() -> None:
        with smtplib.SMTP("127.0.0.1", sandbox.smtp_port, timeout=seconds) as server:
            if password:
                server.login("warnung", password)
            server.send_message(mail())

    await asyncio.to_thread(blocking)


async def test_a_mail_with_umlauts_is_shown(sandbox: Sandbox, client: Client) -> None:
    """Subject and text are read as a mail program reads them; the key is the Message-ID."""
    await send(sandbox)
    (post,) = await client.posts("mail")
    assert post["text"] == "Großbrand in Hörde\n\nFenster schließen."
    assert post["subject"] == "Großbrand in Hörde"
    assert post["to"] == ["presse@example.org"]
    assert post["key"] == "<eins@example.org>"
    assert post["language"] == "de"


async def test_a_login_must_be_the_sandboxes(sandbox: Sandbox, client: Client) -> None:
    """A real password is refused, so that it is noticed where it does not belong."""
    await send(sandbox, "sandbox-mail")
    with pytest.raises(smtplib.SMTPAuthenticationError):
        await send(sandbox, "real-password")
    assert len(await client.posts("mail")) == 1


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
async def test_apprise_sends_to_the_configured_target(sandbox: Sandbox, client: Client) -> None:
    """The URL of the ready configuration works with the library of the channel."""
    target = apprise.Apprise.instantiate(credentials(sandbox)["press-mail-url"])
    assert target is not None
    target.request_rate_per_sec = 0
    sent = await asyncio.to_thread(
        target.notify, title="Großbrand", body="Fenster schließen.", body_format="text"
    )
    assert sent
    (post,) = await client.posts("mail")
    assert "Fenster schließen." in post["text"]
    assert post["subject"] == "Großbrand"
    assert post["to"] == ["presse@example.org"]


@pytest.mark.parametrize(("fault", "code"), [("refuse", 554), ("rate-limit", 451)])
async def test_a_refused_mail_is_not_taken(
    sandbox: Sandbox, client: Client, fault: str, code: int
) -> None:
    """554 is for good, 451 for now."""
    await client.fault("mail", fault)
    with pytest.raises(smtplib.SMTPDataError) as refused:
        await send(sandbox)
    assert refused.value.smtp_code == code
    assert await client.posts("mail") == []
    await send(sandbox)


@pytest.mark.parametrize(
    ("fault", "posts"), [("lost-answer", 1), ("reset", 0), ("hang", 1), ("drip", 1)]
)
async def test_a_mail_whose_answer_does_not_come(
    sandbox: Sandbox, client: Client, fault: str, posts: int
) -> None:
    """Only the receiving side knows whether the mail was taken."""
    await client.fault("mail", fault, seconds=0.6)
    # Of a dripping answer smtplib reads what came before the end: a code of one digit.
    ends = (smtplib.SMTPServerDisconnected, ConnectionError, smtplib.SMTPDataError)
    with pytest.raises(ends) as ended:
        await send(sandbox)
    assert getattr(ended.value, "smtp_code", 2) == 2
    assert len(await client.posts("mail")) == posts


async def test_a_client_that_gives_up_on_a_hanging_server(sandbox: Sandbox, client: Client) -> None:
    """The mail was taken once, though the client saw a timeout."""
    await client.fault("mail", "hang")
    with pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)):
        await send(sandbox, seconds=0.3)
    assert len(await client.posts("mail")) == 1


async def test_a_mail_in_html_alone_is_read_as_text(sandbox: Sandbox, client: Client) -> None:
    """Tags are no text."""
    message = mail()
    message.set_content("<p>Fenster <b>schließen</b></p>", subtype="html")

    def blocking() -> None:
        with smtplib.SMTP("127.0.0.1", sandbox.smtp_port, timeout=5) as server:
            server.send_message(message)

    await asyncio.to_thread(blocking)
    assert (await client.posts("mail"))[0]["text"].endswith("Fenster schließen")
