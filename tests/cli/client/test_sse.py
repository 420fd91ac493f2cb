"""The decoder of server-sent events, however the stream is cut into chunks."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client.errors import HubUnreachable
from kworkspace.cli.client.sse import MAX_EVENT, EventDecoder

STREAM = (
    b": alive\n\n"
    b'data: {"progress": 10}\n\n'
    b'id: 7\r\nevent: x\r\ndata:{"progress": 20}\r\n\r\n'
    b"data: two\ndata:  lines\n\n"
    b"\n\n"
    b"data: never ended\n"
)
EVENTS = [b'{"progress": 10}', b'{"progress": 20}', b"two\n lines"]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_chunks_do_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[a:b] for a, b in pairwise(edges)]
    decoder = EventDecoder()
    assert [event for chunk in chunks for event in decoder.feed(chunk)] == EVENTS


@given(st.binary(max_size=200) | st.text("dat: \r\n", max_size=60).map(str.encode))
def test_any_bytes_are_cut_alike(content: bytes) -> None:
    whole, single = EventDecoder(), EventDecoder()
    events = list(whole.feed(content))
    assert events == [event for byte in content for event in single.feed(bytes([byte]))]


def endless(piece: bytes) -> None:
    """Feed the same piece again and again."""
    decoder = EventDecoder()
    for _ in range(8 * MAX_EVENT // len(piece)):
        assert list(decoder.feed(piece)) == []


@pytest.mark.parametrize(
    "piece", [b"x" * 60_000, b": comment" * 1000, b"data: y\n" * 9_000, b"data:\n" * 9_000]
)
def test_an_event_without_end(piece: bytes) -> None:
    with pytest.raises(HubUnreachable, match="larger than 1 MB"):
        endless(piece)


def test_the_largest_event() -> None:
    decoder = EventDecoder()
    content = b"x" * (MAX_EVENT - 6)
    for _ in range(3):
        assert list(decoder.feed(b"data: " + content)) == []
        assert list(decoder.feed(b"\n\n")) == [content]


def test_small_chunks_of_a_large_event_take_linear_time() -> None:
    decoder = EventDecoder()
    began = time.process_time()
    for _ in range(MAX_EVENT // 8):
        assert list(decoder.feed(b"xxxxxxxx")) == []
    # A buffer that is copied for each chunk would take minutes.
    assert time.process_time() - began < 10
