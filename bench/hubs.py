"""A hub to measure: a process with a directory of its own, reached by REST alone."""

import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.ports import free_port
from tests.postgres import Server, programs, serve

SECONDS = 60.0
_postgres: list[Server] = []
_numbers = itertools.count()


@contextmanager
def on_postgres() -> Iterator[None]:
    """Have each hub that is made within the block use a database of a Postgres server's."""
    if _postgres:
        yield
        return
    bin = programs()
    if bin is None:
        raise SystemExit("there is no Postgres server: apt-get install postgresql")
    with serve(bin, free_port()) as server:
        _postgres.append(server)
        try:
            yield
        finally:
            _postgres.clear()


def _database() -> str:
    """Return the line of hub_config.py for a new database."""
    if not _postgres:
        return ""
    name = f"bench{next(_numbers)}"
    _postgres[0].create(name)
    return f"c.Hub.db_url = {_postgres[0].url(name)!r}"


class BenchHub:
    """One hub; `start` and `stop` may be called in turns.

    Args:
        directory: for all of its files.
        lines: more lines for hub_config.py.
        users: the names to list; the first has the key `id_ed25519` of the directory.
        gateway: whether it runs one.
    """

    def __init__(
        self, directory: Path, *, users: list[str], lines: str = "", gateway: bool = False
    ) -> None:
        self.directory = directory
        self.port, self.ssh_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.gateway = gateway
        self.key = directory / "id_ed25519"
        make_key = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key))
        subprocess.run(make_key, check=True)
        keys: dict[str, list[str]] = {name: [] for name in users}
        keys[users[0]] = [self.key.with_suffix(".pub").read_text().strip()]
        services = "" if gateway else "c.Hub.services = [{'name': 'gateway', 'command': []}]"
        config = f"""\
c.Hub.data_dir = {str(directory / "data")!r}
c.Hub.bind_url = {self.url!r}
c.Hub.ssh_bind_url = "ssh://127.0.0.1:{self.ssh_port}"
c.SSHKeyAuthenticator.users = {keys!r}
{services}
{_database()}
{lines}
"""
        (directory / "hub_config.py").write_text(config)
        self._process: subprocess.Popen[bytes] | None = None
        self._others: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int:
        """The hub's process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> float:
        """Start it and return the seconds until it was ready (and the gateway, if it has one)."""
        start = time.perf_counter()
        self._process = self._launch()
        self._wait(self._process, self.port)
        return time.perf_counter() - start

    def start_another(self) -> int:
        """Start a second process on the same database; return its port."""
        port = free_port()
        self._others.append(self._launch(f"--Hub.bind_url=http://127.0.0.1:{port}"))
        self._wait(self._others[-1], port)
        return port

    def _launch(self, *options: str) -> "subprocess.Popen[bytes]":
        command = [str(Path(sys.executable).with_name("kworkspace-hub")), *options, "-f"]
        with (self.directory / "hub.log").open("ab") as log:
            return subprocess.Popen(
                [*command, str(self.directory / "hub_config.py")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _wait(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        end = time.perf_counter() + SECONDS
        while not self._is_ready(port):
            if time.perf_counter() > end or process.poll() is not None:
                raise RuntimeError((self.directory / "hub.log").read_text())
            time.sleep(0.01)

    def _is_ready(self, port: int) -> bool:
        try:
            if not self.call("GET", "/health", port=port)[1]["ready"]:
                return False
            return not self.gateway or self.call("GET", "/hub/api/")[1]["ssh"] is not None
        except OSError:
            return False

    def stop(self) -> None:
        """End it as an admin does."""
        for other in self._others:
            other.terminate()
            other.wait(30)
        self._others.clear()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    @property
    def admin_token(self) -> str:
        """The token of the hub's own admin service."""
        return (self.directory / "data/admin_token").read_text().strip()

    def call(
        self, method: str, path: str, token: str | None = None, *, port: int | None = None
    ) -> tuple[int, Any]:
        """Make a call on a connection of its own; return status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=SECONDS)
        headers = {"Authorization": f"token {token}"} if token else {}
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(body) if body else None

    def user_call(self, method: str, path: str) -> tuple[int, Any]:
        """Make a call below `/hub/api/users` as the hub's admin; one that fails is an error."""
        status, body = self.call(method, f"/hub/api/users{path}", self.admin_token)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {body}")
        return status, body

    def ssh(self, user: str, *, port: int | None = None) -> list[str]:
        """Return a command line of OpenSSH to the gateway, or to a port of this machine."""
        options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=accept-new"]
        options += [f"UserKnownHostsFile={self.directory / 'known_hosts'}", "LogLevel=ERROR"]
        where = ("-F", "none", "-i", str(self.key), "-p", str(port or self.ssh_port))
        return ["ssh", *where, *(f"-o{option}" for option in options), f"{user}@127.0.0.1"]


@contextmanager
def bench_hub(*, users: list[str], lines: str = "", gateway: bool = False) -> Iterator[BenchHub]:
    """Make a hub in a directory of its own; in the end nothing is left of it."""
    with TemporaryDirectory(prefix="kworkspace-bench-") as folder:
        hub = BenchHub(Path(folder), users=users, lines=lines, gateway=gateway)
        try:
            yield hub
        finally:
            hub.stop()
            for pid in _processes_of(folder):
                os.kill(pid, signal.SIGKILL)


def _processes_of(folder: str) -> list[int]:
    """The workspaces, which outlive their hub: whose command line names the directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if folder.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
