"""The program itself: what a person can mend is one line and exit code 1."""

import asyncio
import logging
import re
import socket
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kworkspace.hub import __version__
from kworkspace.hub.app import Hub, _command_first
from kworkspace.hub.config_check import ConfigError


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """The program sets up the logging of its process, which here is the test run's."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("kworkspace.hub").setLevel(logging.NOTSET)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hub_config.py"


def load(file: Path, *lines: str, arguments: tuple[str, ...] = ()) -> Hub:
    """Read a configuration file as the program does."""
    file.write_text("c = get_config()\n" + "".join(f"{line}\n" for line in lines))
    hub = Hub()
    hub.initialize(["-f", str(file), *arguments])
    return hub


def test_command_line_wins(file: Path) -> None:
    hub = load(file, "c.Hub.base_url = '/a/'", "c.Hub.token_expires_in = 99")
    assert (hub.base_url, hub.token_expires_in, hub.log_level) == ("/a/", 99, logging.INFO)
    hub = load(file, "c.Hub.base_url = '/a/'", arguments=("--Hub.base_url=/b/", "--debug"))
    assert (hub.base_url, hub.log_level) == ("/b/", logging.DEBUG)


def test_generated_file_is_valid_and_complete(file: Path) -> None:
    """Every option with its help, each as a comment that is right when it is taken in."""
    hub = Hub(config_file=str(file), generate_config=True)
    hub.start()
    text = file.read_text()
    kinds: list[Any] = [Hub, *Hub.classes]
    for kind in kinds:
        for name in kind.class_own_traits(config=True):
            assert f"# c.{kind.__name__}.{name} = " in text
    taken_in = text.replace("# c.", "c.")
    assert compile(taken_in, "hub_config.py", "exec")
    assert load(file, *text.splitlines()).base_url == "/"
    with pytest.raises(ConfigError, match="exists already: move it away, or name another one"):
        hub.start()
    hub.config_file = str(file / "below")
    with pytest.raises(ConfigError, match="cannot be written: Not a directory"):
        hub.start()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("c.Hub.bogus = 1", "c.Hub.bogus: no such option; it has active_server_limit, "),
        ("c.Hub.base_ulr = '/'", "c.Hub.base_ulr: no such option; did you mean base_url?"),
        ("c.Hubb.x = 1", "c.Hubb: there is no such class; did you mean c.Hub?"),
        ("c.Hub.token_expires_in = 'x'", "c.Hub.token_expires_in: The 'token_expires_in' trait"),
        ("c.Hub.spawner_class = 'nope'", "c.Hub.spawner_class: The 'spawner_class' trait has no"),
        ("c.Hub.public_urls = ['x']", "c.Hub.public_urls: The 'public_urls' trait: url: 'x' is"),
        ("x = (", "'(' was never closed"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import nothing_such", "ModuleNotFoundError: No module named 'nothing_such'"),
        ("x = 'é'.encode('ascii')", "UnicodeEncodeError: "),
    ],
)
def test_mistakes_in_the_file(
    file: Path, capfd: pytest.CaptureFixture[str], line: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file, "c.Hub.data_dir = 'data'", line)
    assert caught.value.message.startswith(f"{file}:3: {said}")
    assert "\n" not in caught.value.message
    assert capfd.readouterr().err == "", "nothing is said twice"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--Hub.bogus=1",), "c.Hub.bogus: no such option"),
        (("--Hub.token_expires_in=x",), "token_expires_in"),
        (("nonsense",), "'nonsense' is not a command; see kworkspace-hub --help"),
        (("--log-level",), "expected one argument; see kworkspace-hub --help"),
    ],
)
def test_mistakes_on_the_command_line(file: Path, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(file, arguments=arguments)
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one that was asked for must be there."""
    monkeypatch.chdir(tmp_path)
    hub = Hub()
    hub.initialize([])
    assert hub.base_url == "/"
    with pytest.raises(ConfigError, match=f"{tmp_path}/other.py does not exist"):
        Hub().initialize(["-f", "other.py"])


async def run(*arguments: str) -> tuple[int, str, str]:
    """Run the real program to its end."""
    program = str(Path(sys.executable).with_name("kworkspace-hub"))
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(30):
            stdout, stderr = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, stdout.decode(), stderr.decode()


async def test_help_and_version() -> None:
    help_, version = await asyncio.gather(run("--help-all"), run("--version"))
    assert version[:2] == (0, f"{__version__}\n")
    assert help_[0] == 0
    for option in ("--Hub.concurrent_spawn_limit", "--Spawner.start_timeout", "--generate-config"):
        assert option in help_[1]


async def test_what_keeps_it_from_starting(file: Path, tmp_path: Path, empty_sqlite: Path) -> None:
    """Each is one line that says what to do, and no traceback."""
    newer = tmp_path / "newer.sqlite"
    newer.write_bytes(empty_sqlite.read_bytes())
    with sqlite3.connect(newer) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    (tmp_path / "text.sqlite").write_text("this is no database" * 1000)
    taken = socket.create_server(("127.0.0.1", 0))
    bind = f"http://127.0.0.1:{taken.getsockname()[1]}"
    file.write_text("c.Hub.services = [{'name': 'gateway', 'command': []}]\n")
    url = "--Hub.db_url=sqlite+aiosqlite:///"
    free = "--Hub.bind_url=http://127.0.0.1:0"
    cases = {
        (f"--Hub.bind_url={bind}", f"--Hub.data_dir={tmp_path}/a"): f"cannot listen on {bind}",
        (free, f"--Hub.data_dir={file}"): f"The data directory {file} cannot be made",
        (free, f"--Hub.data_dir={tmp_path}/b", f"{url}{newer}"): "made by a newer kworkspace-hub",
        (free, f"--Hub.data_dir={tmp_path}/c", f"{url}{tmp_path}/text.sqlite"): "is corrupt",
        (free, f"--Hub.data_dir={tmp_path}/d", f"{url}{tmp_path}/no/x"): "The lock file",
        (free, "--Hub.bogus=1"): "c.Hub.bogus: no such option",
        (
            free,
            f"--Hub.data_dir={tmp_path}/e",
            "--SSHKeyAuthenticator.admin_users=a/b",
        ): "a user name must not contain '/'",
    }
    results = await asyncio.gather(*(run("-f", str(file), *case) for case in cases))
    taken.close()
    for (case, said), (code, stdout, stderr) in zip(cases.items(), results, strict=True):
        assert (code, stdout) == (1, ""), (case, stderr)
        *before, last = stderr.splitlines()
        assert last.startswith("kworkspace-hub: "), stderr
        assert said in last, case
        assert [line for line in before if " WARNING " not in line] == [], case


@pytest.mark.parametrize("argv", [["token", "-f", "x.py", "bob"], ["-f", "x.py", "token", "bob"]])
def test_command_before_or_after_its_options(argv: list[str]) -> None:
    assert _command_first(argv, {"token": ()})[0] == "token"


def test_file_with_the_name_of_a_command() -> None:
    assert _command_first(["-f", "token"], {"token": ()}) == ["-f", "token"]


def test_generated_options_belong_to_the_hub_alone(tmp_path: Path) -> None:
    app = Hub()
    written = app.generate_config_file()
    assert "c.Hub.log_format = " in written
    assert not re.search(r"c\.\w+Options\.", written)
    assert "# Application(" not in written
