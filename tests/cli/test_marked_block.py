"""A block of ours in a person's file: everything else stays, byte for byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.marked_block import BrokenMarks, Part, parts, with_block

ONE, TWO = "https://one.example.org", "https://two.example.org/x"
BEGIN = b"# >>> kworkspace https://one.example.org >>>\n"
END = b"# <<< kworkspace https://one.example.org <<<\n"
BLOCK = BEGIN + b"Host x\n" + END


@given(st.binary().filter(lambda content: b"kworkspace" not in content))
def test_the_rest_stays_byte_for_byte(content: bytes) -> None:
    written = with_block(content, ONE, "Host x\n")
    assert written.endswith(content)
    assert with_block(written, ONE, "Host x\n") == written
    both = with_block(written, TWO, "Host y\n")
    assert with_block(both, ONE, "Host x\n") == both
    assert with_block(with_block(both, ONE, ""), TWO, "") == content


def test_the_block() -> None:
    assert with_block(b"", ONE, "Host x\n") == BLOCK


def test_it_takes_the_files_line_ends() -> None:
    written = with_block(b"Host a\r\n", ONE, "Host x\nHost *\n")
    assert written.count(b"\r\n") == written.count(b"\n") == 5


def test_it_goes_to_the_top_and_stays_in_its_place_there() -> None:
    below = b"Host *\n User u\n" + BLOCK + b"Host z"
    assert with_block(below, ONE, "Host x\n") == BLOCK + b"Host *\n User u\nHost z"
    assert with_block(below, ONE, "") == b"Host *\n User u\nHost z"
    two = with_block(BLOCK, TWO, "Host y\n")
    assert two.endswith(BLOCK)
    changed = with_block(two, ONE, "Host z\n")
    assert changed == two.replace(b"Host x", b"Host z")


def test_a_block_that_is_there_twice_is_there_once() -> None:
    assert with_block(BLOCK + b"a\n" + BLOCK, ONE, "Host x\n") == BLOCK + b"a\n"


def test_the_parts() -> None:
    assert parts(b"a\n" + BLOCK + b"b") == [Part("", b"a\n"), Part(ONE, BLOCK), Part("", b"b")]
    assert parts(b"") == []


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (BEGIN, 1),
        (b"a\n" + END, 2),
        (BEGIN + BEGIN + END, 2),
        (BEGIN + b"a\n" + END.replace(b"one", b"two"), 3),
        (BLOCK + b"a\n" + BEGIN, 5),
    ],
)
def test_marks_that_do_not_pair(content: bytes, line: int) -> None:
    for text in ("Host x\n", ""):
        with pytest.raises(BrokenMarks, match=f"line {line}, .* has no partner"):
            with_block(content, TWO, text)
