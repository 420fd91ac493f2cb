"""A whole cluster in one process: API server, controllers and a node, for tests and benches.

    async with serve(tmp_path) as cluster:
        client(cluster.kubeconfig)

`python -m tests.kube_api` serves one from a process of its own.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from kworkspace.cli.client.tasks import Tasks
from tests.kube_api import tls
from tests.kube_api.api.asking import Ask
from tests.kube_api.api.http import Api, Call
from tests.kube_api.api.rbac import ADMIN, Rule, Users
from tests.kube_api.api.statuses import Refusal
from tests.kube_api.api.streams import Streams
from tests.kube_api.api.subresources import Subresources
from tests.kube_api.api.verbs import Verbs
from tests.kube_api.control.claims import Claims
from tests.kube_api.control.jobs import Jobs
from tests.kube_api.control.namespaces import Namespaces
from tests.kube_api.control.scheduler import Scheduler
from tests.kube_api.faults import Faults
from tests.kube_api.kinds import BY_KIND, PODS, named
from tests.kube_api.metrics import Metrics
from tests.kube_api.node.kubelet import Kubelet
from tests.kube_api.node.real import RealNode
from tests.kube_api.node.recorder import Recorder
from tests.kube_api.objects import Object, clone
from tests.kube_api.seeds import SEEDS
from tests.kube_api.store import Change, Store


class Cluster:
    """A cluster; `serve` makes one.

    Attributes:
        directory: where kubeconfigs, logs and volumes are.
        kubeconfig: of an admin.
        authority: the certificate authority's file, with TLS.
        calls: every call that was made, in order.
    """

    def __init__(
        self, directory: Path, *, cheap: float | None, pace: float, is_tls: bool = False
    ) -> None:
        self.directory = directory
        self.authority: Path | None = None
        self._tls: ssl.SSLContext | None = None
        if is_tls:
            self.authority, self._tls = tls.make(directory)
        self.store = Store()
        self.users = Users(self.store)
        self.faults = Faults()
        self.metrics = Metrics(self.store)
        self._tasks = Tasks()
        self.claims = Claims(self.store)
        self.scheduler = Scheduler(self.store, self.claims)
        self.namespaces = Namespaces(self.store)
        self.jobs = Jobs(self.store, self._tasks, self._make_pod)
        self.node = RealNode(self.store, directory / "node", self._tasks)
        self.kubelet = Kubelet(
            self.store, cheap=cheap, pace=pace, make_real=self.node.make_run, tasks=self._tasks
        )
        self.record = Recorder(self.store, "kubelet", "node1")
        self._streams = Streams(self.store, self.kubelet)
        self._api = Api(
            store=self.store,
            users=self.users,
            faults=self.faults,
            streams=self._streams,
            subresources=Subresources(self.store, self.users),
            metrics=self.metrics,
        )
        self._verbs = Verbs(self.store)
        self._runner: web.AppRunner | None = None
        self.port = 0
        self.faults.listen = self._listen
        self.faults.stop_listening = self._stop_listening
        for seed in SEEDS:
            self.add(seed)

    @property
    def url(self) -> str:
        """Where the API server listens."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[Call]:
        """Every call that was made, in order."""
        return self._api.calls

    @property
    def watches(self) -> list[Ask]:
        """What is being watched at this moment."""
        return self._api.watches

    def add(self, thing: Object) -> Object:
        """Make an object, as a POST by an admin would, and return it.

        Raises:
            Refusal: it is not allowed.
        """
        resource = BY_KIND[thing["apiVersion"], thing["kind"]]
        namespace = ""
        if resource.namespaced:
            namespace = thing["metadata"].get("namespace", "default")
        ask = Ask("create", resource, namespace, user=ADMIN, manager="seed")
        return self._verbs.create(ask, clone(thing))

    def add_namespace(self, name: str, **labels: str) -> Object:
        """Make a namespace; `pod_security` sets the level that it enforces."""
        if level := labels.pop("pod_security", ""):
            labels["pod-security.kubernetes.io/enforce"] = level
        metadata = {"name": name, "labels": labels}
        return self.add({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def get(self, plural: str, namespace: str, name: str) -> Object | None:
        """Return a copy of an object, or None."""
        found: Object | None = clone(self.store.get(plural, namespace, name))
        return found

    def every(self, plural: str, namespace: str = "") -> list[Object]:
        """Return copies of all objects of a kind."""
        return [clone(thing) for thing in self.store.values(plural, namespace)]

    def edit(
        self, plural: str, namespace: str, name: str, change: Callable[[Object], None]
    ) -> None:
        """Change an object behind everybody's back, as a controller would."""
        self.store.edit(named(plural), namespace, name, change)

    def delete(self, plural: str, namespace: str, name: str, **options: object) -> None:
        """Delete an object, as kubectl would.

        Raises:
            Refusal: 404 or 409.
        """
        ask = Ask("delete", named(plural), namespace, name, user=ADMIN)
        self._verbs.delete(ask, options)

    async def wait(self, plural: str, condition: Callable[[Object], bool]) -> Object:
        """Return the first object of a kind that satisfies a condition, now or later."""
        resource = named(plural)
        for thing in self.store.values(resource):
            if condition(thing):
                return thing
        found: asyncio.Future[Object] = asyncio.get_running_loop().create_future()

        def look(change: Change) -> None:
            if change.resource is not resource or change.deleted or found.done():
                return
            if condition(change.new):
                found.set_result(change.new)

        self.store.listeners.append(look)
        try:
            async with asyncio.timeout(30):
                return await found
        finally:
            self.store.listeners.remove(look)

    async def wait_gone(self, plural: str, namespace: str, name: str) -> None:
        """Return when an object is gone."""
        resource = named(plural)
        gone = asyncio.Event()

        def look(change: Change) -> None:
            if change.resource is resource and change.deleted and change.key == (namespace, name):
                gone.set()

        self.store.listeners.append(look)
        try:
            async with asyncio.timeout(30):
                if self.store.get(resource, namespace, name) is not None:
                    await gone.wait()
        finally:
            self.store.listeners.remove(look)

    def bookmark(self) -> None:
        """Send a bookmark to every watch that wants them."""
        self._api.bookmark()

    def compact(self) -> None:
        """Forget the history: who resumes a watch from before this moment hears 410."""
        self.store.compact()

    def drop_execs(self) -> int:
        """Cut every exec's connection and return how many."""
        return self._streams.drop_execs()

    def user(self, name: str, rules: list[Rule], namespace: str = "") -> Path:
        """Return a kubeconfig of a user who has these rights and no others.

        Args:
            rules: as in a Role.
            namespace: where they hold; "" for everywhere.
        """
        self.users.grants.setdefault(name, []).append((namespace, rules))
        return self.kubeconfig_of(name)

    def account(self, namespace: str, name: str) -> Path:
        """Return a kubeconfig of a service account; Roles in the cluster give its rights."""
        return self.kubeconfig_of(f"system:serviceaccount:{namespace}:{name}")

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of an admin."""
        return self.kubeconfig_of(ADMIN)

    def kubeconfig_of(self, user: str, *, token: str = "", namespace: str = "default") -> Path:
        """Write a kubeconfig of a user, with a token of theirs or the one that is given."""
        path = self.directory / f"kubeconfig-{user.replace(':', '-')}"
        if path.exists() and not token:
            return path
        cluster: Object = {"server": self.url}
        if self.authority is not None:
            cluster["certificate-authority"] = str(self.authority)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": token or self.users.add(user)}}],
            "contexts": [
                {
                    "name": "test",
                    "context": {"cluster": "test", "user": user, "namespace": namespace},
                }
            ],
            "current-context": "test",
        }
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        return path

    def _make_pod(self, namespace: str, pod: Object) -> Object | str:
        ask = Ask("create", PODS, namespace, user="system:kube-controller-manager")
        try:
            return self._verbs.create(ask, pod)
        except Refusal as refusal:
            return refusal.message

    async def _listen(self) -> None:
        app = web.Application(client_max_size=4 << 20)
        app.router.add_route("*", "/{path:.*}", self._api.handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await site.start()
        if not self.port:
            self.port = self._runner.addresses[0][1]

    async def _stop_listening(self) -> None:
        self.faults.abort_watches()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def aclose(self) -> None:
        """End everything."""
        await self._stop_listening()
        await self.kubelet.aclose()
        await self._tasks.aclose()


@asynccontextmanager
async def serve(
    directory: Path,
    *,
    cheap: float | None = None,
    pace: float = 0.1,
    port: int = 0,
    is_tls: bool = False,
) -> AsyncIterator[Cluster]:
    """Serve a cluster until the block ends.

    Args:
        directory: for kubeconfigs, logs and volumes.
        cheap: seconds after which every pod is ready that no script says otherwise of; no process
            is started then.
        pace: what the kubelet's own waits are multiplied with (a probe's period, a back-off).
        port: where to listen; 0 for any.
        is_tls: speak TLS, with an authority of its own that the kubeconfigs name.
    """
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    cluster = Cluster(directory, cheap=cheap, pace=pace, is_tls=is_tls)
    cluster.port = port
    await cluster._listen()
    try:
        yield cluster
    finally:
        await cluster.aclose()
