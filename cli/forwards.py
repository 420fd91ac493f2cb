"""The grammar of `connect -f`: which port here leads where in the workspace.

    spec = port | port ":" port | port ":" host ":" port        host = name | address | "[" IPv6 "]"

`8080` is port 8080 here and there, `8080:80` is 8080 here and 80 there, `8888:db:80` leads to the
host `db` as the workspace sees it. The port here listens on 127.0.0.1 only.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address

from kworkspace.cli.client.exits import UsageFault

_SPEC = re.compile(r"(?P<here>\d+)(:(?:(?P<host>\[[^\]]*\]|[^:\[\]]*):)?(?P<there>\d+))?")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Forward:
    """One port here and where it leads; `host` is in brackets when it is an IPv6 address."""

    here: int
    host: str
    there: int

    @property
    def argument(self) -> str:
        """What `ssh -L` takes."""
        return f"127.0.0.1:{self.here}:{self.host}:{self.there}"

    def __str__(self) -> str:
        return f"127.0.0.1:{self.here} -> {self.host}:{self.there}"


def parse_forward(spec: str) -> Forward:
    """Parse one value of `-f`.

    Raises:
        UsageFault: the grammar does not allow it; the message says what is wrong.
    """
    match = _SPEC.fullmatch(spec)
    if match is None or not spec.isascii():
        raise UsageFault(f"-f {spec}: must be PORT, PORT:PORT or PORT:HOST:PORT, such as 8080:80")
    host = match["host"]
    if host is None:
        host = "localhost"
    elif host.startswith("["):
        try:
            IPv6Address(host[1:-1])
        except AddressValueError as error:
            raise UsageFault(f"-f {spec}: {host} is no IPv6 address") from error
    elif not _HOST.fullmatch(host):
        raise UsageFault(f"-f {spec}: '{host}' is no host name or address")
    here = _port(match["here"], spec)
    return Forward(here, host, _port(match["there"], spec) if match["there"] else here)


def parse_forwards(specs: tuple[str, ...]) -> list[Forward]:
    """Parse all values of `-f`.

    Raises:
        UsageFault: one is wrong, or two use the same port here.
    """
    forwards = [parse_forward(spec) for spec in specs]
    here: set[int] = set()
    for forward in forwards:
        if forward.here in here:
            raise UsageFault(f"-f: port {forward.here} is given twice")
        here.add(forward.here)
    return forwards


def _port(text: str, spec: str) -> int:
    if len(text) > 5 or not 1 <= int(text) <= 65535:
        raise UsageFault(f"-f {spec}: port {text} is not between 1 and 65535")
    return int(text)
