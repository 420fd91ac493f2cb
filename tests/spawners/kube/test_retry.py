"""Which failures are worth another try, and after how long."""

import pytest

from kworkspace.spawners.kube import retry
from kworkspace.spawners.kube.errors import (
    ApiError,
    ClusterUnreachable,
    Forbidden,
    NotFoundInCluster,
    Throttled,
)
from kworkspace.spawners.kube.retry import Failure, pause, worth_it

BROKEN = ClusterUnreachable("x")
BUSY = ApiError("x", http_status=503)


@pytest.mark.parametrize(
    ("failure", "repeatable", "worth"),
    [
        (Failure(BROKEN), True, True),
        (Failure(BROKEN), False, False),
        (Failure(BROKEN, unsent=True), False, True),
        (Failure(BROKEN, lasting=True), True, False),
        (Failure(BUSY), True, True),
        (Failure(BUSY), False, False),
        (Failure(BUSY, unsent=True), False, True),
        (Failure(Throttled("x")), False, True),
        (Failure(NotFoundInCluster("x", http_status=404)), True, False),
        (Failure(Forbidden("x", http_status=403)), True, False),
        (Failure(ApiError("x", http_status=200)), True, False),
    ],
)
def test_what_is_worth_it(failure: Failure, repeatable: bool, worth: bool) -> None:
    assert worth_it(failure, repeatable=repeatable) is worth


def test_pauses_grow_and_are_spread() -> None:
    first = {pause(Failure(BROKEN), 1) for _ in range(50)}
    assert len(first) > 1
    assert all(retry.FIRST_SECONDS / 2 <= each <= retry.FIRST_SECONDS for each in first)
    assert retry.MOST_SECONDS / 2 <= pause(Failure(BROKEN), 1000) <= retry.MOST_SECONDS


def test_a_server_that_says_how_long_is_obeyed_within_reason() -> None:
    assert 5 <= pause(Failure(Throttled("x", retry_after=5)), 1) <= 7.5
    assert pause(Failure(Throttled("x", retry_after=9999)), 1) <= retry.MOST_OBEYED_SECONDS * 1.5
    assert pause(Failure(Throttled("x", retry_after=0)), 1) <= retry.FIRST_SECONDS
