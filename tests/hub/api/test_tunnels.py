"""Tunnels: a session for a user's own token, and nothing for a gateway's alone."""

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from kworkspace.cli.client.models import Command
from kworkspace.hub.db import models as db
from kworkspace.hub.gateways import COMMANDS
from kworkspace.hub.open_sessions import FULL
from kworkspace.hub.session_policy import SessionPolicy
from kworkspace.hub.tunnels import REVOKED
from tests.hub import parts as hub
from tests.hub.api.conftest import OpenWeb, Web
from tests.hub.conftest import KeyFile
from tests.hub.parts import OpenParts

TUNNELS = "/hub/api/gateway/tunnels"
UNKNOWN = "The token is unknown or has expired: sign in again"


def request(token: str, user: str = "alice", server: str = "") -> dict[str, Any]:
    return {
        "gateway": "gw-1",
        "token": token,
        "user": user,
        "server": server,
        "address": "192.0.2.7",
        "client_version": "kworkspace/1",
    }


async def rows(web: Web) -> list[db.Session]:
    """Return all sessions."""
    async with web.parts.store.begin() as session:
        return list((await session.scalars(select(db.Session))).all())


async def test_open(web: Web, gateway: str, alice: str) -> None:
    """While it does not run there is no address; later there is, for this session alone."""
    reply = await web("POST", TUNNELS, gateway, json=request(alice))
    assert reply.status == 201
    assert (reply.json["actor"], reply.json["address"]) == ("alice", None)
    assert reply.json["start_on_connect"] == "always"
    [row] = await rows(web)
    assert (row.kind, row.actor, row.address) == ("tunnel", "alice", "192.0.2.7")
    assert ("session.open", "ok", "alice", "alice") in await web.parts.events()
    path = f"/hub/api/gateway/sessions/{reply.json['id']}/address"
    assert (await web("GET", path, gateway)).error == (409, "The workspace is not running")
    server = await web.parts.ready()
    where = {"host": server.host, "port": server.port, "host_key": server.host_key}
    assert (await web("GET", path, gateway)).json == where
    again = await web("POST", TUNNELS, gateway, json=request(alice, "ALICE"))
    assert again.json["address"] == where
    other = path.replace(reply.json["id"], "00000000-0000-0000-0000-000000000000")
    assert (await web("GET", other, gateway)).error[0] == 404


async def test_an_admin_enters_as_themselves(web: Web, gateway: str, ada: str) -> None:
    reply = await web("POST", TUNNELS, gateway, json=request(ada))
    assert (reply.status, reply.json["actor"]) == (201, "ada")


async def test_what_opens_nothing(web: Web, gateway: str, alice: str, ada: str) -> None:
    expired = await web.parts.token("alice", expires_in=60)
    web.parts.clock.advance(61)
    cases: dict[str, tuple[dict[str, Any], int, str]] = {
        "no token": (request(""), 409, UNKNOWN),
        "an unknown one": (request("kws_x"), 409, UNKNOWN),
        "an expired one": (request(expired), 409, UNKNOWN),
        "a gateway's own": (request(gateway), 409, UNKNOWN),
        "another's workspace": (
            request(alice, "bob"),
            403,
            "User alice may not enter the workspaces of bob",
        ),
        "that of nobody": (
            request(alice, "nobody"),
            403,
            "User alice may not enter the workspaces of nobody",
        ),
        "nobody's, by an admin": (request(ada, "nobody"), 404, "User nobody does not exist"),
        "no name": (request(alice, "a b"), 404, ""),
        "a name that is not there": (request(alice, "alice", "gpu"), 404, ""),
    }
    for what, (body, status, message) in cases.items():
        reply = await web("POST", TUNNELS, gateway, json=body)
        assert reply.error[0] == status, what
        assert reply.error[1].startswith(message), what
    assert await rows(web) == []
    assert (await web("POST", TUNNELS, alice, json=request(alice))).error[0] == 403
    web.parts.authenticator.blocked_users = {"alice"}
    assert (await web("POST", TUNNELS, gateway, json=request(alice))).error == (409, UNKNOWN)


async def test_a_hub_without_tunnels(open_hub: OpenParts, open_web: OpenWeb) -> None:
    """None is opened, and no server names where."""
    web = open_web(await open_hub(tunnel_base=None))
    token, gateway = await web.parts.token("alice"), await web.parts.service_token("gateway")
    assert (await web("POST", TUNNELS, gateway, json=request(token))).error[0] == 404
    await web.parts.ready()
    [shown] = (await web("GET", "/hub/api/users/alice", token)).json["servers"].values()
    assert not {"tunnel_url", "host_key", "account"} & set(shown)


async def test_what_a_server_tells(web: Web, alice: str) -> None:
    """Where a tunnel is opened; and while it runs, whom to expect there and whom to log in as."""
    await web("PUT", "/hub/api/users/alice/server", alice)
    row = await web.parts.ready()
    for path in ("/hub/api/users/alice", "/hub/api/users/alice/server"):
        body = (await web("GET", path, alice)).json
        shown = body["servers"][""] if "servers" in body else body
        assert shown["tunnel_url"] == "/gateway/tunnel/alice"
        assert (shown["host_key"], shown["account"]) == (row.host_key, row.account)
    await web("DELETE", "/hub/api/users/alice/server", alice)
    stopped = (await web("GET", "/hub/api/users/alice/server", alice)).json
    assert stopped["tunnel_url"] == "/gateway/tunnel/alice"
    assert not {"host_key", "account"} & set(stopped)


async def test_who_starts_it_is_told(
    open_hub: OpenParts, open_web: OpenWeb, keys: dict[str, KeyFile]
) -> None:
    policy = SessionPolicy(start_on_connect="never")
    web = open_web(await open_hub(users={"alice": [keys["ed25519"].line]}, policy=policy))
    token, gateway = await web.parts.token("alice"), await web.parts.service_token("gateway")
    reply = await web("POST", TUNNELS, gateway, json=request(token))
    assert reply.json["start_on_connect"] == "never"


async def test_limits_are_those_of_all_sessions(open_hub: OpenParts, open_web: OpenWeb) -> None:
    """What has ended does not count."""
    web = open_web(await open_hub(policy=SessionPolicy(most_of_user=1)))
    token, gateway = await web.parts.token("alice"), await web.parts.service_token("gateway")
    first = await web("POST", TUNNELS, gateway, json=request(token))
    assert (await web("POST", TUNNELS, gateway, json=request(token))).error == (429, FULL)
    path = f"/hub/api/gateway/sessions/{first.json['id']}"
    assert (await web("DELETE", path, gateway, json={"reason": "over"})).status == 204
    assert (await web("POST", TUNNELS, gateway, json=request(token))).status == 201


async def test_a_revoked_token_ends_its_tunnels(web: Web, gateway: str, alice: str) -> None:
    """And those of no other token."""
    told: list[Command] = []
    web.parts.bus.subscribe(
        COMMANDS, lambda data: told.append(msgspec.json.decode(data, type=Command))
    )
    other = await web.parts.token("alice")
    ids = [
        (await web("POST", TUNNELS, gateway, json=request(token))).json["id"]
        for token in (alice, other)
    ]
    assert (await web("DELETE", "/hub/api/auth/token", alice)).status == 204
    assert told == [Command(kind="end", sessions=ids[:1], message=REVOKED)]


async def test_opened_while_the_token_is_revoked(web: Web, gateway: str, alice: str) -> None:
    """Whichever is first: no tunnel is left that nobody was told to end."""
    opened, gone = await asyncio.gather(
        web("POST", TUNNELS, gateway, json=request(alice)),
        web("DELETE", "/hub/api/auth/token", alice),
    )
    assert gone.status == 204
    assert opened.status in {201, 409}
    assert all(row.end_message == REVOKED for row in await rows(web))


@pytest.mark.parametrize("blocked", [False, True])
async def test_a_blocked_user_is_told_with_the_next_report(
    web: Web, gateway: str, alice: str, blocked: bool
) -> None:
    """A token that an admin made has no key; what it opened goes with its user."""
    reply = await web("POST", TUNNELS, gateway, json=request(alice))
    id = reply.json["id"]
    if blocked:
        web.parts.authenticator.blocked_users = {"alice"}
    report = {
        "door": msgspec.to_builtins(hub.DOOR),
        "sessions": [{"id": id, "idle": 0.0}],
        "tunnel_port": 4444,
    }
    path = "/hub/api/gateway/instances/gw-1"
    assert (await web("PUT", path, gateway, json=report)).status == 204
    [row] = await rows(web)
    assert bool(row.end_message) is blocked
    assert web.parts.gateways.tunnel_port() == 4444
