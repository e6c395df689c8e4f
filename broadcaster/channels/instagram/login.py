"""Instagram's two set-ups: their addresses, what a person agrees to, and what each cannot do."""

from __future__ import annotations

from collections.abc import Collection

SITE = "https://www.instagram.com"
CODE_HOST = "https://api.instagram.com"
FACEBOOK_SITE = "https://www.facebook.com"
HOSTS = {"instagram": "https://graph.instagram.com", "facebook": "https://graph.facebook.com"}
SCOPES = {
    "instagram": (
        "instagram_business_basic",
        "instagram_business_content_publish",
        "instagram_business_manage_comments",
        "instagram_business_manage_insights",
    ),
    "facebook": (
        "instagram_basic",
        "instagram_content_publish",
        "instagram_manage_comments",
        "instagram_manage_contents",
        "instagram_manage_insights",
        "pages_read_engagement",
        "pages_show_list",
    ),
}
PUBLISHING = {
    "instagram": "instagram_business_content_publish",
    "facebook": "instagram_content_publish",
}
_NEEDED_FOR = {
    "instagram_manage_comments": "comment",
    "instagram_manage_contents": "take posts down",
}
ADVICE = {
    "instagram": (
        "The app at developers.facebook.com needs the product Instagram with Instagram Login, its"
        " own app id and secret, and this redirect address; the account must be a professional one."
    ),
    "facebook": (
        "The app at developers.facebook.com needs the products Instagram and Facebook Login and"
        " this redirect address; the account must be a professional one, linked to a Page."
    ),
}


def addresses(login: str, base: str, version: str) -> dict[str, str]:
    """Return what `meta_login.Login` asks for; all at `base` where that is not Meta's own."""
    real = base == HOSTS[login]
    if login == "facebook":
        exchange = f"{base}/{version}/oauth/access_token"
        return {
            "page": f"{FACEBOOK_SITE if real else base}/{version}/dialog/oauth",
            "code_url": exchange,
            "long_url": exchange,
            "grant_type": "fb_exchange_token",
        }
    return {
        "page": f"{SITE if real else base}/oauth/authorize",
        "code_url": f"{CODE_HOST if real else base}/oauth/access_token",
        "long_url": f"{base}/access_token",
        "grant_type": "ig_exchange_token",
    }


def cannot(granted: Collection[str]) -> list[str]:
    """Say in a few words what a token from Facebook Login with these permissions cannot do."""
    return [f"{what} (no {scope})" for scope, what in _NEEDED_FOR.items() if scope not in granted]
