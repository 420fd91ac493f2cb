"""The one request: what it must say, and whatever else comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client.errors import (
    BadRequest,
    Forbidden,
    KworkspaceError,
    NotFound,
    TooMany,
)
from kworkspace.cli.client.tunnel import SUBPROTOCOL
from kworkspace.gateway.upgrade import MustUpgrade, Upgrade, accepted, parse, refused

GOOD = [
    b"GET /gateway/tunnel/alice HTTP/1.1",
    b"Host: hub.example",
    b"upgrade: WebSocket",
    b"Connection: keep-alive",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    f"Sec-WebSocket-Protocol: x, {SUBPROTOCOL}".encode(),
    b"Authorization: TOKEN kws_secret",
]


def request(*changes: tuple[bytes, bytes]) -> bytes:
    """Return a good head with some text in it replaced."""
    head = b"\r\n".join(GOOD)
    for old, new in changes:
        assert old in head
        head = head.replace(old, new)
    return head


def test_a_good_one() -> None:
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    assert parse(request()) == Upgrade(
        user="alice", server="", token="kws_secret", key=key, agent=""
    )
    # The example of RFC 6455, section 1.3.
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in accepted(parse(request()))


@pytest.mark.parametrize(
    ("path", "user", "server"),
    [
        (b"/gateway/tunnel/alice/gpu", "alice", "gpu"),
        (b"/kw/lab/gateway/tunnel/a%2Fb/", "a/b", ""),
        (b"/gateway/tunnel/al%c3%afce?token=no", "al\u00efce", ""),
    ],
)
def test_paths(path: bytes, user: str, server: str) -> None:
    found = parse(request((b"/gateway/tunnel/alice", path)))
    assert (found.user, found.server) == (user, server)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (b"GET ", b"POST ", MustUpgrade),
        (b" HTTP/1.1", b" HTTP/1.0", BadRequest),
        (b" HTTP/1.1", b"", BadRequest),
        (b"/gateway/tunnel/alice", b"/gateway/tunnel/", NotFound),
        (b"/gateway/tunnel/alice", b"/gateway/tunnel/a/b/c", NotFound),
        (b"upgrade: WebSocket", b"upgrade: h2c", MustUpgrade),
        (b"Connection: Upgrade", b"Connection: close", BadRequest),
        (b"Version: 13", b"Version: 8", MustUpgrade),
        (b"Key: dGhl", b"Key: Ghl", BadRequest),
        (b"Key: dGhl", b"Key: dGhldGhl", BadRequest),
        (SUBPROTOCOL.encode(), b"chat", BadRequest),
        (b"Host: hub.example", b"Origin: https://evil.example", Forbidden),
        (b"Host: hub.example", b"Host : hub.example", BadRequest),
        (b"Host: hub.example", b"Host: hub.example\r\n folded", BadRequest),
        (b"Host: hub.example", b"nonsense", BadRequest),
    ],
)
def test_what_is_none(old: bytes, new: bytes, error: type[KworkspaceError]) -> None:
    with pytest.raises(error) as raised:
        parse(request((old, new)))
    assert raised.type is error


@pytest.mark.parametrize(
    ("line", "token"),
    [(b"Authorization: Basic YTpi", ""), (b"X: y", ""), (b"Authorization: bearer  t ", "t")],
)
def test_tokens(line: bytes, token: str) -> None:
    assert parse(request((b"Authorization: TOKEN kws_secret", line))).token == token


@given(st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(GOOD)).map(b"\r\n".join)))
def test_noise_is_refused_or_a_request(head: bytes) -> None:
    """Whatever comes, there is an answer to it."""
    answer: KworkspaceError = NotFound("")
    try:
        parse(head)
    except KworkspaceError as error:
        answer = error
    assert refused(answer).startswith(f"HTTP/1.1 {answer.status} ".encode())


def test_refusals_say_what_to_do_next() -> None:
    assert b"\r\nRetry-After: 7\r\n" in refused(TooMany("enough", 7))
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in refused(MustUpgrade("no"))
    assert refused(NotFound("nothing")).endswith(b'{"status":404,"message":"nothing"}')
