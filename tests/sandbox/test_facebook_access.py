"""Tokens, versions and the error envelope of the Facebook stand-in."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from broadcaster.sandbox import facebook_access as access
from broadcaster.sandbox.posts import account

NOW = datetime(2026, 11, 22, tzinfo=UTC)
TOKEN = "sandbox-stadt"


@pytest.mark.parametrize("token", ["", "sandbox-", "EAABreal", "sandbox-a b", "sandbox-a..b"])
def test_only_the_stand_ins_own_tokens_are_read(token: str) -> None:
    """A real token can never have been meant for it."""
    assert access.access_of(token, NOW) is None


def test_every_token_of_a_page_is_of_the_same_page() -> None:
    """What stands behind the dots changes what it may do, not whose it is."""
    for mark in ("", ".user", ".expired", ".days-5", ".without-pages_manage_posts", ".user.days-1"):
        found = access.access_of(TOKEN + mark, NOW)
        assert found is not None
        assert found.page == account(TOKEN)
        assert found.page_id == str(account(TOKEN).number)


def test_the_marks_of_a_token_say_what_it_may() -> None:
    """A person's, one that ends, one that has ended, and one without a permission."""
    good, user, ends, over, less = (
        access.access_of(TOKEN + mark, NOW)
        for mark in ("", ".user", ".days-5", ".expired", ".without-pages_manage_posts")
    )
    assert good
    assert (good.user, good.expires, good.valid, good.scopes) == (False, None, True, access.SCOPES)
    assert user
    assert user.user
    assert ends
    assert (ends.valid, ends.expires) == (True, NOW + timedelta(days=5))
    assert over
    assert not over.valid
    assert less
    assert set(access.SCOPES) - set(less.scopes) == {"pages_manage_posts"}


@pytest.mark.parametrize(
    ("asked", "served"),
    [("v25.0", "v25.0"), ("v23.0", "v23.0"), ("v12.0", "v23.0"), ("v27.0", None), ("v1", None)],
)
def test_an_old_version_is_served_by_the_oldest_there_is(asked: str, served: str | None) -> None:
    """One that never was is not served."""
    assert access.served(asked, NOW) == served


def test_a_version_ends_on_its_day() -> None:
    """Then the next one answers."""
    ends = access.VERSIONS["v25.0"]
    assert access.served("v25.0", ends - timedelta(seconds=1)) == "v25.0"
    assert access.served("v25.0", ends) == "v26.0"


def test_an_error_is_graphs_envelope() -> None:
    """With what is known of it, and nothing else."""
    refused = access.error(100, "m", subcode=33, transient=False, title="T", advice="A")
    assert isinstance(refused.body, bytes)
    said = json.loads(refused.body)["error"]
    assert said.pop("fbtrace_id")
    assert said == {
        "message": "m",
        "type": "OAuthException",
        "code": 100,
        "error_subcode": 33,
        "is_transient": False,
        "error_user_title": "T",
        "error_user_msg": "A",
    }
