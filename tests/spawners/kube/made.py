"""Options as an admin sets them, and what is made of them for a workspace, without a cluster."""

from pathlib import Path
from typing import Any

from kworkspace.spawners.base import Task, Workspace
from kworkspace.spawners.kube import KubeSpawner
from kworkspace.spawners.kube.identity import Identity
from kworkspace.spawners.kube.identity import identity as who_runs
from kworkspace.spawners.kube.manifests.claim import make_claim
from kworkspace.spawners.kube.manifests.job import make_job
from kworkspace.spawners.kube.manifests.namespace import make_namespace
from kworkspace.spawners.kube.manifests.pod import make_pod
from kworkspace.spawners.kube.manifests.secret import make_secret
from kworkspace.spawners.kube.manifests.service import make_service
from kworkspace.spawners.kube.names import account_name, names
from tests.kube_api.objects import Object

ALICE = Workspace(
    id="6f1c3a52-0c1e-4d7b-9a55-0d3c2f6f3f10",
    user="alice",
    name="",
    slug="alice",
    authorized_keys=("ssh-ed25519 AAAAalice alice@laptop", "ssh-ed25519 AAAAother"),
    user_authorities=("ssh-ed25519 AAAAauthority",),
)
BACKUP = Task(name="backup", argv=("restic", "backup", "."), environment={"REPO": "s3:here"})
HOST_KEY = "ssh-ed25519 AAAAhost"
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\n(placeholder)\n-----END OPENSSH PRIVATE KEY-----\n"


def configured(**options: Any) -> KubeSpawner:
    """Return the spawner with some options set, as at a hub's start."""
    options = {"namespace": "workspaces", **options}
    return KubeSpawner(hub_id="hub", data_dir=Path("/nowhere"), on_exit=lambda _: None, **options)


def identity_of(options: KubeSpawner, workspace: Workspace = ALICE) -> Identity:
    """Return who a workspace's container runs as."""
    return who_runs(options, workspace, names(options, workspace))


def pod_of(options: KubeSpawner, workspace: Workspace = ALICE) -> Object:
    """Return a workspace's pod."""
    return make_pod(
        options,
        workspace,
        names(options, workspace),
        account=account_name(options, workspace),
        host_key=HOST_KEY,
    )


def container_of(pod: Object, name: str = "workspace") -> Object:
    """Return a container of a pod, or of a Job's."""
    spec = pod["spec"].get("template", pod)["spec"]
    found = [one for one in spec["containers"] if one["name"] == name]
    assert len(found) == 1, name
    container: Object = found[0]
    return container


def claim_of(options: KubeSpawner, workspace: Workspace = ALICE) -> Object | None:
    """Return a workspace's claim."""
    return make_claim(options, workspace, names(options, workspace))


def secret_of(options: KubeSpawner, workspace: Workspace = ALICE) -> Object:
    """Return a workspace's Secret."""
    return make_secret(
        options,
        workspace,
        names(options, workspace),
        host_key_private=PRIVATE,
        host_key_public=HOST_KEY,
    )


def service_of(options: KubeSpawner, workspace: Workspace = ALICE) -> Object | None:
    """Return a workspace's Service."""
    return make_service(options, workspace, names(options, workspace))


def namespace_of(options: KubeSpawner, workspace: Workspace = ALICE) -> Object:
    """Return a workspace's namespace."""
    return make_namespace(options, workspace, names(options, workspace))


def job_of(
    options: KubeSpawner,
    task: Task = BACKUP,
    workspace: Workspace = ALICE,
    *,
    node: str | None = None,
) -> Object:
    """Return a Job beside a workspace's home."""
    return make_job(options, workspace, names(options, workspace), task, node=node)


def everything(options: KubeSpawner, workspace: Workspace = ALICE) -> dict[str, Object]:
    """Return all that is made for a workspace, by kind; what there is not to be is left out."""
    made = [
        namespace_of(options, workspace),
        claim_of(options, workspace),
        secret_of(options, workspace),
        service_of(options, workspace),
        pod_of(options, workspace),
        job_of(options, workspace=workspace),
    ]
    return {thing["kind"]: thing for thing in made if thing is not None}
