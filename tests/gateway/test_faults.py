"""What goes wrong between gateway and workspace while bytes flow: an honest end, and no hang."""

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.gateway.network import Network, network
from tests.gateway.openssh import SSHD, wait_for
from tests.gateway.stand_in_hub import ServerOf

if TYPE_CHECKING:
    from tests.gateway.conftest import GatewayProcess, Stack

BLOB = random.Random(2).randbytes(30 << 20)
LOST = b"The connection to your workspace was lost; it may have been stopped. Connect again.\n"
IMPATIENT = """
from kworkspace.gateway import __main__, workspace
workspace.KEEPALIVE_SECONDS = 1
__main__.main()
"""


def _pipes(*command: str) -> "subprocess.Popen[bytes]":
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)


@contextlib.contextmanager
def _flowing(ssh: list[str], way: str) -> "Iterator[subprocess.Popen[bytes]]":
    """Begin an endless transfer, and go on when bytes have arrived; nobody reads its output."""
    *options, host = ssh
    commands = {
        "down": [*ssh, "cat /dev/zero"],
        "up": [*ssh, "head -c 1000000 >/dev/null; echo flows; exec cat >/dev/null"],
        "both": [*ssh, "cat"],
        "terminal": [*options, "-tt", host, "cat /dev/zero"],
    }
    with (
        subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE) as source,
        subprocess.Popen(
            commands[way], stdin=source.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.read(1)
            yield process
        finally:
            source.kill()
            process.kill()


WAYS = ["down", "up", "both", "terminal"]


@pytest.mark.parametrize("way", WAYS)
def test_the_workspace_dies(stack: "Stack", way: str) -> None:
    """A line on stderr and the exit status of an ssh that failed."""
    with _flowing(stack.ssh(), way) as process:
        stack.sshd.kill()
        try:
            _, err = process.communicate(timeout=30)
        finally:
            stack.sshd.start()
    assert LOST.strip() in err
    assert process.returncode == 255


@pytest.mark.parametrize("copy", ["scp -O", "scp -s", "rsync"])
def test_the_workspace_dies_while_files_are_copied(
    stack: "Stack", tmp_path: Path, copy: str
) -> None:
    """The program says that it failed; some end their ssh before that can say why."""
    program, *flags = copy.split()
    (tmp_path / "blob").write_bytes(BLOB)
    *ssh, _, port, host = stack.ssh()
    command = [program, *flags, *ssh[1:], "-l", "2000", "-P", port]
    if program == "rsync":
        command = [program, "--bwlimit=200", "-e", " ".join([*ssh, "-p", port])]
    target = stack.sshd.folder / "copied"
    with _pipes(*command, str(tmp_path / "blob"), f"{host}:{target}") as process:
        arriving = stack.sshd.folder.glob
        wait_for(lambda: any(f.stat().st_size for f in arriving("*copied*")), "the first bytes")
        stack.sshd.kill()
        try:
            _, err = process.communicate(timeout=30)
        finally:
            stack.sshd.start()
            for left in arriving("*copied*"):
                left.unlink()
    assert process.returncode not in {0, None}
    assert LOST.strip() in err or b"lost connection" in err or b"onnection closed" in err


ENDS = """
import socket, sys
at = socket.socket(socket.AF_UNIX)
if sys.argv[1] == "listen":
    at.bind(sys.argv[2])
    at.listen()
    at = at.accept()[0]
else:
    at.connect(sys.argv[2])
at.send(b"x")
assert at.recv(1) == b"x"
print("open", flush=True)
print(at.recv(1))
"""


@pytest.mark.parametrize("way", ["-L", "-R"])
def test_the_workspace_dies_under_a_forward(stack: "Stack", tmp_path: Path, way: str) -> None:
    """The connection that was forwarded ends, at both its ends."""
    *options, host = stack.ssh()
    near, far = tmp_path / "near", tmp_path / "far"
    with contextlib.ExitStack() as ends:
        served = ends.enter_context(_pipes(sys.executable, "-c", ENDS, "listen", str(far)))
        wait_for(far.exists, "one end")
        ssh = ends.enter_context(_pipes(*options, way, f"{near}:{far}", "-N", host))
        wait_for(near.exists, "the other end")
        asking = ends.enter_context(_pipes(sys.executable, "-c", ENDS, "connect", str(near)))
        for end in (served, asking):
            assert end.stdout is not None
            assert end.stdout.readline() == b"open\n"
        stack.sshd.kill()
        try:
            assert [end.communicate(timeout=30)[0] for end in (served, asking)] == [b"b''\n"] * 2
        finally:
            ssh.kill()
            stack.sshd.start()


def _goes_on(stack: "Stack", pause: contextlib.AbstractContextManager[None]) -> None:
    """A transfer both ways that stands still in its middle arrives whole, and nothing is said."""
    source = stack.folder / "source"
    source.write_bytes(BLOB)
    with (
        source.open("rb") as stdin,
        subprocess.Popen(
            [*stack.ssh(), "cat"], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process,
    ):
        assert process.stdout is not None
        begin = process.stdout.read(1 << 20)
        with pause:
            time.sleep(2)
        rest, err = process.communicate(timeout=60)
    assert (process.returncode, begin + rest == BLOB, err) == (0, True, b"")


def test_the_workspace_stands_still_and_goes_on(stack: "Stack") -> None:
    """Its processes are stopped, as in a machine that hangs."""
    _goes_on(stack, stack.sshd.frozen())


@pytest.fixture
def far_away(stack: "Stack", tmp_path: Path) -> Iterator[Network]:
    """Alice's workspace is in a network of its own."""
    with network() as made:
        keys = (stack.hub.authority, stack.sshd.user_key)
        far = SSHD(tmp_path / "far", *keys, address=made.address, within=made.within)
        far.start()
        stack.hub.servers["alice"] = ServerOf(far, host=made.address)
        yield made
        far.kill()


def test_the_network_stalls_and_goes_on(stack: "Stack", far_away: Network) -> None:
    """No packet comes back for a while."""
    _goes_on(stack, far_away.cut())


@pytest.mark.parametrize("way", WAYS)
def test_the_network_is_gone(
    stack: "Stack",
    far_away: Network,
    new_gateway: "Callable[..., GatewayProcess]",
    way: str,
) -> None:
    """Nobody says anything any more: the gateway's keepalive finds out, and the person is told."""
    stack.gateway = new_gateway(program=("-c", IMPATIENT))
    assert stack.run("true").returncode == 0
    with _flowing(stack.ssh(), way) as process, far_away.cut():
        _, err = process.communicate(timeout=45)
    assert LOST.strip() in err
    assert process.returncode == 255
    stack.gateway.terminate()
