"""Calls an admin's hooks so that none of them can hold up the hub or a start for ever.

A coroutine function runs on the event loop; a plain function in a thread of its own, since one
that blocks would stop every user's work. After the time limit nobody waits for either any more.
"""

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable
from typing import Any

from kworkspace.cli.client.errors import KworkspaceError, StartFailed
from kworkspace.spawners.kube.endings import one_line

log = logging.getLogger(__name__)


async def call(name: str, hook: Callable[..., Any], *args: Any, seconds: float) -> Any:
    """Return what a hook returns.

    Args:
        name: of the option, for messages.
        hook: a function or a coroutine function.
        args: what it is called with.
        seconds: it may take.

    Raises:
        StartFailed: it raised, with its message; or it took too long.
    """
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            result = await _result(hook, *args)
            return await result if inspect.isawaitable(result) else result
    except KworkspaceError as error:
        raise StartFailed(error.message) from error
    except Exception as error:
        if isinstance(error, TimeoutError) and limit.expired():
            message = f"c.KubeSpawner.{name} did not return within {seconds:.0f} s"
            raise StartFailed(message) from None
        log.warning("c.KubeSpawner.%s failed", name, exc_info=True)
        what = one_line(str(error)) or type(error).__name__
        raise StartFailed(f"c.KubeSpawner.{name}: {what}") from error


async def _result(hook: Callable[..., Any], *args: Any) -> Any:
    if inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(
        getattr(hook, "__call__", None)  # noqa: B004  # an object with `async def __call__`
    ):
        return hook(*args)
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    def work() -> None:
        result, failed = None, None
        try:
            result = hook(*args)
        except BaseException as error:  # noqa: BLE001  # SystemExit too: it is the start's failure
            failed = error if isinstance(error, Exception) else RuntimeError(repr(error))
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failed)

    # Daemonic: one that never returns must not keep the hub's process from ending either.
    threading.Thread(target=work, name="hook", daemon=True).start()
    return await done
