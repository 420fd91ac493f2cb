"""Doors: of the gateway that reported last, as long as it goes on reporting; heard by every hub."""

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncssh
import msgspec
import pytest
from asyncssh.public_key import SSHOpenSSHCertificate

from kworkspace.cli.client.errors import Conflict, Forbidden
from kworkspace.cli.client.models import Command, SSHDoor
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.bus import LocalBus
from kworkspace.hub.ca import DoorKey, HostAuthority
from kworkspace.hub.gateways import AT_ONCE, Gateways
from kworkspace.hub.key_ring import KeyRing
from tests.hub.clock import Clock, until
from tests.hub.parts import DOOR, DOOR_KEY

HOSTS = KeyRing.new("hosts", datetime(2030, 1, 1, tzinfo=UTC))


def door(port: int) -> SSHDoor:
    return msgspec.structs.replace(DOOR, port=port, host_authorities=[HOSTS.keys[0].line])


@pytest.fixture
def bus() -> LocalBus:
    return LocalBus()


def made(
    bus: LocalBus, clock: Clock, names: Sequence[str] = ("hub.example", "192.0.2.1")
) -> Gateways:
    """Return those of one more hub; all have the same keys."""
    return Gateways(
        bus=bus,
        key=DoorKey(DOOR_KEY),
        authority=HostAuthority(ring=HOSTS, clock=clock),
        names=names,
        seconds=clock.seconds,
    )


@pytest.fixture
def gateways(bus: LocalBus, clock: Clock) -> Gateways:
    return made(bus, clock)


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


def test_every_hub_knows_the_door(gateways: Gateways, bus: LocalBus, clock: Clock) -> None:
    """One that has just begun learns it with the next report, to whichever hub."""
    gateways.report("one", door(1))
    other = made(bus, clock)
    assert other.door() is None
    gateways.report("one", door(1))
    assert other.door() == door(1)


async def test_every_gateway_hears_commands(
    gateways: Gateways, bus: LocalBus, clock: Clock
) -> None:
    other = made(bus, clock)
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


def test_a_gateway_says_nothing_of_authorities(gateways: Gateways) -> None:
    """Whoever has its token would choose whom people trust."""
    foreign = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    gateways.report("one", msgspec.structs.replace(door(1), host_authorities=[foreign]))
    assert gateways.door() == door(1)


def test_certificate_is_for_the_door_alone(gateways: Gateways, clock: Clock) -> None:
    """Its names are the hub's own, whatever a gateway would like."""
    certificate = asyncssh.import_certificate(gateways.certificate(DOOR.host_keys[0]).certificate)
    assert isinstance(certificate, SSHOpenSSHCertificate)
    assert certificate.key == DOOR_KEY.convert_to_public()
    assert certificate.signing_key == HOSTS.keys[0].key.convert_to_public()
    assert certificate.principals == ["hub.example", "192.0.2.1"]
    foreign = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    for key in (foreign, "", "nonsense", HOSTS.keys[0].line):
        with pytest.raises(Forbidden):
            gateways.certificate(key)


def test_no_certificate_for_any_host(bus: LocalBus, clock: Clock) -> None:
    """Which one without a name would be."""
    gateways = made(bus, clock, names=())
    with pytest.raises(Conflict, match="gateway_host_names"):
        gateways.certificate(DOOR.host_keys[0])
