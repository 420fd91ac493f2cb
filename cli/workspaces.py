"""A workspace for the commands, which wait in place: `client.workspaces` without an event loop."""

import time
from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any, TypeVar

from kworkspace.cli.client import workspaces
from kworkspace.cli.client.calls import Call
from kworkspace.cli.client.models import Server
from kworkspace.cli.client.sync import Client
from kworkspace.cli.client.workspaces import Show

T = TypeVar("T")


class _InPlace:
    """Coroutines that never wait for anything: what they await is done when it returns."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def send(self, call: Call[T]) -> T:
        """Make one call."""
        return self._client.send(call)

    async def stream(self, call: Call[T]) -> AsyncGenerator[T, None]:
        """Yield the events of a stream."""
        for event in self._client.stream(call):
            yield event


async def _pause(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251  there is no loop to keep from its work


def _done(work: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine that never waits returns."""
    try:
        work.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    raise AssertionError("it waits for an event loop")


class Workspace:
    """As `client.workspaces.Workspace`, and each method returns when it is done.

    Args:
        client: signed in.
        user: whose it is.
        name: which; "" is the default one.
    """

    def __init__(self, client: Client, user: str, name: str) -> None:
        self._workspace = workspaces.Workspace(
            _InPlace(client), user, name, owner=user, pause=_pause
        )

    def look(self) -> Server | None:
        """Return what the hub knows of it; None when it was never started."""
        return _done(self._workspace.look())

    def find(self, *, make: bool = False) -> Server | None:
        """Return what the hub knows of it; None for a default one that was never started."""
        return _done(self._workspace.find(make=make))

    def create(self) -> bool:
        """Make a named one, without starting it; whether it was not there before."""
        return _done(self._workspace.create())

    def delete(self, show: Show) -> None:
        """Stop a named one, delete it with its files, and return when it is gone."""
        _done(self._workspace.delete(show))

    def start(self, show: Show, asked: Mapping[str, str] | None = None) -> bool:
        """Start it and return when it is ready; whether it was not before."""
        return _done(self._workspace.start(show, asked))

    def stop(self, show: Show) -> bool:
        """Stop it and return when it is stopped; whether it was not before."""
        return _done(self._workspace.stop(show))
