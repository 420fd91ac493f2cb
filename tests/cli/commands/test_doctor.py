"""`doctor` finds what is wrong, whatever else is: with a real agent, gateway and certificates."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli.checks import computer
from kworkspace.cli.checks.outcome import bounded, ok
from kworkspace.cli.client.errors import NotFound
from kworkspace.cli.client.reports import CheckReport
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.cli.conftest import Authority, Result, Serve
    from tests.cli.stand_in_hub import Hub

    Run = Callable[..., Result]
    Look = Callable[..., dict[str, CheckReport]]

KEY = "key id_ed25519"


@pytest.fixture
def look(kworkspace: "Run") -> "Look":
    """Run it; returns the checks by name, and compares the exit code with them."""

    def look(*arguments: str) -> dict[str, CheckReport]:
        result = kworkspace("doctor", "-o", "json", *arguments)
        shown = json.loads(result.out)
        checks = [CheckReport(**check) for check in shown["checks"]]
        bad = any(check.state == "failed" for check in checks)
        assert (result.code, shown["ok"]) == (int(bad), not bad)
        assert all(check.fix or check.state != "warning" for check in checks)
        return {check.name: check for check in checks}

    return look


def test_nothing_is_known(look: "Look") -> None:
    found = look()
    assert found["settings"].state == "failed"
    assert found["settings"].text.startswith("which hub? Give its URL with --api")
    assert found["hub"].state == "skipped"
    assert found["ssh"].state == "ok"
    assert found["key"].fix.startswith("make one: ssh-keygen -t ed25519")
    assert found["~/.ssh/config"].state == "ok"


def test_the_picture(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    result = kworkspace("doctor")
    assert result.code == 1
    lines = result.out.splitlines()
    assert lines[0] == f"ok       settings: alice at {hub.url}"
    at = lines.index("failed   gateway: the hub's SSH gateway is not up")
    assert lines[at + 1] == "         To do: ask the hub's admin"
    assert lines[-1] == "1 failed"


def test_the_hub_is_away(alice: Path, look: "Look") -> None:
    found = look("--api", "http://127.0.0.1:1")
    assert found["address"].state == "failed"
    assert "Connection refused" in found["address"].text
    assert found["sign-in"].state == "skipped"
    assert look("--api", "http://nowhere.invalid")["address"].text == (
        "no address is known for nowhere.invalid (the hub)"
    )


def test_a_proxy_is_named_without_its_password(
    alice: Path, look: "Look", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@127.0.0.1:1")
    found = look("--api", "http://hub.example.org")
    assert found["address"].state == "failed"
    assert "the proxy of the environment" in found["address"].text
    assert "secret" not in json.dumps([check.text + check.fix for check in found.values()])


@pytest.mark.parametrize(("offset", "state"), [(0.0, "ok"), (-3600.0, "warning")])
def test_the_clock_and_the_version(
    offset: float, state: str, hub: "Hub", alice: Path, look: "Look"
) -> None:
    hub.clock_offset = offset
    hub.version = "0.1.9" if state == "ok" else "7.0.0"
    found = look()
    assert (found["clock"].state, found["hub"].state) == (state, state)
    if state == "warning":
        assert found["clock"].fix
        assert "version 7.0.0; this command is 0." in found["hub"].text
    hub.tells_time = False
    assert look()["clock"].state == "ok"


def test_no_token_is_shown(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    out = kworkspace("doctor").out + kworkspace("doctor", "-o", "json").out
    assert "signed in with ~/.ssh/id_ed25519" in out
    assert len(hub.tokens) == 1
    assert not any(token in out for token in hub.tokens)


def test_a_hub_that_does_not_know_the_key(hub: "Hub", alice: Path, look: "Look") -> None:
    hub.users["alice"] = []
    found = look()
    assert found["sign-in"].state == "failed"
    assert "the hub does not accept ~/.ssh/id_ed25519 for user alice" in found["sign-in"].text


@pytest.mark.parametrize(
    ("days", "trusted", "state", "text"),
    [
        (60.0, True, "ok", "good for 60 days"),
        (3.0, True, "warning", "good for 3 days"),
        (-0.5, True, "failed", "certificate has expired"),
        (60.0, False, "failed", "unable to get local issuer"),
    ],
)
def test_certificates(
    *,
    days: float,
    trusted: bool,
    state: str,
    text: str,
    serve: "Serve",
    authority: "Authority",
    home: Path,
    alice: Path,
    look: "Look",
) -> None:
    hub = serve(authority.context(ends=days))
    if trusted:
        config = home / ".config/kworkspace/config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(f"ca_file = '{authority.file}'\n")
    found = look("--api", hub.url)
    assert found["TLS"].state == state
    assert text in found["TLS"].text
    assert found["hub"].state == ("failed" if state == "failed" else "ok")


def test_a_hub_that_is_not_encrypted(alice: Path) -> None:
    from kworkspace.cli.checks.hub import tls  # noqa: PLC0415
    from kworkspace.cli.settings import Flags, load  # noqa: PLC0415

    (check,) = tls(load(Flags(api="http://hub.example.org")))
    assert (check.state, check.fix) == ("warning", "use the hub's https URL")


@pytest.fixture
def sshd(home: Path, new_key: Callable[..., str], hub: "Hub") -> str:
    """A real sshd in the gateway's place; returns the public half of its host key."""
    folder = home / "sshd"
    folder.mkdir(mode=0o700)
    host_key = new_key(folder / "host")
    port = free_port()
    (folder / "config").write_text(f"HostKey {folder}/host\nStrictModes no\nUsePAM no\n")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)
    hub.door = {"host": "127.0.0.1", "port": port, "host_keys": [host_key]}
    return f"{folder}/config"


def serve_ssh(config: str, port: int, times: int) -> threading.Thread:
    """Answer that many connections with a real sshd; the first one only opens the port."""
    listener = socket.create_server(("127.0.0.1", port))

    def answer() -> None:
        with listener:
            for _ in range(times):
                connection, _address = listener.accept()
                with connection:
                    command = ["/usr/sbin/sshd", "-i", "-e", "-f", config]
                    handle = connection.fileno()
                    subprocess.run(
                        command,
                        stdin=handle,
                        stdout=handle,
                        stderr=subprocess.DEVNULL,
                        check=False,
                        timeout=20,
                    )

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


@pytest.mark.parametrize("right", [True, False])
def test_the_gateways_host_key(
    *,
    right: bool,
    sshd: str,
    hub: "Hub",
    home: Path,
    new_key: Callable[..., str],
    alice: Path,
    look: "Look",
) -> None:
    assert hub.door is not None
    if not right:
        hub.door["host_keys"] = [new_key(home / "other")]
    thread = serve_ssh(sshd, hub.door["port"], 2)
    found = look()
    thread.join(20)
    assert found["gateway"].state == ("ok" if right else "failed")
    assert ("somebody may stand in between" in found["gateway"].text) != right


def test_a_gateway_that_is_not_reached(hub: "Hub", alice: Path, look: "Look") -> None:
    hub.door = {"host": "127.0.0.1", "port": 1, "host_keys": ["ssh-ed25519 AAAA"]}
    found = look()
    assert "Connection refused" in found["gateway"].text
    assert found["sign-in"].state == "ok"


def test_the_block(hub: "Hub", alice: Path, home: Path, kworkspace: "Run", look: "Look") -> None:
    hub.door = {"host": "127.0.0.1", "port": 1, "host_keys": ["ssh-ed25519 AAAA"]}
    file = home / ".ssh/config"
    assert "it has no block for this hub" in look()["~/.ssh/config"].text
    kworkspace("ssh-config")
    assert look()["~/.ssh/config"].text == "our block leads to this hub"
    hub.workspace("gpu")
    assert look()["~/.ssh/config"].text == "our block is not up to date"
    file.write_text(f"Host *\n{file.read_text()}")
    assert "stands before our block" in look()["~/.ssh/config"].text
    file.write_text("# >>> kworkspace http://x >>>\n")
    assert look()["~/.ssh/config"].state == "failed"
    file.write_text("# mine\n")
    file.chmod(0o666)
    assert "ssh refuses to run" in kworkspace("doctor").out


def states(chosen: Path | None = None) -> dict[str, tuple[str, str]]:
    """What is found about the keys."""
    return {check.name: (check.state, check.text) for check in computer.keys(chosen)}


def test_keys(home: Path, new_key: Callable[..., str], agent: Callable[[Path, str], None]) -> None:
    assert states()["key"][0] == "failed"
    folder = home / ".ssh"
    new_key(folder / "id_ed25519", passphrase="word")
    new_key(folder / "id_ecdsa", "ecdsa")
    (folder / "id_ecdsa").chmod(0o644)
    (folder / "id_rsa").write_text("no key")
    (folder / "id_rsa").chmod(0o600)
    found = states()
    assert found["key id_ed25519"][0] == "warning"
    assert "it has a passphrase" in found["key id_ed25519"][1]
    assert found["key id_ecdsa"] == ("failed", "others can read it, so ssh does not use it")
    assert found["key id_rsa"] == ("failed", "ssh-keygen does not take it for a key")
    agent(folder / "id_ed25519", "word")
    assert states()["key id_ed25519"] == ("ok", "ED25519, in ssh-agent")
    lone = home / "lone.pub"
    lone.write_text((folder / "id_ed25519.pub").read_text())
    assert states(lone)["key lone.pub"] == ("ok", "its private half is in ssh-agent")
    lone.write_text((folder / "id_ecdsa.pub").read_text())
    assert states(lone)["key lone.pub"][0] == "failed"
    for path in folder.iterdir():
        path.unlink()
    assert states() == {"key": ("ok", "those of ssh-agent")}
    assert [check.text for check in computer.agent()] == ["it has 1 key"]


def test_a_weak_key(home: Path) -> None:
    key = home / "weak"
    command = ["ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", str(key)]
    subprocess.run(command, check=True)
    assert states(key)["key weak"] == ("failed", "RSA of 1024 bits is too weak to be accepted")


def test_an_agent_that_is_gone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "nothing"))
    (check,) = computer.agent()
    assert (check.state, "does not answer" in check.text) == ("warning", True)


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("OpenSSH_10.0p2, OpenSSL", "ok"),
        ("OpenSSH_8.2p1 Ubuntu", "ok"),
        ("OpenSSH_8.1p1, LibreSSL", "failed"),
        ("Dropbear v2022.83", "warning"),
    ],
)
def test_other_programs(
    version: str, state: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home / "bin"
    folder.mkdir()
    for name in ("ssh", "ssh-keygen", "ssh-add"):
        (folder / name).write_text(f"#!/bin/sh\necho '{version}' >&2\n")
        (folder / name).chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    assert [check.state for check in computer.programs()] == [state]


def test_programs_that_are_missing(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PATH", str(home))
    (check,) = bounded("ssh", computer.programs)
    assert check.state == "failed"
    assert check.text.startswith("ssh-keygen is not installed: apt install")


def test_own_files_that_others_can_read(home: Path) -> None:
    folder = home / "state"
    (folder / "tokens").mkdir(parents=True, mode=0o700)
    assert [check.state for check in computer.state_folder(folder)] == ["ok"]
    (folder / "tokens" / "x").touch(mode=0o644)
    (check,) = computer.state_folder(folder)
    assert (check.state, check.fix.startswith("chmod -R go-rwx ")) == ("warning", True)


def test_a_check_that_hangs_or_fails_is_one_line() -> None:
    gone_on = threading.Event()

    def hang() -> list[CheckReport]:
        gone_on.wait(20)
        return []

    def fail() -> list[CheckReport]:
        raise NotFound("it is gone")

    def break_off() -> list[CheckReport]:
        raise PermissionError(13, "Permission denied", "/x")

    (check,) = bounded("x", hang, seconds=0.05)
    gone_on.set()
    assert (check.state, check.text) == ("failed", "no outcome within 0 s")
    assert [check.text for check in bounded("x", fail)] == ["it is gone"]
    assert [check.text for check in bounded("x", break_off)] == ["/x: Permission denied"]
    assert bounded("x", lambda: [ok("x", "fine")]) == [ok("x", "fine")]
