"""What a committed row looks like over REST."""

from dataclasses import replace

import pytest

from kworkspace.cli.client.models import ServerState
from kworkspace.hub.api.views import caller_view, server_view, user_view
from kworkspace.hub.readmodel import ServerRow, UserRow
from kworkspace.hub.scopes import Caller, Role
from tests.hub.clock import Clock
from tests.hub.parts import Parts

ROW = ServerRow(
    id="id",
    user="jürgen",
    name="",
    slug="slug",
    state=ServerState.STOPPED,
    desired_running=False,
    deleting=False,
    generation=1,
    error="why",
    options={"gpu": 1},
    object_uid=None,
    host=None,
    port=None,
    host_key=None,
    account=None,
    created=Clock().now,
    started=None,
    last_activity=None,
    version=1,
)


@pytest.mark.parametrize(
    ("state", "ready", "stopped", "pending"),
    [
        (ServerState.STOPPED, False, True, None),
        (ServerState.STARTING, False, False, "spawn"),
        (ServerState.READY, True, False, None),
        (ServerState.STOPPING, False, False, "stop"),
    ],
)
def test_states(state: ServerState, ready: bool, stopped: bool, pending: str | None) -> None:
    shown = server_view(replace(ROW, state=state), "/hub/api")
    assert (shown.ready, shown.stopped, shown.pending) == (ready, stopped, pending)
    assert (shown.status, shown.error, shown.user_options) == (state, "why", {"gpu": 1})


def test_paths_are_quoted() -> None:
    shown = server_view(ROW, "/kw/hub/api")
    assert shown.progress_url == "/kw/hub/api/users/j%C3%BCrgen/server/progress"
    assert (shown.url, shown.full_name) == ("/user/j%C3%BCrgen/", "jürgen/")
    shown = server_view(replace(ROW, name="gpu"), "/hub/api")
    assert shown.progress_url == "/hub/api/users/j%C3%BCrgen/servers/gpu/progress"
    assert (shown.url, shown.full_name) == ("/user/j%C3%BCrgen/gpu/", "jürgen/gpu")


async def test_user(parts: Parts) -> None:
    now = Clock().now
    await parts.groups.create("ml", ["alice"])
    row = UserRow(
        id=1,
        name="alice",
        admin=False,
        enrolled=False,
        removing=False,
        created=now,
        last_activity=None,
        version=1,
    )
    shown = user_view(row, parts.readmodel, {}, admin=True)
    assert (shown.roles, shown.servers, shown.server) == (["user", "admin"], {}, None)
    assert (shown.admin, shown.groups) == (True, ["ml"])
    assert (shown.created, shown.last_activity, shown.scopes) == (now, None, None)


def test_service() -> None:
    shown = caller_view(Caller("service", "culler", Role.ADMIN))
    assert (shown.kind, shown.name, shown.admin) == ("service", "culler", False)
    assert "servers" in (shown.scopes or [])
