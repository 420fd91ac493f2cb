"""Who fails to log in is not looked at for a while: that name, from there, and nobody else."""

import pytest

from kworkspace.hub import bans as module
from kworkspace.hub.bans import FREE, LONGEST, Bans
from kworkspace.hub.bus import LocalBus
from kworkspace.hub.counts import MEMORY_SECONDS

OFFICE = "192.0.2.1"
KEY, PROVEN = "ssh-ed25519 AAAA", "ssh-ed25519 BBBB"


class Seconds:
    """A clock to set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def bans(seconds: Seconds) -> Bans:
    return Bans(bus=LocalBus(), seconds=seconds)


def fail(bans: Bans, times: int, user: str = "alice", address: str = OFFICE) -> None:
    for _ in range(times):
        bans.failed(user, address)


def length(bans: Bans, seconds: Seconds) -> float:
    """Wait until the ban is over; return how long that took."""
    begun = seconds.now
    while bans.is_banned("alice", OFFICE, KEY):
        seconds.now += 1
    return seconds.now - begun


def test_bans_grow_slowly_up_to_a_limit(bans: Bans, seconds: Seconds) -> None:
    fail(bans, FREE - 1)
    assert not bans.is_banned("alice", OFFICE, KEY)
    lengths = []
    for _ in range(12):
        fail(bans, 1)
        lengths.append(length(bans, seconds))
    assert lengths == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST, LONGEST, LONGEST]


def test_tries_during_a_ban_do_not_make_it_longer(bans: Bans, seconds: Seconds) -> None:
    fail(bans, FREE + 100)
    assert length(bans, seconds) == 1


def test_a_ban_is_for_one_name_from_one_address(bans: Bans) -> None:
    """Whatever somebody does to alice: bob at the next desk comes in, and alice at home."""
    fail(bans, FREE)
    assert bans.is_banned("alice", OFFICE, KEY)
    assert bans.is_banned("alice", f"::ffff:{OFFICE}", KEY)
    assert not bans.is_banned("bob", OFFICE, KEY)
    assert not bans.is_banned("alice", "192.0.2.2", KEY)


def test_an_ipv6_network_is_one_address(bans: Bans) -> None:
    for host in range(FREE):
        bans.failed("alice", f"2001:db8::{host:x}")
    assert bans.is_banned("alice", "2001:db8::ffff", KEY)
    assert not bans.is_banned("alice", "2001:db8:0:1::1", KEY)


def test_a_login_ends_the_count(bans: Bans) -> None:
    fail(bans, FREE - 1)
    bans.succeeded("alice", OFFICE, PROVEN)
    fail(bans, FREE - 1)
    assert not bans.is_banned("alice", OFFICE, KEY)
    bans.succeeded("bob", OFFICE, PROVEN)
    fail(bans, 1)
    assert bans.is_banned("alice", OFFICE, KEY)


def test_a_key_that_was_good_before_is_looked_at(bans: Bans) -> None:
    """Also where all people have one address; it is good for its own name, and may be gone."""
    bans.succeeded("alice", OFFICE, PROVEN)
    fail(bans, FREE)
    fail(bans, FREE, user="bob")
    assert bans.is_banned("alice", OFFICE, KEY)
    assert not bans.is_banned("alice", OFFICE, PROVEN)
    assert bans.is_banned("bob", OFFICE, PROVEN)


def test_they_are_forgotten(bans: Bans, seconds: Seconds) -> None:
    fail(bans, FREE - 1)
    seconds.now += MEMORY_SECONDS + 1
    fail(bans, FREE - 1)
    assert not bans.is_banned("alice", OFFICE, KEY)


def test_every_hub_knows_them(seconds: Seconds) -> None:
    bus = LocalBus()
    here, there = (Bans(bus=bus, seconds=seconds) for _ in range(2))
    fail(here, FREE // 2)
    fail(there, FREE - FREE // 2)
    for bans in (here, there):
        assert bans.is_banned("alice", OFFICE, KEY)
    there.succeeded("alice", OFFICE, KEY)
    assert not here.is_banned("alice", OFFICE, KEY)


def test_what_is_kept_is_bounded(bans: Bans, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names everybody pushes out their own names first, and then the oldest addresses."""
    monkeypatch.setattr(module, "MOST_OF_SOURCE", 10)
    monkeypatch.setattr(module, "MOST_SOURCES", 10)
    monkeypatch.setattr(module, "MOST_KEYS", 10)
    fail(bans, FREE)
    for number in range(100):
        bans.failed(f"user-{number}", "192.0.2.9")
    assert bans.is_banned("alice", OFFICE, KEY)
    for number in range(100):
        bans.failed("alice", f"198.51.100.{number}")
    assert not bans.is_banned("alice", OFFICE, KEY)
    assert sum(map(len, bans._counts.values())) == 10
    for number in range(100):
        bans.succeeded("alice", OFFICE, f"key {number}")
    assert len(bans._good) == 10
