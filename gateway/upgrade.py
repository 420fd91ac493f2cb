"""The one HTTP request of a tunnel (RFC 6455, section 4.2): read, judged by its form, answered.

A connection carries one request and then a tunnel, or a refusal and its end, so that there is
nothing to smuggle behind it. Pure functions; `tunnel_port` reads and writes.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

import msgspec

from kworkspace.cli.client.errors import BadRequest, Forbidden, KworkspaceError, NotFound, TooMany
from kworkspace.cli.client.models import ErrorReply
from kworkspace.cli.client.tunnel import SUBPROTOCOL, accept_of

MAX_HEAD = 16 * 1024
END = b"\r\n\r\n"

_PATH = re.compile(r"(?:/[^/]+)*/gateway/tunnel/([^/]+)(?:/([^/]+))?/?")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")  # RFC 9112, section 5


class MustUpgrade(BadRequest):
    """It is a request for something that is not here."""

    status = 426
    code = "must-upgrade"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A request for a tunnel.

    Attributes:
        user: whose workspace, as it was written.
        server: which of them; "" is the default one.
        token: the person's; "" for none.
        key: to be answered.
        agent: what asks.
        forwarded: its X-Forwarded-For, by anybody's word.
    """

    user: str
    server: str
    token: str
    key: str
    agent: str
    forwarded: str = ""


def parse(head: bytes) -> Upgrade:
    """Return what a request's head asks for.

    Args:
        head: request line and fields, without the empty line at the end.

    Raises:
        BadRequest: it is no request, or none for a tunnel.
        NotFound: no tunnel begins at its path.
        Forbidden: it comes from a page in a browser.
    """
    request_line, *lines = head.decode("latin-1").split("\r\n")
    words = request_line.split(" ")
    fields = _fields(lines)
    if len(words) != 3 or words[2] != "HTTP/1.1":
        raise BadRequest("This is not an HTTP/1.1 request")
    path = _PATH.fullmatch(words[1].partition("?")[0])
    if path is None:
        raise NotFound("There is nothing at this path")
    if words[0] != "GET" or not _lists(fields, "upgrade", "websocket"):
        raise MustUpgrade("This is for a tunnel, a WebSocket: see kworkspace proxy --help")
    if "origin" in fields:
        raise Forbidden("A page in a browser opens no tunnel")
    if fields.get("sec-websocket-version") != "13":
        raise MustUpgrade("Sec-WebSocket-Version: 13 is needed")
    if not _lists(fields, "connection", "upgrade") or not _is_key(fields):
        raise BadRequest("This is not a WebSocket's request")
    if not _lists(fields, "sec-websocket-protocol", SUBPROTOCOL):
        raise BadRequest(f"Sec-WebSocket-Protocol: {SUBPROTOCOL} is needed; update kworkspace")
    scheme, _, token = fields.get("authorization", "").partition(" ")
    return Upgrade(
        user=unquote(path[1], errors="replace"),
        server=unquote(path[2] or "", errors="replace"),
        token=token.strip() if scheme.lower() in {"token", "bearer"} else "",
        key=fields["sec-websocket-key"],
        agent=fields.get("user-agent", ""),
        forwarded=fields.get("x-forwarded-for", ""),
    )


def _fields(lines: list[str]) -> dict[str, str]:
    """Return the fields by name in lower case; those of one name are one list."""
    fields: dict[str, str] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise BadRequest("A field of the request is none")
        name = match[1].lower()
        fields[name] = f"{fields[name]}, {match[2]}" if name in fields else match[2]
    return fields


def _lists(fields: dict[str, str], name: str, word: str) -> bool:
    return word in (part.strip().lower() for part in fields.get(name, "").split(","))


def _is_key(fields: dict[str, str]) -> bool:
    try:
        return len(base64.b64decode(fields.get("sec-websocket-key", ""), validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def accepted(upgrade: Upgrade) -> bytes:
    """Return the answer after which the tunnel begins."""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_of(upgrade.key)}\r\n"
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    ).encode()


def refused(error: KworkspaceError) -> bytes:
    """Return the answer that says why there is no tunnel, as the hub's API would."""
    body = msgspec.json.encode(ErrorReply(status=error.status, message=error.message))
    more = f"Retry-After: {error.retry_after}\r\n" if isinstance(error, TooMany) else ""
    if isinstance(error, MustUpgrade):
        more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    return (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    ).encode() + body
