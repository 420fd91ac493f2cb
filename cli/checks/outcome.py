"""The outcome of a check, and a bound in time for each: one that hangs does not hide the others.

No outcome holds a secret: keys are named by their files, tokens and a proxy's password not at all.
"""

import threading
from collections.abc import Callable, Iterable

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.reports import CheckReport

SECONDS = 20.0


def ok(name: str, text: str) -> CheckReport:
    """All is well."""
    return CheckReport(name=name, state="ok", text=text)


def warning(name: str, text: str, fix: str) -> CheckReport:
    """It works, and there is something better."""
    return CheckReport(name=name, state="warning", text=text, fix=fix)


def failed(name: str, text: str, fix: str = "") -> CheckReport:
    """It does not work."""
    return CheckReport(name=name, state="failed", text=text, fix=fix)


def skipped(name: str, why: str) -> CheckReport:
    """It could not be looked at because of another failure."""
    return CheckReport(name=name, state="skipped", text=why)


def bounded(
    name: str, check: Callable[[], Iterable[CheckReport]], seconds: float = SECONDS
) -> list[CheckReport]:
    """Run one check; whatever it raises, and that it takes too long, is a failure of its own.

    Args:
        name: of the check.
        check: yields what it finds, at once.
        seconds: after which it is left behind; it runs in a thread, as the look-up of a host's
            name has no time limit of its own.
    """
    found: list[CheckReport] = []

    def run() -> None:
        try:
            found.extend(check())
        except KworkspaceError as error:
            found.append(failed(name, error.message))
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            found.append(failed(name, f"{place}{error.strerror or error}"))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return [*found, failed(name, f"no outcome within {seconds:.0f} s")]
    return found
