"""Names of a workspace's objects, and what templates mean for it.

Names are made from the templates of the configuration; the spawner looks objects up by their
labels first, so that a template that changed loses nothing. Pure.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube import templates

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

SECRET_SUFFIX = "-ssh"  # noqa: S105  # a name's end
_MAX_ACCOUNT = 32  # useradd(8)
_ACCOUNT = re.compile(r"[a-z_][a-z0-9_-]*")
_TAKEN = frozenset({"root", "nobody", "sshd", "daemon", "bin", "sys", "mail", "games", "man"})

# Workspaces that a bad template makes meet: of one user, of two, and across a hyphen.
_PROBES = (("a", ""), ("b", ""), ("a", "b"), ("a", "c"), ("b", "b"), ("a-b", ""), ("ab", ""))


@dataclass(frozen=True, slots=True)
class Names:
    """What a workspace's objects are called.

    Attributes:
        namespace: of all of them.
        pod: the Pod.
        claim: the PersistentVolumeClaim, unless one is found by its labels.
        secret: the Secret with keys and bootstrap.
        service: the Service, if there is one.
    """

    namespace: str
    pod: str
    claim: str
    secret: str
    service: str


def names(options: "KubeSpawnerOptions", workspace: Workspace) -> Names:
    """Return the names that the configuration gives to a workspace's objects."""
    values = template_fields(options, workspace)
    pod = values["pod_name"]
    secret = pod + SECRET_SUFFIX
    if len(secret) > templates.MAX_LABEL:
        secret = templates.hashed(pod, templates.MAX_LABEL - len(SECRET_SUFFIX)) + SECRET_SUFFIX
    return Names(
        namespace=values["namespace"],
        pod=pod,
        claim=values["pvc_name"],
        secret=secret,
        service=_service(pod),
    )


def template_fields(
    options: "KubeSpawnerOptions", workspace: Workspace, names: Names | None = None
) -> dict[str, str]:
    """Return what the fields of templates mean for a workspace.

    Args:
        options: the configuration.
        workspace: which.
        names: what its objects are called, where that is known better than by the templates.
    """
    values = templates.fields(
        user=workspace.user,
        server=workspace.name,
        slug=workspace.slug,
        server_id=workspace.id,
        hub_id=options.hub_id,
        namespace=options.namespace,
        hub_namespace=options.hub_namespace,
    )
    if names is not None:
        values |= {"namespace": names.namespace, "pod_name": names.pod, "pvc_name": names.claim}
    else:
        if options.enable_user_namespaces:
            template = options.user_namespace_template
            values["namespace"] = templates.object_name(template, values)
        values["pod_name"] = templates.object_name(options.pod_name_template, values)
        values["pvc_name"] = templates.object_name(options.pvc_name_template, values)
    values["account"] = _account(templates.expand(options.account_template, values))
    return values


def account_name(options: "KubeSpawnerOptions", workspace: Workspace) -> str:
    """Return the Unix account of a workspace: at most 32 of `a-z0-9_-`, as useradd allows."""
    return template_fields(options, workspace)["account"]


def _account(text: str) -> str:
    if _ACCOUNT.fullmatch(text) and len(text) <= _MAX_ACCOUNT and text not in _TAKEN:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    readable = re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[: _MAX_ACCOUNT - 11].strip("-")
    readable = readable if _ACCOUNT.match(readable) else f"u-{readable}".rstrip("-")
    return f"{readable}-{digest}"


def connect_host(
    options: "KubeSpawnerOptions", workspace: Workspace, names: Names, pod_ip: str
) -> str:
    """Return where the gateway reaches a workspace: `pod_connect_ip`, the Service, or the pod."""
    if options.pod_connect_ip:
        values = template_fields(options, workspace, names)
        pieces = options.pod_connect_ip.split(".")
        return ".".join(templates.expand(text, values) for text in pieces)
    if options.service_type == "ClusterIP" and service_port(options) == options.ssh_port:
        return dns_name(options, names)
    return pod_ip


def service_port(options: "KubeSpawnerOptions") -> int:
    """Return the port of a Service: 22 for people, the pod's for the gateway."""
    if options.service_port is not None:
        return int(options.service_port)
    return int(options.ssh_port) if options.service_type == "ClusterIP" else 22


def dns_name(options: "KubeSpawnerOptions", names: Names) -> str:
    """Return the DNS name of a workspace's Service."""
    values = {"name": names.service, "namespace": names.namespace}
    return templates.expand(options.dns_name_template, values)


def probe(user: str, server: str) -> Workspace:
    """Return a made-up workspace to try templates and builders with."""
    slug = templates.user_server_piece(user, server)
    return Workspace(id="00000000-0000-0000-0000-000000000000", user=user, name=server, slug=slug)


def meeting(options: "KubeSpawnerOptions", field: str) -> tuple[Workspace, Workspace] | None:
    """Return two workspaces that a template gives the same name.

    Args:
        options: the configuration.
        field: "pod" or "claim"; two workspaces of one user may share a claim.
    """
    seen: dict[tuple[str, str], Workspace] = {}
    for user, server in _PROBES:
        workspace = probe(user, server)
        made = names(options, workspace)
        key = made.namespace, str(getattr(made, field))
        other = seen.setdefault(key, workspace)
        if other is not workspace and (field != "claim" or other.user != user):
            return other, workspace
    return None


def shares_claim(options: "KubeSpawnerOptions") -> bool:
    """Whether all workspaces of a user have one claim, because its template names only the user."""
    first, second = (names(options, probe("a", server)).claim for server in ("", "b"))
    return first == second


def _service(pod: str) -> str:
    """Return a Service's name for a pod's: RFC 1035, so it begins with a letter."""
    if pod[0].isalpha():
        return pod
    return f"w-{pod}" if len(pod) <= templates.MAX_LABEL - 2 else f"w-{templates.hashed(pod, 61)}"
