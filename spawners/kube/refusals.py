"""What an API server's refusal means for a start, in one line for the person who waits.

Pure. The server's own reason is kept; what is taken away is what says nothing to a person: the
object's name in front of it, and the difference of the two manifests behind it.
"""

import re

from kworkspace.spawners.kube.endings import one_line
from kworkspace.spawners.kube.errors import (
    ApiError,
    ClusterUnreachable,
    Forbidden,
    Invalid,
    Throttled,
)

_FORBIDDEN = re.compile(r'^\S+ "[^"]*" is forbidden: ')
_INVALID = re.compile(r'^(?P<kind>\w+) "[^"]*" is invalid: ')
_DIFFERENCE = re.compile(r"\n@@ .*", re.DOTALL)
_QUOTA = re.compile(r"^exceeded quota: (?P<what>.*)$")
_FAILED_QUOTA = re.compile(r"^failed quota: (?P<what>.*)$")
_ENDING = re.compile(r"namespace (?P<name>\S+) because it is being terminated")


def explain(error: ApiError) -> str:
    """Return why a call to the cluster failed, as what follows a colon."""
    by_rights = isinstance(error, Forbidden) and error.by_rights
    if isinstance(error, Forbidden | Invalid) and not by_rights:
        return refusal(error.server_message)
    return error.message[:1].lower() + error.message[1:]


def passes(error: ApiError) -> bool:
    """Whether a failure is the API server's trouble, that passes, and no refusal."""
    return isinstance(error, ClusterUnreachable | Throttled) or error.http_status >= 500


def refusal(message: str) -> str:
    """Return why the cluster refused an object, as what follows a colon.

    Args:
        message: of the server's Status.
    """
    text = one_line(_DIFFERENCE.sub("", message))
    if (ending := _ENDING.search(text)) is not None:
        return f"the namespace {ending['name']} is being deleted"
    if (invalid := _INVALID.match(text)) is not None:
        return f"the cluster refuses the {invalid['kind']}: {text[invalid.end() :]}"
    reason = _FORBIDDEN.sub("", text)
    if (quota := _QUOTA.match(reason)) is not None:
        return f"a quota of the cluster is used up: {quota['what']}"
    if (quota := _FAILED_QUOTA.match(reason)) is not None:
        return f"a quota of the cluster asks for more than is configured: {quota['what']}"
    return f"the cluster refuses it: {reason}"
