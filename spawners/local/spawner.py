"""`LocalSpawner`: the spawner's interface for workspaces on the hub's own machine."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from traitlets import Bool, Float

from kworkspace.cli.client.errors import InvalidName, KworkspaceError, StartFailed
from kworkspace.cli.client.names import is_dns_label
from kworkspace.cli.client.tasks import Tasks
from kworkspace.spawners.base import Check, Listener, ProgressSink, Running, Spawner, Workspace
from kworkspace.spawners.local.accounts import check_hub
from kworkspace.spawners.local.checks import check_machine, checks
from kworkspace.spawners.local.launch import is_key_line
from kworkspace.spawners.local.limits import Bytes, Fence, Limits, NoFence, find_fence
from kworkspace.spawners.local.listening import listeners
from kworkspace.spawners.local.removal import remove
from kworkspace.spawners.local.slot import Slot
from kworkspace.spawners.local.state import Paths, State

_MARGIN_SECONDS = 3.0
_POLL_SECONDS = 0.025


class LocalSpawner(Spawner):
    """Runs workspaces as processes on the hub's machine: Linux only (pidfd, /proc).

    Usually each runs as the account that runs the hub, and that isolates nobody: every workspace
    can read and write the files of every other one and of the hub, secrets included. It is for one
    person, or for a machine whose users trust each other. A workspace's home is
    `DATA_DIR/workspaces/SLUG/home`; it is made at the first start, from /etc/skel as useradd does,
    and deleted only with the workspace.

    With `system_users` each runs as its user's own account (docs/local-spawner.md).
    """

    system_users = Bool(
        False,
        help="""Run each workspace as the Unix account that has its user's name, in that account's
        home. Needs a hub that root runs, and a data_dir that only root can change.

        Accounts are not made here, and a home is never deleted.""",
    ).tag(config=True)

    cpu_limit = Float(
        0.0, min=0.0, help="How many cores a workspace may use, as 1.5. 0: no limit."
    ).tag(config=True)

    mem_limit = Bytes(
        0,
        min=0,
        help="""How much memory a workspace may use: bytes, or as "512M" or "4G". 0: no limit.

        What takes more is killed by the kernel.""",
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._fence: Fence = NoFence()
        self._root = self.data_dir.absolute() / "workspaces"
        self._slots: dict[str, Slot] = {}
        self._starts: dict[str, asyncio.Task[Running | KworkspaceError]] = {}
        self._tasks = Tasks()

    async def open(self) -> None:
        """Check the machine, and watch what runs already."""
        check_machine()
        try:
            await asyncio.to_thread(self._root.mkdir, mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise KworkspaceError(
                f"The directory {self._root} cannot be made: {error.strerror}. Set c.Hub.data_dir"
                " to one that can be written."
            ) from error
        if self.system_users:
            await asyncio.to_thread(check_hub, self._root)
        else:
            self.log.warning(
                "LocalSpawner isolates nobody: each workspace runs as uid %d and reads the hub's"
                " files. It is for one person or a trusted machine.",
                os.geteuid(),
            )
        limits = Limits(self.cpu_limit, self.mem_limit)
        self._fence = await asyncio.to_thread(find_fence, limits, self.hub_id)
        await self.running()

    async def aclose(self) -> None:
        """Stop watching."""
        await self._tasks.aclose()
        for slot in self._slots.values():
            slot.close()
        self._slots.clear()

    def _slot(self, slug: str) -> Slot:
        if not is_dns_label(slug):
            raise InvalidName(f"slug: '{slug}' is not a DNS label")
        if slug not in self._slots:
            paths = Paths(self._root / slug, sealed=self.system_users)
            self._slots[slug] = Slot(paths, slug, self.on_exit, self._fence)
        return self._slots[slug]

    async def start(self, workspace: Workspace, progress: ProgressSink) -> Running:
        """Start the workspace's process; a second start of it waits for the same one."""
        if (running := await self.find(workspace.id, workspace.slug)) is not None:
            await self.refresh(workspace)
            return running
        progress(10, "Starting the workspace's process")
        task = self._starts.get(workspace.id)
        if task is None:
            slot = self._slot(workspace.slug)
            task = self._tasks.spawn(
                self._start(workspace, slot, slot.stops), f"start {workspace.slug}"
            )
            self._starts[workspace.id] = task
            task.add_done_callback(partial(self._forget_start, workspace.id))
        # Who waits may be cancelled; the process is under way all the same, until `stop`.
        outcome = await asyncio.shield(task)
        if isinstance(outcome, KworkspaceError):
            raise outcome
        progress(90, "The workspace answers")
        return outcome

    def _forget_start(self, id: str, task: asyncio.Task[Running | KworkspaceError]) -> None:
        if self._starts.get(id) is task:
            del self._starts[id]

    async def _start(
        self, workspace: Workspace, slot: Slot, stops: int
    ) -> Running | KworkspaceError:
        for line in (*workspace.authorized_keys, *workspace.user_authorities):
            if not is_key_line(line):
                self.log.warning("Left out for %s, not a public key: %.40r", workspace.slug, line)
        try:
            async with asyncio.timeout(self.start_timeout):
                host_key = await slot.prepare(workspace)
                state = await slot.bring_up(
                    workspace, host_key=host_key, stops=stops, stop_seconds=self.stop_timeout
                )
        except KworkspaceError as error:
            return error
        except TimeoutError:
            with suppress(KworkspaceError):
                await slot.stop(workspace.id, None, seconds=0)
            return StartFailed(
                f"The workspace was not ready after {self.start_timeout} seconds"
                " (c.Spawner.start_timeout)."
            )
        except OSError as error:
            self.log.warning("Workspace %s cannot start: %s", workspace.slug, error)
            return StartFailed(f"The workspace cannot start: {error.strerror}: {error.filename}")
        return _running(state)

    async def stop(self, id: str, slug: str, object_uid: str | None = None) -> None:
        """End the workspace's process and everything that was started in it.

        Raises:
            KworkspaceError: a process cannot be ended, or the workspace's directory be used.
        """
        if object_uid is None:
            # The start under way gives up; whoever starts from now on does not wait for that one.
            self._starts.pop(id, None)
        seconds = self.stop_timeout + _MARGIN_SECONDS
        with _told("stopped"):
            await self._slot(slug).stop(id, object_uid, seconds=seconds)

    async def delete(self, id: str, slug: str, *, user: str = "", name: str = "") -> None:
        """End the workspace and remove its directory; an account's home is nobody's to remove.

        Raises:
            KworkspaceError: a process cannot be ended, or the directory not be removed.
        """
        paths = Paths(self._root / slug, sealed=self.system_users)
        start = self._starts.get(id)
        await self.stop(id, slug)
        if start is not None:  # it gives up, and makes no directory from then on
            await asyncio.wait([start])
        with _told("deleted"):
            while not await asyncio.to_thread(remove, paths):
                # Another hub has just started it, or what runs there is of a server that is gone.
                state = self._slot(slug).find(None)
                await self.stop(id if state is None else state.id, slug)
                await asyncio.sleep(_POLL_SECONDS)
        if self.system_users:
            self.log.info("Deleted %s: its keys and logs; the home of its account stays", slug)
        if (slot := self._slots.pop(slug, None)) is not None:
            slot.close()

    async def find(self, id: str, slug: str, *, user: str = "", name: str = "") -> Running | None:
        """Return the workspace if its process lives and listens."""
        state = self._slot(slug).find(id)
        return None if state is None else _running(state)

    async def running(self) -> Sequence[Running]:
        """Return all that lives below the data directory."""
        slugs = await asyncio.to_thread(_directories, self._root)
        states = [self._slot(slug).find(None) for slug in slugs if is_dns_label(slug)]
        return [_running(state) for state in states if state is not None]

    async def listeners(self, id: str, slug: str, own_port: int) -> Sequence[Listener]:
        """Return what its processes listen on."""
        return await asyncio.to_thread(listeners, id, self._slot(slug).uid(), own_port)

    async def check(self) -> Sequence[Check]:
        """Return whether the machine has what workspaces need here."""
        return await asyncio.to_thread(checks, self._root, system_users=self.system_users)

    async def refresh(self, workspace: Workspace) -> None:
        """Write the keys anew; the process reads them at each login.

        Raises:
            KworkspaceError: they cannot be written.
        """
        with _told("refreshed"):
            await self._slot(workspace.slug).refresh(workspace)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say in one line what a directory that cannot be used prevents."""
    try:
        yield
    except OSError as error:
        raise KworkspaceError(
            f"The workspace cannot be {what}: {error.strerror}: {error.filename}"
        ) from error


def _running(state: State) -> Running:
    return Running(
        id=state.id,
        slug=state.slug,
        object_uid=state.object_uid,
        host=state.host,
        port=state.port,
        host_key=state.host_key,
        account=state.account,
    )


def _directories(root: Path) -> list[str]:
    try:
        return [path.name for path in root.iterdir() if path.is_dir()]
    except FileNotFoundError:
        return []
