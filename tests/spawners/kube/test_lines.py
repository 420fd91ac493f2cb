"""Lines out of chunks, however they are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.spawners.kube import lines
from kworkspace.spawners.kube.lines import Lines, TooLong


@given(st.binary(max_size=60), st.lists(st.integers(1, 9)))
def test_the_cuts_do_not_matter(text: bytes, sizes: list[int]) -> None:
    text = text.replace(b"\x01", b"\n")
    cutter, start = Lines(), 0
    found: list[bytes] = []
    for size in [*sizes, 60]:
        found += cutter.feed(text[start : start + size])
        start += size
    assert [*found, cutter.rest()] == text.split(b"\n")


def test_a_line_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_BYTES", 10)
    cutter = Lines()
    assert list(cutter.feed(b"123456789\n12345")) == [b"123456789"]
    with pytest.raises(TooLong):
        list(cutter.feed(b"678901"))
