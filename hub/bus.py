"""What one hub process tells the others on the same database, and itself.

For what is lost without harm: progress, doors, commands to gateways, "look at the journal". It is
heard here at once and elsewhere soon, or, when the connection breaks, never; so whoever publishes
also sees to it that a later message or a look at the database heals that. With SQLite there are no
others (`LocalBus`); with Postgres `hub.db.listen` carries it by LISTEN/NOTIFY.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

MOST_BYTES = 7000
"""Of one message; Postgres takes 8,000 with what is put around it."""

Heard = Callable[[bytes], None]


class Bus(ABC):
    """Carries messages by topic."""

    def __init__(self) -> None:
        self._heard: dict[str, list[Heard]] = {}

    def subscribe(self, topic: str, heard: Heard) -> None:
        """Have a function called with every message of a topic, from any process.

        Args:
            topic: a word.
            heard: called in the event loop; must not raise, nor wait.
        """
        self._heard.setdefault(topic, []).append(heard)

    def publish(self, topic: str, message: bytes) -> None:
        """Tell this process now, and the others soon.

        Args:
            topic: a word.
            message: UTF-8, at most `MOST_BYTES`.

        Raises:
            ValueError: it is too long.
        """
        if len(message) > MOST_BYTES:
            raise ValueError(f"a message on '{topic}' has {len(message)} bytes")
        self.deliver(topic, message)
        self._send(topic, message)

    def deliver(self, topic: str, message: bytes) -> None:
        """Call whoever has subscribed here."""
        for heard in self._heard.get(topic, ()):
            heard(message)

    @abstractmethod
    def _send(self, topic: str, message: bytes) -> None:
        """Send it to the other processes; never waits."""


class LocalBus(Bus):
    """There is no other process."""

    def _send(self, topic: str, message: bytes) -> None:
        pass
