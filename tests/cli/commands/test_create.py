"""Named workspaces: made, listed and deleted, with the name typed on a real terminal."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli.client import workspaces
from tests.cli.on_terminal import on_terminal

if TYPE_CHECKING:
    from tests.cli.conftest import Result
    from tests.cli.stand_in_hub import Hub

    Run = Callable[..., Result]

REMOVED = "DELETE /hub/api/users/alice/servers/gpu"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a moment."""
    monkeypatch.setattr(workspaces, "POLL_SECONDS", 0.02)


def test_it_is_made_and_not_started(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    result = kworkspace("create", "gpu")
    assert (result.code, result.err) == (0, "")
    assert result.out == "Workspace gpu is made. To go in: kworkspace connect gpu\n"
    assert hub.workspaces["gpu"].status == "stopped"
    again = kworkspace("create", "gpu", "-o", "json")
    assert json.loads(again.out)["changed"] is False
    assert hub.asked("PUT /hub/api/users/alice/servers/gpu") == 1


def test_a_name_that_is_none(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    result = kworkspace("create", "GPU 1")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("kworkspace: NAME: a workspace name has 1 to 63")
    assert hub.requests == []
    assert kworkspace("create", "").code == 2


def test_what_the_hub_says_against_it(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    body = json.dumps({"status": 403, "message": "You may have 2 workspaces"}).encode()
    hub.answers["PUT /hub/api/users/alice/servers/gpu"] = (
        403,
        {"Content-Type": "application/json"},
        body,
    )
    result = kworkspace("create", "gpu")
    assert (result.code, result.err) == (3, "kworkspace: You may have 2 workspaces\n")


def test_the_list(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    hub.workspace("gpu").status = "ready"
    hub.workspace("b").error = "No quota\x1b[2J"
    lines = kworkspace("list").out.splitlines()
    assert lines[0].split("  ")[0] == "WORKSPACE"
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["(default)", "stopped"],
        ["b", "stopped"],
        ["gpu", "ready"],
    ]
    assert lines[4:] == ["", "! b: No quota [2J"]
    shown = json.loads(kworkspace("list", "-o", "json").out)
    assert [one["workspace"] for one in shown["workspaces"]] == ["", "b", "gpu"]
    assert shown["user"] == "alice"


def test_deleted_without_a_question(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    hub.workspace("gpu").status = "ready"
    result = kworkspace("delete", "gpu", "--yes")
    assert (result.code, result.out) == (0, "Workspace gpu and its files are deleted.\n")
    assert result.err == "Deleting workspace gpu\nStopped\n"
    assert hub.workspaces == {}


def test_deleted_at_once(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    hub.workspace("gpu")
    hub.start_settles = True
    shown = json.loads(kworkspace("delete", "gpu", "-y", "-o", "json").out)
    assert shown == {"user": "alice", "workspace": "gpu", "changed": True}


def test_somebody_else_deletes_it_too(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    hub.workspace("gpu")
    gone = b'{"status": 404, "message": "no such workspace"}'
    hub.answers[REMOVED] = (404, {"Content-Type": "application/json"}, gone)
    assert kworkspace("delete", "gpu", "-y").code == 0


def test_a_deletion_without_end(
    hub: "Hub", alice: Path, monkeypatch: pytest.MonkeyPatch, kworkspace: "Run"
) -> None:
    monkeypatch.setattr(workspaces, "STOP_SECONDS", 0.1)
    hub.workspace("gpu").error = "the disk is busy"
    hub.stays = True
    result = kworkspace("delete", "gpu", "-y")
    assert result.code == 1
    assert result.err.endswith(
        "workspace gpu is still being deleted after 0 min (the disk is busy); ask the hub's admin\n"
    )


def test_nobody_to_ask(hub: "Hub", alice: Path, program: str) -> None:
    hub.workspace("gpu")
    done = subprocess.run(
        [program, "delete", "gpu"], input="gpu\n", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "kworkspace: there is no terminal to ask on: give --yes if you mean it\n"
    )
    assert "gpu" in hub.workspaces


@pytest.mark.parametrize(
    ("typed", "code", "left"), [("gpu\n", 0, False), ("gpuu\n", 1, True), ("\x04", 130, True)]
)
def test_the_name_is_typed(
    *, typed: str, code: int, left: bool, hub: "Hub", alice: Path, program: str
) -> None:
    hub.workspace("gpu")
    shown = on_terminal([program, "delete", "gpu"], ("Type gpu to go on: ", typed))
    assert shown.code == code, shown.text
    assert "Workspace gpu of alice and all files in it go, for good." in shown.text
    assert shown.text.endswith("\n")
    assert ("that is not gpu: nothing is deleted" in shown.text) == (code == 1)
    assert ("gpu" in hub.workspaces) == left


def test_the_default_one_stays(hub: "Hub", alice: Path, kworkspace: "Run") -> None:
    result = kworkspace("delete", "", "--yes")
    assert (result.code, result.err) == (
        2,
        "kworkspace: your default workspace cannot be deleted; name another\n",
    )
