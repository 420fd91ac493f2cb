"""bootstrap.sh while the workspace runs: what sessions find, new keys, and the end."""

import asyncio
import os
import re
import subprocess
from dataclasses import replace
from functools import partial

import pytest

from tests.kube_api.marks import NEEDS_REAL_PODS
from tests.spawners.hosts import Hosts
from tests.spawners.kube.box import Box, make_key, until

pytestmark = NEEDS_REAL_PODS

BOTH = pytest.mark.parametrize("options", [{}, {"uid": 1234}], ids=["root", "user"])
SHELLS = pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
PATH = "/opt/conda/bin:/usr/local/bin:/usr/bin:/bin"
ENVIRONMENT = {
    "PATH": PATH,
    "CUDA_HOME": "/usr/local/cuda-12.4",
    "EMPTY": "",
    "JSON": '{"a": "b c", "d": [1]}',
    "SLASHES": r"C:\new\\ and a \" quote \\",
    "SINGLE": "it's",
    "SIGNS": "# $HOME `id` $(id) * ; & | < > ~ % %u",
    "SPACES": "  two  at each end  ",
    "FAR": "café 工作区",
    "OTHER": "a=b=c",
    "LD_LIBRARY_PATH": "/nowhere",
}


@SHELLS
@BOTH
async def test_the_containers_environment(box: Box, shell: str, options: dict[str, int]) -> None:
    """As it is, whatever is in it; but not what is about the first process, or its input."""
    box.shell = "plain busybox" if options and shell == "busybox" else shell
    extra = {"TERM": "vt100", "SSH_AUTH_SOCK": "/x", "LINES_OF": "one\ntwo", "HOME": "/root"}
    given = {**ENVIRONMENT, **extra}
    templates = {name: text.replace("{", "{{").replace("}", "}}") for name, text in given.items()}
    await box.start(environment=templates, **options)
    found = dict(line.partition("=")[::2] for line in (await box.said("/usr/bin/env")).splitlines())
    assert {name: found.get(name) for name in ENVIRONMENT} == ENVIRONMENT
    assert found["HOME"] == "/home/alice"
    assert {"TERM", "SSH_AUTH_SOCK", "LINES_OF"} & found.keys() == set()
    assert [name for name in found if name.startswith("KWORKSPACE_BOOT_")] == []
    assert "Variables that this SSH server cannot hand on to sessions: LINES_OF" in box.log


@BOTH
async def test_who_trusts_the_hub_needs_no_host_key(box: Box, options: dict[str, int]) -> None:
    hosts, id = Hosts(), box.workspace.id
    box.workspace = replace(box.workspace, certify=partial(hosts.certify, id))
    await box.start(**options)
    for name, code in ((id, 0), ("workspace-alice", 255)):
        program, *words = box.command("true")
        command = [program, *hosts.trust(box.directory / "of-authority", name), *words]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
        assert done.returncode == code, done.stderr
    await box.said("exit")  # and who has pinned the key comes in as ever


@BOTH
async def test_a_screen_can_be_lent(box: Box, options: dict[str, int]) -> None:
    """Whether it may be is for the hub's certificate to say, or for whose own key it is."""
    await box.start(**options)
    program, *words = box.command("echo $DISPLAY; xauth list | wc -l")
    done = await asyncio.to_thread(
        subprocess.run,
        [program, "-Y", *words],
        env={**os.environ, "DISPLAY": "127.0.0.1:9"},
        capture_output=True,
        check=False,
    )
    assert re.fullmatch(rb"localhost:1[0-9]\.0\n1\n", done.stdout), done.stderr


@BOTH
async def test_another_host_certificate(box: Box, options: dict[str, int]) -> None:
    """It is shown while sessions go on."""
    first, second = Hosts(), Hosts()
    id = box.workspace.id
    box.workspace = replace(box.workspace, certify=partial(first.certify, id))
    await box.start(**options)
    public = (box.directory / "host.pub").read_text()
    program, *words = box.command("true")
    command = [program, *second.trust(box.directory / "of-authority", id), *words]

    def comes_in() -> bool:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    session = await asyncio.create_subprocess_exec(
        *box.command("echo here; cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert session.stdout is not None
    assert await session.stdout.readline() == b"here\n"
    assert not await asyncio.to_thread(comes_in)
    box.put(**{"ssh_host_ed25519_key-cert.pub": second.certify(id, public) + "\n"})
    await until(comes_in, "a server that shows it")
    said, _ = await session.communicate(b"still here\n")
    assert said == b"still here\n"


@BOTH
async def test_a_login_shell_has_the_containers_path(box: Box, options: dict[str, int]) -> None:
    """This machine's /etc/profile sets one of its own."""
    await box.start(environment={"PATH": PATH}, **options)
    assert "PATH=" in (await box.said("cat /etc/profile"))
    seen = await box.said("bash -lc 'bash -lc \"echo \\$PATH\"'")
    assert seen.startswith(f"{PATH}:")
    assert seen.count("/opt/conda/bin") == 1


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("8.4p1", "Variables that this SSH server cannot hand on to sessions: QUOTED"),
        ("7.4p1", "The image's OpenSSH is older than 7.8: sessions get none of the container's"),
    ],
)
async def test_servers_that_are_older(box: Box, version: str, said: str) -> None:
    """They begin all the same, and what their sessions do not get is told."""
    box.before = [
        "mv /usr/sbin/sshd /usr/sbin/sshd.real",
        (
            "printf '#!/bin/sh\\n[ $1 != -V ] || { echo OpenSSH_%s; exit; }\\n"
            f'exec /usr/sbin/sshd.real "$@"\\n\' {version} > /usr/sbin/sshd'
        ),
        "chmod +x /usr/sbin/sshd",
    ]
    await box.start(environment={"QUOTED": 'a "b"', "PLAIN": r"a\b c"})
    assert any(line.startswith(said) for line in box.log)
    expected = r"a\\b c" if version == "8.4p1" else ""
    # What reads it here is newer, and takes two for one.
    assert await box.said('echo "$PLAIN$QUOTED"') == expected.replace(r"\\", "\\") + "\n"


@BOTH
async def test_keys_change(box: Box, options: dict[str, int]) -> None:
    await box.start(**options)
    other = box.directory / "other"
    line = await asyncio.to_thread(make_key, other)
    box.put(authorized_keys=f"{line}\n")
    await accepts(box, box.key, False)
    assert await box.said("echo in", key=other) == "in\n"
    box.put(authorized_keys=f"{line}\n{box.workspace.authorized_keys[0]}\n")
    await accepts(box, box.key, True)
    assert not await box.refuses(key=other)


async def accepts(box: Box, key: object, expected: bool) -> None:
    for _ in range(100):
        if await box.refuses(key=key) is not expected:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{key} is {'not ' * expected}accepted")


async def test_keys_go_for_a_moment(box: Box) -> None:
    """As when somebody edits the Secret by hand: what was there stays, and it is told."""
    await box.start()
    lines = box.workspace.authorized_keys[0]
    box.remove("authorized_keys")
    words = "/etc/kworkspace has no authorized_keys: the keys stay as they are"
    await until(lambda: words in box.log, "the complaint")
    assert await box.said("echo in") == "in\n"
    box.put(authorized_keys=f"{lines}\n")
    count = len(box.log)
    await asyncio.sleep(2.5)  # the time between two looks
    assert [line for line in box.log[count:] if line == words] == []


@SHELLS
async def test_the_server_is_killed(box: Box, shell: str) -> None:
    """Sessions go on, and new ones can come."""
    box.shell = shell
    await box.start()
    line = box.command("echo up; read line; echo got $line")
    session = await asyncio.create_subprocess_exec(
        *line, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert session.stdin
    assert session.stdout
    assert await session.stdout.readline() == b"up\n"
    await box.kill_server()
    await until(
        lambda: [one.startswith("Server listening") for one in box.log].count(True) == 2,
        "another server",
    )
    assert "The SSH server ended, and is started again" in box.log
    assert await box.said("echo in") == "in\n"
    said, _ = await session.communicate(b"on\n")
    assert said == b"got on\n"


async def test_a_server_that_ends_again_and_again(box: Box) -> None:
    box.before = [
        "mv /usr/sbin/sshd /usr/sbin/sshd.real",
        (
            "printf '#!/bin/sh\\n[ $1 != -D ] || exit 1\\nexec /usr/sbin/sshd.real \"$@\"\\n'"
            " > /usr/sbin/sshd; chmod +x /usr/sbin/sshd"
        ),
        # What is waited for here is five times two seconds.
        "printf '#!/bin/sh\\nexec /bin/sleep 0.05\\n' > /usr/local/sbin/sleep",
        "chmod +x /usr/local/sbin/sleep",
    ]
    await box.start()
    assert (box.code, box.log[-1]) == (70, "the SSH server ends again and again")


@SHELLS
@BOTH
async def test_the_end(box: Box, shell: str, options: dict[str, int]) -> None:
    """Every program is told, and has its time: also what a terminal's shell or nobody waits for."""
    box.shell = "plain busybox" if options and shell == "busybox" else shell
    await box.start(**options)
    script = (
        "exec 2> /dev/null;"  # what is said of its `sleep` would go to a client that is gone
        " trap 'sleep 0.5; echo {0} >> end; exit' TERM;"
        " echo up >> begun; while :; do sleep 0.1; done"
    )
    away = f'setsid nohup bash -c "{script.format("away")}" > /dev/null 2>&1 < /dev/null & exit'
    await box.said(away)
    session = await asyncio.create_subprocess_exec(
        *box.command(script.format("here")), stdin=subprocess.DEVNULL
    )
    begun = box.home / "begun"
    await until(lambda: begun.exists() and begun.read_text() == "up\nup\n", "both programs")
    assert await box.end() == 0
    assert sorted((box.home / "end").read_text().split()) == ["away", "here"]
    assert await session.wait() == 255


@SHELLS
async def test_orphans_are_collected(box: Box, shell: str) -> None:
    """They are the first process's, as they are init's."""
    box.shell = shell
    await box.start()
    await box.said("for each in 1 2 3; do (sleep 0.1 & exec true); done; setsid sleep 0.1 &")
    states = "cat /proc/[0-9]*/stat | sed 's/.*) \\(.\\).*/\\1/'"
    for _ in range(50):
        if "Z" not in await box.said(states):
            return
        await asyncio.sleep(0.2)
    raise AssertionError(await box.said("cat /proc/[0-9]*/stat"))


async def test_it_is_not_the_first_process(box: Box) -> None:
    """As where a pod's containers share their processes: then it ends nobody else's."""
    box.before = [
        (
            "sh -c 'trap : TERM; sleep 1000 & echo $! > /tmp/other; exec dash"
            " /etc/kworkspace/bootstrap.sh' & child=$!"
        ),
        "trap 'kill -TERM $child' TERM",
        (
            'while kill -0 $child; do wait $child; code=$?; done; kill -0 "$(cat /tmp/other)" &&'
            " echo another lives"
        ),
        "exit $code",
    ]
    await box.start()
    session = await asyncio.create_subprocess_exec(
        *box.command("exec sleep 1000"), stdin=subprocess.DEVNULL
    )
    await until(lambda: any("Accepted publickey" in line for line in box.log), "the session")
    assert await box.end() == 0
    assert await session.wait() == 255
