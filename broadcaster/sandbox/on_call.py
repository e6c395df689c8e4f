"""A stand-in for the phones of on-call staff: they take what apprise posts to a json:// target."""

from __future__ import annotations

from aiohttp.web import Request, Response, UrlDispatcher

from broadcaster.clock import Clock
from broadcaster.sandbox.answers import answer, as_object
from broadcaster.sandbox.faults import CALL, Faults, On, Stage, possible
from broadcaster.sandbox.looks import Look
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import Post, Posts, account
from broadcaster.sandbox.webhook import ANSWERS, error

NAME = "on-call"
LOOK = Look(NAME, "On-call phones", colour="#be123c", empty="Nobody was told anything.")
SECRET_FILE = "pager-url"  # noqa: S105 - the name of a file


def secrets(address: str) -> dict[str, str]:
    """Return the secret file of the first phone; `address`: host and port of the sandbox."""
    return {SECRET_FILE: f"json://{address}/{NAME}/first-on-call"}


class OnCall:
    """Phones of on-call staff: what they are told is a post of its own network, `on-call`."""

    def __init__(self, posts: Posts, clock: Clock, _pictures: Pictures) -> None:
        self._posts = posts
        self._clock = clock
        self._count = 0
        self.able = possible(ANSWERS)

    def route(self, router: UrlDispatcher, faults: Faults) -> None:
        """Put the phones under /on-call."""
        receive = Stage(NAME, self._posts, faults, ANSWERS).on(On.CREATE, self.receive)
        router.add_post(f"/{NAME}/{{receiver}}", receive)

    async def receive(self, request: Request) -> Response:
        """Take one message of the form {"title", "message"}."""
        event = as_object(await request.read())
        if event is None:
            return error(400, "The body is no JSON object")
        parts = (str(event.get(name) or "") for name in ("title", "message"))
        text = "\n\n".join(part for part in parts if part)
        self._posts.name(NAME, request[CALL], text)
        self._count += 1
        receiver = request.match_info["receiver"]
        post = Post(
            NAME,
            f"{receiver}/{self._count}",
            account(receiver),
            text,
            self._clock.now(),
            details={"receiver": receiver, "subject": str(event.get("title") or "")},
        )
        self._posts.add(post)
        return answer({"received": True})
