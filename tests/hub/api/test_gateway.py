"""What a gateway may ask for: nothing without a login that a user's own key has signed."""

import asyncio
import os
import subprocess
from pathlib import Path
from typing import Any

import asyncssh
import msgspec
import pytest
from sqlalchemy import select

from kworkspace.cli.client import calls, models
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.hub.bans import FREE
from kworkspace.hub.db import models as db
from kworkspace.hub.session_policy import SessionPolicy
from kworkspace.hub.starts import Limits
from tests.hub import parts as hub
from tests.hub.api.conftest import OpenWeb, Reply, Web, signed_login
from tests.hub.clock import until
from tests.hub.conftest import KeyFile
from tests.hub.fake_spawner import held_by
from tests.hub.parts import OpenParts

SESSIONS = "/hub/api/gateway/sessions"
UNKNOWN = "00000000-0000-0000-0000-000000000000"
DOOR = msgspec.to_builtins(hub.DOOR)
FOREIGN = msgspec.to_builtins(msgspec.structs.replace(hub.DOOR, host_keys=["ssh-ed25519 AAAA"]))
Keys = dict[str, KeyFile]


async def open_session(web: Web, token: str, key: KeyFile, login: str = "alice") -> str:
    reply = await web("POST", SESSIONS, token, json=signed_login(key, login))
    assert reply.status == 201, reply.body
    return str(reply.json["id"])


def offered(login: str, key: KeyFile) -> dict[str, str]:
    return {"login": login, "public_key": key.line, "address": "192.0.2.7"}


async def test_authorize(web: Web, gateway: str, keys: Keys) -> None:
    async def may(login: str, key: str) -> bool:
        reply = await web(
            "POST", "/hub/api/gateway/authorize", gateway, json=offered(login, keys[key])
        )
        if reply.status == 204:
            assert reply.body == b""
            return True
        assert reply.error == (403, "Login refused: no such user, or not a key of theirs")
        return False

    assert await may("alice", "ed25519")
    assert await may("ALICE+gpu", "ed25519")
    assert await may("ada=alice", "ecdsa")
    assert not await may("alice", "other")
    assert not await may("alice", "rsa")
    assert not await may("nobody", "ed25519")
    assert not await may("bob=alice", "other")
    assert not await may("ada=alice", "ed25519")
    assert not await may("ada=nobody", "ecdsa")
    for login in ("", "a b", "a/b", "alice+", "alice+A", "x" * 10_000):
        assert not await may(login, "ed25519")


async def test_open(web: Web, gateway: str, keys: Keys) -> None:
    reply = await web("POST", SESSIONS, gateway, json=signed_login(keys["ed25519"], "alice"))
    assert reply.status == 201
    assert (reply.json["user"], reply.json["server"]["status"]) == ("alice", "stopped")
    assert ("session.open", "ok", "alice", "alice") in await web.parts.events()


async def test_what_a_gateway_is_told(
    open_hub: OpenParts, open_web: OpenWeb, keys: Keys, tmp_path: Path
) -> None:
    """And what its certificate says to the workspace."""
    policy = SessionPolicy(start_on_connect="never", x11_forwarding=True)
    web = open_web(await open_hub(users={"alice": [keys["ed25519"].line]}, policy=policy))
    gateway = await web.parts.service_token("gateway")
    await web.parts.ready()
    login = signed_login(keys["ed25519"], "alice")
    told = (await web("POST", SESSIONS, gateway, json=login)).json
    assert (told["start_on_connect"], told["x11_forwarding"]) == ("never", True)
    made = (await certificate(web, gateway, told["id"])).json["certificate"]
    assert "permit-X11-forwarding" in show(made, tmp_path)


async def test_banned_login_looks_like_a_wrong_key(web: Web, gateway: str, keys: Keys) -> None:
    """Nobody looks at the key; another address is not concerned, and a login ends the count."""
    asked: list[str] = []
    may_offer = web.parts.authenticator.may_offer

    def looked_up(user: str, public_key: str, *, address: str) -> bool:
        asked.append(user)
        return may_offer(user, public_key, address=address)

    web.parts.authenticator.may_offer = looked_up  # type: ignore[method-assign]

    async def authorize(key: str, address: str = "192.0.2.7") -> Reply:
        offer = offered("alice", keys[key]) | {"address": address}
        return await web("POST", "/hub/api/gateway/authorize", gateway, json=offer)

    async def fail(times: int) -> None:
        failure = {"login": "alice+gpu", "address": "192.0.2.7"}
        for _ in range(times):
            reply = await web("POST", "/hub/api/gateway/failures", gateway, json=failure)
            assert reply.status == 204

    wrong = (await authorize("other")).error
    await fail(FREE - 1)
    assert (await authorize("ed25519")).status == 204
    await fail(1)
    asked.clear()
    assert (await authorize("ed25519")).error == wrong
    assert asked == []
    assert (await authorize("ed25519", "192.0.2.8")).status == 204
    web.parts.clock.advance(1)
    assert (await authorize("ed25519")).status == 204
    login = signed_login(keys["ed25519"], "alice")
    assert (await web("POST", SESSIONS, gateway, json=login)).status == 201
    await fail(FREE - 1)
    assert (await authorize("ed25519", login["address"])).status == 204


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
async def test_every_type_of_key(
    open_hub: OpenParts, open_web: OpenWeb, keys: Keys, kind: str
) -> None:
    web = open_web(await open_hub(users={"alice": [keys[kind].line]}))
    await open_session(web, await web.parts.service_token("gateway"), keys[kind])


async def test_admin_in_anothers_workspace(web: Web, gateway: str, keys: Keys) -> None:
    reply = await web("POST", SESSIONS, gateway, json=signed_login(keys["ecdsa"], "ada=alice"))
    assert (reply.status, reply.json["user"]) == (201, "alice")


async def test_what_opens_nothing(web: Web, gateway: str, keys: Keys) -> None:
    alices, bobs = keys["ed25519"], keys["other"]
    good = signed_login(alices, "alice")
    cases = {
        "somebody else's key": signed_login(bobs, "alice"),
        "a key that nobody has": signed_login(keys["rsa"], "alice"),
        "unknown user": signed_login(alices, "nobody"),
        "signed for another login": good | {"login": "alice+gpu"},
        "signed by another key": good | {"public_key": bobs.line},
        "another signature": good | {"signature": signed_login(alices, "alice")["signature"]},
        "made at another door": good | {"door_signature": good["signature"]},
        "vouched for another login": good
        | {"door_signature": signed_login(alices, "alice")["door_signature"]},
        "not vouched for": good | {"door_signature": ""},
        "not an admin": signed_login(bobs, "bob=alice"),
        "not the admin": signed_login(alices, "ada=alice"),
        "no login": signed_login(alices, ""),
        "no connection's": signed_login(alices, "alice", session_id=b""),
    }
    for what, case in cases.items():
        reply = await web("POST", SESSIONS, gateway, json=case)
        assert reply.error == (403, "Login refused: no such user, or not a key of theirs"), what
    actions = [event for event in await web.parts.events() if event[1] == "forbidden"]
    logins = [case["login"] for case in cases.values()]
    assert actions == [("post sessions", "forbidden", "service gateway", login) for login in logins]
    assert web.parts.readmodel.servers() == []
    async with web.parts.store.begin() as session:
        rows = await session.scalars(select(db.Event).where(db.Event.outcome == "forbidden"))
        assert {row.address for row in rows} == {good["address"]}, "the user's, not the gateway's"


async def test_a_proof_opens_one_session(web: Web, gateway: str, keys: Keys) -> None:
    proof = signed_login(keys["ed25519"], "alice")
    replies = await asyncio.gather(*(web("POST", SESSIONS, gateway, json=proof) for _ in range(3)))
    assert sorted(reply.status for reply in replies) == [201, 403, 403]
    again = await web("POST", SESSIONS, gateway, json=proof | {"gateway": "gw-2"})
    assert again.error[0] == 403


async def test_fields_that_cannot_be(web: Web, gateway: str, keys: Keys) -> None:
    good = signed_login(keys["ed25519"], "alice")
    for field, value in (("signed", "%"), ("signature", "é"), ("gateway", 1), ("more", "x")):
        status, message = (await web("POST", SESSIONS, gateway, json={**good, field: value})).error
        assert (status, message.partition(":")[0]) == (400, field)


async def test_named_workspace_that_is_not_there(web: Web, gateway: str, keys: Keys) -> None:
    proof = signed_login(keys["ed25519"], "alice+gpu")
    reply = await web("POST", SESSIONS, gateway, json=proof)
    assert reply.error == (404, "alice's workspace gpu does not exist")


async def test_unknown_sessions(web: Web, gateway: str, keys: Keys) -> None:
    for method, path, body in (
        ("POST", "server", None),
        ("GET", "progress", None),
        ("POST", "certificate", {"public_key": keys["ed25519"].line}),
    ):
        reply = await web(method, f"{SESSIONS}/{UNKNOWN}/{path}", gateway, json=body)
        assert reply.error == (404, f"There is no open session {UNKNOWN}")
    path = f"{SESSIONS}/{UNKNOWN}"
    assert (await web("DELETE", path, gateway, json={"reason": "x"})).status == 204
    assert (await web("DELETE", f"{SESSIONS}/not-an-id", gateway, json={})).status == 404


async def certificate(web: Web, token: str, session: str) -> Reply:
    key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    path = f"{SESSIONS}/{session}/certificate"
    return await web("POST", path, token, json={"public_key": key})


async def test_start_progress_and_certificate(
    web: Web, gateway: str, keys: Keys, tmp_path: Path
) -> None:
    """The whole way in, through the gateway's own client."""
    token = tmp_path / "token"
    token.write_text(gateway)
    web.parts.domain.slow_spawn_seconds = 0.01
    go_on = asyncio.Event()
    web.parts.spawner.behaviour = held_by(go_on)
    id = await open_session(web, gateway, keys["ecdsa"], "ada=alice")
    assert (await certificate(web, gateway, id)).error == (409, "The workspace is not running")
    async with AsyncClient(web.url, token) as client:
        await client.send(calls.start_session_server(id))
        assert (await certificate(web, gateway, id)).error[0] == 409
        messages = []
        async for item in client.stream(calls.session_progress(id)):
            messages.append(item.message)
            go_on.set()
        assert messages[0] == "Starting your workspace"
        assert messages[-1] == "Your workspace is ready"
        await client.send(calls.start_session_server(id))
        public = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        request = models.CertificateRequest(public_key=public)
        opened = await client.send(calls.certificate(id, request))
    assert (opened.host, opened.port, opened.account) == ("127.0.0.1", 2222, "someone")
    assert opened.host_key == "ssh-ed25519 AAAA"
    words = show(opened.certificate, tmp_path)
    server = web.parts.readmodel.servers()[0]
    assert f"Principals: {server.id} Critical" in words
    assert "source-address 127.0.0.1/32" in words
    assert f'Key ID: "session {id} of ada"' in words
    assert "from 2030-01-02T03:03:05 to 2030-01-02T03:09:05" in words


def show(certificate: str, folder: Path) -> str:
    """Return what OpenSSH says of a certificate."""
    (folder / "certificate").write_text(certificate)
    command = ["ssh-keygen", "-L", "-f", str(folder / "certificate")]
    environment = os.environ | {"TZ": "UTC"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split())


async def test_certificate_for_no_key(web: Web, gateway: str, keys: Keys) -> None:
    id = await open_session(web, gateway, keys["ed25519"])
    await web.parts.ready()
    path = f"{SESSIONS}/{id}/certificate"
    reply = await web("POST", path, gateway, json={"public_key": "nonsense"})
    assert reply.error == (400, "public_key: not an OpenSSH public key")


async def test_limits_hold_for_the_gateway_too(
    open_hub: OpenParts, open_web: OpenWeb, keys: Keys
) -> None:
    users = {"alice": [keys["ed25519"].line], "bob": []}
    web = open_web(await open_hub(users=users, limits=Limits(active_servers=1)))
    gateway = await web.parts.service_token("gateway")
    await web.parts.ready("bob")
    id = await open_session(web, gateway, keys["ed25519"])
    reply = await web("POST", f"{SESSIONS}/{id}/server", gateway)
    assert (reply.error[0], reply.headers["Retry-After"]) == (429, "60")


async def test_close(web: Web, gateway: str, keys: Keys) -> None:
    id = await open_session(web, gateway, keys["ed25519"])
    for reason in ("the client left", "again"):
        reply = await web("DELETE", f"{SESSIONS}/{id}", gateway, json={"reason": reason})
        assert reply.status == 204
    assert (await certificate(web, gateway, id)).error[0] == 404
    ends = [event for event in await web.parts.events() if event[0] == "session.end"]
    assert ends == [("session.end", "ok", "service gateway", "alice")]


async def test_host_certificate(web: Web, gateway: str, alice: str) -> None:
    """By the authority that people are told of, for the door alone; nobody else may ask."""
    path = "/hub/api/gateway/host-certificate"
    [line] = hub.DOOR.host_keys
    reply = await web("POST", path, gateway, json={"public_key": line})
    assert reply.status == 201
    certificate = asyncssh.import_certificate(reply.json["certificate"])
    assert certificate.key == hub.DOOR_KEY.convert_to_public()
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    reply = await web("POST", path, gateway, json={"public_key": other})
    assert (reply.status, "host key" in reply.error[1]) == (403, True)
    assert (await web("POST", path, alice, json={"public_key": line})).status == 403
    assert (await web("POST", path, json={"public_key": line})).status == 401


def report(*sessions: tuple[str, float]) -> dict[str, Any]:
    return {"door": DOOR, "sessions": [{"id": id, "idle": idle} for id, idle in sessions]}


async def test_report(web: Web, gateway: str, keys: Keys) -> None:
    """Where its door is, and what its sessions did; a silent session's workspace looks idle."""
    id = await open_session(web, gateway, keys["ed25519"])
    row = await web.parts.ready()
    began = web.parts.clock.now
    path = "/hub/api/gateway/instances/gw-1"
    web.parts.clock.advance(100)
    assert (await web("PUT", path, gateway, json=report((id, 30.0)))).status == 204
    now = web.parts.readmodel.server(row.id)
    user = web.parts.readmodel.user("alice")
    assert now is not None
    assert user is not None
    assert now.last_activity == user.last_activity
    assert now.last_activity is not None
    assert (now.last_activity - began).total_seconds() == 70
    door = (await web("GET", "/hub/api/")).json["ssh"]
    [authority] = door["host_authorities"]
    assert door == DOOR | {"host_authorities": [authority]}
    for idle in (1e300, -5.0):
        assert (await web("PUT", path, gateway, json=report((id, idle)))).status == 204
    later = web.parts.readmodel.server(row.id)
    assert later is not None
    assert later.last_activity == web.parts.clock.now
    web.parts.clock.advance(61)
    assert (await web("GET", "/hub/api/")).json["ssh"] is None


async def test_a_session_that_its_gateway_has_not(web: Web, gateway: str, keys: Keys) -> None:
    """Ended when a report does not know it, but not while its opening may be under way."""
    id = await open_session(web, gateway, keys["ed25519"])
    other = await open_session(web, gateway, keys["ed25519"])
    for instance, known in (("gw-1", [(other, 0.0)]), ("gw-2", [])):
        await web("PUT", f"/hub/api/gateway/instances/{instance}", gateway, json=report(*known))
    assert (await certificate(web, gateway, id)).error[0] == 409
    await web.parts.pass_time(121)
    await web("PUT", "/hub/api/gateway/instances/gw-1", gateway, json=report((other, 0.0)))
    assert (await certificate(web, gateway, id)).error[0] == 404
    assert (await certificate(web, gateway, other)).error[0] == 409


async def test_silent_gateway(web: Web, gateway: str, keys: Keys) -> None:
    """Nobody has heard of the session for two minutes, whatever clocks were set to meanwhile."""
    id = await open_session(web, gateway, keys["ed25519"])
    web.parts.clock.advance(300)
    await web.parts.open_sessions.sweep()
    web.parts.clock.jump(86400)
    await web.parts.open_sessions.sweep()
    web.parts.clock.advance(100)
    path = "/hub/api/gateway/instances/gw-1"
    await web("PUT", path, gateway, json=report((id, 0.0)))
    await web.parts.open_sessions.sweep()
    web.parts.clock.advance(120)
    await web.parts.open_sessions.sweep()
    assert (await certificate(web, gateway, id)).error[0] == 409
    web.parts.clock.advance(1)
    await web.parts.open_sessions.sweep()
    assert (await certificate(web, gateway, id)).error[0] == 404
    assert ("session.end", "ok", "hub", "alice") in await web.parts.events()


async def test_commands(web: Web, gateway: str, alice: str, keys: Keys, tmp_path: Path) -> None:
    """A stop ends the sessions in the workspace, on whichever gateway they are."""
    token = tmp_path / "token"
    token.write_text(gateway)
    id = await open_session(web, gateway, keys["ed25519"])
    other = await open_session(web, gateway, keys["other"], "bob")
    await web.parts.ready()
    async with AsyncClient(web.url, token) as client:
        streams = [client.stream(calls.gateway_commands(name)) for name in ("gw-1", "gw-2")]
        first = [web.parts.driver._tasks.spawn(_next(stream), "next") for stream in streams]
        await until(lambda: len(web.parts.gateways._queues) == 2)
        assert (await web("DELETE", "/hub/api/users/alice/server", alice)).status == 204
        for command in await asyncio.gather(*first):
            assert (command.kind, command.sessions) == ("end", [id])
            assert command.message == "Your workspace is being stopped; your files are kept"
            assert other not in command.sessions
    await until(lambda: not web.parts.gateways._queues)


async def _next(stream: Any) -> models.Command:
    command: models.Command = await anext(stream)
    await stream.aclose()
    return command
