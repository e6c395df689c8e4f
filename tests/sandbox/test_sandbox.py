"""The sandbox as a whole: its surface, its switches, and that it stays on this machine."""

from __future__ import annotations

import json

import aiohttp
import pytest

from broadcaster.sandbox import NETWORKS, Sandbox
from tests.kit import ManualClock
from tests.sandbox.client import TOKEN, Client


def test_the_ready_line_names_every_network_and_the_mail_server(sandbox: Sandbox) -> None:
    """One line of JSON tells a program where everything is."""
    ready = json.loads(sandbox.ready_line())
    assert "\n" not in sandbox.ready_line()
    assert ready["networks"] == {name: f"{sandbox.url}/{name}" for name in NETWORKS}
    assert ready["smtp"] == f"127.0.0.1:{sandbox.smtp_port}"


async def test_mail_listens_on_the_next_free_port() -> None:
    """The mail server takes the first free port after the other networks'."""
    first, second = Sandbox(), Sandbox()
    await first.start()
    port = int(first.url.rpartition(":")[2])
    assert first.smtp_port > port
    await second.start()
    assert second.smtp_port not in {port, first.smtp_port}
    await first.close()
    await second.close()


async def test_a_sandbox_can_be_started_on_a_given_port_again_once_closed() -> None:
    """Closing gives the port back at once."""
    one = Sandbox()
    await one.start()
    port = int(one.url.rpartition(":")[2])
    await one.close()
    again = Sandbox()
    await again.start(port)
    assert again.url.endswith(f":{port}")
    await again.close()


def test_it_listens_on_loopback_alone(sandbox: Sandbox) -> None:
    """Nobody outside this machine can reach a stand-in."""
    assert sandbox.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize("token", ["Bearer real-token", "Bearer sandbox", "Basic eDp5", ""])
async def test_a_real_token_is_refused(client: Client, token: str) -> None:
    """A token that does not begin with sandbox- can never have been meant for a stand-in."""
    headers = {"Authorization": token}
    form = {"status": "hi"}
    answers = [
        await client.post("x", "/2/tweets", json={"text": "hi"}, headers=headers),
        await client.get("x", "/2/users/me", headers=headers),
        await client.post("mastodon", "/api/v1/statuses", data=form, headers=headers),
        await client.get("mastodon", "/api/v1/accounts/verify_credentials", headers=headers),
    ]
    assert [answer.status for answer in answers] == [401] * 4


async def test_posts_are_listed_in_order_with_all_their_fields(client: Client) -> None:
    """A reader finds network, id, text, language, time, key, reply, media and deletion."""
    first = await client.toot("eins", "key-1", language="de")
    await client.tweet("zwei")
    await client.toot("drei", in_reply_to_id=first.body["id"])
    listed = (await client.ask("GET", "/_sandbox/posts")).body
    assert [post["text"] for post in listed] == ["eins", "zwei", "drei"]
    assert listed[0] == {
        "network": "mastodon",
        "id": first.body["id"],
        "account": "stadt_dortmund",
        "text": "eins",
        "first_text": "eins",
        "language": "de",
        "created": "2026-11-22T01:49:00+00:00",
        "key": "key-1",
        "reply_to": None,
        "media": [],
        "deleted": False,
        "edited": False,
        "concealed": False,
    }
    assert listed[2]["reply_to"] == first.body["id"]


async def test_a_network_that_there_is_not_is_a_problem(client: Client) -> None:
    """A slip in a network's name is told, not answered with nothing."""
    answer = await client.ask("GET", "/_sandbox/posts", params={"network": "myspace"})
    assert (answer.status, answer.body["code"]) == (404, "no-such-network")


async def test_a_post_can_be_hidden_altered_and_taken_away(
    sandbox: Sandbox, client: Client
) -> None:
    """What happens to a post behind its account's back: the public sees it, or no more of it."""
    post = (await client.toot("Feuer")).body["id"]

    async def put(**change: object) -> tuple[int, dict[str, object]]:
        changed = await client.ask("PUT", f"/_sandbox/posts/mastodon/{post}", json=change)
        return changed.status, changed.body

    status, shown = await put(text="Kein Feuer")
    assert (status, shown["text"], shown["edited"]) == (200, "Kein Feuer", False)
    status, shown = await put(concealed=True)
    assert (status, shown["text"], shown["concealed"]) == (200, "Kein Feuer", True)
    assert sandbox.posts.get("mastodon", post)
    assert sandbox.posts.public("mastodon", post) is None
    await put(concealed=False)
    assert sandbox.posts.public("mastodon", post)
    await put(deleted=True)
    assert sandbox.posts.get("mastodon", post) is None
    await put(deleted=False)
    assert sandbox.posts.public("mastodon", post)


async def test_a_post_of_bluesky_is_named_by_its_address(
    client: Client, bluesky: dict[str, str]
) -> None:
    """An id with slashes can be changed too, and is read back changed."""
    uri = (await client.put(bluesky, "Feuer")).body["uri"]
    changed = await client.ask("PUT", f"/_sandbox/posts/bluesky/{uri}", json={"text": "anders"})
    assert changed.status == 200
    query = dict(zip(("repo", "collection", "rkey"), uri.split("/")[2:], strict=True))
    read = await client.get("bluesky", "/xrpc/com.atproto.repo.getRecord", params=query)
    assert read.body["value"]["text"] == "anders"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("mastodon/0", {"text": "x"}, 404),
        ("myspace/0", {"text": "x"}, 404),
        ("x/POST", {"txet": "x"}, 422),
        ("x/POST", {"concealed": "perhaps"}, 422),
        ("x/POST", [], 422),
    ],
)
async def test_a_change_that_is_not_understood_is_a_problem(
    client: Client, path: str, body: object, status: int
) -> None:
    """Slips are told, and nothing is changed."""
    post = (await client.tweet("Feuer")).body["data"]["id"]
    path = f"/_sandbox/posts/{path.replace('POST', post)}"
    answer = await client.ask("PUT", path, json=body)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (await client.posts("x"))[0]["text"] == "Feuer"


async def test_clearing_forgets_posts_keys_and_counts(client: Client) -> None:
    """After a clear, the same key posts again and the counts begin at zero."""
    await client.toot("eins", "key-1")
    await client.tweet("eins")
    await client.ask("DELETE", "/_sandbox/posts", params={"network": "mastodon"})
    assert await client.posts("mastodon") == []
    assert len(await client.posts("x")) == 1
    assert (await client.toot("zwei", "key-1")).body["content"] == "<p>zwei</p>"
    await client.ask("DELETE", "/_sandbox/posts")
    assert await client.posts("x") == []
    assert (await client.tweet("eins")).status == 201


async def test_requests_are_counted_with_their_repeats(client: Client) -> None:
    """The receiving side counts what reached it: calls, keys, and repeats of a key."""
    await client.toot("eins", "key-1")
    await client.toot("eins", "key-1")
    await client.toot("zwei", "key-2")
    await client.fault("mastodon", "error-500")
    await client.toot("drei", "key-3")
    counts = (await client.ask("GET", "/_sandbox/requests", params={"network": "mastodon"})).body
    newest = counts.pop("newest")
    assert counts == {"network": "mastodon", "creates": 4, "distinct_keys": 2, "repeats": 1}
    assert [call["key"] for call in newest] == ["key-1", "key-1", "key-2", None]
    assert newest[3]["fault"] == "error-500"
    every = (await client.ask("GET", "/_sandbox/requests")).body
    assert [one["network"] for one in every][:2] == ["mastodon", "bluesky"]


@pytest.mark.parametrize("network", ["x", "mastodon"])
async def test_a_hidden_post_is_off_its_accounts_list_for_so_long(
    client: Client, clock: ManualClock, network: str
) -> None:
    """A network may hide a post from its own list; the public page shows it all the same."""
    hide = {"network": network, "seconds": 60}
    assert (await client.ask("PUT", "/_sandbox/hide", json=hide)).body == {network: 60}
    if network == "x":
        await client.tweet("verborgen")
        me = await client.get("x", "/2/users/me", headers=TOKEN)
        path = f"/2/users/{me.body['data']['id']}/tweets"
    else:
        await client.toot("verborgen")
        me = await client.get("mastodon", "/api/v1/accounts/verify_credentials", headers=TOKEN)
        path = f"/api/v1/accounts/{me.body['id']}/statuses"
    hidden = await client.get(network, path, headers=TOKEN)
    assert b"verborgen" not in hidden.raw
    assert len(await client.posts(network)) == 1
    clock.move(60)
    assert b"verborgen" in (await client.get(network, path, headers=TOKEN)).raw


@pytest.mark.parametrize(
    "body",
    [{"network": "mail", "seconds": 5}, {"network": "x"}, {"network": "x", "seconds": -1}, []],
)
async def test_a_hide_that_cannot_be_is_refused(client: Client, body: object) -> None:
    """A switch that would do nothing says so."""
    answer = await client.ask("PUT", "/_sandbox/hide", json=body)
    assert answer.status == 422
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_closing_ends_a_request_that_hangs(session: aiohttp.ClientSession) -> None:
    """A sandbox with a hanging request still closes."""
    sandbox = Sandbox()
    await sandbox.start()
    client = Client(sandbox, session)
    await client.fault("x", "hang")
    timeout = aiohttp.ClientTimeout(total=0.2)
    with pytest.raises(TimeoutError):
        await client.post("x", "/2/tweets", json={"text": "hi"}, headers=TOKEN, timeout=timeout)
    await sandbox.close()
    assert len(sandbox.posts.of("x")) == 1
