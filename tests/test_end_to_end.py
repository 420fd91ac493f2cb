"""The main job, with the real OpenSSH client and real processes: the file is there tomorrow."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.echo import COMMAND, answers, open_echo

MakeHub = Callable[..., Any]


@pytest.fixture
def hub(make_hub: MakeHub) -> Any:
    """A hub that runs, with its gateway."""
    hub = make_hub(gateway=True)
    hub.start()
    return hub


def test_a_removed_key_ends_what_it_opened(hub: Any) -> None:
    """The session at once, with a word why; the key opens neither the gateway nor the workspace."""
    hub.key = hub.directory / "another"
    make_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(hub.key)]
    subprocess.run(make_key, check=True)
    line = hub.key.with_suffix(".pub").read_text()
    path = f"/users/{hub.user}/keys"
    status, added = hub.api("POST", path, {"key": line})
    assert status == 201
    session = open_echo(hub.ssh(COMMAND))
    [authorized] = hub.data_dir.rglob("authorized_keys")
    assert line.split()[1] in authorized.read_text()
    assert answers(session, "still here")
    assert hub.api("DELETE", f"{path}/{added['id']}") == (204, None)
    session.wait(timeout=30)  # nobody closes its input
    assert "no longer good" in session.communicate()[1]
    refused = subprocess.run(hub.ssh("true"), capture_output=True, check=False, timeout=30)
    assert refused.returncode == 255
    wait_until(lambda: line.split()[1] not in authorized.read_text(), "the workspace to know")


def close(session: "subprocess.Popen[str]") -> None:
    """End a session from the client's side."""
    session.communicate(timeout=30)


def test_file_outlives_everything(hub: Any) -> None:
    """A file written over ssh is there after kill -9 of hub, gateway and workspace."""
    assert hub.run_ssh("echo tomorrow > note; cat note") == "tomorrow\n"
    for process in (*hub.workspaces(), *hub.gateways(), hub.process.pid):
        os.kill(process, signal.SIGKILL)
    hub.process.wait()
    hub.start()
    assert hub.run_ssh("cat note") == "tomorrow\n"


def test_file_outlives_stop_and_start(hub: Any) -> None:
    """A file is there after stop and start."""
    hub.run_ssh("echo kept > note")
    assert hub.api("DELETE", "/users/alice/server")[0] == 204
    assert hub.workspaces() == []
    assert hub.run_ssh("cat note") == "kept\n"


def test_session_outlives_a_killed_hub(hub: Any) -> None:
    """Gateway, session and workspace go on without the hub; the next one adopts them."""
    session = open_echo(hub.ssh(COMMAND))
    gateways, workspaces = hub.gateways(), hub.workspaces()
    hub.kill()
    assert answers(session, "nobody home")
    hub.start()
    assert answers(session, "home again")
    assert (hub.gateways(), hub.workspaces()) == (gateways, workspaces)
    assert hub.run_ssh("echo new login") == "new login\n"
    close(session)


def test_sigterm_ends_hub_and_gateway_and_leaves_workspaces(hub: Any) -> None:
    """An ordinary end tells the sessions, and what runs is adopted by the next hub."""
    session = open_echo(hub.ssh(COMMAND))
    workspaces = hub.workspaces()
    assert hub.terminate() == 0
    _, told = session.communicate(timeout=30)
    assert "shutting down" in told
    assert session.returncode == 255
    assert hub.gateways() == []
    assert hub.workspaces() == workspaces
    hub.start()
    assert hub.server()["ready"]
    assert hub.run_ssh("echo again") == "again\n"
    assert hub.workspaces() == workspaces


def test_stop_ends_sessions_with_a_word(hub: Any) -> None:
    """Who stops a workspace tells those who are in it."""
    session = open_echo(hub.ssh(COMMAND))
    assert hub.api("DELETE", "/users/alice/server")[0] == 204
    _, told = session.communicate(timeout=30)
    assert "being stopped" in told


def test_killed_gateway_is_started_again(hub: Any) -> None:
    """A gateway that dies is back, and lets people in."""
    [gateway] = hub.gateways()
    os.kill(gateway, signal.SIGKILL)
    # Until it is gone it may still take a connection, which ssh does not try again.
    wait_until(lambda: gateway not in hub.gateways(), "the gateway's end")
    line = hub.ssh("true")
    line[1:1] = ["-o", "ConnectionAttempts=30"]  # one a second
    assert subprocess.run(line, check=False, timeout=60).returncode == 0
    assert hub.gateways() not in ([], [gateway])


def test_wrong_key_and_unknown_user_get_one_answer(hub: Any, tmp_path: Path) -> None:
    """Nothing can be told from a refusal."""
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    line = hub.ssh("true")
    wrong_key = [str(other) if word == str(hub.key) else word for word in line]
    unknown = [word.replace("alice@", "nobody@") for word in line]
    for command in (wrong_key, unknown):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 255
        assert "Permission denied (publickey)" in done.stderr
