"""Tasks with an owner: named, referenced, awaited, and loud when they fail.

Every `asyncio` task of hub, gateway and services is made here and nowhere else (a lint rule bans
`asyncio.create_task`): a bare one may be collected while it runs, and hides its exception.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


class Tasks:
    """The tasks of one owner; `aclose` cancels them and waits for them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Start a task; a failure is logged with its name and does not end the others."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("Task %s failed", task.get_name(), exc_info=error)

    async def aclose(self) -> None:
        """Cancel what still runs, and wait until it has ended."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
