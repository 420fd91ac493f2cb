"""Looks for secrets where none may be: in each log that the suite's hubs, gateways and tests write.

A token is told by its form. Other secrets are those that the suite has made: what stands in the
files that only their owner may read, and what `secrets` has handed out in the tests' own process.
"""

import logging
import re
import secrets
import stat
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import TypeVar

from kworkspace.hub.tokens import PREFIX

T = TypeVar("T")

_TOKEN = re.compile(rf"{PREFIX}[\w-]{{43}}")
_WORD = re.compile(r"[A-Za-z0-9_+/=-]{40,}")  # a challenge's nonce and a request's id are shorter
_MAX_SECRET_FILE = 64 * 1024
_PUBLIC = re.compile(
    r"\.pub$|known_hosts|authorized_keys|\.lock$|^lock$|\.log|sqlite|\.json$|\.py$"
)


class Found(logging.Handler):
    """Takes every log line of the tests' own process, and the secrets that are made there."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.made: set[str] = set()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line that could hold one."""
        line = self.format(record)
        if _WORD.search(line):
            self.lines.append(line)

    def watched(self, make: Callable[[int], str]) -> Callable[[int], str]:
        """Return a function of `secrets` that is overheard."""

        @wraps(make)
        def making(nbytes: int = 32) -> str:
            made = make(nbytes)
            self.made.add(made)
            return made

        return making


def overhear() -> Found:
    """Begin to take the lines and secrets of this process."""
    found = Found()
    logging.getLogger().addHandler(found)
    secrets.token_urlsafe = found.watched(secrets.token_urlsafe)  # type: ignore[assignment]
    secrets.token_hex = found.watched(secrets.token_hex)  # type: ignore[assignment]
    return found


def in_files(folder: Path) -> set[str]:
    """Return the secrets in the files below a folder that only their owner may read."""
    found: set[str] = set()
    for file in _regular(folder):
        status = file.stat()
        private = not stat.S_IMODE(status.st_mode) & 0o077
        if private and status.st_size < _MAX_SECRET_FILE and not _PUBLIC.search(file.name):
            found |= set(_WORD.findall(file.read_text(errors="replace")))
    return found


def logs(folder: Path) -> Iterable[tuple[str, str]]:
    """Return the logs below a folder: name and text."""
    for file in _regular(folder):
        if ".log" in file.name:
            yield str(file), file.read_text(errors="replace")


def leaked(texts: Iterable[tuple[str, str]], made: set[str]) -> list[str]:
    """Return where a secret stands in a text; the secret itself is not repeated."""
    return [
        f"{name}: {line.replace(word, '<secret>')[:200]}"
        for name, text in texts
        for line in text.splitlines()
        for word in (*_TOKEN.findall(line), *_WORD.findall(line))
        if word in made or _TOKEN.fullmatch(word)
    ]


def _regular(folder: Path) -> Iterable[Path]:
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            yield file
