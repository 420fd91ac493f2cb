"""Run as an account for good: what a monitor sheds before, and what its server sees to after.

Capabilities, real, effective and saved ids and groups (credentials(7), capabilities(7)), the
keyring (keyrings(7)) and limits (getrlimit(2)). Imports nothing that is slow to import.
"""

import ctypes
import os
import platform
import pwd
import resource
import signal
from pathlib import Path

from kworkspace.spawners.local.state import Given

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36
_KEYCTL_JOIN_SESSION_KEYRING = 1  # linux/keyctl.h
_KEYCTL_NUMBERS = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "ppc64le": 271, "s390x": 280}
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")
_OPEN_FILES = 8192
_THREADS_MAX = Path("/proc/sys/kernel/threads-max")
_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Have all that is daemonised below become a child again (prctl(2)).

    Raises:
        OSError: the kernel does not know this.
    """
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def leave_keyring() -> None:
    """Leave root's session keyring, whose keys the account would possess by inheriting it."""
    number = _KEYCTL_NUMBERS.get(platform.machine())
    if number is not None:
        # An old kernel, or a container that forbids it, has none to inherit either.
        _libc.syscall(ctypes.c_long(number), ctypes.c_long(_KEYCTL_JOIN_SESSION_KEYRING), None)


def limit_resources() -> None:
    """Set what a login may use at most; limits.conf(5) is PAM's and is not read.

    Hard limits stay the hub's own, so that its unit's Limit... lines are what an admin sets, but
    for processes, of which root usually has no limit and one account must not take all.
    """
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (_least(files, _OPEN_FILES), files))
    _, core = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, core))
    _, processes = resource.getrlimit(resource.RLIMIT_NPROC)
    processes = _least(processes, int(_THREADS_MAX.read_text()) // 2)
    resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))


def _least(limit: int, most: int) -> int:
    return most if limit == resource.RLIM_INFINITY else min(limit, most)


def check_sealed(given: Given) -> None:
    """See that this process is the account's and can be nobody else's, and ends with its monitor.

    Raises:
        SystemExit: it is not so; the message goes to the log.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != given.monitor:
        raise SystemExit("The monitor of this workspace has ended")
    account = pwd.getpwnam(given.account)
    groups = set(os.getgrouplist(account.pw_name, account.pw_gid))
    problems = [
        (os.getresuid() != (account.pw_uid,) * 3, "user ids"),
        (os.getresgid() != (account.pw_gid,) * 3, "group ids"),
        (not set(os.getgroups()) <= groups, "groups"),
        (_capable(), "capabilities"),
        (_can_return(), "a way back to root"),
    ]
    if found := [name for is_so, name in problems if is_so]:
        raise SystemExit(f"This process should be {given.account}'s alone, and has other {found}")


def _capable() -> bool:
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return any(int(fields[name], 16) for name in _CAPABILITIES)


def _can_return() -> bool:
    try:
        os.setuid(0)
    except PermissionError:
        return False
    return True
