"""`ssh invite@HUB` with the real ssh, a real gateway and a real hub: in with a code and any key."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.cli.on_terminal import Shown, on_terminal

Finished = subprocess.CompletedProcess[bytes]


class Place:
    """A hub with its gateway, and somebody whom it does not know."""

    def __init__(self, hub: Any, folder: Path) -> None:
        self.hub = hub
        self.folder = folder
        hub.run_ssh("true")  # known_hosts, and a hub that is all there

    def new_key(self, name: str, kind: str = "ed25519") -> Path:
        """Make a key and return its file."""
        path = self.folder / name
        command = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "\x1b[2Jevil", "-f", str(path)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return path

    def code(self, user: str = "alice") -> str:
        """Make an invitation as an admin."""
        status, made = self.hub.api("POST", f"/users/{user}/invites", {})
        assert status == 201
        return str(made["code"])

    def ssh(self, key: Path, *options: str, login: str = "invite") -> list[str]:
        """Return ssh's command line, host included."""
        line: list[str] = self.hub.ssh()
        line[line.index("-i") + 1] = str(key)
        return [*line[:-1], *options, f"{login}@127.0.0.1"]

    def at_terminal(self, key: Path, *answers: tuple[str, str]) -> Shown:
        """Talk to the gateway at a terminal."""
        return on_terminal(self.ssh(key, "-tt"), *answers)

    def piped(self, key: Path, text: str, *words: str) -> Finished:
        """Talk to it through pipes."""
        command = [*self.ssh(key), *words]
        return subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=30, check=False
        )

    def comes_in(self, key: Path, user: str = "alice") -> bool:
        """Whether a key opens a user's workspace."""
        command = [*self.ssh(key, login=user), "echo", "in"]
        return subprocess.run(command, capture_output=True, check=False).stdout == b"in\n"

    def logs(self) -> str:
        """Return all that hub and gateway have logged."""
        return "".join(path.read_text() for path in self.hub.directory.rglob("*.log"))


@pytest.fixture
def place(make_hub: Callable[..., Any], tmp_path: Path) -> Place:
    """Everything, running."""
    hub = make_hub(gateway=True, extra="c.Authenticator.admin_users = {'ada'}")
    hub.start()
    return Place(hub, tmp_path)


def fingerprint(key: Path) -> str:
    """Return what ssh-keygen calls a key."""
    command = ["ssh-keygen", "-l", "-f", str(key)]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode().split()[1]


def test_a_dialogue_at_a_terminal(place: Place) -> None:
    """Typed with a slip, shown, confirmed, added; the code is used up and in no log."""
    key, other, code = place.new_key("mine"), place.new_key("other"), place.code()
    slip = f"{code[:5]}x\x7f{code[5:]}\r"
    shown = place.at_terminal(key, ("Code: ", slip), ("Type yes: ", "no\r"))
    assert shown.code == 1
    assert "the code stays good" in shown.text
    assert not place.comes_in(key)
    shown = place.at_terminal(key, ("Code: ", f"{code.upper()}\r"), ("Type yes: ", "yes\r"))
    assert shown.code == 0
    assert re.search(r"Account +alice\n", shown.text)
    assert fingerprint(key) in shown.text
    assert f"ssh -p {place.hub.ssh_port} alice@127.0.0.1\n" in shown.text
    assert "\x1b" not in shown.text
    assert place.comes_in(key)
    again = place.piped(other, f"{code}\nyes\n")
    assert again.returncode == 1
    assert b"code opens nothing" in again.stderr
    assert not place.comes_in(other)
    [added] = [one for one in place.hub.api("GET", "/users/alice/keys")[1] if one["id"]]
    assert added["comment"] == "by invitation"
    for text in (code, code.replace("-", "")):
        assert text not in place.logs()


def test_probes_burn_nothing(place: Place) -> None:
    """Wrong codes, Ctrl-C, Ctrl-D, a client that leaves: the code is good until its key is in."""
    key, code = place.new_key("mine", "rsa"), place.code()
    ended = place.piped(key, "\x00\xff\x1b[2J\nhttp://x\n" + "y" * 5000 + "\n" + code)
    assert (ended.returncode, ended.stderr.count(b"code opens nothing")) == (1, 3)
    assert place.at_terminal(key, ("Code: ", "abc\x03")).code == 130
    assert place.at_terminal(key, ("Code: ", f"{code}\r"), ("Type yes: ", "\x03")).code == 130
    assert place.at_terminal(key, ("Code: ", "\x04")).code == 1
    assert place.piped(key, f"{code}\n").returncode == 1
    assert place.piped(key, "").returncode == 1
    assert not place.comes_in(key)
    # What the command is does not matter: it goes nowhere.
    ended = place.piped(key, f"{code}\nyes\n", "touch", "/tmp/nothing")
    assert ended.returncode == 0
    assert place.comes_in(key)


def test_guesses_are_counted_at_the_hub(place: Place) -> None:
    key, code = place.new_key("mine"), place.code()
    outcomes = [place.piped(key, "guess\n" * 3) for _ in range(4)]
    assert outcomes[-1].returncode == 1
    told = outcomes[-1].stderr.decode().splitlines()[-1]
    assert re.fullmatch(r"Too many wrong codes were tried; .* \(try again in \d+ s\)\.", told)
    ended = place.piped(key, f"{code}\nyes\n")
    assert (ended.returncode, b"Too many wrong codes" in ended.stderr) == (1, True)


async def test_nothing_but_one_conversation(place: Place) -> None:
    """No forward, no subsystem, no agent, no environment, no second channel."""
    options: dict[str, Any] = {"config": None, "known_hosts": None, "agent_path": None}
    options |= {"username": "invite", "client_keys": [str(place.new_key("mine"))]}
    async with asyncssh.connect("127.0.0.1", place.hub.ssh_port, **options) as conn:
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.open_connection("127.0.0.1", place.hub.port)
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.open_unix_connection("/run/docker.sock")
        with pytest.raises(asyncssh.ChannelListenError):
            await conn.forward_remote_port("", 0, "127.0.0.1", 1)
        process = await conn.create_process(env={"LANG": "C"}, term_type="xterm")
        assert "Code: " in await process.stdout.readuntil("Code: ")
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.create_process()
        process.stdin.write("\x03")
        assert (await process.wait()).exit_status == 130
    async with asyncssh.connect("127.0.0.1", place.hub.ssh_port, **options) as conn:
        with pytest.raises(asyncssh.ChannelOpenError):
            await conn.create_process(subsystem="sftp")


def test_certificates_are_no_keys_to_add(place: Place) -> None:
    """ssh offers a certificate first, and its key when that is refused."""
    key, authority = place.new_key("mine"), place.new_key("authority")
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "x", "-n", "invite", f"{key}.pub"]
    subprocess.run(sign, check=True, capture_output=True)
    ended = place.piped(key, f"{place.code()}\nyes\n")
    assert ended.returncode == 0
    assert place.comes_in(key)


def test_unknown_names_look_like_wrong_keys_still(place: Place) -> None:
    """Only `invite` lets a stranger in, and nothing that looks like it."""
    key = place.new_key("mine")
    said = set()
    for login in ("alice", "nobody", "kworkspace", "invite2", "invite+x", "ada=invite", "INVITE"):
        ended = subprocess.run(
            [*place.ssh(key, login=login), "true"], capture_output=True, check=False
        )
        said.add((ended.returncode, ended.stderr.decode().replace(login, "NAME")))
    assert len(said) == 1, said
