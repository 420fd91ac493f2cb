"""The words of the tunnel's protocol."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client.frames import MAX_TEXT
from kworkspace.cli.client.tunnel import accept_of, text_of, words_of


def test_the_example_of_the_rfc() -> None:
    """RFC 6455, section 1.3."""
    assert accept_of("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("word", "text"), [("eof", ""), ("progress", "pulling image (12 s)"), ("message", "h\u00e9")]
)
def test_words(word: str, text: str) -> None:
    assert words_of(text_of(word, text)) == (word, text)


@given(st.text(), st.binary())
def test_whatever_comes(text: str, payload: bytes) -> None:
    """A text fits into a message, and any payload has words."""
    assert len(text_of("message", text * 1000)) <= MAX_TEXT
    assert "".join(words_of(payload)).replace(" ", "") == (
        payload.decode(errors="replace").replace(" ", "")
    )
