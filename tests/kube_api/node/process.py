"""A run of real processes: the pod's command in namespaces of its own, on a copy of this machine.

The container sees this machine's files through an overlay, so that whatever it changes is its own
and gone with it; volumes are bind mounts. The network is shared: each pod has a loopback address.
Needs root, and util-linux' unshare, nsenter and setpriv.
"""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path

from kworkspace.cli.client.tasks import Tasks
from tests.kube_api.api.streams import STDERR, STDOUT, Execution
from tests.kube_api.node.container import CannotStart, End
from tests.kube_api.node.environment import environment, expand, setpriv, user_of
from tests.kube_api.node.images import Image
from tests.kube_api.node.logs import Log
from tests.kube_api.node.probes import probe
from tests.kube_api.node.volumes import Volumes
from tests.kube_api.objects import Object, dig
from tests.kube_api.store import Store

_NAMESPACES = ("--mount", "--pid", "--uts", "--ipc")
_DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
# Not `unshare --fork`, which in util-linux 2.38 loses the signal that ended its child.
_FIRST = (
    'exec 3<&0 < /dev/null; setpriv --pdeathsig KILL sh -c "$1" <&3 3<&- & exec 3<&-; wait "$!"'
)
_SAY = 'echo up >&0; exec "$@" < /dev/null'
_MESSAGE_BYTES = 2048
_CHUNK_BYTES = 1 << 16


@cache
def why_not_here() -> str:
    """Return one line on why real pods cannot be had on this machine, "" where they can."""
    if os.geteuid() != 0:
        return "real pods need mount namespaces, and those need root"
    for program in ("unshare", "nsenter", "setpriv", "mount", "chroot"):
        if shutil.which(program) is None:
            return f"real pods need {program}: apt-get install util-linux coreutils mount"
    script = "mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w /mnt/r && mount -t overlay overlay"
    script += " -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r && mount -t proc proc /proc"
    done = subprocess.run(
        ["unshare", *_NAMESPACES, "--fork", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        return f"real pods need namespaces and overlay mounts: {done.stderr.strip()}"
    return ""


class RealRun:
    """One run of a container as processes of this machine.

    Args:
        directory: of this run alone.
        ip: the pod's address.
    """

    def __init__(
        self,
        *,
        pod: Object,
        container: Object,
        image: Image,
        store: Store,
        volumes: Volumes,
        directory: Path,
        ip: str,
        tasks: Tasks,
    ) -> None:
        self.ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self.log = Log()
        self._pod, self._container, self._image = pod, container, image
        self._volumes, self._directory, self._ip, self._tasks = volumes, directory, ip, tasks
        self._uid = user_of(pod, container, image)
        self._environment = environment(
            pod, container, store, ip=ip, passwd=self._mounted("/etc/passwd"), uid=self._uid
        )
        self._process: asyncio.subprocess.Process | None = None
        self._told: End | None = None
        self._following: asyncio.Task[None] | None = None

    def _mounts(self) -> Iterator[tuple[Path, str, bool]]:
        """Yield source, target and whether it is only read, outer mounts first."""
        mounts = self._container.get("volumeMounts", [])
        for mount in sorted(mounts, key=lambda one: one["mountPath"].count("/")):
            source = self._volumes.path(mount["name"])
            below = mount.get("subPath") or expand(mount.get("subPathExpr", ""), {})
            if below:
                source /= below
                if not source.exists():
                    source.mkdir(mode=0o750, parents=True)
                source = source.resolve()
            is_plain = dig(self._volume(mount["name"]), "secret") is None
            yield source, mount["mountPath"], bool(mount.get("readOnly")) or not is_plain

    def _volume(self, name: str) -> Object:
        volumes = dig(self._pod, "spec", "volumes", default=[])
        return next((volume for volume in volumes if volume["name"] == name), {})

    def _mounted(self, path: str) -> Path | None:
        self._volumes.prepare()
        return next((source for source, target, _ in self._mounts() if target == path), None)

    def _script(self, argv: list[str]) -> str:
        """What sets the container up and becomes its first process; it says so on stdin."""
        base = shlex.quote(str(self._directory))
        layers = f"lowerdir=/,upperdir={base}/upper,workdir={base}/work"
        lines = [
            "set -e",
            f"mount -t tmpfs -o mode=755 tmpfs {base}",
            f"cd {base}",
            "mkdir upper work root",
            f"mount -t overlay overlay -o {layers} root",
            "cd root",
            "mount --rbind /dev dev",
            "mount -t proc proc proc",
            "mount --rbind /sys sys",
            "mount -t tmpfs -o mode=755 tmpfs run",
            "mount -t tmpfs -o mode=1777 tmpfs tmp",
            "mount -t tmpfs -o mode=700 tmpfs root",
            f"echo {shlex.quote(self._pod['metadata']['name'])} > proc/sys/kernel/hostname",
        ]
        for source, target, only_read in self._mounts():
            place, origin = shlex.quote(f".{target}"), shlex.quote(str(source))
            if source.is_dir():
                lines.append(f"mkdir -p {place}")
            else:
                lines.append(f"mkdir -p {shlex.quote(f'.{Path(target).parent}')}; : >> {place}")
            lines.append(f"mount --bind {origin} {place}")
            if only_read:
                lines.append(f"mount -o remount,bind,ro {place}")
        if dig(self._container, "securityContext", "readOnlyRootFilesystem"):
            lines.append("mount -o remount,ro .")
        command = shlex.join(self._command(argv, "--pdeathsig=KILL"))
        # It says so from within its root, so that whoever joins it then is there as well.
        lines.append(f"exec chroot . /bin/sh -c {shlex.quote(_SAY)} - {command}")
        return "\n".join(lines)

    def _command(self, argv: list[str], *options: str) -> list[str]:
        """The command line that runs another with the container's rights, place and environment."""
        place = self._container.get("workingDir", "/")
        variables = [f"{name}={value}" for name, value in self._environment.items()]
        return [
            *setpriv(self._pod, self._container, self._image),
            *options,
            "--",
            "env",
            "-i",
            f"--chdir={place}",
            *variables,
            *argv,
        ]

    def _argv(self) -> list[str]:
        words = self._container.get("command") or list(self._image.command)
        words = [*words, *self._container.get("args", [])]
        return [expand(word, self._environment) for word in words]

    async def start(self) -> None:
        """Set up the container and start its command.

        Raises:
            CannotStart: it could not be set up.
        """
        self._directory.mkdir(parents=True)
        mine, theirs = socket.socketpair()
        with mine, theirs:
            mine.setblocking(False)
            # Should this process die, so does the container, down to its first process.
            self._process = await asyncio.create_subprocess_exec(
                *_DIE_WITH_PARENT,
                "unshare",
                *_NAMESPACES,
                "sh",
                "-c",
                _FIRST,
                "-",
                self._script(self._argv()),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
            theirs.close()
            self._following = self._tasks.spawn(self._follow(self._process), "container")
            try:
                said = await asyncio.get_running_loop().sock_recv(mine, 16)
            except ConnectionError:
                said = b""
        if not said:
            await self._following
            raise CannotStart(f"failed to create containerd task: {self.log.text.strip()}")

    async def _follow(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while chunk := await process.stdout.read(_CHUNK_BYTES):
            self.log.write(chunk)
        code = await process.wait()
        self.log.close()
        if not self.ended.done():
            self.ended.set_result(self._told or self._end(128 - code if code < 0 else code))

    def _end(self, code: int) -> End:
        policy = self._container.get("terminationMessagePolicy")
        if code and policy == "FallbackToLogsOnError":
            return End(code, message=self.log.text[-_MESSAGE_BYTES:])
        return End(code)

    @property
    def pid(self) -> int | None:
        """The container's first process, as this machine numbers it."""
        if self._process is None or self._process.returncode is not None:
            return None
        parent = self._process.pid
        with contextlib.suppress(OSError, IndexError):
            return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])
        return None

    def _signal(self, number: int) -> None:
        if (pid := self.pid) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def probe(self) -> str:
        """Whether the container's readiness probe succeeds now."""
        return await probe(self._container, self._ip, self)

    def terminate(self) -> None:
        """Send SIGTERM to the first process, which only hears it if it wants to."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the first process, and with it all others of its namespace."""
        self._signal(signal.SIGKILL)

    def end(self, end: End) -> None:
        """Kill it, and let it have ended like this."""
        self._told = end
        if self.pid is None and not self.ended.done():
            self.ended.set_result(end)
        self.kill()

    async def exec(self, argv: list[str], *, tty: bool = False) -> Execution:
        """Start another program in the container."""
        return await RealExecution.start(self.pid or 0, self._command(argv), tty=tty)

    async def aclose(self) -> None:
        """Kill it and wait for its end."""
        if self._process is None and not self.ended.done():  # it was never started
            self.ended.set_result(End(137))
        while not self.ended.done():
            self.kill()
            await asyncio.wait([self.ended], timeout=0.05)
        if self._following is not None:
            await asyncio.wait([self._following])
        shutil.rmtree(self._directory, ignore_errors=True)


class RealExecution:
    """A program in a container, joined through its namespaces."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, pid: int, command: list[str], *, tty: bool) -> "RealExecution":
        """Start it beside the container's first process."""
        return cls(
            await asyncio.create_subprocess_exec(
                "nsenter",
                f"--target={pid}",
                *_NAMESPACES,
                "--root",
                "--",
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT if tty else asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        )

    async def write(self, chunk: bytes) -> None:
        """Pass on input; what nobody reads is lost."""
        assert self._process.stdin is not None
        self._process.stdin.write(chunk)
        with contextlib.suppress(ConnectionError):
            await self._process.stdin.drain()

    async def close_stdin(self) -> None:
        """End the input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield both outputs as they come."""
        queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(16)

        async def read(channel: int, stream: asyncio.StreamReader | None) -> None:
            while stream is not None and (chunk := await stream.read(_CHUNK_BYTES)):
                await queue.put((channel, chunk))
            await queue.put((channel, b""))

        async with asyncio.TaskGroup() as group:
            group.create_task(read(STDOUT, self._process.stdout))
            group.create_task(read(STDERR, self._process.stderr))
            open_ones = 2
            while open_ones:
                channel, chunk = await queue.get()
                if chunk:
                    yield channel, chunk
                else:
                    open_ones -= 1

    async def wait(self) -> int:
        """Return the exit code."""
        code = await self._process.wait()
        return 128 - code if code < 0 else code

    async def aclose(self) -> None:
        """End it if it still runs: the client has gone."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
