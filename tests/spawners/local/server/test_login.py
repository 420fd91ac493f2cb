"""Who is let in, and what a connection may forward."""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import asyncssh
import pytest

from kworkspace.ssh.version import SERVER_VERSION
from tests.ports import free_port
from tests.ssh_agent import agent_with

if TYPE_CHECKING:
    from tests.spawners.local.conftest import Ssh


def test_other_keys_and_other_names_are_refused(ssh: "Ssh", other_key: Path) -> None:
    assert ssh.run("true").returncode == 0
    for refused in (replace(ssh, key=other_key), replace(ssh, account="somebody")):
        finished = refused.run("true")
        assert finished.returncode == 255
        assert b"Permission denied (publickey)." in finished.stderr


async def test_nothing_but_public_keys(ssh: "Ssh") -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(
            "127.0.0.1",
            ssh.port,
            username=ssh.account,
            password="guess",
            client_keys=None,
            agent_path=None,
            known_hosts=None,
            config=None,
        )


async def test_it_greets_as_an_openssh_and_offers_no_sha1(ssh: "Ssh") -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ssh.port)
    assert await reader.readline() == f"SSH-2.0-{SERVER_VERSION}\r\n".encode()
    writer.write(b"SSH-2.0-test\r\n")
    offer = await reader.read(4096)
    writer.close()
    await writer.wait_closed()
    assert b"kex-strict-s-v00@openssh.com" in offer
    for old in (b"sha1", b"@ssh.com", b"cbc", b"gss-"):
        assert old not in offer


@pytest.mark.parametrize(
    "option",
    [
        *("Ciphers=aes128-gcm@openssh.com", "Ciphers=chacha20-poly1305@openssh.com"),
        *("Ciphers=aes256-ctr", "KexAlgorithms=curve25519-sha256", "Compression=yes"),
        "KexAlgorithms=diffie-hellman-group16-sha512",
    ],
)
def test_what_clients_may_choose(ssh: "Ssh", option: str) -> None:
    finished = ssh.run("head -c 300000 /dev/zero", options=("-o", option))
    assert (finished.returncode, len(finished.stdout), finished.stderr) == (0, 300_000, b"")


def test_rekeying_in_the_middle(ssh: "Ssh") -> None:
    blob = bytes(4 * 1024 * 1024)
    finished = ssh.run("cat", input=blob, options=("-o", "RekeyLimit=1M"))
    assert finished.stdout == blob


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose name leaves room in a socket's address (unix(7): 108 bytes)."""
    with TemporaryDirectory(prefix="kw", dir="/tmp") as folder:
        yield Path(folder)


def test_one_connection_carries_many_sessions(ssh: "Ssh", short_path: Path) -> None:
    control = ("-o", "ControlMaster=auto", "-S", str(short_path / "c"), "-o", "ControlPersist=20")
    argv = [str(arg) for arg in ssh.argv("true", options=control)]
    # The first one goes on in the background, so its stderr must not be waited for.
    first = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20, check=False
    )
    assert first.returncode == 0
    running = [
        subprocess.Popen(
            ssh.argv(f"echo {n}; exit {n}", options=control),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        for n in range(8)
    ]
    try:
        assert [process.communicate(timeout=20)[0] for process in running] == [
            b"%d\n" % n for n in range(8)
        ]
        assert [process.returncode for process in running] == list(range(8))
        # Output and input have ended long before the command has: the client closes first.
        early = ssh.run("exec >&- 2>&-; sleep 0.3; exit 5", options=control)
        assert early.returncode == 5
    finally:
        subprocess.run(
            ssh.argv("", options=(*control, "-O", "exit")), capture_output=True, check=True
        )


@asynccontextmanager
async def _echo() -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"echo " + await reader.read())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _ask(port: int) -> bytes:
    async with asyncio.timeout(20):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                await asyncio.sleep(0.02)
        writer.write(b"hello")
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer


@pytest.mark.parametrize("flag", ["-L", "-R"])
async def test_ports_are_forwarded_both_ways(ssh: "Ssh", flag: str) -> None:
    port = free_port()
    async with _echo() as target:
        process = await asyncio.create_subprocess_exec(
            *ssh.argv("cat", options=(flag, f"{port}:127.0.0.1:{target}")),
            *(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert await _ask(port) == b"echo hello"
        finally:
            assert process.stdin is not None
            process.stdin.close()
            assert await asyncio.wait_for(process.wait(), 20) == 0


def test_a_command_can_be_sure_of_its_ports(ssh: "Ssh") -> None:
    """All of them are there before it begins."""
    ports = [word for i in range(1, 9) for word in ("-R", f"0:127.0.0.1:{i}")]
    shown = ssh.run("-v", *ports, "true")
    assert shown.stderr.count(b"Allocated port") == 8


def test_the_agent_is_forwarded(ssh: "Ssh") -> None:
    """By a socket that nobody else can reach, which goes with the connection."""
    with agent_with(ssh.key) as agent:
        argv = [
            f"IdentityAgent={agent}" if arg == "IdentityAgent=none" else arg
            for arg in ssh.argv(
                "ssh-add -l; p=$SSH_AUTH_SOCK; echo $p; stat -c %a%F $p $(dirname $p)",
                options=("-A",),
            )
        ]
        shown = subprocess.run(argv, stdin=-3, capture_output=True, timeout=20, check=False)
    listed, path, *modes = shown.stdout.decode().splitlines()
    assert "ED25519" in listed
    assert modes == ["600socket", "700directory"]
    deadline = time.monotonic() + 20
    while Path(path).parent.exists():
        assert time.monotonic() < deadline, "the socket is still there"
        time.sleep(0.02)
