"""The floor: a client that makes the objects of workspaces and waits for them on one watch.

It knows beforehand what to make, checks nothing and keeps nothing: no hub can be quicker.
"""

import asyncio
import json
from pathlib import Path
from time import perf_counter
from typing import Any

import aiohttp

from bench.kube_server import NAMESPACE, KubeServer
from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube.manifests.claim import make_claim
from kworkspace.spawners.kube.manifests.pod import make_pod
from kworkspace.spawners.kube.manifests.secret import make_secret
from kworkspace.spawners.kube.names import account_name, names
from kworkspace.spawners.kube.objects import new_host_key
from kworkspace.spawners.kube.spawner import KubeSpawner

CONNECTIONS = 64
PODS, CLAIMS, SECRETS = "pods", "persistentvolumeclaims", "secrets"

Manifests = list[tuple[str, dict[str, bytes]]]


def bare_starts(server: KubeServer, users: list[str]) -> list[float]:
    """Start a workspace for each user at once; return the seconds until each was ready."""
    return asyncio.run(_run(server, _manifests(users)))


def _manifests(users: list[str]) -> Manifests:
    options = KubeSpawner(
        hub_id="bench",
        data_dir=Path("/nonexistent"),
        on_exit=lambda _exit: None,
        namespace=NAMESPACE,
        image="ubuntu:24.04",
        storage_capacity="1Gi",
    )
    private, public = new_host_key()
    made = []
    for user in users:
        workspace = Workspace(id=user, user=user, name="", slug=user)
        called = names(options, workspace)
        secret = make_secret(
            options, workspace, called, host_key_private=private, host_key_public=public
        )
        account = account_name(options, workspace)
        pod = make_pod(options, workspace, called, account=account, host_key=public)
        bodies = {PODS: pod, CLAIMS: make_claim(options, workspace, called), SECRETS: secret}
        encoded = {plural: json.dumps(body).encode() for plural, body in bodies.items()}
        made.append((called.pod, encoded))
    return made


async def _run(server: KubeServer, manifests: Manifests) -> list[float]:
    token = json.loads(Path(server.kubeconfig).read_text())["users"][0]["user"]["token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS + 1)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        f"{server.url}/api/v1/namespaces/{NAMESPACE}/",
        connector=connector,
        headers=headers,
        timeout=timeout,
    ) as session:
        async with session.get(PODS, params={"limit": "1"}) as answer:
            version = (await answer.json())["metadata"]["resourceVersion"]
        query = {"watch": "true", "resourceVersion": version}
        async with session.get(PODS, params=query, read_bufsize=1 << 20) as watch:
            begun = perf_counter()
            async with asyncio.TaskGroup() as group:
                for _, bodies in manifests:
                    group.create_task(_make(session, bodies))
                waiting = {name for name, _ in manifests}
                ready = group.create_task(_ready(watch, waiting))
            return [at - begun for at in ready.result()]


async def _make(session: aiohttp.ClientSession, bodies: dict[str, bytes]) -> None:
    await asyncio.gather(*(_post(session, plural, bodies[plural]) for plural in (CLAIMS, SECRETS)))
    await _post(session, PODS, bodies[PODS])


async def _post(session: aiohttp.ClientSession, plural: str, body: bytes) -> None:
    async with session.post(plural, data=body) as answer:
        said = await answer.read()
        if answer.status != 201:
            raise RuntimeError(f"{plural}: {answer.status} {said.decode()}")


async def _ready(watch: aiohttp.ClientResponse, waiting: set[str]) -> list[float]:
    times = []
    while waiting:
        pod = json.loads(await watch.content.readline())["object"]
        if _is_ready(pod) and pod["metadata"]["name"] in waiting:
            waiting.remove(pod["metadata"]["name"])
            times.append(perf_counter())
    return times


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
