"""The Unix account that the workspace runs as, and the environment of its sessions."""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import asyncssh

from kworkspace.spawners.local.server.terminal import Terminal
from kworkspace.spawners.local.state import Settings
from kworkspace.spawners.processes import MARKER

_FALLBACK_SHELLS = ("/bin/bash", "/bin/sh")
_NO_LOGIN = frozenset({"nologin", "false"})
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_HANDED_ON = ("PATH", "LANG", "TZ")
# What Debian's sshd_config accepts, and what people and their terminals say about themselves.
_ACCEPTED = frozenset(
    (
        *(b"LANG", b"LANGUAGE", b"TZ", b"COLORTERM", b"NO_COLOR"),
        *(b"TERM_PROGRAM", b"TERM_PROGRAM_VERSION"),
    )
)
_ACCEPTED_PREFIXES = (b"LC_", b"GIT_AUTHOR_", b"GIT_COMMITTER_", b"KWORKSPACE_ENV_")
_MAX_VALUE_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Account:
    """Who logs in here.

    Attributes:
        name: the only login name that is let in.
        shell: the login shell, an absolute path.
    """

    name: str
    shell: str

    @classmethod
    def named(cls, name: str) -> Self:
        """Return an account that `accounts.find_account` has let pass."""
        return cls(name, pwd.getpwnam(name).pw_shell or "/bin/sh")

    @classmethod
    def own(cls) -> Self:
        """Return the account of this process."""
        try:
            entry = pwd.getpwuid(os.geteuid())
        except KeyError:  # a container's arbitrary uid
            return cls(f"uid-{os.geteuid()}", _fallback_shell())
        shell = entry.pw_shell or "/bin/sh"
        # A hub that runs as a service's account: its people want a shell all the same.
        if Path(shell).name in _NO_LOGIN or not os.access(shell, os.X_OK):
            shell = _fallback_shell()
        return cls(entry.pw_name, shell)


def _fallback_shell() -> str:
    return next(shell for shell in _FALLBACK_SHELLS if os.access(shell, os.X_OK))


def base_environment(settings: Settings, account: Account, home: Path) -> dict[bytes, bytes]:
    """Return what every session has, made from nothing but a few names of our own environment."""
    values = {
        "PATH": _DEFAULT_PATH,
        **{name: os.environ[name] for name in _HANDED_ON if name in os.environ},
        "HOME": str(home),
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": account.shell,
        "MAIL": f"/var/mail/{account.name}",
        MARKER: settings.id,
        "KWORKSPACE_USER": settings.user,
    }
    return {os.fsencode(name): os.fsencode(value) for name, value in values.items()}


def session_environment(
    channel: asyncssh.SSHServerChannel[bytes], terminal: Terminal | None
) -> dict[bytes, bytes]:
    """Return what a session has besides, as sshd sets it; the client cannot set these names."""
    client = channel.get_extra_info("peername")[:2]
    server = channel.get_extra_info("sockname")[:2]
    values = {
        "SSH_CLIENT": f"{client[0]} {client[1]} {server[1]}",
        "SSH_CONNECTION": f"{client[0]} {client[1]} {server[0]} {server[1]}",
    }
    if terminal is not None:
        values |= {"SSH_TTY": terminal.name, "TERM": terminal.type}
    if (agent := channel.get_agent_path()) is not None:
        Path(agent).chmod(0o600)  # as sshd's; asyncssh's directory around it is 0700
        values["SSH_AUTH_SOCK"] = agent
    named = {name.encode(): os.fsencode(value) for name, value in values.items()}
    return {**accepted(channel.get_environment_bytes()), **named}


def accepted(requested: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Return what may be set of what the client asks for (sshd_config(5), AcceptEnv)."""
    return {
        name: value
        for name, value in requested.items()
        if (name in _ACCEPTED or name.startswith(_ACCEPTED_PREFIXES))
        and b"=" not in name
        and b"\0" not in name + value
        and len(value) <= _MAX_VALUE_BYTES
    }
