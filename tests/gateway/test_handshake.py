"""The handshake of the gateway: what it offers, and that nobody can slip a message into it."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

DISCONNECT, IGNORE, KEXINIT, ECDH_INIT, ECDH_REPLY = 1, 2, 20, 30, 31
STRICT = "kex-strict-c-v00@openssh.com"
NOT_POST_QUANTUM = "does not provide protection against post-quantum attacks"


def test_ssh_audit_finds_nothing(stack: "Stack") -> None:
    """No failure, and one warning: OpenSSH before 9.9 knows no key exchange without it."""
    command = [str(Path(sys.executable).with_name("ssh-audit")), "-j", "--skip-rate-test"]
    ended = subprocess.run(
        [*command, "-p", str(stack.gateway.port), "127.0.0.1"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    report = json.loads(ended.stdout)
    found = [
        (algorithm["algorithm"], level, note)
        for kind in ("kex", "key", "enc", "mac")
        for algorithm in report[kind]
        for level in ("fail", "warn")
        for note in algorithm.get("notes", {}).get(level, [])
    ]
    assert {(level, note) for _, level, note in found} <= {("warn", NOT_POST_QUANTUM)}
    assert {name.partition("-")[0] for name, _, _ in found} <= {"curve25519", "diffie"}
    offered = [algorithm["algorithm"] for algorithm in report["kex"]]
    assert "kex-strict-s-v00@openssh.com" in offered
    assert "mlkem768x25519" in offered[0] or "curve25519" in offered[0]
    assert report["compression"] == ["none"]


def packet(payload: bytes) -> bytes:
    """Return an unencrypted packet (RFC 4253, section 6)."""
    padding = 8 - (len(payload) + 5) % 8
    padding += 8 if padding < 4 else 0
    return (
        (len(payload) + padding + 1).to_bytes(4, "big")
        + bytes([padding])
        + payload
        + bytes(padding)
    )


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def kexinit(*, strict: bool) -> bytes:
    """Return what a client offers (RFC 4253, section 7.1)."""
    kex = "curve25519-sha256" + (f",{STRICT}" if strict else "")
    cipher, mac = "aes128-gcm@openssh.com", "hmac-sha2-256-etm@openssh.com"
    lists = (kex, "ssh-ed25519", cipher, cipher, mac, mac, "none", "none", "", "")
    names = b"".join(string(names.encode()) for names in lists)
    return packet(bytes([KEXINIT]) + os.urandom(16) + names + bytes(5))


def answers(port: int, *messages: bytes) -> list[int]:
    """Return the types of what the gateway sends until it has its keys, or ends."""
    types = []
    with socket.create_connection(("127.0.0.1", port), 20) as sock, sock.makefile("rb") as stream:
        sock.sendall(b"SSH-2.0-test\r\n" + b"".join(messages))
        assert stream.readline().startswith(b"SSH-2.0-")
        while len(head := stream.read(6)) == 6:
            types.append(head[5])
            stream.read(int.from_bytes(head[:4], "big") - 2)
            if types[-1] in {DISCONNECT, ECDH_REPLY}:
                break
    return types


@pytest.mark.parametrize("first", [True, False], ids=["before", "within"])
@pytest.mark.parametrize("strict", [True, False])
def test_injected_message(stack: "Stack", strict: bool, first: bool) -> None:
    """A message that nobody needs is the end of a strict key exchange (CVE-2023-48795)."""
    injected = packet(bytes([IGNORE]) + string(b""))
    offer, init = kexinit(strict=strict), packet(bytes([ECDH_INIT]) + string(os.urandom(32)))
    order = (injected, offer, init) if first else (offer, injected, init)
    expected = DISCONNECT if strict else ECDH_REPLY
    assert answers(stack.gateway.port, *order)[-1] == expected
    assert answers(stack.gateway.port, offer, init)[-1] == ECDH_REPLY
