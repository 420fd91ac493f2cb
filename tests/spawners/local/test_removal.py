"""The end of a workspace's files: all of them, and nobody else's."""

import asyncio
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from kworkspace.cli.client.errors import KworkspaceError, StartFailed
from kworkspace.spawners.local import removal
from kworkspace.spawners.local.launch import held_lock, make_directories
from kworkspace.spawners.local.removal import remove
from kworkspace.spawners.local.state import Paths
from tests.spawners.local.machine import own_namespace

if TYPE_CHECKING:
    from tests.spawners.local.conftest import House


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "workspaces" / "alice")
    make_directories(made)
    return made


def below(paths: Paths) -> list[str]:
    return [path.name for path in paths.root.parent.iterdir()]


def test_links_are_not_followed(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "file").write_text("kept")
    (paths.home / "link").symlink_to(tmp_path / "others")
    (paths.home / "file").symlink_to(tmp_path / "others" / "file")
    os.link(tmp_path / "others" / "file", paths.home / "hard")
    assert remove(paths)
    assert below(paths) == []
    assert (tmp_path / "others" / "file").read_text() == "kept"


def test_a_link_in_its_place(paths: Paths, tmp_path: Path) -> None:
    assert remove(paths)
    (tmp_path / "others").mkdir()
    paths.root.symlink_to(tmp_path / "others")
    assert remove(paths)
    assert below(paths) == []
    assert (tmp_path / "others").is_dir()


def test_what_is_read_only(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = paths.home / "go" / "pkg"
    deep.mkdir(parents=True)
    (deep / "mod.go").touch(mode=0o444)
    (paths.home / "loop").symlink_to(deep)
    deep.chmod(0o555)
    deep.parent.chmod(0o000)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    removed: list[int] = []
    rmtree = shutil.rmtree

    def look(directory: Path) -> None:
        removed.extend(path.stat().st_mode & 0o777 for path in directory.rglob("pkg"))
        removed.append((directory / "home" / "go").stat().st_mode & 0o777)
        rmtree(directory)

    monkeypatch.setattr(shutil, "rmtree", look)
    assert remove(paths)
    assert removed == [0o700, 0o700]


@pytest.mark.parametrize("all_at_once", [True, False])
def test_another_hub_removes_it_too(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, all_at_once: bool
) -> None:
    """What vanishes under a removal's hands is no error, and what is left is removed."""
    rmtree = shutil.rmtree
    (paths.home / "file").touch()

    def overtaken(directory: Path) -> None:
        monkeypatch.setattr(shutil, "rmtree", rmtree)
        rmtree(directory if all_at_once else directory / "home")
        raise FileNotFoundError(2, "No such file or directory", str(directory / "home"))

    monkeypatch.setattr(shutil, "rmtree", overtaken)
    assert remove(paths)
    assert below(paths) == []


def test_a_removal_that_was_cut_off(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(directory: Path) -> None:
        raise OSError(5, "Input/output error", str(directory))

    (paths.home / "file").touch()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", fail)
        with pytest.raises(OSError, match="Input/output"):
            remove(paths)
    [left] = below(paths)
    assert left.startswith(".deleted.alice.")
    assert remove(paths)
    assert below(paths) == []


def test_somebody_holds_the_lock(paths: Paths) -> None:
    with held_lock(paths):
        assert not remove(paths)
    assert below(paths) == ["alice"]
    assert remove(paths)


def test_a_lock_of_what_was_deleted_is_none(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opened the lock before a removal, and takes it after, has that of the next workspace."""
    seen: list[int] = []
    real = removal.held_lock.__wrapped__.__globals__["_lock"]  # type: ignore[attr-defined]

    def late(fd: int) -> bool:
        if not seen:
            seen.append(fd)
            monkeypatch.setattr("kworkspace.spawners.local.launch._lock", real)
            assert remove(paths)
            make_directories(paths)
        return bool(real(fd))

    monkeypatch.setattr("kworkspace.spawners.local.launch._lock", late)
    with held_lock(paths) as lock:
        assert lock is not None
        assert os.path.samestat(os.fstat(lock), paths.lock.stat())
        with held_lock(paths) as second:
            assert second is None


def test_what_is_mounted_is_somebody_elses(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = r"36 35 98:0 / %s rw,noatime master:1 - ext4 /dev/root rw" + "\n"
    name = str(paths.home / "a data set")
    (tmp_path / "mountinfo").write_text(mount % "/elsewhere" + mount % name.replace(" ", r"\040"))
    monkeypatch.setattr(removal, "MOUNTS", tmp_path / "mountinfo")
    with pytest.raises(KworkspaceError, match="home/a data set is a mount point"):
        remove(paths)
    assert paths.home.is_dir()


def test_what_is_really_mounted(paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").touch()
    (paths.home / "data").mkdir()
    with own_namespace():
        subprocess.run(["mount", "--bind", tmp_path / "data", paths.home / "data"], check=True)
        with pytest.raises(KworkspaceError, match="home/data is a mount point"):
            remove(paths)
    assert (tmp_path / "data" / "file").exists()


async def test_two_hubs_start_and_delete(house: "House") -> None:
    """Whoever wins, there is never a process without its directory, nor a second one."""
    one, two = await house.spawner(stop_timeout=1), await house.spawner(stop_timeout=1)
    for pause in (0.0, 0.005, 0.05, 0.3):
        start = asyncio.get_running_loop().create_task(house.start(one))
        await asyncio.sleep(pause)
        await two.delete(house.workspace.id, "alice")
        await asyncio.wait([start])
        assert start.exception() is None or isinstance(start.exception(), StartFailed)
        await two.delete(house.workspace.id, "alice")
        assert house.leftovers() == []
        assert list((house.data_dir / "workspaces").iterdir()) == []


async def test_a_slug_that_runs_for_a_server_that_is_gone(house: "House") -> None:
    spawner = await house.spawner(stop_timeout=1)
    old, _ = await house.start(spawner)
    house.workspace = replace(house.workspace, id=str(uuid4()))
    await asyncio.wait_for(spawner.delete(house.workspace.id, "alice"), 20)
    assert await spawner.find(old.id, "alice") is None
    assert not house.root.exists()
