"""The table of behaviours, in five places: nothing in between, the gateway, and the tunnel before
OpenSSH's sshd as the workspace; nothing and the gateway before the local spawner's own server.

sshd with nothing in between says what is right.
"""

import asyncio
import os
import shlex
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import asyncssh
import pytest

from tests.gateway import behaviours, dialogues
from tests.gateway.behaviours import Row
from tests.gateway.conftest import GatewayProcess
from tests.gateway.openssh import SSHD, public_line, write_key
from tests.gateway.places import Result, Surroundings, Way
from tests.gateway.stand_in_hub import ServerOf, StandInHub
from tests.gateway.tunnelled import TOKEN, Tunnelled
from tests.spawners.local.conftest import House, Ssh
from tests.ssh_agent import agent_with

WORKERS = 8
ROWS = [*behaviours.ROWS, *dialogues.ROWS]


@pytest.fixture(scope="module")
def own_server(
    tmp_path_factory: pytest.TempPathFactory, hub: StandInHub, user_keys: dict[str, asyncssh.SSHKey]
) -> Iterator[tuple[House, Ssh]]:
    """The local spawner's server, which trusts the hub's authority, without a skeleton's files."""
    folder = tmp_path_factory.mktemp("own")
    key = write_key(folder / "id", user_keys["bob"])
    key.with_suffix(".pub").write_text(public_line(user_keys["bob"]))
    house = House(folder, key)
    object.__setattr__(house.workspace, "user_authorities", (public_line(hub.authority),))

    async def begin() -> Ssh:
        spawner = await house.spawner()
        ssh = (await house.start(spawner))[1]
        await spawner.aclose()
        house.spawners.clear()
        return ssh

    with pytest.MonkeyPatch.context() as patch:
        # sshd's sessions have nothing of these either.
        for name in ("LANG", "LC_ALL", "LC_CTYPE", "TZ"):
            patch.delenv(name, raising=False)
        ssh = asyncio.run(begin())
    for path in (house.root / "home").iterdir():
        path.unlink()
    yield house, ssh
    asyncio.run(house.aclose())


@pytest.fixture(scope="module")
def surroundings(
    hub: StandInHub,
    sshd: SSHD,
    gateway: GatewayProcess,
    own_server: tuple[House, Ssh],
    user_keys: dict[str, asyncssh.SSHKey],
) -> Iterator[Surroundings]:
    """All five places, once for all rows."""
    house, own = own_server
    own_line = (own.folder / "known_hosts").read_text().split(" ", 1)[1].strip()
    door = cast("SSHD", SimpleNamespace(principal=house.workspace.id, port=own.port))
    hub.servers = {
        "alice": ServerOf(sshd),
        "bob": ServerOf(door, host_key=cast("Any", asyncssh.import_public_key(own_line))),
    }
    hub.tokens = {TOKEN: "alice"}
    door_key = hub.doors[gateway.port].host_keys[0]
    # A short name: a socket's address has 108 bytes (unix(7)).
    with tempfile.TemporaryDirectory(prefix="kw", dir="/tmp") as name:
        folder = Path(name)
        alice, bob = (write_key(folder / name, user_keys[name]) for name in ("alice", "bob"))
        alice.with_suffix(".pub").write_text(public_line(user_keys["alice"]))
        sshd_key = public_line(sshd.host_key)
        (folder / "tunnel").mkdir()
        tunnel = Tunnelled(
            folder / "tunnel",
            url=f"http://127.0.0.1:{gateway.tunnel_port}/gateway/tunnel/alice",
            key=alice,
            host_key=sshd_key,
            api=hub.url,
        )
        by_tunnel = Way(
            "tunnel to sshd",
            own.account,
            sshd.port,
            tunnel.login.private,
            sshd_key,
            shlex.join(tunnel.proxy()),
            tunnel.login.certificate,
            shared=True,
        )
        ways = {
            "a": Way("sshd", own.account, sshd.port, alice, sshd_key),
            "b": Way("gateway to sshd", "alice", gateway.port, alice, door_key),
            "c": Way("own server", own.account, own.port, bob, own_line),
            "d": Way("gateway to own server", "bob", gateway.port, bob, door_key),
            "e": by_tunnel,
        }
        with agent_with(alice) as agent:
            made = Surroundings(folder, ways, ways["a"], agent)
            with made.ready():
                yield made
    for log in (gateway.log, house.root / "run" / "server.log"):
        assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest, surroundings: Surroundings
) -> Iterator[dict[str, dict[str, Future[Result]]]]:
    """The results of the chosen rows by place; while a row waits for something, others run."""
    chosen = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    with ThreadPoolExecutor(WORKERS) as pool:
        yield {
            row.name: {
                way.name: pool.submit(surroundings.run, row, letter)
                for letter, way in surroundings.ways.items()
            }
            for row in (parameters.get("row") for parameters in chosen)
            if isinstance(row, Row) and _can_run(row)
        }
        pool.shutdown(cancel_futures=True)


def _can_run(row: Row) -> bool:
    return not row.pty or os.geteuid() == 0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_as_directly(results: dict[str, dict[str, Future[Result]]], row: Row) -> None:
    """Everywhere as with OpenSSH's sshd and nothing in between."""
    if not _can_run(row):
        pytest.skip("an sshd that is not root's cannot hand out terminals")
    found = {place: result.result() for place, result in results[row.name].items()}
    right = found.pop("sshd")
    assert found == dict.fromkeys(found, right)
