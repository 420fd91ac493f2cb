"""Who guesses waits, a little longer each time, whichever hub it asks; others hardly do."""

import pytest

from kworkspace.cli.client.errors import TooMany
from kworkspace.hub import guesses as module
from kworkspace.hub.bus import LocalBus
from kworkspace.hub.counts import MEMORY_SECONDS
from kworkspace.hub.guesses import (
    FREE,
    FREE_OF_ALL,
    LONGEST,
    LONGEST_OF_ALL,
    Guesses,
)

ADDRESS = "192.0.2.1"


class Seconds:
    """A clock to set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def wrong(guesses: Guesses, address: str = ADDRESS, times: int = 1) -> None:
    for _ in range(times):
        guesses.was_wrong(guesses.begin(address))


def wait_of(guesses: Guesses, address: str = ADDRESS) -> int:
    with pytest.raises(TooMany) as error:
        guesses.begin(address)
    return error.value.retry_after


def test_waits_grow_slowly_up_to_a_limit() -> None:
    seconds = Seconds()
    guesses = Guesses(bus=LocalBus(), seconds=seconds)
    wrong(guesses, times=FREE)
    waits = []
    for _ in range(12):
        waits.append(wait_of(guesses))
        seconds.now += waits[-1]
        wrong(guesses)
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST
    seconds.now += MEMORY_SECONDS + 1
    wrong(guesses, times=FREE)


def test_a_network_of_ipv6_is_one_source_and_others_are_not_kept_out() -> None:
    guesses = Guesses(bus=LocalBus(), seconds=Seconds())
    for host in range(FREE):
        wrong(guesses, f"2001:db8::{host:x}")
    assert wait_of(guesses, "2001:db8::ffff") == 1
    wrong(guesses, "2001:db8:0:1::1")


def test_several_at_once_count_before_they_are_looked_at() -> None:
    guesses = Guesses(bus=LocalBus(), seconds=Seconds())
    begun = [guesses.begin(ADDRESS) for _ in range(FREE)]
    assert wait_of(guesses) == 1
    guesses.was_right(begun[0])
    guesses.begin(ADDRESS)


def test_all_together_are_slowed_down_and_no_more() -> None:
    seconds = Seconds()
    guesses = Guesses(bus=LocalBus(), seconds=seconds)
    addresses = [f"192.0.{number // 250}.{number % 250}" for number in range(FREE_OF_ALL + 20)]
    for address in addresses[:FREE_OF_ALL]:
        wrong(guesses, address)
    for address in addresses[FREE_OF_ALL:]:
        wait = wait_of(guesses, address)
        assert wait <= LONGEST_OF_ALL
        seconds.now += wait
        wrong(guesses, address)


def test_hubs_tell_each_other() -> None:
    bus, seconds = LocalBus(), Seconds()
    here, there = (Guesses(bus=bus, seconds=seconds) for _ in range(2))
    for _ in range(FREE // 2):
        wrong(here)
        wrong(there)
    assert wait_of(here) == wait_of(there) == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SOURCES", 5)
    guesses = Guesses(bus=LocalBus(), seconds=Seconds())
    for number in range(50):
        wrong(guesses, f"192.0.2.{number}")
    assert len(guesses._counts) == 5
