"""One tunnel: a session whose SSH connection ends in the workspace and not here.

It copies bytes between a WebSocket (`cli.client.tunnel` has the protocol) and the workspace's SSH
server, a buffer at a time: a slow reader at one end keeps the other from sending. Each direction
ends by itself. The hub has opened the session for the person's token before one is made.
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress

from kworkspace.cli.client import calls
from kworkspace.cli.client import models as m
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.frames import ROOM, Decoder, FrameError, Opcode, frame, head
from kworkspace.cli.client.names import Login, parse_user_name
from kworkspace.cli.client.tasks import Tasks
from kworkspace.cli.client.tunnel import (
    EOF,
    ERROR,
    MESSAGE,
    PING_SECONDS,
    PROGRESS,
    READY,
    text_of,
    words_of,
)
from kworkspace.gateway.hub import AWAY, patient
from kworkspace.gateway.starting import follow_start
from kworkspace.gateway.texts import RESTARTING, plain, stopped
from kworkspace.gateway.use import Use
from kworkspace.gateway.wire import Inflow, Wire, dial
from kworkspace.gateway.workspace import CONNECT_SECONDS, WorkspaceUnreachable

log = logging.getLogger(__name__)

CLOSE_SECONDS = 2.0
LOST = "the connection to the user was lost"
MAX_WAITING = 32  # control frames and texts that wait until the person reads


class Tunnel:
    """A session.

    Args:
        hub: the REST client.
        person: the WebSocket's connection, which is upgraded.
        opened: what the hub says of the session.
        request: what the person asked for.

    Attributes:
        id: the hub's name for it.
        name: the login name that the relay would have, harmless to print.
    """

    def __init__(
        self, *, hub: AsyncClient, person: Wire, opened: m.Tunnel, request: m.TunnelRequest
    ) -> None:
        self.id = opened.id
        user = parse_user_name(request.user)
        admin = None if user == opened.actor else opened.actor
        self._login = str(Login(user, request.server, admin))
        self.name = plain(self._login)
        self._hub = hub
        self._person = person
        self._opened = opened
        self._workspace: Wire | None = None
        self._tasks = Tasks()
        self._sending = asyncio.Lock()
        self._waiting: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._reason = ""
        self._sent = asyncio.get_running_loop().time()
        self._use = Use(self._sent)

    async def run(self, leftover: bytes = b"") -> str:
        """Connect and copy until it is over; return why it ended.

        Args:
            leftover: what came after the request.
        """
        self._tasks.spawn(self._tend(), "tend tunnel")
        try:
            workspace = await self._up_or_told_to_end()
            if workspace is not None:
                out = self._tasks.spawn(self._outward(workspace), "tunnel to the person")
                into = self._tasks.spawn(
                    self._inward(workspace, leftover), "tunnel to the workspace"
                )
                await asyncio.wait({out, into})
        except KworkspaceError as error:
            self._because(error.message)
            log.info("Session %s: no tunnel: %s", self.id, plain(error.message))
            self._say(ERROR, plain(error.message))
        await self._close()
        return self._reason or "the user disconnected"

    def _because(self, reason: str) -> None:
        """The first reason is why it ends; others follow from it."""
        self._reason = self._reason or reason

    async def _up_or_told_to_end(self) -> Wire | None:
        """Return the connection to the workspace, None if we are told to end before.

        Raises:
            KworkspaceError: there is none to be had; the message is for the person.
        """
        up = self._tasks.spawn(self._attempt(), "bring up workspace")
        told = self._tasks.spawn(self._ending.wait(), "told to end")
        await asyncio.wait({up, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not up.done():
            up.cancel()
            return None
        outcome = up.result()
        if isinstance(outcome, KworkspaceError):
            raise outcome
        return outcome

    async def _attempt(self) -> Wire | KworkspaceError:
        try:
            return await self._bring_up()
        except AWAY as error:
            log.warning("Session %s: %s", self.id, error.message)
            return WorkspaceUnreachable(RESTARTING)
        except KworkspaceError as error:
            return error
        except OSError:
            return KworkspaceError(LOST)

    async def _bring_up(self) -> Wire:
        """Have the workspace started if need be, and connect to it.

        Raises:
            KworkspaceError: with the reason, for the person.
        """
        where = self._opened.address
        if where is None:
            start = self._opened.start_on_connect == "always"
            if start:
                await patient(self._hub, calls.start_session_server(self.id))
            refusal = None if start else stopped(self._login, self._opened.start_on_connect)
            await follow_start(self._hub, self.id, self._progress, refusal)
            where = await patient(self._hub, calls.session_address(self.id))
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                workspace = self._workspace = await dial(where.host, where.port)
        except (OSError, TimeoutError) as error:
            why = getattr(error, "strerror", None) or "no answer"
            raise WorkspaceUnreachable(
                f"Your workspace does not answer ({why}). Try again; if it stays like this, stop"
                " and start it."
            ) from error
        self._say(READY, where.host_key)
        await self._flush()
        return workspace

    # The two directions.

    async def _outward(self, workspace: Wire) -> None:
        """Copy from the workspace until it ends."""
        inflow = Inflow(workspace, ROOM)
        while True:
            try:
                piece = await inflow.next()
            except OSError:  # it is killed, or its network is gone: no bytes come any more
                piece = None
            try:
                if piece is None:
                    self._because("the workspace ended the connection")
                    self._say(EOF)
                    await self._flush()
                    return
                start = head(Opcode.BINARY, len(piece) - ROOM, masked=False)
                piece[ROOM - len(start) : ROOM] = start
                async with self._sending:
                    await self._person.send(piece[ROOM - len(start) :])
            except OSError:
                self._because(LOST)
                workspace.cut()
                return
            self._sent = self._passed(len(piece) - ROOM)

    async def _inward(self, workspace: Wire, leftover: bytes) -> None:
        """Copy to the workspace until the person ends it, and then end both directions."""
        inflow, decoder = Inflow(self._person), Decoder(masked=True)
        piece: memoryview | None = memoryview(leftover)
        try:
            while piece is not None:
                for opcode, payload in decoder.feed(piece):
                    if opcode is Opcode.BINARY:
                        await self._deliver(workspace, payload)
                    elif opcode is Opcode.PING:
                        self._later(frame(Opcode.PONG, bytes(payload), masked=False))
                    elif opcode is Opcode.TEXT and words_of(bytes(payload))[0] == EOF:
                        workspace.end()
                    elif opcode is Opcode.CLOSE:
                        return
                piece = await inflow.next()
        except FrameError as error:
            self._because(f"the user's side breaks the protocol: {error}")
        except OSError:
            self._because(LOST)
        finally:
            self._because("the user disconnected")
            workspace.cut()

    async def _deliver(self, workspace: Wire, payload: bytes | memoryview) -> None:
        """Send to the workspace; what it does not take any more is of no use to anybody."""
        with suppress(OSError):
            await workspace.send(payload)
        self._passed(len(payload))

    def _passed(self, size: int) -> float:
        """Take note of bytes that went through; return when that is."""
        now = asyncio.get_running_loop().time()
        self._use.passed(size, now)
        return now

    # What is said beside the bytes.

    def _progress(self, line: str) -> None:
        self._say(PROGRESS, plain(line))

    def _say(self, word: str, text: str = "") -> None:
        self._later(frame(Opcode.TEXT, text_of(word, text), masked=False))

    def _later(self, data: bytes) -> None:
        """Send a frame when the person reads; of those that do not, the oldest are forgotten."""
        self._waiting.append(data)
        self._news.set()

    async def _flush(self) -> None:
        async with self._sending:
            while self._waiting:
                await self._person.send(self._waiting.popleft())
            self._sent = asyncio.get_running_loop().time()

    async def _tend(self) -> None:
        """Send what waits, and a ping when nothing else was sent for a while."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(PING_SECONDS):
                        await self._news.wait()
                self._news.clear()
                if loop.time() - self._sent >= PING_SECONDS:
                    self._waiting.append(frame(Opcode.PING, b"", masked=False))
                await self._flush()
        except OSError:
            self.cut(LOST)

    async def _close(self) -> None:
        """Send what waits and a close frame, unless the person does not read."""
        self._waiting.append(frame(Opcode.CLOSE, (1000).to_bytes(2), masked=False))
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._flush()
        self._person.end()

    # What the house asks of a session.

    def activity(self) -> m.SessionActivity:
        """Return what the hub wants to know every few seconds."""
        idle = asyncio.get_running_loop().time() - self._use.last
        return m.SessionActivity(id=self.id, idle=max(0.0, idle))

    def show(self, message: str) -> None:
        """Show a message to the person."""
        self._say(MESSAGE, plain(message))

    announce = show

    @property
    def is_in_use(self) -> bool:
        """It is, for as long as it is there."""
        return True

    def why_it_ended(self, otherwise: str) -> str:
        """Return why it ended: the first reason that there was."""
        return plain(self._reason or otherwise)

    def hang_up(self, message: str) -> None:
        """Show why, and end; what was read before still arrives."""
        self._because(message)
        self.show(message)
        self._ending.set()
        if self._workspace is not None:
            self._workspace.cut()

    def cut(self, message: str) -> None:
        """End it without waiting for anything."""
        self._because(message)
        self._ending.set()
        self._person.cut()

    async def aclose(self) -> None:
        """End what runs for it, and the connection into the workspace."""
        await self._tasks.aclose()
        if self._workspace is not None:
            self._workspace.close()
