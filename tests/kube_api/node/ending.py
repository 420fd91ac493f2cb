"""The end of a pod that is deleted: preStop, SIGTERM, grace period, SIGKILL, the last status."""

import asyncio
import contextlib
from typing import Any

from tests.kube_api.api.deletion import delete
from tests.kube_api.kinds import PODS
from tests.kube_api.node.container import Run
from tests.kube_api.node.hooks import run_hook
from tests.kube_api.node.worker import Worker
from tests.kube_api.objects import containers, dig


async def end(worker: Worker) -> None:
    """End a pod, whose task no longer runs, and delete its object."""
    names = {state.name for state in worker.mains}
    running = {
        name: run for name, run in worker.runs.items() if name in names and not run.ended.done()
    }
    worker.write()
    for name in running:
        path = f"spec.containers{{{name}}}"
        worker.around.record(worker.pod, "Killing", f"Stopping container {name}", path=path)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    asking = loop.create_task(_ask(worker, running), name="asking to end")
    try:
        await _grace(worker, running, begun)
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
    for run in worker.runs.values():
        run.kill()
    await worker.note_ends()
    if worker.current is not None:
        worker.finish()
    if (pod := worker.current) is not None:
        delete(worker.around.store, PODS, pod, {"gracePeriodSeconds": 0})


async def _ask(worker: Worker, running: dict[str, Run]) -> None:
    for container in containers(worker.pod):
        if (run := running.get(container["name"])) is not None:
            await run_hook(worker.pod, container, run, "preStop", worker.around.record)
            run.terminate()


async def _grace(worker: Worker, running: dict[str, Run], begun: float) -> None:
    """Wait for all to end, for as long as the pod's grace period says at each moment."""
    loop = asyncio.get_running_loop()
    while True:
        seconds = dig(worker.current, "metadata", "deletionGracePeriodSeconds", default=0)
        left = begun + seconds - loop.time()
        waiting: list[asyncio.Future[Any]] = [
            run.ended for run in running.values() if not run.ended.done()
        ]
        if not waiting or left <= 0:
            return
        worker.hurried.clear()
        hurry = loop.create_task(worker.hurried.wait(), name="hurry")
        try:
            await asyncio.wait([*waiting, hurry], timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hurry.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await hurry
