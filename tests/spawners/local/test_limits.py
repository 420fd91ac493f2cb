"""A workspace takes no more than its share, and nothing is left of its fence."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from traitlets import TraitError

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.spawners.local import LocalSpawner, limits
from kworkspace.spawners.local.limits import FileFence, Limits, find_fence
from tests.spawners.local.conftest import House

LIMITS = {"cpu_limit": 1.5, "mem_limit": "300M"}
BYTES = 300 * 1024**2


def possible() -> bool:
    """Whether this machine lets a test have control groups."""
    try:
        find_fence(Limits(1.0, BYTES), "probe")
    except KworkspaceError:
        return False
    return True


@pytest.mark.skipif(not possible(), reason="no control group here that may be written")
class TestForReal:
    async def test_who_takes_too_much_is_killed(self, house: House) -> None:
        _, ssh = await house.start(await house.spawner(**LIMITS))
        assert ssh.run("python3 -c 'bytearray(20 << 20)'").returncode == 0
        assert ssh.run("python3 -c 'bytearray(1 << 30)'; echo $?").stdout == b"137\n"
        assert ssh.run("echo goes on").stdout == b"goes on\n"

    async def test_the_group_goes_with_the_workspace(self, house: House) -> None:
        spawner = await house.spawner(**LIMITS)
        running, _ = await house.start(spawner)
        of_process = Path(f"/proc/{house.server_pid()}/cgroup").read_text()
        assert "/kworkspace-hub-alice" in of_process
        await spawner.stop(running.id, running.slug)
        assert list(Path("/sys/fs/cgroup").rglob("kworkspace-hub-*")) == []

    async def test_it_goes_also_with_one_that_is_killed(self, house: House) -> None:
        spawner = await house.spawner(**LIMITS)
        await house.start(spawner)
        os.kill(house.server_pid(), 9)
        while not house.exits:
            await spawner.running()
        assert list(Path("/sys/fs/cgroup").rglob("kworkspace-hub-*")) == []


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Control groups of version 2 that are files, and a machine without systemd."""
    base = tmp_path / "cgroup" / "machine" / "hub"
    base.mkdir(parents=True)
    (base / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    mount = f"31 23 0:26 /machine {tmp_path / 'cgroup' / 'machine'} rw shared:4 - cgroup2 none rw\n"
    (tmp_path / "mountinfo").write_text(f"22 1 8:1 / / rw - ext4 /dev/sda rw\n{mount}")
    (tmp_path / "membership").write_text("0::/machine/hub\n")
    monkeypatch.setattr(limits, "SYSTEMD", tmp_path / "no-systemd")
    monkeypatch.setattr(limits, "MOUNTS", tmp_path / "mountinfo")
    monkeypatch.setattr(limits, "MEMBERSHIP", tmp_path / "membership")
    return base


def test_version_2(tree: Path) -> None:
    fence = find_fence(Limits(0.25, BYTES), "0123456789")
    assert isinstance(fence, FileFence)
    assert (tree / "cgroup.subtree_control").read_text() == "+cpu +memory"
    command = [*fence.command("alice", "uid"), "sh", "-c", 'echo "$$ $*"', "-", "a b", "--", "c"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    group = tree / "kworkspace-01234567-alice"
    assert (group / "cpu.max").read_text() == "25000 100000"
    assert (group / "memory.max").read_text() == str(BYTES)
    pid = (group / "cgroup.procs").read_text().strip()
    assert said == f"{pid} a b -- c\n"  # it became the command


def test_only_what_is_limited(tree: Path) -> None:
    fence = find_fence(Limits(0.0, BYTES), "hub")
    fence.command("alice", "uid")
    assert (tree / "cgroup.subtree_control").read_text() == "+memory"
    assert not (tree / "kworkspace-hub-alice" / "cpu.max").exists()


def test_a_group_that_cannot_be_entered(tree: Path) -> None:
    fence = find_fence(Limits(1.0), "hub")
    command = fence.command("alice", "uid")
    (tree / "kworkspace-hub-alice" / "cgroup.procs").mkdir()
    done = subprocess.run([*command, "echo", "ran"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_no_controllers(tree: Path) -> None:
    (tree / "cgroup.controllers").write_text("pids\n")
    with pytest.raises(KworkspaceError) as caught:
        find_fence(Limits(1.0, BYTES), "hub")
    assert caught.value.message == (
        "c.LocalSpawner.cpu_limit and mem_limit cannot be kept on this machine (/sys/fs/cgroup: no"
        " control group with cpu and memory): run the hub where systemd runs or with a control"
        " group that it may write (Delegate=yes), or set both to 0."
    )


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a systemd that writes down what it is asked for and does it."""
    program = tmp_path / "bin" / "systemd-run"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\n'
        'while [ "$1" != -- ]; do shift; done; shift; exec "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(limits, "SYSTEMD", tmp_path)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path / "asked"


async def test_systemd(house: House, systemd: Path) -> None:
    running, ssh = await house.start(await house.spawner(**LIMITS))
    assert ssh.run("echo in it").stdout == b"in it\n"
    user = "" if os.geteuid() == 0 else "--user "
    words = "--property=CPUQuota=150% --property=MemoryMax=314572800"
    tried, started = systemd.read_text().splitlines()
    assert tried == f"{user}--scope --quiet --collect {words} -- true"
    unit = f"--unit=kworkspace-alice-{running.object_uid}"
    assert started.startswith(f"{user}--scope --quiet --collect {unit} {words} -- ")


def test_systemd_refuses(systemd: Path) -> None:
    program = systemd.parent / "bin" / "systemd-run"
    program.write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    with pytest.raises(KworkspaceError, match=r"systemd gives no scope: Failed to connect to bus"):
        find_fence(Limits(1.0), "hub")


@pytest.mark.parametrize(
    ("given", "bytes_"),
    [("512M", 512 << 20), ("1.5g", 3 << 29), ("2GB", 2 << 30), (7, 7), ("0", 0)],
)
def test_bytes(given: object, bytes_: int, tmp_path: Path) -> None:
    assert make(tmp_path, mem_limit=given).mem_limit == bytes_


@pytest.mark.parametrize("given", ["much", "-1G", "5 X", ""])
def test_no_bytes(given: str, tmp_path: Path) -> None:
    with pytest.raises(TraitError, match="'mem_limit' trait expected bytes, as '512M' or '4G', no"):
        make(tmp_path, mem_limit=given)


def make(directory: Path, **traits: Any) -> LocalSpawner:
    return LocalSpawner(hub_id="hub", data_dir=directory, on_exit=lambda _: None, **traits)
