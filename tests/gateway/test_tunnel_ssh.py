"""What is other in a tunnel than in a direct connection; `test_behaviours` compares the rest."""

import os
import subprocess
from pathlib import Path

import pytest

from kworkspace.cli.client import models as m
from kworkspace.cli.tunnel_state import Known
from tests.gateway.conftest import Finished, Live, Stack, run
from tests.gateway.openssh import SSHD, public_line
from tests.gateway.stand_in_hub import ServerOf
from tests.gateway.tunnelled import TOKEN, Tunnelled


@pytest.fixture
def way(stack: Stack, tmp_path: Path) -> Tunnelled:
    """alice's tunnel."""
    stack.hub.tokens = {TOKEN: "alice"}
    return Tunnelled(
        tmp_path,
        url=f"http://127.0.0.1:{stack.gateway.tunnel_port}/gateway/tunnel/alice",
        key=stack.keys["alice"],
        host_key=public_line(stack.sshd.host_key),
        api=stack.hub.url,
    )


def test_start_is_waited_for_with_progress(stack: Stack, way: Tunnelled) -> None:
    """On the person's stderr, and stdout is ssh's alone."""
    stack.server().state = m.ServerState.STOPPED
    stack.server().script = [m.Progress(message="Pulling\x1b[31m"), m.Progress(ready=True)]
    stack.hub.go_on.set()
    done = run(way.ssh("echo in"))
    assert (done.returncode, done.stdout) == (0, b"in\n")
    assert b"Pulling" in done.stderr
    assert b"\x1b" not in done.stderr


def test_failed_start_says_why(stack: Stack, way: Tunnelled) -> None:
    stack.server().state = m.ServerState.STOPPED
    stack.server().script = [m.Progress(message="the image does not exist", failed=True)]
    stack.hub.go_on.set()
    done = run(way.ssh("true"))
    assert done.returncode == 255
    assert b"kworkspace: Your workspace did not start: the image does not exist." in done.stderr


def said(done: Finished) -> bytes:
    """Return the one line that a failed proxy says."""
    assert done.returncode == 255
    lines = [line for line in done.stderr.splitlines() if line.startswith(b"kworkspace: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_the_hub_ends_it(stack: Stack, way: Tunnelled) -> None:
    """With its word on stderr."""
    live = Live(way.ssh("echo here; cat"))
    stack.live.append(live)
    live.read_until(out=b"here")
    [id] = list(stack.hub.sessions)[-1:]
    stack.hub.command(m.Command(kind="message", sessions=[id], message="tea is ready"))
    live.read_until(err=b"tea is ready")
    stack.hub.command(m.Command(kind="end", sessions=[id], message="it is being stopped"))
    live.read_until(err=b"it is being stopped")
    assert live.finish() == 255
    stack.wait_for(lambda: stack.hub.ended.get(id) == "it is being stopped", "its end")


def test_a_workspace_that_dies_ends_a_transfer(stack: Stack, way: Tunnelled) -> None:
    """An honest end, at once."""
    sshd = SSHD(stack.folder / "dying", stack.hub.authority, stack.sshd.user_key)
    sshd.start()
    stack.hub.servers["alice"] = ServerOf(sshd)
    url = f"http://127.0.0.1:{stack.gateway.tunnel_port}/gateway/tunnel/alice"
    way.known.keep(Known(url=url, host_key=public_line(sshd.host_key), account="x"))
    with subprocess.Popen(way.ssh("cat /dev/zero"), stdout=subprocess.PIPE) as ssh:
        assert ssh.stdout is not None
        assert len(ssh.stdout.read(10_000_000)) == 10_000_000
        sshd.kill()
        ssh.stdout.read()
        assert ssh.wait(20) == 255


def test_a_hub_that_is_away_ends_nothing(stack: Stack, way: Tunnelled) -> None:
    """What runs goes on; who comes is told."""
    live = Live(way.ssh("echo here; cat"))
    stack.live.append(live)
    live.read_until(out=b"here")
    stack.hub.stop()
    try:
        live.send(b"still\n")
        live.read_until(out=b"still")
        assert b"restarting" in said(run(way.ssh("true")))
    finally:
        stack.hub.start()
    assert live.finish() == 0


@pytest.mark.parametrize("reader", ["here", "there"])
def test_who_does_not_read_costs_no_memory(stack: Stack, way: Tunnelled, reader: str) -> None:
    """The gateway holds a buffer, whatever the other end would send."""
    before = stack.gateway.rss_mib()
    command = "cat /dev/zero" if reader == "here" else "exec sleep 60"
    source = "/dev/zero" if reader == "there" else os.devnull
    with (
        Path(source).open("rb") as file,
        subprocess.Popen(way.ssh(command), stdin=file, stdout=subprocess.PIPE) as ssh,
    ):
        assert ssh.stdout is not None
        if reader == "here":
            ssh.stdout.read(50_000_000)
        counters = Path(f"/proc/{stack.gateway.process.pid}/io")
        seen = [""]
        stack.wait_for(lambda: _still(counters, seen), "windows that are full")
        assert stack.gateway.rss_mib() - before < 20
        ssh.kill()


def _still(counters: Path, seen: list[str]) -> bool:
    """Whether a process has read and written nothing since the last look but one."""
    seen.append(counters.read_text().split("syscr")[0])
    return len(seen) > 12 and len(set(seen[-10:])) == 1
