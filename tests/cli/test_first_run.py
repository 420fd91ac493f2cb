"""The first run on a terminal: questions, answers that are checked, and the file."""

import os
import pwd
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.on_terminal import on_terminal

if TYPE_CHECKING:
    from tests.cli.stand_in_hub import Hub

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def file(hub: "Hub", home: Path, new_key: Callable[..., str]) -> Path:
    """Where the answers go; the hub knows alice, and this computer no hub."""
    hub.users["alice"] = [new_key(home / "key")]
    return home / ".config/kworkspace/config.toml"


def test_the_questions(file: Path, hub: "Hub", home: Path, program: str) -> None:
    shown = on_terminal(
        [program, "status"],
        ("The hub's URL:", "\n"),
        ("your admin knows it", "http://127.0.0.1:1\n"),
        ("is refused", f"{hub.url}/\n"),
        (f"there [{ME}]:", "a b\n"),
        ("must not contain white space", "Alice\n"),
        ("of ~/.ssh):", "nope\n"),
        ("there is no file", "~/key\n"),
    )
    assert shown.code == 0, shown.text
    assert "There is a kworkspace hub, version 0.1.0." in shown.text
    assert shown.text.endswith("Your workspace is stopped.\n")
    assert file.read_text() == (f'api = "{hub.url}"\nuser = "alice"\nssh_key_path = "~/key"\n')
    assert on_terminal([program, "status"]).text == "Your workspace is stopped.\n"


def test_what_is_known_is_not_asked(file: Path, hub: "Hub", home: Path, program: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("# mine\nuser = 'alice'\n")
    answers = ("The hub's URL:", f"{hub.url}\n")
    shown = on_terminal([program, "whoami", "--ssh-key-path", "key"], answers)
    assert (shown.code, "Your user name" in shown.text) == (0, False), shown.text
    assert file.read_text() == f"# mine\nuser = 'alice'\napi = \"{hub.url}\"\n"


def test_enough_of_it(file: Path, program: str) -> None:
    shown = on_terminal([program, "status"], ("The hub's URL:", "\x04"))
    assert shown.code == 130
    assert not file.exists()


def test_not_asked_on_a_terminal(file: Path, program: str) -> None:
    for shown in (
        on_terminal([program, "status", "-o", "json"]),
        on_terminal([program, "status"], CI="true"),
    ):
        assert shown.code == 2
        assert "which hub? Give its URL with --api or KWORKSPACE_API" in shown.text
        assert not file.exists()


def test_not_asked_in_a_pipe(file: Path, program: str) -> None:
    done = subprocess.run(
        [program, "status"], input="x\n", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("kworkspace: which hub? ")
    assert done.stderr.count("\n") == 1
