"""Making, starting, stopping and deleting a workspace and waiting for it, over REST.

What the hub says about a workspace is asked again whenever its stream of progress ends or breaks:
the stream is for people, the state is what counts. A hub that restarts in the middle is waited
for. Called by the commands; prints nothing.
"""

import time
from collections.abc import Callable, Iterable, Iterator

from kworkspace.cli.client import calls
from kworkspace.cli.client.errors import (
    BadRequest,
    Conflict,
    HubUnreachable,
    KworkspaceError,
    NotFound,
    StartFailed,
    Unavailable,
)
from kworkspace.cli.client.models import Server, ServerState, StartOptions
from kworkspace.cli.client.sync import Client

LOST_SECONDS = 60.0
STOP_SECONDS = 600.0
POLL_SECONDS = 0.5
ROUNDS = 3

Show = Callable[[str], None]

_SEE_LIST = "those that there are: kworkspace list"


def label(name: str) -> str:
    """Return how a sentence calls a workspace."""
    return f"workspace {name}" if name else "your workspace"


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


class Workspace:
    """One workspace of one user.

    Args:
        client: signed in.
        user: whose it is.
        name: which; "" is the default one.
    """

    def __init__(self, client: Client, user: str, name: str) -> None:
        self._client, self._user, self._name = client, user, name
        self._lost_since: float | None = None

    def look(self) -> Server | None:
        """Return what the hub knows of it; None when it was never started.

        Raises:
            KworkspaceError: the hub's.
        """
        return self._client.send(calls.get_user(self._user)).servers.get(self._name)

    def find(self, *, make: bool = False) -> Server | None:
        """Return what the hub knows of it; None for a default one that was never started.

        Args:
            make: the person may have meant to make it.

        Raises:
            NotFound: a named one that does not exist.
        """
        servers = self._client.send(calls.get_user(self._user)).servers
        if self._name and self._name not in servers:
            raise missing(self._user, self._name, servers, make=make)
        return servers.get(self._name)

    def create(self) -> bool:
        """Make a named one, without starting it; whether it was not there before."""
        if self.look() is not None:
            return False
        self._client.send(calls.create(self._user, self._name))
        return True

    def delete(self, show: Show) -> None:
        """Stop a named one, delete it with its files, and return when it is gone.

        Raises:
            KworkspaceError: the hub's; or it takes longer than STOP_SECONDS.
        """
        show("")
        try:
            self._client.send(calls.delete(self._user, self._name))
        except NotFound:
            return  # somebody was faster, or an answer was lost and the call made again
        if self.look() is None:
            return
        deadline = time.monotonic() + STOP_SECONDS
        for server, _ in self._watch(show):
            if server is None:
                return
            if time.monotonic() > deadline:
                note = f" ({server.error})" if server.error else ""
                raise KworkspaceError(
                    f"{label(self._name)} is still being deleted after"
                    f" {STOP_SECONDS / 60:.0f} min{note}; ask the hub's admin"
                )

    def start(self, show: Show, profile: str | None = None) -> bool:
        """Start it and return when it is ready; whether it was not before.

        Args:
            show: called with each line of progress.
            profile: what to start it as; None is as the last time.

        Raises:
            Conflict: it runs already, as something else.
            NotFound: a named one that does not exist: a slip of the pen must not make one.
            StartFailed: with the spawner's reason.
            KworkspaceError: the hub's.
        """
        server = self.find(make=True)
        state = ServerState.STOPPED if server is None else server.status
        if server is not None and profile and state in {ServerState.READY, ServerState.STARTING}:
            self._check_profile(server, profile)
        if state is ServerState.READY:
            return False
        show("")
        if state is not ServerState.STARTING:
            self._ask_to_start(state, show, profile)
        self._follow_start(show)
        return True

    def stop(self, show: Show) -> bool:
        """Stop it and return when it is stopped; whether it was not before.

        Raises:
            NotFound: a named one that does not exist.
            Conflict: somebody started it again meanwhile.
            KworkspaceError: the hub's.
        """
        server = self.find()
        state = ServerState.STOPPED if server is None else server.status
        if state is ServerState.STOPPED:
            return False
        show("")
        if state is not ServerState.STOPPING:
            self._client.send(calls.stop(self._user, self._name))
        self._follow_stop(show)
        return True

    def _state(self) -> ServerState:
        server = self.look()
        return ServerState.STOPPED if server is None else server.status

    def _check_profile(self, server: Server, profile: str) -> None:
        has = server.user_options.get("profile")
        if has != profile:
            runs = f"as {has}" if has else "without a profile"
            raise Conflict(
                f"{label(self._name)} runs already, {runs}; to start it as {profile}, stop it"
                f" first: kworkspace stop{f' {self._name}' if self._name else ''}"
            )

    def _ask_to_start(self, state: ServerState, show: Show, profile: str | None) -> None:
        options = None if profile is None else StartOptions(profile=profile)
        for last in (False,) * (ROUNDS - 1) + (True,):
            try:
                if state is ServerState.STOPPING:
                    self._follow_stop(show)
                self._client.send(calls.start(self._user, self._name, options))
            except (BadRequest, Conflict):
                # Refused because of its state: somebody else was faster, or it is stopping.
                state = self._state()
                if state in {ServerState.READY, ServerState.STARTING}:
                    return
                if last or state is ServerState.STOPPED:
                    raise
            else:
                return

    def _follow_start(self, show: Show) -> None:
        stopped = 0
        for server, failure in self._watch(show):
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

    def _follow_stop(self, show: Show) -> None:
        running = 0
        deadline = time.monotonic() + STOP_SECONDS
        for server, _ in self._watch(show):
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

    def _watch(self, show: Show) -> Iterator[tuple[Server | None, str]]:
        """Yield, each time the stream of progress ended, the state and the failure that it told.

        A hub that is away is waited for, LOST_SECONDS long.
        """
        while True:
            try:
                failure = self._stream(show)
                server = self.look()
            except (HubUnreachable, Unavailable):
                now = time.monotonic()
                self._lost_since = self._lost_since or now
                if now - self._lost_since > LOST_SECONDS:
                    raise
                show("the hub is away, waiting for it")
            else:
                self._lost_since = None
                yield server, failure
            time.sleep(POLL_SECONDS)

    def _stream(self, show: Show) -> str:
        """Show the events of one stream; the message of the one that says `failed`, or ""."""
        try:
            for event in self._client.stream(calls.progress(self._user, self._name)):
                self._lost_since = None
                if event.failed:
                    return event.message or "the hub does not say why"
                if event.ready:
                    break
                show(event.message)
        except (BadRequest, Conflict, NotFound):
            pass  # nothing to follow any more: the state tells what became of it
        return ""
