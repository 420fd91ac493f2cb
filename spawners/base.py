"""The interface between the hub's life cycle and what really runs.

One spawner object serves all workspaces of a hub. Every method can be called again after a crash,
on another replica, or twice at once, with the same outcome: what exists is adopted, what is gone
stays gone. The hub calls with plain values made from its database, and stores what comes back.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from traitlets import Any as AnyTrait
from traitlets import Integer
from traitlets.config import LoggingConfigurable

ProgressSink = Callable[[int, str], None]
"""Called with a percentage (0 to 100) and a line for people."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """What to run.

    Attributes:
        id: the server's UUID; also the principal that the gateway's certificates name.
        user: the owner's name.
        name: the workspace's name, "" for the default one.
        slug: a DNS label made once, unique in the hub; names directory, pod and volume.
        authorized_keys: the owner's public keys, OpenSSH lines.
        user_authorities: public keys of the hub's user certificate authorities, OpenSSH lines.
        options: what the user asked for (REST's `user_options`).
        groups: the names of the owner's groups, in order.
    """

    id: str
    user: str
    name: str
    slug: str
    authorized_keys: tuple[str, ...] = ()
    user_authorities: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Running:
    """A workspace that runs, as the spawner found or made it.

    Attributes:
        id: the server's UUID.
        slug: as in `Workspace`.
        object_uid: names this very incarnation; another start has another one (fencing).
        host: where its SSH server listens, for the gateway.
        port: the TCP port of it.
        host_key: the host key to pin, an OpenSSH public key line.
        account: the Unix account to log in as.
    """

    id: str
    slug: str
    object_uid: str
    host: str
    port: int
    host_key: str
    account: str


@dataclass(frozen=True, slots=True)
class Exit:
    """A workspace that ended without being asked to.

    Attributes:
        id: the server's UUID.
        object_uid: which incarnation ended.
        reason: one line for people.
    """

    id: str
    object_uid: str
    reason: str


class Spawner(LoggingConfigurable):
    """Starts, finds and stops workspaces.

    Args:
        hub_id: marks what belongs to this hub, where several could meet (labels).
        data_dir: a directory of the hub's that the spawner may use.
        on_exit: called from the event loop when a running workspace has ended by itself.
    """

    start_timeout = Integer(
        300, min=1, help="Seconds after which a start that is not ready has failed."
    ).tag(config=True)

    stop_timeout = Integer(
        15, min=1, help="Seconds that a workspace gets to end by itself before it is killed."
    ).tag(config=True)

    pre_spawn_hook = AnyTrait(
        None,
        allow_none=True,
        help="""The hub calls it before each start with (spawner, workspace); may be a coroutine
        function.

        What it returns, if not None, replaces the workspace (use `dataclasses.replace`); what it
        raises fails the start with that message.""",
    ).tag(config=True)

    post_stop_hook = AnyTrait(
        None,
        allow_none=True,
        help="The hub calls it after each stop with (spawner, workspace); may be a coroutine"
        " function.",
    ).tag(config=True)

    def __init__(
        self,
        *,
        hub_id: str,
        data_dir: Path,
        on_exit: Callable[[Exit], None],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hub_id = hub_id
        self.data_dir = data_dir
        self.on_exit = on_exit

    async def open(self) -> None:
        """Check what can be known at start and begin to watch.

        Raises:
            KworkspaceError: it cannot work here; one line says why and what to do.
        """

    async def aclose(self) -> None:
        """Stop watching. What runs goes on running."""

    @abstractmethod
    async def start(self, workspace: Workspace, progress: ProgressSink) -> Running:
        """Bring the workspace up, or adopt it when it already runs, and return when it is ready.

        May be cancelled at any point; the hub then calls `stop`.

        Raises:
            StartFailed: with the reason, for the person who waits.
        """

    @abstractmethod
    async def stop(self, id: str, slug: str, object_uid: str | None = None) -> None:
        """End whatever exists of a workspace but its home, and return when it is gone.

        Args:
            id: the server's UUID.
            slug: as in `Workspace`.
            object_uid: stop this incarnation and no later one; None stops whichever there is, a
                half-made one too.
        """

    @abstractmethod
    async def delete(self, id: str, slug: str) -> None:
        """End whatever exists of a workspace and remove it for ever, its home included."""

    @abstractmethod
    async def find(self, id: str, slug: str) -> Running | None:
        """Return the workspace if it runs and is ready, or None."""

    @abstractmethod
    async def running(self) -> Sequence[Running]:
        """Return all that runs and belongs to this hub, also what the hub does not know."""

    @abstractmethod
    async def refresh(self, workspace: Workspace) -> None:
        """Bring keys and authorities of a running workspace up to date without a restart."""


async def call_hook(hook: Callable[..., Awaitable[Any] | Any] | None, *args: Any) -> Any:
    """Call a hook of the configuration, which may be a plain function or a coroutine function."""
    if hook is None:
        return None
    result = hook(*args)
    return await result if isinstance(result, Awaitable) else result
