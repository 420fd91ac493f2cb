"""Opens a tunnel: TCP, a proxy's CONNECT, TLS, the WebSocket's request; one clear error each.

For `commands.proxy`, which must start fast: plain sockets, and no library that has to be loaded.
The token goes in a header, to the URL that the hub has named and nowhere else.
"""

import base64
import os
import re
import socket
import ssl
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from kworkspace.cli import __version__
from kworkspace.cli.client.errors import HubUnreachable, KworkspaceError, from_status
from kworkspace.cli.client.tunnel import SUBPROTOCOL, accept_of
from kworkspace.cli.client.ways import is_loopback, proxy_for, trust

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 30.0
MAX_HEAD = 16 * 1024
END = b"\r\n\r\n"

_PORTS = {"http": 80, "https": 443}
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b[^\r\n]*")


class NoTunnel(KworkspaceError):
    """Nothing that answers at the tunnel's URL opens one."""

    status = 502
    code = "no-tunnel"


def dial(url: str, token: str, ca_file: Path | None) -> tuple[socket.socket, bytes]:
    """Return a connection after whose next bytes are frames, and those that have come already.

    Args:
        url: the `tunnel_url`, absolute.
        token: of the person.
        ca_file: CA certificates to trust instead of the system's.

    Raises:
        Unauthorized: the token does not count.
        HubUnreachable: nothing answers there, or what does cannot be trusted.
        NoTunnel: something else answers.
        KworkspaceError: what the gateway says.
    """
    parts = urlsplit(url)
    where = f"the hub's tunnel at {parts.scheme}://{parts.netloc}"
    sock = connect(parts, ca_file, where)
    try:
        left = _upgrade(sock, parts, token, where)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise unreachable(error, where) from error
        raise
    return sock, left


def connect(parts: SplitResult, ca_file: Path | None, where: str) -> socket.socket:
    """Return a connection to the host of a URL, plain or TLS as that says.

    Args:
        parts: the URL.
        ca_file: CA certificates to trust instead of the system's.
        where: what is there, for errors.

    Raises:
        HubUnreachable: nothing answers there, or what does cannot be trusted.
    """
    try:
        sock = _connect(parts, where)
    except OSError as error:
        raise unreachable(error, where) from error
    if parts.scheme != "https":
        return sock
    try:
        return _tls(sock, parts, ca_file, where)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise unreachable(error, where) from error
        raise


def unreachable(error: OSError, where: str) -> HubUnreachable:
    """Return what it means for a person that a connection failed."""
    return HubUnreachable(f"cannot reach {where}: {_reason(error)}")


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _connect(parts: SplitResult, where: str) -> socket.socket:
    """Return a connection to the host, through a proxy if the environment names one."""
    host, port = parts.hostname or "", _port(parts)
    proxy = proxy_for(parts.geturl())
    if proxy is None:
        return _tcp(host, port)
    by = urlsplit(proxy)
    if by.scheme != "http":
        raise HubUnreachable(
            f"a tunnel goes through an http proxy, and {by.scheme}://{by.hostname} is none; set"
            " HTTPS_PROXY, or NO_PROXY for the hub"
        )
    sock = _tcp(by.hostname or "", by.port or 80)
    try:
        _ask_proxy(sock, host, port, by, where)
    except BaseException:
        sock.close()
        raise
    return sock


def _tcp(host: str, port: int) -> socket.socket:
    sock = socket.create_connection((host, port), CONNECT_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.settimeout(ANSWER_SECONDS)
    return sock


def _ask_proxy(sock: socket.socket, host: str, port: int, by: SplitResult, where: str) -> None:
    """Have the proxy connect (RFC 9110, section 9.3.6)."""
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    head = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if by.username is not None:
        pair = f"{unquote(by.username)}:{unquote(by.password or '')}"
        head.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    _send_head(sock, head)
    status, _, left = _answer(sock, where)
    if not 200 <= status < 300 or left:
        raise HubUnreachable(f"cannot reach {where}: the proxy {by.hostname} says HTTP {status}")


def _tls(
    sock: socket.socket, parts: SplitResult, ca_file: Path | None, where: str
) -> socket.socket:
    try:
        return trust(ca_file).wrap_socket(sock, server_hostname=parts.hostname)
    except ssl.SSLCertVerificationError as error:
        raise HubUnreachable(
            f"{where} shows a certificate that is not trusted ({error.verify_message}); set ca_file"
            " if it is your company's"
        ) from error
    except ssl.SSLError as error:
        raise HubUnreachable(f"{where} does not speak TLS ({error.reason or error})") from error


def _upgrade(sock: socket.socket, parts: SplitResult, token: str, where: str) -> bytes:
    """Make the request, and return what came after the answer."""
    key = base64.b64encode(os.urandom(16)).decode()
    _send_head(
        sock,
        [
            f"GET {parts.path} HTTP/1.1",
            f"Host: {parts.netloc.rpartition('@')[2]}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
            f"Authorization: token {token}",
            f"User-Agent: kworkspace/{__version__}",
        ],
    )
    status, head, left = _answer(sock, where)
    if status != 101:
        raise _refusal(sock, status, head, left, where)
    fields = {
        name.strip().lower(): value.strip().decode("latin-1")
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))
    }
    if (
        fields.get(b"sec-websocket-accept") != accept_of(key)
        or fields.get(b"sec-websocket-protocol") != SUBPROTOCOL
    ):
        raise NoTunnel(f"what answers as {where} is none")
    return left


def _send_head(sock: socket.socket, lines: list[str]) -> None:
    sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())


def _answer(sock: socket.socket, where: str) -> tuple[int, bytes, bytes]:
    """Return an answer's status, its head, and what came after that."""
    got = bytearray()
    while (end := got.find(END)) < 0:
        chunk = sock.recv(4096)
        got += chunk
        if not chunk or len(got) > MAX_HEAD:
            raise NoTunnel(f"what answers as {where} is none; is the gateway up?")
    match = _STATUS.match(got)
    if match is None:
        raise NoTunnel(f"what answers as {where} does not speak HTTP")
    return int(match[1]), bytes(got[:end]), bytes(got[end + len(END) :])


def _refusal(
    sock: socket.socket, status: int, head: bytes, left: bytes, where: str
) -> KworkspaceError:
    """Return what a refusal says, if it is the gateway's own, and else what it looks like."""
    import json  # noqa: PLC0415 - where all is well it is not needed

    body = bytearray(left)
    while len(body) < MAX_HEAD and (chunk := sock.recv(4096)):
        body += chunk
    retry = re.search(rb"(?im)^retry-after: *([0-9]{1,6})", head)
    try:
        message = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        message = None
    if not isinstance(message, str) or status < 400:
        return NoTunnel(f"what answers as {where} is none (HTTP {status})")
    return from_status(status, message, int(retry[1]) if retry else None)


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "it does not respond; check the network, the VPN and firewalls"
    if isinstance(error, ConnectionRefusedError):
        return "the connection is refused; is the gateway running?"
    return error.strerror or str(error)


def check(api: str, url: str) -> None:
    """See that a tunnel is not less protected than the hub that names it.

    Raises:
        HubUnreachable: the token would go unencrypted, or it is no URL to dial.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise HubUnreachable(f"the hub at {api} names {url[:255]!r} for tunnels; ask its admin")
    if api.startswith("https:") and parts.scheme != "https" and not is_loopback(parts.hostname):
        raise HubUnreachable(
            f"the hub at {api} names {url[:255]!r} for tunnels, which is not encrypted; ask its"
            " admin"
        )
