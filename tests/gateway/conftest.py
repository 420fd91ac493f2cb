"""What the gateway's tests run against: real OpenSSH on both ends, and a stand-in for the hub."""

import contextlib
import getpass
import os
import select
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.gateway.openssh import SECONDS, SSHD, public_line, wait_for, write_key
from tests.gateway.stand_in_hub import TOKEN, ServerOf, StandInHub
from tests.ports import free_port

PROGRAM = ("-m", "kworkspace.gateway")
Finished = subprocess.CompletedProcess[bytes]


@dataclass
class GatewayProcess:
    """A real gateway."""

    process: subprocess.Popen[bytes]
    log: Path
    port: int
    known_hosts: Path
    tunnel_port: int

    def rss_mib(self) -> float:
        """Return the resident memory in MiB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS")

    def descriptors(self) -> list[Path]:
        """Return its open file descriptors."""
        return list(Path(f"/proc/{self.process.pid}/fd").iterdir())

    def terminate(self) -> int:
        """End it as the hub does, and return its exit status."""
        self.process.terminate()
        return self.process.wait(SECONDS)


@dataclass
class Stack:
    """Hub, gateway and one workspace, with the users alice and bob."""

    folder: Path
    hub: StandInHub
    sshd: SSHD
    keys: dict[str, Path]
    gateway: GatewayProcess
    live: "list[Live]" = field(default_factory=list)

    def open(self, *words: str, user: str = "alice", key: str = "alice") -> "Live":
        """Begin a command through the gateway."""
        live = Live([*self.ssh(user=user, key=key), *words])
        self.live.append(live)
        return live

    def ssh(self, *, user: str = "alice", key: str = "alice") -> list[str]:
        """Return the start of a command that goes through the gateway, host included."""
        return [*self.options(key), "-p", str(self.gateway.port), f"{user}@127.0.0.1"]

    def direct(self) -> list[str]:
        """Return the start of a command that goes to the workspace's sshd itself."""
        account = getpass.getuser()
        return [*self.options("alice"), "-p", str(self.sshd.port), f"{account}@127.0.0.1"]

    def options(self, key: str = "alice", program: str = "ssh") -> list[str]:
        """Return program and options, without port and host."""
        return [
            *(program, "-F", "none", "-o", f"UserKnownHostsFile={self.gateway.known_hosts}"),
            *("-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
            *("-o", "LogLevel=ERROR", "-i", str(self.keys[key])),
        ]

    def run(
        self, *words: str | bytes, stdin: bytes = b"", user: str = "alice", key: str = "alice"
    ) -> Finished:
        """Run a command through the gateway."""
        return run([*self.ssh(user=user, key=key), *words], stdin)

    def run_direct(self, *words: str | bytes, stdin: bytes = b"") -> Finished:
        """Run a command in the workspace without the gateway."""
        return run([*self.direct(), *words], stdin)

    @contextlib.asynccontextmanager
    async def asyncssh(self) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """Connect through the gateway with a client that can do what OpenSSH's cannot."""
        async with asyncssh.connect(
            "127.0.0.1",
            self.gateway.port,
            config=None,
            username="alice",
            client_keys=[str(self.keys["alice"])],
            known_hosts=str(self.gateway.known_hosts),
            agent_path=None,
        ) as conn:
            yield conn

    @staticmethod
    def wait_for(condition: Callable[[], object], what: str) -> None:
        """Wait until a condition is true; fail when it is not in time."""
        wait_for(condition, what)

    def opened(self) -> bool:
        """Whether the gateway knows of every session that the hub has opened, and of one at all."""
        log = self.gateway.log.read_text()
        return bool(self.hub.sessions) and all(
            f"Session {id} of " in log for id in self.hub.sessions
        )

    def server(self) -> ServerOf:
        """Return alice's workspace as the hub sees it."""
        return self.hub.servers["alice"]


class Live:
    """A program that a test talks to while it runs."""

    def __init__(self, command: list[Any]) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        self.out = b""
        self.err = b""

    def send(self, text: bytes) -> None:
        """Type something."""
        assert self.process.stdin is not None
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def read_until(self, *, out: bytes = b"", err: bytes = b"", seconds: float = SECONDS) -> None:
        """Read until both have been seen, or fail."""
        deadline = time.monotonic() + seconds
        while out not in self.out or err not in self.err:
            seen = f"stdout {self.out!r}, stderr {self.err!r}"
            assert time.monotonic() < deadline, f"not seen {out!r} {err!r}: {seen}"
            assert self._read(0.2) or self.process.poll() is None, f"it ended: {seen}"

    def _read(self, seconds: float) -> bool:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        ready = select.select([self.process.stdout, self.process.stderr], [], [], seconds)[0]
        got = False
        for pipe in ready:
            chunk = os.read(pipe.fileno(), 65536)
            got |= bool(chunk)
            if pipe is self.process.stdout:
                self.out += chunk
            else:
                self.err += chunk
        return got

    def finish(self) -> int:
        """End its input, read the rest, and return the exit status."""
        out, err = self.process.communicate(timeout=SECONDS)
        self.out += out
        self.err += err
        return self.process.returncode

    def kill(self) -> None:
        """Kill it, and let go of its pipes."""
        self.process.kill()
        self.process.communicate(timeout=SECONDS)


def run(command: list[Any], stdin: bytes = b"") -> Finished:
    """Run a program to its end, with a limit."""
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the whole run."""
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="session")
def user_keys() -> dict[str, asyncssh.SSHKey]:
    """The private keys of some people; mallory is known to nobody."""
    names = ("alice", "alice-second", "bob", "mallory")
    return {name: asyncssh.generate_private_key("ssh-ed25519") for name in names}


@pytest.fixture(scope="session")
def hub(user_keys: dict[str, asyncssh.SSHKey]) -> Iterator[StandInHub]:
    """The stand-in, answering."""
    hub = StandInHub(asyncssh.generate_private_key("ssh-ed25519"))
    hub.keys = {
        "alice": [public_line(user_keys["alice"]), public_line(user_keys["alice-second"])],
        "bob": [public_line(user_keys["bob"])],
    }
    hub.start()
    yield hub
    hub.close()


@pytest.fixture(scope="session")
def sshd(folder: Path, hub: StandInHub, user_keys: dict[str, asyncssh.SSHKey]) -> Iterator[SSHD]:
    """The workspace, listening."""
    sshd = SSHD(folder / "sshd", hub.authority, user_keys["alice"])
    sshd.start()
    yield sshd
    if sshd.process is not None:
        sshd.kill()


@pytest.fixture(scope="session")
def new_gateway(
    folder: Path, hub: StandInHub, sshd: SSHD
) -> Iterator[Callable[..., GatewayProcess]]:
    """Start gateways, with more flags; what still runs is ended at the end."""
    started: list[GatewayProcess] = []
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN + "\n")

    def start(*flags: str, program: tuple[str, str] = PROGRAM) -> GatewayProcess:
        number = len(started)
        log = folder / f"gateway-{number}.log"
        port = free_port()
        with log.open("ab") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, *program, "--listen", f"127.0.0.1:{port}"),
                    *("--host-key", str(folder / "gateway_host_key")),
                    *("--tunnel-listen", "127.0.0.1:0"),
                    *("--api-url", f"{hub.url}/hub/api", "--token-file", str(token)),
                    *("--drain", "0", *flags),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        wait_for(lambda: hub.doors.get(port), f"report of a gateway: {log.read_text()}")
        door = hub.doors[port]
        known_hosts = folder / f"known_hosts-{number}"
        known_hosts.write_text(
            f"[127.0.0.1]:{door.port} {door.host_keys[0]}\n"
            f"[127.0.0.1]:{sshd.port} {public_line(sshd.host_key)}\n"
        )
        tunnel_port = hub.reports[-1].tunnel_port
        assert tunnel_port is not None
        gateway = GatewayProcess(process, log, door.port, known_hosts, tunnel_port)
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        if gateway.process.poll() is None:
            gateway.process.kill()
            gateway.process.wait(SECONDS)


@pytest.fixture(scope="session")
def gateway(new_gateway: Callable[..., GatewayProcess]) -> GatewayProcess:
    """The gateway that most tests share."""
    return new_gateway()


@pytest.fixture
def stack(
    folder: Path,
    hub: StandInHub,
    sshd: SSHD,
    gateway: GatewayProcess,
    user_keys: dict[str, asyncssh.SSHKey],
) -> Iterator[Stack]:
    """Everything, as each test wants to find it: the workspace runs, the hub answers."""
    keys = {}
    for name, key in user_keys.items():
        keys[name] = folder / name
        if not keys[name].exists():
            write_key(keys[name], key)
    hub.servers = {"alice": ServerOf(sshd), "bob": ServerOf(sshd)}
    hub.go_on.clear()
    stack = Stack(folder, hub, sshd, keys, gateway)
    yield stack
    for live in stack.live:
        if live.process.poll() is None:
            live.kill()
    assert gateway.process.poll() is None, gateway.log.read_text()
    assert "Traceback" not in gateway.log.read_text(), gateway.log.read_text()
