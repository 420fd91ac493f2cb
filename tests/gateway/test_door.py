"""Who comes in: publickey only, by the key that signed, and every refusal looks the same."""

import asyncio
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest
from asyncssh.packet import SSHPacket

from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.challenge import door_text
from kworkspace.cli.client.models import SSHDoor
from kworkspace.gateway import door
from kworkspace.gateway.invite import Guest
from kworkspace.gateway.session import Session

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack


@pytest.mark.parametrize(
    ("user", "key"),
    [
        ("alice", "mallory"),
        ("alice", "bob"),
        ("bob", "alice"),
        ("nobody-knows-me", "alice"),
        ("alice+no-such-workspace=", "alice"),
        ("bad/name", "alice"),
        ("mallory=alice", "alice"),
        ("alice=bob", "bob"),
    ],
)
def test_every_refusal_looks_the_same(stack: "Stack", user: str, key: str) -> None:
    """Wrong key, somebody else's, unknown and impossible names."""
    before = len(stack.hub.calls)
    ended = stack.run("true", user=user, key=key)
    assert ended.returncode == 255
    assert ended.stderr == f"{user}@127.0.0.1: Permission denied (publickey).\r\n".encode()
    asked = [call for call in stack.hub.calls[before:] if "authorize" in call]
    assert asked == ["POST /hub/api/gateway/authorize"]


def test_nothing_but_keys(stack: "Stack") -> None:
    """No password, no keyboard-interactive, no host-based."""
    ended = stack.run("-o", "PubkeyAuthentication=no", "true")
    assert b"Permission denied (publickey)" in ended.stderr


def test_one_look_up_for_an_offer_and_its_proof(stack: "Stack") -> None:
    """OpenSSH offers first and signs then: the hub is asked once, and opens once."""
    before = len(stack.hub.calls)
    assert stack.run("true").returncode == 0
    calls = [call for call in stack.hub.calls[before:] if call.startswith("POST")]
    assert calls[:2] == ["POST /hub/api/gateway/authorize", "POST /hub/api/gateway/sessions"]


def test_offered_one_key_and_proved_another(stack: "Stack", tmp_path: Path) -> None:
    """CVE-2024-45337's shape, with the real client: identity is the key that signed.

    The first key's private half cannot be read, so it is offered, accepted, and never proven.
    """
    offered = tmp_path / "offered"
    offered.touch(mode=0o600)
    offered.write_bytes(stack.keys["alice-second"].read_bytes())
    lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "not known here", "-f", str(offered)]
    subprocess.run(lock, check=True, capture_output=True)
    public = asyncssh.read_private_key(stack.keys["alice-second"]).export_public_key()
    offered.with_suffix(".pub").write_bytes(public)
    *options, host = stack.ssh()
    identities = ["-i", str(offered), "-i", str(stack.keys["alice"])]
    place = options.index("-i")
    options[place : place + 2] = identities
    options = ["LogLevel=DEBUG1" if word.startswith("LogLevel") else word for word in options]
    before = len(stack.hub.proofs)
    command = [*options, host, "true"]
    ended = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert ended.returncode == 0, ended.stderr
    assert f"Server accepts key: {offered}".encode() in ended.stderr
    (proof,) = stack.hub.proofs[before:]
    key = asyncssh.import_public_key(proof.public_key)
    assert key == asyncssh.read_private_key(stack.keys["alice"]).convert_to_public()


async def test_login_without_a_proof_is_refused(
    stack: "Stack", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were asyncssh to verify signatures in another way, nobody would get in."""
    monkeypatch.setattr(door, "keep_proof", lambda key, keep: None)
    token = tmp_path / "token"
    token.write_text(stack.hub.token)
    before = len(stack.hub.proofs)
    async with AsyncClient(stack.hub.url, token) as hub:
        house = House(hub, asyncssh.generate_private_key("ssh-ed25519"))
        async with asyncssh.listen(
            "127.0.0.1",
            0,
            config=None,
            server_factory=lambda: door.Visitor(house),
            server_host_keys=[house.host_key],
        ) as acceptor:
            conn = await asyncssh.connect(
                "127.0.0.1",
                acceptor.get_port(),
                config=None,
                username="alice",
                client_keys=[str(stack.keys["alice"])],
                known_hosts=None,
                agent_path=None,
            )
            await conn.wait_closed()
            await house.left.wait()
    assert house.entered == 0
    assert len(stack.hub.proofs) == before


class House:
    """Counts who enters."""

    instance = "00000000-0000-4000-8000-000000000000"

    def __init__(self, hub: AsyncClient, host_key: asyncssh.SSHKey) -> None:
        self.hub = hub
        self.host_key = host_key
        self.door: SSHDoor | None = None
        self.entered = 0
        self.left = asyncio.Event()

    def arrive(self, visitor: door.Visitor) -> None:
        """Everybody may knock."""

    def enter(self, visitor: door.Visitor, session: Session) -> None:
        """Somebody came in."""
        self.entered += 1

    def refused(self, login: str, address: str) -> None:
        """Somebody did not."""

    def depart(self, visitor: door.Visitor, session: Session | Guest | None, reason: str) -> None:
        """Somebody left."""
        self.left.set()


def test_proof_is_the_users_own(stack: "Stack") -> None:
    """What goes to the hub is the signature over this very login."""
    before = len(stack.hub.proofs)
    assert stack.run("true").returncode == 0
    (proof,) = stack.hub.proofs[before:]
    key = asyncssh.import_public_key(proof.public_key)
    assert key == asyncssh.read_private_key(stack.keys["alice"]).convert_to_public()
    assert key.verify(b64decode(proof.signed), b64decode(proof.signature))
    assert proof.login == "alice"
    assert proof.address == "127.0.0.1"
    assert proof.client_version.startswith("SSH-2.0-OpenSSH")


def test_says_at_whose_door_the_login_was_made(stack: "Stack") -> None:
    """The gateway's host key signs the session identifier that the user's own proof carries."""
    before = len(stack.hub.proofs)
    assert stack.run("true").returncode == 0
    (proof,) = stack.hub.proofs[before:]
    session_id = SSHPacket(b64decode(proof.signed)).get_string()
    host_key = asyncssh.import_public_key(stack.hub.doors[stack.gateway.port].host_keys[0])
    signature = b64decode(proof.door_signature)
    assert host_key.verify(door_text(session_id), signature)
    assert not host_key.verify(door_text(session_id[:-1]), signature)


def test_too_many_keys(stack: "Stack", tmp_path: Path) -> None:
    """An agent with more keys than a connection may try is told what to do."""
    options: list[str] = []
    for number in range(door.MAX_OFFERS + 1):
        path = tmp_path / str(number)
        path.touch(mode=0o600)
        path.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
        options += ["-i", str(path)]
    command = [*stack.ssh(key="mallory")[:-1], *options, "alice@127.0.0.1", "true"]
    ended = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert b"Too many keys were tried" in ended.stderr


def test_failed_connections_are_told_once(stack: "Stack") -> None:
    """However many keys were refused; one that got in after a wrong key has not failed."""
    two_keys = ["-i", str(stack.keys["bob"])]
    assert stack.run(*two_keys, "true", user="first", key="mallory").returncode == 255
    assert stack.run("true", user="bad/name", key="mallory").returncode == 255
    assert stack.run(*two_keys, "true", user="bob", key="mallory").returncode == 0
    assert stack.run("true", user="last", key="mallory").returncode == 255
    stack.wait_for(lambda: "last" in {told.login for told in stack.hub.failures}, "failures")
    told = [told for told in stack.hub.failures if told.login not in {"alice", "mallory=alice"}]
    assert [failure.login for failure in told[-2:]] == ["first", "last"]
    assert {failure.address for failure in told} == {"127.0.0.1"}


def test_hub_opens_no_more_sessions(stack: "Stack", monkeypatch: pytest.MonkeyPatch) -> None:
    """What the hub says is what the user reads, also when they have sent something meanwhile."""
    monkeypatch.setattr(stack.hub, "full", "You have too many connections open")
    for _ in range(10):
        ended = stack.run("true", stdin=b"x" * 100_000)
        assert ended.returncode == 255
        assert b"You have too many connections open" in ended.stderr
