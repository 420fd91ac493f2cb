"""One workspace of the local spawner: brings it up, ends it, notices when it ends by itself.

What exists is read from disk and /proc each time, so that a hub that was killed, or a second one,
comes to the same answer. Within one hub the slot's lock puts launches and stops in order; between
hubs the lock that the process itself holds does (see `launch`).
"""

import asyncio
import logging
import signal
from collections.abc import Callable

from kworkspace.cli.client.errors import KworkspaceError, StartFailed
from kworkspace.spawners.base import Exit, Workspace
from kworkspace.spawners.local.accounts import find_account
from kworkspace.spawners.local.files import read_tail
from kworkspace.spawners.local.host_key import ensure_host_key, write_certificate
from kworkspace.spawners.local.launch import (
    Launched,
    end_leftovers,
    held_lock,
    is_locked,
    launch,
    make_directories,
    write_authorized_keys,
)
from kworkspace.spawners.local.limits import Fence
from kworkspace.spawners.local.ready import READY, read_outcome
from kworkspace.spawners.local.state import (
    Owner,
    Paths,
    State,
    read_owner,
    read_state,
    read_uid,
)
from kworkspace.spawners.local.watch import ExitWatch
from kworkspace.spawners.processes import descendants, kill_all, marked, open_pidfd

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.025
_MARGIN_SECONDS = 3.0
_KILL_SECONDS = 5.0
_SIGN_SECONDS = 10.0
_MAX_WORDS = 200
_TAIL_BYTES = 4096


class Slot:
    """What one hub knows of one workspace's process; it can forget all of it and find it again.

    Args:
        paths: of the workspace.
        slug: as in `Workspace`.
        on_exit: called when the process has ended by itself and nothing of it is left.
        fence: keeps its processes within their limits.
    """

    def __init__(
        self, paths: Paths, slug: str, on_exit: Callable[[Exit], None], fence: Fence
    ) -> None:
        self._paths = paths
        self._fence = fence
        self._slug = slug
        self._on_exit = on_exit
        self._lock = asyncio.Lock()
        self._stops = 0
        self._watch: ExitWatch | None = None
        self._owner: Owner | None = None
        self._expected = False
        self._certified = ""

    def close(self) -> None:
        """Watch no more; what runs goes on."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    # Finding.

    def uid(self) -> int | None:
        """Return the uid that it runs as, None for our own."""
        return read_uid(self._paths)

    def find(self, server_id: str | None) -> State | None:
        """Return the server that lives, and watch it from now on.

        Args:
            server_id: only if it is this server's; None takes any.
        """
        state = read_state(self._paths.state)
        if state is None or state.slug != self._slug or server_id not in {None, state.id}:
            return None
        return state if self._watch_for(state) is not None else None

    def _watch_for(self, owner: Owner) -> ExitWatch | None:
        """Return the watch of a process, made if need be; None when the process has ended."""
        if self._watch is not None:
            # Who is watched keeps its pid, so the same pid is the same process.
            if self._watch.pid == owner.pid:
                self._owner = owner
                return self._watch
            self.close()
        fd = open_pidfd(owner.process)
        if fd is None:
            return None
        return self._begin_watch(owner.pid, fd, owner)

    def _begin_watch(self, pid: int, fd: int, owner: Owner | None) -> ExitWatch:
        """Watch a process; without its owner, it is ours and not ready yet."""
        self._owner = owner
        self._expected = owner is None
        self._watch = ExitWatch(pid, fd, self._ended)
        return self._watch

    def _ended(self, how: str | None) -> None:
        owner, self._watch, self._owner = self._owner, None, None
        if self._expected or owner is None:
            return
        reason = (
            f"The workspace's process ended by itself ({how})"
            if how
            else ("The workspace's process ended by itself")
        )
        try:
            with held_lock(self._paths) as fd:
                if fd is not None:
                    self._clear_away(owner.id)
        except OSError as error:  # somebody has removed the directory
            log.warning("Workspace %s: %s", self._slug, error)
        self._on_exit(Exit(id=owner.id, object_uid=owner.object_uid, reason=reason))

    def _clear_away(self, server_id: str) -> None:
        """End what a server that has ended may have left; only with the lock held."""
        end_leftovers(self._paths, server_id)
        self._fence.remove(self._slug)

    # Starting.

    @property
    def stops(self) -> int:
        """How many stops there were: a start that is overtaken by one gives up."""
        return self._stops

    async def prepare(self, workspace: Workspace) -> str:
        """Make the directories and the host key with its certificate, and write who may log in.

        Returns:
            The public host key.

        Raises:
            StartFailed: a sealed workspace whose user has no account that can be logged in to.
            OSError: they cannot be written.
        """
        return await asyncio.to_thread(self._prepare, workspace)

    def _prepare(self, workspace: Workspace) -> str:
        if self._paths.sealed:
            find_account(workspace.user)
        make_directories(self._paths)
        self._write_keys(workspace)
        host_key = ensure_host_key(self._paths)
        self._certify(workspace, host_key)
        return host_key

    def _certify(self, workspace: Workspace, host_key: str) -> None:
        write_certificate(self._paths, host_key, workspace.certify)
        self._certified = workspace.certificate_mark

    def _write_keys(self, workspace: Workspace) -> None:
        write_authorized_keys(
            self._paths, workspace.id, workspace.authorized_keys, workspace.user_authorities
        )

    async def refresh(self, workspace: Workspace) -> None:
        """Write who may log in from now on, if the workspace was ever started.

        And another host certificate, when it is time for one.
        """
        if self._paths.run.is_dir():
            async with self._lock:
                await asyncio.to_thread(self._refresh, workspace)

    def _refresh(self, workspace: Workspace) -> None:
        self._write_keys(workspace)
        state = read_state(self._paths.state)
        if state is not None and workspace.certificate_mark != self._certified:
            self._certify(workspace, state.host_key)

    async def bring_up(
        self, workspace: Workspace, *, host_key: str, stops: int, stop_seconds: int
    ) -> State:
        """Launch the process and wait until it is ready, or adopt the one that is there.

        Args:
            workspace: prepared.
            host_key: as `prepare` returned it.
            stops: `stops` when this start began.
            stop_seconds: what everything gets to end by itself at a stop.

        Raises:
            StartFailed: it was stopped meanwhile, or could not start.
            OSError: no process could be made.
        """
        while True:
            async with self._lock:
                if self._stops != stops:
                    raise StartFailed("The workspace was stopped while it was starting.")
                # Not in a thread: a start that is cancelled here would leave a launch behind that
                # the stop which follows cannot see.
                launched = launch(
                    self._paths,
                    server_id=workspace.id,
                    user=workspace.user,
                    slug=self._slug,
                    host_key=host_key,
                    stop_seconds=stop_seconds,
                    fence=self._fence,
                )
                if launched is not None:
                    self.close()
                    self._begin_watch(launched.pid, launched.pidfd, None)
            if launched is not None:
                return await self._when_ready(launched)
            if (state := await self._adopt(workspace.id)) is not None:
                return state

    async def _when_ready(self, launched: Launched) -> State:
        outcome = await read_outcome(launched.ready_fd)
        state = self.find(None) if outcome == READY else None
        if state is None:
            raise StartFailed(
                "The workspace's process ended while it was starting"
                f" ({outcome or self._last_words()}); see {self._paths.log}."
            )
        self._expected = False
        return state

    def _last_words(self) -> str:
        tail = read_tail(self._paths.log, _TAIL_BYTES)
        lines = tail.decode(errors="replace").strip().splitlines()
        return lines[-1][:_MAX_WORDS] if lines else "without a word"

    async def _adopt(self, server_id: str) -> State | None:
        """Wait for the process that holds the lock to be ready; None when it has ended instead."""
        while is_locked(self._paths):
            state = self.find(None)
            if state is not None and state.id == server_id:
                return state
            if state is not None:
                # The slug is ours by now: what runs there belongs to a server that is gone.
                await self.stop(state.id, state.object_uid, seconds=_MARGIN_SECONDS)
            await asyncio.sleep(_POLL_SECONDS)
        return None

    # Stopping.

    async def stop(self, server_id: str, object_uid: str | None, *, seconds: float) -> None:
        """End the process and all that it started, and return when they are gone.

        Args:
            server_id: the server's UUID; another server's process is left alone.
            object_uid: this incarnation only; None takes any, and overtakes a start under way.
            seconds: after the server's own grace it is killed.

        Raises:
            KworkspaceError: a process cannot be killed.
        """
        if object_uid is None:
            self._stops += 1
        async with self._lock:
            if not self._paths.run.is_dir():
                return
            while (owner := await self._holder(server_id)) is not None:
                if owner.id != server_id or object_uid not in {None, owner.object_uid}:
                    return
                await self._end(owner, seconds)
                with held_lock(self._paths) as fd:
                    if fd is not None:
                        self._clear_away(server_id)

    async def _holder(self, server_id: str) -> Owner | None:
        """Return who holds the lock, or None when nobody does and nothing is left."""
        deadline = asyncio.get_running_loop().time() + _SIGN_SECONDS
        while True:
            with held_lock(self._paths) as fd:
                if fd is not None:
                    self._clear_away(server_id)
                    return None
            owner = read_owner(self._paths.lock)
            if owner is not None and owner.lives():
                return owner
            # Somebody is about to start it, and it has not said yet who it is.
            late = asyncio.get_running_loop().time() - deadline
            if late > _KILL_SECONDS:
                raise KworkspaceError(
                    f"A process that is not workspace {self._slug}'s holds {self._paths.lock};"
                    " see who with fuser, and end it."
                )
            if late > 0:
                kill_all(marked(server_id, read_uid(self._paths)))
            await asyncio.sleep(_POLL_SECONDS)

    async def _end(self, owner: Owner, seconds: float) -> None:
        watch = self._watch_for(owner)
        if watch is None:
            return
        self._expected = True
        watch.send(signal.SIGTERM)
        if await watch.wait(seconds):
            return
        log.warning("Workspace %s does not end, killing it", self._slug)
        below = descendants(owner.pid)
        watch.send(signal.SIGKILL)
        kill_all(below)
        if not await watch.wait(_KILL_SECONDS):
            raise KworkspaceError(
                f"The process {owner.pid} of workspace {self._slug} cannot be killed; it may wait"
                " for a disk that does not answer."
            )
