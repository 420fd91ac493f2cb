"""Hooks that work, raise, and never return."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from kworkspace.cli.client.errors import StartFailed
from kworkspace.spawners.kube.hooks import call


async def add(a: int, b: int) -> int:
    return a + b


def plain(a: int, b: int) -> Awaitable[int]:
    return add(a, b)


class Adder:
    async def __call__(self, a: int, b: int) -> int:
        return a + b


@pytest.mark.parametrize("hook", [add, int.__add__, Adder(), plain])
async def test_functions_and_coroutine_functions(hook: Callable[..., Any]) -> None:
    assert await call("modify_pod_hook", hook, 1, 2, seconds=10) == 3


async def raises() -> None:
    raise ValueError("no such\nproject")


def exits() -> None:
    raise SystemExit(3)


def refuses() -> None:
    raise StartFailed("alice has no budget left")


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (raises, "c.KubeSpawner.modify_pod_hook: no such project"),
        (exits, "c.KubeSpawner.modify_pod_hook: SystemExit(3)"),
        (refuses, "alice has no budget left"),
    ],
)
async def test_one_that_raises(hook: Callable[..., Any], message: str) -> None:
    with pytest.raises(StartFailed) as caught:
        await call("modify_pod_hook", hook, seconds=10)
    assert caught.value.message == message


async def test_one_that_never_returns() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def blocks() -> None:
        go_on.wait(30)
        ended.set()

    async def waits() -> None:
        await asyncio.Event().wait()

    for hook in (blocks, waits):
        with pytest.raises(StartFailed, match=r"modify_pod_hook did not return within 0 s"):
            await call("modify_pod_hook", hook, seconds=0.01)
    go_on.set()
    assert await asyncio.to_thread(ended.wait, 30)


async def test_a_timeout_of_the_hooks_own() -> None:
    async def times_out() -> None:
        raise TimeoutError("the directory does not answer")

    with pytest.raises(StartFailed, match="the directory does not answer"):
        await call("modify_pod_hook", times_out, seconds=10)
