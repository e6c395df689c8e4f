"""The client: HTTP to a daemon, by its address or by its Unix socket, with errors in sentences.

A request ends in an answer, in `Problem` (the daemon refused, and said why) or in `Lost` (no answer
came; `sent` says whether the daemon may have taken the request all the same).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

REQUEST_SECONDS = 15.0
CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 45.0  # of an event stream; a daemon sends comments more often than that

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request: a JSON pointer (or line), and what is wrong there."""

    where: str
    what: str


class Problem(Exception):  # noqa: N818 - the name HTTP gives it
    """The daemon answered, and refused. `document` is its problem document as it came."""

    def __init__(self, status: int, document: Json, *, retry_after: float | None = None) -> None:
        self.status = status
        self.document = document
        self.code = str(document.get("code") or f"http-{status}")
        self.detail = str(document.get("detail") or document.get("title") or f"HTTP {status}")
        self.retry_after = retry_after
        super().__init__(f"{self.detail} ({self.code})")

    @property
    def faults(self) -> list[Fault]:
        """Everything named in `errors[]`, in the order it came."""
        listed = self.document.get("errors")
        if not isinstance(listed, list):
            return []
        return [_fault(one) for one in listed if isinstance(one, dict)]


def _fault(one: Json) -> Fault:
    where = next((one[name] for name in ("pointer", "path", "xpath", "line") if name in one), "")
    what = next((one[name] for name in ("detail", "message", "title") if name in one), "is wrong")
    return Fault(str(where), str(what))


class Lost(Exception):  # noqa: N818 - an answer that was lost
    """No answer came. `sent`: the request may have arrived and been carried out."""

    def __init__(self, sentence: str, *, sent: bool, hopeless: bool = False) -> None:
        super().__init__(sentence)
        self.sent = sent
        self.hopeless = hopeless  # a repeat would meet the same: a name that does not exist, TLS


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event."""

    id: str | None
    kind: str
    data: str


class Client:
    """Asks one daemon. `where` is how people know it: an address or a socket's path.

    `running` is False where the store itself stands in for a daemon: then nothing goes out yet.
    """

    def __init__(
        self, session: aiohttp.ClientSession, base: str, where: str, *, running: bool = True
    ) -> None:
        self._session = session
        self._base = base.rstrip("/")
        self.where = where
        self.running = running

    async def get(self, path: str, **params: str) -> Any:
        """Return the JSON answer of a GET."""
        return await self.request("GET", path, params=params)

    async def post(self, path: str, body: Any = None) -> Any:
        """Return the JSON answer of a POST."""
        return await self.request("POST", path, json=body)

    async def post_alert(
        self,
        path: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = REQUEST_SECONDS,
    ) -> Any:
        """Post an alert's bytes as they are, JSON or CAP; nothing is read into them here."""
        headers = {"Content-Type": content_type(body), **(headers or {})}
        return await self.request("POST", path, data=body, headers=headers, seconds=seconds)

    async def card(self, body: bytes, channel: str, part: str) -> tuple[str, bytes]:
        """Return the card of an alert for one text as it would be drawn: MIME type and bytes.

        Raises as `request`.
        """
        path = f"/v1/preview/card?channel={quote(channel)}&part={quote(part)}"
        headers = {"Content-Type": content_type(body)}
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            async with self._session.post(
                self._base + path, data=body, headers=headers, timeout=timeout
            ) as answer:
                data = await answer.read()
                if not answer.content_type.startswith("image/"):
                    _read(answer, data)
                    raise Problem(answer.status, {"detail": "the answer is no picture"})
                return answer.content_type, data
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._lost(error) from None

    async def alert(self, alert_id: str) -> Json:
        """Return one alert with its deliveries and attempts."""
        answer: Json = await self.get(f"/v1/alerts/{quote(alert_id, safe='')}")
        return answer

    async def request(
        self, method: str, path: str, *, seconds: float = REQUEST_SECONDS, **rest: Any
    ) -> Any:
        """Ask once. Raises Problem for every answer from 300 on, Lost when none came."""
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        try:
            async with self._session.request(
                method, self._base + path, timeout=timeout, allow_redirects=False, **rest
            ) as answer:
                return _read(answer, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._lost(error) from None

    async def events(self, alert_id: str, after: str | None) -> AsyncIterator[ServerEvent]:
        """Follow an alert's state changes, from the event after `after` on.

        Raises Problem when there is no such stream, Lost when it breaks off.
        """
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
        )
        url = f"{self._base}/v1/alerts/{quote(alert_id, safe='')}/events"
        try:
            async with self._session.get(url, headers=headers, timeout=timeout) as answer:
                if answer.content_type != "text/event-stream":
                    _read(answer, await answer.read())
                    raise Problem(answer.status, {"detail": "there is no event stream here"})
                async for event in _server_events(answer.content):
                    yield event
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._lost(error) from None

    def _lost(self, error: Exception) -> Lost:
        """Say what happened, and what to do; never with the key or a body in it."""
        for kinds, sentence, sent, hopeless in _LOSSES:
            if isinstance(error, kinds):
                return Lost(sentence.format(where=self.where), sent=sent, hopeless=hopeless)
        return Lost(f"The connection to {self.where} broke before the answer.", sent=True)


# What may happen instead of an answer: errors, sentence, may it have arrived, is a repeat hopeless.
_LOSSES: tuple[tuple[tuple[type[Exception], ...], str, bool, bool], ...] = (
    (
        (aiohttp.ClientConnectorDNSError,),
        "There is no host by the name in {where}. Check --server.",
        False,
        True,
    ),
    (
        (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError),
        "No trusted TLS connection to {where}. Check its certificate and this machine's clock.",
        False,
        True,
    ),
    (
        (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError),
        "Nothing answers at {where}. Is the daemon running? Start it: broadcaster serve --config F",
        False,
        False,
    ),
    ((TimeoutError,), "{where} took the request but did not answer in time.", True, False),
    (
        (aiohttp.InvalidURL,),
        "{where} is no address; write it like https://warnung.example.org.",
        False,
        True,
    ),
)


def listed(answer: Any, name: str) -> list[Json]:
    """Return a list that came as it is, or under its name."""
    return list(answer.get(name, []) if isinstance(answer, Mapping) else answer)


def content_type(body: bytes) -> str:
    """CAP begins with a tag, everything else is taken for JSON."""
    is_xml = body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
    return "application/cap+xml" if is_xml else "application/json"


def _read(answer: aiohttp.ClientResponse, body: bytes) -> Any:
    value: Any
    try:
        value = json.loads(body) if body else {}
    except ValueError:
        value = None
    if answer.status >= 300:
        known = isinstance(value, dict) and ("code" in value or "detail" in value)
        document: Json = value if known else _no_problem_document(answer)
        raise Problem(answer.status, document, retry_after=_seconds(answer.headers))
    if value is None:
        raise Problem(
            answer.status,
            {
                "code": "not-a-broadcaster",
                "detail": "the answer is not JSON: is this a broadcaster?",
            },
        )
    return value


def _no_problem_document(answer: aiohttp.ClientResponse) -> Json:
    detail = f"HTTP {answer.status} without an explanation: is this address a broadcaster's?"
    return {"code": f"http-{answer.status}", "detail": detail}


def _seconds(headers: Mapping[str, str]) -> float | None:
    value = headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdecimal() else None


async def _server_events(lines: aiohttp.StreamReader) -> AsyncIterator[ServerEvent]:
    """Read the event-stream format (WHATWG HTML, section 9.2)."""
    last: str | None = None
    kind = "message"
    data: list[str] = []
    async for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield ServerEvent(last, kind, "\n".join(data))
            kind, data = "message", []
        elif name == "id":
            last = value
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
