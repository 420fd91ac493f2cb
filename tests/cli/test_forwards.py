"""The grammar of `connect -f`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.forwards import parse_forward, parse_forwards


@pytest.mark.parametrize(
    ("spec", "argument"),
    [
        ("8080", "127.0.0.1:8080:localhost:8080"),
        ("8080:80", "127.0.0.1:8080:localhost:80"),
        ("8888:db.example.org:80", "127.0.0.1:8888:db.example.org:80"),
        ("8888:10.0.0.1:80", "127.0.0.1:8888:10.0.0.1:80"),
        ("8888:[::1]:80", "127.0.0.1:8888:[::1]:80"),
        ("1:65535", "127.0.0.1:1:localhost:65535"),
    ],
)
def test_what_ssh_gets(spec: str, argument: str) -> None:
    assert parse_forward(spec).argument == argument


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("", "must be PORT, PORT:PORT or PORT:HOST:PORT"),
        ("http", "must be"),
        ("80:", "must be"),
        ("80:host:", "must be"),
        ("1:2:3:4", "must be"),
        ("80:::1:80", "must be"),
        ("\u0663", "must be"),
        ("0", "port 0 is not between 1 and 65535"),
        ("8080:65536", "port 65536 is not between"),
        ("9" * 5000, "is not between"),
        ("80:[x]:80", r"[x] is no IPv6 address"),
        ("80:-x:80", "'-x' is no host name"),
        ("80:a b:80", "'a b' is no host name"),
        ("80::80", "'' is no host name"),
    ],
)
def test_what_is_wrong_is_said(spec: str, why: str) -> None:
    with pytest.raises(UsageFault) as caught:
        parse_forward(spec)
    assert why in caught.value.message


def test_a_port_here_is_used_once() -> None:
    with pytest.raises(UsageFault, match="port 8080 is given twice"):
        parse_forwards(("8080", "8080:80"))
    assert len(parse_forwards(("8080", "8081:8080"))) == 2


@given(st.text(max_size=30))
def test_any_text_is_a_forward_or_refused(text: str) -> None:
    try:
        forward = parse_forward(text)
    except UsageFault:
        return
    assert parse_forward(f"{forward.here}:{forward.host}:{forward.there}") == forward
