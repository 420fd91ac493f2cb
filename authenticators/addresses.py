"""From where a key may be used: the pattern list of `from=` in authorized_keys (sshd(8)).

    list    = pattern *("," pattern)
    pattern = [ "!" ] ( address | address "/" bits | address with "*" and "?" in it )

As in OpenSSH, a negated pattern that matches refuses, whatever else matches, and a list of negated
ones alone matches nobody. Unlike there, host names are refused where the key is listed: nothing
here asks DNS. An IPv4 address that comes as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
"""

import re
from dataclasses import dataclass
from fnmatch import translate
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from kworkspace.cli.client.errors import BadRequest

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_PATTERNS = 100

_MAPPED = IPv6Network("::ffff:0:0/96")
_WILDCARD = re.compile(r"[0-9.*?]+|(?=.*:)[0-9a-f:.*?]+")


def parse_address(text: str) -> Address | None:
    """Return an IP address without its zone, None if the text is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One pattern: a network, or a text with wildcards."""

    negated: bool
    network: Network | None
    text: re.Pattern[str] | None

    def matches(self, address: Address) -> bool:
        """Whether the address is meant, negated or not."""
        if self.network is not None:
            return address in self.network
        return self.text is not None and self.text.match(str(address)) is not None


@dataclass(frozen=True, slots=True)
class AddressPatterns:
    """A parsed pattern list."""

    patterns: tuple[_Pattern, ...]

    def match(self, address: str) -> bool:
        """Whether the list lets an address in; what is no address never comes in."""
        parsed = parse_address(address)
        if parsed is None:
            return False
        found = [pattern for pattern in self.patterns if pattern.matches(parsed)]
        return bool(found) and not any(pattern.negated for pattern in found)


def parse_patterns(text: str, what: str) -> AddressPatterns:
    """Read a pattern list.

    Args:
        text: what stands between the quotes of `from="..."`.
        what: how the error calls the key.

    Raises:
        BadRequest: a pattern is none; the message says which.
    """
    parts = text.split(",")
    if len(parts) > MAX_PATTERNS:
        raise BadRequest(f"{what}: from= has more than {MAX_PATTERNS} patterns")
    try:
        return AddressPatterns(tuple(map(_parse_pattern, parts)))
    except ValueError:
        raise BadRequest(
            f"{what}: from= takes IP addresses, networks such as 192.0.2.0/24 with no bit set"
            " behind the mask, and patterns such as 192.0.2.*; no host names"
        ) from None


def _parse_pattern(written: str) -> _Pattern:
    text = written.removeprefix("!").lower()
    negated = written.startswith("!")
    if ("*" in text or "?" in text) and _WILDCARD.fullmatch(text):
        return _Pattern(negated, None, re.compile(translate(text)))
    return _Pattern(negated, parse_network(text), None)


def parse_network(text: str) -> Network:
    """Read an address or a network in CIDR notation.

    Raises:
        ValueError: it is none, has bits set below its mask, or is IPv4 in the dress of IPv6.
    """
    _, slash, bits = text.partition("/")
    if "%" in text or (slash and not (bits.isascii() and bits.isdigit())):
        raise ValueError("not in CIDR notation")
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.overlaps(_MAPPED) and network.prefixlen >= 96:
        raise ValueError("an IPv4 address in IPv6")
    return network
