"""Two gateways on one hub: what is counted is counted together; a command reaches its session."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import RealHub, wait_until
from tests.ports import free_port

MakeHub = Callable[..., RealHub]
LIMITS = "c.Hub.max_sessions_per_user = 2\nc.Hub.session_idle_timeout = 3"


@pytest.fixture
def doors(make_hub: MakeHub) -> Iterator[tuple[list[str], list[str]]]:
    """Return how ssh is called at the one that the hub runs, and at another one."""
    hub = make_hub(gateway=True, extra=LIMITS)
    hub.start()
    first = hub.ssh()
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "KWORKSPACE_API_URL": f"{hub.url}/hub/api",
        "KWORKSPACE_API_TOKEN_FILE": str(hub.data_dir / "services" / "gateway" / "token"),
        "KWORKSPACE_GATEWAY_HOST_KEY": str(hub.data_dir / "gateway_host_key"),
        "KWORKSPACE_GATEWAY_LISTEN": f"127.0.0.1:{port}",
    }
    log = hub.directory / "second.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kworkspace.gateway"],
            env=environment,
            stdout=output,
            stderr=output,
        )
    wait_until(lambda: "Listening" in log.read_text(), "the second gateway")
    known = hub.directory / "known_hosts"
    known.write_text(known.read_text() + known.read_text().replace(str(hub.ssh_port), str(port)))
    second = [str(port) if word == str(hub.ssh_port) else word for word in first]
    yield first, second
    process.terminate()
    assert process.wait(20) == 0


def test_limits_and_commands(doors: tuple[list[str], list[str]]) -> None:
    """The third connection is one too many at either; the idle one is ended, and not the other."""
    first, second = doors
    pipe = subprocess.PIPE
    commands = ([*first, "while echo busy; do sleep 0.2; done"], [*second, "echo idle; cat"])
    busy, idle = (subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe) for line in commands)
    with busy, idle:
        for process in (busy, idle):
            assert process.stdout is not None
            assert process.stdout.readline() in {b"busy\n", b"idle\n"}
        for door in (first, second):
            third = subprocess.run([*door, "true"], capture_output=True, timeout=30, check=False)
            assert third.returncode == 255
            assert b"too many connections" in third.stderr
        assert idle.wait(60) == 255  # its input is still open
        assert idle.stderr is not None
        assert b"Nothing was typed or printed for too long" in idle.stderr.read()
        assert busy.poll() is None
        again = subprocess.run([*second, "echo in"], capture_output=True, timeout=30, check=True)
        assert again.stdout == b"in\n"
        busy.kill()
        busy.communicate()
