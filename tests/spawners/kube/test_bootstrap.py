"""bootstrap.sh in a container: the account, its home, and the SSH server in front of it."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kworkspace.spawners.kube.manifests import secret
from tests.kube_api.marks import NEEDS_REAL_PODS
from tests.spawners.kube.box import Box, make_key, until

pytestmark = NEEDS_REAL_PODS

EACH_SHELL = pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
FOLDER = Path(secret.__file__).parent.parent


@pytest.mark.parametrize("name", ["bootstrap.sh", "profile.sh"])
def test_nothing_that_only_some_shells_have(name: str) -> None:
    command = ["shellcheck", "--shell=sh", "--severity=style", str(FOLDER / name)]
    subprocess.run(command, check=True)


@EACH_SHELL
async def test_an_account_of_its_own(box: Box, shell: str) -> None:
    box.shell = shell
    await box.start(account_uid=1234)
    assert await box.said("id -u; id -g; id -un; id -gn; pwd; echo $SHELL; umask") == (
        "1234\n1234\nalice\nalice\n/home/alice\n/bin/bash\n0022\n"
    )
    assert await box.refuses(user="root")
    assert await box.refuses(key=await other_key(box))
    assert box.home.stat().st_uid == 1234
    assert await box.end() == 0


@EACH_SHELL
async def test_a_plain_user(box: Box, shell: str) -> None:
    """With no rights at all, and with nothing in the image that it may write."""
    box.shell = "plain busybox" if shell == "busybox" else shell
    await box.start(uid=1234)
    assert await box.said("id -un; pwd; grep ^Cap[EPB] /proc/self/status; touch here") == (
        "alice\n/home/alice\n"
        + "".join(f"Cap{name}:\t{0:016x}\n" for name in ("Prm", "Eff", "Bnd"))
    )
    assert await box.refuses(user="root")
    assert await box.refuses(key=await other_key(box))
    assert (box.home / "here").stat().st_uid == 1234
    assert await box.end() == 0


async def other_key(box: Box) -> Path:
    path = box.directory / "other"
    await asyncio.to_thread(make_key, path)
    return path


def certify(box: Box, *principals: str) -> Path:
    """Have the authority certify a key for principals."""
    path = box.directory / f"session-{len(principals)}"
    make_key(path)
    authority = str(box.directory / "authority")
    line = ["ssh-keygen", "-q", "-s", authority, "-I", "x", "-V", "+5m"]
    line += ["-n", ",".join(principals), f"{path}.pub"]
    subprocess.run(line, check=True, capture_output=True)
    return path


@pytest.mark.parametrize("options", [{}, {"uid": 1234}], ids=["root", "user"])
async def test_the_gateways_certificates(box: Box, options: dict[str, int]) -> None:
    """They name the server's UUID: not the account, and no other server."""
    await box.start(**options)
    right = await asyncio.to_thread(certify, box, box.workspace.id)
    wrong = await asyncio.to_thread(certify, box, "alice", "b6d1f0a4-7a59-4a53-9f5c-8d2b9c1d2e3f")
    assert await box.said("echo in", key=right) == "in\n"
    assert await box.refuses(key=wrong)


async def test_a_home_keeps_its_owner(box: Box) -> None:
    """And nothing of it is touched."""
    box.home.mkdir(parents=True)
    mine, theirs = box.home / "mine", box.home / "theirs"
    mine.mkdir(mode=0o700)
    theirs.touch(mode=0o600)
    for path, owner in ((box.home, 4321), (mine, 4321), (theirs, 77)):
        os.chown(path, owner, owner)
    await box.start(account_uid=1234)
    assert await box.said("id -u; id -g; ls -A") == "4321\n4321\nmine\ntheirs\n"
    assert (theirs.stat().st_uid, theirs.stat().st_mode & 0o777) == (77, 0o600)


async def test_a_new_volume_is_given_to_the_account(box: Box) -> None:
    (box.home / "lost+found").mkdir(parents=True, mode=0o700)
    box.home.chmod(0o777)  # as some provisioners do
    await box.start(account_uid=1234)
    assert (box.home.stat().st_uid, box.home.stat().st_mode & 0o777) == (1234, 0o775)
    assert (box.home / "lost+found").stat().st_uid == 0
    skeleton = {path.name for path in Path("/etc/skel").iterdir()}
    assert skeleton, "this machine's homes begin empty"
    assert {path.name for path in box.home.iterdir()} == {"lost+found", *skeleton}
    assert {(box.home / name).stat().st_uid for name in skeleton} == {1234}


async def test_what_root_left_in_a_home_stays_as_it_is(box: Box) -> None:
    box.home.mkdir(parents=True)
    (box.home / "restored").touch()
    await box.start(account_uid=1234)
    assert await box.said("ls -A; id -u") == "restored\n1234\n"
    assert (box.home / "restored").stat().st_uid == 0


@EACH_SHELL
async def test_accounts_of_the_image_make_room(box: Box, shell: str) -> None:
    """One has its uid, one its name, and a group has its gid."""
    box.shell = shell
    box.before = [
        "echo ubuntu:x:1234:1234:U:/home/ubuntu:/bin/sh >> /etc/passwd",
        "echo alice:x:99:99::/:/bin/false >> /etc/passwd",
        "echo 'alice:!:1::::::' >> /etc/shadow",
        "echo ubuntu:x:1234: >> /etc/group",
        "echo data:x:2000:someone >> /etc/group",
    ]
    await box.start(account_uid=1234, supplemental_gids=[2000, 2001])
    assert await box.said("id -un; id -Gn; id -u ubuntu; grep -c alice /etc/passwd") == (
        "alice\nubuntu data alice\n1234\n1\n"
    )


async def test_an_image_without_the_shell(box: Box) -> None:
    await box.start(shell="/usr/bin/no-such-shell")
    assert await box.said("echo $SHELL") == "/bin/sh\n"
    assert "The image has no /usr/bin/no-such-shell: the shell is /bin/sh" in box.log


async def test_a_group_for_the_volume(box: Box) -> None:
    """The cluster has given the home to a group: it stays that group's, so that this is not done
    for every file at each start.
    """
    await box.start(account_uid=1234, fs_gid=3000)
    assert (box.home.stat().st_uid, box.home.stat().st_gid) == (1234, 3000)
    assert "3000" in (await box.said("id -G")).split()


async def test_sudo(box: Box) -> None:
    await box.start(sudo=True)
    assert await box.said("sudo -n id -u") == "0\n"


async def test_no_sudo(box: Box) -> None:
    await box.start()
    assert (await box.ssh("sudo -n id -u")).returncode == 1


@pytest.mark.parametrize("wrong", [{"USER": "root"}, {"UID": "0"}])
async def test_the_account_is_not_root(box: Box, wrong: dict[str, str]) -> None:
    box.boot = wrong
    await box.start()
    assert (box.code, box.log) == (78, ["the account of a workspace cannot be root"])


@pytest.mark.parametrize("missing", ["USER", "PRINCIPAL", "PORT"])
async def test_input_that_is_missing(box: Box, missing: str) -> None:
    box.boot = {missing: ""}
    await box.start()
    assert (box.code, box.log) == (64, [f"KWORKSPACE_BOOT_{missing} is not set"])


@pytest.mark.parametrize(
    ("options", "boot", "code", "line"),
    [
        ({}, {"MODE": "both"}, 64, "KWORKSPACE_BOOT_MODE is 'both', and can be root or user"),
        ({}, {"FILES": "/mnt"}, 66, "/mnt has no authorized_keys"),
        (
            {"uid": 1234},
            {"MODE": "root"},
            77,
            "the container runs as uid 1234, not as root: set c.KubeSpawner.uid = 1234",
        ),
        (
            {"uid": 1234},
            {"UID": "77"},
            78,
            (
                "the container runs as uid 1234, and its account has uid 77:"
                " set c.KubeSpawner.uid = 1234"
            ),
        ),
        (
            {"uid": 1234},
            {"HOME": "/home/bob"},
            73,
            "there is no /home/bob, and uid 1234 cannot make it: mount a volume there",
        ),
        (
            {"uid": 1234, "shell": "/bin/nosuch"},
            {},
            78,
            (
                "the image has no /bin/nosuch, without which sshd lets nobody in:"
                " set c.KubeSpawner.shell"
            ),
        ),
        (
            {"extra_container_config": {"securityContext": {"readOnlyRootFilesystem": True}}},
            {},
            73,
            (
                "/etc/group cannot be written: with a root file system that is only read,"
                " set c.KubeSpawner.uid to run as a plain user"
            ),
        ),
        (
            {},
            {"PORT": "many"},
            78,
            (
                "sshd does not accept its configuration:"
                " /run/kworkspace/ssh/sshd_config line 1: Badly formatted port number."
            ),
        ),
    ],
)
async def test_one_line_says_why(
    box: Box, options: dict[str, object], boot: dict[str, str], code: int, line: str
) -> None:
    box.boot = boot
    await box.start(**options)
    assert (box.log[-1], box.code) == (line, code)


async def test_a_plain_users_image_without_a_server(box: Box) -> None:
    await box.start(
        uid=1234,
        volumes=[{"name": "nothing", "emptyDir": {}}],
        volume_mounts=[{"name": "nothing", "mountPath": "/usr/sbin"}],
    )
    assert (box.code, box.log[-1]) == (
        69,
        (
            "the image has no SSH server, and a plain user cannot install one:"
            " use an image that has openssh-server"
        ),
    )


INSTALLERS = {
    "apt-get": ["-q update", "-qy --no-install-recommends install openssh-server"],
    "apk": ["add --no-cache openssh-server"],
    "dnf": ["-y install openssh-server"],
    "microdnf": ["-y install openssh-server"],
}


def stand_in(name: str, *lines: str) -> list[str]:
    """Put a stand-in for an installer into the image, and take all others out."""
    others = " ".join(f"/usr/bin/{other}" for other in INSTALLERS)
    body = r"\n".join(("#!/bin/sh", 'echo "$*" >> /tmp/asked', *lines))
    path = f"/usr/local/bin/{name}"
    return [
        f"mv /usr/sbin/sshd /tmp/sshd; rm -f {others}",
        f"printf '{body}\\n' > {path}; chmod +x {path}",
    ]


@pytest.mark.parametrize(
    ("name", "shell"), [*((name, "dash") for name in INSTALLERS), ("apk", "busybox")]
)
async def test_an_image_without_a_server(box: Box, name: str, shell: str) -> None:
    box.shell = shell
    box.before = stand_in(name, "[ $1 = -q ] || mv /tmp/sshd /usr/sbin/sshd", "echo installed")
    await box.start()
    assert (await box.said("cat /tmp/asked")).splitlines() == INSTALLERS[name]
    assert box.log[0] == f"Installing openssh-server with {name}, as the image has none"
    assert "installed" not in box.log


async def test_a_server_that_cannot_be_installed(box: Box) -> None:
    box.before = stand_in("apt-get", "echo E: Unable to locate package; echo; exit 100")
    await box.start()
    assert (box.code, box.log[-1]) == (
        69,
        (
            "the image has no SSH server, and apt-get failed: E: Unable to locate package:"
            " use an image that has openssh-server"
        ),
    )


async def test_nothing_to_install_a_server_with(box: Box) -> None:
    box.before = [*stand_in("apt-get"), "rm /usr/local/bin/apt-get"]
    await box.start()
    said = "the image has no SSH server, and there is none of apt-get, apk, dnf and microdnf to"
    said += " install it with: use an image that has openssh-server"
    assert (box.code, box.log) == (69, [said])


@EACH_SHELL
async def test_an_end_while_it_installs(box: Box, shell: str) -> None:
    """It does not wait for the installer."""
    box.shell = shell
    box.before = stand_in("apk", "exec sleep 1000")
    box.begin()
    await until(lambda: box.log, "the installer's line")
    assert await box.end() == 0


def test_what_the_tests_need_is_there() -> None:
    """Else the shells are not what they are called."""
    assert [name for name in ("dash", "bash", "busybox", "sudo") if not shutil.which(name)] == []
