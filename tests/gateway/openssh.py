"""A workspace to test against: OpenSSH's sshd on the loopback, and what such tests need besides."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import asyncssh

from tests.ports import free_port

T = TypeVar("T")
SECONDS = 20.0


def wait_for(condition: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
    """Return the condition's first true value; fail when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"no {what} within {seconds} s"
        time.sleep(0.02)
    return value


def public_line(key: asyncssh.SSHKey) -> str:
    """Return an OpenSSH line without a comment."""
    return " ".join(key.export_public_key().decode().split()[:2])


def write_key(path: Path, key: asyncssh.SSHKey) -> Path:
    """Write a private key as OpenSSH wants it."""
    path.touch(mode=0o600)
    path.write_bytes(key.export_private_key())
    return path


@dataclass
class SSHD:
    """A workspace: OpenSSH's sshd, which takes the authority's certificates, and alice's key.

    The key is there for the direct connection that the gateway is compared with.

    Attributes:
        address: where it listens.
        within: what starts it there, before its own command line.
    """

    folder: Path
    authority: asyncssh.SSHKey
    user_key: asyncssh.SSHKey
    principal: str = field(default_factory=lambda: str(uuid.uuid4()))
    port: int = field(default_factory=free_port)
    host_key: asyncssh.SSHKey = field(
        default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519")
    )
    process: subprocess.Popen[bytes] | None = None
    address: str = "127.0.0.1"
    within: tuple[str, ...] = ()

    def start(self, *options: str) -> None:
        """Start it, with further lines of configuration, and wait until it listens."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)
        files = {
            "ca.pub": public_line(self.authority),
            "principals": self.principal,
            "authorized_keys": public_line(self.user_key),
        }
        for name, text in files.items():
            (self.folder / name).write_text(text + "\n")
        key_file = self.folder / "host_key"
        if not key_file.exists():
            write_key(key_file, self.host_key)
        config = self.folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress {self.address}\nHostKey {key_file}\nPidFile none\n"
            f"TrustedUserCAKeys {self.folder}/ca.pub\nStrictModes no\nUsePAM no\n"
            f"AuthorizedPrincipalsFile {self.folder}/principals\n"
            f"AuthorizedKeysFile {self.folder}/authorized_keys\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
            "AcceptEnv LANG LC_* GIT_AUTHOR_*\nSubsystem sftp internal-sftp\nPrintMotd no\n"
            f"PrintLastLog no\nSetEnv HOME={self.folder}\n"
            "MaxSessions 100\nMaxStartups 100\nLogLevel ERROR\n"
            + "".join(f"{option}\n" for option in options)
        )
        with (self.folder / "sshd.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.within, "/usr/sbin/sshd", "-D", "-e", "-f", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_for(self._listens, "sshd")

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), 1):
            return True
        return False

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop it and its sessions for a while, as when a machine hangs."""
        assert self.process is not None
        pids = [*_descendants(self.process.pid), self.process.pid]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill it with every session process of its own, as when a pod is killed."""
        assert self.process is not None
        # Parents first: none is left that could tell of a child's end.
        for pid in reversed([*_descendants(self.process.pid), self.process.pid]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(SECONDS)
        self.process = None


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError):
            found += [*_descendants(int(child)), int(child)]
    return found
