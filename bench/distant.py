"""Receivers that speak TLS and are far away: every byte takes its time on the way, both ways.

`python -m bench.distant COUNT ONE_WAY_SECONDS DIRECTORY` writes the certificate that a client must
trust to DIRECTORY/ca.pem and prints its ports as JSON. Between a port and its receiver lies a line
that holds every piece for ONE_WAY_SECONDS, and the first ones for a round trip more, as long as the
handshake of TCP would take. On standard input, `expect N` says how many receivers make an alert
complete, and `drop` ends every connection; each line it prints is `set`, or an alert's number and
the moment it was complete (monotonic, ns).
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import ssl
import sys
from functools import partial
from pathlib import Path

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.sinks import Board, Sink, say

HOST = "127.0.0.1"
PIECE_BYTES = 65_536


def certificate(directory: Path) -> ssl.SSLContext:
    """Make a certificate for this machine alone, good for a day; keep it for clients to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_address()]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    directory.mkdir(exist_ok=True)
    pem = made.public_bytes(serialization.Encoding.PEM)
    (directory / "ca.pem").write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    both = directory / "server.pem"
    both.touch(0o600)
    both.write_bytes(private + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context


def _address() -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address(HOST))


class Lines:
    """The lines between the ports and their receivers."""

    def __init__(self, one_way_seconds: float) -> None:
        self._one_way = one_way_seconds
        self._open: set[asyncio.StreamWriter] = set()

    async def carry(
        self, target: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry one connection to its receiver and back."""
        inner_reader, inner = await asyncio.open_connection(HOST, target)
        begun = asyncio.get_running_loop().time() + 2 * self._one_way
        self._open |= {writer, inner}
        try:
            await asyncio.gather(
                self._hold(reader, inner, begun), self._hold(inner_reader, writer, begun)
            )
        finally:
            self._open -= {writer, inner}

    async def _hold(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, begun: float
    ) -> None:
        loop = asyncio.get_running_loop()
        while piece := await reader.read(PIECE_BYTES):
            loop.call_at(max(loop.time(), begun) + self._one_way, _pass_on, writer, piece)
        loop.call_at(max(loop.time(), begun) + self._one_way, writer.close)

    def drop(self) -> None:
        """End every connection."""
        for writer in self._open:
            writer.close()


def _pass_on(writer: asyncio.StreamWriter, piece: bytes) -> None:
    if not writer.is_closing():
        writer.write(piece)


async def main(count: int, one_way_seconds: float, directory: Path) -> None:
    """Listen on `count` free ports and obey standard input until it ends."""
    board, lines, loop = Board(), Lines(one_way_seconds), asyncio.get_running_loop()
    context, servers = certificate(directory), []
    for sink in range(count):
        inner = await loop.create_server(partial(Sink, board, sink), HOST, 0, ssl=context)
        target = inner.sockets[0].getsockname()[1]
        outer = await asyncio.start_server(partial(lines.carry, target), HOST, 0)
        servers += [inner, outer]
    say(json.dumps([server.sockets[0].getsockname()[1] for server in servers[1::2]]))
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async for line in orders:
        order, _, value = line.decode().strip().partition(" ")
        if order == "drop":
            lines.drop()
        else:
            board.expect = int(value)
        say("set")


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])))
