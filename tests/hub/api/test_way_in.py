"""Attacks on the way into a workspace: with the hub's own certificates, against a real sshd."""

import getpass
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import pytest

from tests.gateway.openssh import SSHD, public_line, write_key
from tests.hub.api.conftest import OpenWeb, Reply, Web, signed_login
from tests.hub.clock import Clock
from tests.hub.conftest import KeyFile
from tests.hub.parts import OpenParts

SESSIONS = "/hub/api/gateway/sessions"
MINUTES = 60.0


@dataclass
class WayIn:
    """A hub whose clock is right, a gateway's token, and alice's open session."""

    web: Web
    clock: Clock
    token: str
    session: str
    folder: Path
    key: asyncssh.SSHKey

    async def ask(self, token: str | None = None, session: str | None = None) -> Reply:
        """Ask for a certificate, as the gateway if nothing else is said."""
        path = f"{SESSIONS}/{session or self.session}/certificate"
        return await self.web(
            "POST", path, token or self.token, json={"public_key": public_line(self.key)}
        )

    async def certificate(self) -> str:
        """Return one, as a line."""
        reply = await self.ask()
        assert reply.status == 201, reply.body
        return str(reply.json["certificate"])

    def enters(self, sshd: SSHD, certificate: str, source: str = "127.0.0.1") -> bool:
        """Whether somebody with key and certificate gets in."""
        key = self.folder / "key"
        if not key.exists():
            write_key(key, self.key)
        (self.folder / "key-cert.pub").write_text(certificate + "\n")
        options = ["BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none"]
        options += ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        command = ["ssh", "-F", "none", "-b", source, "-p", str(sshd.port), "-i", str(key)]
        command += [word for option in options for word in ("-o", option)]
        done = subprocess.run(
            [*command, f"{getpass.getuser()}@127.0.0.1", "echo in"],
            capture_output=True,
            timeout=60,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout == b"in\n"
        assert b"Permission denied" in done.stderr
        return False


@pytest.fixture
async def way(
    open_hub: OpenParts, open_web: OpenWeb, keys: dict[str, KeyFile], tmp_path: Path
) -> WayIn:
    """Alice has logged in, and her workspace runs."""
    clock = Clock()
    clock.now = datetime.now(UTC)
    web = open_web(await open_hub(users={"alice": [keys["ed25519"].line]}, clock=clock))
    token = await web.parts.service_token("gateway")
    login = signed_login(keys["ed25519"], "alice")
    session = (await web("POST", SESSIONS, token, json=login)).json["id"]
    await web.parts.ready()
    return WayIn(web, clock, token, session, tmp_path, asyncssh.generate_private_key("ssh-ed25519"))


@pytest.fixture
def workspace(way: WayIn) -> Iterator[Callable[..., SSHD]]:
    """Return a function that starts an sshd as a workspace's, which trusts the hub's authority."""
    with ExitStack() as exits:

        def start(principal: str) -> SSHD:
            authority = asyncssh.import_public_key(way.web.parts.authority.public_keys()[0])
            nobody = asyncssh.generate_private_key("ssh-ed25519")
            sshd = SSHD(way.folder / principal, authority, nobody, principal)
            sshd.start()
            exits.callback(sshd.kill)
            return sshd

        yield start


async def test_certificates(way: WayIn, workspace: Callable[..., SSHD]) -> None:
    """One opens its own workspace, from the gateway's address, for some minutes."""
    [row] = way.web.parts.readmodel.servers()
    own, other = workspace(row.id), workspace("another-workspaces-id")
    good = await way.certificate()
    assert way.enters(own, good)
    assert not way.enters(other, good)
    assert not way.enters(own, good, source="127.0.0.2")
    way.clock.jump(-4 * MINUTES)
    assert way.enters(own, await way.certificate())
    way.clock.jump(-1.5 * MINUTES)
    assert not way.enters(own, await way.certificate()), "its end has passed"
    way.clock.jump(60 * MINUTES)
    assert not way.enters(own, await way.certificate()), "it has not begun"


async def test_without_a_login(way: WayIn, keys: dict[str, KeyFile]) -> None:
    """A gateway's token alone, others' tokens, and a proof that has been used."""
    reply = await way.ask(session="00000000-0000-0000-0000-000000000000")
    assert reply.status == 404
    assert (await way.ask(token=await way.web.parts.token("alice"))).status == 403
    assert (await way.ask(token=await way.web.parts.service_token("other"))).status == 401
    login = signed_login(keys["ed25519"], "alice")
    assert (await way.web("POST", SESSIONS, way.token, json=login)).status == 201
    for replayed in (login, login | {"gateway": "gw-2"}, login | {"address": "192.0.2.9"}):
        assert (await way.web("POST", SESSIONS, way.token, json=replayed)).status == 403


async def test_after_the_session(way: WayIn) -> None:
    assert (await way.ask()).status == 201
    reply = await way.web("DELETE", f"{SESSIONS}/{way.session}", way.token, json={"reason": "x"})
    assert reply.status == 204
    assert (await way.ask()).error == (404, f"There is no open session {way.session}")


@pytest.mark.parametrize("what", ["told", "key"])
async def test_a_session_that_is_to_end(way: WayIn, what: str) -> None:
    """A gateway that does not want to hear of it gets nothing more, and starts nothing."""
    if what == "told":
        await way.web.parts.open_sessions.end_of_user("alice", "go away")
    else:
        way.web.parts.authenticator.is_good = lambda *_: False  # type: ignore[method-assign]
    assert (await way.ask()).status == 403
    path = f"{SESSIONS}/{way.session}"
    assert (await way.web("POST", f"{path}/server", way.token)).status == 403
    assert (await way.web("GET", f"{path}/progress", way.token)).status == 403
