"""What the real OpenSSH client signs when it logs in is a proof, for every type of key."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import asyncssh
import pytest
from asyncssh.packet import String

from kworkspace.authenticators.base import ProvenKey
from kworkspace.authenticators.keys import decode_public_key
from kworkspace.authenticators.ssh_key import SSHKeyAuthenticator
from tests.authenticators.conftest import KINDS, KeyFile

ADDRESS = "192.0.2.7"


@dataclass
class Door:
    """A listening SSH server, and what its clients signed: key blob, data, signature."""

    port: int = 0
    proofs: list[tuple[bytes, bytes, bytes]] = field(default_factory=list)


class AnyKey(asyncssh.SSHServer):
    """Takes any key, so that each client goes on to sign."""

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return True


@pytest.fixture
async def door(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    """A server that records the proofs."""
    door = Door()
    connection = asyncssh.SSHServerConnection
    validate = connection.validate_public_key

    async def record(
        self: asyncssh.SSHServerConnection, user: str, key: bytes, msg: bytes, signature: bytes
    ) -> bool:
        if msg:
            door.proofs.append((key, String(self._session_id) + msg, signature))
        return await validate(self, user, key, msg, signature)

    monkeypatch.setattr(connection, "validate_public_key", record)
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    async with await asyncssh.create_server(
        AnyKey, "127.0.0.1", 0, server_host_keys=[host_key]
    ) as server:
        door.port = server.get_port()
        yield door


@pytest.mark.parametrize("kind", KINDS)
async def test_openssh_client(door: Door, key_files: dict[str, KeyFile], kind: str) -> None:
    key = key_files[kind]
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes"]
    client = await asyncio.create_subprocess_exec(
        *("ssh", "-F", "none", "-p", str(door.port), "-i", str(key.path), "-N", "-oBatchMode=yes"),
        *(f"-o{option}" for option in options),
        *("-oExitOnForwardFailure=yes", "-W", "127.0.0.1:1", "alice+gpu@127.0.0.1"),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"]},
    )
    async with asyncio.timeout(10):
        _, stderr = await client.communicate()
    assert door.proofs, stderr.decode()
    blob, signed, signature = door.proofs[0]
    line = decode_public_key(blob).line
    authenticator = SSHKeyAuthenticator(users={"alice": [key.line]})
    proven = authenticator.verify_login(
        "alice", "alice+gpu", line, signed, signature, address=ADDRESS
    )
    assert proven == ProvenKey("alice", key.fingerprint)
    assert (
        authenticator.verify_login("alice", "alice", line, signed, signature, address=ADDRESS)
        is None
    )
    assert (
        authenticator.verify_login(
            "alice", "alice+gpu", line, signed + b"\0", signature, address=ADDRESS
        )
        is None
    )
