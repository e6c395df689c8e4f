"""The Mastodon stand-in, asked directly and through Mastodon.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from mastodon import Mastodon
from mastodon.errors import (
    MastodonAPIError,
    MastodonNotFoundError,
    MastodonRatelimitError,
    MastodonUnauthorizedError,
)

from broadcaster.sandbox import Sandbox
from broadcaster.sandbox.mastodon import content, length
from tests.kit import ManualClock
from tests.sandbox.client import TOKEN, Client


@pytest.fixture
async def library(sandbox: Sandbox) -> AsyncIterator[Mastodon]:
    """Give Mastodon.py, which blocks, so that it is called in a thread."""
    client = Mastodon(
        access_token="sandbox-stadt-dortmund",
        api_base_url=sandbox.networks["mastodon"],
        ratelimit_method="throw",
        request_timeout=10,
    )
    yield client
    client.session.close()


async def test_mastodon_py_posts_reads_and_deletes(library: Mastodon, client: Client) -> None:
    """The library that the channel uses sees a server like any other."""
    me = await asyncio.to_thread(library.account_verify_credentials)
    status = await asyncio.to_thread(
        library.status_post, "Größe", language="de", idempotency_key="k", visibility="public"
    )
    assert status.language == "de"
    assert status.account.id == me.id
    assert status.url == f"{client.sandbox.url}/mastodon/@stadt_dortmund/{status.id}"
    own = await asyncio.to_thread(library.account_statuses, me.id, limit=20)
    assert [one.id for one in own] == [status.id]
    await asyncio.to_thread(library.status_delete, status.id)
    assert await asyncio.to_thread(library.account_statuses, me.id) == []
    assert (await client.posts("mastodon"))[0]["deleted"] is True
    with pytest.raises(MastodonNotFoundError):
        await asyncio.to_thread(library.status_delete, status.id)


async def test_mastodon_py_reads_the_limits(library: Mastodon) -> None:
    """Length, links and media are told as Mastodon 4 tells them."""
    instance = await asyncio.to_thread(library.instance_v2)
    assert instance.configuration.statuses.max_characters == 500
    assert instance.configuration.statuses.characters_reserved_per_url == 23
    assert instance.version.startswith("4.")


async def test_mastodon_py_understands_the_refusals(library: Mastodon, client: Client) -> None:
    """401, 422 and 429 arrive as the exceptions the library has for them."""
    with pytest.raises(MastodonAPIError, match="character limit of 500"):
        await asyncio.to_thread(library.status_post, "x" * 501)
    await client.fault("mastodon", "expired-token")
    with pytest.raises(MastodonUnauthorizedError):
        await asyncio.to_thread(library.status_post, "x")
    await client.fault("mastodon", "rate-limit", seconds=7)
    with pytest.raises(MastodonRatelimitError):
        await asyncio.to_thread(library.status_post, "x")
    assert library.ratelimit_remaining == 0


async def test_a_repeated_key_is_the_same_status(client: Client) -> None:
    """The same key gives the first status again, whatever the text."""
    first = await client.toot("eins", "key")
    again = await client.toot("zwei", "key")
    assert again.body["id"] == first.body["id"]
    assert len(await client.posts("mastodon")) == 1


async def test_a_key_is_kept_for_an_hour(client: Client, clock: ManualClock) -> None:
    """After an hour the same key posts again, as on a real server."""
    await client.toot("eins", "key")
    clock.move(3599)
    await client.toot("eins", "key")
    assert len(await client.posts("mastodon")) == 1
    clock.move(1)
    await client.toot("eins", "key")
    assert len(await client.posts("mastodon")) == 2


async def test_a_key_belongs_to_its_account(client: Client) -> None:
    """Another account may use the same key."""
    await client.toot("eins", "key")
    headers = {"Authorization": "Bearer sandbox-other", "Idempotency-Key": "key"}
    form = {"status": "zwei"}
    await client.post("mastodon", "/api/v1/statuses", data=form, headers=headers)
    listed = await client.posts("mastodon")
    assert [post["account"] for post in listed] == ["stadt_dortmund", "other"]


async def test_the_key_of_a_deleted_status_finds_nothing(client: Client) -> None:
    """A repeat after a retraction posts nothing."""
    first = await client.toot("eins", "key")
    path = f"/mastodon/api/v1/statuses/{first.body['id']}"
    assert (await client.ask("DELETE", path, headers=TOKEN)).body["text"] == "eins"
    assert (await client.toot("eins", "key")).status == 404
    assert (await client.ask("GET", path)).status == 404


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"status": ""}, 422),
        ({"status": "  "}, 422),
        ({"status": "x" * 501}, 422),
        ({"status": "x" * 478 + " https://example.org/" + "y" * 300}, 422),
        ({"status": "x" * 476 + " https://example.org/" + "y" * 300}, 200),
        ({"status": "👩‍👩‍👧" * 500}, 200),
        ({"status": "x", "visibility": "secret"}, 422),
        ({"status": "x", "in_reply_to_id": "17"}, 404),
    ],
)
async def test_a_status_is_held_against_the_rules(
    client: Client, form: dict[str, str], status: int
) -> None:
    """500 characters, counted in graphemes, a link as 23; replies only to what is there."""
    answer = await client.post("mastodon", "/api/v1/statuses", data=form, headers=TOKEN)
    assert answer.status == status
    assert (status == 200) == ("error" not in answer.body)


async def test_a_status_may_come_as_json(client: Client) -> None:
    """Mastodon takes JSON as well as forms."""
    body = {"status": "eins", "language": "en"}
    answer = await client.post("mastodon", "/api/v1/statuses", json=body, headers=TOKEN)
    assert answer.body["language"] == "en"


async def test_own_statuses_are_paged_by_id(client: Client) -> None:
    """max_id goes back, min_id goes on from an id, and Link says both."""
    ids = [(await client.toot(f"Nr. {n}")).body["id"] for n in range(5)]
    me = (await client.get("mastodon", "/api/v1/accounts/verify_credentials", headers=TOKEN)).body
    path = f"/api/v1/accounts/{me['id']}/statuses"

    async def page(**query: str) -> list[str]:
        answer = await client.get("mastodon", path, params=query, headers=TOKEN)
        return [status["id"] for status in answer.body]

    assert await page(limit="2") == [ids[4], ids[3]]
    assert await page(limit="2", max_id=ids[3]) == [ids[2], ids[1]]
    assert await page(limit="2", min_id=ids[0]) == [ids[2], ids[1]]
    answer = await client.get("mastodon", path, params={"limit": "2"}, headers=TOKEN)
    older = answer.headers["Link"].partition(">")[0].lstrip("<")
    rest = await client.ask("GET", older, headers=TOKEN)
    assert [status["id"] for status in rest.body] == [ids[2], ids[1], ids[0]]


async def test_every_answer_says_how_much_is_left(client: Client) -> None:
    """The rate limit is counted down in the headers."""
    first, second = await client.toot("eins"), await client.toot("zwei")
    assert first.headers["X-RateLimit-Limit"] == "300"
    assert first.headers["X-RateLimit-Remaining"] == "299"
    assert second.headers["X-RateLimit-Remaining"] == "298"
    assert second.headers["X-RateLimit-Reset"] == "2026-11-22T01:54:00.000Z"


async def test_the_source_of_an_own_status_is_its_text(client: Client) -> None:
    """The text as it was written can be read by who wrote it."""
    status = await client.toot("5 < 6 & <b>")
    path = f"/api/v1/statuses/{status.body['id']}/source"
    assert (await client.get("mastodon", path, headers=TOKEN)).body["text"] == "5 < 6 & <b>"
    assert (await client.get("mastodon", path)).status == 404


def test_content_is_rendered_as_html() -> None:
    """Paragraphs, breaks and links become markup; markup becomes text."""
    assert content("a\nb\n\nc <b>") == "<p>a<br />b</p><p>c &lt;b&gt;</p>"
    assert content("siehe https://example.org/a.") == (
        '<p>siehe <a href="https://example.org/a" target="_blank" rel="nofollow noopener">'
        "https://example.org/a</a>.</p>"
    )
    assert content("hallo @wer") == '<p>hallo <span class="h-card">@<span>wer</span></span></p>'


def test_length_counts_as_mastodon_does() -> None:
    """A link is 23, of a mention of another server only its name counts."""
    assert length("https://example.org/" + "x" * 100) == 23
    assert length("@wer@example.org ja") == len("@wer ja")
    assert length("👩‍👩‍👧ä") == 2


async def test_the_public_sees_what_is_public(client: Client) -> None:
    """Logged out: a status with its replies counted; not what is concealed, altered as it is."""
    made = await client.toot("Feuer in Hörde")
    path = f"/api/v1/statuses/{made.body['id']}"
    await client.toot("Entwarnung", in_reply_to_id=made.body["id"])
    seen = await client.get("mastodon", path)
    assert (seen.status, seen.body["replies_count"]) == (200, 1)
    place = f"/_sandbox/posts/mastodon/{made.body['id']}"
    await client.ask("PUT", place, json={"text": "Etwas anderes"})
    assert "Etwas anderes" in (await client.get("mastodon", path)).body["content"]
    await client.ask("PUT", place, json={"concealed": True})
    assert (await client.get("mastodon", path)).status == 404
    assert (await client.get("mastodon", path, headers=TOKEN)).status == 200
    other = {"Authorization": "Bearer sandbox-another"}
    assert (await client.get("mastodon", path, headers=other)).status == 404
    await client.ask("PUT", place, json={"deleted": True})
    assert (await client.get("mastodon", path, headers=TOKEN)).status == 404


async def test_the_health_page_needs_no_token(client: Client) -> None:
    """It keeps connections warm."""
    assert (await client.get("mastodon", "/health")).raw == b"OK"
    assert (await client.ask("HEAD", "/mastodon/health")).status == 200
