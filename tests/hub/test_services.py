"""Managed services: real processes, kept running, adopted, ended."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from kworkspace.hub import services
from kworkspace.hub.files import FileUnusable, write_secret
from kworkspace.hub.services import MARK, Service, Supervisor
from kworkspace.spawners.processes import carrying
from tests.hub.clock import until
from tests.hub.parts import Parts

# Says its pid and environment, and then does what the test wants.
BEGIN = """
import json, os, signal, sys, time
with open("said.new", "w") as file:
    json.dump({"pid": os.getpid(), "sid": os.getsid(0), "cwd": os.getcwd(), **os.environ}, file)
print("hello", flush=True)
"""
SAY = "os.rename('said.new', 'said')\n"
WAIT = SAY + "signal.pause()\n"
IGNORE = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SAY
IGNORE += "while True: time.sleep(60)\n"

Make = Callable[[str], Supervisor]


async def alone() -> bool:
    return False


@pytest.fixture
async def make(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Make]:
    """Return a function that makes a supervisor of one service; what it started is ended."""
    monkeypatch.setattr(services, "BACKOFF_SECONDS", (0.01,))
    made: list[Supervisor] = []

    def make_(script: str) -> Supervisor:
        service = Service("culler", (sys.executable, "-c", BEGIN + script), {"MINE": "yes"})
        supervisor = Supervisor(
            services=(service,),
            directory=tmp_path / "services",
            hub_id="this-hub",
            environment={"KWORKSPACE_API_URL": "http://127.0.0.1:1/hub/api"},
            tokens=parts.tokens,
            leases=parts.leases,
            leave=alone,
            check={},
        )
        made.append(supervisor)
        return supervisor

    yield make_
    for supervisor in made:
        await supervisor.aclose()
    assert carrying(MARK, "this-hub/culler") == []


async def said(folder: Path) -> dict[str, str]:
    """Return what the service says of itself, once."""
    file = folder / "services" / "culler" / "said"
    await until(file.exists)
    words: dict[str, str] = json.loads(file.read_text())
    file.unlink()
    return words


async def test_what_a_service_gets(make: Make, parts: Parts, tmp_path: Path) -> None:
    await make(WAIT).start()
    words = await said(tmp_path)
    folder = tmp_path / "services" / "culler"
    token = (folder / "token").read_text().strip()
    assert (folder / "token").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    found = parts.tokens.find(token)
    assert found is not None
    assert found.service == "culler"
    for prefix in ("KWORKSPACE", "JUPYTERHUB"):
        assert words[f"{prefix}_API_TOKEN"] == token
        assert words[f"{prefix}_SERVICE_NAME"] == "culler"
    assert words["KWORKSPACE_API_TOKEN_FILE"] == str(folder / "token")
    assert words["KWORKSPACE_API_URL"] == "http://127.0.0.1:1/hub/api"
    assert (words["MINE"], words["cwd"]) == ("yes", str(folder))
    assert words["sid"] == words["pid"], "a process group of its own"
    assert not {"SSH_AUTH_SOCK", "PYTEST_CURRENT_TEST"} & set(words)
    assert (folder / "log").read_text() == "hello\n"


async def test_restarted_when_it_ends(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await make(WAIT).start()
    first = await said(tmp_path)
    os.kill(int(first["pid"]), signal.SIGKILL)
    second = await said(tmp_path)
    assert second["pid"] != first["pid"]
    assert second["KWORKSPACE_API_TOKEN"] == first["KWORKSPACE_API_TOKEN"]
    assert "Service culler ended; again in 0 s. The last line of " in caplog.text


async def test_adopted_by_the_next_hub(make: Make, tmp_path: Path) -> None:
    """A hub that is killed leaves its services; the next one has them, and no second ones."""
    killed = make(WAIT)
    await killed.start()
    first = await said(tmp_path)
    await killed._tasks.aclose()
    after = make(WAIT)
    await after.start()
    await until(lambda: after._running)
    assert [process.pid for process in carrying(MARK, "this-hub/culler")] == [int(first["pid"])]
    assert after._running["culler"].pid == int(first["pid"])
    os.kill(int(first["pid"]), signal.SIGKILL)
    assert (await said(tmp_path))["pid"] != first["pid"]


async def test_one_that_does_not_end_is_killed(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(services, "END_SECONDS", 0.2)
    supervisor = make(IGNORE)
    await supervisor.start()
    await said(tmp_path)
    await supervisor.aclose()
    await until(lambda: carrying(MARK, "this-hub/culler") == [])
    assert "did not end within 0 s: killed" in caplog.text


async def test_program_that_is_not_there(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(services, "BACKOFF_SECONDS", (0.01,))
    supervisor = Supervisor(
        services=(Service("odd", ("/nowhere/at-all",)), Service("odder", ("x",), cwd="/nowhere")),
        directory=tmp_path / "services",
        hub_id="this-hub",
        environment={},
        tokens=parts.tokens,
        leases=parts.leases,
        leave=alone,
        check={},
    )
    await supervisor.start()
    await until(lambda: caplog.text.count("cannot be started: [Errno 2]") > 3)
    await supervisor.aclose()


async def test_another_command_replaces_the_old_one(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What the configuration no longer names is not adopted but ended."""
    first = make(WAIT)
    await first.start()
    old = int((await said(tmp_path))["pid"])
    await first._tasks.aclose()  # as of a hub that was killed: the service runs on
    await make("pass\n" + WAIT).start()
    new = int((await said(tmp_path))["pid"])
    await until(lambda: [process.pid for process in carrying(MARK, "this-hub/culler")] == [new])
    assert new != old
    assert "has another command or URL now" in caplog.text


async def test_children_of_a_service_are_not_taken_for_it(make: Make, tmp_path: Path) -> None:
    child = "import subprocess\nchild = subprocess.Popen(['sleep', '60'])\n"
    first = make(child + WAIT)
    await first.start()
    pid = int((await said(tmp_path))["pid"])
    await first._tasks.aclose()
    again = make(child + WAIT)
    await again.start()
    await until(lambda: again._running)
    assert again._running["culler"].pid == pid
    assert len(carrying(MARK, "this-hub/culler")) == 2
    for process in carrying(MARK, "this-hub/culler"):
        if process.pid != pid:
            os.kill(process.pid, signal.SIGKILL)


@pytest.fixture
def given(parts: Parts, tmp_path: Path) -> Callable[[Service], Supervisor]:
    """Return a function that makes a supervisor of one service."""

    def make_(service: Service) -> Supervisor:
        return Supervisor(
            services=(service,),
            directory=tmp_path / "services",
            hub_id="this-hub",
            environment={},
            tokens=parts.tokens,
            leases=parts.leases,
            leave=alone,
            check={},
        )

    return make_


async def test_a_service_that_somebody_else_runs(
    given: Callable[[Service], Supervisor], parts: Parts, tmp_path: Path
) -> None:
    """Its token is good, and nothing is started nor written for it."""
    write_secret(tmp_path / "token", "from-an-admin")
    supervisor = given(Service("gateway", (), token_file=tmp_path / "token"))
    await supervisor.start()
    found = parts.tokens.find("from-an-admin")
    assert found is not None
    assert found.service == "gateway"
    assert not (tmp_path / "services").exists()
    await supervisor.aclose()


async def test_a_token_of_an_admin_for_a_service_of_ours(
    given: Callable[[Service], Supervisor], tmp_path: Path
) -> None:
    write_secret(tmp_path / "token", "from-an-admin")
    command = (sys.executable, "-c", BEGIN + WAIT)
    supervisor = given(Service("culler", command, token_file=tmp_path / "token"))
    await supervisor.start()
    words = await said(tmp_path)
    await supervisor.aclose()
    assert words["KWORKSPACE_API_TOKEN"] == "from-an-admin"
    assert words["KWORKSPACE_API_TOKEN_FILE"] == str(tmp_path / "token")
    assert not (tmp_path / "services" / "culler" / "token").exists()


async def test_a_token_file_without_a_token(
    given: Callable[[Service], Supervisor], tmp_path: Path
) -> None:
    """One line that names it, and no token made in its place."""
    supervisor = given(Service("gateway", (), token_file=tmp_path / "token"))
    with pytest.raises(FileUnusable, match=f"{tmp_path}/token has no token: .*api_token_file"):
        await supervisor.start()
    assert not (tmp_path / "token").exists()
