"""Faults on demand: what goes wrong between a client and its API server.

`select` words: a verb as RBAC knows it (get, list, watch, create, ...) and a resource's plural,
with its subresource (pods, pods/exec); None is any.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from tests.kube_api.api.asking import Ask
from tests.kube_api.api.statuses import Refusal, any_status


@dataclass
class Fault:
    """One fault that waits for its requests.

    Attributes:
        left: for how many more requests it holds; None for as long as it is there.
    """

    verb: str | None
    kind: str | None
    left: int | None
    refusal: Refusal | None = None
    seconds: float = 0.0
    cut: bool = False

    def takes(self, ask: Ask) -> bool:
        """Whether it is meant for a request, which then counts."""
        if self.left == 0 or self.verb not in {None, ask.verb}:
            return False
        if self.kind not in {None, ask.rbac_resource, ask.resource.kind}:
            return False
        if self.left is not None:
            self.left -= 1
        return True


@dataclass
class Faults:
    """The faults of one server; `clear` ends those that wait.

    Attributes:
        abort_watches: set by the server: cuts the connections of all watches.
        stop_listening, listen: set by the server.
        flowing: clear while watches are silent and cached reads are old.
        stale_since: the revision that cached reads answer with, None for the newest.
    """

    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    stale_since: int | None = None
    revision: Callable[[], int] = lambda: 0
    abort_watches: Callable[[], int] = lambda: 0
    end_watches: Callable[[], int] = lambda: 0
    stop_listening: Callable[[], Awaitable[None]] | None = None
    listen: Callable[[], Awaitable[None]] | None = None
    _waiting: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.flowing.set()

    def clear(self) -> None:
        """End all faults that wait; silent watches flow again."""
        self._waiting.clear()
        self.fresh()

    def drop_watches(self, *, politely: bool = False) -> int:
        """Cut every watch's connection, or end its stream as at a timeout; return how many."""
        return self.end_watches() if politely else self.abort_watches()

    def fail_next(
        self,
        status: int,
        n: int = 1,
        *,
        verb: str | None = None,
        kind: str | None = None,
        retry_after: int | None = None,
        reason: str = "",
        message: str = "",
    ) -> None:
        """Answer the next n requests with a status."""
        refusal = any_status(status, retry_after=retry_after)
        if reason or message:
            refusal = Refusal(
                status,
                reason or refusal.reason,
                message or refusal.message,
                retry_after=retry_after,
            )
        self._waiting.append(Fault(verb, kind, n, refusal=refusal))

    def expire_next(self, n: int = 1, *, kind: str | None = None) -> None:
        """Let the next n watches hear that their version is too old: 200 and an ERROR event."""
        self._waiting.append(Fault("watch", kind, n, refusal=any_status(410)))

    def slow(self, seconds: float, *, verb: str | None = None, kind: str | None = None) -> None:
        """Let every request wait before it is handled; 0 ends that."""
        self._waiting = [one for one in self._waiting if not one.seconds]
        if seconds:
            self._waiting.append(Fault(verb, kind, None, seconds=seconds))

    def disconnect_mid_body(
        self, n: int = 1, *, verb: str | None = None, kind: str | None = None
    ) -> None:
        """Cut the connection in the middle of the next n answers; of a watch's next event."""
        self._waiting.append(Fault(verb, kind, n, cut=True))

    @contextmanager
    def stale(self) -> Iterator[None]:
        """Within, watches are silent, and lists from the cache (resourceVersion=0) are old."""
        self.flowing.clear()
        self.stale_since = self.revision()
        try:
            yield
        finally:
            self.fresh()

    def fresh(self) -> None:
        """End `stale`."""
        self.stale_since = None
        self.flowing.set()

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """Within, nobody listens on the server's port, and what was connected is cut."""
        assert self.stop_listening is not None
        assert self.listen is not None
        await self.stop_listening()
        try:
            yield
        finally:
            await self.listen()

    async def before(self, ask: Ask) -> bool:
        """Wait and fail as asked for; return whether the answer is to be cut.

        Raises:
            Refusal: the one that waits for this request.
        """
        cut = False
        for fault in tuple(self._waiting):
            if not fault.takes(ask):
                continue
            if fault.left == 0:
                self._waiting.remove(fault)
            if fault.seconds:
                await asyncio.sleep(fault.seconds)
            elif fault.cut:
                cut = True
            elif fault.refusal is not None:
                raise fault.refusal
        return cut
