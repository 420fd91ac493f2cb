"""A network of its own for a workspace, which a test can cut: a namespace and a pair of veths."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

# Addresses for tests of networks (RFC 2544, appendix C.2.2), which nobody else has.
_OURS, _THEIRS = "198.18.77.1", "198.18.77.2"


@dataclass(frozen=True, slots=True)
class Network:
    """A network namespace.

    Attributes:
        name: as ip(8) knows it.
        address: of what is inside.
    """

    name: str
    address: str = _THEIRS

    @property
    def within(self) -> tuple[str, ...]:
        """What starts a command in it."""
        return ("ip", "netns", "exec", self.name)

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Lose every packet that comes out of it, and say so to nobody, for the time of a block."""
        _ip("-n", self.name, "route", "add", "blackhole", _OURS)
        try:
            yield
        finally:
            _ip("-n", self.name, "route", "del", "blackhole", _OURS)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


@contextmanager
def network() -> Iterator[Network]:
    """Make a network for the time of a block, where that is allowed; else skip the test."""
    made = Network(f"kw-test-{os.getpid()}")
    ours, theirs = (f"kw{end}{os.getpid()}" for end in "ab")
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("only root can make a network namespace, with ip(8)")
    try:
        _ip("netns", "add", made.name)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace can be made here: {error.stderr.decode().strip()}")
    try:
        _ip("link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", made.name)
        _ip("addr", "add", f"{_OURS}/30", "dev", ours)
        _ip("link", "set", ours, "up")
        _ip("-n", made.name, "addr", "add", f"{_THEIRS}/30", "dev", theirs)
        _ip("-n", made.name, "link", "set", theirs, "up")
        _ip("-n", made.name, "link", "set", "lo", "up")
        yield made
    finally:
        # The namespace takes the pair with it, but not at once.
        subprocess.run(["ip", "link", "del", ours], check=False, capture_output=True, timeout=20)
        _ip("netns", "del", made.name)
