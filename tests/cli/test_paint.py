"""Colour and symbols: on a terminal that has them, and nowhere else; words say it all."""

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli.paint import ENDLESS, paint, symbol, width
from tests.cli.on_terminal import on_terminal

if TYPE_CHECKING:
    from tests.cli.stand_in_hub import Hub

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def listed(hub: "Hub", alice: Path, program: str) -> list[str]:
    """A command with a picture; one workspace runs."""
    hub.workspace("gpu").status = "ready"
    subprocess.run([program, "login"], check=True, capture_output=True)
    return [program, "list"]


def test_a_pipe_gets_words(listed: list[str]) -> None:
    done = subprocess.run(listed, capture_output=True, text=True, check=True)
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    assert (paint("x", "red", bold=True), symbol("●"), width()) == ("x", "", ENDLESS)


def test_a_terminal_gets_both(listed: list[str]) -> None:
    shown = on_terminal(listed).text
    assert "\x1b[32m● ready\x1b[0m" in shown
    plain = on_terminal(listed, NO_COLOR="1").text
    assert "\x1b" not in plain
    assert ESCAPE.sub("", shown) == plain


def test_no_colour_on_a_terminal_that_has_none(listed: list[str]) -> None:
    assert "\x1b" not in on_terminal(listed, TERM="dumb").text


def test_no_symbols_on_a_terminal_of_few_characters(listed: list[str]) -> None:
    shown = on_terminal(listed, NO_COLOR="1", PYTHONIOENCODING="latin-1").text
    assert shown.isascii()
    assert "gpu" in shown


def test_errors_are_red_on_a_terminal_alone(listed: list[str], hub: "Hub") -> None:
    wrong = [*listed, "--nope"]
    assert "\x1b[31mkworkspace:\x1b[0m No such option" in on_terminal(wrong).text
    read, write = os.pipe()
    shown = on_terminal(wrong, stdout=write)
    os.close(write)
    with os.fdopen(read) as stdout:
        assert stdout.read() == ""
    assert "\x1b[31m" in shown.text
