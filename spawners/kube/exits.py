"""Tells the hub, once each, of pods that have ended or are about to, unless they were asked to.

A process that has ended while its pod still counts as running, or that was killed, may have been
ended by its node: the node's own word comes a moment later, and is waited for.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from kworkspace.spawners.base import Exit
from kworkspace.spawners.kube import pods
from kworkspace.spawners.kube.endings import DELETED, ending
from kworkspace.spawners.kube.found import server_of
from kworkspace.spawners.kube.pods import Object

REASON_SECONDS = 0.5


class Exits:
    """Tells.

    Args:
        tell: the hub.
        asked: whether a pod ends because it was asked to.
    """

    def __init__(self, tell: Callable[[Exit], None], asked: Callable[[Object], bool]) -> None:
        self._tell = tell
        self._asked = asked
        self._told: set[str] = set()
        self._waiting: dict[str, asyncio.TimerHandle] = {}
        self._starting: dict[str, tuple[Object, str] | None] = {}

    def starting(self, id: str) -> None:
        """Tell nothing of a server while it starts: whoever waits for the start is told."""
        self._starting[id] = None

    def started(self, id: str, object_uid: str = "") -> None:
        """The start is over.

        Args:
            id: the server's UUID.
            object_uid: of the pod that was ready; if it has ended since, that is told now.
        """
        held = self._starting.pop(id, None)
        if held is not None and pods.uid(held[0]) == object_uid:
            self._say(*held)

    def close(self) -> None:
        """Tell nothing more."""
        for timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()

    def changed(self, gone: bool, pod: Object) -> None:
        """Take a change of a pod.

        Args:
            gone: it is not there any more.
            pod: as it was last seen.
        """
        uid = pods.uid(pod)
        if (timer := self._waiting.pop(uid, None)) is not None:
            timer.cancel()
        why = ending(pod) or (DELETED if gone else None)
        id = server_of(pod)
        if why is not None and id in self._starting:
            self._starting[id] = pod, why
        elif why is not None and id and uid not in self._told and not self._asked(pod):
            if gone or _is_final(pod):
                self._say(pod, why)
            else:
                loop = asyncio.get_running_loop()
                say = partial(self._say, pod, why)
                self._waiting[uid] = loop.call_later(REASON_SECONDS, say)
        if gone:
            self._told.discard(uid)

    def _say(self, pod: Object, why: str) -> None:
        uid = pods.uid(pod)
        self._waiting.pop(uid, None)
        if not self._asked(pod):  # not since either
            self._told.add(uid)
            self._tell(Exit(id=server_of(pod), object_uid=uid, reason=why))


def _is_final(pod: Object) -> bool:
    """Whether nothing more is to come that would say why."""
    if pods.is_terminating(pod) or (pod.get("status") or {}).get("reason"):
        return True
    terminated = pods.state(pods.status_of(pod), "terminated") or {}
    if terminated.get("reason") == "OOMKilled":
        return True
    was_killed = int(terminated.get("exitCode", 0)) > 128
    return pods.phase(pod) in {"Succeeded", "Failed"} and not was_killed
