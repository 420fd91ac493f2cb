"""Lifecycle hooks of real containers that are programs."""

from collections.abc import Callable

from tests.kube_api.node.container import Run, ScriptedRun
from tests.kube_api.node.probes import collect
from tests.kube_api.objects import Object, dig


async def run_hook(
    pod: Object, container: Object, run: Run, when: str, record: Callable[..., None]
) -> bool:
    """Run a container's hook, if it has one; whether nothing went wrong.

    Args:
        when: postStart or preStop.
        record: records an event.
    """
    argv = dig(container, "lifecycle", when, "exec", "command")
    if argv is None or isinstance(run, ScriptedRun) or run.ended.done():
        return True
    code, said = await collect(await run.exec(argv, tty=False))
    if code == 0:
        return True
    word = f"{when[0].upper()}{when[1:]}Hook"
    path = f"spec.containers{{{container['name']}}}"
    record(pod, f"Failed{word}", f"{word} failed: {said}", warning=True, path=path)
    return False
