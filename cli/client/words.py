"""Text for people that is the same wherever it is shown: one harmless line, and durations."""

MAX_TEXT = 4000


def one_line(text: str) -> str:
    """Return the text on one line, without control characters: what a hub says may hold any.

    `isprintable` refuses C0 and C1, line separators, and what turns the direction of writing. What
    is longer than MAX_TEXT characters is cut.
    """
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= MAX_TEXT else f"{line[: MAX_TEXT - 3]}..."


def seconds(value: float) -> str:
    """Return a duration as people say it: `0.8 s`, `42 s`, `5 min`, `2 h 5 min`, `3 days`.

    Args:
        value: seconds; below zero (two clocks) counts as zero.
    """
    value = max(value, 0.0)
    if value < 10:
        return f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    minutes = round(value / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(hours / 24)} days"
