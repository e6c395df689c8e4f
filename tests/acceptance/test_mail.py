"""A real daemon that sends mail through apprise to a real mail server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

from tests.acceptance.daemon import Daemon, one_channel, running, scenario
from tests.peers.smtp import MailServer

CHANNEL = """\
[channels.press-mail]
type = "apprise"
kind = "mail"
url_file = "mail-url"
on_unknown = "{on_unknown}"
"""
PEOPLE = "?from=warnung%40stadt.example.org&to=presse%40example.org"
REST_SECONDS = 1.5  # longer than all waits of the short timing that could lead to another mail


@asynccontextmanager
async def by_mail(smtp: MailServer, directory: Path, on_unknown: str) -> AsyncIterator[Daemon]:
    """Run a daemon whose one channel is a mail address."""
    channel = CHANNEL.format(on_unknown=on_unknown)
    config = one_channel(directory, channel, {"mail-url": f"{smtp.url}/{PEOPLE}"})
    async with running(config) as daemon:
        yield daemon


def words(mail: EmailMessage) -> str:
    """Return a mail's text as it is read."""
    part = mail.get_body(preferencelist=("plain", "html"))
    assert part is not None
    return str(part.get_content())


async def test_a_mail_arrives_with_its_umlauts(smtp: MailServer, tmp_path: Path) -> None:
    """Subject and text are what the API shows, letter for letter."""
    async with by_mail(smtp, tmp_path, "resend") as daemon:
        alert = await daemon.settled((await daemon.trigger(scenario()))["id"])
    (sent,) = alert["deliveries"]
    (mail,) = smtp.messages
    assert sent["state"] == "sent"
    assert mail["Subject"] == sent["message"]["subject"]
    assert "Großbrand in Dortmund-Hörde: Fenster und Türen schließen" in mail["Subject"]
    text = words(mail)
    for line in filter(None, map(str.strip, sent["message"]["text"].splitlines())):
        assert line in text


async def test_a_lost_answer_is_sent_again_where_that_is_configured(
    smtp: MailServer, tmp_path: Path
) -> None:
    """Nobody can know whether it arrived: for mail, twice is better than never, and it is shown."""
    smtp.lost_answers = 1
    async with by_mail(smtp, tmp_path, "resend") as daemon:
        alert = await daemon.settled((await daemon.trigger(scenario()))["id"])
    (sent,) = alert["deliveries"]
    assert sent["state"] == "sent"
    assert [one["outcome"] for one in sent["attempts"]] == ["unknown", "accepted"]
    assert len(smtp.messages) == 2


async def test_a_lost_answer_is_held_where_that_is_configured(
    smtp: MailServer, tmp_path: Path
) -> None:
    """It stays unknown, is never sent again by itself, and a person decides."""
    smtp.lost_answers = 1
    async with by_mail(smtp, tmp_path, "hold") as daemon:
        accepted = await daemon.trigger(scenario())
        await daemon.settled(accepted["id"], unknown=True)
        await asyncio.sleep(REST_SECONDS)
        (held,) = (await daemon.look(accepted["id"]))["deliveries"]
        mails = len(smtp.messages)
        path = f"/v1/alerts/{accepted['id']}/deliveries/{held['id']}/retry"
        ordered = await daemon.ask("POST", path)
        (again,) = (await daemon.settled(accepted["id"]))["deliveries"]
    assert (held["state"], held["due"], mails) == ("unknown", None, 1)
    assert "look by hand" in held["reason"]
    assert (ordered.status, again["state"], len(smtp.messages)) == (200, "sent", 2)


async def test_a_refusal_for_now_is_no_doubt(smtp: MailServer, tmp_path: Path) -> None:
    """A 451 proves that nothing was taken: the mail goes out later, once."""
    smtp.refusals = 2
    async with by_mail(smtp, tmp_path, "hold") as daemon:
        alert = await daemon.settled((await daemon.trigger(scenario()))["id"])
    (sent,) = alert["deliveries"]
    assert [one["outcome"] for one in sent["attempts"]] == ["not-sent", "not-sent", "accepted"]
    assert len(smtp.messages) == 1
