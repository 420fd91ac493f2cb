"""The check of our block in ~/.ssh/config: whether it is whole, first, and as it would be now."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from kworkspace.cli import edits
from kworkspace.cli.checks.outcome import failed, ok, warning
from kworkspace.cli.client.reports import CheckReport
from kworkspace.cli.marked_block import BrokenMarks, parts, with_block

NAME = "~/.ssh/config"
AGAIN = "kworkspace ssh-config"


def block(file: Path, url: str, now: Callable[[bytes], str] | None) -> Iterator[CheckReport]:
    """Look at the file.

    Args:
        file: the person's.
        url: the hub's; "" is not known.
        now: makes, for the file's content, the block as it would be now; None cannot be asked.
    """
    content = edits.read(file)
    if content and stat.S_IMODE(file.stat().st_mode) & 0o022:
        text = "others can write it, so ssh refuses to run"
        yield failed(NAME, text, f"chmod go-w {file}")
    try:
        found = parts(content)
    except BrokenMarks as error:
        yield failed(NAME, error.message, "mend it by hand")
        return
    if not any(part.url == url for part in found):
        yield ok(NAME, f"it has no block for this hub; {AGAIN} writes one")
    elif any(not part.url for part in found[: [part.url for part in found].index(url)]):
        yield warning(NAME, "what stands before our block may win over it", f"run {AGAIN} again")
    elif now is not None and with_block(content, url, now(content)) != content:
        yield warning(NAME, "our block is not up to date", f"run {AGAIN} again")
    else:
        yield ok(NAME, "our block leads to this hub")
