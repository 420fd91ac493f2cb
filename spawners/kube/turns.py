"""Lets a few starts at a time make what their pods need, the others after them.

The pods of the first are then on their way while the next begin; else many would all be half done
for long, and their pods made at the same late moment. Who is slow keeps nobody: after a moment the
next one begins all the same. Used by `making`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

AT_ONCE = 8
SLOW_SECONDS = 0.25


class Turns:
    """Gives turns: how many are working, and who waits."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it in this block."""
        await self._free.acquire()
        ours = True

        def give_back() -> None:
            nonlocal ours
            if ours:
                ours = False
                self._free.release()

        slow = asyncio.get_running_loop().call_later(SLOW_SECONDS, give_back)
        try:
            yield
        finally:
            slow.cancel()
            give_back()
