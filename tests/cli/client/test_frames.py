"""Frames as they come: in any pieces, of any size, from ends that keep the rules or do not."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kworkspace.cli.client.frames import (
    MAX_TEXT,
    ROOM,
    Decoder,
    FrameError,
    Opcode,
    frame,
    head,
)

Message = tuple[Opcode, bytes]

SIZES = (124, 125, 126, 127, 8191, 8192, 65535, 65536)
KINDS = st.sampled_from([Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG, Opcode.CLOSE])
PATTERN = {n: (bytes(range(251)) * 262)[:n] for n in SIZES}
PAYLOADS = st.one_of(
    st.binary(max_size=125),
    st.sampled_from(SIZES).map(PATTERN.__getitem__),
)


def fits(message: Message) -> bool:
    """Whether its kind may have so much payload."""
    kind, payload = message
    most = {Opcode.BINARY: 1 << 20, Opcode.TEXT: MAX_TEXT}.get(kind, 125)
    return len(payload) <= most


MESSAGES = st.lists(st.tuples(KINDS, PAYLOADS).filter(fits), max_size=8)


def decode(decoder: Decoder, pieces: Iterable[bytes]) -> list[Message]:
    """Return what a decoder yields, binary pieces in a row put together."""
    found: list[Message] = []
    for piece in pieces:
        for kind, payload in decoder.feed(memoryview(bytearray(piece))):
            if kind is Opcode.BINARY and found and found[-1][0] is kind:
                found[-1] = (kind, found[-1][1] + bytes(payload))
            else:
                found.append((kind, bytes(payload)))
    return found


def joined(messages: list[Message]) -> list[Message]:
    """Return messages as a stream has them: empty binary ones are nothing."""
    found: list[Message] = []
    for kind, payload in messages:
        if kind is Opcode.BINARY and not payload:
            continue
        if kind is Opcode.BINARY and found and found[-1][0] is kind:
            found[-1] = (kind, found[-1][1] + payload)
        else:
            found.append((kind, payload))
    return found


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    """Return a stream in pieces."""
    places = sorted({0, len(stream), *(place % (len(stream) + 1) for place in cuts)})
    return [stream[a:b] for a, b in pairwise(places)]


def masked_frame(kind: int, payload: bytes, key: bytes) -> bytes:
    """Return a client's frame as others make them: with a key that is not zero."""
    start = head(Opcode(kind), len(payload), masked=True)[:-4]
    clear = bytearray(payload)
    for place in range(4):
        turned = bytes(byte ^ key[place] for byte in range(256))
        clear[place::4] = clear[place::4].translate(turned)
    return start + key + clear


@given(MESSAGES, st.lists(st.integers(0, 1 << 20), max_size=12), st.booleans())
def test_what_is_sent_arrives_in_whatever_pieces(
    messages: list[Message], cuts: list[int], masked: bool
) -> None:
    """Nothing is lost, added or changed."""
    stream = b"".join(frame(kind, payload, masked=masked) for kind, payload in messages)
    assert decode(Decoder(masked=masked), cut(stream, cuts)) == joined(messages)


@given(MESSAGES, st.lists(st.integers(0, 1 << 20), max_size=12), st.binary(min_size=4, max_size=4))
def test_masks_of_others_are_taken_off(
    messages: list[Message], cuts: list[int], key: bytes
) -> None:
    """Another client's key is random, and a piece begins anywhere in it."""
    stream = b"".join(masked_frame(kind, payload, key) for kind, payload in messages)
    assert decode(Decoder(masked=True), cut(stream, cuts)) == joined(messages)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.booleans())
def test_messages_in_parts_are_whole(parts: list[bytes], is_text: bool) -> None:
    """With a control frame between the parts (section 5.4)."""
    kind = Opcode.TEXT if is_text else Opcode.BINARY
    stream = b""
    for number, part in enumerate(parts):
        start = bytearray(head(kind if number == 0 else Opcode(0), len(part), masked=False))
        start[0] &= 0x7F if number < len(parts) - 1 else 0xFF
        stream += bytes(start) + part + (b"" if number else frame(Opcode.PING, b"", masked=False))
    found = decode(Decoder(masked=False), [stream])
    assert (Opcode.PING, b"") in found
    assert b"".join(payload for of, payload in found if of is kind) == b"".join(parts)


@given(st.lists(st.binary(max_size=64), max_size=8), st.booleans())
@example([b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"], False)
def test_noise_is_an_error_or_a_frame(pieces: list[bytes], masked: bool) -> None:
    """Whatever comes: FrameError and no other, and nothing that was not sent."""
    try:
        found = decode(Decoder(masked=masked), pieces)
    except FrameError:
        return
    assert sum(len(payload) for _, payload in found) <= sum(map(len, pieces))


@pytest.mark.parametrize(
    ("stream", "masked", "why"),
    [
        (b"\xc2\x00", False, "reserved"),
        (b"\x83\x00", False, "opcode"),
        (b"\x82\x80\0\0\0\0", False, "wrong end"),
        (b"\x82\x00....", True, "wrong end"),
        (b"\x89\x7e\x00\x80", False, "too long"),
        (b"\x09\x00", False, "in parts"),
        (b"\x80\x00", False, "no message"),
        (b"\x02\x01x\x82\x00", False, "in another"),
        (b"\x82\x7e\x00\x05", False, "more bytes"),
        (b"\x82\x7f\x80" + bytes(7), False, "too large"),
        (b"\x81\x7f" + (MAX_TEXT + 1 << 8).to_bytes(8), False, "too long"),
        (b"\x01\x7e\x20\x00" + b"x" * MAX_TEXT + b"\x80\x01", False, "too long"),
    ],
)
def test_broken_rules_are_named(stream: bytes, masked: bool, why: str) -> None:
    """Each as soon as the frame's head is there."""
    with pytest.raises(FrameError, match=why):
        decode(Decoder(masked=masked), [stream])


def test_pieces_are_views() -> None:
    """A binary payload is not copied, and before its end has come it is there."""
    data = bytearray(frame(Opcode.BINARY, b"x" * 1000, masked=True)[:500])
    [(kind, piece)] = Decoder(masked=True).feed(memoryview(data))
    assert kind is Opcode.BINARY
    assert isinstance(piece, memoryview)
    assert piece.obj is data


def test_room_is_enough() -> None:
    """The largest head fits."""
    assert len(head(Opcode.BINARY, (1 << 63) - 1, masked=True)) == ROOM
