"""Sessions do what OpenSSH's own server does: most cases run against both and are compared."""

import asyncio
import hashlib
import os
import random
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.conftest import stalled

if TYPE_CHECKING:
    from tests.spawners.local.conftest import House, Ssh

BLOB = random.Random(1).randbytes(5 * 1024 * 1024)

CASES: dict[str, tuple[list[str | bytes], bytes]] = {
    "exit 0": (["true"], b""),
    "exit 7": (["exit 7"], b""),
    "exit 255": (["exit 255"], b""),
    "unknown command": (["no-such-program-anywhere"], b""),
    "killed by TERM": (["kill -TERM $$"], b""),
    "killed by a real-time signal": (["kill -40 $$"], b""),
    "streams apart": (["echo out; echo err >&2; echo out2"], b""),
    "half-close": (["cat; echo done"], b"typed\n"),
    "half-close at once": (["wc -c"], b""),
    "closes its input": (["exec <&-; echo closed"], b"x" * 500_000),
    "closes its output": (["exec >&- 2>&-; cat >/dev/null; exit 4"], b"x" * 500_000),
    "exits without reading": (["exit 3"], b"x" * 500_000),
    "both ways": (["cat"], BLOB),
    "upload": (["sha256sum"], BLOB),
    "stderr in bulk": (["yes 123456789 | head -n 200000 >&2"], b""),
    "both outputs in bulk": (["yes 12345678 | head -n 99999 | tee /dev/stderr"], b""),
    "written just before the exit": (["head -c 3000000 /dev/zero; exit 9"], b""),
    "background process holds the output": (["(sleep 0.3; echo late) & echo first; exit 5"], b""),
    "background process lets go": (["sleep 60 >/dev/null 2>&1 </dev/null & echo $?"], b""),
    "shell without terminal": (["-T"], b"echo from the shell: $0; exit 6\n"),
    "exec": (["echo $0"], b""),
    "not UTF-8": ([b"printf '%s' '\xff\xfe\xe4' | od -An -tx1"], b""),
    "quotes and newlines": (["printf '%s\\n' 'a  b' \"c\"\nprintf '%s' '$HOME'"], b""),
    "long command": ([f"echo {'x' * 60_000} | wc -c"], b""),
    "pipes": (["for n in 0 1 2; do readlink /proc/self/fd/$n | cut -d: -f1; done"], b""),
    "a session of its own": (["ps -o pid=,sid= -p $$ | awk '{print $1 == $2}'"], b""),
    "no terminal": (["tty"], b""),
    "terminal": (["-tt", "tty | cut -c1-9; echo err >&2; exit 42"], b""),
    "terminal written just before the exit": (["-tt", "yes 123456 | head -n 50000"], b""),
    "terminal has SSH_TTY": (["-tt", '[ "$SSH_TTY" = "$(tty)" ] && echo same'], b""),
    "terminal end of file": (["-tt", "cat"], b"line\n\x04"),
    "terminal with background process": (["-tt", "sleep 60 & echo $?"], b""),
    "terminal type": (["-tt", 'echo "$TERM"'], b""),
    "accepted variable": (["-o", "SetEnv=LC_TEST=1äß", 'printf "%s" "$LC_TEST"'], b""),
    "refused variable": (["-o", "SetEnv=LD_PRELOAD=x", 'echo "[$LD_PRELOAD]"'], b""),
    "unknown subsystem": (["-s", "no-such-subsystem"], b""),
    "default signals": (["grep -E 'Sig(Blk|Ign)' /proc/self/status"], b""),
    "terminal default signals": (["-tt", "grep -E 'Sig(Blk|Ign)' /proc/self/status"], b""),
    "open files": (["ls /proc/self/fd"], b""),
    "terminal open files": (["-tt", "ls /proc/self/fd"], b""),
    "umask": (["umask"], b""),
}


@pytest.mark.parametrize("case", CASES)
def test_as_sshd(case: str, ssh: "Ssh", sshd: "Ssh") -> None:
    args, data = CASES[case]
    # OpenSSH wants its options before the host: all but the command itself.
    options = tuple(arg for arg in args if isinstance(arg, str) and arg in {"-T", "-tt", "-s"})
    rest = [arg for arg in args if arg not in options]
    if options == ("-tt",) and os.geteuid() != 0:
        pytest.skip("an sshd that is not root's cannot hand out terminals")
    ours, theirs = (one.run(*rest, input=data, options=options) for one in (ssh, sshd))
    assert ours.returncode == theirs.returncode
    assert ours.stdout == theirs.stdout
    assert ours.stderr == theirs.stderr


def test_binary_round_trip(ssh: "Ssh") -> None:
    finished = ssh.run("cat", input=BLOB)
    assert finished.returncode == 0
    assert hashlib.sha256(finished.stdout).digest() == hashlib.sha256(BLOB).digest()


@pytest.mark.parametrize("options", [(), ("-tt",)], ids=["pipes", "terminal"])
def test_a_reader_that_is_gone_ends_the_command(ssh: "Ssh", options: tuple[str, ...]) -> None:
    line = subprocess.list2cmdline([os.fsdecode(arg) for arg in ssh.argv("yes", options=options)])
    finished = subprocess.run(
        ["bash", "-c", f"{line} </dev/null | head -1"], capture_output=True, timeout=15, check=False
    )
    assert finished.stdout.splitlines() == [b"y"]


def test_a_reader_that_stalls_and_goes(ssh: "Ssh") -> None:
    """What waits for a window that nobody opens again holds up no end."""
    with stalled(ssh.argv()) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(20) == 255


def test_the_client_is_told_that_nobody_reads_its_input(ssh: "Ssh") -> None:
    argv = [
        "LogLevel=DEBUG1" if arg == "LogLevel=ERROR" else arg
        for arg in ssh.argv("exec <&-; read -t 0.3 _ <> <(:)")
    ]
    finished = subprocess.run(
        argv, input=b"x" * 500_000, capture_output=True, timeout=15, check=False
    )
    assert b"rtype eow@openssh.com" in finished.stderr


async def test_signals_reach_the_process_group(ssh: "Ssh") -> None:
    async with asyncssh.connect(
        "127.0.0.1",
        ssh.port,
        username=ssh.account,
        client_keys=[str(ssh.key)],
        known_hosts=None,
        config=None,
    ) as connection:
        process = await connection.create_process("echo up; sleep 60; echo never", encoding=None)
        assert await process.stdout.readline() == b"up\n"
        process.send_signal("NOSUCH")  # ignored
        process.send_signal("TERM")
        finished = await asyncio.wait_for(process.wait(), 15)
        assert finished.exit_signal is not None
        assert finished.exit_signal[0] == "TERM"


async def test_a_lost_connection_hangs_up_the_terminal(ssh: "Ssh", home: Path) -> None:
    script = "trap 'echo hup > hung; exit' HUP; echo up; while :; do sleep 0.05; done"
    await _kill_when_up(ssh, script, "-tt")
    await _appears(home / "hung")


async def test_without_terminal_a_command_survives_its_connection(ssh: "Ssh", home: Path) -> None:
    await _kill_when_up(ssh, "echo up; read line; sleep 0.2; echo on > went-on")
    await _appears(home / "went-on")


async def _kill_when_up(ssh: "Ssh", script: str, *options: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *ssh.argv(script, options=options), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert (await asyncio.wait_for(process.stdout.readline(), 15)).strip() == b"up"
    process.kill()
    await process.wait()


async def _appears(path: Path) -> None:
    deadline = time.monotonic() + 15
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} does not appear"
        await asyncio.sleep(0.02)


async def test_memory_is_bounded_when_the_client_reads_nothing(
    shared: "tuple[House, Ssh]",
) -> None:
    house, ssh = shared
    pid = house.server_pid()
    before = _rss(pid)
    process = await asyncio.create_subprocess_exec(
        *ssh.argv("yes"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, limit=1024
    )
    try:
        await asyncio.sleep(1)  # `yes` writes gigabytes a second where nothing stops it
        assert _rss(pid) - before < 16 * 1024
    finally:
        process.kill()
        assert process.stdout is not None
        await process.stdout.read()
        await process.wait()


async def test_memory_is_bounded_when_the_command_reads_nothing(
    shared: "tuple[House, Ssh]",
) -> None:
    house, ssh = shared
    pid = house.server_pid()
    before = _rss(pid)
    line = subprocess.list2cmdline([os.fsdecode(arg) for arg in ssh.argv("sleep 60")])
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f"yes | {line}", stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        await asyncio.sleep(1)
        assert _rss(pid) - before < 16 * 1024
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _rss(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])


def test_the_environment_is_the_workspaces_own(shared: "tuple[House, Ssh]") -> None:
    house, ssh = shared
    lines = ssh.run("env; pwd").stdout.decode().splitlines()
    assert lines[-1] == str(house.root / "home")
    values = dict(line.split("=", 1) for line in lines[:-1])
    assert values["HOME"] == str(house.root / "home")
    assert values["KWORKSPACE_SERVER_ID"] == house.workspace.id
    assert values["KWORKSPACE_USER"] == "alice"
    assert values["USER"] == values["LOGNAME"] == ssh.account
    assert values["SSH_CONNECTION"].endswith(f" 127.0.0.1 {ssh.port}")
    # What the shell itself adds, and nothing that could be a secret of the hub's.
    assert set(values) <= {
        *("HOME", "USER", "LOGNAME", "SHELL", "MAIL", "PATH", "LANG", "TZ", "PWD", "SHLVL", "_"),
        *("SSH_CONNECTION", "SSH_CLIENT", "KWORKSPACE_SERVER_ID", "KWORKSPACE_USER"),
    }


async def test_memory_is_bounded_when_the_command_reads_slowly(
    shared: "tuple[House, Ssh]",
) -> None:
    """asyncssh opens a window again for what still waits: that must not add up."""
    house, ssh = shared
    pid = house.server_pid()
    before = _rss(pid)
    slow = "while head -c 32768 | grep -q y; do sleep 0.01; done"
    line = subprocess.list2cmdline([os.fsdecode(arg) for arg in ssh.argv(slow)])
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f"yes | {line}", stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        await asyncio.sleep(5)
        assert _rss(pid) - before < 16 * 1024
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
