"""User certificates at the door, with the real client: the hub decides, and gets their proof."""

import subprocess
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest
from asyncssh.packet import SSHPacket

from kworkspace.authenticators.base import ProvenKey
from kworkspace.authenticators.ssh_key import SSHKeyAuthenticator
from kworkspace.cli.client import models as m
from kworkspace.ssh.certificate import MAX_BYTES, key_of
from tests.gateway.openssh import public_line, write_key

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

KINDS = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]


class Certified:
    """A key with a certificate beside it, as a CA's user has it in ~/.ssh."""

    def __init__(self, folder: Path, kind: str = "ssh-ed25519", principals: str = "alice") -> None:
        self.authority = asyncssh.generate_private_key("ssh-ed25519")
        self.key = asyncssh.generate_private_key(kind)
        self.path = folder / "id"
        write_key(self.path, self.key)
        write_key(folder / "ca", self.authority)
        self.path.with_suffix(".pub").write_text(f"{public_line(self.key)}\n")
        sign = ["ssh-keygen", "-q", "-s", str(folder / "ca"), "-I", "id", "-n", principals]
        subprocess.run([*sign, str(self.path.with_suffix(".pub"))], check=True)
        certificate = (folder / "id-cert.pub").read_text()
        self.line = " ".join(certificate.split()[:2])


@pytest.fixture(params=KINDS)
def certified(tmp_path: Path, request: pytest.FixtureRequest) -> Certified:
    """One of each kind."""
    return Certified(tmp_path, request.param)


def ssh(stack: "Stack", certified: Certified, login: str = "alice") -> list[str]:
    """The client, with the certified key for its identity."""
    command = stack.ssh(user=login)
    command[command.index("-i") + 1] = str(certified.path)
    return command


def run(stack: "Stack", certified: Certified, login: str = "alice") -> "Result":
    """Run a command with it."""
    command = [*ssh(stack, certified, login), "echo", "in"]
    return subprocess.run(command, capture_output=True, timeout=20, check=False)


Result = subprocess.CompletedProcess[bytes]


def allow(stack: "Stack", certified: Certified) -> None:
    """Have the hub take the certificate as alice's."""
    stack.hub.keys = stack.hub.keys | {"alice": [*stack.hub.keys["alice"], certified.line]}


@pytest.fixture(autouse=True)
def keys_as_they_were(stack: "Stack", monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in hub is the whole run's."""
    monkeypatch.setattr(stack.hub, "keys", stack.hub.keys)


def test_login(stack: "Stack", certified: Certified) -> None:
    """What goes to the hub is the certificate, and the signature over it."""
    allow(stack, certified)
    before = len(stack.hub.proofs)
    ended = run(stack, certified)
    assert (ended.returncode, ended.stdout) == (0, b"in\n"), ended.stderr
    (proof,) = stack.hub.proofs[before:]
    assert proof.public_key == certified.line
    packet = SSHPacket(b64decode(proof.signed))
    packet.get_string()
    assert packet.get_byte() == 50
    assert b64decode(certified.line.split()[1]) in b64decode(proof.signed)


def test_hub_finds_it_good(stack: "Stack", certified: Certified) -> None:
    """The proof is one for the authenticator too, which looks at the CA."""
    allow(stack, certified)
    before = len(stack.hub.proofs)
    assert run(stack, certified).returncode == 0
    (proof,) = stack.hub.proofs[before:]
    fingerprint = certified.authority.convert_to_public().get_fingerprint()
    trusting = SSHKeyAuthenticator(
        users={"alice": [], "bob": []}, user_authorities=[public_line(certified.authority)]
    )
    assert prove(trusting, proof) == ProvenKey("alice", f"CA {fingerprint}")
    assert prove(SSHKeyAuthenticator(users={"alice": []}), proof) is None
    assert prove(trusting, proof, actor="bob") is None
    key = SSHKeyAuthenticator(users={"alice": [public_line(certified.key)]})
    assert prove(key, proof) is None


def prove(
    authenticator: SSHKeyAuthenticator, proof: m.SessionRequest, actor: str = "alice"
) -> ProvenKey | None:
    """What the hub does with what the gateway sends."""
    return authenticator.verify_login(
        actor,
        proof.login,
        proof.public_key,
        b64decode(proof.signed),
        b64decode(proof.signature),
        address=proof.address,
    )


def test_name_of_a_workspace_is_no_principal(stack: "Stack", tmp_path: Path) -> None:
    """The login `alice+gpu` is for alice's certificate: the gateway leaves principals alone."""
    certified = Certified(tmp_path)
    allow(stack, certified)
    before = len(stack.hub.proofs)
    assert run(stack, certified, "alice+gpu").returncode == 0
    assert [proof.login for proof in stack.hub.proofs[before:]] == ["alice+gpu"]


def test_refused_certificate_looks_as_any_key(stack: "Stack", tmp_path: Path) -> None:
    """Its key is offered after it, by itself; the hub is asked about each once."""
    certified = Certified(tmp_path)
    before = len(stack.hub.calls)
    ended = run(stack, certified)
    assert ended.returncode == 255
    assert ended.stderr == b"alice@127.0.0.1: Permission denied (publickey).\r\n"
    asked = [call for call in stack.hub.calls[before:] if "authorize" in call]
    assert len(asked) == 2


def test_key_alone_is_not_the_certificate(stack: "Stack", tmp_path: Path) -> None:
    """A hub that takes the key gets a proof of the key, and nothing of the certificate."""
    certified = Certified(tmp_path)
    line = public_line(certified.key)
    stack.hub.keys = stack.hub.keys | {"alice": [line]}
    before = len(stack.hub.proofs)
    assert run(stack, certified).returncode == 0
    assert [proof.public_key for proof in stack.hub.proofs[before:]] == [line]


def test_certificates_without_their_key(stack: "Stack", tmp_path: Path) -> None:
    """A certificate that was copied is offered and taken, and opens nothing."""
    certified = Certified(tmp_path)
    allow(stack, certified)
    before = len(stack.hub.proofs)
    write_key(tmp_path / "other", asyncssh.generate_private_key("ssh-ed25519"))
    command = ssh(stack, certified)
    command[command.index("-i") + 1] = str(tmp_path / "other")
    command[-1:-1] = ["-o", f"CertificateFile={tmp_path}/id-cert.pub"]
    ended = subprocess.run([*command, "true"], capture_output=True, timeout=20, check=False)
    assert ended.returncode == 255
    assert b"Permission denied (publickey)" in ended.stderr
    assert stack.hub.proofs[before:] == []


async def test_huge_certificate_is_not_asked_about(stack: "Stack") -> None:
    """The hub is asked about the key alone, which the client offers next."""
    authority = asyncssh.generate_private_key("ssh-ed25519")
    key = asyncssh.generate_private_key("ssh-ed25519")
    names = [f"{number}-{'p' * 250}" for number in range(100)]
    huge = authority.generate_user_certificate(key, "id", principals=names)
    assert len(huge.public_data) > MAX_BYTES
    assert key_of(huge.public_data) is None
    before = len(stack.hub.calls)
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(
            "127.0.0.1",
            stack.gateway.port,
            config=None,
            username="alice",
            client_keys=[(key, huge)],
            known_hosts=None,
            agent_path=None,
        )
    # What the gateway tells by itself comes when it comes.
    told = ("/instances/", "/failures")
    asked = [call for call in stack.hub.calls[before:] if not any(one in call for one in told)]
    assert asked == ["POST /hub/api/gateway/authorize"]
