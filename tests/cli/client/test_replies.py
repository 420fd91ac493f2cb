"""Decoding an answer: the type that was promised, or the hub's error."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client import calls
from kworkspace.cli.client.errors import HubUnreachable, KworkspaceError, NotFound, TooMany
from kworkspace.cli.client.models import TokenRequest
from kworkspace.cli.client.replies import decode_reply

# Nested in a field that nobody knows, and in one that takes anything.
DEEP = b'{"x":' + b"[" * 100_000
CALLS: tuple[calls.Call[Any], ...] = (
    calls.root(),
    calls.whoami(),
    calls.challenge(),
    calls.progress("alice"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["name"]), inner),
)


def test_the_promised_type_and_unknown_fields_ignored() -> None:
    body = b'{"version": "0.1.0", "python": "3", "ssh": null}'
    reply = decode_reply(calls.root(), 200, {}, body)
    assert reply.version == "0.1.0"
    assert reply.ssh is None


def test_no_body_where_none_is_promised() -> None:
    decode_reply(calls.start("alice"), 202, {}, b"")


def test_the_hubs_error() -> None:
    body = b'{"status": 404, "message": "There is no user bob"}'
    with pytest.raises(NotFound, match="There is no user bob"):
        decode_reply(calls.get_user("bob"), 404, {}, body)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("soon", 10), ("", 10), ("\xb2", 10), ("9" * 5000, 10)]
)
def test_retry_after(header: str, seconds: int) -> None:
    body = b'{"status": 429, "message": "slowly"}'
    with pytest.raises(TooMany) as caught:
        decode_reply(calls.start("alice"), 429, {"Retry-After": header}, body)
    assert caught.value.retry_after == seconds


def test_an_error_that_is_not_json_names_the_call() -> None:
    with pytest.raises(NotFound, match=r"GET /hub/api/user was answered with HTTP 404"):
        decode_reply(calls.whoami(), 404, {}, b"<h1>Not found</h1>")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"name": 7}', b"\xff", b'"\xff"', b'{"name": "\xff"}', DEEP]
)
def test_what_no_hub_would_say(body: bytes) -> None:
    with pytest.raises(HubUnreachable, match="check the URL"):
        decode_reply(calls.whoami(), 200, {}, body)


@pytest.mark.parametrize("content", [b'"\xff"', b'{"message": "\xff"}', DEEP, b"[" * 100_000])
def test_an_error_of_any_bytes(content: bytes) -> None:
    with pytest.raises(NotFound, match="HTTP 404"):
        decode_reply(calls.whoami(), 404, {}, content)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()), st.integers(200, 599))
def test_any_answer_is_a_value_or_an_error_of_ours(content: bytes, status: int) -> None:
    for call in CALLS:
        try:
            reply = decode_reply(call, status, {"Retry-After": "1"}, content)
        except KworkspaceError:
            continue
        assert isinstance(reply, call.reply)


@pytest.mark.parametrize(
    "token", ["", "a\r\nX: y", "a b", "a\n", "\u20ac", "\xe9", "a\0", "x" * 513, "\u202e"]
)
def test_a_token_that_no_header_can_carry(token: str) -> None:
    new = {"token": token, "id": "1", "user": "alice", "expires_in": None}
    request = TokenRequest(user="alice", url="http://hub", nonce="n", signature="s")
    with pytest.raises(HubUnreachable, match="check the URL") as caught:
        decode_reply(calls.new_token(request), 201, {}, json.dumps(new).encode())
    assert not token or token not in str(caught.value.__cause__)
