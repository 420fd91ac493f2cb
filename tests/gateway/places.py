"""The places in which each row of the table of behaviours is run, and how a row is run.

A place is a way to a workspace: `ssh ws` takes it. Each run has a directory of the person's and one
in the workspace, and starts with nothing else that could differ.
"""

import hashlib
import os
import pty
import random
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.gateway import peer
from tests.gateway.behaviours import Resize, Row
from tests.ports import free_port

BOUND = 45.0
"""Seconds after which a row that has not ended has hung; none takes a tenth of it."""

_PROGRAMS = {"ssh": "/usr/bin/ssh", "scp": "/usr/bin/scp", "sftp": "/usr/bin/sftp"}


@dataclass(frozen=True, slots=True)
class Way:
    """One place.

    Attributes:
        name: for people.
        user: to log in as.
        port: of the loopback.
        key: the file of the person's private key.
        host_key: the line of the only host key that is right.
        proxy: the command that carries the connection, if it is not made by the client itself.
        certificate: the file that this command writes before it passes the connection, if it does.
        shared: whether rows share a connection where they can, since each takes long.
    """

    name: str
    user: str
    port: int
    key: Path
    host_key: str
    proxy: str = "none"
    certificate: Path | None = None
    shared: bool = False

    def lines(self) -> str:
        """Return what ssh's configuration says of it, of each as much: rows read that file."""
        lines = [
            f"Port {self.port}",
            f"User {self.user}",
            f"IdentityFile {self.key}",
            f"ProxyCommand {self.proxy}",
            f"ProxyUseFdpass {'no' if self.certificate is None else 'yes'}",
            f"CertificateFile {self.certificate or 'none'}",
        ]
        return "".join(f"  {line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Result:
    """What a person can tell of a run."""

    status: int
    out: bytes
    err: bytes
    files: dict[str, str]


@dataclass
class Surroundings:
    """What the rows find: services to forward to, big files, programs that know the way."""

    folder: Path
    ways: dict[str, Way]
    inner: Way
    agent: Path
    environment: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def ready(self) -> Iterator[None]:
        """Have it all there, for the time of a block."""
        with ExitStack() as stack:
            services = {kind: socket.create_server(("127.0.0.1", 0)) for kind in ("echo", "count")}
            at_path = socket.socket(socket.AF_UNIX)
            at_path.bind(str(self.folder / "count.sock"))
            at_path.listen(64)
            for name, listening in [*services.items(), ("count", at_path)]:
                thread = threading.Thread(target=peer.serve, args=(listening, name))
                thread.start()
                stack.callback(thread.join, 20)
                stack.callback(listening.close)
                stack.callback(listening.shutdown, socket.SHUT_RDWR)
            (self.folder / "blob").write_bytes(random.Random(1).randbytes(4 << 20))
            self._write_programs()
            self.environment = {
                "PATH": f"{self.folder}/bin:/usr/bin:/bin:/usr/sbin:/sbin",
                "TERM": "xterm-256color",
                "ECHO": str(services["echo"].getsockname()[1]),
                "COUNT": str(services["count"].getsockname()[1]),
                "COUNT_SOCK": str(self.folder / "count.sock"),
                "BLOB": str(self.folder / "blob"),
                "PEER": str(self.folder / "bin" / "peer"),
                "AGENT": str(self.agent),
                "AGENT_KEY": f"{self.inner.key}.pub",
            }
            for letter, way in self.ways.items():
                if way.shared:
                    stack.enter_context(self._connection(letter))
            yield

    def _write_programs(self) -> None:
        bin = self.folder / "bin"
        bin.mkdir()
        texts = {name: f'exec {path} -F "$SSH_CONFIG" "$@"\n' for name, path in _PROGRAMS.items()}
        texts["peer"] = f'exec {sys.executable} -I -S {peer.__file__} "$@"\n'
        for name, text in texts.items():
            (bin / name).write_text(f"#!/bin/sh\n{text}")
            (bin / name).chmod(0o755)
        for letter, way in self.ways.items():
            known = f"[127.0.0.1]:{way.port} {way.host_key}\n"
            known += f"[127.0.0.1]:{self.inner.port} {self.inner.host_key}\n"
            (self.folder / f"known_hosts.{letter}").write_text(known)
            hosts = [
                f"Host {host}\n  HostName 127.0.0.1\n{at.lines()}"
                for host, at in (("ws", way), ("inner", self.inner))
            ]
            common = (
                f"Host *\n  UserKnownHostsFile {self.folder}/known_hosts.{letter}\n"
                "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n"
                "  IdentitiesOnly yes\n  BatchMode yes\n  UpdateHostKeys no\n"
                # The first choice of OpenSSH's two ends costs them more than all else in most rows.
                "  KexAlgorithms curve25519-sha256\n"
            )
            for name, control in (
                (letter, "none"),
                (f"{letter}.shared", self.folder / f"ctl.{letter}"),
            ):
                config = f"  ControlPath {control}\n".join((*hosts, common))
                (self.folder / f"config.{name}").write_text(config)

    @contextmanager
    def _connection(self, letter: str) -> Iterator[None]:
        """Have the connection that rows share, for the time of a block."""
        ssh = ["ssh", "-F", str(self.folder / f"config.{letter}.shared")]
        null = subprocess.DEVNULL
        subprocess.run([*ssh, "-fNM", "ws"], stdin=null, stdout=null, check=True)
        yield
        subprocess.run([*ssh, "-O", "exit", "ws"], capture_output=True, check=True)

    def run(self, row: Row, letter: str) -> Result:
        """Run a row in a place.

        Raises:
            AssertionError: it does not end.
        """
        folder = self.folder / letter / re.sub(r"\W+", "-", row.name)
        here, there = folder / "here", folder / "there"
        here.mkdir(parents=True)
        there.mkdir()
        shares = self.ways[letter].shared and row.may_share
        ports = {name: str(free_port()) for name in ("PORT", "PORT2", "CLOSED")}
        environment = {
            **self.environment,
            **ports,
            "SSH_CONFIG": str(self.folder / f"config.{letter}{'.shared' * shares}"),
            "HOME": str(here),
            "W": str(there),
        }
        command = ["bash", "-c", row.script]
        try:
            if row.terminal:
                status, out, err = *_in_terminal(command, row, here, environment), b""
            else:
                status, out, err = _plainly(command, row.stdin, here, environment)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{self.ways[letter].name} hangs: {error}") from error
        replaced = {
            **{value.encode(): name.encode() for name, value in ports.items()},
            str(folder).encode(): b"FOLDER",
            str(self.ways[letter].port).encode(): b"DOOR",
            f"{self.ways[letter].user}@".encode(): b"USER@",
        }
        return Result(status, _tidy(out, replaced), _tidy(err, replaced), _tree(folder))


def _tidy(output: bytes, replaced: dict[bytes, bytes]) -> bytes:
    """Take out what must differ: the names of directories, ports and terminals."""
    for old, new in replaced.items():
        if old not in output:
            continue  # which is found out much faster than by an expression
        # Not in the middle of a checksum, which may have the digits of a port.
        alone = rb"(?<![0-9a-f])%s(?![0-9a-f])" if old.isdigit() else rb"%s"
        output = re.sub(alone % re.escape(old), new, output)
    return re.sub(rb"(/dev/pts/|\n\[1\] )\d+", rb"\1N", output)


def _plainly(
    command: list[str], stdin: bytes, folder: Path, environment: dict[str, str]
) -> tuple[int, bytes, bytes]:
    """Run a command with three pipes; what is left of its process group is killed."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        cwd=folder,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(stdin, BOUND)
        finally:
            _kill_group(process.pid)
    return process.returncode, out, err


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _in_terminal(
    command: list[str], row: Row, folder: Path, environment: dict[str, str]
) -> tuple[int, bytes]:
    """Run a command in a terminal and have the row's dialogue with it."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, (24, 80))
    process = subprocess.Popen(
        ["setsid", "--ctty", *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=environment,
    )
    os.close(theirs)
    out, seen = b"", 0
    try:
        for awaited, typed in row.terminal:
            while (at := out.find(awaited.encode(), seen)) < 0:
                chunk = _read(ours, f"{awaited!r} after {out[seen:]!r}")
                assert chunk, f"it ended before {awaited!r}: {out[seen:]!r}"
                out += chunk
            seen = at + len(awaited.encode())
            if isinstance(typed, Resize):
                termios.tcsetwinsize(ours, (typed.rows, typed.columns))
            else:
                os.write(ours, typed.encode("latin-1"))
        while chunk := _read(ours, f"the end after {out[seen:]!r}"):
            out += chunk
        return process.wait(BOUND), out
    finally:
        os.close(ours)
        _kill_group(process.pid)
        process.wait()


def _read(fd: int, awaited: str) -> bytes:
    """Read from a terminal; nothing when it has been hung up.

    Raises:
        TimeoutExpired: nothing comes.
    """
    if not select.select([fd], [], [], BOUND)[0]:
        raise subprocess.TimeoutExpired(awaited, BOUND)
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""


def _tree(folder: Path) -> dict[str, str]:
    """Return what is there: names with type, mode, and what is in it."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name.startswith("ctl"):
            continue  # a shared connection's socket goes soon after it
        status = path.lstat()
        kind = stat.filemode(status.st_mode)
        if path.is_symlink():
            kind += f" {path.readlink()}".replace(str(folder), "FOLDER")
        elif path.is_file():
            kind += f" {status.st_size} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        found[str(path.relative_to(folder))] = kind
    return found
