"""Starts the process of a workspace so that there is never a second one.

The lock is taken here and handed to the process by inheritance: it belongs to the open file, so it
is held without a gap from before the process exists until it has ended, whoever of the two is
killed in between (flock(2)). Called by the spawner; keeps nothing itself.
"""

import fcntl
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from uuid import uuid4

from kworkspace.cli.client.errors import StartFailed
from kworkspace.spawners.local.files import discard, open_regular, write_atomically
from kworkspace.spawners.local.limits import Fence
from kworkspace.spawners.local.state import Paths, Settings, read_uid
from kworkspace.spawners.processes import MARKER, kill_all, marked

PYTHON = sys.executable
SERVER = ("-m", "kworkspace.spawners.local.server")
MONITOR = ("-m", "kworkspace.spawners.local.monitor")
HANDED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
_SWEEPS = 50
_SKELETON = Path("/etc/skel")
# Control characters, and all that ends a line for somebody; surrogates cannot be written.
_BREAKS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_KEY_LINE = re.compile(rf"[a-z][a-zA-Z0-9@.-]+ [A-Za-z0-9+/]+=*( [^{_BREAKS}]*)?")


@dataclass(frozen=True, slots=True)
class Launched:
    """A process that has been started and is not ready yet.

    Attributes:
        pid: of the process.
        pidfd: of the process, a child of ours; for the caller to close.
        ready_fd: a pipe: "ready", what went wrong, or nothing when it died; for the caller to
            close.
    """

    pid: int
    pidfd: int
    ready_fd: int


@contextmanager
def held_lock(paths: Paths) -> Iterator[int | None]:
    """Take the lock for the time of a block, or say with None that somebody has it."""
    fd = _open_lock(paths.lock)
    try:
        while (locked := _lock(fd)) and not _is_at(fd, paths.lock):
            # The workspace was deleted between open and lock: this is another's lock by now.
            os.close(fd)
            fd = _open_lock(paths.lock)
        yield fd if locked else None
    finally:
        # Closing lets go of the lock only if nobody has inherited it.
        os.close(fd)


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


def _open_lock(path: Path) -> int:
    try:
        return open_regular(path, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise
    discard(path)
    return open_regular(path, os.O_RDWR | os.O_CREAT)


def is_locked(paths: Paths) -> bool:
    """Whether a workspace process lives, or is being started."""
    try:
        with held_lock(paths) as fd:
            return fd is None
    except FileNotFoundError:
        return False


def make_directories(paths: Paths) -> None:
    """Make what is missing, for the owner only; a new home gets the skeleton that useradd gives.

    An account has a home already.

    Raises:
        OSError: it cannot be written.
    """
    for directory in (paths.root.parent, paths.root, paths.run, paths.login):
        directory.mkdir(mode=0o700, exist_ok=True, parents=True)
    if paths.sealed:
        _check_roots(paths.root, paths.run, paths.login)
        # Nobody gets here by name: what is above is root's alone. Who has it open may read.
        paths.login.chmod(0o755)
    elif not paths.home.exists():
        _make_home(paths)


def _check_roots(*directories: Path) -> None:
    """See that directories are root's own, also where a hub of another account was before."""
    for directory in directories:
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
            raise StartFailed(
                f"The directory {directory} must be root's, and nobody else may write there"
            )


def _make_home(paths: Paths) -> None:
    # Made aside, so that a home is never half made; two may do so at once, and one of them wins.
    new = Path(mkdtemp(dir=paths.root, prefix=".home."))
    try:
        if _SKELETON.is_dir():
            with suppress(shutil.Error):  # a file in it that we may not read
                shutil.copytree(_SKELETON, new, symlinks=True, dirs_exist_ok=True)
        new.chmod(0o700)
        new.rename(paths.home)
    except OSError:
        if not paths.home.is_dir():
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def write_authorized_keys(
    paths: Paths, server_id: str, keys: Sequence[str], authorities: Sequence[str]
) -> None:
    """Write who may log in: the owner's keys, and certificates of the hub's for this one server.

    Args:
        paths: of the workspace.
        server_id: the server's UUID, which a certificate must name as its principal.
        keys: OpenSSH public key lines.
        authorities: public keys of user certificate authorities.
    """
    lines = [key for key in keys if is_key_line(key)]
    lines += [
        f'cert-authority,principals="{server_id}" {key}' for key in authorities if is_key_line(key)
    ]
    mode = 0o644 if paths.sealed else 0o600
    write_atomically(paths.authorized_keys, "".join(f"{line}\n" for line in lines), mode)


def is_key_line(line: str) -> bool:
    """Whether a line is a public key and nothing else: no options, no second line."""
    return _KEY_LINE.fullmatch(line) is not None


def launch(
    paths: Paths,
    *,
    server_id: str,
    user: str,
    slug: str,
    host_key: str,
    stop_seconds: int,
    fence: Fence,
) -> Launched | None:
    """Start the process, or return None when one lives already (or is being started).

    Where it is sealed, the process is its monitor, which starts the server as the account.

    Raises:
        OSError: the directory cannot be written, or no process can be made.
    """
    with held_lock(paths) as lock_fd:
        if lock_fd is None:
            return None
        # A server that was killed may have left what it had started.
        if os.path.lexists(paths.state) or os.path.lexists(paths.uid):
            end_leftovers(paths, server_id)
        os.ftruncate(lock_fd, 0)
        ready_fd, theirs = os.pipe()
        settings = Settings(
            root=str(paths.root),
            home=str(paths.home),
            host_key=host_key,
            id=server_id,
            user=user,
            slug=slug,
            object_uid=uuid4().hex,
            lock_fd=lock_fd,
            ready_fd=theirs,
            stop_seconds=stop_seconds,
        )
        try:
            pid = _start(paths, settings, fence)
        except OSError:
            os.close(ready_fd)
            raise
        finally:
            os.close(theirs)
        # A child keeps its pid until it is reaped, so this is the one.
        return Launched(pid, os.pidfd_open(pid), ready_fd)


def end_leftovers(paths: Paths, server_id: str) -> None:
    """Kill what a server that was killed has left; only with the lock held."""
    uid = read_uid(paths)
    for _ in range(_SWEEPS):
        if kill_all(marked(server_id, uid)) == 0:
            break
    discard(paths.state)
    discard(paths.uid)


def _start(paths: Paths, settings: Settings, fence: Fence) -> int:
    if os.path.lexists(paths.log):
        earlier = paths.log.with_suffix(".log.1")
        discard(earlier)
        paths.log.replace(earlier)
    log_fd = open_regular(paths.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    # -P and -s: nothing that lies in the home is ever imported.
    command = [PYTHON, "-P", "-s", *(MONITOR if paths.sealed else SERVER), settings.dump()]
    try:
        process = subprocess.Popen(
            [*fence.command(settings.slug, settings.object_uid), *command],
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=log_fd,
            cwd="/" if paths.sealed else paths.home,
            env=_environment(paths, settings),
            pass_fds=(settings.lock_fd, settings.ready_fd),
            start_new_session=True,
        )
    finally:
        os.close(log_fd)
    # The spawner watches it by pidfd and reaps it; this object would warn that it still runs.
    process.returncode = 0
    return process.pid


def _environment(paths: Paths, settings: Settings) -> dict[str, str]:
    """Return all that the process sees: none of the hub's secrets, and where the code is."""
    return {
        **{name: os.environ[name] for name in HANDED_ON if name in os.environ},
        "HOME": str(paths.home),
        MARKER: settings.id,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_absolute()),
    }
