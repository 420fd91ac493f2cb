"""Invitations over REST: an admin makes them, a gateway alone takes their codes."""

from tests.hub.api.conftest import Web, signed_login
from tests.hub.conftest import KeyFile

INVITES = "/hub/api/users/alice/invites"
CLAIMS = "/hub/api/gateway/invites"


async def test_an_admin_makes_lists_and_withdraws(web: Web, ada: str) -> None:
    made = await web("POST", INVITES, ada, json={"expires_in": 600})
    assert made.status == 201
    assert set(made.json) == {"id", "user", "code", "expires"}
    [shown] = (await web("GET", INVITES, ada)).json
    assert (shown["id"], shown["user"], shown["by"]) == (made.json["id"], "alice", "ada")
    assert (await web("DELETE", f"{INVITES}/{shown['id']}", ada)).status == 204
    assert (await web("DELETE", f"{INVITES}/{shown['id']}", ada)).error[0] == 404
    assert (await web("GET", INVITES, ada)).json == []
    assert (await web("POST", INVITES, ada)).status == 201
    assert (await web("POST", INVITES, ada, json={"expires_in": 1})).error[0] == 400


async def test_nobody_else_does(web: Web, alice: str, gateway: str, ada: str) -> None:
    """Not even for themselves: who lends a key to somebody else does it with `keys add`."""
    for token in (alice, gateway):
        for method, path in (("GET", INVITES), ("POST", INVITES), ("DELETE", f"{INVITES}/x")):
            assert (await web(method, path, token)).error[0] in {403, 404}
    for token in (alice, ada):
        assert (await web("POST", CLAIMS, token, json={})).error[0] == 403


async def test_a_gateway_gives_a_code(
    web: Web, ada: str, gateway: str, keys: dict[str, KeyFile]
) -> None:
    code = (await web("POST", INVITES, ada)).json["code"]
    login = signed_login(keys["rsa"], "invite")
    fields = ("public_key", "signed", "signature", "door_signature", "address")
    claim = {field: login[field] for field in fields} | {"code": code, "confirm": False}
    look = await web("POST", CLAIMS, gateway, json=claim)
    assert (look.status, look.json["user"], look.json["type"]) == (200, "alice", "ssh-rsa")
    status, message = (await web("POST", CLAIMS, gateway, json=claim | {"code": "x"})).error
    assert status == 403
    assert "code opens nothing" in message
    done = await web("POST", CLAIMS, gateway, json=claim | {"confirm": True})
    assert (done.status, done.json) == (201, look.json)
    refused = [event for event in await web.parts.events() if event[1] == "forbidden"]
    assert [event[3] for event in refused] == ["invite"]
