"""The process: what it says when it cannot start, and what it leaves behind when it ends."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack


def _run(**flags: str) -> subprocess.CompletedProcess[str]:
    words = [word for name, value in flags.items() for word in (f"--{name}", value)]
    return subprocess.run(
        [sys.executable, "-m", "kworkspace.gateway", *(w.replace("_", "-", 1) for w in words)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )


@pytest.fixture
def flags(tmp_path: Path) -> dict[str, str]:
    """Flags with which it would start."""
    folder = tmp_path.parent / "app"
    folder.mkdir(exist_ok=True)
    (folder / "token").write_text("x")
    return {
        "listen": "127.0.0.1:0",
        "host-key": str(folder / "key"),
        "api-url": "http://127.0.0.1:1",
        "token-file": str(folder / "token"),
    }


def test_port_in_use(flags: dict[str, str]) -> None:
    """One line, exit status 1, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = _run(**{**flags, "listen": f"127.0.0.1:{port}"})
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert f"Cannot listen on 127.0.0.1 port {port}" in line
    assert "--listen" in line


def test_workers_that_cannot_start(flags: dict[str, str]) -> None:
    """They say why, and are not tried again."""
    ended = _run(**{**flags, "token-file": "/missing"}, workers="2")
    assert ended.returncode == 1
    assert "The token file /missing cannot be read" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("flag", "said"), [("token-file", "No such file"), ("host-key", "")])
def test_unreadable_files(flags: dict[str, str], flag: str, said: str) -> None:
    """Which file, why, and what to do."""
    path = Path(flags["token-file"]).parent / "missing"
    if flag == "host-key":
        path = path.with_name("broken")
        path.write_text("no key")
    ended = _run(**{**flags, flag: str(path)})
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert str(path) in line
    assert said in line
    assert f"--{flag}" in line


def test_token_does_not_stay_in_the_environment(flags: dict[str, str]) -> None:
    """It is read from the file; what the hub sets beside it for other services is taken out."""
    names = {"KWORKSPACE_API_TOKEN", "JUPYTERHUB_API_TOKEN"}
    program = (
        "import os, sys; from kworkspace.gateway.__main__ import main; status = main(sys.argv[1:]);"
        "print(status, sorted(name for name in os.environ if 'TOKEN' in name))"
    )
    words = [word for name, value in flags.items() for word in (f"--{name}", value)]
    ended = subprocess.run(
        [sys.executable, "-c", program, *words, "--token-file", "/missing"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={"PATH": os.environ["PATH"], **dict.fromkeys(names, "secret")},
    )
    assert ended.stdout == "1 []\n", ended.stderr


def test_nothing_is_left_of_ended_connections(stack: "Stack") -> None:
    """File descriptors, before and after: sessions, refusals, and strangers who hang up."""

    def descriptors() -> int:
        return len(stack.gateway.descriptors())

    assert stack.run("true").returncode == 0
    stack.wait_for(lambda: not stack.hub.sessions, "end of the sessions")
    before = descriptors()
    for number in range(5):
        assert stack.run(f"exit {number}").returncode == number
        assert stack.run("true", key="mallory").returncode == 255
        with socket.create_connection(("127.0.0.1", stack.gateway.port)) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        killed = stack.open("cat /dev/zero")
        killed.read_until(out=b"\0")
        killed.kill()
    stack.wait_for(lambda: descriptors() <= before, f"return to {before} file descriptors")
    stack.wait_for(lambda: not stack.hub.sessions, "end of the sessions")


def test_no_secret_and_no_escape_in_the_log(stack: "Stack") -> None:
    """Commands, environment and tokens are not written down; names are, harmlessly."""
    stack.run("-o", "SetEnv=LC_SECRET=in-the-environment", "echo in-the-command")
    stack.run("true", user="ali\x1b[31mce")
    log = stack.gateway.log.read_text()
    assert "in-the-environment" not in log
    assert "in-the-command" not in log
    assert stack.hub.token not in log
    assert "\x1b" not in log
