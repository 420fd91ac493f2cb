"""The demo's files are read by those who will read them: ssh, tomllib, the hub's loader."""

import subprocess
import tomllib
from pathlib import Path

import pytest
from traitlets.config.loader import PyFileConfigLoader

from kworkspace.cli.client.models import SSHDoor
from kworkspace.hub.demo.files import cli_toml, hub_config, known_hosts, ssh_config

KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl it\'s "me"'


@pytest.mark.parametrize("name", ["plain", "two words", "50%", 'a"b', "back\\slash", "it's", "ä$#"])
def test_every_path_is_read_as_it_is_written(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    text = hub_config(
        file=folder / "hub_config.py",
        data_dir=folder,
        user="alice",
        keys=[KEY],
        port=8000,
        ssh_port=2222,
        commands=["kworkspace connect"],
    )
    (folder / "hub_config.py").write_text(text)
    config = PyFileConfigLoader("hub_config.py", path=str(folder)).load_config()
    assert config.Hub.data_dir == str(folder)
    assert config.Hub.bind_url == "http://127.0.0.1:8000"
    assert config.Hub.ssh_bind_url == "ssh://127.0.0.1:2222"
    assert config.SSHKeyAuthenticator.users == {"alice": [KEY]}
    assert config.Authenticator.admin_users == {"alice"}

    toml = cli_toml(api="http://127.0.0.1:8000", user="alice", state_dir=folder, ssh_key_path=None)
    assert tomllib.loads(toml)["state_dir"] == str(folder)

    (folder / "ssh_config").write_text(
        ssh_config(
            user="alice",
            port=2222,
            known_hosts=folder / "known_hosts",
            identities=[folder / "id", folder / "id 2"],
            identities_only=True,
        )
    )
    said = ssh_says(folder / "ssh_config")
    assert said["user"] == ["alice"]
    assert said["port"] == ["2222"]
    assert said["identityfile"] == [str(folder / "id"), str(folder / "id 2")]
    assert said["identitiesonly"] == ["yes"]
    assert said["stricthostkeychecking"] == ["true"]
    assert said["globalknownhostsfile"] == ["/dev/null"]


def ssh_says(file: Path) -> dict[str, list[str]]:
    """What ssh makes of its configuration; `%%` is left to where the file is opened."""
    command = ["ssh", "-F", str(file), "-G", "demo"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    said: dict[str, list[str]] = {}
    for line in shown.splitlines():
        option, _, value = line.partition(" ")
        said.setdefault(option, []).append(value.replace("%%", "%"))
    return said


def test_ssh_key_is_named_only_where_it_must_be(tmp_path: Path) -> None:
    toml = cli_toml(api="x", user="alice", state_dir=tmp_path, ssh_key_path=tmp_path / "id")
    assert tomllib.loads(toml)["ssh_key_path"] == str(tmp_path / "id")
    toml = cli_toml(api="x", user="alice", state_dir=tmp_path, ssh_key_path=None)
    assert "ssh_key_path" not in tomllib.loads(toml)


@pytest.mark.parametrize(("port", "host"), [(2222, "[127.0.0.1]:2222"), (22, "127.0.0.1")])
def test_pinned_host_key_is_found_by_ssh(tmp_path: Path, port: int, host: str) -> None:
    key = " ".join(KEY.split()[:2])
    (tmp_path / "known_hosts").write_text(
        known_hosts(SSHDoor(host="127.0.0.1", port=port, host_keys=[key]))
    )
    find = ["ssh-keygen", "-F", host, "-f", str(tmp_path / "known_hosts")]
    found = subprocess.run(find, capture_output=True, text=True, check=True).stdout
    assert found.splitlines()[-1] == f"{host} {key}"
