"""What opens a workspace to who has a tunnel into it: narrow, brief, and for nobody else."""

from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import asyncssh
import pytest
from asyncssh.public_key import SSHOpenSSHCertificate

from kworkspace.hub.ca import CERTIFICATE_LIFE
from kworkspace.hub.tunnel_certificates import NO_KEY, NO_TUNNEL
from kworkspace.hub.tunnels import REVOKED
from tests.hub.api.conftest import OpenWeb, Reply, Web
from tests.hub.api.test_tunnels import TUNNELS, request
from tests.hub.conftest import KeyFile
from tests.hub.parts import OpenParts, Parts

PATH = "/hub/api/users/alice/server/certificate"
KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


async def signed(parts: Parts, user: str, key: KeyFile, expires_in: int | None = 3600) -> str:
    """Return a token that a key has signed for."""
    async with parts.store.begin() as session:
        made = await parts.tokens.issue(
            session,
            user,
            note="signed",
            expires_in=expires_in,
            key_fingerprint=asyncssh.import_public_key(key.line).get_fingerprint(),
        )
    return made.token


async def ask(web: Web, token: str, path: str = PATH, key: str = KEY, address: str = "") -> Reply:
    """Ask for a certificate, with what a proxy says of where that came from."""
    return await web("POST", path, token, json={"public_key": key}, X_Forwarded_For=address)


async def open_tunnel(web: Web, token: str, gateway: str, user: str = "alice") -> str:
    """Open a tunnel and return the session's id."""
    reply = await web("POST", TUNNELS, gateway, json=request(token, user))
    assert reply.status == 201
    id: str = reply.json["id"]
    return id


def certificate_of(body: dict[str, Any]) -> SSHOpenSSHCertificate:
    """Return what was made."""
    certificate = asyncssh.import_certificate(body["certificate"])
    assert isinstance(certificate, SSHOpenSSHCertificate)
    return certificate


async def test_it_is_narrow(web: Web, gateway: str, keys: dict[str, KeyFile]) -> None:
    """For one key, one workspace, five minutes, and from the tunnel's gateway alone."""
    token = await signed(web.parts, "alice", keys["ed25519"])
    server = await web.parts.ready()
    id = await open_tunnel(web, token, gateway)
    reply = await ask(web, token)
    assert reply.status == 201
    body = reply.json
    certificate = certificate_of(body)
    [host_authority] = body.pop("host_authorities")
    assert host_authority.startswith("ssh-ed25519 ")
    assert {name: text for name, text in body.items() if name != "certificate"} == {
        "id": server.id,
        "account": server.account,
        "host_key": server.host_key,
    }
    assert certificate.key.export_public_key().decode().split()[:2] == KEY.split()[:2]
    assert certificate.principals == [server.id]
    assert certificate._key_id == f"tunnel {id} of alice"
    ends = web.parts.clock() + CERTIFICATE_LIFE
    assert certificate._valid_before == int(ends.timestamp())
    options: dict[str, Any] = certificate.options
    assert {str(each) for each in options["source-address"]} == {"127.0.0.1/32", "::1/128"}
    assert ("certificate.new", "ok", "alice", "alice") in await web.parts.events()


async def test_it_ends_with_its_token(web: Web, gateway: str, keys: dict[str, KeyFile]) -> None:
    token = await signed(web.parts, "alice", keys["ed25519"], expires_in=60)
    await web.parts.ready()
    await open_tunnel(web, token, gateway)
    certificate = certificate_of((await ask(web, token)).json)
    ends = web.parts.clock() + timedelta(seconds=60)
    assert certificate._valid_before == int(ends.timestamp())
    web.parts.clock.advance(61)
    assert (await ask(web, token)).error[0] == 401


async def test_an_admin_is_themselves(web: Web, gateway: str, keys: dict[str, KeyFile]) -> None:
    token = await signed(web.parts, "ada", keys["ecdsa"])
    await web.parts.ready()
    id = await open_tunnel(web, token, gateway)
    certificate = certificate_of((await ask(web, token)).json)
    assert certificate._key_id == f"tunnel {id} of ada"
    assert ("certificate.new", "ok", "ada", "alice") in await web.parts.events()


async def test_what_gets_none(web: Web, gateway: str, alice: str, keys: dict[str, KeyFile]) -> None:
    token = await signed(web.parts, "alice", keys["ed25519"])
    other = await signed(web.parts, "alice", keys["ed25519"])
    bob = await signed(web.parts, "bob", keys["other"])
    admin_service = await web.parts.service_token("culler")
    assert (await ask(web, token)).error == (404, "User alice has no workspace yet")
    for each in (token, alice):
        await open_tunnel(web, each, gateway)
    assert (await ask(web, token)).error == (409, "The workspace is not running")
    await web.parts.ready()
    cases: dict[str, tuple[Reply, int, str]] = {
        "no key": (await ask(web, token, key="x"), 400, "public_key: not an OpenSSH public key"),
        "another kind": (
            await ask(web, token, key=keys["ecdsa"].line),
            400,
            "public_key: a session's key is an ssh-ed25519 one",
        ),
        "another's": (await ask(web, bob), 404, "User alice does not exist"),
        "a token without a tunnel": (await ask(web, other), 409, NO_TUNNEL),
        "a token that an admin made": (await ask(web, alice), 403, NO_KEY),
        "a service's": (await ask(web, admin_service), 403, NO_KEY),
        "a gateway's": (
            await ask(web, gateway),
            403,
            "This needs the scope access:servers, which service gateway does not have",
        ),
        "a workspace that is not there": (
            await ask(web, token, PATH.replace("server", "servers/gpu")),
            404,
            "User alice has no workspace gpu yet",
        ),
    }
    for what, (reply, status, message) in cases.items():
        assert reply.error == (status, message), what
    assert "certificate.new" not in {event[0] for event in await web.parts.events()}
    web.parts.authenticator.blocked_users = {"alice"}
    assert (await ask(web, token)).error[0] == 401


async def test_not_for_another_workspace(web: Web, gateway: str, keys: dict[str, KeyFile]) -> None:
    """A tunnel into one of an admin's ways in is none into another."""
    token = await signed(web.parts, "ada", keys["ecdsa"])
    await web.parts.ready("alice")
    await web.parts.ready("bob")
    await open_tunnel(web, token, gateway, "alice")
    assert (await ask(web, token, PATH.replace("alice", "bob"))).error == (409, NO_TUNNEL)


@pytest.mark.parametrize("how", ["ended", "to end"])
async def test_not_without_the_tunnel(
    web: Web, gateway: str, keys: dict[str, KeyFile], how: str
) -> None:
    """Neither when it has ended nor when its gateway has not heard yet that it is to."""
    token = await signed(web.parts, "alice", keys["ed25519"])
    server = await web.parts.ready()
    id = await open_tunnel(web, token, gateway)
    if how == "ended":
        path = f"/hub/api/gateway/sessions/{id}"
        assert (await web("DELETE", path, gateway, json={"reason": "over"})).status == 204
    else:
        await web.parts.open_sessions.end_of_server(server, REVOKED)
    assert (await ask(web, token)).error == (409, NO_TUNNEL)


async def test_conditions_of_a_key_hold(
    open_hub: OpenParts, open_web: OpenWeb, keys: dict[str, KeyFile]
) -> None:
    """`from=` for the address that asks, `expiry-time=` and removal for the token at once."""
    parts = await open_hub(
        users={"alice": [f'from="192.0.2.0/24",expiry-time="20300103" {keys["ed25519"].line}']}
    )
    parts.authenticator._clock = parts.clock
    parts.domain.trusted_proxies = (ip_network("127.0.0.0/8"),)
    web = open_web(parts)
    token = await signed(parts, "alice", keys["ed25519"], expires_in=None)
    gateway = await parts.service_token("gateway")
    await parts.ready()
    await open_tunnel(web, token, gateway)
    assert (await ask(web, token, address="192.0.2.9")).status == 201
    assert (await ask(web, token, address="198.51.100.1")).error == (
        403,
        "The key that you signed in with may not be used from 198.51.100.1",
    )
    parts.clock.advance(86400)
    assert (await ask(web, token, address="192.0.2.9")).error[0] == 401
