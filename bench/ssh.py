"""Bulk data and connecting by tunnel and by relay, beside a direct ssh into the same sshd.

OpenSSH's sshd is the workspace, a real gateway stands before it, and a stand-in answers for the
hub, which no byte passes. All with the cipher that is fastest here, in turns. On a machine with
fewer cores than processes (ssh, sshd, gateway, and the command of a tunnel) each that is added
takes time from the others: the CPU seconds say what a gigabyte costs in it.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncssh

from bench.hubs import free_port
from bench.report import Figure, alternately
from tests.gateway.openssh import SSHD, public_line, wait_for, write_key
from tests.gateway.stand_in_hub import TOKEN as GATEWAY_TOKEN
from tests.gateway.stand_in_hub import ServerOf, StandInHub
from tests.gateway.tunnelled import TOKEN, Tunnelled

MEGABYTES = 256
TRANSFERS, CONNECTS = 5, 20
CIPHER = "aes128-gcm@openssh.com"


@dataclass
class Ways:
    """The start of a command line of ssh by each way, and the gateway's process."""

    ways: dict[str, list[str]]
    gateway: int


def ssh(megabytes: int = MEGABYTES) -> Iterator[Figure]:
    """Measure download, upload and `ssh ... true`.

    Args:
        megabytes: of each transfer.
    """
    with _standing() as standing:
        direct, tunnel, relay = standing.ways.values()
        size = megabytes * 1024 * 1024
        for name, work in (("download", _download), ("upload", _upload)):
            before = _cpu_seconds(standing.gateway)
            times = alternately(
                TRANSFERS, *(partial(work, way, size) for way in (direct, tunnel, relay))
            )
            spent = _cpu_seconds(standing.gateway) - before
            rates = [size / 1e6 / taken for taken in times]
            for way, rate, goal in (("tunnel", rates[1], 0.9), ("relay", rates[2], 0.5)):
                yield Figure(
                    f"ssh, {name} of {megabytes} MiB by {way}",
                    rate,
                    "MB/s",
                    TRANSFERS,
                    goal=goal,
                    peer=rates[0],
                    peer_name="direct",
                    compare="ratio",
                    better="large",
                )
            gigabytes = 2 * size * (TRANSFERS + 1) / 1e9
            yield Figure(
                f"gateway's CPU per GB, {name}, both ways", spent / gigabytes, "s", TRANSFERS
            )
        yield from _connects(direct, tunnel, relay)


def _connects(*ways: list[str]) -> Iterator[Figure]:
    runs = (partial(subprocess.run, [*way, "true"], check=True) for way in ways)
    direct, tunnel, relay = alternately(CONNECTS, *runs)
    for name, taken, goal in (("tunnel", tunnel, None), ("relay", relay, 60)):
        yield Figure(
            f"ssh ... true by {name}",
            taken * 1000,
            "ms",
            CONNECTS,
            goal=goal,
            peer=direct * 1000,
            peer_name="direct",
            compare="difference",
        )


def _download(way: list[str], size: int) -> None:
    command = [*way, f"head -c {size} /dev/zero"]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


def _upload(way: list[str], size: int) -> None:
    source = subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE)
    with source:
        subprocess.run([*way, "cat > /dev/null"], stdin=source.stdout, check=True)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _standing() -> Iterator[Ways]:
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
            gateway, port = _gateway(folder, hub)
            ends[:0] = [gateway.terminate, gateway.wait]
            key = write_key(folder / "key", user_key)
            yield Ways(_ways(folder, hub, sshd, key, port), gateway.pid)
        finally:
            for end in ends:
                end()


def _gateway(folder: Path, hub: StandInHub) -> "tuple[subprocess.Popen[bytes], int]":
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(GATEWAY_TOKEN)
    port = free_port()
    where = ("--listen", f"127.0.0.1:{port}", "--tunnel-listen", "127.0.0.1:0")
    files = ("--host-key", str(folder / "gateway_key"), "--token-file", str(token))
    with (folder / "gateway.log").open("ab") as log:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "kworkspace.gateway", *where, *files, "--api-url", hub.url],
            stdout=log,
            stderr=log,
        )
    wait_for(lambda: hub.doors.get(port), "gateway")
    return gateway, port


def _ways(folder: Path, hub: StandInHub, sshd: SSHD, key: Path, port: int) -> dict[str, list[str]]:
    host_key = public_line(sshd.host_key)
    tunnel_port = hub.reports[-1].tunnel_port
    url = f"http://127.0.0.1:{tunnel_port}/gateway/tunnel/alice"
    tunnelled = Tunnelled(folder, url=url, key=key, host_key=host_key)
    known = folder / "known"
    known.write_text(
        f"[127.0.0.1]:{port} {hub.doors[port].host_keys[0]}\n[127.0.0.1]:{sshd.port} {host_key}\n"
    )
    common = [*("ssh", "-F", "none", "-i", str(key), "-o", f"UserKnownHostsFile={known}")]
    common += [*("-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR", "-c", CIPHER)]
    return {
        "direct": [*common, "-p", str(sshd.port), "127.0.0.1"],
        "tunnel": [*tunnelled.options(), "-c", CIPHER, "workspace"],
        "relay": [*common, "-p", str(port), "alice@127.0.0.1"],
    }
