"""The tunnel's protocol: what command and gateway say to each other over a WebSocket (RFC 6455).

The command asks for the `tunnel_url` of a server with `Authorization: token X` and the subprotocol
SUBPROTOCOL; a refusal is an HTTP status with the body that every error has. Then binary messages
are the bytes of the SSH connection, in both directions. Text messages are a word, and what follows
it after a space:

    progress TEXT    gateway: the workspace is starting, and this is what happens
    ready KEY        gateway: connected; KEY is the host key that the workspace should show, by the
                     gateway's word (the hub's counts)
    message TEXT     gateway: for the person to see
    error TEXT       gateway: there will be no connection; a close frame follows
    eof              either: no more bytes from here; the other direction goes on

Words that are not known are to be ignored. A close frame ends both directions; each end may ping.
"""

import base64
import hashlib

SUBPROTOCOL = "kworkspace.tunnel.v1"
PING_SECONDS = 20.0
"""After so long without sending, an end pings: proxies close what is silent, often after 60 s."""

PROGRESS, READY, MESSAGE, ERROR, EOF = "progress", "ready", "message", "error", "eof"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key: str) -> str:
    """Return the Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455, section 4.2.2)."""
    digest = hashlib.sha1(key.encode("ascii") + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def text_of(word: str, text: str = "") -> bytes:
    """Return the payload of a text message; a text that is too long for one is cut."""
    return f"{word} {text[:2000]}".rstrip().encode(errors="replace")


def words_of(payload: bytes) -> tuple[str, str]:
    """Return a text message's word, and what follows it."""
    word, _, text = payload.decode(errors="replace").partition(" ")
    return word, text
