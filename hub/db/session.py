"""A database session whose statements run to their end, also when who waits is cancelled.

A statement runs in SQLite's thread and cannot be taken back: whoever is cancelled meanwhile waits
for it, so that the rollback or the commit after it finds the connection at rest. They are
milliseconds. (That closing runs to its end SQLAlchemy sees to itself.)
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from kworkspace.cli.client.tasks import Tasks

T = TypeVar("T")

_tasks = Tasks()


class Session(AsyncSession):
    """What `Store.begin` gives out.

    Args:
        engine: the database.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__(engine, expire_on_commit=False)

    async def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Execute a statement; `scalars` comes by here too."""
        return await to_its_end(super().execute(*args, **kwargs))

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        """Return an object by its primary key."""
        return await to_its_end(super().get(*args, **kwargs))

    async def flush(self, objects: Any = None) -> None:
        """Write what has changed."""
        await to_its_end(super().flush(objects))


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Await something that must not be interrupted; a cancellation is raised after it.

    Raises:
        Exception: what the work raises.
        asyncio.CancelledError: it was done, and who waited for it has been cancelled.
    """
    task = _tasks.spawn(_outcome(work), "database")
    try:
        result, error = await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():  # who is impatient cancels more than once
            with suppress(asyncio.CancelledError):
                await asyncio.wait({task})
        raise
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # there is one if there is no error


async def _outcome(work: Coroutine[Any, Any, T]) -> tuple[T | None, Exception | None]:
    try:
        return await work, None
    except Exception as error:  # noqa: BLE001  # raised again where it is waited for
        return None, error
