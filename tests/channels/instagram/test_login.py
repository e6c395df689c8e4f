"""Instagram's two set-ups, told apart by their addresses and by what they cannot do."""

from __future__ import annotations

import pytest

from broadcaster.channels.instagram.login import HOSTS, PUBLISHING, SCOPES, addresses, cannot


@pytest.mark.parametrize("login", ["instagram", "facebook"])
def test_each_login_goes_to_metas_own_addresses(login: str) -> None:
    """Consent, code and long token are three places, all of them Meta's."""
    found = addresses(login, HOSTS[login], "v25.0")
    places = [found[name] for name in ("page", "code_url", "long_url")]
    assert all(place.startswith("https://") for place in places)
    assert all("instagram.com/" in place or "facebook.com/" in place for place in places)
    assert found["grant_type"] == {"instagram": "ig", "facebook": "fb"}[login] + "_exchange_token"


@pytest.mark.parametrize("login", ["instagram", "facebook"])
def test_another_server_gets_every_step(login: str) -> None:
    """With base_url set, no request of a test or a demo reaches Meta."""
    found = addresses(login, "http://127.0.0.1:9", "v25.0")
    grant_type = found.pop("grant_type")
    assert grant_type.endswith("_exchange_token")
    assert all(place.startswith("http://127.0.0.1:9/") for place in found.values())


def test_what_is_not_granted_is_named_with_what_it_is_for() -> None:
    """A person reads which permission to grant, and what it would open."""
    assert cannot(SCOPES["facebook"]) == []
    assert all(PUBLISHING[login] in SCOPES[login] for login in SCOPES)
    assert cannot({"instagram_manage_comments"}) == [
        "take posts down (no instagram_manage_contents)"
    ]
    assert len(cannot(())) == 2
