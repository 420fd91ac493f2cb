"""Words for the terminal, and progress as it looks on one and elsewhere."""

import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.cli.client.words import MAX_TEXT, one_line, seconds
from kworkspace.cli.terminal import Progress


@given(st.text())
def test_one_line_holds_no_control_characters(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert one_line(line) == line


def test_one_line_holds_nothing_that_moves_or_turns_text() -> None:
    hostile = [*range(0x20), *range(0x7F, 0xA0), 0x61C, 0xAD, 0xFEFF]
    hostile += [*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070)]
    assert one_line("a".join(map(chr, hostile))) == " ".join("a" * (len(hostile) - 1))


def test_one_line_of_a_text_without_end() -> None:
    assert len(one_line("x" * 10**6)) == MAX_TEXT


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-3, "0.0 s"),
        (0.84, "0.8 s"),
        (42, "42 s"),
        (60, "1 min"),
        (3599, "1 h"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86400 * 3, "3 days"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    assert seconds(value) == text


def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("Starting") as progress:
        for message in ("", "", "one\x1b[2J", "one\x1b[2J", "two"):
            progress.show(message)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "Starting\none [2J\ntwo\n"


SCRIPT = """
import sys
from kworkspace.cli.terminal import Progress
with Progress("Starting your workspace") as progress:
    progress.show("A message that is longer than forty columns are wide")
    sys.stdin.readline()
print("rich" in sys.modules, "done")
"""


def on_a_terminal(columns: int, **environ: str) -> str:
    """Run the script on a terminal, press Enter when it shows something, return what it wrote."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "LINES": "24", **environ},
    )
    os.close(follower)
    seen, answered = b"", False
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and select.select([leader], [], [], 20)[0]:
        try:
            seen += os.read(leader, 4096)
        except OSError:
            break  # the other end is closed
        if b"message" in seen and not answered:
            answered = True
            os.write(leader, b"\n")
    os.close(leader)
    assert process.wait(20) == 0, seen
    return seen.decode()


def test_one_live_line_of_the_terminals_width() -> None:
    shown = on_a_terminal(40, LANG="C.UTF-8")
    frames = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frame) for frame in shown.split("\r")]
    pattern = re.compile("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] A message that is longer than fo… 0 s")
    assert any(pattern.fullmatch(frame.strip()) for frame in frames), shown
    assert "wide" not in shown
    assert "\x1b[2K" in shown  # it was taken away
    assert "True done" in shown


def test_no_colour() -> None:
    shown = on_a_terminal(80, NO_COLOR="1")
    assert "columns are wide" in shown
    assert "\x1b[3" not in shown


def test_a_terminal_that_cannot_move_gets_lines() -> None:
    shown = on_a_terminal(80, TERM="dumb")
    assert "\x1b" not in shown
    assert "False done" in shown
