"""Stand-ins for the networks, for webhook receivers and for a mail server, in one process.

For the demo, for training and for tests. Loopback only. A network N is at `/N` (`/x/2/tweets`), its
timeline at `/N/`, all of them at `/`. `/_sandbox/` has the switches:

    GET    /_sandbox/posts?network=N        what the public would see, in order; all without N
    PUT    /_sandbox/posts/N/ID             {"text", "concealed", "deleted"}, one or more: alter
                                            a post, hide it from the public, take it away
    DELETE /_sandbox/posts?network=N        forget posts, keys and counts
    GET    /_sandbox/pictures/ID            a picture or clip that came with a post
    GET    /_sandbox/requests?network=N     requests to create a post: `creates`, `distinct_keys`,
                                            `repeats`, and the `newest` with time, key and fault
    GET    /_sandbox/faults                 what is set
    PUT    /_sandbox/faults                 {"network", "fault", "times", "on", "seconds",
                                            "hidden_seconds"}; see faults.py
    DELETE /_sandbox/faults?network=N       drop what is set
    GET    /_sandbox/hide                   seconds by network
    PUT    /_sandbox/hide                   {"network", "seconds"}: new posts stay off their
                                            account's own list for so long; 0 ends it

`on-call`, where on-call staff are told, is a network of its own; it is left out of the list of all.

A network joins by its name in NETWORKS. Its module of that name has

    NAME, LOOK                              its path, and how its page is headed
    one class, Cls(posts, clock, pictures)  with `route`, and `able`: the faults it can have; `url`,
                                            where it has one, is set once the sandbox listens
    def channel(url: str) -> str            the TOML table of a channel that posts to it
    def secrets() -> dict[str, str]         the secret files that the table names
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from broadcaster.clock import Clock, SystemClock
from broadcaster.sandbox import mail, on_call, webhook
from broadcaster.sandbox.answers import answer, problem
from broadcaster.sandbox.faults import MAIL, Fault, Faults, Kind
from broadcaster.sandbox.pictures import Pictures
from broadcaster.sandbox.posts import PICTURES, Posts
from broadcaster.sandbox.timeline import Timeline
from broadcaster.sandbox.webhook import SANDBOX_WEBHOOK_SECRET

__all__ = ["SANDBOX_WEBHOOK_SECRET", "Sandbox"]

HOST = "127.0.0.1"
NETWORKS = (
    *("mastodon", "bluesky", "x", "threads", "facebook", "instagram", "linkedin", "youtube"),
    webhook.NAME,
)
SHOWN = (*NETWORKS, mail.NAME)
EVERY = (*SHOWN, on_call.NAME)
LISTS = frozenset(NETWORKS) - {webhook.NAME}  # have a list of own posts
BODY_BYTES_MAX = 67_108_864  # a clip is sent whole
PICTURE_HEADERS = {
    "Cache-Control": "max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}


class Hide(BaseModel):
    """What `PUT /_sandbox/hide` takes."""

    model_config = ConfigDict(extra="forbid")

    network: str
    seconds: float = Field(ge=0, le=86_400)


class Change(BaseModel):
    """What `PUT /_sandbox/posts/N/ID` takes: what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = None
    concealed: bool | None = None
    deleted: bool | None = None


class StandIn(Protocol):
    """A network that speaks HTTP."""

    able: frozenset[Kind]

    def route(self, router: web.UrlDispatcher, faults: Faults) -> None:
        """Put its addresses under its path."""
        ...


def module(network: str) -> ModuleType:
    """Return the module of a network that speaks HTTP."""
    return importlib.import_module(f"{__name__}.{network.replace('-', '_')}")


def _stand_in(network: str, posts: Posts, clock: Clock, pictures: Pictures) -> StandIn:
    """Make a network's stand-in: of its module's classes the one that can be routed."""
    room = module(network)
    own = (one for one in vars(room).values() if getattr(one, "__module__", "") == room.__name__)
    (kind,) = (one for one in own if isinstance(one, type) and hasattr(one, "route"))
    made: StandIn = kind(posts, clock, pictures)
    return made


class Sandbox:
    """The stand-ins. `url` and `smtp_port` are set by `start`."""

    def __init__(self, clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self.posts = Posts(EVERY, clock)
        self.pictures = Pictures()
        self._http = {
            name: _stand_in(name, self.posts, clock, self.pictures)
            for name in (*NETWORKS, on_call.NAME)
        }
        able = {name: one.able for name, one in self._http.items()}
        self.faults = Faults(able | {mail.NAME: MAIL})
        self._mail = mail.Mail(self.posts, clock, self.faults)
        self._application = web.Application(client_max_size=BODY_BYTES_MAX)
        for one in self._http.values():
            one.route(self._application.router, self.faults)
        self._route_switches()
        looks = [*(module(name).LOOK for name in NETWORKS), mail.LOOK, on_call.LOOK]
        Timeline(self.posts, self.pictures, self.faults, looks).route(self._application.router)
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.smtp_port = 0

    async def start(self, port: int = 0) -> None:
        """Listen on loopback: HTTP on this port (0: a free one), mail on the next free one."""
        # A request whose client is gone ends, so that a fault which hangs holds nothing.
        self._runner = web.AppRunner(
            self._application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, port).start()
        port = self._runner.addresses[0][1]
        self.url = f"http://{HOST}:{port}"
        for name, one in self._http.items():
            if hasattr(one, "url"):
                one.url = f"{self.url}/{name}"
        self.smtp_port = await self._mail.start(HOST, port + 1)

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        await self._mail.close()
        await self.pictures.close()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    @property
    def networks(self) -> dict[str, str]:
        """The address of every network that speaks HTTP."""
        return {name: f"{self.url}/{name}" for name in NETWORKS}

    def ready_line(self) -> str:
        """Return the line that the command `broadcaster sandbox` prints once it listens."""
        return json.dumps({"networks": self.networks, "smtp": f"{HOST}:{self.smtp_port}"})

    def _route_switches(self) -> None:
        router = self._application.router
        router.add_get("/_sandbox/posts", self._list_posts)
        router.add_put("/_sandbox/posts/{network}/{id:.+}", self._put_post)
        router.add_delete("/_sandbox/posts", self._clear_posts)
        router.add_get(f"{PICTURES}/{{id}}", self._show_picture)
        router.add_get("/_sandbox/requests", self._list_requests)
        router.add_get("/_sandbox/faults", self._list_faults)
        router.add_put("/_sandbox/faults", self._put_fault)
        router.add_delete("/_sandbox/faults", self._clear_faults)
        router.add_get("/_sandbox/hide", self._list_hidden)
        router.add_put("/_sandbox/hide", self._put_hide)

    async def _list_posts(self, request: web.Request) -> web.Response:
        def posts(names: tuple[str, ...]) -> Any:
            return [post.to_json() for post in self.posts.all(names)]

        return _of_networks(request, SHOWN, posts)

    async def _put_post(self, request: web.Request) -> web.Response:
        network, identity = request.match_info["network"], request.match_info["id"]
        post = self.posts.any(network, identity) if network in EVERY else None
        if post is None:
            return problem(404, "no-such-post", "There is no such post.")
        try:
            change = Change.model_validate_json(await request.read())
        except ValidationError as error:
            return problem(422, "change-not-understood", _say(error))
        for name, value in change.model_dump(exclude_none=True).items():
            setattr(post, name, value)
        return answer(post.to_json())

    async def _show_picture(self, request: web.Request) -> web.Response:
        picture = self.pictures.get(request.match_info["id"])
        if picture is None:
            return problem(404, "no-such-picture", "There is no such picture.")
        headers = {"Content-Type": picture.kind} | PICTURE_HEADERS
        return web.Response(body=picture.data, headers=headers)

    async def _clear_posts(self, request: web.Request) -> web.Response:
        def clear(names: tuple[str, ...]) -> Any:
            self.posts.clear(names)
            return []

        return _of_networks(request, EVERY, clear)

    async def _list_requests(self, request: web.Request) -> web.Response:
        def calls(names: tuple[str, ...]) -> Any:
            counts = [self.posts.calls(name).to_json(name) for name in names]
            return counts[0] if "network" in request.query else counts

        return _of_networks(request, EVERY, calls)

    async def _list_faults(self, _request: web.Request) -> web.Response:
        return answer(self.faults.to_json())

    async def _put_fault(self, request: web.Request) -> web.Response:
        try:
            self.faults.put(Fault.model_validate_json(await request.read()))
        except ValidationError as error:
            return problem(422, "fault-not-understood", _say(error))
        except ValueError as error:
            return problem(422, "fault-not-possible", str(error))
        return answer(self.faults.to_json())

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self.faults.clear(request.query.get("network"))
        return answer(self.faults.to_json())

    async def _list_hidden(self, _request: web.Request) -> web.Response:
        return answer(self.posts.hidden)

    async def _put_hide(self, request: web.Request) -> web.Response:
        try:
            hide = Hide.model_validate_json(await request.read())
        except ValidationError as error:
            return problem(422, "hide-not-understood", _say(error))
        if hide.network not in LISTS:
            there = ", ".join(sorted(LISTS))
            sentence = f"Only these networks list an account's own posts: {there}."
            return problem(422, "hide-not-possible", sentence)
        self.posts.hide(hide.network, hide.seconds)
        return answer(self.posts.hidden)


def _of_networks(
    request: web.Request, every: tuple[str, ...], show: Callable[[tuple[str, ...]], Any]
) -> web.Response:
    """Answer for the network in the query, or for all."""
    network = request.query.get("network")
    if network is not None and network not in EVERY:
        there = ", ".join(EVERY)
        return problem(404, "no-such-network", f"There is no such network; there are {there}.")
    return answer(show((network,) if network else every))


def _say(error: ValidationError) -> str:
    """Say in one sentence what is wrong with a switch."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or 'body'}: {one['msg']}" for one in faults)
