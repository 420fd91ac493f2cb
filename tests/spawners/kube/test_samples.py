"""The program that looks into a pod, run for real in this machine's shells, and its output."""

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from kworkspace.spawners.kube.samples import CpuTime, parse, program

SHELLS = [
    pytest.param(shell, marks=pytest.mark.skipif(shutil.which(shell[0]) is None, reason=shell[0]))
    for shell in (["sh"], ["dash"], ["busybox", "sh"])
]


def _run(shell: list[str], *, port: int, gpu: bool = False, path: str = "") -> bytes:
    argv = program(port=port, gpu=gpu, twice=False)
    assert argv[0] == "/bin/sh"
    done = subprocess.run(
        [*shell, *argv[1:]],
        check=True,
        capture_output=True,
        env={"PATH": f"{path}:{os.environ['PATH']}"},
        timeout=20,
    )
    return done.stdout


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_connections_to_the_port_are_seen(shell: list[str], host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listening:
        if "ffff" in host:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            listening.bind((host, 0))
        except OSError:
            pytest.skip(f"no {host} here")
        listening.listen()
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1" if "ffff" in host else host, port)):
            accepted, _ = listening.accept()
            with accepted:
                sample = parse(await asyncio.to_thread(_run, shell, port=port))
        assert sample.connections([]) == 1
        assert sample.connections(["127.0.0.1", "::1"]) == 0
        assert sample.connections(["192.0.2.1"]) == 1


@pytest.mark.parametrize("shell", SHELLS)
def test_nobody_is_connected(shell: list[str]) -> None:
    assert parse(_run(shell, port=1)).connections([]) == 0


@pytest.mark.parametrize("shell", SHELLS)
def test_gpus_tell_their_load(shell: list[str], tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 3\necho 97\n")
    tool.chmod(0o755)
    assert parse(_run(shell, port=1, gpu=True, path=str(tmp_path))).gpus == [0.03, 0.97]
    assert parse(_run(shell, port=1, path=str(tmp_path))).gpus == []


@pytest.mark.parametrize("shell", SHELLS)
def test_a_missing_tool_hides_nothing_else(shell: list[str]) -> None:
    sample = parse(_run(shell, port=1, gpu=True))
    assert sample.gpus == []
    assert sample.peers == []


@pytest.mark.parametrize("shell", SHELLS)
def test_what_the_account_put_into_the_images_path_is_not_run(
    shell: list[str], tmp_path: Path
) -> None:
    for name in ("grep", "sleep"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (tmp_path / name).chmod(0o755)
    assert parse(_run(shell, port=1, path=str(tmp_path))).peers == []
    assert not (tmp_path / "ran").exists()


def test_counters_of_both_versions() -> None:
    sample = parse(b"cpu 100.00 2000000\ncpu 101.00 2500000\ntcp\n")
    assert sample.cpu == [CpuTime(2.0, 100.0), CpuTime(2.5, 101.0)]
    assert sample.cpu[1].cores_since(sample.cpu[0]) == pytest.approx(0.5)
    old = parse(b"cpu1 100.00 2000000000\n")
    assert old.cpu == [CpuTime(2.0, 100.0)]
    assert old.peers is None
    assert old.connections([]) is None


def test_counters_of_another_run_say_nothing() -> None:
    assert CpuTime(1.0, 100.0).cores_since(CpuTime(2.0, 90.0)) is None
    assert CpuTime(1.0, 100.0).cores_since(CpuTime(1.0, 100.0)) is None


TABLE = b"""\
   0: 0A00020A:08AE 0B00020A:C350 01 00000000:00000000 00:00000000 00000000  0 0 1 1 0
   1: 0000000000000000FFFF00000A00020A:08AE 0000000000000000FFFF00000C00020A:C351 01 0 0 0
   2: B80D0120000000000000000001000000:08AE B80D0120000000000000000002000000:C352 01 0 0 0
tcp
"""


def test_addresses_of_both_families() -> None:
    sample = parse(TABLE)
    assert [str(peer) for peer in sample.peers or ()] == ["10.2.0.11", "10.2.0.12", "2001:db8::2"]
    assert sample.connections(["10.2.0.12", "2001:db8::2"]) == 1


@pytest.mark.parametrize(
    "output",
    [
        b"\xff\xfe\x00",
        b"cpu x y\ncpu 1\ncpu 1 2 3 4",
        b"gpu [N/A]\ngpu\n",
        b"gpu nan\ngpu inf\ncpu nan 5\ncpu -inf 5\n",
        b"cpu 1 " + b"9" * 400,
        b"cpu 1 " + b"9" * 5000,
        b"  0: zz:08AE 00:1 01 x\n 1: 0:1 FFF:1 01 x",
    ],
)
def test_nonsense_is_left_out(output: bytes) -> None:
    sample = parse(output)
    assert not sample.cpu
    assert not sample.gpus
    assert sample.peers is None
