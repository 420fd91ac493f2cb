"""The sentence about a clock that is off."""

import sys

import pytest

from kworkspace.cli.clock import complaint


@pytest.mark.parametrize("offset", [None, 0, 299, -299])
def test_a_clock_that_will_do(offset: float | None) -> None:
    assert complaint(offset) == ""


def test_the_remedy_is_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert complaint(3720) == (
        "this computer's clock is 1 h 2 min behind the hub's; set it: timedatectl set-ntp true"
    )
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "ahead of the hub's; set it: sudo sntp" in complaint(-3720)
