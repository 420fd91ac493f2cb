"""The entry: what is loaded, what errors and exit codes look like."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from kworkspace.cli import __version__, main
from kworkspace.cli.client.commands import COMMANDS
from kworkspace.cli.client.exits import HELP

if TYPE_CHECKING:
    from tests.cli.conftest import Result
    from tests.cli.stand_in_hub import Hub

HEAVY = {"msgspec", "urllib3", "rich", "asyncio", "ssl", "tomllib", "json", "difflib"}
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from kworkspace.cli.main import run; run(['--help']);"
        "print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Exit codes:" in done.stdout
    assert HEAVY.isdisjoint(json.loads(done.stderr.replace("'", '"')))


def test_status_loads_no_rich_and_no_asyncio(alice: Path, program: str) -> None:
    environ = {**os.environ, "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(
        [program, "status"], env=environ, capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "msgspec" in loaded
    assert {"rich", "asyncio", "aiohttp"}.isdisjoint(loaded)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_tells_what_the_commands_tell(name: str) -> None:
    command = import_module(f"kworkspace.cli.commands.{name.replace('-', '_')}").command
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.callback is not None
    assert command.params


def test_every_module_of_a_command_is_listed() -> None:
    folder = Path(main.__file__).parent / "commands"
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert modules == {name.replace("-", "_") for name in COMMANDS}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["x"], "kworkspace: No such command 'x'; see kworkspace --help\n"),
        (["start", "--zzz"], "kworkspace: No such option '--zzz'; see kworkspace start --help\n"),
        (["start", "a", "b"], "(b); see kworkspace start --help\n"),
        (["-o", "yaml", "start"], "see kworkspace --help\n"),
        (["status", "A B"], "kworkspace: NAME: a workspace name has 1 to 63"),
    ],
)
def test_wrong_usage(
    arguments: list[str], line: str, alice: Path, kworkspace: "Callable[..., Result]"
) -> None:
    result = kworkspace(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert line in result.err
    assert result.err.count("\n") == 1


def test_nothing_shows_the_help(kworkspace: "Callable[..., Result]") -> None:
    result = kworkspace()
    assert result.code == 2
    assert "Workspaces:" in result.err


def test_version(kworkspace: "Callable[..., Result]") -> None:
    assert kworkspace("--version").out == f"kworkspace {__version__}\n"


def test_options_before_and_after_the_command(
    hub: "Hub", alice: Path, kworkspace: "Callable[..., Result]"
) -> None:
    assert kworkspace("--output", "json", "status").out.startswith("{")
    assert kworkspace("status", "--output", "json").out.startswith("{")
    assert kworkspace("-o", "json", "status", "-o", "text").out == "Your workspace is stopped.\n"


@pytest.mark.parametrize(
    ("status", "code"), [(400, 1), (401, 3), (403, 3), (404, 4), (409, 1), (500, 1), (503, 1)]
)
def test_what_the_hub_says_is_one_line_and_a_code(
    status: int, code: int, hub: "Hub", alice: Path, kworkspace: "Callable[..., Result]"
) -> None:
    message = "No:\n\x1b[31mnever\x07"
    body = json.dumps({"status": status, "message": message}).encode()
    headers = {"Content-Type": "application/json"}
    hub.answers["GET /hub/api/users/alice"] = (status, headers, body)
    result = kworkspace("status", "--output", "json")
    assert (result.code, result.out) == (code, "")
    assert result.err == "kworkspace: No: [31mnever\n"


def test_too_many_says_when_to_try_again(
    hub: "Hub", alice: Path, kworkspace: "Callable[..., Result]"
) -> None:
    body = b'{"status": 429, "message": "50 are starting"}'
    headers = {"Content-Type": "application/json", "Retry-After": "7"}
    hub.answers["POST /hub/api/users/alice/server"] = (429, headers, body)
    result = kworkspace("start")
    assert result.code == 1
    assert result.err.endswith("kworkspace: 50 are starting (try again in 7 s)\n")


def test_the_hub_is_not_there(
    alice: Path, monkeypatch: pytest.MonkeyPatch, kworkspace: "Callable[..., Result]"
) -> None:
    monkeypatch.setenv("KWORKSPACE_API", "http://127.0.0.1:1")
    result = kworkspace("status")
    assert result.code == 5
    assert "the connection is refused" in result.err


def test_a_state_folder_that_cannot_be_made(
    alice: Path, home: Path, kworkspace: "Callable[..., Result]"
) -> None:
    (home / ".local").write_text("a file")
    result = kworkspace("login")
    assert result.code == 1
    assert result.err == f"kworkspace: {home}/.local/state/kworkspace: Not a directory\n"


def test_a_closed_pipe_is_no_traceback(alice: Path, program: str) -> None:
    done = subprocess.run(
        f"{program} status | true", shell=True, capture_output=True, text=True, check=True
    )
    assert "Traceback" not in done.stderr


def every_command() -> Iterator[tuple[str, click.Command]]:
    """All commands with their names as typed, those of groups too."""
    context = click.Context(main.group)
    for name in COMMANDS:
        command = main.group.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", inner) for sub, inner in command.commands.items())


def test_docs_name_every_command_option_and_exit_code() -> None:
    text = DOCS.read_text()
    for name, command in every_command():
        assert f"kworkspace {name}" in text
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert f"`{parameter.opts[-1]}" in text, parameter.opts
    for code in HELP:
        assert f"| {int(code)} |" in text


@pytest.mark.parametrize("columns", ["40", "80"])
def test_every_help_is_complete_and_fits(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for name, command in every_command():
        context = click.Context(command, info_name=f"kworkspace {name}")
        assert command.help
        text = command.get_help(context)
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (name, parameter.opts)
        lines = [line for line in text.splitlines() if "eval" not in line and "~/" not in line]
        assert max(map(len, lines)) <= int(columns), (name, text)


def test_a_terminal_of_few_characters(hub: "Hub", alice: Path, program: str) -> None:
    hub.workspace("").error = "\u20ac \u2192"
    done = subprocess.run(
        [program, "status"],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u20ac \\u2192" in done.stdout


def test_the_exit_codes_fit_too(program: str) -> None:
    done = subprocess.run(
        [program, "--help"],
        env={**os.environ, "COLUMNS": "40"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert max(map(len, done.stdout.splitlines())) <= 40
    assert "Exit codes:\n  0    done\n" in done.stdout
