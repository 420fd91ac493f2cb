"""The whole hub as a process: one on a database, its command beside it, an end that is clean."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROGRAM = str(Path(sys.executable).with_name("kworkspace-hub"))


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [PROGRAM, *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_one_hub_on_a_database(make_hub: Callable[..., Any]) -> None:
    """A second one is told so, and the token command works with the first and without it."""
    hub = make_hub()
    hub.start()
    file = str(hub.directory / "hub_config.py")
    code, _, stderr = run("-f", file, "--Hub.bind_url=http://127.0.0.1:0")
    [line] = stderr.splitlines()
    assert code == 1
    assert line.startswith(f"kworkspace-hub: Another hub runs on {hub.data_dir}/hub.sqlite: end it")
    code, token, stderr = run("token", "-f", file, "alice")
    assert (code, stderr) == (0, "")
    code, _, stderr = run("token", "-f", file, "nobody")
    assert code == 1
    assert stderr.startswith("kworkspace-hub: User nobody does not exist")
    request = urllib.request.Request(
        f"{hub.url}/hub/api/user", headers={"Authorization": f"token {token.strip()}"}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        assert b'"name":"alice"' in response.read()
    assert token.strip() not in hub.log.read_text()
    assert hub.terminate() == 0
    code, token, stderr = run("token", "-f", file, "alice")
    assert (code, token[:4]) == (0, "kws_"), stderr


HELD = """
async def hold(spawner, workspace):
    import asyncio
    await asyncio.Event().wait()
c.Spawner.pre_spawn_hook = hold
c.Hub.slow_spawn_timeout = 0.1
"""


def test_end_with_open_streams_is_clean(make_hub: Callable[..., Any]) -> None:
    """It has ten seconds; who listens, and a start under way, are no reason to take them."""
    hub = make_hub(extra=HELD)
    hub.start()
    assert hub.api("POST", "/users/alice/server")[0] == 202
    token = (hub.data_dir / "admin_token").read_text().strip()
    request = urllib.request.Request(
        f"{hub.url}/hub/api/users/alice/server/progress",
        headers={"Authorization": f"token {token}"},
    )
    with urllib.request.urlopen(request, timeout=10) as stream:
        assert b"Starting your workspace" in stream.readline()
        began = time.monotonic()
        assert hub.terminate() == 0
        assert time.monotonic() - began < 5
    log = hub.log.read_text()
    assert "Traceback" not in log, log
    assert " ERROR " not in log, log


def test_more_files_than_the_usual_limit(make_hub: Callable[..., Any]) -> None:
    hub = make_hub()
    hub.start()
    assert hub.process is not None
    files = Path(f"/proc/{hub.process.pid}/limits").read_text()
    [line] = [line for line in files.splitlines() if line.startswith("Max open files")]
    assert int(line.split()[3]) > 1024


@pytest.mark.parametrize("port", ["port", "ssh_port"])
def test_port_in_use(make_hub: Callable[..., Any], port: str) -> None:
    """Known at start, and told in one line."""
    hub = make_hub(gateway=True)
    with socket.create_server(("127.0.0.1", getattr(hub, port))):
        code, _, stderr = run("-f", str(hub.directory / "hub_config.py"))
    assert code == 1
    who, url = {
        "port": ("The hub", hub.url),
        "ssh_port": ("The gateway", f"ssh://127.0.0.1:{hub.ssh_port}"),
    }[port]
    assert stderr.splitlines()[-1].startswith(f"kworkspace-hub: {who} cannot listen on {url} (")
    assert "Traceback" not in stderr
