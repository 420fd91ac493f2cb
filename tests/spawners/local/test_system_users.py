"""Workspaces as the accounts of their users: what they are, and what they cannot do to anybody.

The attacker is a user with a shell in a workspace, who has all that their account has.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kworkspace.cli.client.errors import StartFailed
from kworkspace.spawners.local import LocalSpawner
from kworkspace.spawners.local.state import read_owner, read_state
from kworkspace.spawners.processes import MARKER, carrying, identify, marked
from tests.spawners.local.conftest import House, Ssh, until
from tests.spawners.local.machine import SHARED_GROUP, own_namespace, people, reachable_python

SECRET = "a-secret-of-the-hub"


@pytest.fixture(scope="module")
def uids(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    folder = tmp_path_factory.mktemp("machine")
    with own_namespace():
        uids = people(folder, ["kwalice", "kwbob"])
        reachable_python(folder)
        yield uids


@dataclass
class SharedServer(House):
    """A house whose workspaces run as accounts."""

    uid: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.workspace = replace(self.workspace, user="kwalice")

    async def spawner(self, **traits: object) -> LocalSpawner:
        return await super().spawner(system_users=True, **traits)

    def leftovers(self) -> list[int]:
        return [process.pid for process in marked(self.workspace.id, self.uid)]

    def server(self) -> int:
        """The pid of the server that the monitor has started."""
        monitor = self.server_pid()
        children = Path(f"/proc/{monitor}/task/{monitor}/children").read_text().split()
        return int(children[0])


@pytest.fixture
async def shared(tmp_path: Path, key: Path, uids: dict[str, int]) -> AsyncIterator[SharedServer]:
    house = SharedServer(tmp_path, key, uid=uids["kwalice"])
    yield house
    await house.aclose()


def as_account(uid: int, *command: str, **environment: str) -> "subprocess.Popen[bytes]":
    """Start something that an account does outside of its workspace."""
    return subprocess.Popen(
        command,
        user=uid,
        group=uid,
        extra_groups=[],
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        cwd="/",
    )


def said(ssh: Ssh, command: str) -> str:
    """Return what a command says, on either stream."""
    finished = ssh.run(f"{{ {command}; }} 2>&1")
    return finished.stdout.decode().strip()


async def test_it_is_the_accounts_own(
    shared: SharedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KWORKSPACE_API_TOKEN", SECRET)
    monkeypatch.setenv("MAIL", SECRET)
    running, ssh = await shared.start(await shared.spawner())
    assert running.account == "kwalice"
    assert said(ssh, "id -ru; id -u; id -rg; id -g; pwd; umask").split() == [
        *[str(shared.uid)] * 4,
        "/home/kwalice",
        "0022",
    ]
    assert set(said(ssh, "id -G").split()) == {str(shared.uid), str(SHARED_GROUP)}
    status = said(ssh, "grep -E '^(Uid|Gid|Cap(Inh|Prm|Eff|Amb))' /proc/self/status").split()
    assert set(status[1:5] + status[6:10]) == {str(shared.uid)}
    assert set(status[11::2]) == {"0" * 16}
    environment = said(ssh, "env")
    assert SECRET not in environment
    values = dict(line.split("=", 1) for line in environment.splitlines())
    assert values["MAIL"] == "/var/mail/kwalice"
    assert (values["USER"], values["LOGNAME"]) == ("kwalice", "kwalice")
    assert (values["HOME"], values["SHELL"]) == ("/home/kwalice", "/bin/bash")
    assert "PYTHONPATH" not in values
    assert said(ssh, "ls /proc/self/fd").split() == ["0", "1", "2", "3"], "3 is of ls"
    assert int(said(ssh, "ulimit -Sn")) <= 8192
    assert said(ssh, "ulimit -Sc") == "0"
    assert said(ssh, "ulimit -u").isdigit()
    assert said(ssh, "touch file; stat -c %U:%G file") == "kwalice:kwalice"


async def test_terminal_and_files_are_the_accounts(shared: SharedServer, tmp_path: Path) -> None:
    _, ssh = await shared.start(await shared.spawner())
    terminal = ssh.run("-tt", "stat -c %U $(tty); echo $-").stdout.split()
    assert terminal[0] == b"kwalice"
    (tmp_path / "sent").write_text("sent")
    copy = ["scp", *ssh.options, "-P", str(ssh.port), str(tmp_path / "sent")]
    for flag in ("-O", "-s"):
        done = subprocess.run(
            [*copy[:1], flag, *copy[1:], f"{ssh.account}@127.0.0.1:sent{flag}"],
            capture_output=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert (Path("/home/kwalice") / f"sent{flag}").stat().st_uid == shared.uid


async def test_nothing_of_the_hubs_can_be_read(shared: SharedServer) -> None:
    (shared.data_dir / "cookie_secret").touch(mode=0o600)
    (shared.data_dir / "cookie_secret").write_text(SECRET)
    _, ssh = await shared.start(await shared.spawner())
    monitor, server = shared.server_pid(), shared.server()
    run = shared.root / "run"
    for command in (
        f"cat {shared.data_dir}/cookie_secret {run}/host_key {run}/lock {shared.root}/login/*",
        f"cat /proc/{monitor}/environ /proc/{monitor}/mem; ls /proc/{monitor}/fd",
        f"kill -9 {monitor}; kill -TERM {monitor}; kill -STOP {monitor}",
        f"echo x > {run}/state.json; ln -s /etc/shadow {shared.root}/login/x",
    ):
        lines = said(ssh, command).splitlines()
        assert lines
        for line in lines:
            assert "ermission denied" in line or "not permitted" in line, line
    # The one directory that the server has open leads to public keys, and no further.
    descriptors = said(ssh, f"ls -l /proc/{server}/fd")
    [login] = [line for line in descriptors.splitlines() if line.endswith("/login")]
    below = f"/proc/{server}/fd/{login.split()[-3]}"
    assert said(ssh, f"cat {below}/authorized_keys").startswith("ssh-ed25519 ")
    for command in (
        *(f"ls {below}/..", f"cat {below}/../run/host_key", f"cat {below}/../../../cookie_secret"),
        *(f"touch {below}/x", f"mv {below}/authorized_keys {below}/y", f"chmod 777 {below}/"),
        f"echo x >> {below}/authorized_keys",
    ):
        answer = said(ssh, command)
        assert "ermission denied" in answer or "not permitted" in answer, (command, answer)
    for line in descriptors.splitlines()[1:]:
        target = line.partition(" -> ")[2]
        assert target.startswith(("/dev/null", "pipe:", "socket:", "anon_inode:")) or (
            target == str(shared.root / "login")
        ), line


async def test_another_workspace_cannot_be_touched(
    shared: SharedServer, uids: dict[str, int]
) -> None:
    """Nor can somebody who carries another's marker be mistaken for them."""
    spawner = await shared.spawner(stop_timeout=1)
    alices, ssh = await shared.start(spawner)
    server = shared.server()
    victim = as_account(uids["kwbob"], "sleep", "60", **{MARKER: shared.workspace.id})
    try:
        bob = as_account(uids["kwbob"], "sh", "-c", f"kill {server}; cat /proc/{server}/environ")
        out, _ = bob.communicate()
        assert (bob.returncode != 0, out) == (True, b"")
        assert ssh.run("true").returncode == 0
        await spawner.stop(alices.id, alices.slug)
        assert victim.poll() is None, "bob's process is his own, whatever it carries"
        running, _ = await shared.start(spawner)
        os.kill(shared.server_pid(), signal.SIGKILL)
        await until(shared.exits.__len__, "the end")
        assert victim.poll() is None
        assert running.id == shared.exits[0].id
    finally:
        victim.kill()
        victim.communicate()


HIDDEN = "env -i setsid sh -c 'exec sleep 1000' >/dev/null 2>&1 </dev/null &"


def of_account(uid: int) -> list[int]:
    """Return all that an account runs."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == uid and identify(int(entry.name)):
                found.append(int(entry.name))
    return found


async def test_stop_ends_all_of_the_workspace_and_nothing_else(shared: SharedServer) -> None:
    spawner = await shared.spawner(stop_timeout=1)
    running, ssh = await shared.start(spawner)
    outside = as_account(shared.uid, "sleep", "60")
    try:
        assert ssh.run(f"{HIDDEN} (setsid {HIDDEN} ) ; sleep 0.1").returncode == 0
        await until(lambda: len(of_account(shared.uid)) >= 4, "what hides")
        await spawner.stop(running.id, running.slug)
        assert of_account(shared.uid) == [outside.pid], "what the account does elsewhere"
    finally:
        outside.kill()
        outside.communicate()
    assert shared.exits == []


MULTIPLY = "import os, time\nwhile True:\n os.fork() and time.sleep(0.002)\n"


async def test_stop_overtakes_what_multiplies(
    shared: SharedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawner = await shared.spawner(stop_timeout=1)
    running, ssh = await shared.start(spawner)
    Path("/home/kwalice/multiply.py").write_text(MULTIPLY)
    command = (
        "ulimit -u 200; env -i setsid /usr/bin/python3 multiply.py >/dev/null 2>&1 </dev/null &"
    )
    assert ssh.run(command).returncode == 0
    await until(lambda: len(of_account(shared.uid)) > 50, "a crowd")
    await asyncio.wait_for(spawner.stop(running.id, running.slug), 20)
    assert of_account(shared.uid) == []


@pytest.mark.parametrize("number", ["KILL", "STOP"])
async def test_a_server_that_its_user_ends_or_stops(shared: SharedServer, number: str) -> None:
    spawner = await shared.spawner(stop_timeout=1)
    running, ssh = await shared.start(spawner)
    assert ssh.run(HIDDEN).returncode == 0
    await until(lambda: len(of_account(shared.uid)) >= 2, "what hides")
    as_account(shared.uid, "kill", f"-{number}", str(shared.server())).communicate()
    if number == "KILL":
        await until(shared.exits.__len__, "the end")
        assert "SIGKILL" in shared.exits[0].reason
    else:
        await asyncio.wait_for(spawner.stop(running.id, running.slug), 20)
    assert of_account(shared.uid) == []
    assert (await shared.start(spawner))[0].object_uid != running.object_uid


async def test_a_monitor_that_is_killed_leaves_nothing(shared: SharedServer) -> None:
    spawner = await shared.spawner()
    running, ssh = await shared.start(spawner)
    daemon = "setsid sleep 1000 >/dev/null 2>&1 </dev/null &"
    assert ssh.run(daemon).returncode == 0
    os.kill(shared.server_pid(), signal.SIGKILL)
    await until(shared.exits.__len__, "the end")
    assert shared.exits[0].object_uid == running.object_uid
    assert of_account(shared.uid) == []
    # Also when no hub was there to see it.
    _, ssh = await shared.start(spawner)
    assert ssh.run(daemon).returncode == 0
    await spawner.aclose()
    monitor = shared.server_pid()
    os.kill(monitor, signal.SIGKILL)
    await until(lambda: identify(monitor) is None, "its end")
    another = await shared.spawner()
    assert await another.running() == []
    await another.stop(running.id, running.slug)
    assert of_account(shared.uid) == []


async def test_another_hub_adopts(shared: SharedServer, other_key: Path) -> None:
    first = await shared.spawner()
    running, ssh = await shared.start(first)
    await first.aclose()
    second = await shared.spawner()
    assert await second.running() == [running]
    line = other_key.with_suffix(".pub").read_text().strip()
    await second.refresh(replace(shared.workspace, authorized_keys=(line,)))
    assert replace(ssh, key=other_key).run("true").returncode == 0
    assert ssh.run("true").returncode == 255
    await second.stop(running.id, running.slug)
    again, _ = await shared.start(second)
    assert again.host_key == running.host_key


async def test_delete_keeps_the_home(
    shared: SharedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    spawner = await shared.spawner()
    running, ssh = await shared.start(spawner)
    assert ssh.run("echo mine > mine; ln -s /home/kwalice/mine link").returncode == 0
    await spawner.delete(running.id, running.slug)
    assert not shared.root.exists()
    assert Path("/home/kwalice/mine").read_text() == "mine\n"
    assert "the home of its account stays" in caplog.text


async def test_accounts_that_cannot_start(shared: SharedServer) -> None:
    spawner = await shared.spawner()
    for user, why in (("root", "is root's"), ("kw-nobody", "There is no account kw-nobody")):
        shared.workspace = replace(shared.workspace, user=user, slug=user)
        with pytest.raises(StartFailed, match=why):
            await shared.start(spawner)
        assert not shared.root.exists()


async def test_an_account_without_a_home_starts_in_root(
    shared: SharedServer, uids: dict[str, int]
) -> None:
    spawner = await shared.spawner()
    Path("/home/kwalice").rename("/home/away")
    try:
        _, ssh = await shared.start(spawner)
        assert said(ssh, "pwd; echo $HOME").split() == ["/", "/home/kwalice"]
    finally:
        Path("/home/away").rename("/home/kwalice")


@pytest.mark.parametrize("what", ["run", "login"])
async def test_directories_of_another_account_are_not_used(shared: SharedServer, what: str) -> None:
    spawner = await shared.spawner()
    directory = shared.root / what
    directory.mkdir(parents=True)
    os.chown(directory, shared.uid, shared.uid)
    with pytest.raises(StartFailed, match=f"{what} must be root's"):
        await shared.start(spawner)
    os.chown(directory, 0, 0)
    directory.rmdir()
    directory.symlink_to("/home/kwalice")
    with pytest.raises((StartFailed, FileExistsError)):
        await shared.start(spawner)
    directory.unlink()


async def test_a_killed_start_leaves_nothing(shared: SharedServer) -> None:
    spawner = await shared.spawner()
    for milliseconds in (0, 20, 60, 120, 250):
        task = asyncio.get_running_loop().create_task(shared.start(spawner))
        await asyncio.sleep(milliseconds / 1000)
        owner = read_owner(shared.root / "run" / "lock")
        if owner is not None and owner.lives():
            with suppress(ProcessLookupError):
                os.kill(owner.pid, signal.SIGKILL)
        await asyncio.wait([task])
        await spawner.stop(shared.workspace.id, shared.workspace.slug)
        deadline = time.monotonic() + 10
        while of_account(shared.uid):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
    assert read_state(shared.root / "run" / "state.json") is None
    assert carrying(MARKER, shared.workspace.id, shared.uid) == []
