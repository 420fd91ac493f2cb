"""A workspace, a gateway and the ways between them that the figures of `ssh` compare.

OpenSSH's sshd is the workspace, a real gateway stands before it, and a stand-in answers for the
hub, which no byte passes. All with the cipher that is fastest here.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncssh

from tests.gateway.openssh import SSHD, public_line, wait_for, write_key
from tests.gateway.stand_in_hub import TOKEN as GATEWAY_TOKEN
from tests.gateway.stand_in_hub import ServerOf, StandInHub
from tests.gateway.tunnelled import TOKEN, Tunnelled
from tests.ports import free_port

CIPHER = "aes128-gcm@openssh.com"
LONG_LOGIN_SECONDS = 60.0


@dataclass
class Standing:
    """What stands.

    Attributes:
        direct, tunnel, relay, jump: the start of a command line of ssh by each way; `jump` is
            OpenSSH's own ProxyJump through a local sshd.
        gateway: the gateway's process, the parent of its workers if there are several.
        folder: of files that go with it.
        hub: the stand-in.
    """

    direct: list[str]
    tunnel: list[str]
    relay: list[str]
    jump: list[str]
    gateway: int
    folder: Path
    hub: StandInHub

    def cpu_seconds(self) -> float:
        """Return what the gateway has used."""
        fields = self._of_gateway("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_kb(self) -> float:
        """Return its resident memory."""
        pages = int(self._of_gateway("statm").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1000

    def _of_gateway(self, name: str) -> str:
        return Path(f"/proc/{self.gateway}/{name}").read_text()


@contextmanager
def standing(workers: int = 1) -> Iterator[Standing]:
    """Have hub, gateway and workspace stand."""
    with TemporaryDirectory(prefix="kworkspace-bench-") as name:
        folder = Path(name)
        user_key = asyncssh.generate_private_key("ssh-ed25519")
        hub = StandInHub(asyncssh.generate_private_key("ssh-ed25519"))
        sshd = SSHD(folder / "sshd", hub.authority, user_key)
        hub.keys, hub.tokens = {"alice": [public_line(user_key)]}, {TOKEN: "alice"}
        hub.servers = {"alice": ServerOf(sshd)}
        ends: list[Callable[[], object]] = [hub.close]
        try:
            hub.start()
            sshd.start()
            ends.insert(0, sshd.kill)
            gateway, port = _gateway(folder, hub, workers)
            ends[:0] = [gateway.terminate, gateway.wait]
            key = write_key(folder / "key", user_key)
            yield Standing(
                **_ways(folder, hub, sshd, key, port), gateway=gateway.pid, folder=folder, hub=hub
            )
        finally:
            for end in ends:
                end()


def _gateway(folder: Path, hub: StandInHub, workers: int) -> "tuple[subprocess.Popen[bytes], int]":
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(GATEWAY_TOKEN)
    port = free_port()
    where = ("--listen", f"127.0.0.1:{port}", "--tunnel-listen", "127.0.0.1:0")
    files = ("--host-key", str(folder / "gateway_key"), "--token-file", str(token))
    more = ("--workers", str(workers), "--drain", "0")
    command = [sys.executable, "-m", "kworkspace.gateway", *where, *files, *more]
    with (folder / "gateway.log").open("ab") as log:
        gateway = subprocess.Popen([*command, "--api-url", hub.url], stdout=log, stderr=log)
    wait_for(lambda: len(hub.host_keys) == workers, "gateway")
    return gateway, port


def _ways(folder: Path, hub: StandInHub, sshd: SSHD, key: Path, port: int) -> dict[str, list[str]]:
    host_key = public_line(sshd.host_key)
    tunnel_port = hub.reports[-1].tunnel_port
    url = f"http://127.0.0.1:{tunnel_port}/gateway/tunnel/alice"
    tunnelled = Tunnelled(folder, url=url, key=key, host_key=host_key, api=hub.url)
    known = folder / "known"
    known.write_text(
        f"[127.0.0.1]:{port} {hub.doors[port].host_keys[0]}\n[127.0.0.1]:{sshd.port} {host_key}\n"
    )
    common = [*("ssh", "-F", "none", "-i", str(key), "-o", f"UserKnownHostsFile={known}")]
    common += [*("-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR", "-c", CIPHER)]
    direct = [*common, "-p", str(sshd.port)]
    jump = " ".join([*direct, "-W", f"127.0.0.1:{sshd.port}", "127.0.0.1"])
    return {
        "direct": [*direct, "127.0.0.1"],
        "tunnel": [*tunnelled.options(), "-c", CIPHER, "workspace"],
        "relay": [*common, "-p", str(port), "alice@127.0.0.1"],
        "jump": [*direct, "-o", f"ProxyCommand={jump}", "127.0.0.1"],
    }


@contextmanager
def kept(way: Sequence[str], path: Path) -> Iterator[list[str]]:
    """Keep a connection open; yield the start of a command line that goes over it."""
    *options, host = way
    with subprocess.Popen([*options, "-M", "-S", str(path), "-N", host]) as master:
        try:
            wait_for(path.exists, "connection that is kept", LONG_LOGIN_SECONDS)
            yield [*options, "-S", str(path), host]
        finally:
            master.terminate()
