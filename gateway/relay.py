"""One session channel of a user, joined to one of their workspace: bytes, requests, the end.

`Session` makes one `SessionRelay` for each channel that a user opens. Data is neither decoded nor
kept: a side that cannot take more stops the other side's reading (RFC 4254, section 5.2), so that
memory is bounded by the windows. The workspace's end is passed on in the workspace's order.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import asyncssh
from asyncssh.packet import PacketDecodeError, SSHPacket

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.tasks import Tasks
from kworkspace.gateway.channels import (
    AGENT,
    EOW,
    STARTS,
    X11,
    UserChannel,
    WorkspaceChannel,
    accepts_env,
)
from kworkspace.gateway.desk import Desk, Program
from kworkspace.gateway.flow import Flow, Joined, Side
from kworkspace.gateway.texts import WORKSPACE_LOST, plain
from kworkspace.ssh.eow import drop_output

FAILED = 255
"""The exit status of what ssh itself could not do (ssh(1), EXIT STATUS)."""


class Backstage(Protocol):
    """What a relay needs of its session."""

    tasks: Tasks

    async def runs(self) -> bool:
        """Whether the workspace runs, as far as is known: there is, or may be, a way into it.

        Raises:
            CancelledError: the session was not opened.
        """

    def answers(self, command: bytes) -> Program | None:
        """Return what answers a command here, None for one that is the workspace's."""

    async def workspace(
        self, show: "Show", wants_terminal: Callable[[], Awaitable[bool]]
    ) -> asyncssh.SSHClientConnection:
        """Return the connection to the workspace, started if need be and if it may.

        Raises:
            KworkspaceError: there is none to be had; the message is for the user.
        """

    async def listens(self) -> None:
        """Return when it listens wherever the user has asked for it by now, or was refused."""

    def touch(self) -> None:
        """Something was typed or printed."""

    def lend_agent(self) -> None:
        """The user lends their agent to the workspace."""

    def lend_screen(self, payload: bytes) -> bool:
        """The user asks to lend their screen to the workspace; whether they may."""

    def leave(self, joined: Joined) -> None:
        """The relay has ended."""


class Show(Protocol):
    """Shows a line of progress to whoever waits."""

    def __call__(self, line: str) -> None:
        """Show it."""


class SessionRelay(asyncssh.SSHServerSession[bytes]):
    """The user's side, and the owner of the pair."""

    def __init__(self, session: Backstage, conn: asyncssh.SSHServerConnection) -> None:
        self._session = session
        self.user = UserChannel(conn, self)
        self._workspace: WorkspaceChannel | None = None
        self._request: tuple[str, bytes, bool] | None = None
        self._refusal: str | None = None
        self._to_user = Flow()
        self._to_workspace = Flow(self._pass_request)
        self._work: asyncio.Task[None] | None = None
        self._unseen: list[str] | None = []
        self._stopped = False
        self._wanted = asyncio.Event()
        self._deferred: list[tuple[str, bytes]] = []
        self._desk: Desk | None = None
        self._user_reads_no_more = False

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open: begin."""
        self._work = self._session.tasks.spawn(self._run(), "relay of a session channel")
        self._work.add_done_callback(self._worked)

    def _worked(self, work: asyncio.Task[None]) -> None:
        """Never let a user wait for a task that failed; `Tasks` logs why it did."""
        if not work.cancelled() and work.exception() is not None:
            self.end("The gateway failed; try again, and tell your administrator.")

    async def _run(self) -> None:
        try:
            if not await self._session.runs():
                # What is answered here needs no workspace: it starts when a request wants it.
                self._stopped = True
                self._pass_request()
                await self._wanted.wait()
            await self._open()
        except (KworkspaceError, asyncssh.ChannelOpenError) as error:
            refusal = error.message if isinstance(error, KworkspaceError) else error.reason
            self._refusal = refusal
        self._pass_request()

    async def _open(self) -> None:
        conn = await self._session.workspace(self._show, self.user.wants_terminal)
        await self._session.listens()
        workspace = WorkspaceChannel(conn, self)
        await workspace.open(_WorkspaceSide(self, workspace))
        for name, payload in self._deferred:
            workspace.request(name, payload, want_reply=False)
        self._deferred.clear()
        self.user.held_bytes = 0
        self._workspace = workspace
        self._to_user.open(workspace)

    def _show(self, line: str) -> None:
        """Show a line; before the first request nobody knows yet whether there is a terminal."""
        if self._unseen is None:
            self.user.say(plain(line))
        else:
            self._unseen.append(line)

    def _pass_request(self) -> None:
        """Pass the user's request on, or answer it when that cannot be done any more.

        Without a workspace everything is granted until it would start something: a shell that is
        refused says nothing, one that ends at once can say why.
        """
        if self._request is None:
            return
        name, payload, want_reply = self._request
        if self._is_the_desks(name, payload):
            self._request = None
            return
        if self._workspace is None and self._refusal is None:
            self._wait_for_start(name, payload)
            return
        # Requests know no window: in front of a workspace that reads nothing they wait over there.
        if self._workspace is not None and self._to_workspace.is_stopped("transport"):
            return
        self._request = None
        if self._workspace is None:
            self.user.answer_soon(True)
            if name in STARTS:
                asyncio.get_running_loop().call_soon(self.end, self._refusal)
        else:
            self._pass_on(self._workspace, name, payload, want_reply=want_reply)

    def _pass_on(
        self, workspace: WorkspaceChannel, name: str, payload: bytes, *, want_reply: bool
    ) -> None:
        if not self._may_pass(name, payload):
            self.user.answer_soon(False)
            return
        want_reply = want_reply or name in STARTS
        workspace.request(name, payload, want_reply)
        if name == EOW:
            self._user_reads_no_more = True
            drop_output(self.user)
        if not want_reply:
            self.user.answer_soon(True)

    def _may_pass(self, name: str, payload: bytes) -> bool:
        """Whether a request is one for the workspace; what it lends is lent from now on."""
        if name == "env":
            return accepts_env(payload)
        if name == X11:
            return self._session.lend_screen(payload)
        if name == AGENT:
            self._session.lend_agent()
        return True

    def _wait_for_start(self, name: str, payload: bytes) -> None:
        """Have a request that starts something wait for the workspace.

        In front of one that does not run, what only prepares that, such as a terminal, is granted,
        and the workspace hears of it later: a client may wait for the answer before it says more.
        """
        if name in STARTS:
            self._wanted.set()
        elif self._stopped and not self._wanted.is_set():
            self._request = None
            granted = self._may_pass(name, payload)
            if granted:
                self._deferred.append((name, payload))
                self.user.held_bytes += len(payload)
            self.user.answer_soon(granted)

    def _is_the_desks(self, name: str, payload: bytes) -> bool:
        """Whether the gateway itself answers, which the workspace then hears nothing of."""
        if self._desk is None and name == "exec":
            self._begin_desk(payload)
        elif self._desk is not None:
            self.user.answer_soon(False)
        return self._desk is not None

    def _begin_desk(self, payload: bytes) -> None:
        try:
            program = self._session.answers(SSHPacket(payload).get_string())
        except PacketDecodeError:
            return
        if program is None:
            return
        if self._work is not None:
            self._work.cancel()
        if self._workspace is not None:
            self._workspace.close()
        self._desk = Desk(self.user, program, self._session.tasks)
        self.user.answer_soon(True)

    def end(self, reason: str | None = None) -> None:
        """End the channel with a line on stderr and the exit status of a failed ssh."""
        if reason is not None:
            self._show(reason)
        self.user.finish(FAILED)

    # From the user.

    def user_request(self, name: str, payload: bytes, want_reply: bool) -> None:
        """Pass it on as soon as that can be done; the next comes when this one is answered."""
        unseen, self._unseen = self._unseen or (), None
        for line in unseen:
            self._show(line)
        self._request = (name, payload, want_reply)
        self._pass_request()

    def notify(self, message: str) -> None:
        """Show a message in the middle of whatever is on the screen."""
        self.user.say(self.user.newline + plain(message) if self.user.has_pty else plain(message))

    def flow_to(self, side: Side) -> Flow:
        """Return the direction towards a side."""
        return self._to_user if side == "user" else self._to_workspace

    def user_interrupt(self) -> None:
        """Ctrl-C while the workspace starts: give up waiting; the start goes on."""
        if self._work is not None and self._workspace is None:
            self._work.cancel()
            self.end("Not waiting any longer; your workspace goes on starting.")

    @property
    def is_joined(self) -> bool:
        """Whether there is a channel of the workspace."""
        return self._workspace is not None and self._desk is None

    def user_closed(self) -> None:
        """Close the workspace's channel, which ends this one; or let go of it right away."""
        if self._workspace is not None and self._desk is None:
            self._workspace.close()
            return
        if self._work is not None:
            self._work.cancel()
        self.user.abort()

    def session_started(self) -> None:
        """The workspace confirmed: asyncssh reads the user's input as soon as this returns."""
        asyncio.get_running_loop().call_soon(self._to_workspace.open, self.user)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Input of the user."""
        if self._desk is not None:
            self._desk.feed(data)
            return
        self._session.touch()
        if self._workspace is not None and not self._workspace.is_closing():
            self._workspace.write(data)

    def eof_received(self) -> bool:
        """End the input; the output goes on."""
        if self._desk is not None:
            self._desk.feed_eof()
        elif self.user.has_closed:
            self.user_closed()
        elif self._workspace is not None:
            self._workspace.write_eof()
        return True

    def pause_writing(self) -> None:
        """The user takes no more output for now."""
        self._to_user.stop("window")

    def resume_writing(self) -> None:
        """The user takes output again."""
        self._to_user.go("window")

    def connection_lost(self, exc: Exception | None) -> None:
        """The user's side has ended: so does the workspace's."""
        if self._work is not None:
            self._work.cancel()
        self._to_user.end()
        if self._desk is not None:
            self._desk.close()
        if self._workspace is not None:
            self._workspace.close()
        self._session.leave(self)

    # From the workspace.

    def workspace_reply(self, result: bool) -> None:
        """What the user asked for was granted, or not."""
        self.user.answer(result)

    def workspace_request(self, name: str, payload: bytes) -> None:
        """The exit status, most of all."""
        self.user.send_request(name, payload)

    def workspace_data(self, data: bytes, datatype: int | None) -> None:
        """Output of the workspace."""
        if self._desk is not None:
            return
        self._session.touch()
        if datatype is None and self._user_reads_no_more:
            return
        if self.user.is_open:
            self.user.write(data, datatype)

    def workspace_eof(self) -> None:
        """The workspace's output has ended."""
        if self._desk is None:
            self.user.write_eof()

    def workspace_lost(self, regular: bool) -> None:
        """The workspace's side has ended.

        Args:
            regular: it closed the channel itself; otherwise the connection broke.
        """
        if self._desk is not None:
            return
        if self._work is not None:
            self._work.cancel()
        self._to_workspace.end()
        if regular or self.user.has_closed:
            self.user.close_in_turn()
        else:
            self.end(WORKSPACE_LOST)


class _WorkspaceSide(asyncssh.SSHClientSession[bytes]):
    """The workspace's side of a pair."""

    def __init__(self, relay: SessionRelay, channel: WorkspaceChannel) -> None:
        self._relay = relay
        self._channel = channel

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Output, also of stderr."""
        self._relay.workspace_data(data, datatype)

    def eof_received(self) -> bool:
        """End of output; input may still be taken."""
        self._relay.workspace_eof()
        return True

    def pause_writing(self) -> None:
        """The workspace takes no more input for now."""
        self._relay.flow_to("workspace").stop("window")

    def resume_writing(self) -> None:
        """The workspace takes input again."""
        self._relay.flow_to("workspace").go("window")

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel has ended, or its connection."""
        self._relay.workspace_lost(self._channel.closed_by_workspace)
