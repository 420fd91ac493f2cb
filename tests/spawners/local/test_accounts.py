"""Which accounts may be logged in to: those that sshd would let in."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kworkspace.cli.client.errors import KworkspaceError, StartFailed
from kworkspace.spawners.local import accounts
from kworkspace.spawners.local.accounts import check_hub, find_account, login_environment
from tests.spawners.local.machine import SHARED_GROUP, own_namespace, people

if TYPE_CHECKING:
    from tests.spawners.local.conftest import House


@pytest.fixture(scope="module")
def uids(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    with own_namespace():
        yield people(tmp_path_factory.mktemp("machine"), ["kwalice", "kwbob"])


def change(file: str, old: str, new: str) -> None:
    """Change a file of /etc, which is this namespace's."""
    path = Path("/etc", file)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture
def etc(uids: dict[str, int]) -> Iterator[None]:
    """Give /etc back as it was."""
    files = {name: Path("/etc", name).read_text() for name in ("passwd", "shadow", "group")}
    yield
    for name, text in files.items():
        Path("/etc", name).write_text(text)


def test_an_account(uids: dict[str, int]) -> None:
    found = find_account("kwalice")
    assert (found.uid, found.gid) == (uids["kwalice"],) * 2
    assert set(found.groups) == {found.gid, SHARED_GROUP}
    assert login_environment(found) == {
        "PATH": login_environment(found)["PATH"],
        "HOME": "/home/kwalice",
        "USER": "kwalice",
        "LOGNAME": "kwalice",
        "SHELL": "/bin/bash",
    }
    assert login_environment(found)["PATH"].startswith("/usr/local/bin:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("root", "is root's"),
        ("daemon", "is one of the system's (uid 1, people have 1000 and more)"),
        ("nobody", "is one of the system's (uid 65534"),
    ],
)
def test_accounts_that_are_nobodys(user: str, why: str) -> None:
    with pytest.raises(StartFailed) as refused:
        find_account(user)
    assert refused.value.message.startswith(f"The account {user} {why}")
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("user", ["kw-no-such-account", "61001", "a\0b", "ü" * 100, "KWALICE"])
def test_no_account(user: str) -> None:
    with pytest.raises(StartFailed, match="There is no account"):
        find_account(user)


@pytest.mark.parametrize(
    ("file", "old", "new", "why"),
    [
        ("passwd", "kwalice:/bin/bash", "kwalice:/usr/sbin/nologin", "its shell is /usr/sbin/nolo"),
        ("passwd", "kwalice:/bin/bash", "kwalice:/no/such/shell", "/no/such/shell is no program"),
        ("passwd", "kwalice:/bin/bash", "kwalice:/bin", "/bin is no program"),
        ("passwd", "kwalice:x:61001", "kwalice:x:0", "is root's"),
        ("shadow", "kwalice:*", "kwalice:!", "is locked"),
        ("shadow", "kwalice:*", "kwalice:!$6$x$y", "is locked"),
        ("shadow", "kwalice:*:20000:0:99999:7::", "kwalice:*:20000:0:99999:7::1", "has expired"),
        ("shadow", "kwalice:*:20000:0:99999:7::", "kwalice:*:20000:0:99999:7::0", "has expired"),
        ("shadow", "kwalice:*:20000", "kwalice:*:0", "a password that has expired"),
        ("shadow", "kwalice:*:20000:0:99999", "kwalice:*:100:0:9", "a password that has expired"),
    ],
)
def test_accounts_that_sshd_would_refuse(
    etc: None, file: str, old: str, new: str, why: str
) -> None:
    change(file, old, new)
    with pytest.raises(StartFailed, match=why):
        find_account("kwalice")
    assert find_account("kwbob").name == "kwbob"


def test_what_is_no_reason(etc: None) -> None:
    change("passwd", "kwalice:/bin/bash", "kwalice:")
    change("shadow", "kwalice:*:20000:0:99999:7:::", "kwalice:*:20000:0::7::99999:")
    assert find_account("kwalice").shell == "/bin/sh"
    change("shadow", "kwalice:*:20000:0::7::99999:\n", "")
    assert find_account("kwalice").name == "kwalice"


def test_no_logins_now(
    uids: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "NO_LOGINS", tmp_path / "nologin")
    (tmp_path / "nologin").touch()
    with pytest.raises(StartFailed, match="keeps everybody out"):
        find_account("kwalice")


def test_a_machine_without_login_defs(
    uids: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "LOGIN_DEFS", tmp_path / "login.defs")
    assert login_environment(find_account("kwalice"))["PATH"] == "/usr/local/bin:/usr/bin:/bin"
    (tmp_path / "login.defs").write_text("# UID_MIN 1\nUID_MIN\t\t 61002\n")
    with pytest.raises(StartFailed, match="61002 and more"):
        find_account("kwalice")


async def test_a_hub_that_root_does_not_run(
    house: "House", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(KworkspaceError, match="needs a hub that is run by root"):
        await house.spawner(system_users=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("kind", ["another's", "writable", "link"])
def test_a_directory_that_others_can_change(kind: str, tmp_path: Path) -> None:
    directory = tmp_path / "data" / "workspaces"
    directory.mkdir(parents=True)
    check_hub(directory)
    if kind == "another's":
        os.chown(tmp_path / "data", 61001, 61001)
    elif kind == "writable":
        (tmp_path / "data").chmod(0o770)
    else:
        (tmp_path / "data").rename(tmp_path / "real")
        (tmp_path / "data").symlink_to("real")
    with pytest.raises(KworkspaceError, match=f"{tmp_path}/data must be"):
        check_hub(directory)
