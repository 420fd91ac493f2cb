"""Counts of what goes wrong, which grow a wait; and keeping those alone that came last."""

from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

MEMORY_SECONDS = 3600.0


@dataclass(slots=True)
class Count:
    """What went wrong, how often and when at last."""

    wrong: int = 0
    last: float = 0.0

    def add(self, now: float) -> None:
        """Count one more; what is long ago is forgotten."""
        if now - self.last > MEMORY_SECONDS:
            self.wrong = 0
        self.wrong, self.last = self.wrong + 1, now

    def wait(self, now: float, free: int, longest: float) -> float:
        """Return the seconds until the next guess is heard; one that is waited for doubles it."""
        over = self.wrong - free
        if over < 0 or now - self.last > MEMORY_SECONDS:
            return 0.0
        return max(0.0, self.last + min(longest, 2.0 ** min(over, 30)) - now)


def keep_newest(kept: dict[str, T], key: str, value: T, most: int) -> None:
    """Keep a value as the newest; when there are too many, the oldest go."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]
