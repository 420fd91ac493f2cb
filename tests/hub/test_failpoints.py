"""A hub is killed at every failpoint and another one started: nothing is lost, nothing doubled."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from kworkspace.hub.failpoints import Failpoint
from tests.conftest import wait_until

# What the next hub must make of a kill there.
NOTHING_HAPPENED = (Failpoint.START_REQUEST_BEFORE_COMMIT,)
STARTS = (
    Failpoint.START_REQUEST_AFTER_COMMIT,
    Failpoint.SPAWNER_START_BEFORE,
    Failpoint.SPAWNER_START_DURING,
    Failpoint.SPAWNER_START_AFTER,
    Failpoint.READY_BEFORE_COMMIT,
    Failpoint.READY_AFTER_COMMIT,
)
STILL_RUNS = (Failpoint.STOP_REQUEST_BEFORE_COMMIT,)
STOPS = (
    Failpoint.STOP_REQUEST_AFTER_COMMIT,
    Failpoint.CLAIM_BEFORE_COMMIT,
    Failpoint.CLAIM_AFTER_COMMIT,
    Failpoint.SPAWNER_STOP_BEFORE,
    Failpoint.SPAWNER_STOP_AFTER,
    Failpoint.STOPPED_BEFORE_COMMIT,
    Failpoint.STOPPED_AFTER_COMMIT,
)
FAILS = (Failpoint.START_FAILED_BEFORE_COMMIT, Failpoint.START_FAILED_AFTER_COMMIT)
DELETES = (
    Failpoint.SPAWNER_DELETE_BEFORE,
    Failpoint.SPAWNER_DELETE_AFTER,
    Failpoint.DELETED_BEFORE_COMMIT,
    Failpoint.DELETED_AFTER_COMMIT,
)
EXITS = (Failpoint.EXIT_BEFORE_COMMIT, Failpoint.EXIT_AFTER_COMMIT)

BAD_HOOK = """
def refuse(spawner, workspace):
    raise RuntimeError("no budget left")
c.Spawner.pre_spawn_hook = refuse
"""

MakeHub = Callable[..., Any]


def test_every_failpoint_has_its_case() -> None:
    """No failpoint is without a test."""
    cases = NOTHING_HAPPENED + STARTS + STILL_RUNS + STOPS + DELETES + FAILS + EXITS
    assert sorted(cases) == sorted(Failpoint)


def call(hub: Any, method: str) -> None:
    """Ask for a start or stop; the hub may die over it."""
    try:
        status, body = hub.api(method, "/users/alice/server")
    except OSError:
        return
    assert status in {201, 202, 204, 500}, body


def assert_killed(hub: Any) -> None:
    """Check that the failpoint was come by: the hub has died of SIGKILL."""
    assert hub.process.wait(30) == -signal.SIGKILL


def settled(hub: Any) -> dict[str, Any]:
    """Return the server once it neither starts nor stops."""
    for _ in range(1500):
        server: dict[str, Any] = hub.server()
        if server.get("pending") is None:
            return server
        signal.sigtimedwait([], 0.02)
    raise AssertionError(f"still pending:\n{hub.log.read_text()}")


def assert_works(hub: Any) -> None:
    """Check that a start and a stop work as ever."""
    if hub.server().get("ready"):
        assert hub.api("DELETE", "/users/alice/server")[0] == 204
        assert hub.workspaces() == []
    assert hub.api("POST", "/users/alice/server")[0] == 201
    assert len(hub.workspaces()) == 1


@pytest.mark.parametrize("here", NOTHING_HAPPENED)
def test_killed_before_the_request_is_committed(make_hub: MakeHub, here: Failpoint) -> None:
    """What was not answered did not happen."""
    hub = make_hub()
    hub.start(KWORKSPACE_FAILPOINT=here)
    call(hub, "POST")
    assert_killed(hub)
    hub.start()
    assert hub.server() == {}
    assert hub.workspaces() == []
    assert_works(hub)


@pytest.mark.parametrize("here", STARTS)
def test_killed_in_a_start(make_hub: MakeHub, here: Failpoint) -> None:
    """The next hub brings the start to its end: one workspace, ready."""
    hub = make_hub()
    hub.start(KWORKSPACE_FAILPOINT=here)
    call(hub, "POST")
    assert_killed(hub)
    before = hub.workspaces()
    hub.start()
    server = settled(hub)
    assert server["ready"], server
    after = hub.workspaces()
    assert len(after) == 1
    assert before in ([], after), "a workspace that ran was not adopted"
    assert_works(hub)


@pytest.mark.parametrize("here", STILL_RUNS)
def test_killed_before_the_stop_is_committed(make_hub: MakeHub, here: Failpoint) -> None:
    """What was not answered did not happen: the very same workspace runs on."""
    hub = make_hub()
    hub.start(KWORKSPACE_FAILPOINT=here)
    call(hub, "POST")
    before = hub.workspaces()
    call(hub, "DELETE")
    assert_killed(hub)
    hub.start()
    assert settled(hub)["ready"]
    assert hub.workspaces() == before
    assert_works(hub)


@pytest.mark.parametrize("here", STOPS)
def test_killed_in_a_stop(make_hub: MakeHub, here: Failpoint) -> None:
    """The next hub brings the stop to its end: nothing runs."""
    hub = make_hub()
    hub.start(KWORKSPACE_FAILPOINT=here)
    call(hub, "POST")
    assert len(hub.workspaces()) == 1
    call(hub, "DELETE")
    assert_killed(hub)
    hub.start()
    assert settled(hub)["stopped"]
    assert hub.workspaces() == []
    assert_works(hub)


@pytest.mark.parametrize("here", DELETES)
def test_killed_in_a_deletion(make_hub: MakeHub, here: Failpoint) -> None:
    """The next hub brings it to its end: neither row nor files are left."""
    hub = make_hub(extra="c.Hub.allow_named_servers = True")
    hub.start(KWORKSPACE_FAILPOINT=here)
    path = "/users/alice/servers/gpu"
    assert hub.api("POST", path)[0] == 201
    homes = hub.data_dir / "workspaces"
    assert len(list(homes.iterdir())) == 1
    with suppress(OSError):
        hub.api("DELETE", path, {"remove": True})
    assert_killed(hub)
    hub.start()
    wait_until(lambda: hub.api("GET", path)[0] == 404, "the deletion")
    assert (list(homes.iterdir()), hub.workspaces()) == ([], [])


@pytest.mark.parametrize("here", FAILS)
def test_killed_in_a_start_that_fails(make_hub: MakeHub, here: Failpoint) -> None:
    """The next hub says the same: failed, why, and nothing runs."""
    hub = make_hub(extra=BAD_HOOK)
    hub.start(KWORKSPACE_FAILPOINT=here)
    call(hub, "POST")
    assert_killed(hub)
    hub.start()
    server = settled(hub)
    assert server["stopped"]
    assert server["error"] == "no budget left"
    assert hub.workspaces() == []


@pytest.mark.parametrize("here", EXITS)
def test_killed_when_a_workspace_ends(make_hub: MakeHub, here: Failpoint) -> None:
    """The next hub finds it gone, says so, and starts it again when asked."""
    hub = make_hub()
    hub.start(KWORKSPACE_FAILPOINT=here)
    call(hub, "POST")
    [workspace] = hub.workspaces()
    os.kill(workspace, signal.SIGKILL)
    assert_killed(hub)
    hub.start()
    server = settled(hub)
    assert server["stopped"]
    assert server["error"]
    assert_works(hub)
