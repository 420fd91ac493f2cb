"""How a container of an image behaves: the script of what the kubelet pretends, or runs for real.

A pod's image is looked up by its whole name. What is not in the list behaves as the kubelet's
default says, which is to be ready at once.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass

Program = Callable[[list[str], bytes], tuple[int, bytes, bytes]]
"""Answers an exec: from argv and all of stdin to exit code, stdout and stderr."""


@dataclass(frozen=True)
class Image:
    """One image.

    Attributes:
        real: run the pod's command as processes of this machine.
        ready_after: seconds from start to readiness; None for never.
        pull_error: why it cannot be pulled; "" when it can.
        pull_seconds: how long a pull takes; 0 for one that is on the node already.
        gate: a pull under way ends when it is set.
        exit_code: with which it ends by itself after `runs_for` seconds; None for never.
        exit_reason: of that end, "" for the usual one.
        ignores_sigterm: it ends only when killed.
        stop_code: with which it ends at SIGTERM.
        stop_seconds: how long it takes to end at SIGTERM.
        log: what it has written.
        exec: what answers an exec in it.
        command: what runs where the pod names no command.
        user: the uid that it runs as where the pod names none.
    """

    real: bool = False
    ready_after: float | None = 0.0
    pull_error: str = ""
    pull_seconds: float = 0.0
    gate: asyncio.Event | None = None
    exit_code: int | None = None
    exit_reason: str = ""
    runs_for: float = 0.0
    ignores_sigterm: bool = False
    stop_code: int = 0
    stop_seconds: float = 0.0
    log: tuple[str, ...] = ()
    exec: Program | None = None
    command: tuple[str, ...] = ("/bin/sh",)
    user: int = 0


def no_such(name: str) -> Image:
    """Return an image that no registry has, with the words of containerd."""
    host, _, rest = name.rpartition(":")[0].partition("/")
    where = f"https://{host}/v2/{rest or host}/manifests/{name.rpartition(':')[2]}"
    return Image(
        pull_error=f'failed to pull and unpack image "{name}": failed to resolve reference'
        f' "{name}": failed to do request: Head "{where}": dial tcp: lookup {host} on'
        " 10.255.255.53:53: no such host"
    )


IMAGES = {
    "ubuntu:24.04": Image(real=True),
    "no-such:1": no_such("no-such:1"),
    "registry.invalid/no/such:1": no_such("registry.invalid/no/such:1"),
    "oom:1": Image(exit_code=137, exit_reason="OOMKilled", runs_for=0.05),
    "crash:1": Image(exit_code=1, log=("broken",)),
    "failed:1": Image(exit_code=3),
    "completed:1": Image(exit_code=0),
    "never-ready:1": Image(ready_after=None),
    "ignores-sigterm:1": Image(ignores_sigterm=True),
}

_REFERENCE = re.compile(
    r"^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$"
)


def is_reference(name: str) -> bool:
    """Whether an image's name is one (docker's reference grammar)."""
    return _REFERENCE.match(name) is not None
