"""The slug of a workspace: a DNS label, made once, kept in the database, never given twice.

A user whose name is a DNS label gets it for their default workspace, so that the default volume is
`workspace-{username}`; everybody else gets a readable part and a hash. That two different names
never meet is not the hash's doing but the database's: a slug that is taken is made anew.
"""

import hashlib
import re
from collections.abc import Iterator

from kworkspace.cli.client.names import is_dns_label

MAX_BYTES = 52  # leaves room for a prefix such as `workspace-` within a label's 63


def candidates(user: str, server: str) -> Iterator[str]:
    """Yield slugs for a workspace, the best first; take the first that is free.

    Args:
        user: the user's name.
        server: the workspace's name, "" for the default one.
    """
    if not server and is_dns_label(user) and len(user) <= MAX_BYTES:
        yield user
    readable = re.sub(r"[^a-z0-9]+", "-", f"{user}-{server}").strip("-")[:40].strip("-")
    for attempt in range(100):
        text = f"{user}\0{server}\0{attempt}"
        digest = hashlib.sha256(text.encode()).hexdigest()[:10]
        yield f"{readable}-{digest}" if readable else f"u-{digest}"
