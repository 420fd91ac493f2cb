"""Where settings come from, and what is said about wrong ones."""

import os
import pwd
from pathlib import Path

import pytest

from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.settings import Flags, NoHub, Settings, load, written, xdg_directory

API = "http://hub:8000"


@pytest.fixture
def config(home: Path) -> Path:
    """The configuration file of the person, with every key."""
    file = home / ".config" / "kworkspace" / "config.toml"
    file.parent.mkdir(parents=True)
    (file.parent / "key").touch()
    (file.parent / "ca.pem").touch()
    file.write_text(
        'api = "http://from-file:1/"\nuser = "File"\nssh_key_path = "key"\nca_file = "ca.pem"\n'
        'state_dir = "state"\n'
    )
    return file


def test_the_file(config: Path) -> None:
    assert load(Flags(), {}) == Settings(
        api="http://from-file:1",
        user="file",
        ssh_key_path=config.parent / "key",
        ca_file=config.parent / "ca.pem",
        state_dir=config.parent / "state",
    )


def test_the_environment_wins_over_the_file_and_flags_over_both(config: Path, home: Path) -> None:
    (home / "env-key").touch()
    (home / "flag-key").touch()
    environ = {
        "KWORKSPACE_API": "http://from-env",
        "KWORKSPACE_USER": "env",
        "KWORKSPACE_SSH_KEY_PATH": "~/env-key",
    }
    by_environment = load(Flags(), environ)
    assert by_environment.api == "http://from-env"
    assert by_environment.user == "env"
    assert by_environment.ssh_key_path == home / "env-key"
    assert by_environment.ca_file == config.parent / "ca.pem"
    flags = Flags(api="http://from-flag", user="flag", ssh_key_path="flag-key")
    by_flag = load(flags, environ)
    assert (by_flag.api, by_flag.user) == ("http://from-flag", "flag")
    assert by_flag.ssh_key_path == home / "flag-key"


def test_an_empty_variable_is_none(config: Path) -> None:
    assert load(Flags(), {"KWORKSPACE_API": "", "KWORKSPACE_CONFIG": ""}).user == "file"


def test_the_file_may_be_named(home: Path) -> None:
    for name in ("one.toml", "two.toml"):
        (home / name).write_text(f'api = "http://{name}"\nuser = "alice"\n')
    environ = {"KWORKSPACE_CONFIG": str(home / "one.toml")}
    assert load(Flags(), environ).api == "http://one.toml"
    assert load(Flags(config="two.toml"), environ).api == "http://two.toml"


def test_the_default_user_is_the_account() -> None:
    assert load(Flags(api=API), {}).user == pwd.getpwuid(os.getuid()).pw_name


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (Flags(), "which hub? Give its URL with --api or KWORKSPACE_API, or write api = "),
        (Flags(api="hub:8000"), "--api: 'hub:8000' is not an http or https URL of a hub, such as"),
        (Flags(api=API, user="a b"), "--user: a user name must not contain white space"),
        (Flags(api=API, ssh_key_path="no"), "--ssh-key-path: there is no file "),
        (Flags(api=API, config="no.toml"), "--config: there is no file "),
    ],
)
def test_wrong_flags(flags: Flags, message: str) -> None:
    with pytest.raises(UsageFault) as caught:
        load(flags, {})
    assert caught.value.message.startswith(message)


def test_wrong_environment() -> None:
    with pytest.raises(UsageFault, match=r"^KWORKSPACE_API: 'ftp://hub' is not"):
        load(Flags(), {"KWORKSPACE_API": "ftp://hub"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "colour = 'red'",
            "unknown key 'colour'; the keys are api, user, ssh_key_path, ca",
        ),
        ("user = 7", "user must be a text in quotes"),
        ("api = ['a']", "api must be a text in quotes"),
        ("[api]\nx = 1", "api must be a text in quotes"),
        ("user = alice", "is not TOML: "),
        ("ssh_key_path = 'nope'", "ssh_key_path: there is no file "),
        ("user = '-x'", "user: a user name must not begin with '-'"),
    ],
)
def test_wrong_files(config: Path, text: str, message: str) -> None:
    config.write_text(text)
    with pytest.raises(UsageFault) as caught:
        load(Flags(api=API), {})
    assert caught.value.message.startswith(str(config))
    assert message in caught.value.message


def test_a_file_that_is_no_text(config: Path) -> None:
    config.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageFault, match="cannot be read"):
        load(Flags(api=API), {})


@pytest.mark.parametrize("value", ["", "relative"])
def test_xdg_ignores_what_is_not_absolute(home: Path, value: str) -> None:
    assert xdg_directory({"X": value}, "X", ".config") == home / ".config" / "kworkspace"
    assert xdg_directory({"X": "/x"}, "X", ".config") == Path("/x/kworkspace")


OLD = ".config/kube-workspaces/config.json"


@pytest.fixture
def predecessor(home: Path) -> Path:
    """The file of the predecessor, as its client wrote it."""
    file = home / OLD
    file.parent.mkdir(parents=True)
    (home / "id_rsa.pub").touch()
    file.write_text(
        f'{{"username": "alice", "ssh_key_path": "{home}/id_rsa.pub", "api_url": "http://old:8"}}'
    )
    return file


def test_the_predecessors_file_comes_last(predecessor: Path, home: Path) -> None:
    found = load(Flags(), {})
    assert (found.api, found.user) == ("http://old:8", "alice")
    assert found.ssh_key_path == home / "id_rsa.pub"
    file = home / ".config/kworkspace/config.toml"
    file.parent.mkdir()
    file.write_text('user = "bob"\n')
    assert (load(Flags(), {}).api, load(Flags(), {}).user) == ("http://old:8", "bob")
    assert load(Flags(), {"KWORKSPACE_API": API}).api == API
    assert written(Flags())["api"].source == f"{predecessor}: api_url"


@pytest.mark.parametrize("text", ['{"username": null, "api_url": 7, "x": []}', '{"username": ""}'])
def test_what_the_predecessors_file_does_not_say(predecessor: Path, text: str) -> None:
    predecessor.write_text(text)
    assert written(Flags(), {}) == {}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"[" * 100_000])
def test_a_broken_file_of_the_predecessor(predecessor: Path, content: bytes) -> None:
    predecessor.write_bytes(content)
    with pytest.raises(UsageFault, match="mend or delete it") as caught:
        load(Flags(api=API), {})
    assert caught.value.message.startswith(str(predecessor))


def test_a_home_of_nobody() -> None:
    with pytest.raises(UsageFault, match="begins with no account's home"):
        load(Flags(api=API, ssh_key_path="~nobody-is-called-so/x"), {})


def test_no_hub_is_an_error_of_its_own() -> None:
    flags = Flags(output="json")
    with pytest.raises(NoHub) as caught:
        load(flags, {})
    assert caught.value.flags is flags
