"""The directory of keys: real files, links, FIFOs, swaps; what is not to be trusted is skipped."""

import os
import shutil
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kworkspace.authenticators import directory as module
from kworkspace.authenticators.directory import (
    HOLD_SECONDS,
    MAX_BYTES,
    MAX_LINES,
    DirectoryUnusable,
    KeyDirectory,
)
from tests.authenticators.conftest import KeyFile


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no writer to end."""
    monkeypatch.setattr(module, "_MOTION_SECONDS", 0.0)


@pytest.fixture
def clock() -> Clock:
    """The directory's clock."""
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty directory."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def directory(folder: Path, clock: Clock) -> KeyDirectory:
    """What looks at it."""
    return KeyDirectory(folder, clock=clock)


@pytest.fixture
def line(key_files: dict[str, KeyFile]) -> str:
    """A key."""
    return key_files["ed25519"].line


@pytest.fixture
def other_line(key_files: dict[str, KeyFile]) -> str:
    """Another key."""
    return key_files["nistp256"].line


def write(path: Path, text: str | bytes) -> Path:
    """Put a file in place that nobody else may write, all of it at once."""
    draft = path.parent.parent / f"draft of {path.name}"
    draft.write_bytes(text.encode() if isinstance(text, str) else text)
    draft.chmod(0o644)
    return draft.replace(path)


def lines_of(directory: KeyDirectory) -> dict[str, list[str]]:
    """Each user's lines, by another look."""
    keys = directory.look().keys
    return {
        user: [key.line for entries in found.values() for key in entries]
        for user, found in keys.items()
    }


def test_files_are_users_and_lines_are_keys(
    directory: KeyDirectory, folder: Path, line: str, other_line: str
) -> None:
    text = f'\ufeff# alice\r\n\r\n  {line.strip()}\r\n\t# more\n\nfrom="192.0.2.1"\t{other_line}'
    write(folder / "alice", text)
    write(folder / "bob.builder", b"\xff\xfe\n" + other_line.encode())
    write(folder / "\u00e9ve", "")
    found = directory.look()
    (warning,) = found.warnings
    assert warning.startswith(f"{folder}/bob.builder, line 1: a public key line begins with its")
    assert warning.endswith("; the line is not used")
    assert lines_of(directory) == {
        "alice": [line.strip(), f'from="192.0.2.1" {other_line.strip()}'],
        "bob.builder": [other_line.strip()],
        "\u00e9ve": [],
    }


def test_bad_line_is_told_once_and_never_repeated(
    directory: KeyDirectory, folder: Path, line: str, other_line: str
) -> None:
    write(folder / "alice", f'{line}command="x" {other_line}')
    (warning,) = directory.look().warnings
    assert warning.startswith(f"{folder}/alice, line 2: the option command has no meaning here")
    assert other_line.split()[1][30:50] not in warning
    assert directory.look().warnings == ()
    write(folder / "alice", f"{line}{line}pty {other_line}")
    assert len(directory.look().warnings) == 1


def test_many_bad_lines_are_few_warnings(directory: KeyDirectory, folder: Path) -> None:
    write(folder / "alice", "nothing\n" * 500)
    *ten, last = directory.look().warnings
    assert len(ten) == 10
    assert last == f"{folder}/alice: 490 more lines are not used"


def test_change_is_seen_even_with_the_same_stamp(
    directory: KeyDirectory, folder: Path, clock: Clock, key_files: dict[str, KeyFile], line: str
) -> None:
    """Size and times may say nothing of a change that came right after a look."""
    path = write(folder / "alice", line)
    found = path.stat()
    assert lines_of(directory) == {"alice": [line.strip()]}
    swapped = line.replace("alice@laptop", "alice@tablet")
    with path.open("r+") as stream:
        stream.write(swapped)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert module._stamp(path.stat())[:6] == module._stamp(found)[:6]
    assert lines_of(directory) == {"alice": [swapped.strip()]}


def test_unchanged_file_is_read_no_more(
    directory: KeyDirectory,
    folder: Path,
    clock: Clock,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(folder / "alice", line)
    first = directory.look().keys["alice"]
    clock.now += 3
    directory.look()
    reads = []
    read = directory._text

    def count(folder: int, name: str) -> tuple[os.stat_result, str]:
        reads.append(name)
        return read(folder, name)

    monkeypatch.setattr(directory, "_text", count)
    clock.now += 3
    assert directory.look().keys["alice"] is first
    assert reads == []
    write(folder / "alice", line * 2)
    assert len(directory.look().keys["alice"]) == 1
    assert reads == ["alice"]


def test_removed_file_is_gone_at_once(directory: KeyDirectory, folder: Path, line: str) -> None:
    write(folder / "alice", line)
    write(folder / "bob", line)
    assert set(lines_of(directory)) == {"alice", "bob"}
    (folder / "alice").unlink()
    assert set(lines_of(directory)) == {"bob"}
    (folder / "bob").unlink()
    assert lines_of(directory) == {}


class TestKubernetes:
    """A mounted ConfigMap or Secret: NAME -> ..data/NAME, ..data -> ..TIME."""

    def swap(self, folder: Path, number: int, files: dict[str, str]) -> None:
        """Publish new files at once, as the kubelet's atomic writer does."""
        new = folder / f"..2030_01_01.{number}"
        new.mkdir()
        for name, text in files.items():
            write(new / name, text)
        (folder / "..data_tmp").symlink_to(new.name)
        (folder / "..data_tmp").replace(folder / "..data")
        for name in files:
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(f"..data/{name}")
        for old in folder.glob("..2030*"):
            if old != new:
                shutil.rmtree(old)

    def test_swap(self, directory: KeyDirectory, folder: Path, line: str, other_line: str) -> None:
        self.swap(folder, 1, {"alice": line, "bob": line})
        assert lines_of(directory) == {"alice": [line.strip()], "bob": [line.strip()]}
        self.swap(folder, 2, {"alice": other_line, "bob": line})
        assert lines_of(directory) == {"alice": [other_line.strip()], "bob": [line.strip()]}
        assert directory.look().warnings == ()

    def test_moment_without_data(
        self, directory: KeyDirectory, folder: Path, clock: Clock, line: str
    ) -> None:
        """Links that lead nowhere: the keys are held for a while, and then are none."""
        self.swap(folder, 1, {"alice": line})
        assert set(lines_of(directory)) == {"alice"}
        data = (folder / "..data").readlink()
        (folder / "..data").unlink()
        found = directory.look()
        assert set(found.keys) == {"alice"}
        assert found.warnings == (f"{folder}/alice: it cannot be read: No such file or directory",)
        clock.now += HOLD_SECONDS
        assert directory.look().warnings == ()
        assert set(lines_of(directory)) == {"alice"}
        clock.now += 1
        assert lines_of(directory) == {}
        (folder / "..data").symlink_to(data)
        assert lines_of(directory) == {"alice": [line.strip()]}


class TestNotTrusted:
    """Each is skipped, with one warning."""

    def skipped(self, directory: KeyDirectory, name: str = "alice") -> str:
        found = directory.look()
        assert dict(found.keys) == {}
        assert directory.look().warnings == ()
        (warning,) = found.warnings
        assert warning.startswith(f"{directory.path}/{name}: ")
        return warning

    def test_link_that_leads_out(self, directory: KeyDirectory, tmp_path: Path, line: str) -> None:
        outside = write(tmp_path / "outside", line)
        (directory.path / "alice").symlink_to(outside)
        assert "it leads out of the directory" in self.skipped(directory)

    def test_link_through_a_directory_that_leads_out(
        self, directory: KeyDirectory, tmp_path: Path, line: str
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        write(tmp_path / "elsewhere" / "alice", line)
        (directory.path / "..data").symlink_to(tmp_path / "elsewhere")
        (directory.path / "alice").symlink_to("..data/alice")
        assert "it leads out of the directory" in self.skipped(directory)

    def test_directory_of_a_similar_name(
        self, directory: KeyDirectory, tmp_path: Path, line: str
    ) -> None:
        (tmp_path / "keys-of-mallory").mkdir()
        write(tmp_path / "keys-of-mallory" / "alice", line)
        (directory.path / "alice").symlink_to("../keys-of-mallory/alice")
        assert "it leads out of the directory" in self.skipped(directory)

    def test_link_to_a_device(self, directory: KeyDirectory) -> None:
        (directory.path / "alice").symlink_to("/dev/zero")
        assert "it is not a file" in self.skipped(directory)

    def test_fifo(self, directory: KeyDirectory) -> None:
        """It is not even opened: a writer would see that."""
        path = directory.path / "alice"
        os.mkfifo(path, 0o600)
        assert "it is not a file" in self.skipped(directory)
        with pytest.raises(OSError, match="No such device or address"):
            os.open(path, os.O_WRONLY | os.O_NONBLOCK)

    def test_directory(self, directory: KeyDirectory) -> None:
        (directory.path / "alice").mkdir()
        assert "it is not a file" in self.skipped(directory)

    def test_socket(self, directory: KeyDirectory) -> None:
        os.mknod(directory.path / "alice", stat.S_IFSOCK | 0o600)
        assert "it is not a file" in self.skipped(directory)

    def test_gigabyte(self, directory: KeyDirectory, line: str) -> None:
        with write(directory.path / "alice", line).open("r+b") as stream:
            stream.truncate(2**30)
        assert f"it has more than {MAX_BYTES} bytes" in self.skipped(directory)

    def test_grown_since_it_was_looked_at(
        self, directory: KeyDirectory, line: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(directory.path / "alice", line)
        check = directory._check

        def grow(found: os.stat_result) -> None:
            check(found)
            with path.open("r+b") as stream:
                stream.truncate(2**30)

        monkeypatch.setattr(directory, "_check", grow)
        assert f"it has more than {MAX_BYTES} bytes" in self.skipped(directory)

    def test_too_many_lines(self, directory: KeyDirectory) -> None:
        write(directory.path / "alice", "\n" * (MAX_LINES + 1))
        assert f"it has more than {MAX_LINES} lines" in self.skipped(directory)

    @pytest.mark.parametrize("mode", [0o664, 0o646, 0o777])
    def test_file_that_others_may_write(
        self, directory: KeyDirectory, line: str, mode: int
    ) -> None:
        path = write(directory.path / "alice", line)
        path.chmod(mode)
        assert "others may write it; chmod go-w it" in self.skipped(directory)
        path.chmod(0o640)
        assert set(lines_of(directory)) == {"alice"}
        path.chmod(mode)
        assert lines_of(directory) == {}

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_file_of_somebody_else(self, directory: KeyDirectory, line: str) -> None:
        os.chown(write(directory.path / "alice", line), 12345, -1)
        assert "it must belong to root or to the hub's account" in self.skipped(directory)

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("a b", "must not contain white space"),
            ("-alice", "must not begin with '-'"),
            ("invite", "is a reserved name"),
            ("alice+gpu", "must not contain '+'"),
            (".alice.swp", "hidden, or left over by an editor"),
            ("alice~", "hidden, or left over by an editor"),
            ("alice.swp", "hidden, or left over by an editor"),
            ("#alice#", "hidden, or left over by an editor"),
        ],
    )
    def test_name(self, directory: KeyDirectory, line: str, name: str, why: str) -> None:
        write(directory.path / name, line)
        assert why in self.skipped(directory, name)

    def test_name_that_no_log_can_hold(self, directory: KeyDirectory, line: str) -> None:
        name = os.fsdecode(b"alice\n\xff")
        write(directory.path / name, line)
        assert "\n" not in self.skipped(directory, "'alice\\n\\udcff'")


@pytest.mark.parametrize("names", [("alice", "Alice"), ("al\u00edce", "ali\u0301ce")])
def test_two_names_of_one_user(
    directory: KeyDirectory, folder: Path, line: str, other_line: str, names: tuple[str, str]
) -> None:
    """The one counts that is written as the user is called."""
    name, other = names
    write(folder / name, line)
    write(folder / other, other_line)
    (warning,) = directory.look().warnings
    assert warning == f"{folder}/{other}: means the same user as {name}; it is not used"
    assert lines_of(directory) == {name: [line.strip()]}
    (folder / name).unlink()
    assert lines_of(directory) == {name: [other_line.strip()]}


def test_link_that_is_exchanged_while_it_is_checked(
    directory: KeyDirectory,
    tmp_path: Path,
    line: str,
    other_line: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was checked is what is read, whatever the name leads to meanwhile."""
    write(directory.path / "real", line)
    secret = write(tmp_path / "outside", other_line)
    link = directory.path / "alice"
    link.symlink_to("real")
    check = directory._check

    def exchange(found: os.stat_result) -> None:
        check(found)
        link.unlink()
        link.symlink_to(secret)

    monkeypatch.setattr(directory, "_check", exchange)
    assert lines_of(directory) == {"alice": [line.strip()], "real": [line.strip()]}
    monkeypatch.undo()
    assert lines_of(directory) == {"real": [line.strip()]}


def test_half_written_file_is_waited_for(
    directory: KeyDirectory, folder: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editor truncates and writes: between, there is no key in it."""
    path = write(folder / "alice", line)
    assert set(lines_of(directory)["alice"]) == {line.strip()}
    waited = threading.Event()

    def write_on(seconds: float) -> None:
        write(path, line)
        waited.set()

    monkeypatch.setattr(module, "_MOTION_SECONDS", 60.0)
    monkeypatch.setattr("kworkspace.authenticators.directory.time.sleep", write_on)
    path.write_text("")
    assert lines_of(directory) == {"alice": [line.strip()]}
    assert waited.is_set()


class TestUnusable:
    """The directory itself."""

    def test_it_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DirectoryUnusable, match=r"/none: the directory cannot be read: No su"):
            KeyDirectory(tmp_path / "none").look()

    def test_it_is_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(DirectoryUnusable, match=r"cannot be read: Not a directory"):
            KeyDirectory(write(tmp_path / "file", "")).look()

    def test_others_may_write_it(self, directory: KeyDirectory, line: str) -> None:
        """With the sticky bit, as in a Secret's mount, the files' owners are what counts."""
        write(directory.path / "alice", line)
        directory.path.chmod(0o777)
        with pytest.raises(DirectoryUnusable, match="others may write the directory"):
            directory.look()
        directory.path.chmod(0o1777)
        assert set(lines_of(directory)) == {"alice"}

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")
    def test_somebody_elses(self, directory: KeyDirectory) -> None:
        os.chown(directory.path, 12345, -1)
        with pytest.raises(DirectoryUnusable, match="the directory must belong to root"):
            directory.look()

    def test_another_empty_file_system(
        self, directory: KeyDirectory, line: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a mount leaves behind is not a directory from which everybody was removed."""
        path = write(directory.path / "alice", line)
        assert set(lines_of(directory)) == {"alice"}
        path.unlink()
        directory._device = -1
        with pytest.raises(DirectoryUnusable, match="another file system is there now"):
            directory.look()


@given(st.binary(max_size=300))
def test_any_content_is_keys_or_warnings(content: bytes) -> None:
    try:
        keys, complaints = module._parse(content.decode(errors="replace"))
    except module._Skipped:
        return
    assert keys == {}
    assert all("\n" not in complaint for complaint in complaints)
