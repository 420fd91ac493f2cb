"""Who a workspace's container runs as, and so how it begins: as root, or as one plain user.

One rule: a container that runs as another user than root, by `uid` or by a security context of the
pod or the container, is a plain user's; every other one runs as root. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube import templates
from kworkspace.spawners.kube.merge import merge, merge_all
from kworkspace.spawners.kube.names import Names, template_fields
from kworkspace.spawners.kube.own import CONTAINER

if TYPE_CHECKING:
    from kworkspace.spawners.kube.config import KubeSpawnerOptions


@dataclass(frozen=True, slots=True)
class Identity:
    """An account in its container.

    Attributes:
        plain: whether the container runs as this account and nobody else.
        uid: its user id.
        gid: its group.
        more_gids: its other groups.
        home: its home.
        shell: its shell.
    """

    plain: bool
    uid: int
    gid: int
    more_gids: tuple[int, ...]
    home: str
    shell: str


def identity(options: "KubeSpawnerOptions", workspace: Workspace, names: Names) -> Identity:
    """Return who a workspace's container runs as, by the configuration."""
    context = merge_all(_pod_context(options), _container_context(options))
    home = templates.expand(options.home_dir, template_fields(options, workspace, names))
    uid = context.get("runAsUser") or 0
    plain = bool(uid) or bool(context.get("runAsNonRoot"))
    if plain:
        own = int(context.get("runAsGroup", uid))
        return Identity(True, int(uid), own, _more_groups(context, own), home, options.shell)
    gid = options.account_gid if options.account_gid is not None else options.account_uid
    uid, more = int(options.account_uid), _more_groups(context, int(gid))
    return Identity(False, uid, int(gid), more, home, options.shell)


def _more_groups(context: Mapping[str, Any], own: int) -> tuple[int, ...]:
    groups = (context.get("fsGroup"), *(context.get("supplementalGroups") or ()))
    return tuple(dict.fromkeys(int(gid) for gid in groups if gid is not None and gid != own))


def template_container(options: "KubeSpawnerOptions") -> Mapping[str, Any]:
    """Return the workspace's container as pod_template has it."""
    spec = (options.pod_template or {}).get("spec") or {}
    found = [one for one in spec.get("containers") or () if one["name"] == CONTAINER]
    return found[0] if found else {}


def pod_context(options: "KubeSpawnerOptions", who: Identity) -> dict[str, Any]:
    """Return the securityContext of the pod."""
    soft: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if who.plain:
        soft |= {
            "runAsNonRoot": True,
            "fsGroup": who.gid,
            # Else every file of a large home is looked at, at each start.
            "fsGroupChangePolicy": "OnRootMismatch",
        }
    return merge(soft, _pod_context(options))


def container_context(options: "KubeSpawnerOptions", who: Identity) -> dict[str, Any]:
    """Return the securityContext of the workspace's container."""
    soft: dict[str, Any] = {"allowPrivilegeEscalation": options.allow_privilege_escalation}
    if who.plain:
        soft |= {
            "capabilities": {"drop": ["ALL"]},
            "runAsGroup": who.gid,
            "runAsNonRoot": True,
            "runAsUser": who.uid,
        }
    else:  # whatever the image says: the bootstrap is to make the account
        soft |= {"runAsGroup": 0, "runAsUser": 0}
    context = merge_all(soft, _container_context(options))
    added = (context.get("capabilities") or {}).get("add") or ()
    if context.get("privileged") or "CAP_SYS_ADMIN" in added:
        # The API server refuses False together with these; None takes away a template's too.
        context["allowPrivilegeEscalation"] = context.get("allowPrivilegeEscalation") or None
    return context


def _pod_context(options: "KubeSpawnerOptions") -> dict[str, Any]:
    """Return what is configured of the pod's securityContext."""
    template = (options.pod_template or {}).get("spec") or {}
    given: dict[str, Any] = {}
    if options.fs_gid is not None:
        given["fsGroup"] = options.fs_gid
    if options.supplemental_gids:
        given["supplementalGroups"] = list(options.supplemental_gids)
    return merge_all(
        template.get("securityContext") or {},
        given,
        options.extra_pod_config.get("securityContext") or {},
        options.pod_security_context,
    )


def _container_context(options: "KubeSpawnerOptions") -> dict[str, Any]:
    """Return what is configured of the container's securityContext."""
    given: dict[str, Any] = {}
    if options.uid is not None:
        given["runAsUser"] = options.uid
    if options.gid is not None:
        given["runAsGroup"] = options.gid
    if options.privileged:
        given["privileged"] = True
    if options.sudo:
        given["allowPrivilegeEscalation"] = True
    elif options.is_set("allow_privilege_escalation"):
        given["allowPrivilegeEscalation"] = options.allow_privilege_escalation
    return merge_all(
        template_container(options).get("securityContext") or {},
        given,
        options.extra_container_config.get("securityContext") or {},
        options.container_security_context,
    )
