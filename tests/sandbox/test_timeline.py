"""The pages as a citizen sees them."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from broadcaster.sandbox import EVERY, Sandbox
from broadcaster.sandbox.posts import Post, account
from broadcaster.sandbox.timeline import linked
from tests.sandbox.client import TOKEN, Client, picture


async def page(client: Client, path: str = "/") -> str:
    """Read a page."""
    answer = await client.ask("GET", path)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    return answer.raw.decode()


class Balance(HTMLParser):
    """Notes tags that are closed in another order than they were opened."""

    VOID = frozenset({"meta", "link", "br", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, _attributes: Any) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"{tag} at {self.getpos()}")


async def fill(client: Client, bluesky: dict[str, Any]) -> None:
    """Post something of every sort."""
    first = await client.toot("Feuer\nin Hörde", language="de")
    await client.toot("Entwarnung", in_reply_to_id=first.body["id"])
    gone = await client.tweet("Falscher Alarm")
    await client.ask("DELETE", f"/x/2/tweets/{gone.body['data']['id']}", headers=TOKEN)
    await client.put(bluesky, "Feuer https://example.org/a")
    await client.event()
    await client.post("on-call", "/first", json={"title": "Warnung", "message": "nicht gesendet"})
    await client.fault("x", "lost-answer", times=3)


async def test_the_page_of_all_shows_every_network(client: Client, bluesky: dict[str, Any]) -> None:
    """Posts, replies, deletions, links, signatures and faults are there without script."""
    await fill(client, bluesky)
    whole = await page(client)
    for shown in (
        "Feuer\nin Hörde",
        "Stadt Dortmund",
        "@stadt_dortmund",
        '<span class="language" title="Language">de</span>',
        ">02:49:00</time>",
        "Reply to",
        "Deleted by its account",
        "Falscher Alarm",
        '<a href="https://example.org/a" rel="noopener nofollow">',
        "signature not verified",
        "Nr. 26-1/1",
        "<b>lost-answer</b> on x, 3 times",
        "No mail yet.",
        "nicht gesendet",
        '<noscript><meta http-equiv="refresh"',
    ):
        assert shown in whole
    balance = Balance()
    balance.feed(whole)
    assert (balance.faults, balance.open) == ([], [])


@pytest.mark.parametrize("network", EVERY)
async def test_every_network_has_a_page_of_its_own(client: Client, network: str) -> None:
    """`/N/` shows one network; `/N` leads there."""
    whole = await page(client, f"/{network}/")
    assert whole.count('<section class="feed') == 1
    assert f'<section class="feed {network}"' in whole
    moved = await client.ask("GET", f"/{network}")
    assert (moved.status, moved.headers["Location"]) == (301, f"/{network}/")


async def test_markup_in_a_post_is_text(client: Client) -> None:
    """What anyone writes is shown, never run."""
    await client.toot("<script>alert(1)</script> & 'O'")
    await client.event('"><img src=x>')
    whole = await page(client)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in whole
    assert "<img" not in whole
    assert whole.count("<script") == 1


async def test_half_a_character_does_not_break_the_page(client: Client) -> None:
    """JSON can hold what no page can; it is shown as question marks."""
    data = b'{"type": "alert.issued", "data": {"info": [{"headline": "\\ud800 Feuer"}]}}'
    await client.post("webhook", "/fire-brigade", data=data)
    assert "? Feuer" in await page(client)


async def test_the_address_of_a_status_leads_to_its_place(client: Client) -> None:
    """The URL in a receipt can be followed."""
    status = (await client.toot("Feuer")).body
    answer = await client.ask("GET", status["url"])
    assert (answer.status, answer.headers["Location"]) == (302, f"/mastodon/#post-{status['id']}")
    assert f'id="post-{status["id"]}"' in await page(client, "/mastodon/")
    assert (await client.ask("GET", f"{status['url']}0")).status == 404


async def test_the_newest_post_comes_first_and_a_page_is_bounded(client: Client) -> None:
    """A page shows a hundred posts, and counts all."""
    for n in range(103):
        await client.event(key=f"k{n}")
    whole = await page(client, "/webhook/")
    assert whole.count("<article") == 100
    assert '<span class="count" id="count-webhook" data-live>103</span>' in whole


async def test_the_page_loads_nothing_from_anywhere(client: Client) -> None:
    """A strict policy: the page's own style and script, and its own server."""
    answer = await client.ask("GET", "/")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "img-src 'self'; media-src 'self'" in policy
    assert "https://" not in answer.raw.decode()


def a_post(sandbox: Sandbox, identity: str, text: str = "Feuer", **more: Any) -> Post:
    """Put a post on Facebook, as its stand-in would."""
    author = account("sandbox-stadt-dortmund")
    post = Post("facebook", identity, author, text, sandbox.posts.clock.now(), **more)
    return sandbox.posts.add(post)


async def test_a_card_is_shown_with_its_alt_text(sandbox: Sandbox, client: Client) -> None:
    """The picture comes from the sandbox in its own size, and what the blind hear can be read."""
    card = sandbox.pictures.keep(picture(40, 30), "image/png")
    a_post(sandbox, "1", media=[{"id": card, "alt": 'Großbrand: "Fenster" schließen'}])
    a_post(sandbox, "2", media=[{"id": card, "alt": ""}])
    whole = await page(client, "/facebook/")
    source = f'<img src="/_sandbox/pictures/{card}"'
    alt = "Großbrand: &#34;Fenster&#34; schließen"
    assert f'{source} alt="{alt}" width="40" height="30" loading="lazy">' in whole
    assert f'<summary lang="en">Alt text</summary><p dir="auto">{alt}</p>' in whole
    assert whole.count("no alt text") == 1
    (shown, _) = await client.posts("facebook")
    assert shown["media"][0]["url"] == f"/_sandbox/pictures/{card}"


async def test_a_picture_that_is_not_kept_any_more_is_said(
    sandbox: Sandbox, client: Client
) -> None:
    """Memory is bounded; the page says so instead of showing a broken picture."""
    a_post(sandbox, "1", media=[{"id": "gone", "alt": "Karte"}])
    whole = await page(client, "/facebook/")
    assert "The picture is not kept any more." in whole
    assert "<img" not in whole


async def test_a_video_is_shown_with_its_title(sandbox: Sandbox, client: Client) -> None:
    """A clip can be played."""
    clip = sandbox.pictures.keep(b"clip", "video/mp4")
    details = {"title": "Großbrand in Hörde"}
    a_post(sandbox, "1", media=[{"id": clip, "alt": ""}], details=details)
    whole = await page(client, "/facebook/")
    assert f'<video src="/_sandbox/pictures/{clip}" controls muted' in whole
    assert "<strong>Großbrand in Hörde</strong>" in whole
    assert "no alt text" not in whole


async def test_comments_stand_under_their_post(sandbox: Sandbox, client: Client) -> None:
    """A comment is no post of its own, except where its post is gone from memory."""
    a_post(sandbox, "1", "Feuer")
    a_post(sandbox, "2", "Entwarnung", reply_to="1", details={"kind": "comment"})
    a_post(sandbox, "3", "verwaist", reply_to="0", details={"kind": "comment"})
    whole = await page(client, "/facebook/")
    assert whole.count("<article") == 2
    under = whole.partition('<ol class="comments"')[2].partition("</ol>")[0]
    assert "Entwarnung" in under
    assert "verwaist" not in under
    assert 'id="post-2"' in under


async def test_edited_and_hidden_posts_are_marked(sandbox: Sandbox, client: Client) -> None:
    """A citizen sees that a text was changed; the page also shows what no citizen sees."""
    a_post(sandbox, "1", edited=True)
    assert ">edited</span>" in await page(client, "/facebook/")
    body = {"concealed": True}
    assert (await client.ask("PUT", "/_sandbox/posts/facebook/1", json=body)).status == 200
    whole = await page(client, "/facebook/")
    assert 'class="post concealed"' in whole
    assert "Hidden by the network" in whole


def test_links_end_before_punctuation() -> None:
    """A full stop after a link ends the sentence, not the address."""
    assert linked("siehe https://a.example/b?x=1&y=2.") == (
        'siehe <a href="https://a.example/b?x=1&amp;y=2" rel="noopener nofollow">'
        "https://a.example/b?x=1&amp;y=2</a>."
    )
