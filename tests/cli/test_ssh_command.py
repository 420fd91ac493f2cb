"""The arguments of ssh and the pinned keys; `commands/test_connect.py` runs them."""

import stat
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from kworkspace.cli.client.errors import HubUnreachable
from kworkspace.cli.client.models import SSHDoor
from kworkspace.cli.client.names import Login
from kworkspace.cli.forwards import parse_forwards
from kworkspace.cli.ssh_command import Wish, door_host, pin, ssh_arguments
from kworkspace.cli.state import hub_alias

URL = "https://hub.example.org/base"
SHELL = Wish()
REAL = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMvWDDDpCVgEbbNXVJI5gXzRrsdkaehFU5PISHI2mTEb"
DOOR = SSHDoor(host="ssh.example.org", port=2222, host_keys=["ssh-ed25519 AAAA gateway"])


def arguments(wish: Wish = SHELL, keys: tuple[Path, ...] = (), only: bool = False) -> list[str]:
    """The arguments for alice's workspace gpu."""
    return ssh_arguments(
        url=URL,
        door=DOOR,
        login=Login("alice", "gpu"),
        known_hosts=Path("/state/known hosts"),
        keys=keys,
        only_these=only,
        wish=wish,
    )


def options(given: list[str]) -> dict[str, str]:
    """The -o options."""
    pairs = pairwise(given)
    return dict(value.split("=", 1) for flag, value in pairs if flag == "-o")


def test_a_shell() -> None:
    given = arguments()
    assert given[:5] == ["ssh", "-p", "2222", "-l", "alice+gpu"]
    assert given[-2:] == ["--", hub_alias(URL)]
    assert options(given) == {
        "HostName": "ssh.example.org",
        "CanonicalizeHostname": "no",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": '"/state/known hosts"',
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "CheckHostIP": "no",
    }
    assert not {"-t", "-N", "-L"} & set(given)


def test_words_stay_words() -> None:
    given = arguments(Wish(command=("echo", "a b", "$HOME", "it's")))
    assert given[-3:] == ["--", hub_alias(URL), "echo 'a b' '$HOME' 'it'\"'\"'s'"]
    assert arguments(Wish(command=("ls | wc -l",)))[-1] == "ls | wc -l"


def test_keys() -> None:
    given = arguments(keys=(Path("/50% k"), Path("/b")))
    assert [value for value in given if value.startswith("IdentityFile")] == [
        'IdentityFile="/50%% k"',
        'IdentityFile="/b"',
    ]
    assert "IdentitiesOnly" not in options(given)
    assert options(arguments(keys=(Path("/a"),), only=True))["IdentitiesOnly"] == "yes"


def test_forwards() -> None:
    given = arguments(Wish(forwards=tuple(parse_forwards(("80", "81:[::1]:82"))), no_shell=True))
    assert "-N" in given
    assert [given[i + 1] for i, flag in enumerate(given) if flag == "-L"] == [
        "127.0.0.1:80:localhost:80",
        "127.0.0.1:81:[::1]:82",
    ]
    assert options(given)["ExitOnForwardFailure"] == "yes"


@pytest.mark.parametrize("host", ["", "0.0.0.0", "::", "[::]"])
def test_a_door_on_all_addresses_is_where_the_hub_is(host: str) -> None:
    door = SSHDoor(host=host, port=22, host_keys=[])
    assert door_host("http://10.0.0.1:8000", door) == "10.0.0.1"
    assert door_host("http://[fd00::1]:8000", door) == "fd00::1"


@pytest.mark.parametrize(
    "host", ["ssh.example.org", "SSH-2.example.org", "10.0.0.1", "fd00::1", "hub.example.org"]
)
def test_addresses_that_are_dialled(host: str) -> None:
    assert door_host(URL, SSHDoor(host=host, port=65535, host_keys=[])) == host


def test_a_single_label_is_good_where_the_person_named_it() -> None:
    door = SSHDoor(host="localhost", port=22, host_keys=[])
    assert door_host("http://localhost:8000", door) == "localhost"
    with pytest.raises(HubUnreachable, match="full host name"):
        door_host(URL, door)


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("corp-jump", 22),
        ("bob@host.example.org", 22),
        ("ssh://bob@host.example.org:1", 22),
        ("-oProxyCommand=x", 22),
        ("a\0b.example.org", 22),
        ("host.example.org\n", 22),
        ("%h.example.org", 22),
        ("$(id).example.org", 22),
        ("fe80::1%$(id)", 22),
        ("[fd00::1]", 22),
        ("..", 22),
        (f"{'a.' * 127}a", 22),
        ("\u0661.example.org", 22),
        ("ssh.example.org", 0),
        ("ssh.example.org", -1),
        ("ssh.example.org", 65536),
    ],
)
def test_what_a_hub_may_not_name(host: str, port: int) -> None:
    with pytest.raises(HubUnreachable, match="ask its admin"):
        door_host(URL, SSHDoor(host=host, port=port, host_keys=[]))


@pytest.mark.parametrize(
    "reread", ["", "CanonicalizeHostname always\n"], ids=["plain", "canonical"]
)
def test_the_real_ssh_takes_no_block_of_another_host(home: Path, reread: str) -> None:
    """A `Host` block of the person's does not match by the address that the hub names."""
    config = home / "config"
    config.write_text(
        "Host ssh.example.org\n ProxyCommand evil\n"
        "Host kworkspace-*\n Compression yes\n"
        f"Host *\n ServerAliveInterval 7\n {reread}"
    )
    ssh, *rest = arguments()
    done = subprocess.run(
        [ssh, "-F", config, "-G", *rest], capture_output=True, text=True, check=True, timeout=20
    )
    settings = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    assert settings["hostname"] == "ssh.example.org"
    assert "proxycommand" not in settings
    assert settings["compression"] == "yes"
    assert settings["serveraliveinterval"] == "7"


def test_the_pins_are_written_anew(home: Path) -> None:
    pin(home, URL, SSHDoor(host="x.example", port=1, host_keys=["ssh-rsa OLD"]))
    file = pin(home, URL, DOOR)
    assert file.read_text() == "[ssh.example.org]:2222 ssh-ed25519 AAAA\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert pin(home, "http://other:1", DOOR) != file


def test_a_hub_cannot_write_lines_of_its_own(home: Path) -> None:
    evil = ["ssh-ed25519 AAAA\n* ssh-ed25519 EVIL", "x", "\0 \0"]
    door = SSHDoor(host="x.example", port=22, host_keys=evil, host_authorities=evil)
    assert pin(home, URL, door).read_text() == (
        "x.example ssh-ed25519 AAAA\n@cert-authority x.example ssh-ed25519 AAAA\n"
    )
    with pytest.raises(HubUnreachable):
        pin(home, URL, SSHDoor(host="* x.example", port=22, host_keys=["ssh-ed25519 AAAA"]))


@pytest.mark.parametrize(
    ("host", "port", "place"),
    [
        ("Ssh.Example.org", 22, "ssh.example.org"),
        ("", 2222, "[hub.example.org]:2222"),
        ("2001:db8::1", 2222, "[2001:db8::1]:2222"),
    ],
)
def test_known_hosts_as_ssh_looks_it_up(home: Path, host: str, port: int, place: str) -> None:
    """Key and authority are both found for the address that is dialled, and for no other."""
    door = SSHDoor(host=host, port=port, host_keys=[REAL], host_authorities=[REAL])
    file = pin(home, URL, door)
    find = ["ssh-keygen", "-F", place, "-f", str(file)]
    found = subprocess.run(find, capture_output=True, text=True, check=False).stdout
    lines = [line for line in found.splitlines() if not line.startswith("#")]
    assert lines == [f"{place} {REAL}", f"@cert-authority {place} {REAL}"]


def test_no_key_to_pin(home: Path) -> None:
    with pytest.raises(HubUnreachable, match="names no host key"):
        pin(home, URL, SSHDoor(host="x.example", port=1, host_keys=[""], host_authorities=[REAL]))


def test_aliases_are_good_names_and_different() -> None:
    urls = [
        "http://h",
        "https://h",
        "https://h:1",
        "https://h/a",
        "https://[::1]:1",
        "http://$(id)",
    ]
    aliases = {hub_alias(url) for url in urls}
    assert len(aliases) == len(urls)
    assert not any(set(alias) & set("/:[]*?!,@ $()") for alias in aliases)
