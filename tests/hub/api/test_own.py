"""What a gateway does for the person of a session: what they may do by themselves, and no more."""

import pytest

from kworkspace.cli.client.models import Server, User
from kworkspace.hub.api import own
from kworkspace.hub.api.base import BaseHandler
from kworkspace.hub.scopes import Scope
from tests.hub.api.conftest import Web, signed_login
from tests.hub.conftest import KeyFile
from tests.hub.parts import PUBLIC_URL

SESSIONS = "/hub/api/gateway/sessions"
UNKNOWN = "00000000-0000-0000-0000-000000000000"


async def open_session(web: Web, token: str, key: KeyFile, login: str) -> str:
    reply = await web("POST", SESSIONS, token, json=signed_login(key, login))
    assert reply.status == 201, reply.body
    return f"{SESSIONS}/{reply.json['id']}"


@pytest.fixture
async def session(web: Web, gateway: str, keys: dict[str, KeyFile]) -> str:
    """The path of a session of alice's."""
    return await open_session(web, gateway, keys["ed25519"], "alice")


async def test_a_workspace(web: Web, gateway: str, session: str) -> None:
    own = f"{session}/own"
    user = (await web("GET", own, gateway)).json
    assert (user["name"], set(user)) == ("alice", set(User.__struct_fields__))
    assert (await web("POST", f"{own}/server", gateway)).status == 201
    server = (await web("GET", f"{own}/server", gateway)).json
    assert (server["status"], set(server)) == ("ready", set(Server.__struct_fields__))
    assert (await web("DELETE", f"{own}/server", gateway)).status == 204
    assert (await web("GET", f"{own}/servers/gpu", gateway)).error[0] == 404
    assert (await web("GET", f"{session}/page", gateway)).json == {"url": f"{PUBLIC_URL}/"}
    events = [event for event in await web.parts.events() if event[0].startswith("server.")]
    assert {(actor, user) for _, _, actor, user in events if actor != "hub"} == {("alice", "alice")}


async def test_keys_and_what_follows(
    web: Web, gateway: str, session: str, keys: dict[str, KeyFile]
) -> None:
    """With its key the session loses its rights at once, whatever the gateway still thinks."""
    path = f"{session}/own/keys"
    added = await web("POST", path, gateway, json={"key": keys["rsa"].line})
    assert added.status == 201
    later = await open_session(web, gateway, keys["rsa"], "alice")
    assert len((await web("GET", f"{later}/own/keys", gateway)).json) == 2
    assert (await web("DELETE", f"{later}/own/keys/{added.json['id']}", gateway)).status == 204
    assert (await web("GET", f"{later}/own/keys", gateway)).error[0] in {403, 404}
    assert (await web("GET", path, gateway)).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "own"),
        ("DELETE", "own"),
        ("POST", "own"),
        ("PUT", "own/servers/gpu"),
        ("DELETE", "own/server"),
        ("POST", "own/tokens"),
        ("GET", "own/invites"),
    ],
)
async def test_what_a_gateway_has_no_use_for(
    web: Web, gateway: str, session: str, method: str, path: str
) -> None:
    """Nothing that destroys, nothing that outlives the session."""
    reply = await web(method, f"{session}/{path}", gateway, json={"remove": True})
    assert reply.error[0] in {400, 404, 405}
    assert web.parts.readmodel.user("alice") is not None


async def test_nobody_but_a_gateway(web: Web, session: str, alice: str, ada: str) -> None:
    for path in ("own", "own/server", "own/servers/x", "own/server/progress", "own/keys", "page"):
        for token, status in ((alice, 403), (ada, 403), (None, 401)):
            assert (await web("GET", f"{session}/{path}", token)).error[0] == status


async def test_sessions_that_are_not_open(web: Web, gateway: str, session: str) -> None:
    await web("DELETE", session, gateway, json={"reason": "over"})
    for path in (session, f"{SESSIONS}/{UNKNOWN}"):
        assert (await web("GET", f"{path}/own", gateway)).error[0] == 404


async def test_an_admin_in_anothers_workspace(
    web: Web, gateway: str, keys: dict[str, KeyFile]
) -> None:
    """The workspace is the other's, the keys are their own; an admin no longer has neither."""
    session = await open_session(web, gateway, keys["ecdsa"], "ada=alice")
    assert (await web("GET", f"{session}/own", gateway)).json["name"] == "alice"
    [key] = (await web("GET", f"{session}/own/keys", gateway)).json
    assert key["type"].startswith("ecdsa")
    await web("POST", f"{session}/own/server", gateway)
    events = [(action, actor, user) for action, _, actor, user in await web.parts.events()]
    assert ("server.start", "ada", "alice") in events
    web.parts.authenticator.admin_users = set()
    assert (await web("GET", f"{session}/own", gateway)).error[0] == 403


@pytest.mark.parametrize(
    "handler", [own.OwnUser, own.OwnServer, own.OwnProgress, own.OwnPorts, own.OwnKeys, own.OwnKey]
)
def test_every_method_needs_a_gateway(handler: type[BaseHandler]) -> None:
    """Also those that nobody uses: none is open to the public by an oversight."""
    defined = {
        method
        for method in BaseHandler.SUPPORTED_METHODS
        if getattr(handler, method.lower()) is not getattr(BaseHandler, method.lower())
    }
    assert defined
    assert {handler.scopes.get(method) for method in defined} == {Scope.GATEWAY}
