"""`kworkspace-hub invite` as it is typed."""

import re

import pytest

from kworkspace.cli.client.errors import BadRequest, NotFound
from kworkspace.hub.config_check import ConfigError
from kworkspace.hub.invite_command import InviteApp, parse_duration
from tests.hub.test_admin_commands import Type, command, own_process

__all__ = ["command", "own_process"]  # fixtures


@pytest.fixture(autouse=True)
def one_program(command: Type) -> None:
    InviteApp.clear_instance()


def test_a_code_is_all_that_is_printed(command: Type) -> None:
    assert re.fullmatch(r"([0-9a-z]{4}-){3}[0-9a-z]{4}\n", command("invite", "alice"))


def test_list_and_withdraw(command: Type) -> None:
    for expires in ("30m", "7d"):
        InviteApp.clear_instance()
        command("invite", "Alice", "--expires", expires)
    InviteApp.clear_instance()
    first, second = command("invite", "list", "alice").splitlines()
    id, *words = first.split()
    assert words[0] == "until"
    assert words[-2:] == ["by", "kworkspace-hub"]
    InviteApp.clear_instance()
    assert command("invite", "revoke", "alice", id) == f"Withdrawn {id}\n"
    InviteApp.clear_instance()
    assert command("invite", "list", "alice") == f"{second}\n"


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ([], ConfigError, "Give a user"),
        (["show", "alice"], ConfigError, "Give a user"),
        (["nobody"], NotFound, "nobody does not exist"),
        (["alice", "--expires", "soon"], BadRequest, "expected a number and s, m, h or d"),
        (["alice", "--expires", "1s"], BadRequest, "expected 60 seconds to 30 days"),
        (["invite"], BadRequest, "reserved"),
    ],
)
def test_what_cannot_be(command: Type, words: list[str], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        command("invite", *words)


def test_durations() -> None:
    assert [parse_duration(text) for text in ("90s", "2m", "24h", "7d")] == [90, 120, 86400, 604800]
    for text in ("", "h", "1", "-1h", "1w", "1h30m", "\u0661h"):
        with pytest.raises(BadRequest):
            parse_duration(text)
