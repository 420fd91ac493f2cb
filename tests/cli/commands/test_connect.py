"""`connect` with the real ssh, through a real sshd in the place of the gateway."""

import os
import pty
import pwd
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli import door as door_module
from kworkspace.cli.state import hub_alias
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.cli.conftest import Result
    from tests.cli.stand_in_hub import Hub

SECONDS = 20.0
ME = pwd.getpwuid(os.getuid()).pw_name


@dataclass(frozen=True)
class Door:
    """A real sshd that lets in whoever runs the tests, by the key of `.ssh/id_ed25519`."""

    port: int
    host_key: str


@pytest.fixture
def door(
    hub: "Hub", home: Path, new_key: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Door]:
    """The sshd, the hub's answer about it, and a workspace that is ready."""
    folder = home / "sshd"
    folder.mkdir(mode=0o700)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)
    key = new_key(home / ".ssh" / "id_ed25519")
    host_key = new_key(folder / "host")
    (folder / "authorized").write_text(key)
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        "PrintMotd no\nPrintLastLog no\nLogLevel ERROR\n"
    )
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "config")],
        stdin=subprocess.DEVNULL,
        stderr=log,
    )
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.02)
    hub.users[ME] = [key]
    hub.door = {"host": "0.0.0.0", "port": port, "host_keys": [host_key]}
    hub.workspace("").status = "ready"
    monkeypatch.setenv("KWORKSPACE_API", hub.url)
    monkeypatch.setenv("KWORKSPACE_USER", ME)
    # ssh asks the account database, not HOME, for ~/.ssh: its defaults are not the test's.
    yield Door(port, host_key)
    process.terminate()
    process.wait(SECONDS)
    log.close()


Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def run(door: Door, program: str) -> Run:
    """Run `kworkspace connect`."""

    def run(*arguments: str, input: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [program, "connect", *arguments],
            input=input,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )

    return run


def test_a_command_its_words_and_its_exit_code(run: Run) -> None:
    done = run("--", "sh", "-c", 'printf "%s|" "$@"; exit 7', "x", "a b", "*", "it's", "--help")
    assert done.returncode == 7, done.stderr
    assert done.stdout == b"a b|*|it's|--help|"
    assert done.stderr == b""


def test_input_and_output_are_ssh_s(run: Run) -> None:
    content = bytes(range(256)) * 1000
    done = run("--", "cat", input=content)
    assert done.stdout == content


def test_json_leaves_stdout_to_the_command(run: Run) -> None:
    assert run("-o", "json", "--", "echo", "hello").stdout == b"hello\n"


def test_it_is_started_first(hub: "Hub", run: Run) -> None:
    hub.workspace("").status = "stopped"
    hub.start_events = [{"message": "Making the home"}]
    done = run("--", "echo", "hello")
    assert done.stdout == b"hello\n"
    assert done.stderr == b"Starting your workspace\nMaking the home\n"


def test_a_start_that_fails_is_no_connection(hub: "Hub", run: Run) -> None:
    hub.workspace("").status = "stopped"
    hub.start_fails = "No quota"
    done = run("--", "echo", "hello")
    assert (done.returncode, done.stdout) == (1, b"")


def test_a_named_key(home: Path, run: Run) -> None:
    key = home / ".ssh" / "id_ed25519"
    assert run("--ssh-key-path", str(key), "--", "true").returncode == 0
    assert run("--ssh-key-path", f"{key}.pub", "--", "true").returncode == 0


def test_a_key_of_an_agent_that_is_gone(
    hub: "Hub",
    agents_key: str,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
) -> None:
    hub.users[ME] = [agents_key]
    assert run("--", "true").returncode == 0
    monkeypatch.delenv("SSH_AUTH_SOCK")
    assert run("--", "true").returncode == 0  # by the default key; the token is still good
    assert hub.sign_ins() == 1


@pytest.fixture
def agents_key(
    door: Door, home: Path, new_key: Callable[..., str], agent: Callable[[Path, str], None]
) -> str:
    """A key of the agent alone that the sshd takes as well; its public line."""
    line = new_key(home / "in-agent")
    agent(home / "in-agent", "")
    authorized = home / "sshd" / "authorized"
    authorized.write_text(f"{authorized.read_text()}\n{line}\n")
    return line


def test_another_host_key_is_refused(
    hub: "Hub", home: Path, new_key: Callable[..., str], run: Run
) -> None:
    assert hub.door is not None
    hub.door["host_keys"] = [new_key(home / "another")]
    done = run("--", "true")
    assert done.returncode == 255
    assert b"HOST IDENTIFICATION HAS CHANGED" in done.stderr


def test_known_hosts_of_the_person_are_left_alone(home: Path, run: Run) -> None:
    assert run("--", "true").returncode == 0
    assert not (home / ".ssh" / "known_hosts").exists()
    (file,) = (home / ".local/state/kworkspace/known_hosts").iterdir()
    assert file.read_text().count("\n") == 1


def test_a_shell_on_a_terminal(door: Door, program: str) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "-c", "-w", program, "connect"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    os.write(leader, b"tty; echo $((40 + 2)); exit 3\n")
    seen = b""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and select.select([leader], [], [], SECONDS)[0]:
        try:
            seen += os.read(leader, 4096)
        except OSError:
            break  # the other end is closed
    os.close(leader)
    assert process.wait(SECONDS) == 3, seen
    assert b"/dev/pts/" in seen
    assert b"42" in seen


def test_t_gives_a_command_a_terminal(door: Door, program: str) -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(
        [program, "connect", "-t", "--", "tty"],
        stdin=follower,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    os.close(follower)
    os.close(leader)
    assert done.stdout.startswith(b"/dev/pts/")


@pytest.fixture
def greeter() -> Iterator[int]:
    """A service in the workspace; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"hello from inside")

        thread = threading.Thread(target=greet)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(SECONDS)


def test_forwards_alone(door: Door, greeter: int, program: str) -> None:
    port = free_port()
    process = subprocess.Popen(
        [program, "connect", "-N", "-f", f"{port}:127.0.0.1:{greeter}"], stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    said = process.stderr.readline().decode()
    assert said == f"Forwarding 127.0.0.1:{port} -> 127.0.0.1:{greeter}; Ctrl-C ends it.\n"
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), SECONDS) as connection:
                assert connection.recv(100) == b"hello from inside"
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SECONDS)


def test_a_port_that_is_taken_is_an_error(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("-f", f"{taken.getsockname()[1]}:80", "--", "true")
    assert done.returncode == 255
    assert b"Address already in use" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-f", "x"], "-f x: must be PORT"),
        (["-f", "80", "-f", "80:90"], "-f: port 80 is given twice"),
        (["-N"], "-N only forwards ports: give -f, and no command"),
        (["-N", "-f", "80", "--", "ls"], "-N only forwards ports"),
        (["gpu", "ls"], "Got unexpected extra argument (ls); put the command after --; see"),
        (["GPU"], "NAME: a workspace name has"),
    ],
)
def test_wrong_usage(
    arguments: list[str], line: str, kworkspace: "Callable[..., Result]", alice: Path
) -> None:
    result = kworkspace("connect", *arguments)
    assert result.code == 2
    assert line in result.err
    assert result.err.count("\n") == 1


def test_no_ssh(
    home: Path, alice: Path, monkeypatch: pytest.MonkeyPatch, kworkspace: "Callable[..., Result]"
) -> None:
    monkeypatch.setenv("PATH", str(home))
    result = kworkspace("connect")
    assert result.code == 1
    assert result.err.startswith("kworkspace: ssh is not installed: apt install openssh-client")


def test_a_gateway_that_is_not_up(
    hub: "Hub",
    alice: Path,
    monkeypatch: pytest.MonkeyPatch,
    kworkspace: "Callable[..., Result]",
) -> None:
    monkeypatch.setattr(door_module, "DOOR_SECONDS", 0.1)
    monkeypatch.setattr(door_module, "POLL_SECONDS", 0.05)
    hub.workspace("").status = "ready"
    result = kworkspace("connect")
    assert result.code == 1
    assert "waiting for the SSH gateway\n" in result.err
    assert result.err.endswith(
        "kworkspace: the hub's SSH gateway is not up; try again later, or ask its admin\n"
    )


def test_the_login_name_carries_the_workspace(
    hub: "Hub",
    alice: Path,
    monkeypatch: pytest.MonkeyPatch,
    kworkspace: "Callable[..., Result]",
) -> None:
    hub.workspace("gpu").status = "ready"
    hub.door = {"host": "ssh.example.org", "port": 22, "host_keys": ["ssh-ed25519 AAAA"]}
    executed: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, arguments: executed.append(arguments))
    assert kworkspace("connect", "gpu", "--", "a", "--", "b").code == 0
    (arguments,) = executed
    assert arguments[arguments.index("-l") + 1] == "alice+gpu"
    assert f'IdentityFile="{alice}"' in arguments
    assert "HostName=ssh.example.org" in arguments
    assert arguments[-2:] == [hub_alias(hub.url), "a -- b"]


@pytest.mark.parametrize("host", ["corp-jump", "bob@ssh.example.org", "a\0b.example.org"])
def test_a_door_that_a_hub_may_not_name(
    host: str, hub: "Hub", alice: Path, kworkspace: "Callable[..., Result]"
) -> None:
    hub.workspace("").status = "ready"
    hub.door = {"host": host, "port": 22, "host_keys": ["ssh-ed25519 AAAA"]}
    result = kworkspace("connect", "--", "true")
    assert result.code == 5
    assert result.err.startswith(f"kworkspace: the hub at {hub.url} says that its SSH gateway is")
    assert result.err.count("\n") == 1
