"""Doors: of the gateway that reported last, as long as it goes on reporting; heard by every hub."""

import asyncssh
import msgspec
import pytest

from kworkspace.cli.client.errors import Forbidden
from kworkspace.cli.client.models import Command, SSHDoor
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.bus import LocalBus
from kworkspace.hub.ca import DoorKey
from kworkspace.hub.gateways import AT_ONCE, Gateways
from tests.hub.conftest import DOOR, DOOR_KEY, Clock, until


def door(port: int) -> SSHDoor:
    return msgspec.structs.replace(DOOR, port=port)


@pytest.fixture
def bus() -> LocalBus:
    return LocalBus()


@pytest.fixture
def gateways(bus: LocalBus, clock: Clock) -> Gateways:
    return Gateways(bus=bus, key=DoorKey(DOOR_KEY), seconds=clock.seconds)


def test_door(gateways: Gateways, clock: Clock) -> None:
    assert gateways.door() is None
    gateways.report("one", door(1))
    clock.advance(30)
    gateways.report("two", door(2))
    assert gateways.door() == door(2)
    clock.advance(1)
    gateways.report("one", door(1))
    clock.jump(86400)
    assert gateways.door() == door(1)
    clock.advance(60)
    assert gateways.door() is None
    gateways.report("two", door(2))
    assert len(gateways._seen) == 1, "who is gone is forgotten"


def test_every_hub_knows_the_door(gateways: Gateways, bus: LocalBus) -> None:
    """One that has just begun learns it with the next report, to whichever hub."""
    gateways.report("one", door(1))
    other = Gateways(bus=bus, key=DoorKey(DOOR_KEY))
    assert other.door() is None
    gateways.report("one", door(1))
    assert other.door() == door(1)


async def test_every_gateway_hears_commands(gateways: Gateways, bus: LocalBus) -> None:
    other = Gateways(bus=bus, key=DoorKey(DOOR_KEY))
    ids = [f"{number:036d}" for number in range(AT_ONCE + 1)]
    tasks = Tasks()
    heard: list[list[Command]] = [[], []]

    async def listen(number: int, gateways: Gateways) -> None:
        async for command in gateways.commands():
            heard[number].append(command)

    for number, each in enumerate((gateways, other)):
        tasks.spawn(listen(number, each), "listen")
    await until(lambda: gateways._queues and other._queues)
    gateways.end_sessions(ids, "\N{SKULL}" * 5000)
    await until(lambda: sum(map(len, heard)) == 4)
    assert heard[0] == heard[1]
    assert [len(command.sessions) for command in heard[0]] == [AT_ONCE, 1]
    assert [id for command in heard[0] for id in command.sessions] == ids
    await tasks.aclose()
    assert gateways._queues == set()


async def test_nobody_listens(gateways: Gateways) -> None:
    gateways.end_sessions([], "nothing to end")
    gateways.end_sessions(["id"], "nobody to tell")
    assert gateways._queues == set()


def test_another_door_is_not_shown(gateways: Gateways) -> None:
    foreign = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    for keys in ([foreign], [], [*DOOR.host_keys, foreign]):
        with pytest.raises(Forbidden):
            gateways.report("one", msgspec.structs.replace(DOOR, host_keys=keys))
    assert gateways.door() is None


def test_a_door_of_any_length(gateways: Gateways) -> None:
    gateways.report("i" * 64, msgspec.structs.replace(DOOR, host="h" * 100_000))
    assert gateways.door() is not None
