"""The table of bad inputs: what is refused and how, what is made harmless, what is only cut off."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.web.door import SENDER, alert, info, later

HOST = b"Host: 127.0.0.1\r\n"
KEY = b"{bearer}"  # replaced by a good key's Authorization header
JSON_HEADERS = b"Content-Type: application/json\r\nIdempotency-Key: bad-input\r\n"
POST = b"POST /v1/alerts HTTP/1.1\r\n" + HOST + KEY + JSON_HEADERS
GET = b"GET /v1/alerts HTTP/1.1\r\n" + HOST
LIMIT_BYTES = 65_536
REPLACES = "{existing}"  # replaced by the id of an accepted alert of SENDER
ENDED = "{ended}"
FOREIGN = "{foreign}"


@dataclass(frozen=True)
class Refused:
    """Bytes that get a problem document with this status and code, and store nothing."""

    name: str
    sent: bytes
    status: int
    code: str
    fault: str | None = None  # the code of one of its errors


@dataclass(frozen=True)
class Harmless:
    """An alert that is right; preview shows `shown` and never `hidden` in its first text."""

    name: str
    body: dict[str, Any]
    shown: str
    hidden: str = "\x00"


@dataclass(frozen=True)
class Cut:
    """Bytes that are owed no answer; the connection ends in time all the same."""

    name: str
    sent: bytes
    drip: bytes = b""  # sent again and again, one byte at a time
    leaves: bool = False  # the caller closes its side at once


Case = Refused | Harmless | Cut


def post(body: bytes | Any, *, head: bytes = POST) -> bytes:
    """Return a whole request with this body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(data) + data


def get(line: bytes, headers: bytes = HOST + KEY) -> bytes:
    """Return a request without a body."""
    return line + b" HTTP/1.1\r\n" + headers + b"Connection: close\r\n\r\n"


def table() -> list[Case]:
    """Return every case."""
    rooms = (http(), doors(), syntax(), shape(), meaning(), characters(), harmless(), cut())
    return [case for room in rooms for case in room]


def http() -> Iterator[Case]:
    """Broken HTTP, and HTTP that is meant to confuse."""
    bad = "http-malformed"
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from (
        Refused(name, sent, 400, bad)
        for name, sent in {
            "both Content-Length and chunked": POST
            + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "chunked and Content-Length": POST
            + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
            "two Content-Lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            "two equal Content-Lengths": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
            "negative Content-Length": POST + b"Content-Length: -5\r\n\r\n",
            "Content-Length with a plus": POST + b"Content-Length: +2\r\n\r\n{}",
            "Content-Length in hex": POST + b"Content-Length: 0x2\r\n\r\n{}",
            "Content-Length of words": POST + b"Content-Length: two\r\n\r\n{}",
            "Content-Length beyond 64 bits": POST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n",
            "chunk size overflow": chunked + b"fffffffffffffffff\r\n",
            "chunk size junk": chunked + b"zz\r\n",
            "chunk longer than said": chunked + b"3\r\nabcdef\r\n",
            "negative chunk size": chunked + b"-1\r\n",
            "unknown transfer coding": POST + b"Transfer-Encoding: gzip\r\n\r\n",
            "transfer coding after chunked": POST
            + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            "NUL in a header": GET + b"X: a\x00b\r\n\r\n",
            "folded header": GET + b"X: a\r\n b\r\n\r\n",
            "header without a colon": GET + b"nonsense\r\n\r\n",
            "header name with a space": GET + b"Bad Name: x\r\n\r\n",
            "space before the colon": GET + b"Content-Length : 2\r\n\r\n{}",
            "bare line feeds": b"GET /healthz HTTP/1.1\nHost: a\n\n",
            "bare carriage returns": b"GET /healthz HTTP/1.1\rHost: a\r\r",
            "unknown method": b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n",
            "method in lower case": b"get /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
            "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "no Host": b"GET /healthz HTTP/1.1\r\n\r\n",
            "two Hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "space in the path": b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n",
            "raw UTF-8 in the path": "GET /ä HTTP/1.1\r\n".encode() + HOST + b"\r\n",
            "raw Latin-1 in the path": b"GET /\xe4 HTTP/1.1\r\n" + HOST + b"\r\n",
            "broken IPv6 in the target": b"GET http://[::1/healthz HTTP/1.1\r\n" + HOST + b"\r\n",
            "port out of range in the target": b"GET http://a:999999/healthz HTTP/1.1\r\n"
            + HOST
            + b"\r\n",
            "two Content-Types": post({}, head=POST + b"Content-Type: text/plain\r\n"),
            "TLS hello on the plain port": bytes.fromhex("16030100f8010000f40303") + bytes(240),
            "an SSH greeting": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
            "a mail greeting": b"EHLO mail.example.org\r\n\r\n",
        }.items()
    )
    long = "headers-too-large"
    yield Refused("header of 20 kB", GET + b"X: " + b"a" * 20_000 + b"\r\n\r\n", 431, long)
    yield Refused("header name of 20 kB", GET + b"a" * 20_000 + b": a\r\n\r\n", 431, long)
    many = b"".join(b"X%d: a\r\n" % number for number in range(10_000))
    yield Refused("10,000 headers", GET + many + b"\r\n", 431, long)
    yield Refused("path of 10 kB", get(b"GET /" + b"a" * 10_000), 431, long)
    yield Refused("HTTP/0.9", b"GET /healthz\r\n\r\n", 400, "http-version")
    yield Refused("HTTP/2.0", b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n", 400, "http-version")
    for host in (b"a b", b"a:99999999", b"<script>", b"a/b", b"user@host", b"[::1", b"a,b"):
        sent = get(b"GET /healthz", b"Host: " + host + b"\r\n")
        yield Refused(f"Host {host.decode()}", sent, 400, "host")
    yield from paths()
    yield from encodings()


def paths() -> Iterator[Case]:
    """Paths that lead nowhere, and methods that are not for here."""
    for path in (
        b"//v1/alerts",
        b"/v1//alerts",
        b"/v1/alerts/",
        b"/V1/alerts",
        b"/v1/hooks/fire-brigade",
        b"/%2e%2e/%2e%2e/etc/passwd",
        b"/../../etc/passwd",
        b"/v1/alerts/a/b/c",
        b"/v1/draft",
        b"/cap/1.xml",
        b"/p/26-0001",
        b"/control/keys",
        b"/control/status",
    ):
        yield Refused(f"path {path.decode()}", get(b"GET " + path), 404, "not-found")
    for name in (b"%00", b"%zz", b"%ff%fe", b"..%2f..", b"%0a", b"a" * 300, b"nosuch", b"%20"):
        sent = get(b"GET /v1/alerts/" + name)
        yield Refused(f"alert {name.decode()[:20]}", sent, 404, "unknown-alert")
    for method in (b"PUT", b"DELETE", b"PATCH", b"OPTIONS"):
        sent = get(method + b" /v1/alerts")
        yield Refused(f"{method.decode()} of alerts", sent, 405, "method-not-allowed")
    override = HOST + KEY + b"X-HTTP-Method-Override: POST\r\n"
    sent = get(b"DELETE /v1/preview", override)
    yield Refused("method override", sent, 405, "method-not-allowed")
    yield Refused("TRACE", get(b"TRACE /"), 404, "not-found")
    yield Refused("CONNECT", get(b"CONNECT example.org:443"), 404, "not-found")
    expecting = post({}, head=POST + b"Expect: a-pony\r\n")
    yield Refused("unknown Expect", expecting, 417, "expectation")
    for query in (b"limit=0", b"limit=201", b"limit=1e1", b"limit=1&limit=2", b"limit=%D9%A1"):
        sent = get(b"GET /v1/alerts?" + query)
        yield Refused(f"query {query.decode()}", sent, 400, "query")
    for query in (b"state=open", b"before=x", b"nosuch=1", b"status=Draft", b"sender=%00", b"="):
        sent = get(b"GET /v1/alerts?" + query)
        yield Refused(f"query {query.decode()}", sent, 400, "query")


def encodings() -> Iterator[Case]:
    """Compressed, mislabelled or missing bodies."""
    bomb = gzip.compress(bytes(10_000_000))
    members = gzip.compress(b"") * 10_000
    for name, coding, body in (
        ("gzip bomb", b"gzip", bomb),
        ("10,000 gzip members", b"gzip", members),
        ("gzip junk", b"gzip", b"junk"),
        ("deflate", b"deflate", b"x"),
        ("brotli", b"br", b"x"),
        ("zstd", b"zstd", b"x"),
        ("an unknown coding", b"foo", b"x"),
        ("two codings", b"gzip, gzip", b"x"),
        ("identity and gzip", b"identity, gzip", b"x"),
    ):
        sent = post(body, head=POST + b"Content-Encoding: " + coding + b"\r\n")
        yield Refused(name, sent, 415, "content-encoding")
    head = b"POST /v1/alerts HTTP/1.1\r\n" + HOST + KEY + b"Idempotency-Key: k\r\n"
    for kind in (
        b"text/plain",
        b"text/json",
        b"application/x-www-form-urlencoded",
        b"multipart/form-data; boundary=x",
        b"application/json; charset=utf-16",
        b"application/json; charset=utf-7",
        b"application/json; charset=iso-8859-1",
        b"application/jsonp",
        b"nonsense",
        b"*/*",
    ):
        sent = post(alert(), head=head + b"Content-Type: " + kind + b"\r\n")
        yield Refused(f"Content-Type {kind.decode()}", sent, 415, "content-type")
    cap = post(b"<alert/>", head=head + b"Content-Type: application/cap+xml\r\n")
    yield Refused("CAP XML", cap, 415, "cap-not-yet")
    yield Refused("no Content-Type", post(alert(), head=head), 415, "content-type")
    large = post(b" " * (LIMIT_BYTES + 1))
    yield Refused("one byte too many", large, 413, "too-large")
    said = POST + b"Content-Length: 99999999999\r\n\r\n"
    yield Refused("Content-Length of 100 GB", said, 413, "too-large")
    chunks = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    endless = POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks * 4
    yield Refused("chunks without end", endless, 413, "too-large")
    yield Refused("no body", POST + b"Connection: close\r\n\r\n", 400, "json-empty")
    yield Refused("body never comes", POST + b"Content-Length: 50\r\n\r\n", 408, "body-timeout")
    yield Refused("body is cut", POST + b"Content-Length: 50\r\n\r\n{", 408, "body-timeout")
    part = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
    yield Refused("last chunk never comes", part, 408, "body-timeout")


def doors() -> Iterator[Case]:
    """Keys that open nothing, and requests that lack what the door asks for."""
    plain = b"GET /v1/alerts"
    good = b"bcast_0123456789_" + b"a" * 43
    for name, value, code in (
        ("empty Authorization", b"", "key-scheme"),
        ("Basic", b"Basic YTpi", "key-scheme"),
        ("a key without its scheme", good + b"_000000", "key-scheme"),
        ("Bearer alone", b"Bearer", "key-scheme"),
        ("Bearer and spaces", b"Bearer    ", "key-scheme"),
        ("Digest", b'Digest username="a"', "key-scheme"),
        ("a wrong checksum", b"Bearer " + good + b"_000000", "key-mistyped"),
        ("half a key", b"Bearer bcast_0123456789", "key-mistyped"),
        ("another product's key", b"Bearer ghp_abcdefghijklmnop", "key-mistyped"),
        ("a JWT without signature", b"Bearer eyJhbGciOiJub25lIn0.e30.", "key-mistyped"),
        ("bytes that are no ASCII", b"Bearer \xff\xfe", "key-mistyped"),
        ("8,000 characters", b"Bearer " + b"a" * 8_000, "key-mistyped"),
        ("two keys in one header", b"Bearer " + good + b", Bearer x", "key-mistyped"),
        ("an unknown key", b"{unknown}", "key-refused"),
        ("one character off", b"{altered}", "key-refused"),
        ("a revoked key", b"{revoked}", "key-refused"),
    ):
        headers = HOST + b"Authorization: " + value + b"\r\n"
        yield Refused(f"key: {name}", get(plain, headers), 401, code)
    yield Refused("key: none", get(plain, HOST), 401, "key-missing")
    yield Refused("key: twice", get(plain, HOST + KEY + KEY), 401, "key-repeated")
    query = get(plain + b"?key=bcast_x", HOST)
    yield Refused("key: in the query", query, 401, "key-missing")
    spoof = HOST + b"X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n"
    yield Refused("key: a spoofed address", get(plain, spoof), 401, "key-missing")
    yield Refused("metrics without a key", get(b"GET /metrics", HOST), 401, "key-missing")
    head = b"POST /v1/alerts HTTP/1.1\r\n" + HOST
    kind = b"Content-Type: application/json\r\n"
    reader = head + b"{reader}" + JSON_HEADERS
    yield Refused("a reader's key", post(alert(), head=reader), 403, "role")
    other = head + b"{other}" + JSON_HEADERS
    yield Refused(
        "another sender's key", post(alert(), head=other), 403, "forbidden", "sender-not-allowed"
    )
    minor = head + b"{minor}" + JSON_HEADERS
    yield Refused(
        "too severe for the key",
        post(alert(), head=minor),
        403,
        "forbidden",
        "severity-not-allowed",
    )
    nowhere = head + b"{nowhere}" + JSON_HEADERS
    yield Refused(
        "beyond the key's channels",
        post(alert(), head=nowhere),
        403,
        "forbidden",
        "channel-not-allowed",
    )
    missing = post(alert(), head=head + KEY + kind)
    yield Refused("no Idempotency-Key", missing, 400, "idempotency-key-missing")
    for name, value in (
        ("empty", b""),
        ("of 256 characters", b"k" * 256),
        ("with a space", b"a b"),
        ("in Latin-1", b"\xe4"),
        ("with a tab", b"a\tb"),
    ):
        line = b"Idempotency-Key: " + value + b"\r\n"
        sent = post(alert(), head=head + KEY + kind + line)
        yield Refused(f"Idempotency-Key {name}", sent, 400, "idempotency-key-form")
    twice = post(alert(), head=POST + b"Idempotency-Key: other\r\n")
    yield Refused("two Idempotency-Keys", twice, 400, "idempotency-key-form")
    used = post(alert(), head=head + KEY + kind + b"Idempotency-Key: used-before\r\n")
    yield Refused("an Idempotency-Key used before", used, 422, "idempotency-key-reused")
    allow = post(alert(), head=POST + b"Allow-Duplicate-Of: yes\r\n")
    yield Refused("Allow-Duplicate-Of yes", allow, 400, "allow-duplicate-of-form")
    events = b"GET /v1/alerts/{existing}/events"
    for value in (b"x", b"-1", b"1.5", b"9" * 30, b"", b"\xd9\xa1"):
        headers = HOST + KEY + b"Last-Event-ID: " + value + b"\r\n"
        yield Refused(f"Last-Event-ID {value!r}", get(events, headers), 400, "last-event-id")
    until = get(events + b"?until=dawn")
    yield Refused("until=dawn", until, 400, "query")


def syntax() -> Iterator[Case]:
    """Bodies that are no JSON, or JSON that two readers read differently."""
    text = json.dumps(alert()).encode()
    bad = "json-syntax"
    for name, body, code in (
        ("empty", b"", "json-empty"),
        ("only spaces", b" \n\t ", "json-empty"),
        ("byte order mark", b"\xef\xbb\xbf" + text, "json-encoding"),
        ("UTF-16 little-endian", text.decode().encode("utf-16"), "json-encoding"),
        ("UTF-16 big-endian", text.decode().encode("utf-16-be"), "json-encoding"),
        ("UTF-32", text.decode().encode("utf-32"), "json-encoding"),
        ("Latin-1", '{"sender": "Hörde"}'.encode("latin-1"), "json-encoding"),
        ("a cut UTF-8 character", b'{"sender": "\xc3"}', "json-encoding"),
        ("an overlong UTF-8 character", b'{"sender": "\xc0\xaf"}', "json-encoding"),
        ("a surrogate in UTF-8", b'{"sender": "\xed\xa0\x80"}', "json-encoding"),
        ("a raw NUL", b'{"sender": "\x00"}', "json-encoding"),
        ("a lone surrogate", rb'{"sender": "\ud800"}', "json-surrogate"),
        ("a lone low surrogate", rb'{"sender": "\udc00x"}', "json-surrogate"),
        ("surrogates in the wrong order", rb'{"sender": "\udc00\ud800"}', "json-surrogate"),
        ("a surrogate in a key", rb'{"\ud800": 1}', "json-surrogate"),
        ("a surrogate deep inside", rb'{"info": [{"event": "\uDBFF"}]}', "json-surrogate"),
        ("status twice", b'{"status": "Test", "status": "Actual"}', "json-duplicate-key"),
        ("status twice, alike", b'{"status": "Test", "status": "Test"}', "json-duplicate-key"),
        ("a key twice, one escaped", rb'{"status": 1, "st\u0061tus": 2}', "json-duplicate-key"),
        ("a key twice deep inside", b'{"info": [{"a": {"b": 1, "b": 2}}]}', "json-duplicate-key"),
        ("NaN", b'{"altitude": NaN}', "json-number"),
        ("Infinity", b'{"altitude": Infinity}', "json-number"),
        ("minus Infinity", b'{"altitude": -Infinity}', "json-number"),
        ("1e999", b'{"altitude": 1e999}', "json-number"),
        ("2**63", b'{"altitude": 9223372036854775808}', "json-number"),
        ("an integer of 5,000 digits", b'{"altitude": ' + b"9" * 5_000 + b"}", "json-number"),
        ("33 levels", b"[" * 33 + b"]" * 33, "json-depth"),
        ("33 levels of objects", b'{"a":' * 33 + b"1" + b"}" * 33, "json-depth"),
        ("5,000 levels", b"[" * 5_000, "json-depth"),
        ("30,000 levels", b"[" * 30_000, "json-depth"),
        ("trailing junk", text + b"x", bad),
        ("two values", text + text, bad),
        ("a comment", b"// status\n{}", bad),
        ("a block comment", b"{/* a */}", bad),
        ("single quotes", b"{'status': 'Actual'}", bad),
        ("a key without quotes", b"{status: 1}", bad),
        ("a trailing comma", b'{"status": "Actual",}', bad),
        ("a trailing comma in a list", b'{"info": [1,]}', bad),
        ("cut off", text[:-1], bad),
        ("a string without end", b'{"sender": "a', bad),
        ("a raw line break in a string", b'{"sender": "a\nb"}', bad),
        ("an unknown escape", rb'{"sender": "\x41"}', bad),
        ("half an escape", rb'{"sender": "\u00"}', bad),
        ("a leading zero", b'{"altitude": 01}', bad),
        ("a leading plus", b'{"altitude": +1}', bad),
        ("hexadecimal", b'{"altitude": 0x10}', bad),
        ("a point without digits", b'{"altitude": 1.}', bad),
        ("None", b"None", bad),
        ("True", b'{"a": True}', bad),
        ("XML", b"<alert/>", bad),
        ("a form", b"status=Actual&sender=a", bad),
        ("YAML", b"status: Actual\n", bad),
        ("a no-break space", '{\u00a0"a": 1}'.encode(), bad),
    ):
        yield Refused(f"JSON: {name}", post(body), 400, code)
    for name, body in (
        ("null", b"null"),
        ("a list", b"[]"),
        ("a string", b'"alert"'),
        ("a number", b"-0"),
        ("true", b"true"),
        ("an empty object", b"{}"),
        ("3,000 unknown fields", json.dumps(dict.fromkeys(map(str, range(3_000)))).encode()),
        ("a list of alerts", json.dumps([alert()]).encode()),
    ):
        yield Refused(f"JSON: {name}", post(body), 422, "invalid")


def faulty(name: str, body: Any, fault: str) -> Refused:
    """Return a case of an alert with one fault of this code."""
    return Refused(name, post(body), 422, "invalid", fault)


def shape() -> Iterator[Case]:
    """Fields that are missing, unknown, or of the wrong type, form or length."""
    yield from names()
    yield from values()
    yield from texts()
    yield from lists()
    yield from forms()
    yield from geometry()


def names() -> Iterator[Case]:
    """Fields that must be there, and fields that must not."""
    for name in ("status", "msgType", "sender", "info"):
        body = {key: value for key, value in alert().items() if key != name}
        yield faulty(f"no {name}", body, "missing")
    for name in ("language", "category", "event", "urgency", "severity", "certainty", "area"):
        yield faulty(f"info without {name}", alert(info=[info(**{name: None})]), "missing")
    for name in ("__proto__", "constructor", "msg_type", "Status", "MSGTYPE", "id", "", "a/b~c"):
        yield faulty(f"unknown field {name!r}", alert(**{name: 1}), "unknown-field")
    for name in ("sender_name", "Headline", "areaDesc", "mimeType", "resource", "x" * 5_000):
        body = alert(info=[info(**{name: "x"})])
        yield faulty(f"unknown info field {name[:20]!r}", body, "unknown-field")


def values() -> Iterator[Case]:
    """Values that CAP does not know."""
    for value in ("actual", "Nonsense", "", 1, None, True, ["Actual"], {"a": 1}):
        for name in ("status", "msgType"):
            yield faulty(f"{name} {value!r}", alert(**{name: value}), "value")
    for scope in ("public", "", 1, ["Public"]):
        yield faulty(f"scope {scope!r}", alert(scope=scope), "value")
    for name in ("urgency", "severity", "certainty"):
        for level in ("severe", "", 1, ["Severe"]):
            yield faulty(f"{name} {level!r}", alert(info=[info(**{name: level})]), "value")
    yield faulty("certainty Very Likely", alert(info=[info(certainty="Very Likely")]), "value")
    yield faulty("category Fun", alert(info=[info(category=["Fun"])]), "value")
    yield faulty("responseType Dance", alert(info=[info(responseType=["Dance"])]), "value")


def texts() -> Iterator[Case]:
    """Texts that are none, say nothing, or too much."""
    for name in ("event", "headline", "description", "instruction", "senderName", "contact"):
        for value in (1, True, ["x"], {"x": 1}):
            yield faulty(f"{name} {value!r}", alert(info=[info(**{name: value})]), "type")
        for blank in ("", "   ", "\n\t", "\u200b"):
            yield faulty(f"{name} {blank!r}", alert(info=[info(**{name: blank})]), "blank")
    for name, length in (
        ("event", 101),
        ("headline", 161),
        ("description", 4_001),
        ("instruction", 4_001),
        ("senderName", 201),
        ("contact", 201),
        ("audience", 201),
    ):
        body = alert(info=[info(**{name: "ä" * length})])
        yield faulty(f"{name} of {length} characters", body, "too-long")
    yield faulty("areaDesc of 201", alert(info=[info(area=[{"areaDesc": "a" * 201}])]), "too-long")
    yield faulty("event of 60,000", alert(info=[info(event="a" * 60_000)]), "too-long")


def lists() -> Iterator[Case]:
    """Lists that are none, empty or endless."""
    yield faulty("no category", alert(info=[info(category=[])]), "too-short")
    yield faulty("category as text", alert(info=[info(category="Fire")]), "type")
    yield faulty("info as object", alert(info=info()), "type")
    yield faulty("info of texts", alert(info=["x"]), "type")
    yield faulty("21 info blocks", alert(info=[info()] * 21), "too-long")
    yield faulty("area as text", alert(info=[info(area="Hörde")]), "type")
    yield faulty("area of texts", alert(info=[info(area=["Hörde"])]), "type")
    yield faulty("area without areaDesc", alert(info=[info(area=[{}])]), "missing")
    yield faulty("blank areaDesc", alert(info=[info(area=[{"areaDesc": " "}])]), "blank")


def forms() -> Iterator[Case]:
    """Texts of a fixed form that do not have it."""
    for sender, fault in (
        ("", "too-short"),
        ("a b", "form"),
        ("a,b", "form"),
        ("a<b", "form"),
        ("a&b", "form"),
        ("a\nb", "form"),
        ("a" * 201, "too-long"),
        (1, "type"),
        (None, "type"),
    ):
        yield faulty(f"sender {sender!r:.30}", alert(sender=sender), fault)
    for identifier in ("", "a b", "a,b", "a<b"):
        fault = "form" if identifier else "too-short"
        yield faulty(f"identifier {identifier!r}", alert(identifier=identifier), fault)
    for language in ("", "d", "deutsch!", "de_DE", "de-", "1", "de\n"):
        body = alert(info=[info(language=language)])
        yield faulty(f"language {language!r}", body, "form")
    for web in (
        "javascript:alert(1)",
        "ftp://example.org",
        "https://user@example.org",
        "https://a b",
        'https://a"b',
        "https://<script>",
        "//example.org",
        "",
        "https://",
        "data:text/html,x",
        "http://" + "a" * 501,
    ):
        yield faulty(f"web {web[:30]!r}", alert(info=[info(web=web)]), "form")


def geometry() -> Iterator[Case]:
    """Areas whose shape is none."""
    for polygon in (
        "",
        "1,2",
        "1,2 3,4 1,2",
        "x,y x,y x,y x,y",
        "1 2 3 4 1 2",
        "NaN,1 1,1 2,2 1,1",
    ):
        area = [{"areaDesc": "Hörde", "polygon": [polygon]}]
        yield faulty(f"polygon {polygon!r}", alert(info=[info(area=area)]), "form")
    for circle in ("", "1,2", "1,2 x", "1,2 -1", "1,2 1e9", "1 2 3"):
        area = [{"areaDesc": "Hörde", "circle": [circle]}]
        yield faulty(f"circle {circle!r}", alert(info=[info(area=area)]), "form")
    for altitude in ("100", True, [1]):
        body = alert(info=[info(area=[{"areaDesc": "Hörde", "altitude": altitude}])])
        yield faulty(f"altitude {altitude!r}", body, "type")
    geocode = [{"valueName": "ARS"}]
    body = alert(info=[info(area=[{"areaDesc": "Hörde", "geocode": geocode}])])
    yield faulty("geocode without value", body, "missing")


def meaning() -> Iterator[Case]:
    """Alerts of the right shape that cannot be sent."""
    yield faulty("a Draft", alert(status="Draft"), "not-public")
    yield faulty("an Ack", alert(msgType="Ack"), "not-public")
    yield faulty("an Error", alert(msgType="Error"), "not-public")
    yield faulty("scope Restricted", alert(scope="Restricted"), "not-public")
    yield faulty("scope Private", alert(scope="Private"), "not-public")
    yield faulty("no info block", alert(info=[]), "missing")
    yield faulty("no area", alert(info=[info(area=[])]), "missing")
    second = info(language="en")
    yield faulty("one language twice", alert(info=[info(), info()]), "language-repeated")
    twice = alert(info=[info(), info(language="DE")])
    yield faulty("one language in two cases", twice, "language-repeated")
    for name, value in (("urgency", "Future"), ("severity", "Minor"), ("certainty", "Possible")):
        body = alert(info=[info(), second | {name: value}])
        yield faulty(f"info blocks disagree in {name}", body, "disagrees")
    yield from times()
    yield from referring()
    clear = {"responseType": ["AllClear"]}
    fresh = alert(info=[info(**clear)])
    yield faulty("an all-clear of nothing", fresh, "all-clear-without-alert")
    update = {"msgType": "Update", "references": [REPLACES]}
    mixed = alert(**update, info=[info(responseType=["AllClear", "Shelter"])])
    yield faulty("all-clear and shelter at once", mixed, "all-clear-mixed")
    half = alert(**update, info=[info(**clear), second])
    yield faulty("all-clear in one language only", half, "all-clear-mixed")


def times() -> Iterator[Case]:
    """Times that are none, or lie where they must not."""
    for value in (
        "",
        "now",
        "2026-11-22",
        "2026-11-22T20:00",
        "2026-11-22T20:00:00",
        "2026-11-22 20:00:00+01:00",
        "2026-W47-1T20:00:00Z",
        "20261122T200000Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T25:00:00Z",
        "2026-11-22T20:00:60Z",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "10000-01-01T00:00:00Z",
        "2026-11-22T20:00:00+99:00",
        "2026-11-22T20:00:00 CET",
        "2026-11-22T20:00:00z",
        "٢٠٢٦-11-22T20:00:00Z",
        1_795_000_000,
        True,
        ["2026-11-22T20:00:00Z"],
    ):
        yield faulty(f"expires {value!r}", alert(info=[info(expires=value)]), "time")
        yield faulty(f"sent {value!r}", alert(sent=value), "time")
    for name, span, fault in (
        ("a second ago", {"seconds": -1}, "expires-past"),
        ("a year ago", {"days": -365}, "expires-past"),
        ("in 73 hours", {"hours": 73}, "expires-ahead"),
        ("in 10 years", {"days": 3650}, "expires-ahead"),
    ):
        body = alert(info=[info(expires=later(**span))])
        yield faulty(f"expires {name}", body, fault)
    far = alert(info=[info(expires="9999-12-31T23:59:59Z")])
    yield faulty("expires in the year 9999", far, "expires-ahead")
    yield faulty("sent in an hour", alert(sent=later(hours=1)), "sent-ahead")
    yield faulty("sent in 10 years", alert(sent=later(days=3650)), "sent-ahead")
    yield faulty("sent 73 hours ago", alert(sent=later(hours=-73)), "sent-past")
    yield faulty("sent a year ago", alert(sent=later(days=-365)), "sent-past")
    # Filled in when it is sent: a time this near would pass while the whole run takes its time.
    before = alert(sent="{in 4 minutes}", info=[info(expires="{in 2 minutes}")])
    yield faulty("expires before sent", before, "expires-before-sent")
    for name in ("onset", "effective"):
        body = alert(info=[info(expires=later(hours=1), **{name: later(hours=2)})])
        yield faulty(f"{name} after expires", body, f"{name}-after-expires")


def referring() -> Iterator[Case]:
    """References that lead nowhere, elsewhere, or where they must not."""
    yield faulty("an Alert with references", alert(references=["x"]), "references-forbidden")
    yield faulty("an Update without references", alert(msgType="Update"), "missing")
    yield faulty("a Cancel without references", alert(msgType="Cancel"), "missing")
    for kind in ("Update", "Cancel"):
        yield faulty(f"{kind} of nothing", alert(msgType=kind, references=[]), "too-short")
        yield faulty(f"{kind} of a number", alert(msgType=kind, references=[1]), "type")
        yield faulty(f"{kind} of half a triple", alert(msgType=kind, references="a,b"), "form")
        yield faulty(f"{kind} of spaces", alert(msgType=kind, references="   "), "form")
        unknown = alert(msgType=kind, references=["nosuch"])
        yield Refused(f"{kind} of an unknown id", post(unknown), 422, "unknown-reference")
        triple = f"{SENDER},nosuch,2026-11-22T20:00:00+01:00"
        body = alert(msgType=kind, references=triple)
        yield Refused(f"{kind} of an unknown triple", post(body), 422, "unknown-reference")
        foreign = alert(msgType=kind, references=[FOREIGN])
        yield Refused(f"{kind} of another's alert", post(foreign), 403, "foreign-incident")
        control = alert(msgType=kind, references=["a\x00b"])
        yield Refused(f"{kind} of a NUL", post(control), 422, "unknown-reference")
    own = alert(msgType="Update", identifier="self", references=["self"])
    yield Refused("an Update of itself", post(own), 422, "unknown-reference")
    ended = alert(msgType="Update", references=[ENDED])
    yield Refused("an Update of what has ended", post(ended), 409, "ended")
    status = alert(msgType="Update", references=[REPLACES], status="Test")
    yield Refused("a Test after an Actual", post(status), 422, "invalid", "status-differs")
    both = alert(msgType="Update", references=[REPLACES, ENDED])
    yield Refused("two incidents at once", post(both), 422, "invalid", "references-differ")
    known = alert(identifier="{identifier}")
    yield Refused("an identifier used before", post(known), 409, "identifier-exists")
    yield Refused("the same content again", b"{repeated}", 409, "possible-duplicate")


CONTROLS = (*range(1, 9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F, 0x80, 0x9F)
ORDERING = (0x202A, 0x202B, 0x202C, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x2069)
NO_CHARACTERS = (0xFDD0, 0xFDEF, 0xFFFE, 0xFFFF, 0x1FFFE, 0xE0001)


def characters() -> Iterator[Case]:
    """Characters that make a warning read differently from what was written."""
    for code in (*CONTROLS, *ORDERING, *NO_CHARACTERS):
        body = alert(info=[info(headline=f"Nicht{chr(code)} evakuieren")])
        yield faulty(f"U+{code:04X} in a headline", body, "character")
    yield faulty("NUL in a headline", alert(info=[info(headline="a\x00b")]), "character")
    for name in ("event", "description", "instruction", "senderName"):
        body = alert(info=[info(**{name: "rot\u202eneg"})])
        yield faulty(f"bidi override in {name}", body, "character")
    area = [{"areaDesc": "Hörde\u202e"}]
    yield faulty("bidi override in areaDesc", alert(info=[info(area=area)]), "character")
    web = alert(info=[info(web="https://example.org/\u202egro")])
    yield faulty("bidi override in web", web, "character")
    for name in ("note", "source", "incidents"):
        yield faulty(f"ESC in {name}", alert(**{name: "\x1b[31mrot"}), "character")
    yield faulty("ESC in sender", alert(sender="a\x1bb"), "character")
    zalgo = alert(info=[info(headline="a" + "\u0301" * 100)])
    yield faulty("100 combining marks", zalgo, "combining")


def harmless() -> Iterator[Case]:
    """What people may rightly write."""
    for name, text in (
        ("emoji", "Achtung 🔥🚒"),
        ("a family emoji", "Familie 👨‍👩‍👧‍👦 am Treffpunkt"),
        ("a flag", "Grenze 🇩🇪🇳🇱"),
        ("quotes", 'Er sagte "Fenster zu"'),
        ("an apostrophe", "O'Brien-Straße gesperrt"),
        ("a typographic apostrophe", "O\u2019Brien-Straße gesperrt"),
        ("less than", "Abstand < 500 m halten"),
        ("a script tag", "<script>alert(1)</script> Rauch"),
        ("an ampersand", "Müller & Söhne brennt"),
        ("a hashtag", "Lage unter #Hörde"),
        ("SQL", "'; DROP TABLE alert; --"),
        ("a template", "{{7*7}} {% raise %} Rauch"),
        ("a format string", "%s %d {0} {} Rauch"),
        ("a mail address", "Fragen an lage@example.org"),
        ("a formula", "=1+1 Rauch"),
        ("a backslash", "C:\\Rauch\\n"),
        ("Markdown", "**Rauch** _zieht_ `ab`"),
        ("a tilde and slashes", "~1/2 Stunde // a/b"),
        ("Turkish", "Pencereleri kapatın, İtfaiye"),  # noqa: RUF001
        ("Arabic", "أغلقوا النوافذ"),
        ("Hebrew", "סגרו את החלונות"),
        ("Chinese", "请关闭门窗"),
        ("Polish", "Zamknijcie okna i drzwi, zażółć"),
        ("a soft hyphen's word", "Lüftungsanlage"),
        ("a long dash and an ellipsis", "Rauch – weiter …"),  # noqa: RUF001
        ("Roman quotes", "„Fenster zu“ »sofort«"),
        ("math", "5 ≤ x ≥ 3 ± 1"),
        ("a degree", "Über 60 °C"),
        ("a currency", "5 € Schaden"),
        ("a zero-width non-joiner in Farsi", "می\u200cخواهم"),  # noqa: RUF001
        ("an accented word", "Étagère"),
    ):
        yield Harmless(name, alert(info=[info(headline=text)]), text)
    for name, text, shown, hidden in (
        ("NFD", "Gro\u0308ßbrand", "Größbrand", "\u0308"),
        ("a zero-width space", "Rauch\u200bzug", "Rauchzug", "\u200b"),
        ("a soft hyphen", "Lüftungs\u00adanlage", "Lüftungsanlage", "\u00ad"),
        ("a word joiner", "Rauch\u2060zug", "Rauchzug", "\u2060"),
        ("a tab", "Fenster\tschließen", "Fenster schließen", "\t"),
        ("a line break in a headline", "Fenster\r\nschließen", "Fenster schließen", "\r"),
        ("a header break", "Rauch\r\nBcc: alle@example.org", "Rauch Bcc:", "\r"),
        ("a line separator", "Fenster\u2028schließen", "Fenster schließen", "\u2028"),
        ("a paragraph separator", "Fenster\u2029schließen", "Fenster schließen", "\u2029"),
        ("a next-line character", "Fenster\u0085schließen", "Fenster schließen", "\u0085"),
        ("a mention", "@everyone Fenster zu", "everyone Fenster", "@everyone"),
        ("a name with @", "Fragen an @stadt_dortmund", "stadt_dortmund", "@stadt"),
        ("spaces around", "   Rauch   zieht   ", "Rauch zieht", "Rauch  "),
    ):
        yield Harmless(name, alert(info=[info(headline=text)]), shown, hidden)
    lines = info(description="Erste Zeile\r\nzweite Zeile\rdritte Zeile")
    yield Harmless("line breaks", alert(info=[lines]), "Erste Zeile\nzweite Zeile\ndritte", "\r")
    drill = alert(info=[info(headline="Dies ist KEINE Übung")])
    yield Harmless("the word Übung in an Actual alert", drill, "KEINE Übung")
    area = info(area=[{"areaDesc": "Dortmund-Hörde, O'Brien-Straße <Nord>"}], headline=None)
    yield Harmless("signs in a place", alert(info=[area]), "O'Brien-Straße <Nord>")


def cut() -> Iterator[Case]:
    """What is no request, or never becomes one."""
    yield Cut("silence", b"")
    yield Cut("half a request line", b"GET /heal")
    yield Cut("headers without end", b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
    yield Cut("slow headers", b"GET /healthz HTTP/1.1\r\n", drip=b"X: aaaaaaaaaaaaaaaaaaaaaaaaaaa")
    yield Cut("half a TLS hello", bytes.fromhex("160301"))
    yield Cut("a slow body", POST + b"Content-Length: 1000\r\n\r\n", drip=b" " * 30)
    slow_chunks = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    yield Cut("slow chunks", slow_chunks, drip=b"1\r\n \r\n" * 6)
    unread = get(b"GET /healthz", HOST + b"Content-Length: 100000\r\n").replace(b"close", b"x")
    yield Cut("a body nobody asked for", unread, drip=b" " * 30)
    refused = b"POST /v1/alerts HTTP/1.1\r\n" + HOST + b"Content-Length: 1000\r\n\r\n"
    yield Cut("a slow body without a key", refused, drip=b" " * 30)
    yield Cut("an early close", POST + b"Content-Length: 100\r\n\r\n{", leaves=True)
    yield Cut("a close in the headers", b"POST /v1/alerts HTTP/1.1\r\nHost", leaves=True)
    yield Cut("a connection that says nothing and leaves", b"", leaves=True)
    yield Cut("an answer nobody waits for", get(b"GET /v1/alerts"), leaves=True)
    yield Cut("idle after an answer", b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    yield Cut("1,000 requests at once", (b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n") * 1_000)
    upgrade = HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    yield Cut("a websocket", b"GET /healthz HTTP/1.1\r\n" + upgrade)
