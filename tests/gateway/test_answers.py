"""`ssh NAME@HUB kworkspace COMMAND` says what `kworkspace COMMAND` says, of a real hub."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.on_terminal import on_terminal
from tests.conftest import wait_until
from tests.ports import free_port

Finished = subprocess.CompletedProcess[str]

DURATION = re.compile(r"\(?\d+(\.\d)? s( ago)?\)?")


PROFILES = """
from kworkspace.spawners.base import Profile, ProfileOption
from kworkspace.spawners.local import LocalSpawner

class WithProfiles(LocalSpawner):
    def profiles(self):
        image = ProfileOption("image", ("jax", "torch"), "torch")
        return (Profile("cpu", "Small", default=True), Profile("gpu", "One GPU", options=(image,)))

c.Hub.spawner_class = WithProfiles
"""


class Place:
    """A hub with its gateway, and the command of a laptop beside it."""

    def __init__(self, hub: Any, program: str, home: Path) -> None:
        self.hub = hub
        self._program = program
        self._home = home

    def here(self, line: str, stdin: str = "", login: str = "") -> Finished:
        """Ask the gateway."""
        command = self.hub.ssh(f"kworkspace {line}")
        if login:
            command[-2] = f"{login}@127.0.0.1"
        return run(command, stdin)

    def there(self, line: str, stdin: str = "") -> Finished:
        """Ask on a laptop."""
        options = ["--api", self.hub.url, "--user", "alice", "--ssh-key-path", str(self.hub.key)]
        command = ["env", f"HOME={self._home}", self._program, *line.split(), *options]
        return run(command, stdin)

    def alike(self, line: str, stdin: str = "") -> Finished:
        """Ask both, compare what they say but for durations, and return the gateway's answer."""
        there, here = self.there(line, stdin), self.here(line, stdin)
        for one in (there, here):
            one.args = ""
            one.stdout = DURATION.sub("N s", one.stdout)
        assert vars(here) == vars(there)
        return here


def run(command: list[str], stdin: str) -> Finished:
    """Run a program to its end."""
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def program() -> str:
    """The command of a laptop."""
    return str(Path(sys.executable).with_name("kworkspace"))


@pytest.fixture
def place(make_hub: Callable[..., Any], program: str, tmp_path: Path) -> Place:
    """Everything, running; nothing was ever started."""
    hub = make_hub(gateway=True, extra="c.Hub.allow_named_servers = True")
    hub.start()
    hub.ssh()
    return Place(hub, program, tmp_path)


def test_a_workspace_from_start_to_stop(place: Place) -> None:
    """In the same words; nothing starts it but `start`; what it runs is not the gateway's."""
    assert place.alike("status").stdout == "Your workspace is stopped.\n"
    assert json.loads(place.alike("status -o json").stdout)["status"] == "stopped"
    assert place.alike("stop").stdout == "Your workspace is stopped already.\n"
    assert place.alike("status gpu").returncode == 4
    assert place.alike("status GPU").returncode == 2
    assert place.alike("start gpu").returncode == 4
    assert place.here("open").stdout == f"{place.hub.url}/\n"
    assert place.hub.workspaces() == []
    started = place.here("start")
    assert started.returncode == 0
    assert re.fullmatch(r"Your workspace is ready \(\d.*\)\.\n", started.stdout)
    assert started.stderr.startswith("Starting your workspace\n")
    assert place.alike("start").stdout == "Your workspace is ready already.\n"
    assert json.loads(place.here("start -o json").stdout)["changed"] is False
    place.hub.run_ssh("mkdir bin; printf '#!/bin/sh\\necho mine' > bin/kworkspace; chmod +x bin/*")
    assert place.hub.run_ssh("bin/kworkspace") == "mine\n"
    stopped = place.here("stop")
    assert (stopped.returncode, stopped.stderr) == (0, "Stopping your workspace\n")
    assert re.fullmatch(r"Your workspace is stopped \(\d.*\)\.\n", stopped.stdout)
    assert place.hub.workspaces() == []


def test_profiles_and_their_choices(
    make_hub: Callable[..., Any], program: str, tmp_path: Path
) -> None:
    """As on a laptop: listed, asked for, and refused."""
    hub = make_hub(gateway=True, extra=PROFILES)
    hub.start()
    hub.ssh()
    place = Place(hub, program, tmp_path)
    shown = place.alike("start --profile ?").stdout.splitlines()
    assert shown[-1].split() == ["gpu", "One", "GPU", "-", "image=torch", "|", "jax"]
    assert len(json.loads(place.alike("start --profile ? -o json").stdout)["profiles"]) == 2
    for line, code in (
        ("start --profile gpus", 1),
        ("start --option image=jax", 1),
        ("start --profile gpu --option img=jax", 1),
        ("start --profile gpu --option image=", 2),
    ):
        assert place.alike(line).returncode == code
    assert hub.workspaces() == []
    assert place.here("start --profile gpu --option image=jax").returncode == 0
    assert hub.server()["user_options"] == {"profile": "gpu", "image": "jax"}
    assert place.alike("start --option image=jax").returncode == 0
    assert "runs already, as gpu with image=jax" in place.alike("start --profile cpu").stderr


def test_ports(place: Place) -> None:
    """What listens there, as on a laptop, and its forward works."""
    assert place.alike("ports gpu").returncode == 4
    assert place.alike("ports").returncode == 1
    assert place.here("start").returncode == 0
    assert place.alike("ports").stdout == "Nothing listens in your workspace.\n"
    port = free_port()
    serve = f"exec python3 -m http.server --bind 127.0.0.1 {port} >/dev/null 2>&1"
    with subprocess.Popen(place.hub.ssh(serve), stdin=subprocess.DEVNULL) as server:
        wait_until(lambda: str(port) in place.here("ports").stdout, "the server")
        shown = place.alike("ports").stdout.splitlines()
        assert re.match(rf"{port} +python3\S* +127.0.0.1 +ssh -L ", shown[1])
        [report] = json.loads(place.alike("ports -o json").stdout)["ports"]
        words = report["forward"].split()
        assert words[:3] == ["ssh", "-L", f"{port}:localhost:{port}"]
        assert words[3:] == ["-p", str(place.hub.ssh_port), "alice@127.0.0.1"]
        assert place.hub.api("GET", "/users/alice/server/ports")[1][0]["port"] == port
        server.kill()
    assert place.here("stop").returncode == 0
    assert place.alike("ports").returncode == 1


def test_help_and_wrong_usage(place: Place) -> None:
    told = place.here("help")
    assert told.returncode == 0
    for command in ("help", "open", "start", "stop", "status", "keys", "ports"):
        assert re.search(rf"^  {command} +[A-Z]", told.stdout, re.MULTILINE)
    for line in ("", "nonsense", "status; id", "whoami"):
        wrong = place.here(line)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert told.stdout in wrong.stderr
    for line in ("status a b", "status --what", "keys lose", "start 'x"):
        wrong = place.here(line)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert wrong.stderr.startswith("kworkspace: ")
        assert wrong.stderr.endswith("; see kworkspace help\n")
    assert place.hub.workspaces() == []


def test_keys(place: Place, tmp_path: Path) -> None:
    """Listed, added and removed as on a laptop; a private key stays with its owner."""
    file = tmp_path / "more"
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "my \x1b[2Jkey", "-f", str(file)]
    subprocess.run(make, check=True)
    line = file.with_suffix(".pub").read_text().replace("\x1b", "")
    listed = json.loads(place.here("keys list -o json").stdout)
    assert [key["current"] for key in listed["keys"]] == [True]
    added = place.here("keys add -", line)
    assert added.stdout.startswith("Added my [2Jkey (SHA256:")
    assert place.alike("keys add -", line).stdout.endswith("is there already.\n")
    assert place.here(f"keys add {line}").stdout.endswith("is there already.\n")
    shown = place.here("keys").stdout
    assert "\x1b" not in shown
    assert shown.count("opened this session") == 1
    refused = place.alike("keys add -", file.read_text())
    assert "is a private key, which stays with you" in refused.stderr
    assert file.read_text().splitlines()[1] not in refused.stderr
    assert place.alike("keys remove nothing").returncode == 4
    fingerprint = added.stdout.split("(")[1].split(")")[0]
    assert place.here(f"keys remove {fingerprint}").stdout.startswith("Removed my")
    assert place.here(f"keys remove {fingerprint}").returncode == 4
    configured = listed["keys"][0]["fingerprint"]
    assert place.alike(f"keys remove {configured}").returncode == 3


def test_at_a_terminal(place: Place) -> None:
    """As without one; Ctrl-C ends the wait and not the start; other commands go on to it."""
    line = place.hub.ssh()
    shown = on_terminal([*line[:-1], "-tt", line[-1], "kworkspace status"])
    assert shown.code == 0
    assert shown.text.startswith("Your workspace is stopped.\nConnection to")
    shown = on_terminal(
        [*line[:-1], "-tt", line[-1], "kworkspace start"], ("Starting your workspace", "\x03")
    )
    assert shown.code == 130
    assert "interrupted; the start goes on without you (see kworkspace status)" in shown.text
    shown = on_terminal([*line[:-1], "-tt", line[-1], "tty; exit 3"])
    assert shown.code == 3
    assert "/dev/pts/" in shown.text


def test_one_workspace_of_several(place: Place) -> None:
    """The login's own is meant where none is named, in its words; others by their name."""
    assert place.hub.api("PUT", "/users/alice/servers/gpu")[0] == 201
    assert place.here("status", login="alice+gpu").stdout == "Workspace gpu is stopped.\n"
    assert place.here("status gpu").stdout == "Workspace gpu is stopped.\n"
    assert place.here("start", login="alice+gpu").returncode == 0
    assert place.here("status").stdout == "Your workspace is stopped.\n"
    assert place.here("status gpu").stdout.startswith("Workspace gpu is ready")
    # Those who are in it end; who asked for it hears how it went.
    command = place.hub.ssh("echo in; cat")
    command[-2] = "alice+gpu@127.0.0.1"
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        stopped = place.here("stop gpu", login="alice+gpu")
        assert stopped.stdout.startswith("Workspace gpu is stopped")
        assert b"being stopped" in other.communicate(timeout=30)[1]


def test_a_hub_that_is_away(place: Place) -> None:
    """A session that is open says so, and ends as the command does."""
    socket = str(place.hub.directory / "s")
    line = place.hub.ssh()
    with subprocess.Popen([*line[:-1], "-M", "-S", socket, "-N", line[-1]]) as master:
        wait_until(Path(socket).exists, "ssh's own socket")
        ask = [*line[:-1], "-S", socket, line[-1], "kworkspace status"]
        assert run(ask, "").returncode == 0
        place.hub.kill()
        told = run(ask, "")
        assert (told.returncode, told.stdout) == (5, "")
        assert told.stderr == "kworkspace: The hub is restarting; try again in a few seconds.\n"
        master.terminate()
