"""Real workspaces, and the real OpenSSH client that talks to them."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from kworkspace.spawners.base import Exit, Running, Workspace
from kworkspace.spawners.local import LocalSpawner
from kworkspace.spawners.processes import marked
from tests.ports import free_port

SECONDS = 20.0
Finished = subprocess.CompletedProcess[bytes]


async def until(condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    """Wait for something that no event tells; fail when it does not come in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Ssh:
    """OpenSSH's client for one server, without any configuration of the machine's."""

    folder: Path
    key: Path
    account: str
    port: int

    def argv(self, *args: str | bytes, options: tuple[str, ...] = ()) -> list[str | bytes]:
        """Return the command line of ssh."""
        before = [arg for arg in args[:-1] if isinstance(arg, str)]
        return ["ssh", *self.options, *options, *before, *self.target, *args[-1:]]

    @property
    def options(self) -> list[str]:
        """The options that ssh, scp and sftp have in common."""
        return [
            *("-F", "none", "-i", str(self.key), "-o", "IdentitiesOnly=yes"),
            *("-o", "IdentityAgent=none", "-o", f"UserKnownHostsFile={self.folder}/known_hosts"),
            *("-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
        ]

    @property
    def target(self) -> list[str]:
        """Port and login of ssh."""
        return ["-p", str(self.port), f"{self.account}@127.0.0.1"]

    def run(
        self,
        *args: str | bytes,
        input: bytes = b"",
        options: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> Finished:
        """Run ssh to its end."""
        return subprocess.run(
            self.argv(*args, options=options),
            input=input,
            capture_output=True,
            timeout=SECONDS,
            env={**os.environ, **(environment or {})},
            check=False,
        )


def pin(folder: Path, key: Path, running: Running) -> Ssh:
    """Return a client that knows the workspace's host key and no other."""
    line = f"[127.0.0.1]:{running.port} {running.host_key}\n"
    with (folder / "known_hosts").open("a") as file:
        file.write(line)
    return Ssh(folder, key, running.account, running.port)


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person's private key; the public half is beside it."""
    path = tmp_path_factory.mktemp("keys") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture(scope="session")
def other_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody else's key."""
    path = tmp_path_factory.mktemp("keys") / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@dataclass
class House:
    """A data directory, and the spawners that look after it; several are several hubs.

    Attributes:
        exits: what ended by itself, as the spawners told it.
    """

    data_dir: Path
    key: Path
    exits: list[Exit] = field(default_factory=list)
    workspace: Workspace = field(init=False)
    spawners: list[LocalSpawner] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.workspace = Workspace(
            id=str(uuid4()),
            user="alice",
            name="",
            slug="alice",
            authorized_keys=(self.key.with_suffix(".pub").read_text().strip(),),
        )

    @property
    def root(self) -> Path:
        """The workspace's directory."""
        return self.data_dir / "workspaces" / self.workspace.slug

    async def spawner(self, **traits: object) -> LocalSpawner:
        """Open a spawner, as a hub does when it starts."""
        spawner = LocalSpawner(
            hub_id="hub", data_dir=self.data_dir, on_exit=self.exits.append, **traits
        )
        self.spawners.append(spawner)
        await spawner.open()
        return spawner

    async def start(self, spawner: LocalSpawner) -> tuple[Running, Ssh]:
        """Start the workspace and return a client for it, too."""
        running = await asyncio.wait_for(spawner.start(self.workspace, _no_progress), SECONDS)
        return running, pin(self.data_dir, self.key, running)

    def server_pid(self) -> int:
        """The pid of the process that serves the workspace."""
        pid = json.loads((self.root / "run" / "state.json").read_bytes())["pid"]
        assert isinstance(pid, int)
        return pid

    def leftovers(self) -> list[int]:
        """All processes that carry the workspace's marker."""
        return [process.pid for process in marked(self.workspace.id)]

    async def aclose(self) -> None:
        """Stop whatever runs, and see that nothing is left."""
        spawner = await self.spawner(stop_timeout=1)
        for running in await spawner.running():
            await spawner.stop(running.id, running.slug)
        await spawner.stop(self.workspace.id, self.workspace.slug)
        for opened in self.spawners:
            await opened.aclose()
        left = self.leftovers()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert left == []


def _no_progress(_percent: int, _line: str) -> None:
    pass


@pytest.fixture
async def house(tmp_path: Path, key: Path) -> AsyncIterator[House]:
    """A data directory whose workspaces are ended after the test."""
    made = House(tmp_path, key)
    yield made
    await made.aclose()


def _in_a_loop(work: Callable[[], Awaitable[object]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Iterator[tuple[House, Ssh]]:
    """One workspace for all tests of a module that leave it as it is."""
    made = House(tmp_path_factory.mktemp("house"), key)
    found: list[Ssh] = []

    async def begin() -> None:
        spawner = await made.spawner()
        found.append((await made.start(spawner))[1])
        await spawner.aclose()
        # The skeleton's files would make its shells differ from those of `sshd`.
        for path in (made.root / "home").iterdir():
            path.unlink()

    _in_a_loop(begin)
    try:
        yield made, found[0]
    finally:
        made.spawners.clear()
        _in_a_loop(made.aclose)


@pytest.fixture(scope="module")
def ssh(shared: tuple[House, Ssh]) -> Ssh:
    """A client for the shared workspace."""
    return shared[1]


@pytest.fixture(scope="module")
def home(shared: tuple[House, Ssh]) -> Path:
    """The home of the shared workspace."""
    return shared[0].root / "home"


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory, key: Path) -> Iterator[Ssh]:
    """OpenSSH's own server for the same account, to compare with."""
    folder = tmp_path_factory.mktemp("sshd")
    host_key = folder / "host_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1\nHostKey {host_key}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {key.with_suffix('.pub')}\nPermitRootLogin yes\nPrintMotd no\n"
        "PrintLastLog no\nAcceptEnv LANG LC_*\nSubsystem sftp /usr/lib/openssh/sftp-server\n"
        f"LogLevel ERROR\nSetEnv HOME={folder}\n"
    )
    account = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True)
    for _ in range(5):
        port = free_port()
        process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-e", "-f", config, "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if _listens(port, process):
            break
    else:
        pytest.fail("sshd does not start")
    public = host_key.with_suffix(".pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
    try:
        yield Ssh(folder, key, account.stdout.strip(), port)
    finally:
        process.terminate()
        process.wait(SECONDS)


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.02)
    return False
