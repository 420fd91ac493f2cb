"""One call on a plain socket: what the hub answers, and whatever else there may be."""

import socket
from collections.abc import Callable

import pytest

from kworkspace.cli.client.calls import tunnel_certificate
from kworkspace.cli.client.errors import Conflict, HubUnreachable, KworkspaceError, TooMany
from kworkspace.cli.client.models import CertificateRequest, TunnelCertificate
from kworkspace.cli.quick_call import send
from tests.cli.test_tunnel_dial import serving

CALL = tunnel_certificate("al ice", "gpu", CertificateRequest(public_key="KEY"))
GOOD = b'{"certificate":"c","id":"i","account":"a","host_key":"h","host_authorities":["o"]}'


def read_request(sock: socket.socket) -> list[bytes]:
    """Read all of a request: what is closed with something unread resets the connection."""
    with sock.makefile("rb") as file:
        lines = [line.rstrip() for line in iter(file.readline, b"\r\n")]
        [size] = [int(line.split()[1]) for line in lines if line.startswith(b"Content-Length:")]
        file.read(size)
    return lines


def answer(status: str, body: bytes, *fields: str) -> Callable[[socket.socket], None]:
    """Return what answers, and leaves."""
    head = "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", *fields])

    def serve(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(head.encode() + b"\r\n\r\n" + body)

    return serve


def answer_as_ssh(sock: socket.socket) -> None:
    """Answer as what is no hub at all does."""
    read_request(sock)
    sock.sendall(b"SSH-2.0-x\r\n")


def ask(port: int) -> TunnelCertificate:
    return send(f"http://127.0.0.1:{port}/kw", CALL, "secret", None)


def test_what_is_asked() -> None:
    """As the other clients ask."""
    heads: list[list[bytes]] = []

    def serve(sock: socket.socket) -> None:
        heads.append(read_request(sock))
        sock.sendall(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n")
        sock.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD))

    with serving(serve) as port:
        assert ask(port).host_authorities == ["o"]
    [head] = heads
    lines = [line.decode() for line in head]
    assert lines[0] == "POST /kw/hub/api/users/al%20ice/servers/gpu/certificate HTTP/1.1"
    assert {f"Host: 127.0.0.1:{port}", "Authorization: Bearer secret"} <= set(lines)


@pytest.mark.parametrize(
    ("serve", "error", "message"),
    [
        (answer("409 x", b'{"status":409,"message":"no tunnel"}'), Conflict, "no tunnel"),
        (answer("429 x", b'{"status":429,"message":"m"}', "retry-after: 7"), TooMany, "m"),
        (answer("201 x", b"<html>"), HubUnreachable, "not one of a kworkspace hub"),
        (answer("302 x", b"", "Location: /x"), HubUnreachable, r"is none \(HTTP 302\)"),
        (answer("502 x", b"<html>"), KworkspaceError, "was answered with HTTP 502"),
        (answer_as_ssh, HubUnreachable, "is none; check the URL"),
        (socket.socket.close, HubUnreachable, "cannot reach the hub at"),
    ],
)
def test_whatever_else_there_is(
    serve: Callable[[socket.socket], None], error: type[KworkspaceError], message: str
) -> None:
    with serving(serve) as port, pytest.raises(error, match=message) as caught:
        ask(port)
    if isinstance(caught.value, TooMany):
        assert caught.value.retry_after == 7


def test_nothing_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(
        HubUnreachable, match=r"cannot reach the hub at .*the connection is refused"
    ):
        ask(port)
