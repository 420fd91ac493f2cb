"""xtask as it is started: what it lists, and its one line for whatever is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COPIED = ("xtask", "setup.cfg", "setup.py", "pyproject.toml", "cli/setup.cfg", "cli/setup.py")


def xtask(
    *args: str, at: Path = ROOT, path: str | None = None, block: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run it; `block` is a module that Python then does not have."""
    script = f"import runpy, sys; sys.modules['{block}'] = None; sys.argv = sys.argv[1:]"
    script += "; runpy.run_path(sys.argv[0], run_name='__main__')"
    return subprocess.run(
        [sys.executable, *(["-c", script] if block else []), str(at / "xtask"), *args],
        capture_output=True,
        text=True,
        env=os.environ | ({} if path is None else {"PATH": path}),
        timeout=60,
        check=False,
    )


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A checkout without .venv, as far as xtask asks for it."""
    for name in COPIED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


def test_alone_it_lists_its_commands() -> None:
    done = xtask()
    assert done.returncode == 0
    listed = [line.split()[0] for line in done.stdout.splitlines()[2:]]
    assert listed == ["setup", "demo", "fmt", "lint", "test", "ci", "bench"]
    assert os.access(ROOT / "xtask", os.X_OK)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nonsense"], "there is no command 'nonsense'; there are setup, demo, fmt"),
        (["lint", "x"], "lint takes no arguments"),
    ],
)
def test_wrong_command_line(args: list[str], said: str) -> None:
    done = xtask(*args)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"xtask: {said}")
    assert done.stderr.count("\n") == 1


def test_missing_venv_is_named(fresh: Path) -> None:
    done = xtask("setup", at=fresh, block="ensurepip")
    assert done.returncode == 1
    assert done.stderr == "xtask: Python's venv is missing: apt-get install python3-venv\n"


def test_missing_ssh_is_named(fresh: Path) -> None:
    """Before anything is installed."""
    done = xtask("demo", at=fresh, path=str(fresh))
    assert done.returncode == 1
    assert done.stderr == "xtask: a program is missing: apt-get install openssh-client\n"
    assert not (fresh / ".venv").exists()


def test_file_that_cannot_be_read_is_named(fresh: Path) -> None:
    (fresh / "cli/setup.cfg").unlink()
    done = xtask("setup", at=fresh)
    assert done.returncode == 1
    assert done.stderr == f"xtask: {fresh}/cli/setup.cfg: No such file or directory\n"


def test_setup_installs_again_when_requirements_change(fresh: Path) -> None:
    """Seen at the step where it begins: without ensurepip it gets no further."""
    place = f"{fresh} {sys.version}".replace("\n", " ")
    (fresh / ".venv").mkdir()
    print_contents = "import runpy; print(runpy.run_path('xtask')['_contents']())"
    shown = subprocess.run(
        [sys.executable, "-c", print_contents],
        cwd=fresh,
        capture_output=True,
        text=True,
        check=True,
    )
    (fresh / ".venv/xtask-stamp").write_text(f"{place}\n{shown.stdout}")
    assert xtask("setup", at=fresh, block="ensurepip").returncode == 0
    with (fresh / "setup.cfg").open("a") as file:
        file.write("    another>=1\n")
    assert xtask("setup", at=fresh, block="ensurepip").returncode == 1
