"""Where OpenSSH's programs are, and what to install when they are not there."""

import shutil

from kworkspace.cli.client.errors import KworkspaceError


class ProgramMissing(KworkspaceError):
    """A program that the command needs is not installed."""

    code = "program-missing"


def program(name: str) -> str:
    """Return the path of one of OpenSSH's programs.

    Raises:
        ProgramMissing: with the package to install.
    """
    path = shutil.which(name)
    if path is None:
        raise ProgramMissing(
            f"{name} is not installed: apt install openssh-client (Debian, Ubuntu)"
            " or dnf install openssh-clients (Fedora, RHEL)"
        )
    return path
