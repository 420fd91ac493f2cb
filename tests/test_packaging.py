"""Both distributions as people get them: built, installed into a clean venv, and run.

Everything happens on a copy of what git tracks (and of what is new), so that no build litters the
checkout, and nothing that is only in the checkout can be missed in a package.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from kworkspace.cli import __version__
from tests.ports import free_port

ROOT = Path(__file__).parent.parent
HUB_FOLDERS = ("authenticators", "gateway", "hub", "share", "spawners", "ssh")
NOT_PACKAGED = {"cli/setup.py", "cli/setup.cfg", "cli/pyproject.toml", "cli/LICENSE"}
SECONDS = 120


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program as a person outside of any venv would; the test fails with what it said."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environ |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if check:
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@dataclass(frozen=True)
class Venv:
    """A virtual environment with nothing in it, not even pip."""

    folder: Path

    def install(self, *what: str | Path) -> None:
        """Install with the pip of these tests."""
        pip = (sys.executable, "-m", "pip", "--python", self.folder / "bin/python")
        run(*pip, "install", "--quiet", *what, cwd=self.folder)

    def run(self, program: str, *args: str) -> str:
        """Run one of its programs, somewhere else, and return what it printed."""
        return run(self.folder / "bin" / program, *args, cwd=self.folder).stdout


def make_venv(folder: Path) -> Venv:
    """Make a clean one."""
    venv.create(folder, with_pip=False, symlinks=True)
    return Venv(folder)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one commit with all that is, or would be, in this one."""
    folder = tmp_path_factory.mktemp("checkout")
    listing = run("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=ROOT).stdout
    for name in filter(None, listing.split("\0")):
        if (ROOT / name).exists():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target, follow_symlinks=False)
    git = ("git", "-c", "user.name=tests", "-c", "user.email=tests@localhost")
    run(*git, "init", "--quiet", cwd=folder)
    run(*git, "add", "--all", cwd=folder)
    run(*git, "commit", "--quiet", "--message", "everything", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sdist and wheel of both, the wheels made from the sdists."""
    folder = tmp_path_factory.mktemp("dist")
    for source in (checkout / "cli", checkout):
        run(sys.executable, "-m", "build", "--no-isolation", "-o", folder, source, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def hub_venv(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Venv:
    """A venv with both wheels."""
    clean = make_venv(tmp_path_factory.mktemp("hub") / "venv")
    clean.install(*built.glob("*.whl"))
    return clean


def tracked(checkout: Path, folder: str) -> set[str]:
    """The files of a folder that belong into its package, as paths below `kworkspace/`."""
    files = run("git", "ls-files", folder, cwd=checkout).stdout.splitlines()
    return {f"kworkspace/{file}" for file in files} - {
        f"kworkspace/{file}" for file in NOT_PACKAGED
    }


def test_wheels_hold_every_file_of_their_packages(checkout: Path, built: Path) -> None:
    (hub,) = built.glob("kworkspace_hub-*.whl")
    (cli,) = built.glob("kworkspace-*.whl")
    for wheel, folders in ((hub, HUB_FOLDERS), (cli, ("cli",))):
        held = set(zipfile.ZipFile(wheel).namelist())
        expected = set().union(*(tracked(checkout, folder) for folder in folders))
        packed = {name for name in held if ".dist-info/" not in name}
        assert packed == expected
        assert any(name.endswith("licenses/LICENSE") for name in held)


def test_sdists_are_licensed_and_described(built: Path) -> None:
    for pattern in ("kworkspace_hub-*.tar.gz", "kworkspace-*.tar.gz"):
        (sdist,) = built.glob(pattern)
        with tarfile.open(sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        assert {"LICENSE", "PKG-INFO", "pyproject.toml", "setup.py"} <= names


def test_commands_of_both(hub_venv: Venv) -> None:
    assert "connect" in hub_venv.run("kworkspace", "--help")
    assert hub_venv.run("kworkspace-hub", "--version").strip() == __version__
    assert "SSHKeyAuthenticator.users" in hub_venv.run("kworkspace-hub", "--help-all")
    assert "--listen" in hub_venv.run("python", "-m", "kworkspace.gateway", "--help")


def test_hub_runs_from_its_wheel(hub_venv: Venv, tmp_path: Path) -> None:
    """Migrations and pages are package data: a hub without them starts no further."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [str(hub_venv.folder / "bin/kworkspace-hub"), f"--Hub.data_dir={tmp_path}"]
    command += [f"--Hub.bind_url={url}", "--Hub.services=[{'name': 'gateway', 'command': []}]"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        hub = subprocess.Popen(command, stdout=output, stderr=output, cwd=tmp_path)
    try:
        page = wait_for(url, hub)
    finally:
        hub.terminate()
        hub.wait(20)
    assert hub.returncode == 0, log.read_text()
    assert "kworkspace" in page, log.read_text()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> str:
    """Return the page as soon as it is served, "" when the process ends instead."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read(), "utf-8")
        except urllib.error.URLError:
            time.sleep(0.05)
    return ""


@pytest.mark.parametrize("by", ["folder", "git"])
def test_command_alone(checkout: Path, tmp_path: Path, by: str) -> None:
    """What README tells: the command needs nothing of the hub."""
    clean = make_venv(tmp_path / "venv")
    git = f"git+file://{checkout}#subdirectory=cli"
    clean.install(git if by == "git" else checkout / "cli")
    assert "connect" in clean.run("kworkspace", "--help")
    assert clean.run("kworkspace", "--version").strip().endswith(__version__)
    for needless in ("kworkspace.hub", "tornado", "asyncssh", "aiohttp", "sqlalchemy"):
        script = f"import importlib.util as u; print(u.find_spec('{needless}'))"
        assert clean.run("python", "-c", script).strip() == "None"
