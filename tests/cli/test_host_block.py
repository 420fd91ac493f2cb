"""The block's lines, as the real ssh reads them; `commands/test_ssh_config.py` goes through it."""

import subprocess
from pathlib import Path

import pytest

from kworkspace.cli.client.exits import UsageFault
from kworkspace.cli.client.models import SSHDoor
from kworkspace.cli.host_block import alias_of, host_block, host_names
from kworkspace.cli.marked_block import parts, with_block

URL = "https://hub.example.org"
DOOR = SSHDoor(host="ssh.example.org", port=2222, host_keys=["ssh-ed25519 AAAA"])


def block(
    *,
    url: str = URL,
    user: str = "alice",
    alias: str = "kworkspace",
    known_hosts: Path = Path("/state/known hosts/50%"),
    keys: tuple[Path, ...] = (Path("/keys/50% k"),),
    workspaces: tuple[str, ...] = ("", "gpu"),
    only_these: bool = False,
) -> str:
    """A block."""
    return host_block(
        url=url,
        user=user,
        alias=alias,
        workspaces=workspaces,
        door=DOOR,
        known_hosts=known_hosts,
        keys=keys,
        only_these=only_these,
    )


def understood(home: Path, content: bytes, host: str) -> dict[str, str]:
    """What the real ssh makes of a configuration for a host."""
    file = home / "config"
    file.write_bytes(content)
    done = subprocess.run(
        ["ssh", "-F", file, "-G", "--", host],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return dict(line.partition(" ")[::2] for line in done.stdout.splitlines())


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("user", ["alice", "änne.b", "al#ice", "a*b!?~"])
def test_the_real_ssh_reads_it(home: Path, user: str, end: bytes) -> None:
    rest = (
        b"ServerAliveInterval 7\nHost *\n  User nobody\n  Port 1\n  HostName other\n"
        b"  StrictHostKeyChecking no\n"
    )
    content = with_block(rest.replace(b"\n", end), URL, block(user=user))
    for host, login in (("kworkspace", user), ("gpu.kworkspace", f"{user}+gpu")):
        found = understood(home, content, host)
        assert found["user"] == login
        assert (found["hostname"], found["port"]) == ("ssh.example.org", "2222")
        assert found["stricthostkeychecking"] == "true"
        assert "hostkeyalias" not in found, "certificates are for the address that is dialled"
        assert found["userknownhostsfile"].strip('"') == "/state/known hosts/50%"
        assert found["identityfile"].replace("%%", "%") == "/keys/50% k"
        assert found["serveraliveinterval"] == "7"
    other = understood(home, content, "elsewhere")
    assert (other["user"], other["hostname"], other["port"]) == ("nobody", "other", "1")
    assert other["serveraliveinterval"] == "7"


def test_hubs_side_by_side(home: Path) -> None:
    content = with_block(b"", URL, block())
    content = with_block(content, "http://two", block(url="http://two", alias="work", user="bob"))
    assert understood(home, content, "gpu.kworkspace")["user"] == "alice+gpu"
    assert understood(home, content, "gpu.work")["user"] == "bob+gpu"


def test_only_the_chosen_key() -> None:
    assert "IdentitiesOnly yes" in block(only_these=True)
    assert "IdentitiesOnly" not in block()
    assert "IdentityFile" not in block(keys=())


def test_what_a_hub_says_writes_no_lines() -> None:
    names = ("", "gpu", "a b", "x\nProxyCommand evil", "*", "!a", "Ü")
    assert block(workspaces=names) == block(workspaces=("", "gpu"))
    assert host_names("k", names) == ["k", "gpu.k"]


@pytest.mark.parametrize("path", ['/a"b', "/a\nb", "/a\\b", "/${HOME}/x"])
def test_paths_that_ssh_cannot_be_told(path: str) -> None:
    for wrong in ({"known_hosts": Path(path)}, {"keys": (Path(path),)}):
        with pytest.raises(UsageFault, match="cannot hold the path"):
            block(**wrong)


def test_the_alias() -> None:
    found = parts(with_block(b"Host kworkspace\n", URL, block(alias="team")))
    assert alias_of(URL, [], None) == "kworkspace"
    assert alias_of(URL, found, None) == "team"
    assert alias_of(URL, found, "other") == "other"
    assert alias_of("http://two", found, None) == "kworkspace"
    with pytest.raises(UsageFault, match=f"'ssh team' leads to {URL} already"):
        alias_of("http://two", found, "team")


@pytest.mark.parametrize("alias", ["*", "a.b", "!a", "a b", "A", "-a"])
def test_an_alias_that_is_no_name(alias: str) -> None:
    with pytest.raises(UsageFault, match="--alias: it has 1 to 63"):
        alias_of(URL, [], alias)
