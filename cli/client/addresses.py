"""What counts as one source where attempts are counted by address: for the gateway and the hub."""

from ipaddress import IPv6Address, IPv6Network, ip_address


def source_of(address: str) -> str:
    """Return what counts as one source: an IPv4 address, or the /64 of an IPv6 one.

    An IPv6 host can choose addresses within its /64 as it likes (RFC 4291, section 2.5.4). What is
    no address is itself, as far as 64 characters go, since anybody's may be kept.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(IPv6Network((int(ip), 64), strict=False))
    return str(ip)
