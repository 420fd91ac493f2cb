"""`kworkspace-hub user|key|token` as they are typed: what they say, and what they refuse."""

import io
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kworkspace.cli.client.errors import BadRequest, KworkspaceError
from kworkspace.hub.admin_commands import MAX_KEY_FILE, CheckApp, KeyApp, TokenApp, UserApp
from kworkspace.hub.app import Hub
from kworkspace.hub.config_check import ConfigError
from tests.conftest import DEADLINE_SECONDS
from tests.hub.conftest import KeyFile

Type = Callable[..., str]


@pytest.fixture(autouse=True)
def own_process() -> Iterator[None]:
    """The program sets up its process: the logging, and itself as the one program of it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("kworkspace.hub").setLevel(logging.NOTSET)
    for app in (UserApp, KeyApp, TokenApp, CheckApp):
        app.clear_instance()


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str], keys: dict[str, KeyFile]) -> Type:
    """Return a function that runs a command in this process, and returns what it printed."""
    file = tmp_path / "hub_config.py"
    file.write_text(
        f"c.Hub.data_dir = {str(tmp_path / 'data')!r}\n"
        f"c.SSHKeyAuthenticator.users = {{'alice': [{keys['ecdsa'].line!r}]}}\n"
    )

    def run(*words: str) -> str:
        for app in (UserApp, KeyApp, TokenApp, CheckApp):
            app.clear_instance()
        hub = Hub()
        hub.initialize([*words, "-f", str(file)])
        hub.start()
        return capsys.readouterr().out

    return run


def test_users(command: Type) -> None:
    assert command("user", "add", "carol", "Dave", "--admin") == (
        "Added carol, an admin\nAdded dave, an admin\n"
    )
    assert command("user", "rename", "carol", "caroline") == "carol is caroline now\n"
    assert command("user", "list").splitlines() == [
        "NAME      ADMIN  WORKSPACES  LAST ACTIVITY",
        "alice            0           never",
        "caroline  yes    0           never",
        "dave      yes    0           never",
    ]
    assert command("user", "remove", "dave", "--yes") == "Removed dave\n"
    assert "dave" not in command("user", "list")


def test_keys(command: Type, keys: dict[str, KeyFile], tmp_path: Path) -> None:
    one, other = keys["ed25519"], keys["other"]
    assert command("key", "add", "alice", one.line).startswith("Added SHA256:")
    file = tmp_path / "keys"
    file.write_text(f'# of the laptop\n\nfrom="192.0.2.1" {other.line}\r\n{keys["rsa"].line}')
    added = command("key", "add", "alice", "--file", str(file)).splitlines()
    assert len(added) == 2
    shown = command("key", "list", "alice").splitlines()
    assert shown[0].split()[:3] == ["FINGERPRINT", "TYPE", "COMMENT"]
    assert len(shown) == 5
    assert {line.split()[-1] for line in shown[1:]} == {"configuration", "database"}
    fingerprint = added[0].split()[1]
    assert command("key", "remove", "alice", fingerprint) == (
        f"Removed {fingerprint}; what was opened with it ends\n"
    )
    assert fingerprint not in command("key", "list", "alice")
    configured = next(line.split()[0] for line in shown if line.endswith("configuration"))
    with pytest.raises(BadRequest, match="kept in the configuration: remove it there"):
        command("key", "remove", "alice", configured)


def test_keys_of_standard_input(
    command: Type, keys: dict[str, KeyFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{keys['rsa'].line}\n{keys['other'].line}\n"))
    assert len(command("key", "add", "alice", "-").splitlines()) == 2


def test_a_file_whose_second_line_is_wrong(
    command: Type, keys: dict[str, KeyFile], tmp_path: Path
) -> None:
    """The line is named; what came before it is added and said."""
    file = tmp_path / "keys"
    file.write_text(f"{keys['rsa'].line}\nnonsense\n")
    with pytest.raises(BadRequest, match=rf"^{re.escape(str(file))}:2: key: a public key line"):
        command("key", "add", "alice", "--file", str(file))
    said = command("key", "list", "alice").splitlines()
    assert said[0].startswith("Added SHA256:")
    assert len(said) == 1 + 3


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_files_that_are_none(command: Type, tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadRequest, match=r"cannot be read: No such file|not a text of public keys"):
        command("key", "add", "alice", "--file", str(file))


def test_a_file_without_end(command: Type) -> None:
    with pytest.raises(BadRequest, match=f"more than {MAX_KEY_FILE} bytes"):
        command("key", "add", "alice", "--file", "/dev/zero")


def test_tokens(command: Type) -> None:
    command("user", "add", "token")  # a name as that of a command
    for name in ("alice", "TOKEN"):
        assert re.fullmatch(r"kws_\S{43}\n", command("token", name))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["user"], "user: say what to do: add, list, rename, remove"),
        (["user", "ad"], "user: there is no 'ad'; there are add, list, rename"),
        (["user", "add"], "Give it as: kworkspace-hub user add NAME... [--admin]"),
        (["user", "list", "x"], "Give it as: kworkspace-hub user list"),
        (["user", "rename", "x"], "Give it as: kworkspace-hub user rename OLD NEW"),
        (["user", "remove"], "Give it as: kworkspace-hub user remove NAME [--yes]"),
        (["user", "remove", "a/b"], "name: a user name must not contain '/'"),
        (["user", "remove", "nobody", "--yes"], "User nobody does not exist"),
        (["user", "add", "\u0430lice"], "looks like 'alice'"),
        (["key", "add", "alice"], "Give it as: kworkspace-hub key add NAME 'LINE'"),
        (["key", "list"], "Give it as: kworkspace-hub key list NAME"),
        (["key", "remove", "alice", "SHA256:x"], "User alice has no key SHA256:x"),
        (["token"], "Give one user name: kworkspace-hub token NAME"),
        (["token", "nobody"], "User nobody does not exist"),
    ],
)
def test_what_is_refused(command: Type, words: list[str], said: str) -> None:
    with pytest.raises(KworkspaceError) as caught:
        command(*words)
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_without_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commonest mistake is to be in another directory than the hub."""
    monkeypatch.chdir(tmp_path)
    hub = Hub()
    hub.initialize(["token", "alice", f"--Hub.data_dir={tmp_path}/data"])
    with pytest.raises(KworkspaceError, match="name the file with -f, as the hub is started"):
        hub.start()


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def test_removing_is_confirmed(
    command: Type, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command("user", "add", "carol")
    monkeypatch.setattr("sys.stdin", io.StringIO("carol\n"))
    with pytest.raises(BadRequest, match="Nobody is there to be asked: say --yes"):
        command("user", "remove", "carol")
    for typed in ("", "y\n", "alice\n"):
        monkeypatch.setattr("sys.stdin", Terminal(typed))
        with pytest.raises(KworkspaceError, match="That is not the name; nothing was removed"):
            command("user", "remove", "carol")
    assert "all their workspaces and the files in them, for ever" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", Terminal("carol\n"))
    assert command("user", "remove", "carol") == "Removed carol\n"


def test_words_and_options_in_any_order(command: Type) -> None:
    said = command("user", "--admin", "add", "--log-level=ERROR", "carol", "dave")
    assert said == "Added carol, an admin\nAdded dave, an admin\n"
    assert command("user", "remove", "--yes", "carol") == "Removed carol\n"


def test_words_of_other_commands(command: Type) -> None:
    with pytest.raises(ConfigError, match="'nonsense' is not a command"):
        command("nonsense")


def run_program(hub: Any, *words: str) -> tuple[int, str, str]:
    program = [str(Path(sys.executable).with_name("kworkspace-hub"))]
    config = ["-f", str(hub.directory / "hub_config.py")]
    done = subprocess.run(
        [*program, *words, *config],
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout, done.stderr


def test_before_a_hub_and_while_it_runs(make_hub: Callable[..., Any]) -> None:
    """As real processes: what was added without a hub is there when one runs, and changed by it."""
    hub = make_hub(extra="c.Hub.load_groups = {'ml': ['alice', 'zoe']}")
    assert run_program(hub, "user", "add", "carol") == (0, "Added carol\n", "")
    hub.start()
    assert hub.api("GET", "/users/carol")[0] == 200
    assert hub.api("GET", "/groups/ml")[1]["users"] == ["alice", "zoe"]
    assert run_program(hub, "user", "add", "dave") == (0, "Added dave\n", "")
    assert hub.api("GET", "/users/dave")[0] == 200
    assert run_program(hub, "user", "rename", "dave", "david")[0] == 0
    assert run_program(hub, "user", "remove", "david", "--yes") == (0, "Removed david\n", "")
    assert hub.api("GET", "/users/david")[0] == 404
    code, out, error = run_program(hub, "user", "add", "carol")
    assert (code, out, error) == (1, "", "kworkspace-hub: User carol exists already\n")
    code, out, _ = run_program(hub, "user", "--help")
    assert code == 0
    assert "user remove NAME [--yes]" in out
    assert "Add, list and remove public keys." in run_program(hub, "--help")[1]


def test_what_the_spawner_needs(
    command: Type, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Linux with pidfd and /proc  this machine" in command("check")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(KworkspaceError, match="1 of 2 are missing"):
        command("check")
    assert re.search(r"this machine +MISSING +LocalSpawner needs", capsys.readouterr().out)


def test_nothing_is_made_where_no_hub_was(tmp_path: Path) -> None:
    """Typed in the wrong folder, without -f."""
    done = subprocess.run(
        [sys.executable, "-m", "kworkspace.hub", "token", "alice"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"XDG_DATA_HOME": str(tmp_path / "share")},
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    database = tmp_path / "share" / "kworkspace" / "hub.sqlite"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"kworkspace-hub: There is no database {database} yet, and no configuration was read:"
        " name the file with -f, as the hub is started\n"
    )
    assert list(tmp_path.iterdir()) == []
