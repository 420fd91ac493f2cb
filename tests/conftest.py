"""What every test needs, and a real hub for the tests that drive one."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.leaks import Found, in_files, leaked, logs, overhear
from tests.ports import free_port
from tests.postgres import Server, programs, serve

DEADLINE_SECONDS = 30.0

# How long an example takes is the machine's matter, and no part of any test.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_sessionstart() -> None:
    """Say that no event loop is set, and have Ctrl-C mean what it means in a terminal.

    looptime asks for one before every test, also where pytest-asyncio has none running; before
    Python 3.14 the question alone makes a loop that nobody closes, and that is an error here.
    """
    asyncio.set_event_loop(None)
    # A shell's `&` leaves it ignored, and whoever is started would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """Return the condition's first true value.

    Raises:
        AssertionError: it did not become true in time.
    """
    end = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {DEADLINE_SECONDS:.0f} s for {what}")


@contextmanager
def stalled(ssh: Sequence[str | bytes]) -> "Iterator[subprocess.Popen[bytes]]":
    """Start an endless command and read nothing of it; go on when it can write no more.

    Args:
        ssh: the command line of ssh, but for the command.
    """
    seen = [""]
    with subprocess.Popen(
        [*ssh, "echo $$ >&2; exec cat /dev/zero"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            assert process.stderr is not None
            counters = Path("/proc") / process.stderr.readline().decode().strip() / "io"

            def stands_still() -> bool:
                time.sleep(0.3)
                seen.append(counters.read_text())
                return seen[-1] == seen[-2]

            wait_until(stands_still, "windows and pipes that are full")
            yield process
        finally:
            process.kill()


@dataclass
class RealHub:
    """A hub in a process of its own, with its files below one directory.

    Attributes:
        directory: everything that it, its gateway and its workspaces write.
        gateway: whether it runs one.
        extra: more lines for hub_config.py.
        db_url: its database, if not SQLite in its data directory.
    """

    directory: Path
    gateway: bool = False
    extra: str = ""
    db_url: str = ""
    user: str = "alice"
    port: int = field(default_factory=free_port)
    ssh_port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self.data_dir = self.directory / "data"
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = self.directory / "id_ed25519"
        self.log = self.directory / "hub.log"
        make_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)]
        subprocess.run(make_key, check=True)
        public = self.key.with_suffix(".pub").read_text().strip()
        lines = [
            f"c.Hub.data_dir = {str(self.data_dir)!r}",
            f"c.Hub.bind_url = {self.url!r}",
            f"c.Hub.ssh_bind_url = 'ssh://127.0.0.1:{self.ssh_port}'",
            f"c.SSHKeyAuthenticator.users = {{{self.user!r}: [{public!r}]}}",
            "" if self.gateway else "c.Hub.services = [{'name': 'gateway', 'command': []}]",
            f"c.Hub.db_url = {self.db_url!r}" if self.db_url else "",
            self.extra,
        ]
        (self.directory / "hub_config.py").write_text("\n".join(lines))

    def start(self, **environment: str) -> None:
        """Start it and return when it is ready, with its gateway if it has one."""
        self.launch(**environment)
        wait_until(self.is_ready, f"the hub; its log says:\n{self.log.read_text()}")

    def launch(self, **environment: str) -> None:
        """Start it and return at once."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "kworkspace.hub",
                    "-f",
                    str(self.directory / "hub_config.py"),
                ],
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def is_ready(self) -> bool:
        """Whether it takes requests, and whether its gateway has reported itself."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the hub ended:\n{self.log.read_text()}")
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=5):
                pass
            return not self.gateway or self.api("GET", "/")[1]["ssh"] is not None
        except OSError:
            return False

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """End it with SIGTERM and return its exit code; it has 10 s."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(10)

    def api(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Make an API call as an admin; return status and decoded body.

        Raises:
            OSError: no answer came.
        """
        token = (self.data_dir / "admin_token").read_text().strip()
        request = urllib.request.Request(
            f"{self.url}/hub/api{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as response:
                text = response.read()
                return response.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def server(self) -> dict[str, Any]:
        """Return the user's default server, {} if they never had one."""
        status, body = self.api("GET", f"/users/{self.user}/server")
        return body if status == 200 else {}

    def workspaces(self) -> list[int]:
        """Return the pids of the workspaces' own processes that live."""
        return self.processes(b"kworkspace.spawners.local.server")

    def gateways(self) -> list[int]:
        """Return the pids of the gateways that live."""
        return self.processes(b"kworkspace.gateway")

    def processes(self, word: bytes = b"") -> list[int]:
        """Return the pids of what was started from this directory, whoever its parent is now."""
        mark, found = str(self.directory).encode(), []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                command = (entry / "cmdline").read_bytes()
                if mark in command + (entry / "environ").read_bytes() and word in command:
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def ssh(self, *arguments: str) -> list[str]:
        """Return an OpenSSH command line into the user's workspace; the host key is pinned."""
        known_hosts = self.directory / "known_hosts"
        if not known_hosts.exists():
            key = self.api("GET", "/")[1]["ssh"]["host_keys"][0]
            known_hosts.write_text(f"[127.0.0.1]:{self.ssh_port} {key}\n")
        options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes"]
        options.append(f"UserKnownHostsFile={known_hosts}")
        line = ["ssh", "-F", "none", "-i", str(self.key), "-p", str(self.ssh_port)]
        line += [word for option in options for word in ("-o", option)]
        return [*line, f"{self.user}@127.0.0.1", *arguments]

    def run_ssh(self, command: str) -> str:
        """Run a command in the workspace and return its output."""
        done = subprocess.run(
            self.ssh(command), capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
        )
        assert done.returncode == 0, f"{done.stderr}\n{self.log.read_text()}"
        return done.stdout

    def kill_everything(self) -> None:
        """Kill hub, gateway, workspaces and all that they started."""
        while pids := self.processes():
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        if self.process is not None:
            self.process.wait()


@pytest.fixture(scope="session", autouse=True)
def overheard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """Everything that is logged while the suite runs; in the end no secret may be in it."""
    found = overhear()
    yield found
    folder = tmp_path_factory.getbasetemp()
    made = found.made | in_files(folder)
    texts = [*logs(folder), *(("a test's own log", line) for line in found.lines)]
    assert leaked(texts, made) == []


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A Postgres server for these tests alone."""
    bin = programs()
    if bin is None:
        pytest.skip("there is no Postgres server: apt-get install postgresql")
    with serve(bin, free_port()) as server:
        yield server


@pytest.fixture
def make_hub(tmp_path: Path) -> Iterator[Callable[..., RealHub]]:
    """Return a function that makes a real hub, not started yet; all of it ends with the test."""
    hubs: list[RealHub] = []

    def make(**options: Any) -> RealHub:
        directory = tmp_path / f"hub{len(hubs)}"
        directory.mkdir()
        hubs.append(RealHub(directory, **options))
        return hubs[-1]

    yield make
    for hub in hubs:
        hub.kill_everything()
