"""Starting and stopping: whatever state it is in, whoever else is at it, and with a hub away."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli.client import workspaces

if TYPE_CHECKING:
    from tests.cli.conftest import Result
    from tests.cli.stand_in_hub import Hub, Workspace

    Run = Callable[..., Result]

JSON = {"Content-Type": "application/json"}
START = "POST /hub/api/users/alice/server"
STOP = "DELETE /hub/api/users/alice/server"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a moment."""
    monkeypatch.setattr(workspaces, "POLL_SECONDS", 0.02)


@pytest.fixture
def state(hub: "Hub", alice: Path) -> "Workspace":
    """Alice's default workspace at the hub."""
    return hub.workspace("")


def test_a_start_with_progress(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    hub.start_events = [{"message": "Making the home"}, {"message": "Starting sshd"}]
    result = kworkspace("start")
    assert result.code == 0
    assert result.err == "Starting your workspace\nMaking the home\nStarting sshd\n"
    assert result.out.startswith("Your workspace is ready (")


def test_a_start_that_is_over_at_once(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    hub.start_settles = True
    assert kworkspace("start").out.startswith("Your workspace is ready (")


def test_a_workspace_that_runs_already(hub: "Hub", state: "Workspace", kworkspace: "Run") -> None:
    state.status = "ready"
    result = kworkspace("start")
    assert (result.code, result.out) == (0, "Your workspace is ready already.\n")
    assert hub.asked(START) == 0
    assert json.loads(kworkspace("start", "-o", "json").out)["changed"] is False


IMAGE = {
    "name": "image",
    "choices": ["jax", "torch"],
    "default": "torch",
    "unlisted": "ours",
}
CPU = {"slug": "cpu", "display_name": "Small", "description": "", "default": True, "options": []}
GPU = {
    "slug": "gpu",
    "display_name": "One GPU",
    "description": "For training",
    "default": False,
    "options": [IMAGE],
}


def test_a_profile(hub: "Hub", state: "Workspace", kworkspace: "Run") -> None:
    hub.profiles = [CPU, GPU]
    assert kworkspace("start", "--profile", "gpu").code == 0
    assert state.options == {"profile": "gpu"}
    assert kworkspace("start", "--profile", "gpu").code == 0
    result = kworkspace("start", "--profile", "cpu")
    assert result.code == 1
    assert result.err == (
        "kworkspace: your workspace runs already, as gpu; to start it as cpu, stop it first:"
        " kworkspace stop\n"
    )
    state.status = "stopped"
    assert kworkspace("start").code == 0
    assert state.options == {"profile": "gpu"}, "as it was the last time"


def test_choices_of_a_profile(hub: "Hub", state: "Workspace", kworkspace: "Run") -> None:
    hub.profiles = [CPU, GPU]
    assert kworkspace("start", "--profile", "gpu", "--option", "image=jax").code == 0
    assert state.options == {"profile": "gpu", "image": "jax"}
    assert kworkspace("start", "--profile", "gpu").code == 0
    result = kworkspace("start", "--option", "image=own:1")
    assert result.code == 1
    assert result.err == (
        "kworkspace: your workspace runs already, as gpu with image=jax; to start it with"
        " image=own:1, stop it first: kworkspace stop\n"
    )
    state.status = "stopped"
    assert kworkspace("start", "--option", "image=own:1").code == 0
    assert state.options == {"profile": "gpu", "image": "own:1"}, "else as it was the last time"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("image=jax", 1, "there is no option 'image' of the profile 'cpu'; it has none"),
        ("img=a --profile gpu", 1, "there is no option 'img' of the profile 'gpu'; there is image"),
        ("image --profile gpu", 2, "--option takes NAME=VALUE, not 'image'"),
        ("image= --profile gpu", 2, "--option takes NAME=VALUE, not 'image='"),
        ("profile=gpu", 2, "give the profile as --profile gpu"),
    ],
)
@pytest.mark.usefixtures("state")
def test_choices_that_cannot_be(
    hub: "Hub", kworkspace: "Run", words: str, code: int, said: str
) -> None:
    hub.profiles = [CPU, GPU]
    result = kworkspace("start", "--option", *words.split())
    assert result.code == code
    assert result.err.splitlines()[-1] == f"kworkspace: {said}"
    assert hub.asked(START) == 0


def test_a_profile_that_is_not_there(hub: "Hub", state: "Workspace", kworkspace: "Run") -> None:
    result = kworkspace("start", "--profile", "gpu")
    assert result.code == 1
    assert result.err.endswith("kworkspace: profile: there is no 'gpu'\n")


def test_profiles_are_listed(hub: "Hub", state: "Workspace", kworkspace: "Run") -> None:
    assert kworkspace("start", "--profile", "?").out == "This hub has no profiles.\n"
    hub.profiles = [CPU, GPU]
    lines = kworkspace("start", "--profile", "?").out.splitlines()
    assert [line.split() for line in lines] == [
        ["PROFILE", "NAME", "DESCRIPTION", "OPTIONS"],
        ["cpu", "(default)", "Small", "-", "-"],
        ["gpu", "One", "GPU", "For", "training", "image=torch", "|", "jax", "|", "(ours)"],
    ]
    shown = json.loads(kworkspace("start", "--profile", "?", "-o", "json").out)
    assert shown == {"profiles": [CPU, GPU]}
    assert hub.asked(START) == 0


def test_a_start_that_somebody_else_began(
    hub: "Hub", state: "Workspace", kworkspace: "Run"
) -> None:
    state.status = "starting"
    assert kworkspace("start").code == 0
    assert hub.asked(START) == 0


def test_a_start_while_it_stops(hub: "Hub", state: "Workspace", kworkspace: "Run") -> None:
    state.status = "stopping"
    assert kworkspace("start").code == 0
    assert hub.asked(START) == 1
    assert state.status == "ready"


def test_a_refused_start(hub: "Hub", state: "Workspace", kworkspace: "Run") -> None:
    hub.answers[START] = (400, JSON, b'{"status": 400, "message": "No named workspaces here"}')
    result = kworkspace("start")
    assert result.code == 1
    assert result.err.endswith("kworkspace: No named workspaces here\n")


def test_a_named_workspace(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    hub.workspace("gpu")
    assert kworkspace("start", "gpu").out.startswith("Workspace gpu is ready (")
    assert hub.asked("POST /hub/api/users/alice/servers/gpu") == 1
    assert json.loads(kworkspace("status", "gpu", "-o", "json").out)["workspace"] == "gpu"
    assert kworkspace("stop", "gpu").out.startswith("Workspace gpu is stopped (")
    missing = kworkspace("status", "tpu")
    assert (missing.code, missing.out) == (4, "")
    assert missing.err == "kworkspace: alice has no workspace tpu; did you mean gpu?\n"


def test_a_failed_start(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    hub.start_fails = "The image cannot be pulled"
    result = kworkspace("start")
    assert (result.code, result.out) == (1, "")
    assert result.err.endswith("your workspace did not start: The image cannot be pulled\n")
    assert kworkspace("status").out == ("Your workspace is stopped: The image cannot be pulled.\n")


def test_a_start_that_failed_while_nobody_watched(
    hub: "Hub", alice: Path, kworkspace: "Run"
) -> None:
    hub.start_fails = "No quota"
    hub.start_settles = True
    gone = (404, JSON, b'{"status": 404, "message": "nothing to follow"}')
    hub.answers["GET /hub/api/users/alice/server/progress"] = gone
    result = kworkspace("start")
    assert result.code == 1
    assert result.err.endswith("your workspace did not start: No quota\n")


def test_a_start_that_somebody_stopped(hub: "Hub", state: "Workspace", kworkspace: "Run") -> None:
    hub.answers[START] = (202, {}, b"")
    result = kworkspace("start")
    assert result.code == 1
    assert result.err.endswith("your workspace did not start: it is stopped\n")


@pytest.mark.parametrize("breaks", [1, 3])
def test_a_broken_stream_is_followed_again(
    breaks: int, hub: "Hub", alice: Path, kworkspace: "Run"
) -> None:
    hub.break_streams = breaks
    result = kworkspace("start")
    assert result.code == 0
    assert "the hub is away, waiting for it" in result.err
    assert hub.asked("GET /hub/api/users/alice/server/progress") == breaks + 1


def test_a_hub_that_stays_away(
    hub: "Hub", alice: Path, monkeypatch: pytest.MonkeyPatch, kworkspace: "Run"
) -> None:
    monkeypatch.setattr(workspaces, "LOST_SECONDS", 0.1)
    hub.break_streams = 10_000
    result = kworkspace("start")
    assert result.code == 5
    assert "broke off" in result.err


def test_a_stop(hub: "Hub", state: "Workspace", kworkspace: "Run") -> None:
    state.status = "ready"
    result = kworkspace("stop")
    assert result.code == 0
    assert result.out.startswith("Your workspace is stopped (")
    again = kworkspace("stop")
    assert (again.code, again.out) == (0, "Your workspace is stopped already.\n")
    assert hub.asked(STOP) == 1


def test_a_stop_that_somebody_else_began(hub: "Hub", state: "Workspace", kworkspace: "Run") -> None:
    state.status = "stopping"
    assert kworkspace("stop").code == 0
    assert hub.asked(STOP) == 0


def test_a_stop_that_somebody_undid(hub: "Hub", state: "Workspace", kworkspace: "Run") -> None:
    state.status = "ready"
    hub.answers[STOP] = (202, {}, b"")
    result = kworkspace("stop")
    assert result.code == 1
    assert "your workspace runs again: somebody started it meanwhile" in result.err


def test_a_stop_that_takes_for_ever(
    hub: "Hub", state: "Workspace", monkeypatch: pytest.MonkeyPatch, kworkspace: "Run"
) -> None:
    monkeypatch.setattr(workspaces, "STOP_SECONDS", 0.1)
    hub.stays = True
    state.status = "stopping"
    result = kworkspace("stop")
    assert result.code == 1
    assert "is still stopping" in result.err


def test_ctrl_c_ends_the_wait_and_not_the_start(hub: "Hub", alice: Path, program: str) -> None:
    hub.go_on.clear()
    process = subprocess.Popen(
        [program, "start"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert hub.following.wait(20)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == ""
    assert err.endswith(
        "kworkspace: interrupted; the start goes on without you (see kworkspace status)\n"
    )
    assert hub.workspaces[""].status == "starting"


@pytest.mark.parametrize("command", ["stop", "status", "delete"])
def test_what_does_not_exist(command: str, hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    result = kworkspace(command, "gpuu")
    assert (result.code, result.out) == (4, "")
    assert result.err == (
        "kworkspace: alice has no workspace gpuu; those that there are: kworkspace list\n"
    )


@pytest.mark.parametrize("command", ["start", "connect"])
def test_a_slip_of_the_pen_makes_no_workspace(
    command: str, hub: "Hub", alice: Path, kworkspace: "Run"
) -> None:
    result = kworkspace(command, "gpuu")
    assert (result.code, result.out) == (4, "")
    assert result.err == (
        "kworkspace: alice has no workspace gpuu; make it: kworkspace create gpuu\n"
    )
    hub.workspace("gpu")
    assert kworkspace(command, "gpuu").err == (
        "kworkspace: alice has no workspace gpuu; did you mean gpu?"
        " A new one: kworkspace create gpuu\n"
    )
    assert set(hub.workspaces) == {"gpu"}
