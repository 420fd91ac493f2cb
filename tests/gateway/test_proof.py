"""The proof is of the key that signed, whatever else a client offers before or at the same time.

These tests fail when an asyncssh no longer verifies a signature by calling `verify` on the key
object that `validate_public_key` was given, with session identifier and request.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncssh
import pytest
from asyncssh.constants import MSG_USERAUTH_REQUEST
from asyncssh.packet import Boolean, SSHPacket, String

from kworkspace.gateway.certificate import offered_line, pass_certificates
from kworkspace.gateway.host_key import public_line
from kworkspace.gateway.proof import Proof, keep_proof

Gate = Callable[[str], Awaitable[None]]


class Server(asyncssh.SSHServer):
    """Takes every key, keeps the proof, and lets a test hold up the look-up of a key."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.proof: Proof | None = None
        self.asked: list[str] = []
        self.proof_at_completion: Proof | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Keep it, to wait for its end."""
        self.conn = conn
        pass_certificates(conn)

    def begin_auth(self, username: str) -> bool:
        """Everybody must authenticate."""
        return True

    def public_key_auth_supported(self) -> bool:
        """The only way."""
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """As the gateway does it."""
        self.proof = None
        line = offered_line(key)
        self.asked.append(line)
        await self._gate(line)
        keep_proof(key, self._keep)
        return True

    def _keep(self, proof: Proof) -> None:
        self.proof = proof

    def auth_completed(self) -> None:
        """What the gateway would take to the hub."""
        self.proof_at_completion = self.proof


async def _open(line: str) -> None:
    """Hold up nothing."""


@contextlib.asynccontextmanager
async def serving(gate: Gate = _open) -> AsyncIterator[tuple[int, list[Server]]]:
    """A server on the loopback."""
    servers: list[Server] = []

    def make() -> Server:
        servers.append(Server(gate))
        return servers[-1]

    host_key = asyncssh.generate_private_key("ssh-ed25519")
    async with asyncssh.listen(
        "127.0.0.1", 0, config=None, server_factory=make, server_host_keys=[host_key]
    ) as acceptor:
        yield acceptor.get_port(), servers
        for server in servers:
            await server.conn.wait_closed()


async def _login(
    port: int, keys: list[asyncssh.SSHKey], client: type[asyncssh.SSHClient] = asyncssh.SSHClient
) -> None:
    async with asyncssh.connect(
        "127.0.0.1",
        port,
        config=None,
        username="alice",
        client_keys=keys,
        client_factory=client,
        known_hosts=None,
        agent_path=None,
    ):
        pass


@pytest.mark.parametrize(
    "algorithm", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "ssh-rsa"]
)
async def test_proof_can_be_verified_by_others(algorithm: str) -> None:
    """Key, signed bytes and signature fit together; the bytes are RFC 4252's, section 7."""
    key = asyncssh.generate_private_key(algorithm)
    async with serving() as (port, servers):
        await _login(port, [key])
    proof = servers[0].proof_at_completion
    assert proof is not None
    assert proof.login == "alice"
    assert proof.public_key == public_line(key)
    assert asyncssh.import_public_key(proof.public_key).verify(proof.signed, proof.signature)
    packet = SSHPacket(proof.signed)
    session_id = packet.get_string()
    assert len(session_id) >= 32
    assert session_id == proof.session_id
    assert packet.get_byte() == MSG_USERAUTH_REQUEST
    fields = [packet.get_string() for _ in range(3)]
    assert fields == [b"alice", b"ssh-connection", b"publickey"]
    assert packet.get_boolean()
    packet.get_string()
    assert packet.get_string() == key.public_data


@pytest.mark.parametrize("certified", [False, True])
async def test_offers_pipelined_with_the_proof(certified: bool) -> None:
    """Offer A, or its certificate, and prove B in one go: the offer is dropped, the proof is B's.

    The look-up of A never answers, so that it is under way when the next request arrives.
    """
    offered = asyncssh.generate_private_key("ssh-ed25519")
    proven = asyncssh.generate_private_key("ssh-ed25519")
    blob, offer = offered.public_data, public_line(offered)
    if certified:
        certificate = proven.generate_user_certificate(offered, "id", principals=["alice"])
        blob = certificate.public_data
        offer = " ".join(certificate.export_certificate().decode().split()[:2])
    never = asyncio.Event()
    looked_up = asyncio.Event()

    async def gate(line: str) -> None:
        if line == offer:
            looked_up.set()
            await never.wait()

    class Client(asyncssh.SSHClient):
        def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
            self._conn = conn
            self._done = False

        async def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
            if self._done:
                return None
            self._done = True
            request = [String("alice"), String("ssh-connection"), String("publickey")]
            request += [Boolean(False), String(offer.split()[0]), String(blob)]
            self._conn.send_packet(MSG_USERAUTH_REQUEST, *request)
            await looked_up.wait()
            return proven

    async with serving(gate) as (port, servers):
        await asyncio.wait_for(_login(port, [], Client), 20)
    assert servers[0].asked[0] == offer
    proof = servers[0].proof_at_completion
    assert proof is not None
    assert proof.public_key == public_line(proven)


async def test_false_signature_is_no_proof() -> None:
    """What does not verify is neither kept nor accepted."""
    key = asyncssh.generate_private_key("ssh-ed25519").convert_to_public()
    kept: list[Proof] = []
    keep_proof(key, kept.append)
    signed = String(b"s" * 32) + bytes([MSG_USERAUTH_REQUEST]) + String("alice")
    assert not key.verify(signed, String("ssh-ed25519") + String(b"\0" * 64))
    assert not kept


@pytest.mark.parametrize("signed", [b"", b"\0\0\0\xff", String(b"x") + b"\x33" + String("alice")])
async def test_only_authentication_requests_prove(signed: bytes) -> None:
    """A good signature over anything else is refused."""
    private = asyncssh.generate_private_key("ssh-ed25519")
    key = private.convert_to_public()
    kept: list[Proof] = []
    keep_proof(key, kept.append)
    assert not key.verify(signed, private.sign(signed, b"ssh-ed25519"))
    assert not kept


async def test_sha1_proves_nothing() -> None:
    """RSA with SHA-1 is refused even when it verifies (RFC 8332)."""
    private = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    key = private.convert_to_public()
    kept: list[Proof] = []
    signed = String(b"s" * 32) + bytes([MSG_USERAUTH_REQUEST]) + String("alice")
    signature = private.sign(signed, b"ssh-rsa")
    assert key.verify(signed, signature)
    keep_proof(key, kept.append)
    assert not key.verify(signed, signature)
    assert key.verify(signed, private.sign(signed, b"rsa-sha2-512"))
    assert len(kept) == 1
