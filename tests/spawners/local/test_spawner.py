"""The local spawner's contract: one process per workspace, found again by whoever asks."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncssh
import pytest

from kworkspace.cli.client.errors import InvalidName, KworkspaceError, StartFailed
from kworkspace.spawners.local import launch, slot
from kworkspace.spawners.local.slot import Slot
from kworkspace.spawners.local.spawner import LocalSpawner
from kworkspace.spawners.local.state import Paths
from kworkspace.spawners.processes import identify
from tests.spawners.hosts import Hosts

if TYPE_CHECKING:
    from tests.spawners.local.conftest import House

# A hub of its own: starts the workspace and says which incarnation it got.
HUB = """
import asyncio, sys
from pathlib import Path
from kworkspace.spawners.base import Workspace
from kworkspace.spawners.local import LocalSpawner

async def main():
    data_dir, id, key = sys.argv[1:]
    spawner = LocalSpawner(hub_id="hub", data_dir=Path(data_dir), on_exit=print)
    await spawner.open()
    workspace = Workspace(id=id, user="alice", name="", slug="alice", authorized_keys=(key,))
    print("starting", flush=True)
    running = await spawner.start(workspace, lambda percent, line: None)
    print(running.object_uid, flush=True)
    await spawner.aclose()

asyncio.run(main())
"""


def _hub(house: "House") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            *(sys.executable, "-c", HUB, str(house.data_dir)),
            *(house.workspace.id, house.workspace.authorized_keys[0]),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  other processes' doings have no event
            await asyncio.sleep(0.01)


async def test_start_find_stop(house: "House") -> None:
    spawner = await house.spawner()
    assert await spawner.find(house.workspace.id, "alice") is None
    assert await spawner.running() == []
    running, ssh = await house.start(spawner)
    assert running.id == house.workspace.id
    assert await spawner.find(house.workspace.id, "alice") == running
    assert await spawner.running() == [running]
    assert ssh.run("echo kept > file; echo hello").stdout == b"hello\n"
    pid = house.server_pid()
    await spawner.stop(running.id, "alice", running.object_uid)
    assert identify(pid) is None
    assert not Path(f"/proc/{pid}").exists(), "a zombie is left"
    assert await spawner.find(house.workspace.id, "alice") is None
    assert await spawner.running() == []
    again, ssh = await house.start(spawner)
    assert again.object_uid != running.object_uid
    assert again.host_key == running.host_key
    assert ssh.run("cat file").stdout == b"kept\n"
    assert house.exits == []


async def test_directories_are_the_owners_alone(house: "House") -> None:
    await house.start(await house.spawner())
    for path in (house.root.parent, house.root, house.root / "run", house.root / "home"):
        assert path.stat().st_mode & 0o777 == 0o700, path
    for path in (house.root / "run").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path


async def test_a_new_home_has_the_skeleton_and_an_old_one_is_left_alone(house: "House") -> None:
    spawner = await house.spawner()
    await house.start(spawner)
    home = house.root / "home"
    assert {path.name for path in home.iterdir()} == {
        path.name for path in Path("/etc/skel").iterdir()
    }
    for path in home.iterdir():
        path.unlink()
    await spawner.stop(house.workspace.id, "alice")
    await house.start(spawner)
    assert list(home.iterdir()) == []


async def test_stop_is_idempotent_and_fenced(house: "House") -> None:
    spawner = await house.spawner()
    await spawner.stop(house.workspace.id, "alice")
    running, _ = await house.start(spawner)
    await spawner.stop(running.id, "alice", "an-earlier-incarnation")
    await spawner.stop(str(uuid4()), "alice")
    assert await spawner.find(running.id, "alice") == running
    await spawner.stop(running.id, "alice")
    await spawner.stop(running.id, "alice")
    await spawner.stop(running.id, "alice", running.object_uid)
    assert house.leftovers() == []


async def test_starts_at_once_make_one(house: "House") -> None:
    one, two = await house.spawner(), await house.spawner()
    starts = [house.start(spawner) for spawner in (one, two, one, two, one)]
    started = await asyncio.gather(*starts)
    assert len({running.object_uid for running, _ in started}) == 1
    assert house.leftovers() == [house.server_pid()]


async def test_starts_of_many_hubs_make_one(house: "House") -> None:
    hubs = [_hub(house) for _ in range(6)]
    said = await asyncio.gather(*(asyncio.to_thread(hub.communicate, None, 30) for hub in hubs))
    assert [hub.returncode for hub in hubs] == [0] * 6
    assert len({output.split()[-1] for output, _ in said}) == 1
    assert house.leftovers() == [house.server_pid()]


@pytest.mark.parametrize("milliseconds", [0, 3, 6, 10, 20, 40, 80, 160])
async def test_a_hub_killed_while_it_starts(house: "House", milliseconds: int) -> None:
    hub = _hub(house)
    assert hub.stdout is not None
    assert await asyncio.to_thread(hub.stdout.readline) == "starting\n"
    await asyncio.sleep(milliseconds / 1000)
    hub.kill()
    hub.communicate()
    running, ssh = await house.start(await house.spawner())
    assert house.leftovers() == [house.server_pid()]
    assert ssh.run("true").returncode == 0
    assert running.id == house.workspace.id


async def test_another_hub_adopts_and_hears_of_the_end(house: "House") -> None:
    first = await house.spawner()
    running, _ = await house.start(first)
    await first.aclose()
    second = await house.spawner()
    assert await second.running() == [running]
    assert (await house.start(second))[0] == running
    os.kill(house.server_pid(), signal.SIGKILL)
    await _until(house.exits.__len__)
    assert [(ended.id, ended.object_uid) for ended in house.exits] == [
        (running.id, running.object_uid)
    ]
    assert await second.find(running.id, "alice") is None
    again, _ = await house.start(second)
    assert again.object_uid != running.object_uid


async def test_an_end_says_why_and_leaves_nothing(house: "House") -> None:
    spawner = await house.spawner()
    running, ssh = await house.start(spawner)
    assert ssh.run("setsid sleep 1000 >/dev/null 2>&1 </dev/null &").returncode == 0
    assert len(house.leftovers()) == 2
    os.kill(house.server_pid(), signal.SIGKILL)
    await _until(house.exits.__len__)
    assert "SIGKILL" in house.exits[0].reason
    assert house.exits[0].object_uid == running.object_uid
    await _until(lambda: not house.leftovers())


async def test_stop_while_it_starts(house: "House") -> None:
    spawner = await house.spawner()
    task = asyncio.get_running_loop().create_task(house.start(spawner))
    await _until((house.root / "run" / "lock").exists)
    await spawner.stop(house.workspace.id, "alice")
    with pytest.raises(StartFailed):
        await task
    assert house.leftovers() == []
    assert await spawner.running() == []


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8, 13, 40])
async def test_cancel_and_stop(house: "House", turns: int) -> None:
    spawner = await house.spawner()
    task = asyncio.get_running_loop().create_task(house.start(spawner))
    for _ in range(turns):
        await asyncio.sleep(0.001)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await spawner.stop(house.workspace.id, "alice")
    assert house.leftovers() == []
    assert (await house.start(spawner))[0].id == house.workspace.id


async def test_a_pid_that_is_somebody_elses_now(house: "House") -> None:
    spawner = await house.spawner()
    running, _ = await house.start(spawner)
    state_file = house.root / "run" / "state.json"
    state = json.loads(state_file.read_bytes())
    await spawner.stop(running.id, "alice")
    own = identify(os.getpid())
    assert own is not None
    for stale in (
        {"pid": os.getpid(), "started": own.started + 1},
        {"pid": os.getpid(), "started": own.started, "boot": "another"},
        {"pid": 2**22 - 1},
        {"port": None, "surplus": 1},
    ):
        state_file.write_text(json.dumps({**state, **stale}))
        assert await spawner.find(running.id, "alice") is None
        assert await spawner.running() == []
        await spawner.stop(running.id, "alice")
    state_file.write_text("{half a fi")
    assert await spawner.find(running.id, "alice") is None
    assert (await house.start(spawner))[0].id == running.id


def _in_the_way(path: Path, kind: str) -> None:
    """Put something in the place of a file."""
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "gigabyte":
        with path.open("wb") as file:
            file.truncate(2**30)
    elif kind == "deep":
        path.write_text("[" * 60_000)
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"/proc/self/cwd/{os.path.relpath(path)}"[:107])


KINDS = ["fifo", "directory", "link", "loop", "gigabyte", "deep", "socket"]
FILES = ["state.json", "lock", "authorized_keys", "host_key", "server.log", "server.log.1"]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_workspace_puts_in_the_way_stops_nobody(
    kind: str, house: "House", monkeypatch: pytest.MonkeyPatch
) -> None:
    spawner = await house.spawner()
    await house.start(spawner)
    monkeypatch.chdir(house.root / "run")
    for name in FILES:
        _in_the_way(house.root / "run" / name, kind)
    async with asyncio.timeout(20):
        another = await house.spawner(stop_timeout=1)  # the hub starts
        assert await another.running() == []
        assert await another.find(house.workspace.id, "alice") is None
        await another.refresh(house.workspace)
        await another.stop(house.workspace.id, "alice")
        assert house.leftovers() == []
        for name in FILES:
            _in_the_way(house.root / "run" / name, kind)
        running, ssh = await house.start(another)
    assert await another.running() == [running]
    assert ssh.run("echo hello").stdout == b"hello\n"


async def test_a_forged_owner_is_not_signalled(
    house: "House", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "_SIGN_SECONDS", 0.1)
    spawner = await house.spawner(stop_timeout=1)
    running, _ = await house.start(spawner)
    run = house.root / "run"
    with subprocess.Popen(["sleep", "60"]) as victim:
        try:
            process = identify(victim.pid)
            assert process is not None
            for name in ("state.json", "lock"):
                found = json.loads((run / name).read_bytes())
                forged = {**found, "pid": process.pid, "started": process.started}
                (run / name).write_text(json.dumps(forged))
            another = await house.spawner(stop_timeout=1)
            assert await another.running() == []
            # It says nothing of who it is: what carries the marker is killed, after a while.
            await asyncio.wait_for(another.stop(running.id, "alice"), 20)
            assert victim.poll() is None
            assert house.leftovers() == []
        finally:
            victim.kill()


async def test_a_lock_that_a_stranger_holds(
    house: "House", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "_SIGN_SECONDS", 0.1)
    monkeypatch.setattr(slot, "_KILL_SECONDS", 0.2)
    spawner = await house.spawner()
    paths = Paths(house.root)
    launch.make_directories(paths)
    with (
        launch.held_lock(paths),
        pytest.raises(KworkspaceError, match="A process that is not workspace alice's holds"),
    ):
        await asyncio.wait_for(spawner.stop(house.workspace.id, "alice"), 20)


async def test_a_slug_that_a_deleted_workspace_had(house: "House") -> None:
    spawner = await house.spawner()
    old, _ = await house.start(spawner)
    house.workspace = replace(house.workspace, id=str(uuid4()))
    new, _ = await house.start(spawner)
    assert new.id == house.workspace.id
    assert await spawner.find(old.id, "alice") is None
    assert house.leftovers() == [house.server_pid()]


async def test_refresh_changes_who_may_log_in(house: "House", other_key: Path) -> None:
    spawner = await house.spawner()
    await spawner.refresh(house.workspace)  # never started: nothing to do
    _, ssh = await house.start(spawner)
    other = replace(ssh, key=other_key)
    assert other.run("true").returncode == 255
    line = other_key.with_suffix(".pub").read_text().strip()
    await spawner.refresh(replace(house.workspace, authorized_keys=(line,)))
    assert other.run("true").returncode == 0
    assert ssh.run("true").returncode == 255


async def test_who_trusts_the_hub_needs_no_host_key(house: "House", tmp_path: Path) -> None:
    """By the server's UUID, and by no other name; also after another start."""
    hosts, id, folder = Hosts(), house.workspace.id, tmp_path / "elsewhere"
    folder.mkdir()
    house.workspace = replace(house.workspace, certify=partial(hosts.certify, id))
    spawner = await house.spawner()
    for _ in range(2):
        running, ssh = await house.start(spawner)
        bare = replace(ssh, folder=folder)
        for name, code in ((id, 0), ("127.0.0.1", 255)):
            options = hosts.trust(folder / "known_hosts", name)
            assert bare.run("true", options=options).returncode == code
        assert ssh.run("true").returncode == 0, "who has pinned the key comes in as ever"
        assert hosts.asked[-1].split()[:2] == running.host_key.split()[:2]
        await spawner.stop(id, house.workspace.slug)
    assert len(hosts.asked) == 2


async def test_another_host_certificate_while_it_runs(house: "House", tmp_path: Path) -> None:
    """When it is time for one; also by a hub that has just begun, and for connections to come."""
    id, first, second = house.workspace.id, Hosts(), Hosts()
    (elsewhere := tmp_path / "elsewhere").mkdir()
    house.workspace = replace(
        house.workspace, certify=partial(first.certify, id), certificate_mark="1"
    )
    spawner = await house.spawner()
    running, ssh = await house.start(spawner)

    def trusting(hosts: Hosts) -> int:
        # What is there by now is shown to the next one: so this is the next but one.
        assert ssh.run("true").returncode == 0
        options = hosts.trust(elsewhere / "known_hosts", id)
        return replace(ssh, folder=elsewhere).run("true", options=options).returncode

    changed = replace(house.workspace, certify=partial(second.certify, id))
    await spawner.refresh(changed)
    assert (trusting(first), second.asked) == (0, []), "it is not time"
    await spawner.refresh(replace(changed, certificate_mark="2"))
    assert (trusting(first), trusting(second)) == (255, 0)
    await spawner.refresh(replace(changed, certificate_mark="2"))
    assert len(second.asked) == 1
    again = await house.spawner()
    await again.refresh(replace(house.workspace, certificate_mark="3"))
    assert trusting(first) == 0
    assert await again.find(id, house.workspace.slug) == running, "it has not been started again"


async def test_certificates_of_the_hub_for_this_server_only(house: "House") -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    user_key = asyncssh.generate_private_key("ssh-ed25519")
    house.workspace = replace(
        house.workspace,
        authorized_keys=(),
        user_authorities=(authority.export_public_key().decode().strip(),),
    )
    spawner = await house.spawner()
    running, _ = await house.start(spawner)

    async def login(principal: str, signer: asyncssh.SSHKey, account: str) -> bytes:
        certificate = signer.generate_user_certificate(user_key, "session", principals=[principal])
        async with asyncssh.connect(
            running.host,
            running.port,
            username=account,
            client_keys=[(user_key, certificate)],
            known_hosts=None,
            config=None,
            agent_path=None,
        ) as connection:
            result = await connection.run("echo in", encoding=None)
            assert isinstance(result.stdout, bytes)
            return result.stdout

    assert await login(running.id, authority, running.account) == b"in\n"
    for principal, signer, account in (
        (str(uuid4()), authority, running.account),
        (running.account, authority, running.account),
        (running.id, asyncssh.generate_private_key("ssh-ed25519"), running.account),
        (running.id, authority, "somebody-else"),
    ):
        with pytest.raises(asyncssh.PermissionDenied):
            await login(principal, signer, account)
    await spawner.refresh(replace(house.workspace, user_authorities=()))
    with pytest.raises(asyncssh.PermissionDenied):
        await login(running.id, authority, running.account)


async def test_a_start_that_takes_too_long(house: "House", monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_args: object, **_kwargs: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Slot, "bring_up", never)
    spawner = await house.spawner(start_timeout=1)
    with pytest.raises(StartFailed, match="1 seconds"):
        await house.start(spawner)


async def test_a_process_that_cannot_start_says_why(
    house: "House", monkeypatch: pytest.MonkeyPatch
) -> None:
    spawner = await house.spawner()
    monkeypatch.setattr(launch, "SERVER", ("-m", "kworkspace.nothing"))
    with pytest.raises(StartFailed, match=r"No module named kworkspace.nothing.*server.log"):
        await house.start(spawner)
    monkeypatch.undo()
    assert (await house.start(spawner))[0].id == house.workspace.id


async def test_a_directory_that_cannot_be_made(house: "House", tmp_path: Path) -> None:
    spawner = await house.spawner()
    house.root.write_text("a file is in the way")
    with pytest.raises(StartFailed, match="alice"):
        await house.start(spawner)
    house.root.unlink()
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    broken = LocalSpawner(hub_id="hub", data_dir=in_the_way, on_exit=print)
    with pytest.raises(KworkspaceError, match="data_dir"):
        await broken.open()


async def test_slugs_never_leave_the_directory(house: "House") -> None:
    spawner = await house.spawner()
    for slug in ("", "..", "a/b", "Alice"):
        with pytest.raises(InvalidName):
            await spawner.find(house.workspace.id, slug)


async def test_other_systems_are_told(house: "House", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(KworkspaceError, match="Linux"):
        await house.spawner()


async def test_it_says_that_it_isolates_nobody(
    house: "House", caplog: pytest.LogCaptureFixture
) -> None:
    await house.spawner()
    assert "isolates nobody" in caplog.text
    assert "isolates nobody" in (LocalSpawner.__doc__ or "")


async def test_nothing_of_the_hubs_environment_leaks(
    house: "House", monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KWORKSPACE_API_TOKEN", "JUPYTERHUB_API_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "a-secret-of-the-hub")
    _, ssh = await house.start(await house.spawner())
    assert b"a-secret-of-the-hub" not in ssh.run("env").stdout
    environment = Path(f"/proc/{house.server_pid()}/environ").read_bytes()
    assert b"a-secret-of-the-hub" not in environment
    assert Path(f"/proc/{house.server_pid()}/fd/0").readlink() == Path("/dev/null")
