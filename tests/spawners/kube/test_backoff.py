"""A start that fails again and again is refused for a while, and nobody else's is."""

import pytest

from kworkspace.cli.client.errors import StartFailed
from kworkspace.spawners.kube.backoff import FORGET_SECONDS, MOST_SECONDS, Backoff


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backoff(clock: Clock) -> Backoff:
    return Backoff(clock)


def test_two_failures_are_free(backoff: Backoff) -> None:
    for _ in range(2):
        backoff.failed("alice", "no-such:1", "not found")
        backoff.check("alice", "no-such:1")


def test_the_wait_doubles_and_is_said(backoff: Backoff, clock: Clock) -> None:
    for _ in range(3):
        backoff.failed("alice", "no-such:1", "not found")
    with pytest.raises(StartFailed) as caught:
        backoff.check("alice", "no-such:1")
    assert caught.value.message == (
        "the last 3 starts of it failed: try again in 10 s. The last one: not found"
    )
    backoff.check("bob", "no-such:1")
    backoff.check("alice", "another:1")
    clock.now += 10
    backoff.check("alice", "no-such:1")
    backoff.failed("alice", "no-such:1", "not found")
    clock.now += 19
    with pytest.raises(StartFailed, match=r"try again in 1 s"):
        backoff.check("alice", "no-such:1")
    for _ in range(100):
        backoff.failed("alice", "no-such:1", "not found")
    clock.now += MOST_SECONDS
    backoff.check("alice", "no-such:1")


def test_success_and_time_forget(backoff: Backoff, clock: Clock) -> None:
    for _ in range(9):
        backoff.failed("alice", "no-such:1", "not found")
    backoff.succeeded("alice", "no-such:1")
    backoff.check("alice", "no-such:1")
    for _ in range(9):
        backoff.failed("alice", "no-such:1", "not found")
    clock.now += FORGET_SECONDS + 1
    backoff.failed("bob", "no-such:1", "not found")
    assert list(backoff._failures) == [("bob", "no-such:1")]
