"""Who waits at the door is counted: in all, and for each source."""

import pytest

from kworkspace.gateway import strangers
from kworkspace.gateway.strangers import Strangers


def test_limit_for_one_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others still come in; who leaves makes room, once."""
    monkeypatch.setattr(strangers, "MAX_FROM_ONE_SOURCE", 2)
    waiting: Strangers[int] = Strangers()
    assert [waiting.add(n, "192.0.2.1") for n in range(3)] == [True, True, False]
    assert waiting.add(3, "192.0.2.2")
    waiting.discard(2)
    assert not waiting.add(4, "192.0.2.1")
    waiting.discard(0)
    waiting.discard(0)
    assert [waiting.add(n, "192.0.2.1") for n in (5, 6)] == [True, False]
    assert sorted(waiting) == [1, 3, 5]


def test_limit_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many sources there are."""
    monkeypatch.setattr(strangers, "MAX_STRANGERS", 3)
    waiting: Strangers[int] = Strangers()
    assert [waiting.add(n, f"192.0.2.{n}") for n in range(4)] == [True, True, True, False]
