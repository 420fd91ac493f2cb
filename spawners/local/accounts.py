"""The machine's accounts, for a hub that runs each workspace as its user's own.

Who sshd without PAM would not let in by key is refused here too: no such account, root, one of
the system's, no shell, locked, expired (passwd(5), shadow(5), login.defs(5), nologin(5)).
Reads only what root alone can write. Imports nothing that is slow to import.
"""

import os
import pwd
import re
import stat
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from kworkspace.cli.client.errors import KworkspaceError, StartFailed

LOGIN_DEFS = Path("/etc/login.defs")
NO_LOGINS = Path("/etc/nologin")
_FIRST_UID = 1000
_NOBODY = 65534
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
_NO_SHELLS = frozenset({"nologin", "false"})
_SECONDS_A_DAY = 86400
_GETENT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class UnixAccount:
    """An account that may be logged in to.

    Attributes:
        name: of the account, and of the user.
        uid: its user id.
        gid: its primary group.
        groups: all its groups, that one among them.
        home: its home directory, which nothing here ever touches as root.
        shell: its login shell.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str


def find_account(user: str) -> UnixAccount:
    """Return the account of a user, the one of the same name.

    Raises:
        StartFailed: there is none, or nobody may log in to it; one line says what to do.
    """
    try:
        entry = pwd.getpwnam(user)
    except (KeyError, ValueError):
        entry = None
    # A directory service may find an account by another spelling of its name.
    if entry is None or entry.pw_name != user:
        raise StartFailed(
            f"There is no account {user} on this machine: an administrator can make one"
            f" (useradd -m {user})"
        )
    shell = entry.pw_shell or "/bin/sh"
    problem = _problem(entry.pw_uid, shell) or _shadow_problem(user)
    if problem:
        raise StartFailed(f"The account {user} {problem}")
    groups = os.getgrouplist(user, entry.pw_gid)
    return UnixAccount(user, entry.pw_uid, entry.pw_gid, tuple(groups), entry.pw_dir, shell)


def _problem(uid: int, shell: str) -> str:
    first = int(_login_defs("UID_MIN", str(_FIRST_UID)))
    if uid == 0:
        return "is root's: nobody has a workspace as root"
    if uid < first or uid == _NOBODY:
        return f"is one of the system's (uid {uid}, people have {first} and more): it gets none"
    if Path(shell).name in _NO_SHELLS:
        return f"may not log in: its shell is {shell} (chsh changes it)"
    if not os.access(shell, os.X_OK) or not Path(shell).is_file():
        return f"cannot log in: its shell {shell} is no program here (chsh changes it)"
    if NO_LOGINS.exists():
        return f"cannot log in now: {NO_LOGINS} keeps everybody out"
    return ""


def _shadow_problem(user: str) -> str:
    """Say what is wrong with an account's shadow(5) entry; one that has none is not locked."""
    # Not only /etc/shadow: nsswitch.conf(5) decides where entries are.
    command = ["getent", "shadow", user]
    found = subprocess.run(command, capture_output=True, timeout=_GETENT_SECONDS, check=False)
    fields = found.stdout.decode(errors="replace").strip().split(":")
    if found.returncode != 0 or len(fields) < 8:
        return ""
    changed, longest, expires = (_days(fields[index]) for index in (2, 4, 7))
    today = int(time.time() // _SECONDS_A_DAY)
    if fields[1].startswith("!"):
        return f"is locked: an administrator can unlock it (usermod -U {user})"
    if expires is not None and today > expires:
        return f"has expired: an administrator can change that (chage {user})"
    if changed == 0 or (changed and longest is not None and today > changed + longest):
        return "has a password that has expired: log in to the machine otherwise and change it"
    return ""


def _days(field: str) -> int | None:
    return int(field) if field.isdigit() else None


def login_environment(account: UnixAccount) -> dict[str, str]:
    """Return what login(1) sets from the account and login.defs(5); PAM's files are not read."""
    return {
        "PATH": _login_defs("ENV_PATH", _DEFAULT_PATH).removeprefix("PATH="),
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": account.shell,
    }


def _login_defs(name: str, default: str) -> str:
    try:
        text = LOGIN_DEFS.read_text()
    except OSError:
        return default
    found = re.search(rf"^\s*{name}\s+(\S+)", text, re.MULTILINE)
    return found.group(1) if found else default


def check_hub(data_dir: Path) -> None:
    """See that this hub can run workspaces as accounts, and that none can change its files.

    Raises:
        KworkspaceError: it cannot.
    """
    if os.geteuid() != 0:
        raise KworkspaceError(
            "c.LocalSpawner.system_users needs a hub that is run by root, and this one is not:"
            " run it as root, or set it to False."
        )
    for directory in (data_dir, *data_dir.parents):
        found = directory.lstat()
        others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
        if found.st_uid != 0 or others or stat.S_ISLNK(found.st_mode):
            raise KworkspaceError(
                f"c.LocalSpawner.system_users needs a c.Hub.data_dir that only root can change:"
                f" {directory} must be a directory of root's that nobody else may write."
            )
