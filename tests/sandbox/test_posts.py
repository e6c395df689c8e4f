"""What the stand-ins remember, and for how long."""

from __future__ import annotations

import pytest

from broadcaster.sandbox import posts as room
from broadcaster.sandbox.posts import Post, Posts, account
from tests.kit import ManualClock


def post(identity: str, network: str = "x") -> Post:
    """Return a post."""
    return Post(network, identity, account("sandbox-a"), identity, ManualClock().now())


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every network the newest posts, marks, keys and calls are kept."""
    monkeypatch.setattr(room, "POSTS_KEPT", 3)
    monkeypatch.setattr(room, "KEYS_KEPT", 3)
    posts = Posts(["x", "mail"], ManualClock())
    for n in range(10):
        posts.add(post(str(n)), mark=n)
        posts.name("x", posts.begin("x", None), str(n))
    posts.add(post("a", "mail"))
    assert [one.id for one in posts.of("x")] == ["7", "8", "9"]
    assert (posts.marked("x", 6), posts.marked("x", 7)) == (None, posts.get("x", "7"))
    assert len(posts.calls("x").keys) == 3
    assert posts.calls("x").creates == 10
    assert [one.id for one in posts.all(["mail", "x"])] == ["7", "8", "9", "a"]


def test_an_account_is_named_by_its_token() -> None:
    """The same token is the same account, and people can read its name."""
    one = account("sandbox-stadt-dortmund")
    assert (one.handle, one.name, one.initials) == ("stadt_dortmund", "Stadt Dortmund", "SD")
    assert one == account("sandbox-stadt-dortmund")
    assert one.number != account("sandbox-stadt-essen").number
    assert account("stadt-dortmund.example.org").name == "Stadt Dortmund"
    assert account("sandbox-").name == "Account"


@pytest.mark.parametrize(
    ("value", "good"), [("ä😀", True), ("", True), ("\ud800", False), (1, False), (None, False)]
)
def test_half_a_character_is_no_text(value: object, good: bool) -> None:  # noqa: FBT001
    """JSON can hold what cannot be shown."""
    assert room.is_text(value) is good
