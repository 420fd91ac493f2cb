"""Whatever OpenSSH does directly, it does through the gateway: one table, run both ways.

Each case is run with the real OpenSSH client against the workspace's own sshd and through the
gateway; exit status, stdout and stderr must be the same, byte for byte.
"""

import random
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import stalled

if TYPE_CHECKING:
    from tests.gateway.conftest import Stack

BLOB = random.Random(1).randbytes(8 * 1024 * 1024)

CASES: dict[str, tuple[list[str | bytes], bytes]] = {
    "exit 0": (["true"], b""),
    "exit 1": (["exit 1"], b""),
    "exit 127": (["no-such-program-anywhere"], b""),
    "exit 255": (["exit 255"], b""),
    "stderr apart": (["echo out; echo err >&2; echo out2"], b""),
    "no output": (["sleep 0"], b""),
    "killed by a signal": (["kill -TERM $$"], b""),
    "killed with core": (["ulimit -c 0; kill -QUIT $$"], b""),
    "half-close": (["cat; echo done"], b"typed\n"),
    "closes stdin early": (["exec <&-; echo closed"], b"x" * 100_000),
    "eof without output": (["wc -c"], b""),
    "upload": (["sha256sum"], BLOB),
    "download": (["head -c 8388608 /dev/urandom | tee /dev/stderr 2>/dev/null | wc -c"], b""),
    "both ways": (["cat"], BLOB),
    "stderr in bulk": (["yes 123456789 | head -n 200000 >&2"], b""),
    "empty command": ([""], b"echo $0 from stdin\n"),
    "command is not UTF-8": ([b"printf '%s' '\xff\xfe\xe4' | od -An -tx1"], b""),
    "quotes and newlines": (["printf '%s\\n' 'a  b' \"c\"\nprintf '%s' '$HOME'"], b""),
    "long command": ([f"echo {'x' * 60_000} | wc -c"], b""),
    "no pty": (["tty; true"], b""),
    "pty": (["-tt", "stty -a | head -1; tty | cut -c1-8; echo err >&2"], b""),
    "pty exit status": (["-tt", "exit 42"], b""),
    "pty end of file": (["-tt", "cat"], b"line\n\x04"),
    "pty term": (["-tt", 'echo "$TERM"'], b""),
    "shell": (["-T"], b"echo from the shell; exit 5\n"),
    "env accepted": (["-o", "SetEnv=LC_TEST=1äß", 'printf "%s" "$LC_TEST"'], b""),
    "env refused": (["-o", "SetEnv=LD_PRELOAD_X=evil", 'echo "[$LD_PRELOAD_X]"'], b""),
    "unknown subsystem": (["-s", "no-such-subsystem"], b""),
    "background output": (["(sleep 0.1; echo late) & echo first"], b""),
}


@pytest.mark.parametrize("case", CASES)
def test_same_as_direct(stack: "Stack", case: str) -> None:
    """Exit status, stdout and stderr are those of a direct connection."""
    words, stdin = CASES[case]
    through = stack.run(*words, stdin=stdin)
    direct = stack.run_direct(*words, stdin=stdin)
    assert through.returncode == direct.returncode
    assert through.stdout == direct.stdout
    assert through.stderr == direct.stderr


def test_head_ends_an_endless_command(stack: "Stack") -> None:
    """`ssh host yes | head -1`: OpenSSH's end of write goes through to the workspace."""
    command = [*stack.ssh(), "yes"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ssh:
        assert ssh.stdout is not None
        assert ssh.stdout.readline() == b"y\n"
        ssh.stdout.close()
        assert ssh.wait(20) == 255  # killed by SIGPIPE over there, as it is directly


def test_a_reader_that_stalls_and_goes(stack: "Stack") -> None:
    """What waits for a window that nobody opens again holds up no end."""
    with stalled(stack.ssh()) as ssh:
        assert ssh.stdout is not None
        ssh.stdout.close()
        assert ssh.wait(20) == 255


def test_stopped_reader_in_the_workspace_ends_the_sender(stack: "Stack") -> None:
    """The workspace's end of write reaches the user: an endless upload ends with its command."""
    with subprocess.Popen(["cat", "/dev/zero"], stdout=subprocess.PIPE) as source:
        ssh = [*stack.ssh(), "head -c 10 >/dev/null; echo enough"]
        ended = subprocess.run(
            ssh, stdin=source.stdout, capture_output=True, timeout=20, check=False
        )
        source.kill()
    assert ended.returncode == 0
    assert ended.stdout == b"enough\n"


def test_large_environment(stack: "Stack") -> None:
    """A hundred variables arrive, in front of the command; sshd takes no more than 128."""
    options = [f"-oSetEnv={' '.join(f'LC_{n}=value-{n}' for n in range(100))}"]
    ended = stack.run(*options, "env | grep -c '^LC_[0-9]*=value-'")
    assert ended.stdout == b"100\n"


@pytest.mark.parametrize("way", ["through", "direct"])
@pytest.mark.parametrize(
    "copy",
    [
        ["scp", "-s", "-r", "-p", "SOURCE", "HOST:TARGET"],
        ["scp", "-O", "-r", "-p", "SOURCE", "HOST:TARGET"],
        ["scp", "-s", "-r", "-p", "HOST:SOURCE", "TARGET"],
        ["scp", "-O", "-r", "-p", "HOST:SOURCE", "TARGET"],
        ["rsync", "-a", "SOURCE/", "HOST:TARGET/"],
        ["rsync", "-a", "HOST:SOURCE/", "TARGET/"],
        ["sftp", "-b", "BATCH", "HOST"],
    ],
    ids=[
        "scp-sftp-up",
        "scp-old-up",
        "scp-sftp-down",
        "scp-old-down",
        "rsync-up",
        "rsync-down",
        "sftp",
    ],
)
def test_files_are_copied(stack: "Stack", tmp_path: Path, copy: list[str], way: str) -> None:
    """sftp, both modes of scp, and rsync: a tree arrives with its bytes and its modes."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "a b").mkdir(parents=True)
    (source / "a b" / "blob").write_bytes(BLOB)
    (source / "script").write_text("#!/bin/sh\n")
    (source / "script").chmod(0o750)
    batch = tmp_path / "batch"
    batch.write_text(f'put -r -p "{source}" "{target}"\n')
    ssh = stack.ssh() if way == "through" else stack.direct()
    places = {"SOURCE": str(source), "TARGET": str(target), "BATCH": str(batch)}
    command = _copy_command(copy, ssh, places)
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert (target / "a b" / "blob").read_bytes() == BLOB
    assert (target / "script").stat().st_mode & 0o777 == 0o750


def _copy_command(copy: list[str], ssh: list[str], places: dict[str, str]) -> list[str]:
    """Fill in the places, and how the program reaches the host that the ssh command names."""
    *options, flag, port, host = ssh[1:]
    assert flag == "-p"
    words = []
    for word in copy[1:]:
        for name, value in places.items():
            word = word.replace(name, value)  # noqa: PLW2901  filled in step by step
        words.append(word.replace("HOST", host))
    if copy[0] == "rsync":
        return ["rsync", "-e", shlex.join(["ssh", *options, "-p", port]), *words]
    return [copy[0], *options, "-P", port, *words]
