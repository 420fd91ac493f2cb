"""When a call that failed is made again: how often, how long between, and which failures at all.

Pure but for the clock and the sleep that the caller hands in. Only what passes by itself is tried
again: too many requests, an error of the server, a connection that broke.
"""

import random
from dataclasses import dataclass

from kworkspace.spawners.kube.errors import ApiError, ClusterUnreachable, Throttled

FIRST_SECONDS = 0.1
MOST_SECONDS = 3.0
MOST_OBEYED_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Failure:
    """A try that failed.

    Attributes:
        error: what is raised if nothing more is tried.
        unsent: whether the server surely did nothing: it never had the call, or said so.
        renewed: whether the credentials are others since.
        lasting: whether another try cannot be better, as with a certificate that nobody trusts.
    """

    error: ApiError
    unsent: bool = False
    renewed: bool = False
    lasting: bool = False


def worth_it(failure: Failure, *, repeatable: bool) -> bool:
    """Whether to make the call again.

    Args:
        failure: the last try.
        repeatable: whether made twice it has the same outcome as made once.
    """
    if failure.lasting:
        return False
    error = failure.error
    if isinstance(error, Throttled):
        return True
    passing = isinstance(error, ClusterUnreachable) or error.http_status >= 500
    return passing and (repeatable or failure.unsent)


def pause(failure: Failure, tries: int) -> float:
    """Return the seconds before the next try: what the server asks for, else longer each time.

    Args:
        failure: the last try.
        tries: how many have failed so far, at least 1.
    """
    spread: float = random.uniform(0.5, 1.0)  # noqa: S311  # only to keep clients apart
    if isinstance(failure.error, Throttled) and failure.error.retry_after > 0:
        return float(min(failure.error.retry_after, MOST_OBEYED_SECONDS) * (2.0 - spread))
    return float(min(FIRST_SECONDS * 2.0 ** min(tries - 1, 10), MOST_SECONDS) * spread)
