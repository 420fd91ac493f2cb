"""What LocalSpawner says of the machine."""

import os
import sys
from pathlib import Path

import pytest

from kworkspace.spawners.base import Check
from kworkspace.spawners.local import LocalSpawner
from kworkspace.spawners.local.checks import checks


async def test_a_machine_that_will_do(tmp_path: Path) -> None:
    spawner = LocalSpawner(hub_id="hub", data_dir=tmp_path / "later", on_exit=print)
    assert list(await spawner.check()) == [
        Check("Linux with pidfd and /proc", "this machine", ok=True),
        Check("write", str(tmp_path / "later/workspaces"), ok=True),
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _, write = checks(tmp_path / "file" / "workspaces", system_users=False)
    assert not write.ok
    assert write.detail.startswith(f"{tmp_path / 'file'} cannot be written")


def test_another_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    machine, _ = checks(tmp_path, system_users=False)
    assert not machine.ok
    assert "run the hub on Linux" in machine.detail


def test_accounts_need_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    *_, accounts = checks(tmp_path, system_users=True)
    assert not accounts.ok
    assert "run it as root" in accounts.detail
