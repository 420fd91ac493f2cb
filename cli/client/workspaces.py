"""Making, starting, stopping and deleting a workspace and waiting for it, over REST.

What the hub says about a workspace is asked again whenever its stream of progress ends or breaks:
the stream is for people, the state is what counts. A hub that restarts in the middle is waited
for. Called by the commands, through `kworkspace.cli.workspaces`, and by the gateway; prints
nothing, and imports no asyncio, which takes the command a while to load.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

from kworkspace.cli.client import calls
from kworkspace.cli.client.calls import Call, Owner
from kworkspace.cli.client.errors import (
    BadRequest,
    Conflict,
    HubUnreachable,
    KworkspaceError,
    NotFound,
    StartFailed,
    Unavailable,
)
from kworkspace.cli.client.models import Server, ServerState
from kworkspace.cli.client.profiles import check_names, completed, is_as_asked, runs_as
from kworkspace.cli.client.words import seconds

T = TypeVar("T")

LOST_SECONDS = 60.0
STOP_SECONDS = 600.0
POLL_SECONDS = 0.5
ROUNDS = 3

Show = Callable[[str], None]

_SEE_LIST = "those that there are: kworkspace list"


def label(name: str) -> str:
    """Return how a sentence calls a workspace."""
    return f"workspace {name}" if name else "your workspace"


def started_text(name: str, took: float, *, changed: bool) -> str:
    """Return the sentence of `start`; `took` is seconds."""
    done = f"ready ({seconds(took)})" if changed else "ready already"
    return f"{label(name).capitalize()} is {done}."


def stopped_text(name: str, took: float, *, changed: bool) -> str:
    """Return the sentence of `stop`; `took` is seconds."""
    done = f"stopped ({seconds(took)})" if changed else "stopped already"
    return f"{label(name).capitalize()} is {done}."


def missing(user: str, name: str, known: Iterable[str], *, make: bool = False) -> NotFound:
    """Return what to tell of a workspace that does not exist: most likely a slip of the pen.

    Args:
        user: whose it would be.
        name: which.
        known: those that there are.
        make: the person may have meant to make it.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - few slips, and it takes a while

    text = f"{user} has no workspace {name}"
    if close := get_close_matches(name, [other for other in known if other]):
        text += f"; did you mean {' or '.join(close)}?"
        return NotFound(f"{text} A new one: kworkspace create {name}" if make else text)
    return NotFound(f"{text}; {f'make it: kworkspace create {name}' if make else _SEE_LIST}")


class Hub(Protocol):
    """What carries calls."""

    async def send(self, call: Call[T]) -> T:
        """Make one call.

        Raises:
            KworkspaceError: what the hub answered.
        """

    def stream(self, call: Call[T]) -> AsyncGenerator[T, None]:
        """Yield the events of a stream.

        Raises:
            KworkspaceError: what the hub answered.
        """


class Workspace:
    """One workspace of one user.

    Args:
        hub: carries the calls, as somebody who may.
        user: whose it is, for sentences.
        name: which; "" is the default one.
        owner: whose it is, for the hub.
        pause: waits for some seconds.
    """

    def __init__(
        self,
        hub: Hub,
        user: str,
        name: str,
        *,
        owner: Owner,
        pause: Callable[[float], Awaitable[None]],
    ) -> None:
        self._hub, self._user, self._name, self._owner = hub, user, name, owner
        self._pause = pause
        self._lost_since: float | None = None

    async def look(self) -> Server | None:
        """Return what the hub knows of it; None when it was never started.

        Raises:
            KworkspaceError: the hub's.
        """
        return (await self._hub.send(calls.get_user(self._owner))).servers.get(self._name)

    async def find(self, *, make: bool = False) -> Server | None:
        """Return what the hub knows of it; None for a default one that was never started.

        Args:
            make: the person may have meant to make it.

        Raises:
            NotFound: a named one that does not exist.
        """
        servers = (await self._hub.send(calls.get_user(self._owner))).servers
        if self._name and self._name not in servers:
            raise missing(self._user, self._name, servers, make=make)
        return servers.get(self._name)

    async def create(self) -> bool:
        """Make a named one, without starting it; whether it was not there before."""
        if await self.look() is not None:
            return False
        await self._hub.send(calls.create(self._owner, self._name))
        return True

    async def delete(self, show: Show) -> None:
        """Stop a named one, delete it with its files, and return when it is gone.

        Raises:
            KworkspaceError: the hub's; or it takes longer than STOP_SECONDS.
        """
        show("")
        try:
            await self._hub.send(calls.delete(self._owner, self._name))
        except NotFound:
            return  # somebody was faster, or an answer was lost and the call made again
        if await self.look() is None:
            return
        deadline = time.monotonic() + STOP_SECONDS
        async with aclosing(self._watch(show)) as watch:
            async for server, _ in watch:
                if server is None:
                    return
                if time.monotonic() > deadline:
                    note = f" ({server.error})" if server.error else ""
                    raise KworkspaceError(
                        f"{label(self._name)} is still being deleted after"
                        f" {STOP_SECONDS / 60:.0f} min{note}; ask the hub's admin"
                    )

    async def start(self, show: Show, asked: Mapping[str, str] | None = None) -> bool:
        """Start it and return when it is ready; whether it was not before.

        Args:
            show: called with each line of progress.
            asked: what to start it as (`profiles.asked_for`); nothing is as the last time.

        Raises:
            BadRequest: that is not to be had.
            Conflict: it runs already, as something else.
            NotFound: a named one that does not exist: a slip of the pen must not make one.
            StartFailed: with the spawner's reason.
            KworkspaceError: the hub's.
        """
        server = await self.find(make=True)
        state = ServerState.STOPPED if server is None else server.status
        has = {} if server is None else server.user_options
        if asked and state in {ServerState.READY, ServerState.STARTING}:
            self._check_runs_as(asked, has)
        if state is ServerState.READY:
            return False
        show("")
        if state is not ServerState.STARTING:
            options = completed(asked, has) if asked else None
            if asked and options and asked.keys() != {"profile"}:
                profiles = await self._hub.send(calls.profiles())
                check_names(asked, options.get("profile"), profiles)
            await self._ask_to_start(state, show, options)
        await self._follow_start(show)
        return True

    async def stop(self, show: Show) -> bool:
        """Stop it and return when it is stopped; whether it was not before.

        Raises:
            NotFound: a named one that does not exist.
            Conflict: somebody started it again meanwhile.
            KworkspaceError: the hub's.
        """
        server = await self.find()
        state = ServerState.STOPPED if server is None else server.status
        if state is ServerState.STOPPED:
            return False
        show("")
        if state is not ServerState.STOPPING:
            await self._hub.send(calls.stop(self._owner, self._name))
        await self._follow_stop(show)
        return True

    async def _state(self) -> ServerState:
        server = await self.look()
        return ServerState.STOPPED if server is None else server.status

    def _check_runs_as(self, asked: Mapping[str, str], has: Mapping[str, Any]) -> None:
        if not is_as_asked(asked, has):
            raise Conflict(
                f"{label(self._name)} runs already, {runs_as(has)}; to start it"
                f" {runs_as(asked, asked=True)}, stop it first:"
                f" kworkspace stop{f' {self._name}' if self._name else ''}"
            )

    async def _ask_to_start(
        self, state: ServerState, show: Show, options: Mapping[str, Any] | None
    ) -> None:
        for last in (False,) * (ROUNDS - 1) + (True,):
            try:
                if state is ServerState.STOPPING:
                    await self._follow_stop(show)
                await self._hub.send(calls.start(self._owner, self._name, options))
            except (BadRequest, Conflict):
                # Refused because of its state: somebody else was faster, or it is stopping.
                state = await self._state()
                if state in {ServerState.READY, ServerState.STARTING}:
                    return
                if last or state is ServerState.STOPPED:
                    raise
            else:
                return

    async def _follow_start(self, show: Show) -> None:
        stopped = 0
        async with aclosing(self._watch(show)) as watch:
            async for server, failure in watch:
                state = ServerState.STOPPED if server is None else server.status
                if state is ServerState.READY:
                    return
                if failure:
                    raise StartFailed(f"{label(self._name)} did not start: {failure}")
                # A replica's answer may be a moment behind: what counts is seen twice.
                stopped += state is ServerState.STOPPED
                if stopped > 1:
                    error = "" if server is None else server.error
                    error = error or "it was stopped while it started"
                    raise StartFailed(f"{label(self._name)} did not start: {error}")

    async def _follow_stop(self, show: Show) -> None:
        running = 0
        deadline = time.monotonic() + STOP_SECONDS
        async with aclosing(self._watch(show)) as watch:
            async for server, _ in watch:
                if server is None or server.status is ServerState.STOPPED:
                    return
                running += server.status in {ServerState.STARTING, ServerState.READY}
                if running > 1:
                    raise Conflict(f"{label(self._name)} runs again: somebody started it meanwhile")
                if time.monotonic() > deadline:
                    raise KworkspaceError(
                        f"{label(self._name)} is still stopping after {STOP_SECONDS / 60:.0f} min;"
                        " ask the hub's admin"
                    )

    async def _watch(self, show: Show) -> AsyncGenerator[tuple[Server | None, str], None]:
        """Yield, each time the stream of progress ended, the state and the failure that it told.

        A hub that is away is waited for, LOST_SECONDS long.
        """
        while True:
            try:
                failure = await self._stream(show)
                server = await self.look()
            except (HubUnreachable, Unavailable):
                now = time.monotonic()
                self._lost_since = self._lost_since or now
                if now - self._lost_since > LOST_SECONDS:
                    raise
                show("the hub is away, waiting for it")
            else:
                self._lost_since = None
                yield server, failure
            await self._pause(POLL_SECONDS)

    async def _stream(self, show: Show) -> str:
        """Show the events of one stream; the message of the one that says `failed`, or ""."""
        try:
            progress = self._hub.stream(calls.progress(self._owner, self._name))
            async with aclosing(progress) as events:
                async for event in events:
                    self._lost_since = None
                    if event.failed:
                        return event.message or "the hub does not say why"
                    if event.ready:
                        break
                    show(event.message)
        except (BadRequest, Conflict, NotFound):
            pass  # nothing to follow any more: the state tells what became of it
        return ""
