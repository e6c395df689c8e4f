"""The Bluesky stand-in, asked directly and through atproto's client."""

from __future__ import annotations

from typing import Any

import pytest
from atproto_client import AsyncClient, models
from atproto_client.exceptions import BadRequestError, RateLimitExceededError, UnauthorizedError

from broadcaster.sandbox import Sandbox
from broadcaster.sandbox.bluesky import tid
from broadcaster.sandbox.bluesky_blob import cid_of
from broadcaster.sandbox.bluesky_session import did_of
from tests.sandbox.client import POST, RKEY, Answer, Client, record

REPO = "/xrpc/com.atproto.repo."
SERVER = "/xrpc/com.atproto.server."


def uri(session: dict[str, Any]) -> str:
    """Return the address of the one post."""
    return f"at://{session['did']}/{POST}/{RKEY}"


async def get(client: Client, session: dict[str, Any]) -> Answer:
    """Read the one post, as anyone may."""
    query = {"repo": session["did"], "collection": POST, "rkey": RKEY}
    return await client.get("bluesky", f"{REPO}getRecord", params=query)


async def test_the_sdk_logs_in_posts_reads_and_deletes() -> None:
    """The library that the channel uses sees a PDS like any other; its clock is the machine's."""
    sandbox = Sandbox()
    await sandbox.start()
    client = AsyncClient(sandbox.networks["bluesky"])
    await client.login("stadt.example.org", "sandbox-app")
    assert client.me is not None
    did = client.me.did
    data = models.ComAtprotoRepoPutRecord.Data(
        repo=did, collection=POST, rkey=RKEY, record=record("Größe"), validate_=True
    )
    put = await client.com.atproto.repo.put_record(data)
    assert put.commit is not None
    again = await client.com.atproto.repo.put_record(data)
    assert (again.uri, again.cid, again.commit) == (put.uri, put.cid, None)
    query = models.ComAtprotoRepoGetRecord.Params(repo=did, collection=POST, rkey=RKEY)
    read = await client.com.atproto.repo.get_record(query)
    assert read.cid == put.cid
    await client.app.bsky.feed.post.delete(did, RKEY)
    with pytest.raises(BadRequestError, match="RecordNotFound"):
        await client.com.atproto.repo.get_record(query)
    session = await client.com.atproto.server.get_session()
    assert session.handle == "stadt.example.org"
    await client.request.close()
    await sandbox.close()


async def test_the_sdk_understands_the_refusals() -> None:
    """A wrong password, a rate limit and an expired token arrive as the SDK's own exceptions."""
    sandbox = Sandbox()
    await sandbox.start()
    client = AsyncClient(sandbox.networks["bluesky"])
    with pytest.raises(UnauthorizedError):
        await client.login("stadt.example.org", "real-password", fetch_bsky_profile=False)
    await client.login("stadt.example.org", "sandbox-app", fetch_bsky_profile=False)
    data = models.ComAtprotoRepoPutRecord.Data(
        repo=did_of("stadt.example.org"), collection=POST, rkey=RKEY, record=record("x")
    )
    from broadcaster.sandbox.faults import Fault

    sandbox.faults.put(Fault.model_validate({"network": "bluesky", "fault": "rate-limit"}))
    with pytest.raises(RateLimitExceededError) as limited:
        await client.com.atproto.repo.put_record(data)
    assert limited.value.retry_after == 5
    sandbox.faults.put(Fault.model_validate({"network": "bluesky", "fault": "expired-token"}))
    with pytest.raises(BadRequestError, match="ExpiredToken"):
        await client.com.atproto.repo.put_record(data)
    await client.request.close()
    await sandbox.close()


async def test_a_put_that_only_creates_never_overwrites(
    client: Client, bluesky: dict[str, Any]
) -> None:
    """With swapRecord null a second put is InvalidSwap and names what is there."""
    first = await client.put(bluesky, "eins")
    assert first.body["uri"] == uri(bluesky)
    for text in ("eins", "zwei"):
        again = await client.put(bluesky, text)
        assert (again.status, again.body["error"]) == (400, "InvalidSwap")
        assert again.body["message"] == f"Record was at {first.body['cid']}"
    assert [post["text"] for post in await client.posts("bluesky")] == ["eins"]


async def test_a_put_without_a_swap_overwrites_or_does_nothing(
    client: Client, bluesky: dict[str, Any]
) -> None:
    """The same record again has no commit; another one replaces it."""
    await client.put(bluesky, "eins")
    body = {"repo": bluesky["did"], "collection": POST, "rkey": RKEY}
    path, headers = f"{REPO}putRecord", bluesky["headers"]
    same = await client.post(
        "bluesky", path, json=body | {"record": record("eins")}, headers=headers
    )
    assert "commit" not in same.body
    other = await client.post(
        "bluesky", path, json=body | {"record": record("zwei")}, headers=headers
    )
    assert "commit" in other.body
    assert (await get(client, bluesky)).body["value"]["text"] == "zwei"


async def test_a_put_can_swap_the_record_it_names(client: Client, bluesky: dict[str, Any]) -> None:
    """A swap names the cid that must be there."""
    first = await client.put(bluesky, "eins")
    assert (await client.put(bluesky, "zwei", swapRecord=first.body["cid"])).status == 200
    assert (await client.put(bluesky, "drei", swapRecord=first.body["cid"])).status == 400
    path = tid(1)
    nowhere = await client.put(bluesky, "vier", rkey=path, swapRecord=first.body["cid"])
    assert nowhere.body["error"] == "InvalidSwap"


async def test_create_record_chooses_a_key_and_fails_on_one_that_is_taken(
    client: Client, bluesky: dict[str, Any]
) -> None:
    """A second record under one key is a 500, as on the reference PDS."""
    body = {"repo": bluesky["did"], "collection": POST, "record": record("eins")}
    path, headers = f"{REPO}createRecord", bluesky["headers"]
    made = await client.post("bluesky", path, json=body, headers=headers)
    rkey = made.body["uri"].rpartition("/")[2]
    assert len(rkey) == 13
    again = await client.post("bluesky", path, json=body | {"rkey": rkey}, headers=headers)
    assert again.status == 500
    assert len(await client.posts("bluesky")) == 1


async def test_the_cid_is_the_one_every_pds_computes(
    client: Client, bluesky: dict[str, Any]
) -> None:
    """DAG-CBOR sorts keys by length, so that the order of a record's fields does not matter."""
    shuffled = dict(reversed(record("eins").items()))
    assert cid_of(shuffled) == cid_of(record("eins"))
    # The empty map: one byte of CBOR, a0, whose sha256 everyone can compute.
    assert cid_of({}) == "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"
    assert (await client.put(bluesky, "eins")).body["cid"] == cid_of(record("eins"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record": record("x" * 301)}, "300 graphemes"),
        ({"record": record("👩‍👩‍👧" * 300)}, "3000 bytes"),
        ({"record": record("x", langs=["de", "en", "tr", "uk"])}, "langs"),
        ({"record": record("x", createdAt="gestern")}, "createdAt"),
        ({"record": record("x", createdAt="2026-11-22T01:49:00")}, "createdAt"),
        ({"record": {"$type": POST, "createdAt": "2026-11-22T01:49:00Z"}}, "text"),
        ({"record": record("x") | {"$type": "app.bsky.feed.like"}}, "$type"),
        ({"record": record("x", reply={"parent": {"uri": "at://a"}})}, "reply/root"),
        ({"record": "x"}, "object"),
        ({"record": record("\ud800")}, "text"),
        ({"rkey": "self"}, "TID"),
        ({"rkey": None}, "TID"),
        ({"collection": "app.bsky.feed.like"}, "Lexicon"),
    ],
)
async def test_a_record_is_held_against_the_lexicon(
    client: Client, bluesky: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    """What the lexicon does not allow is InvalidRequest, and nothing is posted."""
    answer = await client.put(bluesky, "x", **change)
    assert (answer.status, answer.body["error"]) == (400, "InvalidRequest")
    assert message in answer.body["message"]
    assert await client.posts("bluesky") == []


async def test_300_graphemes_fit_however_long_in_code_points(
    client: Client, bluesky: dict[str, Any]
) -> None:
    """What a reader takes for one character counts as one."""
    assert (await client.put(bluesky, "🇩🇪" * 300)).status == 200


async def test_another_accounts_repo_is_refused(client: Client, bluesky: dict[str, Any]) -> None:
    """A session writes to its own repo alone."""
    answer = await client.put(bluesky, "x", repo=did_of("other.example.org"))
    assert answer.status == 401


async def test_deleting_is_repeatable(client: Client, bluesky: dict[str, Any]) -> None:
    """What is not there can be deleted again, and then RecordNotFound is read."""
    await client.put(bluesky, "eins")
    body = {"repo": bluesky["did"], "collection": POST, "rkey": RKEY}
    for commit in (True, False):
        path, headers = f"{REPO}deleteRecord", bluesky["headers"]
        gone = await client.post("bluesky", path, json=body, headers=headers)
        assert gone.status == 200
        assert ("commit" in gone.body) is commit
    missing = await get(client, bluesky)
    assert (missing.status, missing.body["error"]) == (400, "RecordNotFound")
    assert (await client.posts("bluesky"))[0]["deleted"] is True


async def test_a_reply_names_the_post_it_answers(client: Client, bluesky: dict[str, Any]) -> None:
    """The public list knows what a reply answers."""
    first = (await client.put(bluesky, "eins")).body
    strong = {"uri": first["uri"], "cid": first["cid"]}
    reply = record("zwei", reply={"root": strong, "parent": strong})
    await client.put(bluesky, "zwei", rkey=tid(1_700_000_000_000_001), record=reply)
    assert (await client.posts("bluesky"))[1]["reply_to"] == first["uri"]


async def test_records_are_listed_newest_first_in_pages(
    client: Client, bluesky: dict[str, Any]
) -> None:
    """Anyone may list an account's posts by did or handle."""
    for n in range(3):
        await client.put(bluesky, f"Nr. {n}", rkey=tid(1_700_000_000_000_000 + n))
    query = {"repo": "stadt.example.org", "collection": POST, "limit": "2"}
    first = (await client.get("bluesky", f"{REPO}listRecords", params=query)).body
    assert [one["value"]["text"] for one in first["records"]] == ["Nr. 2", "Nr. 1"]
    query["cursor"] = first["cursor"]
    rest = (await client.get("bluesky", f"{REPO}listRecords", params=query)).body
    assert [one["value"]["text"] for one in rest["records"]] == ["Nr. 0"]
    assert "cursor" not in rest
    query["limit"] = "0"
    assert (await client.get("bluesky", f"{REPO}listRecords", params=query)).status == 400


async def test_logging_in_can_fail_on_purpose(client: Client) -> None:
    """A fault on login befalls createSession, not posting."""
    await client.fault("bluesky", "error-500", on="login")
    body = {"identifier": "stadt.example.org", "password": "sandbox-app"}
    path = f"{SERVER}createSession"
    statuses = [(await client.post("bluesky", path, json=body)).status for _ in range(2)]
    assert statuses == [500, 200]


def test_a_tid_sorts_as_its_time() -> None:
    """13 letters that sort like the microseconds they stand for."""
    moments = [1, 1_700_000_000_000_000, 1_700_000_000_000_001, (1 << 53) - 1]
    names = [tid(moment) for moment in moments]
    assert names == sorted(names)
    assert {len(name) for name in names} == {13}
    assert tid(0) == "2222222222222"
    assert tid(0, 33) == "2222222222233"


async def test_the_public_sees_what_is_public(client: Client, bluesky: dict[str, Any]) -> None:
    """Logged out: a post with its replies counted; not what is concealed, altered as it is."""

    async def seen() -> list[dict[str, Any]]:
        query = [("uris", uri(bluesky)), ("uris", "at://did:plc:x/app.bsky.feed.post/none")]
        found = await client.get("bluesky", "/xrpc/app.bsky.feed.getPosts", params=query)
        posts: list[dict[str, Any]] = found.body["posts"]
        return posts

    put = await client.put(bluesky, "Feuer")
    strong = {"uri": uri(bluesky), "cid": put.body["cid"]}
    answering = record("Entwarnung", reply={"root": strong, "parent": strong})
    await client.put(bluesky, "", rkey=tid(1_700_000_000_000_001), record=answering)
    (post,) = await seen()
    assert (post["record"]["text"], post["replyCount"]) == ("Feuer", 1)
    place = f"/_sandbox/posts/bluesky/{uri(bluesky)}"
    await client.ask("PUT", place, json={"text": "Etwas anderes"})
    assert [one["record"]["text"] for one in await seen()] == ["Etwas anderes"]
    await client.ask("PUT", place, json={"concealed": True})
    assert await seen() == []
    assert (await get(client, bluesky)).status == 200
    await client.ask("PUT", place, json={"deleted": True})
    assert (await get(client, bluesky)).status == 400


@pytest.mark.parametrize("most", [0, 26])
async def test_the_public_view_gives_few_posts_at_once(client: Client, most: int) -> None:
    """One to twenty-five."""
    query = [("uris", "at://x/y/z")] * most
    found = await client.get("bluesky", "/xrpc/app.bsky.feed.getPosts", params=query)
    assert found.status == 400


async def test_the_health_page_needs_no_session(client: Client) -> None:
    """It keeps connections warm."""
    assert "version" in (await client.get("bluesky", "/xrpc/_health")).body
