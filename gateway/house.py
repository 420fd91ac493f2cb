"""All that goes on behind the door: the live sessions, and what the hub hears and says of them.

`app.serve` makes one; `door.Visitor` reports to it. Nothing here ends because the hub is away:
running sessions go on, reports and commands are taken up again when it answers.
"""

import asyncio
import contextlib
import logging
from contextlib import aclosing
from typing import Protocol

import asyncssh

from kworkspace.cli.client import calls
from kworkspace.cli.client import models as m
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.tasks import Tasks
from kworkspace.gateway.endings import Endings
from kworkspace.gateway.hub import backoff
from kworkspace.gateway.invite import Guest
from kworkspace.gateway.limits import Limits
from kworkspace.gateway.strangers import Strangers
from kworkspace.gateway.texts import SHUTTING_DOWN, leaving

log = logging.getLogger(__name__)

REPORT_SECONDS = 10.0
RETRY_SECONDS = 2.0
DRAIN_SECONDS = 2.0
LOOK_SECONDS = 0.5
WARN_SECONDS = 10.0


class Stranger(Protocol):
    """Who has not logged in: at the SSH door, or at the port for tunnels."""

    @property
    def address(self) -> str:
        """The IP address that they came from."""

    @property
    def standing(self) -> int:
        """How far they have come with their login."""

    def abort(self) -> None:
        """Disconnect them at once."""

    def send_away(self, reason: str) -> None:
        """Disconnect them, with a word where that is possible."""


class Held(Protocol):
    """A session, relay or tunnel."""

    id: str
    name: str

    def activity(self) -> m.SessionActivity:
        """Return what the hub wants to know every few seconds."""

    @property
    def is_in_use(self) -> bool:
        """Whether something is open in it."""

    def show(self, message: str) -> None:
        """Show a message to the user."""

    def announce(self, message: str) -> None:
        """Show a message where a person reads it, and nowhere else."""

    def why_it_ended(self, otherwise: str) -> str:
        """Return why we ended it, or what the connection says."""

    def hang_up(self, message: str) -> None:
        """Show why, and end it; what was written before still arrives."""

    def cut(self, message: str) -> None:
        """End it without waiting for anything."""

    async def aclose(self) -> None:
        """End what runs for it."""


class House:
    """The state of one gateway process.

    Args:
        hub: the REST client.
        instance: this process's name for the hub, a UUID.
        host_key: the gateway's own, which signs that a login was made here.
        limits: what it takes.
    """

    def __init__(
        self,
        *,
        hub: AsyncClient,
        instance: str,
        host_key: asyncssh.SSHKey,
        limits: Limits = Limits(),  # noqa: B008  frozen
    ) -> None:
        self.hub = hub
        self.instance = instance
        self.host_key = host_key
        self.door: m.SSHDoor | None = None
        self.tasks = Tasks()
        self._strangers: Strangers[Stranger] = Strangers(limits)
        self._sent_away = 0
        self._warned = -WARN_SECONDS
        self._sessions: set[Held] = set()
        self._endings = Endings(hub)
        self._left = asyncio.Event()
        self._report_now = asyncio.Event()

    def begin(self, door: m.SSHDoor, tunnel_port: int | None = None) -> None:
        """Report to the hub and listen to it from now on.

        Args:
            door: how people reach this gateway.
            tunnel_port: where it listens for tunnels; None: it does not.
        """
        self.door = door
        self.tasks.spawn(self._report(door, tunnel_port), "report")
        self.tasks.spawn(self._obey(), "commands")
        self.tasks.spawn(self._endings.run(), "endings")

    # What the door says.

    def arrive(self, visitor: Stranger) -> None:
        """Count a connection; when too many have not logged in, another one goes."""
        goes = self._strangers.add(visitor, visitor.address)
        if goes is None:
            return
        address = goes.address
        goes.abort()
        self._sent_away += 1
        now = asyncio.get_running_loop().time()
        if now - self._warned >= WARN_SECONDS:
            log.warning(
                "Too many connections wait to log in: %s sent away, the last one from %s",
                self._sent_away,
                address,
            )
            self._sent_away, self._warned = 0, now

    def enter(self, visitor: Stranger, session: Held) -> None:
        """Keep a session."""
        self._strangers.discard(visitor)
        self._sessions.add(session)

    def refused(self, login: str, address: str) -> None:
        """Have the hub count a login that failed; when it is away, it is not counted."""
        self.tasks.spawn(self._count_refusal(login, address), "count a refusal")

    async def _count_refusal(self, login: str, address: str) -> None:
        with contextlib.suppress(KworkspaceError):
            await self.hub.send(calls.login_failed(m.FailedLogin(login=login, address=address)))

    def depart(self, visitor: Stranger, session: Held | Guest | None, reason: str) -> None:
        """Let a session go, and tell the hub."""
        self._strangers.discard(visitor)
        if isinstance(session, Guest):
            self.tasks.spawn(session.aclose(), "close an invitation's session")
        elif session is not None:
            self.tasks.spawn(self._close(session, reason), "close session")

    async def _close(self, session: Held, reason: str) -> None:
        await session.aclose()
        self._sessions.discard(session)
        self._left.set()
        if session.id:
            reason = session.why_it_ended(reason)
            log.info("Session %s of %s ended: %s", session.id, session.name, reason)
            self._endings.add(session.id, reason)

    # What the hub hears.

    async def _report(self, door: m.SSHDoor, tunnel_port: int | None) -> None:
        """Say every few seconds where the door is and which sessions are open."""
        attempt = 0
        while True:
            self._report_now.clear()
            sessions = [session.activity() for session in self._sessions if session.id]
            report = m.GatewayReport(door=door, sessions=sessions, tunnel_port=tunnel_port)
            try:
                await self.hub.send(calls.report_gateway(self.instance, report))
            except KworkspaceError as error:
                if attempt == 0:
                    log.warning("The hub takes no report: %s", error.message)
                await asyncio.sleep(backoff(attempt, RETRY_SECONDS))
                attempt += 1
                continue
            if attempt:
                log.info("The hub takes reports again")
            attempt = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REPORT_SECONDS):
                    await self._report_now.wait()

    # What the hub says.

    async def _obey(self) -> None:
        """Hold the stream of commands open."""
        attempt = 0
        while True:
            try:
                async with aclosing(
                    self.hub.stream(calls.gateway_commands(self.instance))
                ) as stream:
                    async for command in stream:
                        attempt = 0
                        self._carry_out(command)
            except KworkspaceError as error:
                if attempt == 0:
                    log.warning("No commands from the hub: %s", error.message)
            # A hub that restarted knows neither door nor sessions: tell it as soon as it answers.
            self._report_now.set()
            await asyncio.sleep(backoff(attempt, RETRY_SECONDS))
            attempt += 1

    def _carry_out(self, command: m.Command) -> None:
        named = frozenset(command.sessions)
        for session in [session for session in self._sessions if session.id in named]:
            if command.kind == "message":
                session.show(command.message)
            else:
                log.info("Session %s is ended by the hub", session.id)
                self.tasks.spawn(self._end({session}, command.message), "end session")

    async def _end(self, sessions: set[Held], message: str) -> None:
        """End sessions: first what is on its way arrives, then the connections are cut."""
        for session in sessions:
            session.hang_up(message)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while sessions & self._sessions:
                    self._left.clear()
                    await self._left.wait()
        for session in sessions & self._sessions:
            session.cut(message)

    def log_state(self) -> None:
        """Write down what this process holds."""
        log.info(
            "SIGUSR1: %d sessions, %d strangers, %d tasks",
            len(self._sessions),
            len(tuple(self._strangers)),
            len(asyncio.all_tasks()),
        )

    async def drain(self, seconds: float, at_once: asyncio.Event) -> None:
        """Tell the terminals that the gateway goes, and wait until its sessions have ended.

        A connection in which nothing is open ends without waiting.

        Args:
            seconds: how long at most.
            at_once: do not wait any longer.
        """
        for visitor in self._strangers:
            visitor.send_away(SHUTTING_DOWN)
        deadline = asyncio.get_running_loop().time() + seconds
        if seconds:
            for session in self._sessions:
                session.announce(leaving(seconds))
        while True:
            for session in [session for session in self._sessions if not session.is_in_use]:
                session.cut(SHUTTING_DOWN)
            left = deadline - asyncio.get_running_loop().time()
            if not self._sessions or left <= 0 or at_once.is_set():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK_SECONDS)):
                    await at_once.wait()

    async def aclose(self) -> None:
        """Tell every session that the gateway goes, end them, and tell the hub."""
        await self._end(set(self._sessions), SHUTTING_DOWN)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._sessions:
                    self._left.clear()
                    await self._left.wait()
                await self._endings.drained()
        await self.tasks.aclose()
