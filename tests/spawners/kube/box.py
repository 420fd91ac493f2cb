"""A container in which bootstrap.sh runs: as in a workspace's pod, on a real node of the tests."""

import asyncio
import base64
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube import KubeSpawner
from kworkspace.spawners.kube.manifests.claim import make_claim
from kworkspace.spawners.kube.manifests.pod import make_pod
from kworkspace.spawners.kube.manifests.secret import make_secret
from kworkspace.spawners.kube.names import names
from tests.kube_api.cluster import Cluster
from tests.kube_api.objects import Object, dig
from tests.spawners.kube.house import workspace

SECONDS = 20.0
NAMESPACE = "workspaces"
# What /bin/sh is in images; busybox has its own of all the programs, too, and they come first.
SHELLS = {
    "dash": "exec dash",
    "bash": "exec bash --posix",
    "busybox": "mkdir -p /usr/local/sbin; busybox --install -s /usr/local/sbin; exec busybox sh",
    "plain busybox": "exec busybox sh",  # who may install nothing
}

Finished = subprocess.CompletedProcess[str]


def make_key(path: Path) -> str:
    """Make a key, and return its public line without a line end."""
    line = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)]
    subprocess.run(line, check=True)
    return path.with_suffix(".pub").read_text().strip()


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that no event tells; fail when it does not come in time."""
    end = asyncio.get_running_loop().time() + SECONDS
    while not condition():
        assert asyncio.get_running_loop().time() < end, f"{what}: not within {SECONDS} s"
        await asyncio.sleep(0.02)


class Box:
    """One container.

    Args:
        cluster: with a real node.
        directory: for keys.

    Attributes:
        shell: what runs the script, of SHELLS.
        before: what is done in the container first, as whom it runs as: lines of shell.
        boot: input of the bootstrap that differs from what the pod says.
        workspace: whose it is.
    """

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster = cluster
        self.directory = directory
        self.shell = "dash"
        self.before: list[str] = []
        self.boot: dict[str, str] = {}
        self.key = directory / "key"
        self.workspace: Workspace = workspace(
            authorized_keys=(make_key(self.key),),
            user_authorities=(make_key(directory / "authority"),),
        )
        make_key(directory / "host")
        self.home = cluster.node.claims / NAMESPACE / "workspace-alice"
        self._serial = 0

    async def start(self, **options: Any) -> None:
        """Begin, and wait until it answers or has ended.

        Args:
            options: of KubeSpawner.
        """
        self.begin(**options)
        async with asyncio.timeout(SECONDS):
            await self.cluster.wait("pods", lambda one: _is_ready(one) or _code(one) is not None)

    def begin(self, **options: Any) -> None:
        """Make claim, Secret and pod as the spawner does."""
        spawner = KubeSpawner(
            hub_id="hub",
            data_dir=self.directory,
            on_exit=lambda _exit: None,
            namespace=NAMESPACE,
            storage_class="immediate",
            **options,
        )
        made = names(spawner, self.workspace)
        host = self.directory / "host"
        public = host.with_suffix(".pub").read_text()
        claim = make_claim(spawner, self.workspace, made)
        assert claim is not None
        self.cluster.add(claim)
        secret = make_secret(
            spawner,
            self.workspace,
            made,
            host_key_private=host.read_text(),
            host_key_public=public,
            certified=public,
        )
        self.cluster.add(secret)
        pod = make_pod(spawner, self.workspace, made, account="alice", host_key=public.strip())
        [container] = pod["spec"]["containers"]
        path = shlex.quote(container["command"][1])
        container["command"] = [
            "sh",
            "-c",
            "\n".join([*self.before, f"{SHELLS[self.shell]} {path}"]),
        ]
        boot = {f"KWORKSPACE_BOOT_{name}": value for name, value in self.boot.items()}
        container["env"] = [one for one in container["env"] if one["name"] not in boot]
        container["env"] += [{"name": name, "value": value} for name, value in boot.items()]
        self.cluster.add(pod)

    @property
    def pod(self) -> Object:
        """The pod."""
        [pod] = self.cluster.every("pods", NAMESPACE)
        return pod

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return _code(self.pod)

    @property
    def log(self) -> list[str]:
        """What the container has printed, in lines."""
        workers = self.cluster.kubelet.workers.values()
        runs = [worker.runs["workspace"] for worker in workers if worker.runs]
        return [line for run in runs for line in run.log.text.splitlines()]

    async def end(self) -> int:
        """Delete the pod, and return the code that it ended with."""
        codes: list[int | None] = []
        self.cluster.delete("pods", NAMESPACE, "workspace-alice")

        def gone(pod: Object) -> bool:
            codes.append(_code(pod))
            return codes[-1] is not None

        async with asyncio.timeout(SECONDS):
            await self.cluster.wait("pods", gone)
            await self.cluster.wait_gone("pods", NAMESPACE, "workspace-alice")
        assert codes[-1] is not None
        return codes[-1]

    def put(self, **content: str) -> None:
        """Change files of the Secret."""

        def change(secret: Object) -> None:
            for name, text in content.items():
                secret["data"][name] = base64.b64encode(text.encode()).decode()

        self.cluster.edit("secrets", NAMESPACE, "workspace-alice-ssh", change)

    def remove(self, name: str) -> None:
        """Take a file out of the Secret."""
        self.cluster.edit(
            "secrets", NAMESPACE, "workspace-alice-ssh", lambda secret: secret["data"].pop(name)
        )

    async def kill_server(self) -> None:
        """Kill the SSH server, but not its sessions'."""
        await self.said("exit")
        worker = self.cluster.kubelet.worker(NAMESPACE, "workspace-alice")
        first = worker.runs["workspace"].pid  # type: ignore[attr-defined]
        for child in Path(f"/proc/{first}/task/{first}/children").read_text().split():
            if "sshd" in Path(f"/proc/{child}/cmdline").read_text():
                os.kill(int(child), signal.SIGKILL)

    def command(self, *words: str, key: Path | None = None, user: str = "alice") -> list[str]:
        """Return the line of ssh that runs something in it."""
        host = self.pod["status"]["podIP"]
        known_hosts = self.directory / "known_hosts"
        public = (self.directory / "host.pub").read_text()
        known_hosts.write_text(f"[{host}]:2222 {public}")
        line = ["ssh", "-F", "none", "-i", str(key or self.key), "-p", "2222"]
        for option in (
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={known_hosts}",
        ):
            line += ["-o", option]
        return [*line, f"{user}@{host}", *words]

    async def ssh(self, *words: str, **more: Any) -> Finished:
        """Run something in it over SSH, and return how that ended."""
        return await asyncio.to_thread(
            subprocess.run,
            self.command(*words, **more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    async def said(self, *words: str, **more: Any) -> str:
        """Run something over SSH that succeeds, and return what it printed."""
        done = await self.ssh(*words, **more)
        assert done.returncode == 0, (done.stderr, self.log)
        return done.stdout

    async def refuses(self, **more: Any) -> bool:
        """Whether somebody is not let in."""
        done = await self.ssh("true", **more)
        assert done.returncode in {0, 255}, done.stderr
        assert done.returncode == 0 or "Permission denied (publickey" in done.stderr
        return done.returncode == 255


def _is_ready(pod: Object) -> bool:
    conditions: Sequence[Object] = dig(pod, "status", "conditions", default=[])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _code(pod: Object) -> int | None:
    for status in dig(pod, "status", "containerStatuses", default=[]):
        if ended := dig(status, "state", "terminated"):
            return int(ended["exitCode"])
    return None
