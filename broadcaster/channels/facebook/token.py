"""The token of a Facebook Page: what Facebook says it is good for, and how a person gets one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from yarl import URL

from broadcaster.channels import Setup, http
from broadcaster.channels.facebook.post import SITE
from broadcaster.channels.meta import graph
from broadcaster.channels.tokens import Grant
from broadcaster.delivery import NeedsPerson, Unknown

GRAPH = "https://graph.facebook.com"
ACCOUNTS_PAGES_MAX = 20  # of a person's Pages, a hundred each
TO_POST = ("pages_manage_posts", "pages_read_engagement")
TO_COMMENT = ("pages_manage_engagement",)
SCOPES = (*TO_POST, *TO_COMMENT, "pages_read_user_engagement", "pages_show_list")
ADVICE = (
    "The app at developers.facebook.com needs the product Facebook Login and this redirect address;"
    " the person who agrees needs full control of the Page."
)


@dataclass(frozen=True, slots=True, repr=False)
class Flow:
    """The way from a person's consent to the Page's token."""

    setup: Setup
    base_url: str
    version: str
    page: str
    app_id: str
    app_secret: str

    def authorize(self, redirect: str, state: str) -> str:
        """Give the page on which the person agrees."""
        site = SITE if self.base_url == GRAPH else self.base_url
        query = {
            "client_id": self.app_id,
            "redirect_uri": redirect,
            "state": state,
            "response_type": "code",
            "scope": ",".join(SCOPES),
        }
        return f"{site}/{self.version}/dialog/oauth?{urlencode(query)}"

    async def exchange(self, code: str, redirect: str) -> Grant:
        """Make the Page's token of the code: by way of the person's, of an hour and of 60 days."""
        client = http.Client(self.setup.timing)
        app = {"client_id": self.app_id, "client_secret": self.app_secret}
        try:
            short = await self._user_token(client, app | {"code": code, "redirect_uri": redirect})
            grant = {"grant_type": "fb_exchange_token", "fb_exchange_token": short}
            token = await self._page_token(client, await self._user_token(client, app | grant))
        finally:
            await client.close()
        return Grant(token, obtained=self.setup.clock.now())

    async def _user_token(self, client: http.Client, query: Mapping[str, str]) -> str:
        said = await self._ask(client, "oauth/access_token", query, {})
        return _word(said.get("access_token"))

    async def _page_token(self, client: http.Client, token: str) -> str:
        query = {"fields": "id,name,access_token", "limit": "100"}
        headers = {"Authorization": f"Bearer {token}"}
        for _ in range(ACCOUNTS_PAGES_MAX):
            page = graph.page_of(await self._ask(client, "me/accounts", query, headers))
            if page is None:
                raise Unknown("Facebook answered, but not with a list of Pages")
            if mine := [row for row in page.rows if row["id"] == self.page]:
                return _word(mine[0].get("access_token"))
            if page.after is None:
                break
            query["after"] = page.after
        raise NeedsPerson(f"the person who agreed does not manage the Page {self.page}")

    async def _ask(
        self, client: http.Client, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        url = URL(f"{self.base_url}/{self.version}/{path}?{urlencode(query)}", encoded=True)
        answer = await client.get(url, headers)
        if answer.status != 200:
            raise graph.failure_for(answer, "Facebook", self.setup.clock.now())
        return http.as_object(answer)


def _word(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[!-~]{1,4000}", value):
        raise Unknown("Facebook answered, but not with a token")
    return value


def fault_of(token: Mapping[str, Any], page: str) -> str | None:
    """Say why a token posts nothing, None if it does."""
    problem = token.get("error")
    subcode = problem.get("subcode") if isinstance(problem, dict) else None
    if token.get("is_valid") is False:
        over = subcode == 463 or not isinstance(problem, dict)
        return f"Facebook says that the token {'has expired' if over else 'is no longer valid'}"
    if token.get("type", "PAGE") != "PAGE" or token.get("profile_id", page) != page:
        return f"the token is not the one of Page {page}, but of a person or of another Page"
    scopes = token.get("scopes")
    missing = [one for one in TO_POST if one not in scopes] if isinstance(scopes, list) else []
    return f"the token lacks the permission {' and '.join(missing)}" if missing else None


def lacking(token: Mapping[str, Any]) -> list[str]:
    """Return the permissions without which an older post cannot be commented on."""
    scopes = token.get("scopes")
    return [one for one in TO_COMMENT if isinstance(scopes, list) and one not in scopes]


def ends_of(token: Mapping[str, Any]) -> list[datetime]:
    """When the token, and what the app may read with it, end; 0 means never."""
    stamps = (token.get(name) for name in ("expires_at", "data_access_expires_at"))
    good = (stamp for stamp in stamps if isinstance(stamp, int) and 0 < stamp < 10**11)
    return [datetime.fromtimestamp(stamp, UTC) for stamp in good]
