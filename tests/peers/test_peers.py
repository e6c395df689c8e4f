"""The real servers that other tests lean on do what they are leaned on for."""

from __future__ import annotations

import smtplib
import urllib.error
from email.message import EmailMessage

import psycopg
import pytest

from tests.peers.pds import DataServer
from tests.peers.postgres import PostgresServer
from tests.peers.smtp import MailServer


def mail_with_umlauts() -> EmailMessage:
    """Make a small mail whose subject and body are not ASCII."""
    message = EmailMessage()
    message["From"] = "leitstelle@example.org"
    message["To"] = "presse@example.org"
    message["Subject"] = "Großbrand in Hörde"
    message.set_content("Fenster und Türen schließen.\n")
    return message


def test_each_test_has_an_empty_database_of_its_own(
    postgres: PostgresServer, postgres_url: str
) -> None:
    """Two fresh databases of one server do not see each other's tables."""
    other = postgres.fresh_database()
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE alert (id int)")
    with psycopg.connect(other) as connection:
        tables = connection.execute("SELECT to_regclass('alert')").fetchone()
    postgres.drop(other)
    assert tables == (None,)


def test_what_postgresql_committed_outlives_its_kill(
    postgres: PostgresServer, postgres_url: str
) -> None:
    """A committed row is there after kill -9 and restart, so the server really syncs."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE alert AS SELECT 7 AS id")
    postgres.kill()
    postgres.start()
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT id FROM alert").fetchall() == [(7,)]


def login(pds: DataServer, password: str) -> dict[str, object]:
    """Open a session, as every client of the server begins."""
    account = {"identifier": pds.handle, "password": password}
    return pds.call("com.atproto.server.createSession", account)


def test_the_bluesky_server_knows_its_account_after_a_kill(pds: DataServer) -> None:
    """The account outlives kill -9 and restart at the same address."""
    before = login(pds, pds.password)["did"]
    pds.kill()
    with pytest.raises(urllib.error.URLError):
        login(pds, pds.password)
    pds.restart()
    assert before == pds.did == login(pds, pds.password)["did"]


def test_the_bluesky_server_refuses_a_wrong_password(pds: DataServer) -> None:
    """It is a real server: it answers 401 to a password that is not the account's."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        login(pds, "not-the-password")
    refused.value.close()
    assert refused.value.code == 401


def test_the_mail_server_keeps_what_it_took(smtp: MailServer) -> None:
    """A mail arrives with its umlauts, after a login."""
    with smtplib.SMTP(smtp.host, smtp.port, timeout=10) as client:
        client.login(smtp.user, smtp.password)
        client.send_message(mail_with_umlauts())
    (arrived,) = smtp.messages
    assert arrived["Subject"] == "Großbrand in Hörde"
    assert arrived.get_content().strip() == "Fenster und Türen schließen."


def test_the_mail_server_can_lose_its_answer(smtp: MailServer) -> None:
    """The mail is taken, and the client sees only that the connection is gone."""
    smtp.lost_answers = 1
    client = smtplib.SMTP(smtp.host, smtp.port, timeout=10)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        client.send_message(mail_with_umlauts())
    client.close()
    assert len(smtp.messages) == 1


def test_the_mail_server_can_refuse_for_now(smtp: MailServer) -> None:
    """A 451 is a refusal: nothing is taken."""
    smtp.refusals = 1
    with (
        smtplib.SMTP(smtp.host, smtp.port, timeout=10) as client,
        pytest.raises(smtplib.SMTPDataError, match="451"),
    ):
        client.send_message(mail_with_umlauts())
    assert smtp.messages == []
