"""Checks of the configuration as a whole, at start: do its parts fit together.

Names are made for a few made-up workspaces, and a pod is built for the configuration and for each
choice of each profile. Callables are left out: their answers are checked when they are there.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from traitlets import TraitError

from kworkspace.cli.client.names import is_dns_label
from kworkspace.spawners.kube import schema, templates
from kworkspace.spawners.kube.identity import identity
from kworkspace.spawners.kube.manifests.claim import has_claim, make_claim
from kworkspace.spawners.kube.manifests.namespace import make_namespace
from kworkspace.spawners.kube.manifests.pod import make_pod
from kworkspace.spawners.kube.manifests.service import make_service
from kworkspace.spawners.kube.names import account_name, dns_name, meeting, names, probe
from kworkspace.spawners.kube.own import CONTAINER
from kworkspace.spawners.kube.profile_list import Overrides, parse
from kworkspace.spawners.kube.profiles import OVERRIDABLE, View, with_overrides
from kworkspace.spawners.kube.quantities import parse_quantity
from kworkspace.spawners.kube.traits import Hook, listed

if TYPE_CHECKING:
    from kworkspace.spawners.base import Workspace
    from kworkspace.spawners.kube.config import KubeSpawnerOptions

_NATIVE = ("kubernetes.io/", "requests.", "hugepages-")
# What a callable is replaced by here.
_BLANK: Mapping[str, Any] = {
    "container_security_context": {},
    "pod_security_context": {},
    "supplemental_gids": [],
    "environment": {},
}


def check(options: "KubeSpawnerOptions") -> None:
    """Refuse a configuration whose parts do not fit together.

    Raises:
        TraitError: it begins with the option.
    """
    _check_names(options)
    _check_pod(options, "")
    if not callable(options.profile_list):
        for where, overrides in _every_choice(options):
            try:
                _check_pod(with_overrides(options, iter(overrides)), where)
            except templates.TemplateError as error:
                raise _wrong("profile_list", where, str(error)) from None


def _check_names(options: "KubeSpawnerOptions") -> None:
    if not is_dns_label(options.namespace):
        raise _wrong("namespace", "", f"'{options.namespace}' is not a namespace's name")
    made = _made("pod_name_template", lambda: names(options, probe("a", "")))
    _made("account_template", lambda: account_name(options, probe("a", "")))
    _made("dns_name_template", lambda: dns_name(options, made))
    for name, field in (("pod_name_template", "pod"), ("pvc_name_template", "claim")):
        if field == "claim" and not has_claim(options):
            continue
        if met := meeting(options, field):
            raise _wrong(
                name,
                "",
                f"'{getattr(options, name)}' gives {_whose(met[0])} and {_whose(met[1])} the same"
                " name; {slug} and {user_server} differ for every two",
            )


def _check_pod(given: "KubeSpawnerOptions", where: str) -> None:
    options = _without_callables(given)
    workspace = probe("a", "")
    made = names(options, workspace)
    who = _made("home_dir", lambda: identity(options, workspace, made))
    if not who.home.startswith("/") or ":" in who.home or "\n" in who.home:
        raise _wrong("home_dir", where, f"'{who.home}' is not an absolute path")
    if not options.shell.startswith("/") or ":" in options.shell or "\n" in options.shell:
        raise _wrong("shell", where, f"'{options.shell}' is not an absolute path")
    if who.plain and who.uid == 0 and not callable(given.uid):
        raise _wrong("uid", where, "runAsNonRoot is set, so it must be another than root's")
    if who.plain and options.sudo:
        raise _wrong("sudo", where, "nobody becomes root in a container that a plain user runs")
    if has_claim(options):
        bare = cast("KubeSpawnerOptions", View(options, {"storage_pvc_ensure": False}))
        spec = make_pod(bare, workspace, made, account="a", host_key="")["spec"]
        if (who.home.rstrip("/") or "/") in _paths(_main(spec)):
            raise _wrong(
                "volume_mounts",
                where,
                f"{who.home} is where the workspace's own volume is mounted; leave one out, that by"
                " c.KubeSpawner.storage_pvc_ensure = False",
            )
    pod = make_pod(options, workspace, made, account="a", host_key="ssh-ed25519 AAAA")
    make_claim(options, workspace, made)
    make_service(options, workspace, made)
    make_namespace(options, workspace, made)
    _check_spec(options, pod["spec"], where)
    try:
        schema.conform(pod, "V1Pod")
    except schema.SchemaError as error:
        raise _wrong("pod_template", where, f"the pod made with it cannot be: {error}") from None


def _check_spec(options: "KubeSpawnerOptions", spec: Mapping[str, Any], where: str) -> None:
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    for name, volume in volumes.items():
        if len([key for key, item in volume.items() if item is not None]) != 2:
            option = _of(options, "volumes", name)
            raise _wrong(option, where, f"the volume '{name}' must have one kind, as 'nfs'")
    seen: set[str] = set()
    for container in chain(spec.get("initContainers") or (), spec["containers"]):
        if container["name"] in seen:
            raise _wrong(
                "extra_containers", where, f"there are two containers '{container['name']}'"
            )
        seen.add(container["name"])
        for mount in container.get("volumeMounts") or ():
            if mount["name"] not in volumes:
                option = "volume_mounts" if container["name"] == CONTAINER else "volumes"
                raise _wrong(option, where, f"there is no volume '{mount['name']}'")
    paths = _paths(_main(spec))
    if twice := [path for path in paths if paths.count(path) > 1]:
        raise _wrong("volume_mounts", where, f"two volumes are mounted at {twice[0]}")
    _check_ports(options, spec["containers"], where)
    for container in spec["containers"]:
        _check_resources(container, where)


def _check_ports(
    options: "KubeSpawnerOptions", containers: list[Mapping[str, Any]], where: str
) -> None:
    """All containers of a pod share its ports."""
    for container in containers:
        for port in container.get("ports") or ():
            if (
                container["name"] != CONTAINER
                and port["containerPort"] == options.ssh_port
                and (port.get("protocol") or "TCP") == "TCP"
            ):
                raise _wrong(
                    "ssh_port",
                    where,
                    f"{options.ssh_port} is used by the container '{container['name']}' too",
                )


def _main(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(one for one in spec["containers"] if one["name"] == CONTAINER)
    return found


def _paths(container: Mapping[str, Any]) -> list[str]:
    return [mount["mountPath"].rstrip("/") or "/" for mount in container["volumeMounts"]]


def _check_resources(container: Mapping[str, Any], where: str) -> None:
    given = container.get("resources") or {}
    limits, requests = given.get("limits") or {}, given.get("requests") or {}
    for resource, amount in requests.items():
        option = {"cpu": "cpu_guarantee", "memory": "mem_guarantee"}.get(
            resource, "extra_resource_guarantees"
        )
        limit = limits.get(resource)
        if _is_extended(resource) and (
            limit is None or parse_quantity(limit) != parse_quantity(amount)
        ):
            raise _wrong(
                option,
                where,
                f"{resource} must be in extra_resource_limits too, with the same amount",
            )
        if limit is not None and parse_quantity(amount) > parse_quantity(limit):
            raise _wrong(option, where, f"{amount} of {resource} is more than its limit {limit}")
    for resource, amount in limits.items():
        if _is_extended(resource) and parse_quantity(amount) % 1:
            raise _wrong("extra_resource_limits", where, f"{resource} must be whole: {amount}")


def _is_extended(resource: str) -> bool:
    return "/" in resource and not resource.startswith(_NATIVE)


def _every_choice(
    options: "KubeSpawnerOptions",
) -> Iterator[tuple[str, list[tuple[str, Overrides]]]]:
    """Yield each profile as it is, and with each choice of each of its options."""
    for profile in parse(options.profile_list):
        where = f"profile '{profile.slug}'"
        whole = (where, profile.overrides)
        yield where, [whole]
        for option in profile.options:
            place = f"{where}, {option.name}"
            for choice, overrides in option.choices.items():
                yield f"{place} '{choice}'", [whole, (f"{place} '{choice}'", overrides)]
            if option.unlisted is not None:
                # What is typed can be anything; what it is for must be an option.
                unknown = {key: None for key in option.unlisted.overrides if key not in OVERRIDABLE}
                yield f"{place}, typed", [(f"{place}, typed", unknown)]


def _without_callables(options: "KubeSpawnerOptions") -> "KubeSpawnerOptions":
    view = options if isinstance(options, View) else View(options, {})
    values: dict[str, Any] = {}
    for name in OVERRIDABLE:
        value = getattr(view, name)
        if callable(value) and not isinstance(getattr(type(view.configured), name), Hook):
            values[name] = _BLANK.get(name)
        elif name == "environment":
            values[name] = {key: "x" if callable(item) else item for key, item in value.items()}
    return cast("KubeSpawnerOptions", View(view, values))


def _made(option: str, make: Any) -> Any:
    try:
        return make()
    except templates.TemplateError as error:
        raise _wrong(option, "", str(error)) from None


def _of(options: "KubeSpawnerOptions", option: str, name: str) -> str:
    """Return the option that an item comes from: that one, or the template."""
    given = [item["name"] for item in listed(getattr(options, option))]
    return option if name in given or not options.pod_template else "pod_template"


def _whose(workspace: "Workspace") -> str:
    if workspace.name:
        return f"{workspace.user}'s workspace '{workspace.name}'"
    return f"{workspace.user}'s default workspace"


def _wrong(option: str, where: str, what: str) -> TraitError:
    if where:
        return TraitError(f"c.KubeSpawner.profile_list, {where}: {option}: {what}")
    return TraitError(f"c.KubeSpawner.{option}: {what}")
