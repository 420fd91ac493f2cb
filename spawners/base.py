"""The interface between the hub's life cycle and what really runs.

One spawner object serves all workspaces of a hub. Every method can be called again after a crash,
on another replica, or twice at once, with the same outcome: what exists is adopted, what is gone
stays gone. The hub calls with plain values made from its database, and stores what comes back.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from traitlets import Any as AnyTrait
from traitlets import Integer
from traitlets.config import LoggingConfigurable

from kworkspace.cli.client.errors import BadRequest, KworkspaceError

STOP_MARGIN_SECONDS = 60.0

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
        certify: returns the hub's certificate for the host key, OpenSSH lines; None: there is none.
        certificate_mark: another one when it is time for another certificate.
        options: what the user asked for (REST's `user_options`).
        groups: the names of the owner's groups, in order.
    """

    id: str
    user: str
    name: str
    slug: str
    authorized_keys: tuple[str, ...] = ()
    user_authorities: tuple[str, ...] = ()
    certify: Callable[[str], str] | None = field(default=None, compare=False, repr=False)
    certificate_mark: str = ""
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
        since: when it was made, if the spawner knows.
    """

    id: str
    slug: str
    object_uid: str
    host: str
    port: int
    host_key: str
    account: str
    since: datetime | None = None


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


@dataclass(frozen=True, slots=True)
class Home:
    """What is kept of a workspace, whether it runs or not.

    Attributes:
        id: the server's UUID.
        name: what an admin finds it by, as the name of a volume claim.
    """

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ProfileOption:
    """A choice within a profile: `user_options` then has {NAME: CHOICE}.

    Attributes:
        default: what counts if nothing is, "" if something has to be.
        unlisted: what may be typed beside the choices, for people; "" if nothing.
    """

    name: str
    choices: tuple[str, ...]
    default: str = ""
    unlisted: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a user may ask for by name: `user_options` is then {"profile": SLUG}.

    Attributes:
        slug: its name in requests.
        title: its name for people.
        description: a sentence for people.
        default: whether it is what a user gets who asks for nothing.
        options: what can be chosen in it.
    """

    slug: str
    title: str
    description: str = ""
    default: bool = False
    options: tuple[ProfileOption, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """Work beside a workspace, running or not: a program that sees its home.

    Attributes:
        name: what kind of work it is, a DNS label of at most 20 bytes, as "backup".
        argv: the program and its arguments; the home is its working directory.
        image: the container image to run it in, where there are images; "" is the workspace's own.
        environment: variables. They can be read by whoever may look at what runs.
        read_only: it may not change the home.
        seconds: after which it is ended.
    """

    name: str
    argv: tuple[str, ...]
    image: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    read_only: bool = False
    seconds: int = 3600


@dataclass(frozen=True, slots=True)
class TaskResult:
    """How a task ended.

    Attributes:
        exit_code: of the program.
        result: what it wrote to the file that $KWORKSPACE_TASK_RESULT names, at most 4,096 bytes;
            its last line where it wrote nothing and failed.
    """

    exit_code: int
    result: str = ""


@dataclass(frozen=True, slots=True)
class Listener:
    """What takes TCP connections in a workspace.

    Attributes:
        port: the TCP port.
        address: the IP address on which it listens.
        process: the name of the program, "" if it cannot be had.
    """

    port: int
    address: str
    process: str = ""


class Readable(Enum):
    """Whether a signal could be read."""

    READ = "read"
    ABSENT = "absent"  # it cannot exist here, such as the load of a GPU that there is not
    UNREADABLE = "unreadable"  # it was expected, and could not be had


@dataclass(frozen=True, slots=True)
class Reading:
    """A signal of a workspace at one moment.

    Attributes:
        state: whether there is a value.
        value: in the unit that `Activity` says.
        age: seconds since it was so, when it was read.
        reason: why it is unreadable, one line for an admin.
    """

    state: Readable
    value: float = 0.0
    age: float = 0.0
    reason: str = ""

    @classmethod
    def unreadable(cls, reason: str) -> "Reading":
        """Return what says that it was expected and could not be had."""
        return cls(Readable.UNREADABLE, reason=reason)


ABSENT = Reading(Readable.ABSENT)


@dataclass(frozen=True, slots=True)
class Activity:
    """What a running workspace is at.

    Attributes:
        id: the server's UUID.
        object_uid: which incarnation.
        cpu: processor cores in use.
        connections: SSH connections that are open and do not come through a gateway.
        gpu: the load of its busiest GPU, 0 to 1.
    """

    id: str
    object_uid: str
    cpu: Reading
    connections: Reading
    gpu: Reading


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a spawner needs, and whether it has it.

    Attributes:
        what: as "create pods/exec".
        where: as "namespace workspaces".
        ok: whether it is there.
        detail: what is missing without it, or what to do, one line.
        required: whether the spawner cannot do without it.
    """

    what: str
    where: str
    ok: bool
    detail: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Watch:
    """How a spawner keeps up with what it started.

    Attributes:
        kind: of what it watches.
        fresh: whether what it has seen is as it is; else it asks each time.
        lists: how often it has read everything.
        breaks: how often it has lost sight.
        expired: how often that was for too long to go on from there.
    """

    kind: str
    fresh: bool
    lists: int = 0
    breaks: int = 0
    expired: int = 0


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

    orphan_seconds = Integer(
        300,
        min=0,
        help="""Seconds that what runs and no user owns is left alone before it is ended.

        As after a database was restored from an older copy. Where a spawner does not know since
        when it runs, it is ended at once.""",
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

    def start_limit(self) -> float | None:
        """Return the seconds after which the hub ends a start that has not returned.

        None is for a spawner that keeps `start_timeout` itself, since it knows better what counts.
        """
        return self.start_timeout

    def stop_limit(self) -> float:
        """Return the seconds after which a stop that has not returned is tried again."""
        return self.stop_timeout + STOP_MARGIN_SECONDS

    def profiles(self) -> Sequence[Profile]:
        """Return what a user may ask for by name."""
        return ()

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Refuse `user_options` that can never be had, before anything is written.

        Raises:
            BadRequest: it names what was asked for, and says what there is.
        """
        if (asked := options.get("profile")) is None:
            return
        there_is = [profile.slug for profile in self.profiles()]
        if not there_is:
            raise BadRequest(f"profile: there is no '{asked}': this hub has no profiles")
        if asked not in there_is:
            raise BadRequest(f"profile: there is no '{asked}'; there is {', '.join(there_is)}")

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
    async def delete(self, id: str, slug: str, *, user: str = "", name: str = "") -> None:
        """End whatever exists of a workspace and remove it for ever, its home included.

        Args:
            id: the server's UUID.
            slug: as in `Workspace`.
            user: the owner's name, where it is known: it may be part of what is to be removed.
            name: the workspace's name.
        """

    def watches(self) -> Sequence[Watch]:
        """Return how it keeps up with what it started, by kind; for metrics."""
        return ()

    async def remove_orphan(self, orphan: Running) -> None:
        """End what no user owns, and remove all that was made for it but its home.

        Args:
            orphan: of `running()`.
        """
        await self.stop(orphan.id, orphan.slug, orphan.object_uid)

    @abstractmethod
    async def find(self, id: str, slug: str, *, user: str = "", name: str = "") -> Running | None:
        """Return the workspace if it runs and is ready, or None.

        Args:
            id: the server's UUID.
            slug: the workspace's.
            user: whose it is, where that is known; what somebody else has made is not it.
            name: the server's, likewise.
        """

    @abstractmethod
    async def running(self) -> Sequence[Running]:
        """Return all that runs and belongs to this hub, also what the hub does not know."""

    async def kept_homes(self) -> Sequence[Home]:
        """Return what is kept of this hub's workspaces, as far as somebody has to look after it."""
        return ()

    async def activity(self, gateways: Collection[str] = ()) -> Sequence[Activity]:
        """Return what each running workspace is at, as far as this spawner can tell.

        Args:
            gateways: IP addresses whose SSH connections do not count: the gateway reports them.
        """
        return ()

    async def listeners(self, id: str, slug: str, own_port: int) -> Sequence[Listener]:
        """Return what listens in a workspace, but for its SSH server.

        Args:
            id: the server's UUID.
            slug: as in `Workspace`.
            own_port: of its SSH server.

        Raises:
            KworkspaceError: it does not run, or this spawner cannot tell.
        """
        raise KworkspaceError(f"{type(self).__name__} cannot tell what listens in a workspace")

    async def check(self) -> Sequence[Check]:
        """Return all that the spawner needs of its surroundings, and whether it is there.

        It needs no `open` before and changes nothing.

        Raises:
            KworkspaceError: it cannot even be asked; one line says why and what to do.
        """
        return ()

    async def run_beside(
        self, workspace: Workspace, task: Task, log: Callable[[str], None]
    ) -> TaskResult:
        """Run a program beside a workspace's home, and return when it has ended.

        Cancelled, it ends the program. Nothing of it is left in any case.

        Args:
            workspace: whose home.
            task: what to run.
            log: called with each line that the program prints.

        Raises:
            KworkspaceError: it cannot be run here, or ended by itself without an exit code.
        """
        raise KworkspaceError(f"{type(self).__name__} cannot run work beside a workspace")

    @abstractmethod
    async def refresh(self, workspace: Workspace) -> None:
        """Bring keys, authorities and host certificate of a running workspace up to date."""


async def call_hook(hook: Callable[..., Awaitable[Any] | Any] | None, *args: Any) -> Any:
    """Call a hook of the configuration, which may be a plain function or a coroutine function."""
    if hook is None:
        return None
    result = hook(*args)
    return await result if isinstance(result, Awaitable) else result
