"""A directory of authorized_keys files: the file's name is the user's, each line is a key.

Called by `watch`, in a thread: everything here may block. A file is read again only when it has
changed. What is not to be trusted is skipped, with one warning: links that lead out of the
directory, FIFOs and devices (which are not even opened), files that others may write or own, files
too large to be keys. The checks are of the very file that is then read: it is held by an O_PATH
descriptor, which has no effect on what it names (open(2)), and opened anew through /proc.
Kubernetes' mounts, links `NAME -> ..data/NAME` that are exchanged at once, are as good as files.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kworkspace.authenticators.authorized_keys import BOM, AuthorizedKey, parse_authorized_key
from kworkspace.authenticators.keyring import Keys, by_digest
from kworkspace.cli.client.errors import BadRequest, InvalidName, KworkspaceError
from kworkspace.cli.client.names import parse_user_name

MAX_BYTES = 1024 * 1024
MAX_LINES = 10_000
MAX_COMPLAINTS = 10
HOLD_SECONDS = 30.0
"""How long keys live on that cannot be read: an outage ends no session, nor hides a change."""

_MOTION_SECONDS = 0.1  # what has just been written may be half of it
_SETTLED_SECONDS = 2.0  # time stamps may be this coarse: a later change may not show in them
_LEFTOVERS = ("~", ".swp", ".swx", ".bak", ".orig", ".tmp")
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


class DirectoryUnusable(KworkspaceError):
    """The directory cannot be read, or not be trusted."""

    code = "directory"


class _Skipped(Exception):
    """A file is not to be used; says why."""


@dataclass(frozen=True, slots=True)
class _File:
    """What was found in a file.

    Attributes:
        stamp: what changes when the file does; None: it could not be read.
        keys: None when the file is not used.
        complaints: what the log says of it.
        since: when this was first so, by the monotonic clock.
        settled: read late enough that no change can hide behind the same stamp.
    """

    stamp: tuple[int, ...] | None
    keys: Keys | None
    complaints: tuple[str, ...]
    since: float
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the directory found.

    Attributes:
        keys: of each user who has a file.
        warnings: what was not said before.
    """

    keys: dict[str, Keys]
    warnings: tuple[str, ...]


class KeyDirectory:
    """Looks at a directory again and again; not to be used by two threads at once.

    Args:
        path: of the directory.
        clock: seconds, monotonic.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self._clock = clock
        self._names: frozenset[str] = frozenset()
        self._chosen: dict[str, str] = {}
        self._misnamed: list[tuple[str, str]] = []
        self._files: dict[str, _File] = {}
        self._keys: dict[str, Keys] = {}
        self._said: frozenset[str] = frozenset()
        self._device: int | None = None
        self._trusted = {0, os.geteuid()}

    def look(self) -> Look:
        """Read what has changed.

        Raises:
            DirectoryUnusable: nothing can be said; what was found before is for the caller to hold.
        """
        try:
            with self._opened() as directory:
                entries = self._entries(directory)
                changed = self._changed(entries)
                if _in_motion(entries[name] for name in changed):
                    time.sleep(_MOTION_SECONDS)
                    entries = self._entries(directory)
                    changed = self._changed(entries)
                for name in changed:
                    self._files[name] = self._file(directory, name, entries[name])
                return self._found()
        except OSError as error:
            raise DirectoryUnusable(
                f"{self.path}: the directory cannot be read: {error.strerror}"
            ) from error

    @contextmanager
    def _opened(self) -> Iterator[int]:
        directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = os.fstat(directory)
            if found.st_uid not in self._trusted:
                raise DirectoryUnusable(
                    f"{self.path}: the directory must belong to root or to the hub's account"
                )
            if found.st_mode & _WRITABLE and not found.st_mode & stat.S_ISVTX:
                raise DirectoryUnusable(
                    f"{self.path}: others may write the directory; chmod go-w it"
                )
            yield directory
        finally:
            os.close(directory)

    def _entries(self, directory: int) -> dict[str, os.stat_result | OSError]:
        """Return every name in the directory with what it leads to."""
        entries: dict[str, os.stat_result | OSError] = {}
        with os.scandir(directory) as found:
            for entry in found:
                try:
                    entries[entry.name] = entry.stat()
                except OSError as error:
                    if _is_there(entry):
                        entries[entry.name] = error
        device = os.fstat(directory).st_dev
        if not entries and self._device not in {None, device}:
            raise DirectoryUnusable(
                f"{self.path}: another file system is there now, and it is empty"
            )
        self._device = device
        return entries

    def _changed(self, entries: Mapping[str, os.stat_result | OSError]) -> list[str]:
        """Return the names that must be read, and forget those that are gone."""
        if entries.keys() != self._names:
            self._names = frozenset(entries)
            self._chosen, self._misnamed = _by_user(entries)
            used = set(self._chosen.values())
            self._files = {name: file for name, file in self._files.items() if name in used}
        return [name for name in self._chosen.values() if not self._is_known(name, entries[name])]

    def _is_known(self, name: str, found: os.stat_result | OSError) -> bool:
        file = self._files.get(name)
        if file is None or not file.settled or isinstance(found, OSError):
            return False
        return file.stamp == _stamp(found)

    def _found(self) -> Look:
        """Return what there is; the same object as long as it is the same."""
        complaints = [*self._misnamed]
        keys = {}
        for user, name in self._chosen.items():
            file = self._files[name]
            complaints += [(name, text) for text in file.complaints]
            if file.keys is not None:
                keys[user] = file.keys
        if keys.keys() != self._keys.keys() or any(keys[u] is not self._keys[u] for u in keys):
            self._keys = keys
        warnings = [f"{self.path}/{_printable(name)}{text}" for name, text in complaints]
        said, self._said = self._said, frozenset(warnings)
        return Look(self._keys, tuple(text for text in warnings if text not in said))

    def _file(self, directory: int, name: str, found: os.stat_result | OSError) -> _File:
        now = self._clock()
        before = self._files.get(name)
        if isinstance(found, OSError):
            return _held(before, found, now)
        try:
            read, text = self._text(directory, name)
            keys, complaints = _parse(text)
        except _Skipped as reason:
            return _File(None, None, (f": {reason}; it is not used",), now)
        except OSError as error:
            return _held(before, error, now)
        if before is not None and before.keys == keys:
            keys = before.keys
        if before is not None and before.stamp == _stamp(read):
            settled = now - before.since >= _SETTLED_SECONDS
            return _File(before.stamp, keys, complaints, before.since, settled)
        settled = time.time() - max(read.st_mtime, read.st_ctime) > _SETTLED_SECONDS
        return _File(_stamp(read), keys, complaints, now, settled)

    def _text(self, directory: int, name: str) -> tuple[os.stat_result, str]:
        """Return a file's state and text.

        Raises:
            _Skipped: it is not to be used.
            OSError: it cannot be read.
        """
        held = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=directory)
        try:
            found = os.fstat(held)
            self._check(found)
            place, home = (Path(f"/proc/self/fd/{each}").readlink() for each in (held, directory))
            if home not in place.parents:
                raise _Skipped("it leads out of the directory")
            file = os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        finally:
            os.close(held)
        with open(file, "rb") as stream:  # noqa: PTH123  # a descriptor
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise _Skipped(f"it has more than {MAX_BYTES} bytes")
        return found, content.decode(errors="replace")

    def _check(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise _Skipped("it is not a file")
        if found.st_uid not in self._trusted:
            raise _Skipped("it must belong to root or to the hub's account")
        if found.st_mode & _WRITABLE:
            raise _Skipped("others may write it; chmod go-w it")
        if found.st_size > MAX_BYTES:
            raise _Skipped(f"it has more than {MAX_BYTES} bytes")


def _by_user(names: Iterable[str]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Return the file of each user, and what is wrong with the other names.

    Of names that mean the same user, the one counts that is written as the user's name is kept.
    """
    chosen: dict[str, str] = {}
    complaints = []
    for name in sorted(names):
        if name.startswith(".."):
            continue  # Kubernetes' own, new with each change of its mount
        if name.startswith((".", "#")) or name.endswith(_LEFTOVERS):
            complaints.append((name, ": hidden, or left over by an editor; it is not used"))
            continue
        try:
            user = parse_user_name(name, "the file's name")
        except InvalidName as error:
            complaints.append((name, f": {error.message}; it is not used"))
            continue
        other = chosen.get(user)
        if other is None or name == user:
            chosen[user] = name
        if other is not None:
            unused = other if name == user else name
            complaints.append((unused, f": means the same user as {chosen[user]}; it is not used"))
    return chosen, complaints


def _parse(text: str) -> tuple[Keys, tuple[str, ...]]:
    """Read a file's lines; one that is not accepted is skipped.

    Raises:
        _Skipped: there are too many.
    """
    lines = text.removeprefix(BOM).split("\n")
    if len(lines) > MAX_LINES + 1:
        raise _Skipped(f"it has more than {MAX_LINES} lines")
    keys: list[AuthorizedKey] = []
    complaints: list[str] = []
    for number, line in enumerate(lines, 1):
        stripped = line.strip(" \t\r")
        if not stripped or stripped.startswith("#"):
            continue
        try:
            keys.append(parse_authorized_key(stripped, f", line {number}"))
        except BadRequest as error:
            complaints.append(f"{error.message}; the line is not used")
    more = len(complaints) - MAX_COMPLAINTS
    if more > 0:
        complaints[MAX_COMPLAINTS:] = [f": {more} more lines are not used"]
    return by_digest(keys), tuple(complaints)


def _in_motion(found: Iterable[os.stat_result | OSError]) -> bool:
    """Whether something is being changed right now: a moment later it makes more sense."""
    now = time.time()
    return any(
        isinstance(each, OSError) or 0 <= now - each.st_ctime < _MOTION_SECONDS for each in found
    )


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mode, found.st_uid, *times)


def _held(before: _File | None, error: OSError, now: float) -> _File:
    """A file cannot be read for now: for a while, what was found in it stays."""
    complaint = (f": it cannot be read: {error.strerror}",)
    since = now if before is None or before.stamp is not None else before.since
    if before is None or now - since > HOLD_SECONDS:
        return _File(None, None, complaint, since)
    return _File(None, before.keys, complaint, since)


def _is_there(entry: "os.DirEntry[str]") -> bool:
    """Whether what cannot be looked at was not just removed: a link that leads nowhere."""
    try:
        entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)
