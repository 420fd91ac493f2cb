"""`kworkspace proxy` with a real hub, gateway and ssh: who gets in, and what ends it."""

import getpass
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.echo import COMMAND, answers, open_echo

MakeHub = Callable[..., Any]
PROGRAM = str(Path(sys.executable).with_name("kworkspace"))


@pytest.fixture
def hub(make_hub: MakeHub) -> Any:
    """A hub that runs, with its gateway."""
    hub = make_hub(gateway=True)
    hub.start()
    return hub


def environment(hub: Any) -> dict[str, str]:
    environ = {name: text for name, text in os.environ.items() if name != "SSH_AUTH_SOCK"}
    return environ | {
        "HOME": str(hub.directory),
        "KWORKSPACE_API": hub.url,
        "KWORKSPACE_USER": hub.user,
        "KWORKSPACE_SSH_KEY_PATH": str(hub.key),
        "XDG_STATE_HOME": str(hub.directory / "state"),
    }


def kworkspace(hub: Any, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROGRAM, *words],
        env=environment(hub),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def ssh(hub: Any, *words: str) -> list[str]:
    """Return a command line of ssh by tunnel; the host key is whatever comes first."""
    options = ["BatchMode=yes", "StrictHostKeyChecking=accept-new", "IdentitiesOnly=yes"]
    options += [f"UserKnownHostsFile={hub.directory / 'known'}", f"ProxyCommand={PROGRAM} proxy"]
    where = ["-F", "none", "-i", str(hub.key), f"{getpass.getuser()}@workspace"]
    return ["ssh", *(f"-o{option}" for option in options), *where, *words]


def test_a_first_time_signs_in_and_starts_it(hub: Any) -> None:
    """Nothing is known beforehand; what is learned is kept, and the host key is the hub's word."""
    done = subprocess.run(
        ssh(hub, "cat; exit 5"),
        env=environment(hub),
        input=b"x\0\n" * 100_000,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (5, b"x\0\n" * 100_000)
    assert b"Starting" in done.stderr
    [pinned] = (hub.directory / "state/kworkspace/known_hosts").iterdir()
    assert pinned.read_text().split()[1:] == hub.server()["host_key"].split()[:2]  # by its key


def test_it_outlives_its_hub(hub: Any) -> None:
    session = open_echo(ssh(hub, COMMAND), environment(hub))
    hub.kill()
    assert answers(session, "nobody home")
    hub.start()
    assert answers(session, "home again")
    session.communicate(timeout=30)
    assert session.returncode == 0


@pytest.mark.parametrize("end", ["logout", "stop"])
def test_what_ends_it_is_said(hub: Any, end: str) -> None:
    session = open_echo(ssh(hub, COMMAND), environment(hub))
    assert kworkspace(hub, end).returncode == 0
    _, told = session.communicate(timeout=30)
    assert session.returncode == 255
    assert {"logout": "has been revoked", "stop": "being stopped"}[end] in told


def test_who_does_not_get_in(hub: Any) -> None:
    """Another's workspace, one that is not there, and a token that does not count any more."""
    assert kworkspace(hub, "login").returncode == 0
    hub.api("POST", "/users/bob")
    for words, code, said in (
        (["proxy", "bob/"], 4, "bob"),
        (["proxy", "gpu"], 4, "has no workspace gpu"),
        (["proxy", "a/b/c"], 2, "USER"),
    ):
        done = kworkspace(hub, *words)
        assert (done.returncode, done.stdout) == (code, ""), done
        assert said in done.stderr
        assert done.stderr.startswith("kworkspace: ")
    session = open_echo(ssh(hub, COMMAND), environment(hub))
    assert session.communicate(timeout=30)[0] == ""
    [token] = (hub.directory / "state/kworkspace/tokens").iterdir()
    token.write_text(token.read_text().replace("kws_", "kws_x"))
    assert subprocess.run(ssh(hub, "true"), env=environment(hub), check=False).returncode == 0
    assert "kws_x" not in token.read_text(), "a new one"


def test_where_there_are_none(make_hub: MakeHub) -> None:
    hub = make_hub(gateway=True, extra="c.Hub.tunnel = False")
    hub.start()
    done = kworkspace(hub, "proxy")
    assert done.returncode == 4
    assert "has no tunnels now" in done.stderr


def test_ssh_config_leads_by_tunnel(hub: Any) -> None:
    """Written once, remembered, with the workspace's host key and no other; and taken away."""
    folder = hub.directory / ".ssh"
    folder.mkdir(mode=0o700)
    config = folder / "config"
    none = kworkspace(hub, "ssh-config", "--tunnel")
    assert (none.returncode, none.stdout) == (1, "")
    assert "no workspace has run yet" in none.stderr
    assert kworkspace(hub, "start").returncode == 0
    done = kworkspace(hub, "ssh-config", "--tunnel")
    assert done.stdout.endswith("Now: ssh kworkspace, ssh kworkspace-tunnel\n"), done
    assert kworkspace(hub, "ssh-config").stdout.startswith("It is all there already")
    command = ["ssh", "-F", str(config), "-oBatchMode=yes", "kworkspace-tunnel", "echo in"]
    into = subprocess.run(
        command, env=environment(hub), capture_output=True, text=True, timeout=60, check=False
    )
    assert (into.returncode, into.stdout, into.stderr) == (0, "in\n", "")
    other_file = hub.directory / "other.toml"
    other_file.touch()
    kworkspace(hub, "ssh-config", "--config", str(other_file))
    assert f" --config {other_file} " in config.read_text()
    assert kworkspace(hub, "ssh-config").returncode == 0
    assert kworkspace(hub, "stop").returncode == 0
    assert kworkspace(hub, "ssh-config").stdout.startswith("It is all there already")
    [pinned] = (
        path
        for path in hub.directory.rglob("known_hosts/*")
        if "@cert-authority *" in path.read_text()
    )
    other = hub.key.with_suffix(".pub").read_text().split()[1]
    nobody = hub.directory / "nobody"
    nobody.write_text(f"* ssh-ed25519 {other}\n@cert-authority * ssh-ed25519 {other}\n")
    misled = [*command[:1], f"-oUserKnownHostsFile={nobody}", *command[1:]]
    refused = subprocess.run(misled, env=environment(hub), capture_output=True, check=False)
    assert refused.returncode == 255
    pinned.unlink()
    assert subprocess.run(command, env=environment(hub), check=False).returncode == 0
    assert kworkspace(hub, "ssh-config", "--no-tunnel").stdout.endswith("Now: ssh kworkspace\n")
    assert b"tunnel" not in config.read_bytes()
