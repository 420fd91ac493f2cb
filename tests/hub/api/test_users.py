"""Users: who sees whom, pages, tokens, and not one query for a list."""

import asyncio

import pytest

from kworkspace.cli.client.models import User
from kworkspace.hub.api.paging import PAGINATED
from tests.hub.api.conftest import Web, counted_queries
from tests.hub.clock import until
from tests.hub.fake_spawner import held_by


async def test_self(web: Web, alice: str, ada: str, gateway: str) -> None:
    me = (await web("GET", "/hub/api/user", alice)).json
    assert (me["name"], me["admin"], me["kind"], me["roles"]) == ("alice", False, "user", ["user"])
    assert me["scopes"] == [
        "access:servers!user=alice",
        "keys!user=alice",
        "read:servers!user=alice",
        "read:users!user=alice",
        "servers!user=alice",
        "tokens!user=alice",
    ]
    admin = (await web("GET", "/hub/api/user", ada)).json
    assert (admin["admin"], admin["roles"]) == (True, ["user", "admin"])
    assert "gateway" not in admin["scopes"]
    service = (await web("GET", "/hub/api/user", gateway)).json
    assert (service["name"], service["kind"]) == ("gateway", "service")
    assert (service["roles"], service["scopes"]) == (["gateway"], ["gateway"])


async def test_nobody_sees_another(web: Web, alice: str) -> None:
    """The answer for somebody else is that for nobody at all."""
    for path in ("", "/server", "/server/progress", "/servers/gpu"):
        bob = await web("GET", f"/hub/api/users/bob{path}", alice)
        nobody = await web("GET", f"/hub/api/users/nobody{path}", alice)
        assert bob.error == (404, "User bob does not exist")
        assert bob.body == nobody.body.replace(b"nobody", b"bob")
    for method, path in (("POST", "server"), ("DELETE", "server"), ("POST", "tokens")):
        assert (await web(method, f"/hub/api/users/bob/{path}", alice)).error[0] == 404
    assert (await web("GET", "/hub/api/users", alice)).error[0] == 403
    assert web.parts.spawner.calls == []


async def test_admin_sees_all(web: Web, ada: str) -> None:
    assert (await web("GET", "/hub/api/users/bob", ada)).json["name"] == "bob"
    everybody = (await web("GET", "/hub/api/users", ada)).json
    assert [user["name"] for user in everybody] == ["ada", "alice", "bob"]
    for path in ("", "/server", "/server/progress"):
        assert (await web("GET", f"/hub/api/users/nobody{path}", ada)).error[0] == 404
    assert (await web("POST", "/hub/api/users/nobody/server", ada)).error[0] == 404


async def test_service_with_the_admin_role(web: Web) -> None:
    token = await web.parts.service_token("culler")
    assert len((await web("GET", "/hub/api/users", token)).json) == 3


async def test_lists_issue_no_query(web: Web, alice: str, ada: str) -> None:
    await web.parts.ready()
    with counted_queries(web.parts) as statements:
        for path, token in (
            ("/hub/api/users", ada),
            ("/hub/api/users/alice", alice),
            ("/hub/api/users/alice/server", alice),
            ("/hub/api/user", alice),
            ("/hub/api/", None),
            ("/health", None),
            ("/", None),
        ):
            assert (await web("GET", path, token)).status == 200
        assert statements == []
        await web("POST", "/hub/api/users/bob/server", ada)
    assert statements, "the check finds nothing at all"


async def test_a_user_with_a_server(web: Web, alice: str) -> None:
    row = await web.parts.ready()
    shown = (await web("GET", "/hub/api/users/alice", alice)).json
    server = shown["servers"][""]
    assert (shown["server"], shown["pending"]) == ("/user/alice/", None)
    assert (server["id"], server["ready"], server["status"]) == (row.id, True, "ready")
    assert server["started"] == "2030-01-02T03:04:05Z"
    assert set(shown) == set(User.__struct_fields__)
    for secret in ("object_uid", "host", "port", "slug"):
        assert secret not in server


async def test_tokens(web: Web, alice: str, ada: str) -> None:
    path = "/hub/api/users/alice/tokens"
    for token, body in ((alice, {"note": "mine", "expires_in": 60}), (ada, {})):
        reply = await web("POST", path, token, json=body)
        assert (reply.status, reply.json["user"]) == (201, "alice")
        made = reply.json["token"]
        assert (await web("GET", "/hub/api/user", made)).json["name"] == "alice"
    for wrong in ({"expires_in": 0}, {"expires_in": -1}, {"expires_in": 10**9}, {"note": 1}):
        status, message = (await web("POST", path, alice, json=wrong)).error
        assert (status, message.partition(":")[0]) == (400, next(iter(wrong)))
    assert (await web("POST", "/hub/api/users/nobody/tokens", ada)).error[0] == 404


async def test_a_token_makes_none_that_outlives_it(web: Web, alice: str) -> None:
    """Or a stolen one would be good for ever."""
    path = "/hub/api/users/alice/tokens"
    short = (await web("POST", path, alice, json={"expires_in": 60})).json["token"]
    for asked in ({}, {"expires_in": 3600}):
        assert (await web("POST", path, short, json=asked)).json["expires_in"] == 60
    assert (await web("POST", path, short, json={"expires_in": 30})).json["expires_in"] == 30


async def test_added(web: Web, ada: str) -> None:
    users = "/hub/api/users"
    reply = await web("POST", users, ada, json={"usernames": ["Carol", "alice"], "admin": True})
    assert reply.status == 201
    [carol] = reply.json
    assert (carol["name"], carol["admin"], carol["roles"]) == ("carol", True, ["user", "admin"])
    assert (await web("POST", f"{users}/dave", ada)).json["admin"] is False
    assert (await web("POST", f"{users}/eve", ada, json={"admin": True})).json["admin"] is True
    assert (await web("POST", f"{users}/dave", ada)).error == (409, "User dave exists already")
    assert (await web("POST", users, ada, json={"usernames": []})).error[0] == 400
    status, message = (await web("POST", f"{users}/%D0%B0lice", ada)).error
    assert status == 400
    assert "looks like 'alice'" in message


async def test_changed(web: Web, ada: str) -> None:
    await web("POST", "/hub/api/users/carol", ada)
    path = "/hub/api/users/carol"
    reply = await web("PATCH", path, ada, json={"admin": True})
    assert (reply.status, reply.json["admin"]) == (200, True)
    reply = await web("PATCH", path, ada, json={"name": "caroline"})
    assert (reply.status, reply.json["name"], reply.json["admin"]) == (200, "caroline", True)
    assert (await web("GET", path, ada)).error[0] == 404
    assert (await web("PATCH", path, ada, json={"admin": False})).error[0] == 404
    assert (await web("PATCH", "/hub/api/users/caroline", ada)).json == reply.json
    for body in ({"name": 1}, {"admin": "yes"}):
        assert (await web("PATCH", "/hub/api/users/caroline", ada, json=body)).error[0] == 400
    own = await web("PATCH", "/hub/api/users/ada", ada, json={"admin": False})
    assert own.error == (400, "You cannot take the admin role from yourself: ask another admin")


async def test_removed(web: Web, ada: str) -> None:
    path = "/hub/api/users/carol"
    await web("POST", path, ada)
    reply = await web("DELETE", path, ada)
    assert (reply.status, reply.body) == (204, b"")
    assert (await web("DELETE", path, ada)).error == (404, "User carol does not exist")
    assert (await web("DELETE", "/hub/api/users/ada", ada)).error[0] == 400
    assert (await web("DELETE", "/hub/api/users/alice", ada)).error[0] == 409


async def test_removed_while_their_workspace_runs(web: Web, ada: str) -> None:
    path = "/hub/api/users/carol"
    await web("POST", path, ada)
    carol = await web.parts.token("carol")
    await web.parts.ready("carol")
    web.parts.domain.slow_spawn_seconds = 0.01
    go_on = asyncio.Event()
    web.parts.spawner.stop_behaviour = held_by(go_on)
    assert (await web("DELETE", path, ada)).status == 202
    assert (await web("GET", path, carol)).error[0] == 401
    assert (await web("POST", path, ada)).error[0] == 409
    assert (await web("DELETE", path, ada)).status == 202
    go_on.set()
    await until(lambda: web.parts.readmodel.user("carol") is None)
    assert web.parts.spawner.homes == set()


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_only_admins_change_users(web: Web, alice: str, method: str) -> None:
    for path in ("/alice", "/bob", "/carol"):
        status, message = (await web(method, f"/hub/api/users{path}", alice, json={})).error
        assert (status, "admin:users" in message) == (403, True)
    assert (await web("POST", "/hub/api/users", alice, json={"usernames": ["x"]})).error[0] == 403


async def test_by_the_state_of_their_servers(web: Web, ada: str) -> None:
    go_on = asyncio.Event()
    await web.parts.ready("alice")
    web.parts.spawner.behaviour = held_by(go_on)
    await web.parts.servers.start("bob", "")

    async def names(state: str) -> list[str]:
        reply = await web("GET", f"/hub/api/users?state={state}", ada)
        return [user["name"] for user in reply.json]

    assert await names("ready") == ["alice"]
    assert await names("active") == ["alice", "bob"]
    assert await names("inactive") == ["ada"]
    reply = await web("GET", "/hub/api/users?state=active&limit=1", ada, Accept=PAGINATED)
    following = reply.json["_pagination"]["next"]["url"].removeprefix(web.url)
    assert [user["name"] for user in (await web("GET", following, ada)).json] == ["bob"]
    status, message = (await web("GET", "/hub/api/users?state=gone", ada)).error
    assert (status, message) == (400, "state: expected one of active, inactive, ready")
    go_on.set()
    await web.parts.settled("bob")
