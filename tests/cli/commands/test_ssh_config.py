"""The block in ~/.ssh/config: written once, removed without a trace, and led by to a real hub."""

import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.on_terminal import on_terminal

if TYPE_CHECKING:
    from tests.cli.conftest import Result, Serve
    from tests.cli.stand_in_hub import Hub

    Run = Callable[..., Result]

DOOR = {"host": "ssh.example.org", "port": 2222, "host_keys": ["ssh-ed25519 AAAA"]}
JSON = {"Content-Type": "application/json"}
OWN = b"Host *\r\n\tUser x\r\nHost a # caf\xe9"


@pytest.fixture
def file(hub: "Hub", alice: Path, home: Path) -> Path:
    """The person's ~/.ssh/config, with a gateway at the hub."""
    hub.door = DOOR
    file = home / ".ssh" / "config"
    file.write_bytes(OWN)
    file.chmod(0o640)
    return file


def test_it_is_written_once_and_removed(
    file: Path, hub: "Hub", home: Path, kworkspace: "Run"
) -> None:
    hub.workspace("gpu")
    result = kworkspace("ssh-config")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"Written to {file}. Now: ssh kworkspace, ssh gpu.kworkspace\n"
    written = file.read_bytes()
    assert written.startswith(f"# >>> kworkspace {hub.url} >>>\r\n".encode())
    assert written.endswith(OWN)
    assert f'IdentityFile "{home}/.ssh/id_ed25519"\r\n'.encode() in written
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    again = json.loads(kworkspace("ssh-config", "-o", "json").out)
    assert again == {
        "file": str(file),
        "hosts": ["kworkspace", "gpu.kworkspace"],
        "changed": False,
    }
    assert file.read_bytes() == written
    assert kworkspace("ssh-config", "--remove").out == f"The block is gone from {file}.\n"
    assert file.read_bytes() == OWN
    assert kworkspace("ssh-config", "--remove").out == f"There is no block in {file}.\n"


def test_a_hub_leads_no_other_hosts_by_tunnel(file: Path, hub: "Hub", kworkspace: "Run") -> None:
    key = "ssh-ed25519 AAAA"
    more = {"tunnel_url": "/gateway/tunnel", "host_key": key, "account": "alice", "id": "s1"}
    view: dict[str, Any] = {
        "ready": False,
        "stopped": True,
        "pending": None,
        "started": None,
        "url": "/",
    }
    view |= {"progress_url": "/", "user_options": {}, "status": "stopped", "last_activity": None}
    servers = {
        name: view | more | {"name": name, "full_name": name} for name in ("gpu", "* b", "-x", "!a")
    }
    user = {"name": "alice", "admin": False, "roles": ["user"], "servers": servers}
    hub.answers["GET /hub/api/users/alice"] = (200, JSON, json.dumps(user).encode())
    result = kworkspace("ssh-config", "--tunnel", "-o", "json")
    assert result.code == 0, result
    hosts = ["kworkspace", "gpu.kworkspace", "gpu.kworkspace-tunnel"]
    assert json.loads(result.out)["hosts"] == hosts
    assert b"* b" not in file.read_bytes()


def test_the_first_file(file: Path, kworkspace: "Run") -> None:
    file.unlink()
    file.parent.rename(file.parent.with_name("was"))
    (file.parent.with_name("was") / "id_ed25519").rename(file.parent.with_name("key"))
    assert kworkspace("ssh-config", "--ssh-key-path", "key").code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert b"IdentitiesOnly yes" in file.read_bytes()


def test_a_link_stays_one(file: Path, home: Path, kworkspace: "Run") -> None:
    file.rename(home / "dotfiles")
    file.symlink_to("../dotfiles")
    assert kworkspace("ssh-config").code == 0
    assert file.is_symlink()
    assert (home / "dotfiles").read_bytes().endswith(OWN)


def test_printed_alone(file: Path, hub: "Hub", kworkspace: "Run") -> None:
    result = kworkspace("ssh-config", "--print", "--alias", "team")
    assert result.out.startswith(f"# >>> kworkspace {hub.url} >>>\n")
    assert "\nHost team\n" in result.out
    assert file.read_bytes() == OWN


def test_two_hubs(file: Path, serve: "Serve", hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    other = serve()
    other.users, other.door = hub.users, DOOR
    assert kworkspace("ssh-config").code == 0
    refused = kworkspace("ssh-config", "--api", other.url)
    assert (refused.code, refused.out) == (2, "")
    assert f"'ssh kworkspace' leads to {hub.url} already: choose another name" in refused.err
    assert kworkspace("ssh-config", "--api", other.url, "--alias", "two").code == 0
    both = file.read_bytes()
    assert kworkspace("ssh-config", "--api", other.url).code == 0
    assert kworkspace("ssh-config").code == 0
    assert file.read_bytes() == both
    assert kworkspace("ssh-config", "--remove").code == 0
    assert other.url.encode() in file.read_bytes()
    assert hub.url.encode() not in file.read_bytes()


def test_marks_that_do_not_pair(file: Path, kworkspace: "Run") -> None:
    broken = b"# >>> kworkspace http://x >>>\n" + OWN
    file.write_bytes(broken)
    for options in ((), ("--remove",), ("--print",)):
        result = kworkspace("ssh-config", *options)
        assert (result.code, result.out) == (1, "")
        assert result.err == (
            f"kworkspace: {file}: line 1, '# >>> kworkspace', has no partner:"
            " mend it by hand first\n"
        )
    assert file.read_bytes() == broken


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--remove", "--print"), "--remove goes with none of"),
        (("--alias", "a b"), "--alias: it has 1 to 63"),
    ],
)
def test_wrong_usage(options: tuple[str, ...], message: str, file: Path, kworkspace: "Run") -> None:
    result = kworkspace("ssh-config", *options)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert file.read_bytes() == OWN


def test_a_pipe_in_its_place(file: Path, kworkspace: "Run") -> None:
    file.unlink()
    os.mkfifo(file)
    result = kworkspace("ssh-config")
    assert (result.code, result.err) == (1, f"kworkspace: {file} is not a file: move it away\n")


def test_the_real_ssh_goes_through_a_real_gateway(
    make_hub: Callable[..., Any], home: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = make_hub(gateway=True, extra="c.Hub.allow_named_servers = True")
    hub.start()
    monkeypatch.setenv("KWORKSPACE_API", hub.url)
    monkeypatch.setenv("KWORKSPACE_USER", hub.user)
    monkeypatch.setenv("KWORKSPACE_SSH_KEY_PATH", str(hub.key))
    config = home / ".ssh" / "config"
    config.write_text("Host *\n  StrictHostKeyChecking no\n  User nobody\n")

    def run(*command: str) -> str:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(program, "create", "gpu")
    run(program, "ssh-config")
    listed = json.loads(run(program, "list", "-o", "json"))["workspaces"]
    assert [one["workspace"] for one in listed] == ["", "gpu"]
    ssh = ("ssh", "-F", str(config), "-o", "BatchMode=yes")
    run(*ssh, "gpu.kworkspace", "echo gpu > name")
    run(*ssh, "kworkspace", "echo default > name")
    scp = ("scp", "-q", "-F", str(config), "-o", "BatchMode=yes")
    run(*scp, "gpu.kworkspace:name", str(home / "copied"))
    assert (home / "copied").read_text() == "gpu\n"
    assert run(*ssh, "kworkspace", "cat name") == "default\n"
    checked = json.loads(run(program, "doctor", "-o", "json"))
    assert {check["name"]: check["state"] for check in checked["checks"]} == {
        "settings": "ok",
        "ssh": "ok",
        "agent": "ok",
        "key id_ed25519": "ok",
        "own files": "ok",
        "address": "ok",
        "TLS": "ok",
        "hub": "ok",
        "clock": "ok",
        "gateway": "ok",
        "sign-in": "ok",
        "~/.ssh/config": "ok",
    }
    shown = on_terminal([program, "delete", "gpu"], ("Type gpu to go on", "gpu\n"))
    assert (shown.code, "deleted." in shown.text) == (0, True), shown.text
    listed = json.loads(run(program, "list", "-o", "json"))["workspaces"]
    assert [one["workspace"] for one in listed] == [""]
    stale = subprocess.run([program, "doctor"], capture_output=True, text=True, check=True)
    assert "warning  ~/.ssh/config: our block is not up to date" in stale.stdout
    # A gateway with another host key than the one that is pinned gets nothing.
    pins = next((home / ".local/state/kworkspace/known_hosts").iterdir())
    kind_and_host = pins.read_text().split()[:2]
    trusted = [line for line in pins.read_text().splitlines() if line[0] == "@"]
    other = subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "evil")], check=True
    )
    assert other.returncode == 0
    pins.write_text(f"{' '.join(kind_and_host)} {(home / 'evil.pub').read_text().split()[1]}\n")
    refused = subprocess.run(
        [*ssh, "kworkspace", "true"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr
    # One that the hub's authority has signed is no surprise.
    pins.write_text("".join(f"{line}\n" for line in trusted))
    subprocess.run([*ssh, "kworkspace", "true"], check=True)
