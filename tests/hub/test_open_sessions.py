"""The edges of open sessions that HTTP does not show; the rest is in `api/test_gateway.py`."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest

from kworkspace.cli.client.errors import NotFound, TooMany
from kworkspace.cli.client.models import (
    Command,
    GatewayReport,
    SessionActivity,
    SessionEnd,
    SessionRequest,
)
from kworkspace.hub.gateways import COMMANDS
from kworkspace.hub.open_sessions import IDLE, KEY_GONE
from kworkspace.hub.session_policy import SessionPolicy
from tests.hub.api.conftest import signed_login
from tests.hub.conftest import KeyFile
from tests.hub.parts import DOOR, OpenParts, Parts


@pytest.fixture
async def session(open_hub: OpenParts, keys: dict[str, KeyFile]) -> tuple[Parts, str]:
    """A hub, and a session of alice's in it."""
    parts = await open_hub(users={"alice": [keys["ed25519"].line]})
    request = SessionRequest(**signed_login(keys["ed25519"], "alice"))
    id, _ = await parts.sessions.open(request)
    return parts, id


async def test_sessions_survive_a_restart(
    session: tuple[Parts, str], open_hub: OpenParts, keys: dict[str, KeyFile]
) -> None:
    _, id = session
    after = await open_hub(users={"alice": [keys["ed25519"].line]})
    assert (await after.open_sessions.server_of(id)).user == "alice"
    with pytest.raises(NotFound):
        await after.open_sessions.server_of("another")


Ending = Callable[[Parts], Awaitable[None]]


def listen(parts: Parts) -> list[Command]:
    """Return the list of what gateways are told from now on."""
    told: list[Command] = []
    parts.bus.subscribe(COMMANDS, lambda data: told.append(msgspec.json.decode(data, type=Command)))
    return told


async def report(parts: Parts, id: str) -> None:
    """Have the gateway report the session."""
    activity = SessionActivity(id=id, idle=0.0)
    await parts.open_sessions.report("gw-1", GatewayReport(door=DOOR, sessions=[activity]))


async def end_of_server(parts: Parts) -> None:
    row = parts.readmodel.server_of("alice", "")
    assert row is not None
    await parts.open_sessions.end_of_server(row, "go away")


async def end_of_user(parts: Parts) -> None:
    await parts.open_sessions.end_of_user("bob", "go away")
    await parts.open_sessions.end_of_user("alice", "go away")


async def end_of_key(parts: Parts) -> None:
    await parts.open_sessions.end_not_good(["alice"], "go away")
    parts.authenticator.is_good = lambda *_: False  # type: ignore[method-assign]
    await parts.open_sessions.end_not_good(["bob"], "go away")
    await parts.open_sessions.end_not_good(["alice", "bob"], "go away")


@pytest.mark.parametrize("end", [end_of_server, end_of_user, end_of_key])
async def test_end_is_told_until_it_is_heard(session: tuple[Parts, str], end: Ending) -> None:
    """The command may be lost, or the hub end before it is out: each report has it told again."""
    parts, id = session
    told = listen(parts)
    await end(parts)
    expected = Command(kind="end", sessions=[id], message="go away")
    assert told == [expected]
    for _ in range(2):
        await report(parts, id)
    assert told == [expected] * 3
    await parts.open_sessions.close(id, SessionEnd(reason="the hub wanted it"))
    await report(parts, id)
    assert len(told) == 3


async def test_key_that_went_while_nobody_looked(session: tuple[Parts, str]) -> None:
    parts, id = session
    told = listen(parts)
    await report(parts, id)
    assert told == []
    parts.authenticator.is_good = lambda *_: False  # type: ignore[method-assign]
    await report(parts, id)
    assert told == [Command(kind="end", sessions=[id], message=KEY_GONE)]


async def test_sessions_of_one_user_are_bounded(
    open_hub: OpenParts, keys: dict[str, KeyFile]
) -> None:
    """At all gateways together; others come in, and so does a user who has left one."""
    users = {"alice": [keys["ed25519"].line], "bob": [keys["other"].line]}
    parts = await open_hub(users=users, policy=SessionPolicy(most_of_user=2))

    async def open_(key: str, user: str, gateway: str) -> str:
        request = SessionRequest(**signed_login(keys[key], user) | {"gateway": gateway})
        return (await parts.sessions.open(request))[0]

    first = await open_("ed25519", "alice", "gw-1")
    await open_("ed25519", "alice", "gw-2")
    with pytest.raises(TooMany, match="too many connections"):
        await open_("ed25519", "alice", "gw-3")
    await open_("other", "bob", "gw-3")
    await parts.open_sessions.close(first, SessionEnd(reason="the user disconnected"))
    await open_("ed25519", "alice", "gw-3")


@pytest.mark.parametrize(("timeout", "idle", "ends"), [(60, 59, 0), (60, 60, 1), (0, 10**6, 0)])
async def test_idle_session_is_ended(
    open_hub: OpenParts, keys: dict[str, KeyFile], timeout: int, idle: float, ends: int
) -> None:
    """By the option, and it is told why."""
    policy = SessionPolicy(idle_seconds=timeout)
    parts = await open_hub(users={"alice": [keys["ed25519"].line]}, policy=policy)
    id, _ = await parts.sessions.open(SessionRequest(**signed_login(keys["ed25519"], "alice")))
    told = listen(parts)
    activity = SessionActivity(id=id, idle=idle)
    await parts.open_sessions.report("gw-1", GatewayReport(door=DOOR, sessions=[activity]))
    assert told == [Command(kind="end", sessions=[id], message=IDLE)] * ends


async def test_an_admin_is_announced_to_the_owner_alone(
    open_hub: OpenParts, keys: dict[str, KeyFile]
) -> None:
    """With an event of their own; their other sessions, and the owner's elsewhere, hear nothing."""
    parts = await open_hub(
        users={"alice": [keys["ed25519"].line], "ada": [keys["ecdsa"].line], "bob": []}
    )

    async def open_(key: str, login: str) -> str:
        request = SessionRequest(**signed_login(keys[key], login))
        return (await parts.sessions.open(request))[0]

    heard: list[Command] = []
    parts.bus.subscribe(
        COMMANDS, lambda text: heard.append(msgspec.json.decode(text, type=Command))
    )
    owners = [await open_("ed25519", "alice"), await open_("ed25519", "alice")]
    for login in ("ada", "ada=bob"):
        await open_("ecdsa", login)
    assert heard == []
    for _ in range(2):
        await open_("ecdsa", "ada=alice")
    for command in heard:
        assert (command.kind, set(command.sessions)) == ("message", set(owners))
        assert command.message == "ada has joined your workspace"
    assert len(heard) == 2
    assert ("session.open", "ok", "ada", "alice") in await parts.events()
