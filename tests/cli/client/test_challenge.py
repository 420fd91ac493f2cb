"""The text that is signed: pinned byte by byte, for both sides must compose it alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client.challenge import challenge_text, normal_url
from kworkspace.cli.client.errors import BadRequest


def test_the_text() -> None:
    assert challenge_text(url="HTTPS://Hub.example.org:443/", user="alice", nonce="n-1") == (
        b"kworkspace: sign in to this hub and get an API token\n"
        b"url: https://hub.example.org\n"
        b"user: alice\n"
        b"nonce: n-1\n"
    )


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://HUB:80", "http://hub"),
        ("https://hub:443/x/", "https://hub/x"),
        ("https://hub:80", "https://hub:80"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("https://[::1]:443/", "https://[::1]"),
    ],
)
def test_one_form_of_a_url(url: str, normal: str) -> None:
    assert normal_url(url) == normal
    assert normal_url(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hub",
        "hub:8000",
        "ftp://hub",
        "http://",
        "http://:80",
        "http://hub:x",
        "http://hub:99999",
        "http://alice@hub",
        "http://hub/?q",
        "http://hub/#f",
        "http://[::1",
    ],
)
def test_what_is_no_url_of_a_hub(url: str) -> None:
    with pytest.raises(BadRequest, match=r"^url: "):
        normal_url(url)


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    try:
        normal = normal_url(text)
    except BadRequest:
        return
    assert normal_url(normal) == normal


@given(st.text(max_size=60), st.sampled_from(["http://h/", "http://h", "https://h:1/a"]))
def test_a_url_never_adds_a_line_to_the_text(text: str, base: str) -> None:
    try:
        signed = challenge_text(url=base + text, user="alice", nonce="n")
    except BadRequest:
        return
    assert signed.count(b"\n") == 4
