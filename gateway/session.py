"""One session: a user's SSH connection, once it has proven who it is.

It tells the hub, has the workspace started when a channel wants it, and holds the one connection
into the workspace that all channels share. It decides nothing about who may do what: the hub does.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import asyncssh

from kworkspace.cli.client import calls
from kworkspace.cli.client import models as m
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.errors import HubUnreachable, KworkspaceError, TooMany
from kworkspace.cli.client.names import parse_login
from kworkspace.cli.client.tasks import Tasks
from kworkspace.gateway import workspace
from kworkspace.gateway.answers import Answers
from kworkspace.gateway.backward import join_agents, listen, listen_at_path
from kworkspace.gateway.desk import Desk, Program
from kworkspace.gateway.farewell import disconnect
from kworkspace.gateway.flow import Joined, Side, watch_stalls
from kworkspace.gateway.forward import Forward, unseen
from kworkspace.gateway.hub import AWAY, patient
from kworkspace.gateway.relay import SessionRelay, Show
from kworkspace.gateway.request_line import is_for_gateway
from kworkspace.gateway.starting import NotStarted, follow_start
from kworkspace.gateway.texts import RESTARTING, plain, stopped
from kworkspace.gateway.x11 import Screen, join_screens

log = logging.getLogger(__name__)

MAX_CHANNELS = 100
"""Channels, forwards among them, that one connection may have open at one time."""
MAX_LISTENERS = 100
"""Listeners (ssh -R) that one connection may ask for."""


_Outcome = asyncssh.SSHClientConnection | KworkspaceError


class Session:
    """A login that completed.

    Args:
        hub: the REST client.
        user: the user's SSH connection.
        request: the login with its proof, for the hub.

    Attributes:
        id: the hub's name for it; "" until the hub has opened it.
        name: the login name, harmless to print.
        tasks: what runs for it; ends with it.
    """

    def __init__(
        self, *, hub: AsyncClient, user: asyncssh.SSHServerConnection, request: m.SessionRequest
    ) -> None:
        self.id = ""
        self.name = plain(request.login)
        self._login = parse_login(request.login)
        self.tasks = Tasks()
        self._hub = hub
        self._user = user
        self._request = request
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._opened = asyncio.get_running_loop().create_future()
        self._told_to_end = ""
        self._cut = False
        self._start_on_connect: m.StartOnConnect = "always"
        self._active = asyncio.get_running_loop().time()
        self._watchers: list[Show] = []
        self._early: asyncio.Task[_Outcome] | None = None
        self._up: asyncio.Task[_Outcome] | None = None
        self._joined: set[Joined] = set()
        self._agent_lent = False
        self._screen = Screen()
        self._listeners = 0
        self._listen_answered = asyncio.Event()
        self._stalled: set[Side] = set()
        watch_stalls(user, lambda stalled: self._stall("user", stalled))

    async def open(self) -> None:
        """Have the hub verify the proof and open the session; disconnect the user if it does not.

        When the workspace runs, the way into it is opened at once, before a channel asks.
        """
        try:
            session = await patient(self._hub, calls.open_session(self._request), once=True)
        except AWAY as error:
            log.warning("Session of %s turned away: %s", self.name, error.message)
            self.cut(RESTARTING, asyncssh.DISC_SERVICE_NOT_AVAILABLE)
        except KworkspaceError as error:
            log.warning("Session of %s refused: %s", self.name, error.message)
            full = isinstance(error, TooMany)
            code = asyncssh.DISC_TOO_MANY_CONNECTIONS if full else asyncssh.DISC_BY_APPLICATION
            self.cut(error.message, code)
        else:
            self.id = session.id
            self._start_on_connect = session.start_on_connect
            self._screen.allowed = session.x11_forwarding
            log.info("Session %s of %s opened", self.id, self.name)
            if session.server.ready:
                self._early = self.tasks.spawn(self._attempt(self._connect()), "early connect")
            self._opened.set_result(None)
        finally:
            if not self._opened.done():
                self._opened.cancel()
                self.cut("The session could not be opened; tell your administrator.")

    async def runs(self) -> bool:
        """Whether the workspace runs, as far as is known: there is, or may be, a way into it.

        Raises:
            CancelledError: the hub has not opened the session.
        """
        await asyncio.shield(self._opened)
        if self._early is not None:
            return True
        return self._up is not None and (not self._up.done() or _usable(self._up.result()))

    def answers(self, command: bytes) -> Program | None:
        """Return what answers a command here, None for one that is the workspace's."""
        if not is_for_gateway(command):
            return None

        async def answer(desk: Desk) -> int:
            await asyncio.shield(self._opened)
            answers = Answers(
                hub=self._hub, session=self.id, login=self._login, key=self._request.public_key
            )
            return await answers.run(desk, command)

        return answer

    async def workspace(
        self, show: Show, wants_terminal: Callable[[], Awaitable[bool]] | None = None
    ) -> asyncssh.SSHClientConnection:
        """Return the connection into the workspace, started if need be and if it may.

        Args:
            show: called with each new line of progress while it starts.
            wants_terminal: whether it is for a terminal; it is not, without.

        Raises:
            KworkspaceError: there is none to be had; the message is for the user.
        """
        await asyncio.shield(self._opened)
        if self._up is not None and self._up.done() and _usable(self._up.result()):
            return await self._outcome(self._up, show)
        start = self._start_on_connect == "always" or (
            self._start_on_connect == "interactive"
            and wants_terminal is not None
            and await wants_terminal()
        )
        up = self._bringing_up(start=start)
        try:
            return await self._outcome(up, show)
        except NotStarted:
            if not start:
                raise
        # It was another channel's, which may not start it.
        return await self._outcome(self._bringing_up(start=True), show)

    def _bringing_up(self, *, start: bool) -> asyncio.Task[_Outcome]:
        """Return the task that brings it up: one for all channels."""
        if self._up is None or (self._up.done() and not _usable(self._up.result())):
            work = self._attempt(self._bring_up(start=start))
            self._up = self.tasks.spawn(work, "bring up workspace")
        return self._up

    async def _outcome(
        self, up: asyncio.Task[_Outcome], show: Show
    ) -> asyncssh.SSHClientConnection:
        self._watchers.append(show)
        try:
            outcome = await asyncio.shield(up)
        finally:
            self._watchers.remove(show)
        if isinstance(outcome, KworkspaceError):
            raise outcome
        return outcome

    async def _attempt(self, work: Awaitable[asyncssh.SSHClientConnection]) -> _Outcome:
        """Return the error that is for the user: several may wait for it, or nobody."""
        try:
            return await work
        except AWAY as error:
            log.warning("Session %s: %s", self.id, error.message)
            return HubUnreachable(RESTARTING)
        except KworkspaceError as error:
            log.warning("Session %s: %s", self.id, error.message)
            return error

    async def _bring_up(self, *, start: bool) -> asyncssh.SSHClientConnection:
        if self._early is not None:
            early, self._early = await self._early, None
            if not isinstance(early, KworkspaceError) and not early.is_closed():
                return early
        if start:
            await patient(self._hub, calls.start_session_server(self.id))
        refusal = None if start else stopped(self._request.login, self._start_on_connect)
        await follow_start(self._hub, self.id, self._show, refusal)
        return await self._connect()

    def _show(self, line: str) -> None:
        for show in tuple(self._watchers):
            show(line)

    async def _connect(self) -> asyncssh.SSHClientConnection:
        public_key = self._key.export_public_key().decode("ascii")
        request = m.CertificateRequest(public_key=public_key)
        ticket = await patient(self._hub, calls.certificate(self.id, request))
        conn = await workspace.connect(ticket, self._key)
        watch_stalls(conn, lambda stalled: self._stall("workspace", stalled))
        join_agents(conn, self._user, self._to_agent)
        join_screens(conn, self._user, self._to_screen)
        return conn

    # Its channels.

    def _check_room(self) -> None:
        if len(self._joined) >= MAX_CHANNELS:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE, "Too many channels in this connection"
            )

    def relay(self) -> SessionRelay:
        """Make the relay of one more session channel.

        Raises:
            ChannelOpenError: there are too many; asyncssh tells the user.
        """
        self._check_room()
        relay = SessionRelay(self, self._user)
        self._join(relay)
        return relay

    def forward(self, near: Side = "user") -> Forward:
        """Make the relay of one more forwarded channel; raises as `relay` does.

        Args:
            near: the side from which it comes.
        """
        self._check_room()
        forward = Forward(self, near)
        self._join(forward)
        return forward

    def lend_agent(self) -> None:
        """The user lends their agent to the workspace, until this session ends."""
        self._agent_lent = True

    def _to_agent(self) -> Forward:
        if not self._agent_lent:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "The user has lent no agent"
            )
        return self.forward("workspace")

    def lend_screen(self, payload: bytes) -> bool:
        """The user asks to lend their screen to the workspace (x11-req); whether they may."""
        return self._screen.lend(payload)

    def _to_screen(self) -> Forward:
        self._screen.take()
        return self.forward("workspace")

    async def listen(self, at: tuple[str, int] | str) -> asyncssh.SSHListener | bool:
        """Have the workspace listen for the user (ssh -R), where its own rules allow it.

        Args:
            at: the address, as the user wrote it, and the port, of which 0 takes a free one; or
                the path of a Unix socket.

        Returns:
            The listener, or False: refused.
        """

        def make() -> Forward:
            return self.forward("workspace")

        try:
            if self._listeners >= MAX_LISTENERS:
                return False
            self._listeners += 1
            conn = await self.workspace(unseen)
            if isinstance(at, str):
                return await listen_at_path(conn, self._user, at, make)
            return await listen(conn, self._user, *at, make)
        except (KworkspaceError, asyncssh.ChannelListenError) as error:
            where = plain(at if isinstance(at, str) else f"port {at[1]}")
            log.info("Session %s: nothing listens at %s: %s", self.id, where, plain(str(error)))
            return False
        finally:
            self._listen_answered.set()
            self._listen_answered.clear()

    async def listens(self) -> None:
        """Return when it listens wherever the user has asked for it by now, or was refused.

        What they start may count on it: sshd takes one request after the other. asyncssh (2.24)
        answers these in their order, and each when `listen` has returned.
        """
        while self._user._global_request_queue:  # noqa: SLF001
            await self._listen_answered.wait()

    def _join(self, joined: Joined) -> None:
        self._joined.add(joined)
        for side in self._stalled:
            joined.flow_to(side).stop("transport")

    def leave(self, joined: Joined) -> None:
        """A relay has ended."""
        self._joined.discard(joined)

    def _stall(self, side: Side, stalled: bool) -> None:
        (self._stalled.add if stalled else self._stalled.discard)(side)
        for joined in tuple(self._joined):
            flow = joined.flow_to(side)
            (flow.stop if stalled else flow.go)("transport")

    def _relays(self) -> list[SessionRelay]:
        return [joined for joined in self._joined if isinstance(joined, SessionRelay)]

    def touch(self) -> None:
        """Something was typed or printed."""
        self._active = asyncio.get_running_loop().time()

    def activity(self) -> m.SessionActivity:
        """Return what the hub wants to know every few seconds."""
        idle = asyncio.get_running_loop().time() - self._active
        return m.SessionActivity(id=self.id, idle=max(0.0, idle))

    @property
    def is_in_use(self) -> bool:
        """Whether a channel is open."""
        return bool(self._joined)

    def _terminals(self) -> list[SessionRelay]:
        return [relay for relay in self._relays() if relay.user.has_pty]

    def show(self, message: str) -> None:
        """Show a message once in each of the user's terminals, or once if there is none."""
        for relay in self._terminals() or self._relays()[:1]:
            relay.notify(message)

    def announce(self, message: str) -> None:
        """Show a message in the user's terminals, and nowhere else."""
        for relay in self._terminals():
            relay.notify(message)

    # Its end.

    def why_it_ended(self, otherwise: str) -> str:
        """Return why we ended it, or, when we did not, what the connection says."""
        return plain(self._told_to_end) or otherwise

    def hang_up(self, message: str) -> None:
        """Show why, and end every channel; what was written before still arrives."""
        self._told_to_end = self._told_to_end or message
        relays = self._relays()
        if not relays:
            self.cut(message)
        self.show(message)
        for relay in relays:
            relay.end()

    def cut(self, message: str, code: int = asyncssh.DISC_BY_APPLICATION) -> None:
        """Disconnect the user's side, without waiting for anything (RFC 4253, section 11.1)."""
        self._told_to_end = self._told_to_end or message
        if not self._cut:
            self._cut = True
            disconnect(self._user, code, plain(message))

    async def aclose(self) -> None:
        """The user's connection has ended: end what runs for it."""
        self._opened.cancel()
        await self.tasks.aclose()
        for task in (self._early, self._up):
            if task is not None and not task.cancelled():
                outcome = task.result()
                if isinstance(outcome, asyncssh.SSHClientConnection):
                    outcome.close()
                    await outcome.wait_closed()


def _usable(outcome: _Outcome) -> bool:
    return isinstance(outcome, asyncssh.SSHClientConnection) and not outcome.is_closed()
