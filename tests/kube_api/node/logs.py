"""What a container has written, for pods/log."""

import asyncio
from collections.abc import AsyncIterator


class Log:
    """The lines of one run of a container; the last may not be ended yet."""

    def __init__(self, *lines: str) -> None:
        self._text = bytearray("".join(f"{line}\n" for line in lines).encode())
        self._waiting: set[asyncio.Future[None]] = set()
        self.is_closed = False

    def write(self, chunk: bytes) -> None:
        """Add what was written."""
        self._text += chunk
        self._wake()

    def close(self) -> None:
        """Note that nothing follows."""
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    @property
    def text(self) -> str:
        """All of it."""
        return self._text.decode(errors="replace")

    async def read(self, *, follow: bool, tail: int | None) -> AsyncIterator[bytes]:
        """Yield what is there, and with follow what comes, until it is closed."""
        place = 0
        if tail is not None:
            lines = bytes(self._text).splitlines(keepends=True)
            place = len(self._text) - sum(len(line) for line in lines[len(lines) - tail :])
            if tail <= 0:
                place = len(self._text)
        while True:
            if place < len(self._text):
                chunk = bytes(self._text[place:])
                place += len(chunk)
                yield chunk
            elif self.is_closed or not follow:
                return
            else:
                await self._more()

    async def _more(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            await waiter
        finally:
            self._waiting.discard(waiter)
