"""The host certificate as OpenSSH's client sees it, and that there is always a good one."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import asyncssh
import pytest
from asyncssh.public_key import SSHOpenSSHCertificate

from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.tasks import Tasks
from kworkspace.gateway import host_certificate
from kworkspace.gateway.host_certificate import keep_certified
from tests.gateway.openssh import public_line

if TYPE_CHECKING:
    from tests.gateway.conftest import Finished, GatewayProcess, Stack
    from tests.gateway.stand_in_hub import StandInHub

REFUSED = b"Host key verification failed"


@dataclass
class Door:
    """A gateway that has its certificate."""

    stack: "Stack"
    gateway: "GatewayProcess"

    def __post_init__(self) -> None:
        log = self.gateway.log
        self.stack.wait_for(lambda: "certified by the hub" in log.read_text(), "certificate")

    def connect(self, *lines: str) -> "Finished":
        """Run a command through it, with these lines of known_hosts and no others."""
        own = self.gateway.known_hosts
        kept = own.read_text()
        own.write_text("".join(f"{line}\n" for line in lines))
        before, self.stack.gateway = self.stack.gateway, self.gateway
        try:
            return self.stack.run("echo in")
        finally:
            own.write_text(kept)
            self.stack.gateway = before

    def authority(self, key: asyncssh.SSHKey) -> str:
        """Return the line of an authority for the gateway's address."""
        return f"@cert-authority [127.0.0.1]:{self.gateway.port} {public_line(key)}"

    def pin(self) -> str:
        """Return the line of its bare host key."""
        return self.gateway.known_hosts.read_text().splitlines()[0]


@pytest.fixture
def door(stack: "Stack") -> Door:
    """The gateway that most tests share."""
    return Door(stack, stack.gateway)


def test_the_authority_is_enough(door: Door) -> None:
    done = door.connect(door.authority(door.stack.hub.host_authority))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"in\n", b"")


def test_another_authority(door: Door) -> None:
    """It is refused; but who has pinned the host key, comes in, whatever signs it."""
    foreign = door.authority(asyncssh.generate_private_key("ssh-ed25519"))
    done = door.connect(foreign)
    assert (done.returncode, done.stdout) == (255, b"")
    assert REFUSED in done.stderr
    assert door.connect(foreign, door.pin()).stdout == b"in\n"


def test_revoked(door: Door) -> None:
    """Who knows that the host key was stolen is not led astray by a certificate for it."""
    authority = door.authority(door.stack.hub.host_authority)
    done = door.connect(authority, f"@revoked {door.pin()}")
    assert done.returncode == 255
    assert b"REVOKED" in done.stderr


@pytest.fixture
def new_door(
    stack: "Stack", new_gateway: "Callable[[], GatewayProcess]"
) -> "Iterator[Callable[..., Door]]":
    """Return a function that starts a gateway whose certificate is otherwise."""

    def start(**otherwise: Any) -> Door:
        stack.hub.host_certificate = otherwise
        return Door(stack, new_gateway())

    yield start
    stack.hub.host_certificate = {}


@pytest.mark.parametrize(
    "otherwise",
    [
        {"principals": ["another.example", "127.0.0.2"]},
        {"valid_after": "-2d", "valid_before": "-1d"},
        {"valid_after": "+1d", "valid_before": "+2d"},
    ],
    ids=["name", "expired", "not-yet"],
)
def test_refused_certificates(new_door: "Callable[..., Door]", otherwise: dict[str, Any]) -> None:
    door = new_door(**otherwise)
    authority = door.authority(door.stack.hub.host_authority)
    done = door.connect(authority)
    assert (done.returncode, done.stdout) == (255, b"")
    assert REFUSED in done.stderr
    assert door.connect(authority, door.pin()).stdout == b"in\n"


class Acceptor:
    """What new connections would be shown."""

    def __init__(self) -> None:
        self.shown: asyncio.Queue[Any] = asyncio.Queue()

    def update(self, *, server_host_keys: list[Any]) -> None:
        self.shown.put_nowait(server_host_keys)


async def test_it_is_renewed(
    hub: "StandInHub", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the hub was away, and when its authority has another key."""
    monkeypatch.setattr(host_certificate, "RENEW_SECONDS", 0.01)
    monkeypatch.setattr(host_certificate, "RETRY_SECONDS", 0.01)
    (tmp_path / "token").write_text(hub.token)
    key, acceptor, tasks = asyncssh.generate_private_key("ssh-ed25519"), Acceptor(), Tasks()

    async def signer() -> asyncssh.SSHKey:
        [(certified, certificate)] = await asyncio.wait_for(acceptor.shown.get(), 20)
        assert certified is key
        assert isinstance(certificate, SSHOpenSSHCertificate)
        return certificate.signing_key

    old = hub.host_authority
    await asyncio.to_thread(hub.stop)
    async with AsyncClient(hub.url, tmp_path / "token") as client:
        keep = keep_certified(client, key, cast("asyncssh.SSHAcceptor", acceptor))
        tasks.spawn(keep, "keep")
        await asyncio.to_thread(hub.start)
        try:
            assert await signer() == old.convert_to_public()
            hub.host_authority = asyncssh.generate_private_key("ssh-ed25519")
            while await signer() != hub.host_authority.convert_to_public():
                pass
        finally:
            hub.host_authority = old
            await tasks.aclose()
