"""Processes by pid and start time."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kworkspace.spawners.processes import (
    MARKER,
    ProcessId,
    carries,
    descendants,
    identify,
    kill_all,
    lives,
    marked,
    open_pidfd,
    send,
)


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    environment = {"KWORKSPACE_SERVER_ID": "marked-by-this-test", "PATH": os.environ["PATH"]}
    with subprocess.Popen(["sleep", "60"], env=environment) as process:
        yield process
        process.kill()


def test_a_process_lives_until_it_is_a_zombie(child: "subprocess.Popen[bytes]") -> None:
    process = identify(child.pid)
    assert process is not None
    assert lives(process)
    assert send(process, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not lives(process)
    assert identify(child.pid) is None
    assert not send(process, signal.SIGKILL)
    child.wait()
    assert open_pidfd(process) is None


def test_a_later_process_of_the_same_pid_is_left_alone(child: "subprocess.Popen[bytes]") -> None:
    process = identify(child.pid)
    assert process is not None
    earlier = ProcessId(process.pid, process.started - 1)
    assert not lives(earlier)
    assert open_pidfd(earlier) is None
    assert kill_all([earlier]) == 0
    assert lives(process)


def test_a_name_with_blanks_and_parentheses() -> None:
    name = "a) R 1 (b"
    script = f"import pathlib; pathlib.Path('/proc/self/comm').write_text({name!r}); input()"
    with subprocess.Popen(
        [sys.executable, "-c", f"{script}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        found = identify(process.pid)
        assert found is not None
        assert found.started > 1
        assert found in descendants(os.getpid())
        process.communicate(b"\n")


def test_marked_finds_by_the_whole_marker(child: "subprocess.Popen[bytes]") -> None:
    assert [process.pid for process in marked("marked-by-this-test")] == [child.pid]
    assert marked("marked-by-this") == []


def test_carries_is_of_one_process_and_its_own_variable(child: "subprocess.Popen[bytes]") -> None:
    process = identify(child.pid)
    assert process is not None
    assert carries(process, MARKER, "marked-by-this-test")
    assert not carries(process, MARKER, "marked-by-this")
    assert not carries(process, "SERVER_ID", "marked-by-this-test")
    assert not carries(ProcessId(process.pid, process.started - 1), MARKER, "marked-by-this-test")
    own = identify(os.getpid())
    assert own is not None
    assert not carries(own, MARKER, "marked-by-this-test")


def test_descendants_of_descendants() -> None:
    with subprocess.Popen(
        ["bash", "-c", "bash -c 'echo up; sleep 60; :' & wait"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        below = descendants(process.pid)
        assert below
        assert set(below) < set(descendants(os.getpid()))
        kill_all(below)
