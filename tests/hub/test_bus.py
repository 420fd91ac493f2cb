"""Messages in one process."""

import pytest

from kworkspace.hub.bus import MOST_BYTES, LocalBus


def test_by_topic() -> None:
    bus = LocalBus()
    heard: list[tuple[str, bytes]] = []
    bus.subscribe("progress", lambda message: heard.append(("one", message)))
    bus.subscribe("progress", lambda message: heard.append(("two", message)))
    bus.subscribe("doors", lambda message: heard.append(("doors", message)))
    bus.publish("progress", b"10 %")
    bus.publish("nobody", b"listens")
    bus.deliver("doors", b"open")
    assert heard == [("one", b"10 %"), ("two", b"10 %"), ("doors", b"open")]


def test_too_long() -> None:
    bus = LocalBus()
    heard: list[bytes] = []
    bus.subscribe("progress", heard.append)
    bus.publish("progress", b"x" * MOST_BYTES)
    with pytest.raises(ValueError, match="a message on 'progress' has 7001 bytes"):
        bus.publish("progress", b"x" * (MOST_BYTES + 1))
    assert len(heard) == 1
