"""What the gateway itself answers in a session channel: a program of its own, with input and end.

A `Desk` stands between a `UserChannel` and a program: a coroutine function that is given the desk,
asks and prints, and returns an exit status. Ctrl-C on a terminal and a client that leaves cancel
it. All that is printed here is harmless to a terminal.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.tasks import Tasks
from kworkspace.gateway.channels import UserChannel
from kworkspace.gateway.line_input import Echo, Key, LineInput
from kworkspace.gateway.texts import harmless, plain

FAILED, INTERRUPTED = 1, 130
MAX_WAITING_LINES = 16
MAX_INPUT = 65536

Program = Callable[["Desk"], Awaitable[int]]


class EndOfInput(Exception):
    """Nobody types any more."""


class Desk:
    """One run of a program.

    Attributes:
        interrupted: whether Ctrl-C has ended it.

    Args:
        channel: the user's.
        program: what to run.
        tasks: of the connection.
    """

    def __init__(self, channel: UserChannel, program: Program, tasks: Tasks) -> None:
        self._channel = channel
        self._input = LineInput(terminal=channel.has_pty)
        self._lines: deque[str | Key] = deque(maxlen=MAX_WAITING_LINES)
        self._typed = asyncio.Event()
        self._asks = False
        self._raw = bytearray()
        self._ended_input = asyncio.Event()
        self.interrupted = False
        self._task = tasks.spawn(self._run(program), "answer at the gateway")
        self._task.add_done_callback(self._ended)

    async def _run(self, program: Program) -> int:
        try:
            return await program(self)
        except EndOfInput:
            self.err("")
        except KworkspaceError as error:
            self.err(error.message)
        return FAILED

    def _ended(self, task: asyncio.Task[int]) -> None:
        """Never let a user wait; why it failed, `Tasks` logs."""
        if not self._channel.is_open:
            return
        if task.cancelled():
            self.err("")
            self._channel.finish(INTERRUPTED if self.interrupted else FAILED)
        elif task.exception() is not None:
            self.err("The gateway failed; try again, and tell your administrator.")
            self._channel.finish(FAILED)
        else:
            self._channel.finish(task.result())

    # For the program.

    @property
    def has_pty(self) -> bool:
        """Whether there is a terminal."""
        return self._channel.has_pty

    def out(self, line: str) -> None:
        """Print a line of the result; control characters in it are written out."""
        self._write(harmless(line) + self._channel.newline)

    def err(self, line: str) -> None:
        """Print a line that is not of the result."""
        self._channel.say(plain(line))

    async def ask(self, question: str) -> str:
        """Ask for a line, and return it without what surrounds it.

        Raises:
            EndOfInput: nobody types any more.
        """
        self._write(plain(question))
        self._asks = True
        try:
            while not self._lines:
                self._typed.clear()
                await self._typed.wait()
        finally:
            self._asks = False
        line = self._lines.popleft()
        if isinstance(line, Key):
            raise EndOfInput
        if not self.has_pty:
            self._write("\n")
        return line.strip()

    async def read_all(self) -> bytes:
        """Return all that is typed or sent, as it came, up to MAX_INPUT bytes and one more."""
        await self._ended_input.wait()
        return bytes(self._raw)

    def _write(self, text: str) -> None:
        if self._channel.is_open:
            self._channel.write(text.encode())

    # For the channel.

    def feed(self, data: bytes) -> None:
        """The user typed something."""
        self._raw += data[: max(0, MAX_INPUT + 1 - len(self._raw))]
        for event in self._input.feed(data):
            self._take(event)

    def feed_eof(self) -> None:
        """The user's input has ended."""
        for event in self._input.end():
            self._take(event)

    def _take(self, event: str | Key | Echo) -> None:
        if isinstance(event, Echo):
            # Only an answer is shown: nobody else asks for anything.
            if self._asks and self.has_pty:
                self._write(event.text)
        elif event is Key.INTERRUPT:
            self.interrupted = True
            self._task.cancel()
        elif len(self._lines) < MAX_WAITING_LINES or event is Key.END:
            self._lines.append(event)
            self._typed.set()
            if event is Key.END:
                self._ended_input.set()

    def close(self) -> None:
        """The user has left."""
        self._task.cancel()
