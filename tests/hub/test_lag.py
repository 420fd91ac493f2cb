"""The alarm goes off when the loop was blocked, and not otherwise."""

import asyncio
import time

import pytest

from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub import lag
from tests.hub.clock import until


async def test_alarm(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(lag, "PERIOD", 0.01)
    monkeypatch.setattr(lag, "ALARM", 0.2)
    tasks = Tasks()
    told: list[float] = []
    tasks.spawn(lag.watch(told.append), "watch")
    await asyncio.sleep(0.03)
    assert "blocked" not in caplog.text
    time.sleep(0.3)
    await until(lambda: "The event loop was blocked for 0." in caplog.text)
    await tasks.aclose()
    assert max(told) > 0.2 > min(told) >= 0
