"""The gateways that have reported themselves: where their door is, and how to tell them things.

A gateway reports to whichever hub answers, and holds its stream of commands open at another one:
both travel on the bus, so that every hub knows every door and every gateway hears every command.
What is lost on the way comes again: doors with the next report, ends of sessions too
(`open_sessions`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from kworkspace.cli.client.errors import Conflict, Forbidden
from kworkspace.cli.client.models import Command, HostCertificate, SSHDoor
from kworkspace.hub.bus import Bus
from kworkspace.hub.ca import DoorKey, HostAuthority

SILENCE_SECONDS = 60.0
AT_ONCE = 100  # sessions that one message names
MOST_CHARACTERS = 500  # of a message for terminals
DOORS, COMMANDS = "doors", "commands"
NOT_THE_DOOR = "The door's host key is not the one that the hub knows (c.Hub.gateway_host_key_file)"


class _Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one hub tells the others of a gateway."""

    instance: str
    door: SSHDoor
    tunnel_port: int | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    door: SSHDoor
    tunnel_port: int | None
    at: float


class Gateways:
    """Doors and command streams.

    Args:
        bus: to the other hubs.
        key: the host key that a door must have.
        authority: signs it.
        names: that people reach the door by.
        seconds: a clock that only goes forward, in seconds.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        key: DoorKey,
        authority: HostAuthority,
        names: Sequence[str],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._key = key
        self._authority = authority
        self._names = names
        self._seconds = seconds
        self._seen: dict[str, _Seen] = {}
        self._queues: set[asyncio.Queue[Command]] = set()
        bus.subscribe(DOORS, self._heard_of_door)
        bus.subscribe(COMMANDS, self._heard_command)

    def report(self, instance: str, door: SSHDoor, tunnel_port: int | None = None) -> None:
        """A gateway says that it is there.

        Args:
            instance: which.
            door: how people reach it.
            tunnel_port: where it listens for tunnels; None: it does not.

        Raises:
            Forbidden: with another host key than the hub's gateway has; people pin what is shown.
        """
        if not door.host_keys or not all(map(self._key.is_same, door.host_keys)):
            raise Forbidden(NOT_THE_DOOR)
        # Of the address a gateway chooses the length, and what is to be trusted is said here.
        door = msgspec.structs.replace(
            door,
            host=door.host[:255],
            host_keys=[self._key.public_key],
            host_authorities=[],
        )
        report = _Report(instance=instance, door=door, tunnel_port=tunnel_port)
        self._bus.publish(DOORS, msgspec.json.encode(report))

    def _heard_of_door(self, message: bytes) -> None:
        report = msgspec.json.decode(message, type=_Report)
        now = self._seconds()
        self._seen = {
            key: seen for key, seen in self._seen.items() if now - seen.at < SILENCE_SECONDS
        }
        self._seen[report.instance] = _Seen(report.door, report.tunnel_port, now)

    def door(self) -> SSHDoor | None:
        """Return the door of the gateway that reported last, None if none did lately."""
        last = self._last()
        if last is None:
            return None
        trusted = list(self._authority.public_keys())
        return msgspec.structs.replace(last.door, host_authorities=trusted)

    def tunnel_port(self) -> int | None:
        """Return where the gateway that reported last listens for tunnels, None if it does not."""
        last = self._last()
        return last.tunnel_port if last else None

    def _last(self) -> _Seen | None:
        now = self._seconds()
        alive = [seen for seen in self._seen.values() if now - seen.at < SILENCE_SECONDS]
        return max(alive, key=lambda seen: seen.at) if alive else None

    def certificate(self, public_key: str) -> HostCertificate:
        """Return a certificate for the door's host key and the names that the hub knows it by.

        Raises:
            Forbidden: it is another key: a gateway's token makes nobody a host.
            Conflict: there is no such name.
        """
        if not self._key.is_same(public_key):
            raise Forbidden(NOT_THE_DOOR)
        if not self._names:  # that would be a certificate for any host (PROTOCOL.certkeys)
            raise Conflict("The hub knows no name of its gateway: set c.Hub.gateway_host_names")
        certificate = self._authority.issue(
            public_key=self._key.public_key, principals=self._names, key_id="kworkspace gateway"
        )
        return HostCertificate(certificate=certificate)

    def end_sessions(self, sessions: Sequence[str], message: str) -> None:
        """Have sessions ended, with a line in their terminals.

        Every gateway is told; one that does not have such a session ignores it.
        """
        self._command("end", sessions, message)

    def show(self, sessions: Sequence[str], message: str) -> None:
        """Have a line shown in the terminals of sessions, which go on."""
        self._command("message", sessions, message)

    def _command(
        self, kind: Literal["end", "message"], sessions: Sequence[str], message: str
    ) -> None:
        message = message[:MOST_CHARACTERS]
        for start in range(0, len(sessions), AT_ONCE):
            ids = list(sessions[start : start + AT_ONCE])
            command = Command(kind=kind, sessions=ids, message=message)
            self._bus.publish(COMMANDS, msgspec.json.encode(command))

    def _heard_command(self, message: bytes) -> None:
        command = msgspec.json.decode(message, type=Command)
        for queue in self._queues:
            queue.put_nowait(command)

    async def commands(self) -> AsyncIterator[Command]:
        """Yield what is told from now on."""
        queue: asyncio.Queue[Command] = asyncio.Queue()
        self._queues.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._queues.discard(queue)
