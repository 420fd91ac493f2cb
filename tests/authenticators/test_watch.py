"""The directory is watched: changes arrive, outages are sat out for a while, hangs stop nothing."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path

import pytest

from kworkspace.authenticators import watch as module
from kworkspace.authenticators.directory import (
    HOLD_SECONDS,
    DirectoryUnusable,
    KeyDirectory,
    Look,
)
from kworkspace.authenticators.watch import DirectoryWatch
from tests.authenticators.conftest import KeyFile
from tests.authenticators.test_directory import Clock, write

SECONDS = 20.0


class Told(logging.Handler):
    """Says when something is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Note it."""
        self.event.set()


class Watched:
    """A watch with what it told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.directory = KeyDirectory(folder)
        self.watch = DirectoryWatch(self.directory, clock=self.clock)
        self.changes: asyncio.Queue[set[str]] = asyncio.Queue()

    def tell(self, users: Collection[str]) -> None:
        """What the hub does with a change."""
        self.changes.put_nowait(set(users))

    async def change(self) -> set[str]:
        """The next change."""
        async with asyncio.timeout(SECONDS):
            return await self.changes.get()


@pytest.fixture
async def watched(
    tmp_path: Path, key_files: dict[str, KeyFile], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Watched]:
    """alice and bob have files, and the watch is quick."""
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    for name in ("alice", "bob"):
        write(folder / name, key_files["ed25519"].line)
    watched = Watched(folder)
    yield watched
    await watched.watch.aclose()
    assert "directory of keys" not in {thread.name for thread in threading.enumerate()}


async def test_exactly_whose_keys_changed(watched: Watched, key_files: dict[str, KeyFile]) -> None:
    await watched.watch.open(watched.tell)
    assert set(watched.watch.keys) == {"alice", "bob"}
    assert watched.changes.empty()
    write(watched.folder / "alice", key_files["rsa"].line)
    assert await watched.change() == {"alice"}
    (watched.folder / "bob").unlink()
    assert await watched.change() == {"bob"}
    write(watched.folder / "carol", "")
    assert await watched.change() == {"carol"}
    assert set(watched.watch.keys) == {"alice", "carol"}
    (watched.folder / "alice").touch()
    write(watched.folder / "dave", "")
    assert await watched.change() == {"dave"}


async def test_warnings_reach_the_log(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    write(watched.folder / "a b", "")
    with caplog.at_level(logging.WARNING):
        await watched.watch.open(watched.tell)
        write(watched.folder / "carol", "")
        await watched.change()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.fixture
def told() -> Iterator[Told]:
    """Hears the watch's log."""
    told = Told()
    module.log.addHandler(told)
    yield told
    module.log.removeHandler(told)


async def test_directory_that_vanishes_is_held_for_a_while(
    watched: Watched, told: Told, caplog: pytest.LogCaptureFixture
) -> None:
    await watched.watch.open(watched.tell)
    with caplog.at_level(logging.WARNING):
        watched.folder.rename(watched.folder.with_name("away"))
        async with asyncio.timeout(SECONDS):
            await told.event.wait()
        assert set(watched.watch.keys) == {"alice", "bob"}
        watched.clock.now += HOLD_SECONDS + 1
        assert await watched.change() == {"alice", "bob"}
        assert watched.watch.keys == {}
        watched.folder.with_name("away").rename(watched.folder)
        assert await watched.change() == {"alice", "bob"}
    assert set(watched.watch.keys) == {"alice", "bob"}
    gone = "the directory cannot be read: No such file or directory"
    assert [record.getMessage() for record in caplog.records] == [
        f"{watched.folder}: {gone}; its keys count for 30 s more",
        f"{watched.folder}: no key in it counts until it is read again",
        f"{watched.folder}: the directory is read again",
    ]


async def test_short_outage_changes_nothing(watched: Watched, told: Told) -> None:
    await watched.watch.open(watched.tell)
    watched.folder.rename(watched.folder.with_name("away"))
    async with asyncio.timeout(SECONDS):
        await told.event.wait()
    watched.folder.with_name("away").rename(watched.folder)
    write(watched.folder / "carol", "")
    assert await watched.change() == {"carol"}


async def test_file_system_that_hangs(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its keys end all the same, and nobody waits for the thread."""
    await watched.watch.open(watched.tell)
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> Look:
        hangs.set()
        goes_on.wait(SECONDS)
        raise DirectoryUnusable("too late")

    monkeypatch.setattr(watched.directory, "look", hang)
    monkeypatch.setattr(module, "JOIN_SECONDS", 0.01)
    assert await asyncio.to_thread(hangs.wait, SECONDS)
    watched.clock.now += HOLD_SECONDS + 1
    assert await watched.change() == {"alice", "bob"}
    async with asyncio.timeout(SECONDS):
        await watched.watch.aclose()
    goes_on.set()
    thread = watched.watch._thread
    assert thread is not None
    await asyncio.to_thread(thread.join, SECONDS)


async def test_directory_that_is_not_there_at_first(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "none")
    with pytest.raises(DirectoryUnusable, match="cannot be read: No such file"):
        await watched.watch.open(watched.tell)


async def test_no_answer_at_first(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()

    def hang() -> Look:
        goes_on.wait(SECONDS)
        raise DirectoryUnusable("too late")

    monkeypatch.setattr(watched.directory, "look", hang)
    monkeypatch.setattr(module, "HOLD_SECONDS", 0.05)
    with pytest.raises(DirectoryUnusable, match=r"/keys: the directory gave no answer in 0 s"):
        await watched.watch.open(watched.tell)
    goes_on.set()
    thread = watched.watch._thread
    assert thread is not None
    await asyncio.to_thread(thread.join, SECONDS)
