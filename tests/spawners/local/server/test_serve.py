"""The end of a workspace: told, hung up, terminated, killed; nothing survives it."""

import asyncio
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from tests.spawners.local.conftest import House

DAEMON = "setsid nohup sleep 1000 >/dev/null 2>&1 </dev/null &"
STUBBORN = (
    "setsid bash -c \"trap '' TERM HUP; touch up; while :; do sleep 0.1; done\""
    " >/dev/null 2>&1 </dev/null &"
)


def hidden(name: str) -> str:
    """A daemon whose environment does not show where it comes from: only its descent does."""
    return f"env -i setsid bash -c 'exec -a {name} sleep 1000' >/dev/null 2>&1 </dev/null &"


def named(name: str) -> list[str]:
    """Return the pids of all processes that have a name among their arguments."""
    return [
        path.parent.name
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if name.encode() in _read(path).split(b"\0")
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def _begins(name: str) -> None:
    async with asyncio.timeout(10):
        while not named(name):  # noqa: ASYNC110  another process's doing
            await asyncio.sleep(0.01)


async def test_stop_ends_what_was_daemonised(house: "House") -> None:
    spawner = await house.spawner()
    _, ssh = await house.start(spawner)
    name = f"daemon-{uuid4()}"
    assert ssh.run(f"{DAEMON} {hidden(name)}").returncode == 0
    await _begins(name)
    assert len(house.leftovers()) == 2
    began = time.monotonic()
    await spawner.stop(house.workspace.id, "alice")
    assert time.monotonic() - began < 5
    assert house.leftovers() == []
    assert named(name) == []


async def test_what_ignores_the_signal_is_killed_after_the_grace(house: "House") -> None:
    spawner = await house.spawner(stop_timeout=1)
    _, ssh = await house.start(spawner)
    ssh.run(STUBBORN + " while [ ! -e up ]; do sleep 0.05; done")
    began = time.monotonic()
    await spawner.stop(house.workspace.id, "alice")
    assert 1 <= time.monotonic() - began < 4
    assert house.leftovers() == []


async def test_a_server_that_hangs_is_killed_with_all_that_is_below(house: "House") -> None:
    spawner = await house.spawner(stop_timeout=1)
    _, ssh = await house.start(spawner)
    name = f"daemon-{uuid4()}"
    ssh.run(f"{DAEMON} {hidden(name)}")
    await _begins(name)
    os.kill(house.server_pid(), signal.SIGSTOP)
    await spawner.stop(house.workspace.id, "alice")
    assert house.leftovers() == []
    assert named(name) == []


async def test_open_sessions_are_told(house: "House") -> None:
    spawner = await house.spawner()
    _, ssh = await house.start(spawner)
    sessions = [
        await asyncio.create_subprocess_exec(
            *ssh.argv("echo up; sleep 1000", options=options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for options in ((), ("-tt",))
    ]
    for session in sessions:
        assert session.stdout is not None
        assert (await asyncio.wait_for(session.stdout.readline(), 15)).strip() == b"up"
    await spawner.stop(house.workspace.id, "alice")
    for session in sessions:
        _, errors = await asyncio.wait_for(session.communicate(), 15)
        assert b"This workspace is being stopped." in errors
        assert session.returncode == 255


async def test_stop_is_quick(house: "House") -> None:
    spawner = await house.spawner()
    await house.start(spawner)
    began = time.monotonic()
    await spawner.stop(house.workspace.id, "alice")
    assert time.monotonic() - began < 2
