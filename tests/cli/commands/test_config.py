"""`config`: what is shown of each setting, and what `set` writes."""

import json
import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Result

    Run = Callable[..., Result]


@pytest.fixture
def file(home: Path) -> Path:
    """The configuration file's place."""
    return home / ".config/kworkspace/config.toml"


def test_every_source_is_told(
    file: Path, home: Path, kworkspace: "Run", monkeypatch: pytest.MonkeyPatch
) -> None:
    file.parent.mkdir(parents=True)
    file.write_text("user = 'alice'\n")
    old = home / ".config/kube-workspaces/config.json"
    old.parent.mkdir()
    old.write_text('{"ssh_key_path": "/old/id_rsa.pub"}')
    monkeypatch.setenv("KWORKSPACE_API", "http://env")
    shown = json.loads(kworkspace("config", "-o", "json").out)
    assert shown["file"] == str(file)
    assert shown["exists"] is True
    assert {one["key"]: (one["value"], one["source"]) for one in shown["settings"]} == {
        "api": ("http://env", "KWORKSPACE_API"),
        "user": ("alice", f"{file}: user"),
        "ssh_key_path": ("/old/id_rsa.pub", f"{old}: ssh_key_path"),
        "ca_file": (None, "default"),
        "state_dir": (f"{home}/.local/state/kworkspace", "default"),
    }
    out = kworkspace("config", "--user", "bob").out
    assert "api           http://env\n              from KWORKSPACE_API\n" in out
    assert "user          bob\n              from --user\n" in out
    assert "ca_file       not set: the system's CA certificates\n" in out
    assert out.endswith(f"\n\nThe file: {file}\n")


def test_nothing_is_set(file: Path, kworkspace: "Run") -> None:
    out = kworkspace("config").out
    name = pwd.getpwuid(os.getuid()).pw_name
    assert out.startswith("api           not set: the first command on a terminal asks for it\n")
    assert f"user          {name}\n              the default\n" in out
    assert out.endswith(f"The file: {file} (not there yet)\n")


def test_set(file: Path, kworkspace: "Run") -> None:
    result = kworkspace("config", "set", "api", "HTTPS://Hub.example.org/")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"api is https://hub.example.org in {file}.\n"
    assert file.read_text() == 'api = "https://hub.example.org"\n'
    again = kworkspace("config", "set", "api", "https://hub.example.org", "-o", "json")
    assert json.loads(again.out) == {
        "key": "api",
        "value": "https://hub.example.org",
        "file": str(file),
        "changed": False,
    }
    assert kworkspace("config", "set", "api", "").out == f"api is not set in {file}.\n"
    assert file.read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("colour", "red"), "'colour' is not one of 'api', 'user'"),
        (("api", "hub"), "api: 'hub' is not an http or https URL of a hub"),
    ],
)
def test_wrong_values(
    arguments: tuple[str, str], message: str, file: Path, kworkspace: "Run"
) -> None:
    result = kworkspace("config", "set", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert not file.exists()
