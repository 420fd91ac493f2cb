"""The pattern list of `from=`: what OpenSSH's own matcher says of it, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.authenticators.addresses import parse_address, parse_network, parse_patterns
from kworkspace.cli.client.errors import BadRequest


@pytest.mark.parametrize(
    ("patterns", "inside", "outside"),
    [
        ("192.0.2.1", ["192.0.2.1", "::ffff:192.0.2.1"], ["192.0.2.10", "::192.0.2.1"]),
        ("192.0.2.0/24", ["192.0.2.255"], ["192.0.3.0", "2001:db8::1"]),
        ("192.0.2.*", ["192.0.2.7", "::ffff:192.0.2.7"], ["192.0.20.7"]),
        ("192.0.2.?", ["192.0.2.7"], ["192.0.2.77"]),
        ("*", ["192.0.2.7", "2001:db8::1"], []),
        ("2001:DB8::/32", ["2001:db8:ffff::1", "2001:db8::1%eth0"], ["2001:db9::1"]),
        ("2001:db8::*", ["2001:db8::1"], ["2001:db8:1::1"]),
        ("0.0.0.0/0", ["192.0.2.7", "::ffff:192.0.2.7"], ["2001:db8::1"]),
        ("::/0", ["2001:db8::1"], ["192.0.2.7", "::ffff:192.0.2.7"]),
        ("192.0.2.0/24,2001:db8::/32", ["192.0.2.1", "2001:db8::1"], ["198.51.100.1"]),
    ],
)
def test_who_is_let_in(patterns: str, inside: list[str], outside: list[str]) -> None:
    parsed = parse_patterns(patterns, "key 1")
    assert [address for address in inside if not parsed.match(address)] == []
    assert [address for address in outside if parsed.match(address)] == []


@pytest.mark.parametrize("patterns", ["*,!192.0.2.1", "!192.0.2.1,*", "!192.0.2.?,192.0.2.0/24"])
def test_negated_pattern_wins_wherever_it_stands(patterns: str) -> None:
    parsed = parse_patterns(patterns, "key 1")
    assert parsed.match("192.0.2.77")
    assert not parsed.match("192.0.2.1")
    assert not parsed.match("::ffff:192.0.2.1")


def test_negated_patterns_alone_let_nobody_in() -> None:
    assert not parse_patterns("!192.0.2.1", "key 1").match("198.51.100.1")


@pytest.mark.parametrize("address", ["", "unix", "localhost", "192.0.2", "192.0.2.1:22", "*"])
def test_what_is_no_address_does_not_come_in(address: str) -> None:
    assert parse_address(address) is None
    assert not parse_patterns("*", "key 1").match(address)


@pytest.mark.parametrize(
    "patterns",
    [
        "",
        "192.0.2.1,",
        "!",
        "!!192.0.2.1",
        " 192.0.2.1",
        "host.example.org",
        "*.example.org",
        "*.de",
        "cafe*",
        "192.0.2.1/24",
        "192.0.2.0/255.255.255.0",
        "192.0.2.0/33",
        "192.0.2.0/\uff12\uff14",
        "192.0.2.*/24",
        "192.0.2.[1-5]",
        "::ffff:192.0.2.0/120",
        "fe80::1%eth0",
        "[2001:db8::1]",
        ",".join(["192.0.2.1"] * 101),
    ],
)
def test_anything_else_is_refused(patterns: str) -> None:
    with pytest.raises(BadRequest, match=r"^key 1: from= "):
        parse_patterns(patterns, "key 1")


@given(st.ip_addresses())
def test_every_address_is_its_own_pattern(address: object) -> None:
    text = str(address)
    try:
        parsed = parse_patterns(text, "key 1")
    except BadRequest:
        assert text.startswith("::ffff:")
        return
    assert parsed.match(text)
    assert not parse_patterns(f"*,!{text}", "key 1").match(text)


@given(st.text(alphabet="0123456789abcdef.:*?!/,%"), st.ip_addresses().map(str))
def test_any_text_is_a_list_or_refused(text: str, address: str) -> None:
    try:
        parsed = parse_patterns(text, "key 1")
    except BadRequest:
        return
    assert parsed.match(address) in {True, False}


@given(st.text())
def test_any_text_is_a_network_or_a_value_error(text: str) -> None:
    try:
        network = parse_network(text)
    except ValueError:
        return
    assert network == parse_network(str(network))
