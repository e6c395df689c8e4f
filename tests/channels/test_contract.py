"""One contract, all channel types: the same answers, and what each of them must come to.

A stub answers from one table; the channel is asked to send, and the stub counts what arrived. A new
type joins with one row in NETWORKS, and says there where its own table differs from the common one.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from broadcaster import channels
from broadcaster.channels import (
    Channel,
    apprise,
    bluesky,
    facebook,
    instagram,
    linkedin,
    mastodon,
    threads,
    webhook,
    x,
    youtube,
)
from broadcaster.channels.bluesky.record import COLLECTION, record_key
from broadcaster.config import Timing
from broadcaster.delivery import (
    Delivery,
    Failure,
    Guarantee,
    NeedsPerson,
    NotSent,
    Receipt,
    Rejected,
    Unknown,
)
from broadcaster.logs import LIBRARY_LEVELS
from broadcaster.terminal.child import free_port
from tests.channels.stub import (
    NOW,
    Fault,
    Reply,
    Request,
    delivery,
    keep_secret,
    serving,
    setup_for,
)

SHORT = Timing(attempt_seconds=1.0, connect_seconds=0.6)
CANARY = "canary-4711"
Outcome = type[Failure] | type[Receipt]


@dataclass(frozen=True)
class Case:
    """One thing that can happen to a post, and what it means where a type says nothing else."""

    name: str
    answer: Reply | Fault | None  # None: nobody listens
    outcome: Outcome


def _said(status: int, **headers: str) -> Reply:
    """Answer with an error in every network's shape."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, dict.fromkeys(("error", "title", "detail", "message"), "Said"), named)


CASES = [
    Case("refused-connection", None, NotSent),
    Case("429", _said(429, Retry_After="20"), NotSent),
    Case("429-junk", _said(429, Retry_After="soon"), NotSent),
    Case("400", _said(400), Rejected),
    Case("401", _said(401), NeedsPerson),
    Case("402", _said(402), NeedsPerson),
    Case("403", _said(403), Rejected),
    Case("404", _said(404), Rejected),
    Case("408", _said(408), Unknown),
    Case("410", _said(410), Rejected),
    Case("413", _said(413), Rejected),
    Case("422", _said(422), Rejected),
    Case("301", _said(301, Location="/elsewhere"), Unknown),
    Case("302", _said(302, Location="/elsewhere"), Unknown),
    Case("307", _said(307, Location="/elsewhere"), Unknown),
    Case("308", _said(308, Location="/elsewhere"), Unknown),
    Case("500", _said(500), Unknown),
    Case("502", _said(502), Unknown),
    Case("503", _said(503, Retry_After="20"), Unknown),
    Case("504", _said(504), Unknown),
    Case("520", _said(520), Unknown),
    Case("no-id", Reply(200, {"ok": True}), Unknown),
    Case("no-json", Reply(200, b"<html>fine</html>"), Unknown),
    Case("empty", Reply(200, b""), Unknown),
    Case("closed", Fault.CLOSE, Unknown),
    Case("reset", Fault.RESET, Unknown),
    Case("hang", Fault.HANG, Unknown),
    Case("garbage", Fault.GARBAGE, Unknown),
    Case("cut-body", Fault.CUT_BODY, Unknown),
    Case("drip-head", Fault.DRIP_HEAD, Unknown),
    Case("drip-body", Fault.DRIP_BODY, Unknown),
]

# A webhook and a message never get a name: any 2xx is all the proof there is.
NEVER_NAMED: Mapping[str, Outcome] = dict.fromkeys(("no-id", "no-json", "empty"), Receipt)


@dataclass(frozen=True)
class Network:
    """One type: how it is built on the stub, what a good answer is, and where it differs."""

    build: Callable[[str, Path], Channel]
    good: Callable[[Delivery], Reply]
    differs: Mapping[str, Outcome] = field(default_factory=dict)
    cannot: frozenset[str] = frozenset()  # cases that its own tests have, since they take for ever
    posts_to: str = ""  # of its POSTs, those whose path holds this can be seen by the public
    repeats: frozenset[str] = frozenset()  # cases in which a refused post may be tried once again
    by: str = "POST"  # the method with which it posts
    # Answers, as they should be, what goes before a post and shows nothing; None for a post.
    before: Callable[[Request], Reply | None] = lambda _: None
    delivery: Callable[[str], Delivery] = lambda _: delivery()  # for the network at this address

    def is_post(self, request: Request) -> bool:
        """Say whether a request shows something to the public."""
        is_one = request.method == self.by and self.posts_to in request.path
        return is_one and self.before(request) is None


def _webhook(url: str, place: Path) -> Channel:
    secret = "whsec_" + base64.b64encode(CANARY.ljust(32).encode()).decode()
    keep_secret(place, "secret", secret)
    settings = webhook.Settings(url=f"{url}/hooks", secret_file="secret")
    return webhook.build(setup_for(place, "webhook", timing=SHORT), settings)


def _x(url: str, place: Path) -> Channel:
    names = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
    files = {f"{name}_file": keep_secret(place, name, f"{CANARY}-{name}") for name in names}
    settings = x.Settings.model_validate({**files, "base_url": url})
    return x.build(setup_for(place, "x", timing=SHORT), settings)


def _apprise(url: str, place: Path) -> Channel:
    target = f"json://city:{CANARY}@{url.removeprefix('http://')}/{CANARY}"
    settings = apprise.Settings(kind="chat", url_file=keep_secret(place, "url", target))
    return apprise.build(setup_for(place, "apprise", timing=SHORT), settings)


def _mastodon(url: str, place: Path) -> Channel:
    settings = mastodon.Settings(
        api_base_url="https://ruhr.example",
        base_url=url,
        access_token_file=keep_secret(place, "token", CANARY),
    )
    return mastodon.build(setup_for(place, "mastodon", timing=SHORT), settings)


def _bluesky(url: str, place: Path) -> Channel:
    settings = bluesky.Settings(
        base_url=url,
        handle="stadt.example.org",
        app_password_file=keep_secret(place, "password", CANARY),
    )
    return bluesky.build(setup_for(place, "bluesky", timing=SHORT), settings)


def _facebook(url: str, place: Path) -> Channel:
    settings = facebook.Settings(
        page_id="111",
        access_token_file=keep_secret(place, "page-token", CANARY),
        app_id="7",
        app_secret_file=keep_secret(place, "app-secret", f"{CANARY}-secret"),
        base_url=url,
    )
    return facebook.build(setup_for(place, "facebook", timing=SHORT), settings)


def _threads(url: str, place: Path) -> Channel:
    token = keep_secret(place, "threads-token", CANARY)
    settings = threads.Settings(access_token_file=token, base_url=url)
    return threads.build(setup_for(place, "threads", timing=SHORT), settings)


def _instagram(url: str, place: Path) -> Channel:
    settings = instagram.Settings(
        login="instagram",
        ig_user_id="1784",
        access_token_file=keep_secret(place, "instagram-token", CANARY),
        base_url=url,
    )
    return instagram.build(setup_for(place, "instagram", timing=SHORT), settings)


def _made(_url: str) -> Delivery:
    """Give a delivery whose container is made, and only to be published."""
    return delivery(handle={"container": "1801"})


def _before_publishing(request: Request) -> Reply | None:
    ready = {"id": "1801", "status": "FINISHED", "status_code": "FINISHED"}
    return Reply(200, ready) if "/1801?" in request.path else None


def _youtube(url: str, place: Path) -> Channel:
    settings = youtube.Settings(
        channel_id="UC0123456789abcdefghijkl",
        mode="video",
        base_url=url,
        token_url=url,
        client_id="client",
        client_secret_file=keep_secret(place, "client-secret", f"{CANARY}-secret"),
        refresh_token_file=keep_secret(place, "refresh-token", f"{CANARY}-refresh"),
    )
    (place / "cards").mkdir(exist_ok=True)
    (place / "cards" / "clip.mp4").write_bytes(CLIP)
    return youtube.build(setup_for(place, "youtube", timing=SHORT), settings)


CLIP = b"moov" * 99


def _uploading(url: str) -> Delivery:
    """Give a delivery whose upload was begun."""
    name = hashlib.sha256(CLIP).hexdigest()
    session = f"{url}/upload?upload_id=1"
    handle = {"session": session, "clip": "clip.mp4", "card": "c", "size": len(CLIP)}
    return delivery(handle=handle | {"sha256": name})


def _before_a_video(request: Request) -> Reply | None:
    """Google gives a token, and says that nothing of the upload has arrived."""
    if request.path == "/token":
        return Reply(200, {"access_token": CANARY, "expires_in": 3599})
    return Reply(308) if "*" in request.headers.get("content-range", "") else None


def _linkedin(url: str, place: Path) -> Channel:
    settings = linkedin.Settings(
        organization_id="4711",
        access_token_file=keep_secret(place, "token", CANARY),
        base_url=url,
        token_url=url,
    )
    return linkedin.build(setup_for(place, "linkedin", timing=SHORT), settings)


def _record(one: Delivery) -> Reply:
    key = record_key(one.stamp, one.key)
    uri = f"at://did:plc:stadt/{COLLECTION}/{key}"
    return Reply(200, {"uri": uri, "cid": "bafyrei", "validationStatus": "valid"})


def _status(_one: Delivery) -> Reply:
    return Reply(200, {"id": "11", "url": "https://ruhr.example/@stadt/11", "uri": "urn:x"})


NETWORKS: dict[str, Network] = {
    "webhook": Network(
        _webhook,
        lambda _: Reply(204),
        # 410 says that the receiver wants no more; a status that was read is an answer.
        {**NEVER_NAMED, "410": NeedsPerson, "cut-body": Receipt, "drip-body": Receipt},
    ),
    "apprise": Network(
        _apprise,
        lambda _: Reply(200),
        {**NEVER_NAMED, "403": NeedsPerson},
        cannot=frozenset({"drip-head", "drip-body"}),
    ),
    "x": Network(_x, lambda _: Reply(201, {"data": {"id": "11", "text": "..."}})),
    "mastodon": Network(_mastodon, _status, {"403": NeedsPerson}),
    "bluesky": Network(
        _bluesky,
        _record,
        {"403": NeedsPerson},
        posts_to="putRecord",
        repeats=frozenset({"401"}),
    ),
    "youtube": Network(
        _youtube,
        lambda _: Reply(200, {"id": "dQw4w9WgXcQ", "status": {"privacyStatus": "public"}}),
        {"404": Unknown, "410": Unknown},  # an upload gone after its last piece may be a video
        posts_to="/upload",
        # To the same upload, which ends in one video at most: aiohttp repeats a PUT by itself.
        repeats=frozenset({"401", "closed", "reset"}),
        by="PUT",
        before=_before_a_video,
        delivery=_uploading,
    ),
    "threads": Network(
        _threads,
        lambda _: Reply(200, {"id": "11"}),
        posts_to="threads_publish",
        before=_before_publishing,
        delivery=_made,
    ),
    "instagram": Network(
        _instagram,
        lambda _: Reply(200, {"id": "11"}),
        posts_to="media_publish",
        before=_before_publishing,
        delivery=_made,
    ),
    "facebook": Network(_facebook, lambda _: Reply(200, {"id": "111_222"})),
    "linkedin": Network(
        _linkedin,
        lambda _: Reply(201, b"", {"X-RestLi-Id": "urn:li:share:11"}),
        {"403": NeedsPerson},
    ),
}


def _token(minutes: int) -> str:
    """Make a session token as Bluesky's servers do, good for some time."""
    claims = {"exp": int(NOW.timestamp()) + 10**9 + minutes * 60, "iat": 1, "sub": CANARY}
    parts = ({"alg": "HS256", "typ": "at+jwt"}, claims)
    texts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts)
    return ".".join([*(text.rstrip("=") for text in texts), "c2ln"])


SESSION = {
    "did": "did:plc:stadt",
    "handle": "stadt.example.org",
    "accessJwt": _token(120),
    "refreshJwt": _token(9999),
    "active": True,
}


def only_posts(network: Network, answer: Reply | Fault) -> Callable[[Request], Reply | Fault]:
    """Answer posts so, and log-ins as they should be."""

    def say(request: Request) -> Reply | Fault:
        if request.path.endswith(("createSession", "refreshSession")):
            return Reply(200, SESSION)
        if before := network.before(request):
            return before
        return answer if network.posts_to in request.path else Reply(404)

    return say


@dataclass
class Ended:
    """What a send came to, and what the stub saw of it."""

    result: Receipt | Failure
    posts: list[Request]
    shown: str


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += f"{record.name} {record.getMessage()} {record.exc_info}\n"


@pytest.fixture
def printed() -> Iterator[_Lines]:
    """Give the lines that reach the daemon's log at its most talkative."""
    handler, root = _Lines(), logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in LIBRARY_LEVELS}
    before = root.level
    for name, level in LIBRARY_LEVELS.items():
        logging.getLogger(name).setLevel(level)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(before)
    root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@asynccontextmanager
async def built(name: str, url: str, place: Path) -> AsyncIterator[Channel]:
    """Build a channel and close it."""
    channel = NETWORKS[name].build(url, place)
    try:
        yield channel
    finally:
        await channel.close()


Sends = Callable[[str, Reply | Fault | None], AbstractAsyncContextManager[Ended]]


@pytest.fixture
def sends(tmp_path: Path) -> Sends:
    """Send one delivery through a type, with this answer, and look at everything."""

    @asynccontextmanager
    async def send(name: str, answer: Reply | Fault | None) -> AsyncIterator[Ended]:
        network = NETWORKS[name]
        async with serving() as stub:
            url = stub.url if answer is not None else f"http://127.0.0.1:{free_port()}"
            stub.answer = only_posts(network, answer or Reply(500))
            async with built(name, url, tmp_path) as channel:
                result = await _sent(channel, network.delivery(url))
                posts = [one for one in stub.requests if network.is_post(one)]
                yield Ended(result, posts, f"{channel!r} {result!r} {channel.account}")

    return send


async def _sent(channel: Channel, one: Delivery) -> Receipt | Failure:
    """Send; whatever is no Failure goes on, and fails the test."""
    try:
        return await channel.send(one)
    except Failure as failure:
        return failure


EACH = [
    pytest.param(name, case, id=f"{name}-{case.name}")
    for name, network in NETWORKS.items()
    for case in CASES
    if case.name not in network.cannot
]


@pytest.mark.parametrize(("name", "case"), EACH)
async def test_every_type_takes_every_answer_for_what_it_is(
    name: str, case: Case, sends: Sends, printed: _Lines
) -> None:
    """One of the four failures or a receipt, as the contract says; posted once; nothing secret."""
    network = NETWORKS[name]
    expected = network.differs.get(case.name, case.outcome)
    async with sends(name, case.answer) as ended:
        assert type(ended.result) is expected, ended.result
        allowed = {0} if case.answer is None else {1}
        assert len(ended.posts) in (allowed | {2} if case.name in network.repeats else allowed)
        assert CANARY not in ended.shown
        assert CANARY not in printed.text


@pytest.mark.parametrize("name", NETWORKS)
async def test_every_type_gives_a_receipt_for_a_good_answer(name: str, sends: Sends) -> None:
    """The table above can end well: one post, and the network's proof of it."""
    async with sends(name, NETWORKS[name].good(delivery())) as ended:
        assert isinstance(ended.result, Receipt)
        assert (ended.result.remote_id is None) == (name in {"webhook", "apprise"})
        assert len(ended.posts) == 1
        assert CANARY not in ended.shown


@pytest.mark.parametrize("name", NETWORKS)
async def test_every_type_pauses_its_channel_at_a_429(name: str, sends: Sends) -> None:
    """Too many requests are too many for every row of the channel."""
    async with sends(name, _said(429, Retry_After="20")) as ended:
        assert isinstance(ended.result, NotSent)
        assert ended.result.rate_limited


JUNK_WAITS = ["Fri, 31 Dec 9999 23:59:59 -1200", "999999999", "-1", "nan", "inf", "soon"]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("junk", JUNK_WAITS)
async def test_no_type_asks_for_a_wait_beyond_reason(name: str, junk: str, sends: Sends) -> None:
    """Nothing is tried for more than 72 h: what asks for longer counts as missing."""
    async with sends(name, _said(429, Retry_After=junk)) as ended:
        assert isinstance(ended.result, NotSent)
        assert ended.result.retry_after is None


PROBES = [case for case in CASES if not str(case.name).startswith("drip")]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("case", PROBES, ids=lambda case: case.name)
async def test_no_probe_raises_or_posts(
    name: str, case: Case, tmp_path: Path, printed: _Lines
) -> None:
    """Readiness is said in a sentence, with a remedy where it is lacking, whatever happens."""
    async with serving() as stub:
        refused = f"http://127.0.0.1:{free_port()}"
        stub.answer = lambda _: case.answer or Reply(500)
        async with built(name, stub.url if case.answer else refused, tmp_path) as channel:
            found = await channel.probe()
        assert found.sentence.endswith(".")
        assert found.ready or found.remedy
        logins = ("createSession", "/token")
        posted = [one for one in stub.posts if not one.path.endswith(logins)]
    assert posted == []
    assert CANARY not in printed.text


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("case", PROBES, ids=lambda case: case.name)
async def test_no_failed_read_proves_an_absence(name: str, case: Case, tmp_path: Path) -> None:
    """Where posts can be read back, only an answer that lists them says that one is not there."""
    network = NETWORKS[name]
    async with serving() as stub:
        refused = f"http://127.0.0.1:{free_port()}"
        stub.answer = only_posts(Network(network.build, network.good), case.answer or Reply(500))
        async with built(name, stub.url if case.answer else refused, tmp_path) as channel:
            if name == "webhook":  # it has no list: None only opens the way for the same id again
                assert await channel.find(delivery()) is None
                return
            with pytest.raises(Failure) as caught:
                await channel.find(network.delivery(stub.url))
    assert isinstance(caught.value, NotSent | NeedsPerson | Unknown)


@pytest.mark.parametrize("name", NETWORKS)
async def test_every_type_says_what_the_dispatcher_goes_by(name: str, tmp_path: Path) -> None:
    """The protocol's attributes are there, and no account is a secret."""
    async with built(name, "http://127.0.0.1:9", tmp_path) as channel:
        assert channel.guarantee in Guarantee
        assert channel.limits.maximum > 0
        assert channel.attempts_at_once >= 1
        assert channel.takes_data == (name == "webhook")
        assert channel.account
        assert CANARY not in channel.account
        assert channel.template
        assert channel.carries.status == ("Actual",)
        assert channel.escape is not None
        assert channel.posts_per_day_max is None or name == "x"
        assert channel.resend_on_unknown in {True, False}


@pytest.mark.parametrize("name", NETWORKS)
async def test_a_slow_server_holds_up_nothing_else(name: str, tmp_path: Path) -> None:
    """While a post hangs, the loop goes on: no channel blocks it."""
    async with serving() as stub:
        stub.answer = only_posts(NETWORKS[name], Fault.HANG)
        async with built(name, stub.url, tmp_path) as channel:
            one = NETWORKS[name].delivery(stub.url)
            sending = asyncio.create_task(_sent(channel, one))
            turns = 0
            while not sending.done():
                await asyncio.sleep(0.01)
                turns += 1
            assert isinstance(await sending, Unknown)
    assert turns > 10


def test_every_type_there_is_keeps_the_contract() -> None:
    """A type without a row here would be one that nobody holds to anything."""
    assert set(NETWORKS) == set(channels.types())
