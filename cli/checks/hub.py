"""The checks on the way to a hub: its address, TLS, the hub itself, the clock, and its gateway."""

import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from kworkspace.cli import __version__, clock
from kworkspace.cli.checks.outcome import failed, ok, warning
from kworkspace.cli.client import calls
from kworkspace.cli.client.models import HubRoot, SSHDoor
from kworkspace.cli.client.reports import CheckReport
from kworkspace.cli.client.sync import Client
from kworkspace.cli.client.ways import is_loopback, proxy_for, trust
from kworkspace.cli.client.words import seconds
from kworkspace.cli.programs import program
from kworkspace.cli.settings import Settings
from kworkspace.cli.ssh_command import door_host

CONNECT_SECONDS = 5.0
CALL_SECONDS = 10.0
SAME_SECONDS = 3.0  # the Date header counts whole seconds
SOON_SECONDS = 14 * 86400.0


def address(settings: Settings) -> Iterator[CheckReport]:
    """Whether the hub's host, or the proxy before it, has an address and takes connections."""
    proxy = proxy_for(settings.api)
    parts = urlsplit(proxy or settings.api)
    host, port = parts.hostname or "", _port(proxy or settings.api)
    what = "the proxy of the environment" if proxy else "the hub"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        fix = "check the name, the network and the VPN"
        yield failed("address", f"no address is known for {host} ({what})", fix)
        return
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        text = f"{host}, port {port} ({what}): {error.strerror or error}"
        yield failed("address", text, "is it running? check the port, the VPN and firewalls")
        return
    yield ok("address", f"{found[0][4][0]}, port {port} ({what})")


def tls(settings: Settings) -> Iterator[CheckReport]:
    """Whether the connection is encrypted, and how long the hub's certificate is good."""
    parts = urlsplit(settings.api)
    host = parts.hostname or ""
    if parts.scheme == "http":
        if is_loopback(host):
            yield ok("TLS", "not needed: the hub is on this computer")
        else:
            text = f"{settings.api} is not encrypted: whoever listens gets your token"
            yield warning("TLS", text, "use the hub's https URL")
        return
    if proxy_for(settings.api):
        yield ok("TLS", "through a proxy: see below whether the hub's certificate is good")
        return
    context = trust(settings.ca_file)
    with socket.create_connection((host, _port(settings.api)), CONNECT_SECONDS) as plain:
        try:
            with context.wrap_socket(plain, server_hostname=host) as secure:
                certificate = secure.getpeercert() or {}
        except ssl.SSLCertVerificationError as error:
            fix = "see below at 'hub'"
            yield failed("TLS", f"the certificate is refused: {error.verify_message}", fix)
            return
    remaining = ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()
    text = f"the hub's certificate is good for {seconds(remaining)}"
    if remaining < SOON_SECONDS:
        yield warning("TLS", text, "tell the hub's admin, if it is not renewed by itself")
    else:
        yield ok("TLS", text)


def hub(settings: Settings, answers: list[HubRoot]) -> Iterator[CheckReport]:
    """Whether a hub answers, of which version, and how far apart the clocks are.

    Args:
        settings: of this run.
        answers: takes the hub's answer, for the checks after this one.
    """
    with Client(settings.api, ca_file=settings.ca_file, seconds=CALL_SECONDS) as client:
        root = client.send(calls.root())
    answers.append(root)
    if root.version.split(".")[:2] == __version__.split(".")[:2]:
        yield ok("hub", f"{settings.api}, version {root.version}")
    else:
        text = f"{settings.api}, version {root.version}; this command is {__version__}"
        yield warning("hub", text, "install the command of the hub's version")
    wrong = clock.complaint(client.clock_offset)
    if wrong:
        what, _, remedy = wrong.partition("; ")
        yield warning("clock", what, remedy)
    elif client.clock_offset is None:
        yield ok("clock", "the hub does not tell its own")
    elif abs(client.clock_offset) < SAME_SECONDS:
        yield ok("clock", "as the hub's")
    else:
        yield ok("clock", f"{seconds(abs(client.clock_offset))} from the hub's")


def gateway(settings: Settings, door: SSHDoor | None) -> Iterator[CheckReport]:
    """Whether the gateway takes connections, and has the host keys that the hub names."""
    if door is None:
        yield failed("gateway", "the hub's SSH gateway is not up", "ask the hub's admin")
        return
    host = door_host(settings.api, door)
    place = f"{host}, port {door.port}"
    pinned = {tuple(key.split()[:2]) for key in door.host_keys}
    try:
        socket.create_connection((host, door.port), CONNECT_SECONDS).close()
    except OSError as error:
        fix = "check the VPN and firewalls: SSH must be let through to it"
        yield failed("gateway", f"{place}: {error.strerror or error}", fix)
        return
    kinds = ",".join(sorted({key[0] for key in pinned if key}))
    line = ("-T", "5", "-p", str(door.port), "-t", kinds, "--", host)
    done = subprocess.run(
        (program("ssh-keyscan"), *line),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=CALL_SECONDS,
        check=False,
    )
    seen = {tuple(line.split()[1:3]) for line in done.stdout.splitlines() if line[:1] != "#"}
    if seen & pinned:
        yield ok("gateway", f"{place}, with the host key that the hub names")
    elif seen:
        text = f"{place} has another host key than the hub names: somebody may stand in between"
        yield failed("gateway", text, "do not connect over this network; tell the hub's admin")
    else:
        text = f"{place} takes connections, and does not answer as an SSH server"
        yield failed("gateway", text, "ask the hub's admin")


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or {"https": 443}.get(parts.scheme, 80)
