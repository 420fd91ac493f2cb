"""What is asked for while a call is under way is asked for by the next call, as one.

For what costs a transaction whether it is about one server or about twenty. Who asks when nothing
is under way waits for nobody else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

from kworkspace.cli.client.errors import KworkspaceError, Unavailable
from kworkspace.cli.client.tasks import Tasks

log = logging.getLogger(__name__)

MOST = 20  # in one call: what follows from it comes at once, and must not hold up the event loop

Item = TypeVar("Item")
T = TypeVar("T")


class Together(Generic[Item, T]):
    """Makes the calls.

    Args:
        work: is given items in the order in which they came, and returns what came of each, an
            exception where it is to be raised. A KworkspaceError that it raises itself, all of them
            hear; what it did not expect may be one item's doing, and each is then tried alone.
        tasks: owns what is under way.
        most_waiting: how many may wait, None for as many as there are.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[Sequence[T | Exception]]],
        tasks: Tasks,
        *,
        most_waiting: int | None = None,
    ) -> None:
        self._most_waiting = most_waiting
        self._work = work
        self._tasks = tasks
        self._waiting: list[tuple[Item, asyncio.Future[T]]] = []
        self._running = False

    async def __call__(self, item: Item) -> T:
        """Return what came of an item; its turn is made even if who asked is cancelled.

        Raises:
            Unavailable: as many wait as may.
        """
        if self._most_waiting is not None and len(self._waiting) >= self._most_waiting:
            raise Unavailable("The hub has too much to do; nothing was changed. Try again")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if not self._running:
            self._running = True
            self._tasks.spawn(self._run(), "what is asked for together")
        await asyncio.wait([future])
        return future.result()

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._turn()
        finally:
            self._running = False
            _cancel(future for _, future in self._waiting)
            self._waiting.clear()

    async def _turn(self) -> None:
        turn, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            outcomes = await self._outcomes([item for item, _ in turn])
        except asyncio.CancelledError:
            _cancel(future for _, future in turn)
            raise
        for (_, future), outcome in zip(turn, outcomes, strict=True):
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
                future.exception()  # whoever asked may be gone
            else:
                future.set_result(outcome)

    async def _outcomes(self, items: Sequence[Item]) -> Sequence[T | Exception]:
        try:
            return await self._work(items)
        except KworkspaceError as error:
            return [error] * len(items)
        except Exception as error:  # noqa: BLE001  # raised where it is waited for
            if len(items) == 1:
                return [error]
            log.warning("%d together failed (%s): each is tried alone", len(items), error)
            return [(await self._outcomes([item]))[0] for item in items]


def _cancel(futures: Iterable[asyncio.Future[T]]) -> None:
    """Leave nobody waiting for what will not come."""
    for future in futures:
        future.cancel()
