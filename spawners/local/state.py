"""The files of one workspace on disk, shared by the spawner and the workspace's own processes.

    SLUG/home/            the person's; made once, never deleted here
    SLUG/run/lock         locked (flock(2)) exactly while a workspace process lives; says who it is
    SLUG/run/state.json   written when the server listens: where, with which host key
    SLUG/run/authorized_keys, host_key, server.log

`run/` is 0700: whoever can write there is the workspace, and may write anything (see `files`). Not
so where workspaces run as accounts (*sealed*): all of it is root's then, the home is elsewhere,
and what the account must read, `SLUG/login/authorized_keys`, it reaches by a descriptor alone.
Imports nothing that is slow to import.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from kworkspace.spawners.local.files import read_small
from kworkspace.spawners.processes import MARKER, ProcessId, boot_id, carries

READY = "ready"
"""The line that says that a start went well."""

HOST_CERTIFICATE = "host_key-cert.pub"
"""Beside `authorized_keys`."""

ADDRESS = "127.0.0.1"
"""Where every workspace's server listens."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the files of a workspace are.

    Attributes:
        root: the workspace's directory, absolute.
        sealed: whether the workspace runs as another account than the one that all this belongs to.
    """

    root: Path
    sealed: bool = False

    @property
    def home(self) -> Path:
        """The person's home directory."""
        return self.root / "home"

    @property
    def run(self) -> Path:
        """The directory of everything below."""
        return self.root / "run"

    @property
    def lock(self) -> Path:
        """Locked while a workspace process lives; holds an `Owner`."""
        return self.run / "lock"

    @property
    def state(self) -> Path:
        """A `State`, while the server listens."""
        return self.run / "state.json"

    @property
    def login(self) -> Path:
        """Where `authorized_keys` and the host key's certificate are."""
        return self.root / "login" if self.sealed else self.run

    @property
    def authorized_keys(self) -> Path:
        """Read by the server at each login (sshd(8), AUTHORIZED_KEYS FILE FORMAT)."""
        return self.login / "authorized_keys"

    @property
    def uid(self) -> Path:
        """The uid that a sealed workspace was started as, until nothing of it is left."""
        return self.run / "uid"

    @property
    def host_certificate(self) -> Path:
        """The hub's certificate for the host key; empty for none."""
        return self.authorized_keys.with_name(HOST_CERTIFICATE)

    @property
    def host_key(self) -> Path:
        """The private host key; the same over restarts."""
        return self.run / "host_key"

    @property
    def log(self) -> Path:
        """What the server says about itself."""
        return self.run / "server.log"


@dataclass(frozen=True, slots=True)
class Given:
    """What a sealed server inherits from its monitor, since it can reach no file of the hub's.

    Attributes:
        account: the account that it must run as.
        monitor: the pid of its parent.
        listen_fd: the bound socket.
        host_key_fd: the private host key, to read once.
        login_fd: the directory with `authorized_keys`.
    """

    account: str
    monitor: int
    listen_fd: int
    host_key_fd: int
    login_fd: int


@dataclass(frozen=True, slots=True)
class Settings:
    """What the spawner hands to the server, as one JSON argument; no secrets, argv is public.

    Attributes:
        root: the workspace's directory, absolute.
        home: where sessions begin.
        host_key: the public host key, an OpenSSH line.
        id: the server's UUID.
        user: the owner's name.
        slug: as in `Workspace`.
        object_uid: names this incarnation.
        lock_fd: the locked file, inherited.
        ready_fd: a pipe to the spawner, inherited; one line tells the outcome.
        stop_seconds: what everything gets to end by itself before it is killed.
        given: what a sealed server has instead of files; None for any other.
    """

    root: str
    home: str
    host_key: str
    id: str
    user: str
    slug: str
    object_uid: str
    lock_fd: int
    ready_fd: int
    stop_seconds: int
    given: "Given | None" = None

    def dump(self) -> str:
        """Return the argument."""
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the argument."""
        found = json.loads(text)
        given = found.pop("given")
        return cls(**found, given=None if given is None else Given(**given))


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds the lock, written before anything slow is imported, so that it can be killed."""

    id: str
    object_uid: str
    pid: int
    started: int
    boot: str

    @property
    def process(self) -> ProcessId:
        """The server's process."""
        return ProcessId(self.pid, self.started)

    def lives(self) -> bool:
        """Whether this very process lives and is this server's.

        What the file says proves nothing: whom the hub signals must carry the server's marker.
        """
        return self.boot == boot_id() and carries(self.process, MARKER, self.id)


@dataclass(frozen=True, slots=True)
class State(Owner):
    """A server that listens."""

    slug: str
    host: str
    port: int
    host_key: str
    account: str


def read_uid(paths: Paths) -> int | None:
    """Return the uid that a sealed workspace was started as; None when nothing of it can be left.

    The file is believed only because root alone can write it.
    """
    content = read_small(paths.uid) if paths.sealed else None
    return int(content) if content else None


def read_owner(path: Path) -> Owner | None:
    """Return who wrote the lock last, or None when nobody has yet."""
    found = _read(path, Owner)
    return None if found is None else Owner(**found)


def read_state(path: Path) -> State | None:
    """Return the state of a server that lives, or None; a file that nobody wrote whole is none."""
    found = _read(path, State)
    state = None if found is None else State(**found)
    if state is None or not 1 <= state.port <= 65535 or state.host != ADDRESS:
        return None
    return state if state.lives() else None


def _read(path: Path, kind: type[Owner]) -> dict[str, Any] | None:
    """Return the fields of a file if they are exactly those of a kind, and of the right types."""
    content = read_small(path)
    if content is None:
        return None
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    types = {field.name: field.type for field in fields(kind)}
    if not isinstance(found, dict) or found.keys() != types.keys():
        return None
    if not all(type(value) is types[name] for name, value in found.items()):
        return None
    texts = (value for value in found.values() if isinstance(value, str))
    in_range = all(0 < found[name] < 2**63 for name in ("pid", "started"))
    return found if in_range and all(text.isprintable() for text in texts) else None
