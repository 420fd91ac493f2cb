"""The demo as a person runs it: a real hub and gateway in a directory, real ssh, Ctrl-C."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from kworkspace.hub.demo import __main__ as main
from kworkspace.hub.files import HubLock
from tests.ports import free_port

SECONDS = 60


@dataclass
class Demo:
    """A demo that may run.

    Attributes:
        directory: of the demo.
        environ: of every process here.
        flags: what is given on the command line.
    """

    directory: Path
    environ: dict[str, str]
    flags: list[str]
    process: subprocess.Popen[str] | None = None
    told: str = ""

    def command(self) -> list[str]:
        """The command line."""
        where = ["--data-dir", str(self.directory)]
        return [sys.executable, "-m", "kworkspace.hub.demo", *where, *self.flags]

    def start(self) -> None:
        """Run it until it has told how to go on."""
        self.process = subprocess.Popen(
            self.command(), stdout=subprocess.PIPE, text=True, env=self.environ
        )
        output = self.process.stdout
        assert output is not None
        self.told = self._read_to(output, "hub_config.py")

    def _read_to(self, output: IO[str], last: str) -> str:
        lines = []
        for line in output:
            lines.append(line)
            if last in line:
                return "".join(lines)
        raise AssertionError("".join(lines))

    def stop(self) -> int:
        """Press Ctrl-C and return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=SECONDS)
        code, self.process = self.process.returncode, None
        return code

    def once(self) -> subprocess.CompletedProcess[str]:
        """Run it, where it is expected to end by itself."""
        return subprocess.run(
            self.command(),
            capture_output=True,
            text=True,
            env=self.environ,
            timeout=SECONDS,
            check=False,
        )

    def shell(self, command: str) -> str:
        """Run a line of those that it told, in a shell."""
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            capture_output=True,
            text=True,
            env=self.environ,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def workspaces(self) -> list[int]:
        """The processes that run workspaces below the directory."""
        listing = subprocess.run(
            ["ps", "-eo", "pid=,args=", "-ww"], capture_output=True, text=True, check=True
        ).stdout
        return [
            int(line.split()[0])
            for line in listing.splitlines()
            if "kworkspace.spawners.local" in line and str(self.directory) in line
        ]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A demo in a folder with a space and a percent sign, for a person without a key."""
    home = tmp_path / "home"
    home.mkdir()
    environ = {name: value for name, value in os.environ.items() if name != "SSH_AUTH_SOCK"}
    flags = ["--port", str(free_port()), "--ssh-port", str(free_port())]
    demo = Demo(tmp_path / "my 100% demo", environ | {"HOME": str(home)}, flags)
    yield demo
    if demo.process is not None:
        demo.stop()
    for workspace in demo.workspaces():
        os.kill(workspace, signal.SIGKILL)
    assert list(home.iterdir()) == [], "something was written outside the directory"


def test_commands_that_it_tells_work(demo: Demo) -> None:
    demo.start()
    export, connect, ssh = (
        re.findall(rf"^    ({start}.*?)(?:   #.*)?$", demo.told, re.MULTILINE)
        for start in ("export", "kworkspace connect", "ssh -F")
    )
    environment = "\n".join(export)
    assert demo.shell(f"{ssh[0]} 'echo tomorrow > note'") == ""
    assert demo.shell(f"{environment}\n{connect[0]} -- cat note") == "tomorrow\n"
    workspaces = demo.workspaces()
    assert len(workspaces) == 1
    assert demo.stop() == 0
    demo.start()
    assert demo.shell(f"{ssh[0]} cat note") == "tomorrow\n"
    assert demo.workspaces() == workspaces
    modes = {file.name: file.stat().st_mode & 0o077 for file in demo.directory.iterdir()}
    secret = ("hub_config.py", "cli.toml", "ssh_config", "id_ed25519", "admin_token")
    assert {name: modes[name] for name in secret} == dict.fromkeys(secret, 0)
    assert demo.directory.stat().st_mode & 0o777 == 0o700


def test_changed_configuration_is_kept(demo: Demo) -> None:
    demo.start()
    assert demo.stop() == 0
    config = demo.directory / "hub_config.py"
    port = free_port()
    text = re.sub(r"http://127.0.0.1:\d+", f"http://127.0.0.1:{port}", config.read_text())
    config.write_text(text)
    del demo.flags[:2]
    demo.start()
    assert config.read_text() == text
    assert f"http://127.0.0.1:{port}" in demo.told
    assert f":{port}" in (demo.directory / "cli.toml").read_text()
    assert demo.stop() == 0
    config.write_text(text + "c.Hub.bind_ulr = 'x'\n")
    done = demo.once()
    assert done.returncode == 1
    assert "bind_ulr" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("flag", ["--port", "--ssh-port"])
def test_port_in_use(demo: Demo, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        demo.flags += [flag, str(listener.getsockname()[1])]
        done = demo.once()
    assert done.returncode == 1
    assert re.fullmatch(rf"demo: port \d+ of 127.0.0.1 is in use[^\n]* {flag}[^\n]*\n", done.stderr)
    assert not demo.directory.exists()


def test_directory_that_cannot_be_made(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    demo.directory = tmp_path / "file" / "demo"
    done = demo.once()
    assert done.returncode == 1
    assert (
        done.stderr
        == f"demo: {demo.directory}: Not a directory; name another folder with --data-dir\n"
    )


def test_directory_that_ssh_could_not_read(demo: Demo, tmp_path: Path) -> None:
    demo.directory = tmp_path / "a\nb"
    done = demo.once()
    assert done.returncode == 1
    assert done.stderr.startswith("demo: --data-dir: ssh cannot read")


def test_account_whose_name_does_not_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, account: Callable[[str], None]
) -> None:
    account("DOMAIN\\alice")
    with pytest.raises(SystemExit, match=r"^demo: your account's name, .* must not contain '\\'$"):
        main.main(["--data-dir", str(tmp_path / "demo")])
    assert not (tmp_path / "demo").exists()


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the name of the account that runs this."""

    class Entry:
        pw_name = ""

    def set_name(name: str) -> None:
        Entry.pw_name = name
        monkeypatch.setattr("pwd.getpwuid", lambda _uid: Entry)

    return set_name


def test_second_demo_in_the_same_directory_touches_nothing(demo: Demo) -> None:
    """What the first one told people to use goes on working."""
    demo.directory.mkdir()
    lock = HubLock(demo.directory / "hub.sqlite.lock")
    assert lock.acquire()
    done = demo.once()
    assert done.returncode == 1
    assert done.stderr.startswith(f"demo: a demo runs in {demo.directory} already: use that one")
    assert [path.name for path in demo.directory.iterdir()] == ["hub.sqlite.lock"]
    lock.release()
