"""Pods that run for real: identity, volumes, environment, exec, logs, signals."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.kube_api.clients import (
    CLAIMS,
    PODS,
    SECRETS,
    Client,
    claim,
    client_of,
    exec_in,
    is_ready,
    secret,
)
from tests.kube_api.cluster import Cluster, serve
from tests.kube_api.marks import NEEDS_REAL_PODS
from tests.kube_api.objects import Object, dig

pytestmark = NEEDS_REAL_PODS

RESTRICTED = {
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with serve(tmp_path, pace=0.02) as served:
        yield served


@pytest.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    async with client_of(cluster) as found:
        yield found


def pod(script: str, *, volumes: dict[str, Object] | None = None, **container: Any) -> Object:
    """A pod that runs a script; volumes by their path in it."""
    found = {f"v{number}": pair for number, pair in enumerate((volumes or {}).items())}
    spec = container.pop("spec", {})
    mounts = [{"name": name, "mountPath": path} for name, (path, _) in found.items()]
    container = {
        "name": "workspace",
        "image": "ubuntu:24.04",
        "command": ["/bin/sh", "-c", script],
        "volumeMounts": mounts + container.pop("more_mounts", []),
    } | container
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "alice"},
        "spec": {
            "containers": [container],
            "volumes": [{"name": name} | volume for name, (_, volume) in found.items()],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "automountServiceAccountToken": False,
        }
        | spec,
    }


async def ended(cluster: Cluster) -> Object:
    return await cluster.wait("pods", lambda one: one["status"]["phase"] in {"Failed", "Succeeded"})


async def log_of(client: Client, **query: str) -> str:
    words = "&".join(f"{key}={value}" for key, value in query.items())
    status, text = await client.call("GET", f"{PODS}/alice/log?{words}")
    assert status == 200, text
    return str(text)


async def log_until(client: Client, word: str) -> str:
    """Follow the log until a line has a word."""
    url, said = f"{client.url}{PODS}/alice/log?follow=true", ""
    async with client.session.get(url, headers=client.headers) as response:
        assert response.status == 200, await response.text()
        while word not in said:
            line = await response.content.readline()
            assert line, said
            said += line.decode()
    return said


async def run(cluster: Cluster, client: Client, manifest: Object) -> str:
    """Run a pod to its end and return its log."""
    status, made = await client.call("POST", PODS, manifest)
    assert status == 201, made
    await ended(cluster)
    return await log_of(client)


async def test_a_container_has_its_own_processes_files_and_name(
    cluster: Cluster, client: Client
) -> None:
    script = (
        "echo $$$$; hostname; echo $KWORKSPACE_BOOT_LISTEN; touch /etc/kube-api-was-here; id -u"
    )
    said = (await run(cluster, client, pod(script))).split()
    assert said[:2] == ["1", "alice"]
    assert said[2] == (await ended(cluster))["status"]["podIP"]
    assert said[3] == "0"
    assert not Path("/etc/kube-api-was-here").exists()


async def test_a_restricted_pod_has_no_rights(cluster: Cluster, client: Client) -> None:
    cluster.edit(
        "namespaces",
        "",
        "workspaces",
        lambda one: one["metadata"]["labels"].update(
            {"pod-security.kubernetes.io/enforce": "restricted"}
        ),
    )
    script = "id -u; id -g; id -G; grep -E 'CapBnd|CapEff|NoNewPrivs' /proc/self/status"
    manifest = pod(
        script,
        securityContext=RESTRICTED,
        spec={"securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 2000}},
    )
    said = (await run(cluster, client, manifest)).splitlines()
    assert said[:2] == ["1000", "1000"]
    assert set(said[2].split()) == {"1000", "2000"}
    assert [line.split()[1] for line in said[3:]] == ["0" * 16, "0" * 16, "1"]


async def test_root_must_be_asked_for(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, pod("id", securityContext={"runAsNonRoot": True}))
    found = await cluster.wait(
        "pods",
        lambda one: (
            dig(one, "status", "containerStatuses", 0, "state", "waiting", "reason")
            == "CreateContainerConfigError"
        ),
    )
    message = found["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
    assert message.startswith("container has runAsNonRoot and image will run as root")


async def test_a_secret_is_mounted_and_its_change_arrives(cluster: Cluster, client: Client) -> None:
    await client.call(
        "POST", SECRETS, secret(keys="one", passwd="alice:x:1000:0::/home/alice:/bin/sh")
    )
    manifest = pod(
        "cat /etc/kworkspace/keys; echo; stat -c %a /etc/kworkspace /etc/kworkspace/..data/keys;"
        " grep alice /etc/passwd; touch /etc/kworkspace/x; echo ready; exec sleep infinity",
        volumes={"/etc/kworkspace": {"secret": {"secretName": "alice", "defaultMode": 0o400}}},
        more_mounts=[{"name": "v0", "mountPath": "/etc/passwd", "subPath": "passwd"}],
    )
    await client.call("POST", PODS, manifest)
    await cluster.wait("pods", is_ready)
    said = await log_until(client, "ready")
    lines = said.splitlines()
    assert lines[:3] == ["one", "1777", "400"]
    assert lines[3].startswith("alice:")
    assert "Read-only" in lines[4]
    change = {"data": {"keys": "dHdv"}}
    status, _ = await client.call(
        "PATCH", f"{SECRETS}/alice", change, type="application/merge-patch+json"
    )
    assert status == 200
    assert await exec_in(client, "cat", "/etc/kworkspace/keys") == (0, "two", "")


async def test_a_claim_keeps_what_was_written(cluster: Cluster, client: Client) -> None:
    await client.call("POST", CLAIMS, claim())
    volume = {"persistentVolumeClaim": {"claimName": "home"}}
    manifest = pod("echo kept > /home/alice/file", volumes={"/home/alice": volume})
    await run(cluster, client, manifest)
    await client.call("DELETE", f"{PODS}/alice")
    assert await run(cluster, client, pod("cat /data/file", volumes={"/data": volume})) == "kept\n"


async def test_the_group_of_the_pod_may_write(cluster: Cluster, client: Client) -> None:
    await client.call("POST", CLAIMS, claim())
    volumes: dict[str, Object] = {
        "/home/a": {"persistentVolumeClaim": {"claimName": "home"}},
        "/run/k": {"emptyDir": {}},
    }
    manifest = pod(
        "touch /home/a/f /run/k/f && stat -c '%g %a' /home/a /run/k && echo fine",
        volumes=volumes,
        spec={"securityContext": {"runAsUser": 1000, "fsGroup": 1000}},
    )
    assert (await run(cluster, client, manifest)).splitlines() == ["1000 2775", "1000 2777", "fine"]


async def test_exec_has_streams_and_an_exit_code(cluster: Cluster, client: Client) -> None:
    env = [{"name": "COLOUR", "value": "red"}]
    await client.call("POST", PODS, pod("exec sleep infinity", env=env))
    await cluster.wait("pods", is_ready)
    script = "cat; echo $COLOUR >&2; exit 3"
    assert await exec_in(client, "sh", "-c", script, stdin=b"in") == (3, "in", "red\n")
    code, said, _ = await exec_in(client, "cat", "/proc/1/comm")
    assert (code, said) == (0, "sleep\n")
    code, _, problem = await exec_in(client, "no-such-program")
    assert code == 127
    assert "no-such-program" in problem


async def test_an_exec_is_cut(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, pod("exec sleep infinity"))
    await cluster.wait("pods", is_ready)
    streams = [("stdin", "1"), ("stdout", "1")]
    async with client.session.ws_connect(
        f"{client.url}{PODS}/alice/exec",
        params=[*(("command", word) for word in ("sh", "-c", "echo up; exec cat")), *streams],
        headers=client.headers,
        protocols=["v5.channel.k8s.io"],
    ) as socket:
        assert await socket.receive_bytes() == b"\x01up\n"
        assert cluster.drop_execs() == 1
        message = await socket.receive()
    assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}


async def test_sigterm_and_the_grace_period(cluster: Cluster, client: Client) -> None:
    script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done"
    await client.call("POST", PODS, pod(script))
    await cluster.wait("pods", is_ready)
    async with client.watch(PODS) as watched:
        await watched.take(1)
        await log_until(client, "up")
        await client.call("DELETE", f"{PODS}/alice")
        phases = []
        while (event := await watched.next()) is not None:
            phases.append(event["object"]["status"]["phase"])
            if event["type"] == "DELETED":
                break
    assert phases[-1] == "Succeeded"


async def test_what_ignores_sigterm_is_killed(cluster: Cluster, client: Client) -> None:
    await client.call("POST", PODS, pod("exec sleep infinity"))
    await cluster.wait("pods", is_ready)
    async with client.watch(PODS) as watched:
        await watched.take(1)
        await client.call("DELETE", f"{PODS}/alice?gracePeriodSeconds=1")
        last: Object = {}
        while (event := await watched.next()) is not None and event["type"] != "DELETED":
            last = event["object"]
    assert last["status"]["phase"] == "Failed"
    end = last["status"]["containerStatuses"][0]["state"]["terminated"]
    assert end["exitCode"] == 137


async def test_hooks_run_in_the_container(cluster: Cluster, client: Client) -> None:
    await client.call("POST", CLAIMS, claim())
    lifecycle = {
        when: {"exec": {"command": ["sh", "-c", f"echo {when} >> /home/hooks"]}}
        for when in ("postStart", "preStop")
    }
    volume = {"persistentVolumeClaim": {"claimName": "home"}}
    script = "trap 'exit 0' TERM; while :; do sleep 0.05; done"
    await client.call("POST", PODS, pod(script, volumes={"/home": volume}, lifecycle=lifecycle))
    await cluster.wait("pods", is_ready)
    await client.call("DELETE", f"{PODS}/alice")
    await cluster.wait_gone("pods", "workspaces", "alice")
    hooks = cluster.node.claims / "workspaces" / "home" / "hooks"
    assert hooks.read_text().split() == ["postStart", "preStop"]


async def test_a_program_probes_readiness(cluster: Cluster, client: Client) -> None:
    probe = {"exec": {"command": ["test", "-e", "/tmp/ready"]}, "periodSeconds": 1}
    await client.call("POST", PODS, pod("exec sleep infinity", readinessProbe=probe))
    await cluster.wait("events", lambda one: one["reason"] == "Unhealthy")
    assert await exec_in(client, "touch", "/tmp/ready") == (0, "", "")
    await cluster.wait("pods", is_ready)


async def test_readiness_is_a_port_that_answers(cluster: Cluster, client: Client) -> None:
    script = """exec perl -MIO::Socket::INET -e '
        my $s = IO::Socket::INET->new(LocalAddr => $ENV{KWORKSPACE_BOOT_LISTEN}, LocalPort => 2222,
            Listen => 5, ReuseAddr => 1) or die; $s->accept while 1'"""
    manifest = pod(
        script,
        ports=[{"name": "ssh", "containerPort": 2222}],
        readinessProbe={"tcpSocket": {"port": "ssh"}, "periodSeconds": 1},
    )
    await client.call("POST", PODS, manifest)
    ready = await cluster.wait("pods", is_ready)
    _, writer = await asyncio.open_connection(ready["status"]["podIP"], 2222)
    writer.close()
    await writer.wait_closed()


async def test_nothing_is_left_when_the_cluster_ends(tmp_path: Path) -> None:
    async with serve(tmp_path) as cluster, client_of(cluster) as client:
        await client.call("POST", PODS, pod("sleep infinity & exec sleep infinity"))
        await cluster.wait("pods", is_ready)
        worker = cluster.kubelet.worker("workspaces", "alice")
        pid = worker.runs["workspace"].pid  # type: ignore[attr-defined]
    assert not Path(f"/proc/{pid}").exists()


async def test_a_pod_is_deleted_while_it_starts(cluster: Cluster, client: Client) -> None:
    for _ in range(2):
        await client.call("POST", PODS, pod("exec sleep infinity"))
        await cluster.wait("pods", lambda one: "nodeName" in one["spec"])
        await client.call("DELETE", f"{PODS}/alice?gracePeriodSeconds=1")
        await cluster.wait_gone("pods", "workspaces", "alice")
