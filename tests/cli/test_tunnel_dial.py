"""The way to a tunnel: TLS, a proxy, and whatever else answers; and bytes through all of it."""

import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli.client.errors import (
    HubUnreachable,
    KworkspaceError,
    NotFound,
    TooMany,
    Unauthorized,
)
from kworkspace.cli.client.frames import Decoder, Opcode, frame, head
from kworkspace.cli.client.tunnel import text_of
from kworkspace.cli.tunnel_copy import Copying
from kworkspace.cli.tunnel_dial import END, NoTunnel, check, dial
from kworkspace.gateway.upgrade import accepted, parse, refused

if TYPE_CHECKING:
    from tests.cli.conftest import Authority

Serve = Callable[[socket.socket], None]


@contextmanager
def serving(serve: Serve, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve connections in threads, each at its time; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def one(sock: socket.socket) -> None:
            with suppress(OSError), sock:
                if context is None:
                    serve(sock)
                    return
                with context.wrap_socket(sock, server_side=True) as secure:
                    serve(secure)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    thread = threading.Thread(target=one, args=(listener.accept()[0],), daemon=True)
                    thread.start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def read_head(sock: socket.socket) -> bytes:
    got = b""
    while END not in got:
        chunk = sock.recv(4096)
        if not chunk:
            raise OSError
        got += chunk
    return got.removesuffix(END)


def echo(sock: socket.socket) -> None:
    """A gateway whose workspace says everything back, in frames of its own sizes."""
    upgrade = parse(read_head(sock))
    assert (upgrade.token, upgrade.user) == ("secret", "alice")
    # The first frame comes with the answer.
    sock.sendall(accepted(upgrade) + frame(Opcode.TEXT, text_of("ready", "KEY"), masked=False))
    decoder = Decoder(masked=True)
    while data := sock.recv(100_000):
        for opcode, payload in decoder.feed(memoryview(bytearray(data))):
            if opcode is Opcode.BINARY:
                for start in range(0, len(payload), 30_000):
                    piece = bytes(payload[start : start + 30_000])
                    sock.sendall(head(Opcode.BINARY, len(piece), masked=False) + piece)
            elif opcode is Opcode.TEXT:
                sock.sendall(frame(Opcode.TEXT, bytes(payload), masked=False))
            elif opcode is Opcode.CLOSE:
                return


def answering(answer: bytes) -> Serve:
    """Return what answers every request with the same bytes."""

    def serve(sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(answer)

    return serve


def connect_proxy(port: int, seen: list[bytes]) -> Serve:
    """Return a CONNECT proxy for which every name is a port of this machine."""

    def serve(sock: socket.socket) -> None:
        seen.append(read_head(sock))
        with socket.create_connection(("127.0.0.1", port)) as far:
            sock.sendall(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")
            back = threading.Thread(target=pump, args=(far, sock), daemon=True)
            back.start()
            pump(sock, far)
            back.join()

    return serve


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def carried(sock: socket.socket, left: bytes, data: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    """Copy some bytes through a tunnel, and return what came back, and what was heard."""
    heard: list[tuple[str, str]] = []
    to_us, from_ssh = os.pipe()
    to_ssh, from_us = os.pipe()
    back: list[bytes] = []

    def write() -> None:
        with os.fdopen(from_ssh, "wb") as file:
            file.write(data)

    def read() -> None:
        with os.fdopen(to_ssh, "rb") as file:
            back.append(file.read())

    threads = [threading.Thread(target=work) for work in (write, read)]
    for thread in threads:
        thread.start()
    with sock:
        Copying(sock, left, lambda *words: heard.append(words), to_us, from_us).run()
    os.close(to_us)
    os.close(from_us)
    for thread in threads:
        thread.join()
    return back[0], heard


@pytest.mark.parametrize("by", ["plain", "tls", "proxy", "tls through a proxy"])
def test_bytes_by_each_way(
    by: str, authority: "Authority", monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes back is what went, whoever stands in between."""
    data = os.urandom(6_000_011)
    host = "hub.test" if "proxy" in by else "127.0.0.1"
    secure = "tls" in by
    seen: list[bytes] = []
    with (
        serving(echo, authority.context(host) if secure else None) as port,
        serving(connect_proxy(port, seen)) as proxy_port,
    ):
        if "proxy" in by:
            for name in ("HTTP_PROXY", "HTTPS_PROXY"):
                monkeypatch.setenv(name, f"http://bob:se%20cret@127.0.0.1:{proxy_port}")
        url = f"{'https' if secure else 'http'}://{host}:{port}/gateway/tunnel/alice"
        sock, left = dial(url, "secret", authority.file)
        assert carried(sock, left, data) == (data, [("ready", "KEY")])
    if "proxy" in by:
        [asked] = seen
        assert asked.startswith(f"CONNECT hub.test:{port} HTTP/1.1\r\n".encode())
        assert b"\r\nProxy-Authorization: Basic Ym9iOnNlIGNyZXQ=" in asked


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (refused(Unauthorized("sign in again")), Unauthorized, "sign in again"),
        (refused(TooMany("enough", 7)), TooMany, "enough"),
        (refused(NotFound("no such")), NotFound, "no such"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", NoTunnel, r"none \(HTTP 502\)"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", NoTunnel, r"none \(HTTP 200\)"),
        (b"HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: x\r\n\r\n", NoTunnel, "is none"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", NoTunnel, "does not speak HTTP"),
        (b"", NoTunnel, "is the gateway up"),
        (b"x" * 20_000, NoTunnel, "is the gateway up"),
    ],
)
def test_what_else_answers(answer: bytes, kind: type[KworkspaceError], said: str) -> None:
    with serving(answering(answer)) as port, pytest.raises(kind, match=said) as raised:
        dial(f"http://127.0.0.1:{port}/gateway/tunnel/alice", "secret", None)
    assert raised.type is kind
    assert "secret" not in raised.value.message


def test_nobody_answers(authority: "Authority", monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused, not trusted, no TLS, a proxy that will not."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        nowhere = probe.getsockname()[1]
    with pytest.raises(HubUnreachable, match="the connection is refused"):
        dial(f"http://127.0.0.1:{nowhere}/", "secret", None)
    not_trusted = pytest.raises(HubUnreachable, match="not trusted")
    with serving(echo, authority.context()) as port, not_trusted:
        dial(f"https://127.0.0.1:{port}/", "secret", None)
    with serving(answering(b"HTTP/1.1 407 No\r\n\r\n")) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(HubUnreachable, match=re.escape("the proxy 127.0.0.1 says HTTP 407")):
            dial("https://hub.test/", "secret", None)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(HubUnreachable, match="goes through an http proxy"):
        dial("https://hub.test/", "secret", None)


def test_a_connection_that_breaks() -> None:
    """One line, and no success."""

    def breaks(sock: socket.socket) -> None:
        sock.sendall(accepted(parse(read_head(sock))))

    with serving(breaks) as port:
        sock, left = dial(f"http://127.0.0.1:{port}/gateway/tunnel/alice", "secret", None)
        with pytest.raises(HubUnreachable, match="the connection to the gateway was lost"):
            carried_nothing(sock, left)


def carried_nothing(sock: socket.socket, left: bytes) -> None:
    """Copy with an ssh that says nothing."""
    to_us, from_ssh = os.pipe()
    to_ssh, from_us = os.pipe()
    try:
        with sock:
            Copying(sock, left, lambda *_: None, to_us, from_us).run()
    finally:
        for descriptor in (to_us, from_ssh, to_ssh, from_us):
            os.close(descriptor)


@pytest.mark.parametrize(
    ("api", "url", "good"),
    [
        ("https://hub.test", "https://hub.test/gateway/tunnel/alice", True),
        ("https://hub.test", "http://127.0.0.1:8022/gateway/tunnel/alice", True),
        ("http://hub.test", "http://hub.test/gateway/tunnel/alice", True),
        ("https://hub.test", "http://hub.test/gateway/tunnel/alice", False),
        ("https://hub.test", "ftp://hub.test/", False),
        ("https://hub.test", "https:///x", False),
    ],
)
def test_a_tunnel_is_not_less_protected_than_its_hub(api: str, url: str, good: bool) -> None:
    if good:
        check(api, url)
        return
    with pytest.raises(HubUnreachable, match="for tunnels"):
        check(api, url)
