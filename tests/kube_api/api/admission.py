"""What is refused with 403 although it is valid: namespaces that end, quotas, PodSecurity."""

from collections.abc import Iterator
from decimal import Decimal

from tests.kube_api.api.statuses import Refusal, cause, forbidden, not_found
from tests.kube_api.kinds import NAMESPACES, Resource
from tests.kube_api.objects import Object, containers, dig, is_finished, quantity, shown
from tests.kube_api.store import Store

_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)
_RESTRICTED_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)


def admit(resource: Resource, thing: Object, store: Store) -> None:
    """See that a new object may be made in its namespace.

    Raises:
        Refusal: 403, or 404 where there is no such namespace.
    """
    if not resource.namespaced:
        return
    metadata = thing["metadata"]
    namespace = store.get("namespaces", "", metadata["namespace"])
    if namespace is None:
        raise not_found(NAMESPACES, metadata["namespace"])
    if dig(namespace, "status", "phase") == "Terminating":
        raise _terminating(resource, metadata["name"], metadata["namespace"])
    if resource.plural == "pods":
        level = dig(namespace, "metadata", "labels", default={}).get(
            "pod-security.kubernetes.io/enforce", "privileged"
        )
        if violations := list(_violations(thing, level)):
            why = f'violates PodSecurity "{level}:latest": {", ".join(violations)}'
            raise forbidden(resource, metadata["name"], why)
    for quota in store.values("resourcequotas", metadata["namespace"]):
        _check_quota(quota, resource, thing, store)


def admit_update(resource: Resource, old: Object, new: Object, store: Store) -> None:
    """See that a claim that is to grow is of a class that can.

    Raises:
        Refusal: 403.
    """
    if resource.plural != "persistentvolumeclaims":
        return
    path = ("spec", "resources", "requests", "storage")
    if quantity(dig(new, *path, default="0")) <= quantity(dig(old, *path, default="0")):
        return
    storage_class = store.get(
        "storageclasses", "", dig(old, "spec", "storageClassName", default="")
    )
    if not dig(storage_class, "allowVolumeExpansion"):
        why = "only dynamically provisioned pvc can be resized and the storageclass that provisions"
        raise forbidden(resource, old["metadata"]["name"], f"{why} the pvc must support resize")


def _terminating(resource: Resource, name: str, namespace: str) -> Refusal:
    why = f"unable to create new content in namespace {namespace} because it is being terminated"
    message = f"namespace {namespace} is being terminated"
    causes = [cause("NamespaceTerminating", message, "metadata.namespace")]
    return forbidden(resource, name, why, causes=causes)


def _check_quota(quota: Object, resource: Resource, thing: Object, store: Store) -> None:
    name, namespace = thing["metadata"]["name"], thing["metadata"]["namespace"]
    wanted = usage(resource, thing)
    hard = dig(quota, "spec", "hard", default={})
    over: list[tuple[str, str, str, str]] = []
    lacking = []
    for key, limit in sorted(hard.items()):
        if key not in wanted:
            if resource.plural == "pods" and key.partition(".")[0] in {"requests", "limits"}:
                lacking.append(key)
            continue
        used = sum(
            (
                usage(resource, other).get(key, Decimal(0))
                for other in store.values(resource, namespace)
                if not (resource.plural == "pods" and is_finished(other))
            ),
            Decimal(0),
        )
        if used + wanted[key] > quantity(limit):
            like = str(limit)
            over.append((key, shown(wanted[key], like), shown(used, like), like))
    lacking = [key for key in lacking if key.partition(".")[2] in {"cpu", "memory"}]
    if lacking:
        first = containers(thing)[0]["name"]
        words = "; ".join(f"{key} for: {first}" for key in lacking)
        why = f"failed quota: {quota['metadata']['name']}: must specify {words}"
        raise forbidden(resource, name, why)
    if over:
        requested, used_text, limited = (
            ",".join(f"{entry[0]}={entry[place]}" for entry in over) for place in (1, 2, 3)
        )
        raise forbidden(
            resource,
            name,
            f"exceeded quota: {quota['metadata']['name']}, requested: {requested}, used:"
            f" {used_text}, limited: {limited}",
        )


def usage(resource: Resource, thing: Object) -> dict[str, Decimal]:
    """Return what an object counts in a quota."""
    found = {f"count/{resource.qualified}": Decimal(1)}
    if resource.plural in {"pods", "persistentvolumeclaims", "secrets", "services", "configmaps"}:
        found[resource.plural] = Decimal(1)
    if resource.plural == "persistentvolumeclaims":
        found["requests.storage"] = quantity(
            dig(thing, "spec", "resources", "requests", "storage", default="0")
        )
    if resource.plural == "pods":
        for kind in ("requests", "limits"):
            for container in containers(thing):
                for name, value in dig(container, "resources", kind, default={}).items():
                    key = f"{kind}.{name}"
                    found[key] = found.get(key, Decimal(0)) + quantity(value)
                    if kind == "requests" and name in {"cpu", "memory"}:
                        found[name] = found[key]
    return found


def _violations(pod: Object, level: str) -> Iterator[str]:
    """Yield how a pod breaks the level that its namespace enforces."""
    if level not in {"baseline", "restricted"}:
        return
    spec = pod["spec"]
    every = [*containers(pod), *containers(pod, init=True)]
    yield from _baseline(spec, every, with_capabilities=level == "baseline")
    if level == "restricted":
        yield from _restricted(spec, every)


def _baseline(spec: Object, every: list[Object], *, with_capabilities: bool) -> Iterator[str]:
    shared = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    if shared:
        yield f"host namespaces ({', '.join(f'{key}=true' for key in shared)})"
    if paths := [volume["name"] for volume in spec.get("volumes", []) if "hostPath" in volume]:
        yield f"hostPath volumes ({_named('volume', paths)})"
    privileged = [c["name"] for c in every if _of(c, "privileged")]
    if privileged:
        yield (
            f"privileged ({_named('container', privileged)} must not set"
            " securityContext.privileged=true)"
        )
    if with_capabilities:
        added = [
            c["name"]
            for c in every
            if set(dig(_context(c), "capabilities", "add", default=[])) - _CAPABILITIES
        ]
        if added:
            yield (
                f"non-default capabilities ({_named('container', added)} must not include"
                " additional capabilities in securityContext.capabilities.add)"
            )


def _restricted(spec: Object, every: list[Object]) -> Iterator[str]:
    escalating = [c["name"] for c in every if _of(c, "allowPrivilegeEscalation") is not False]
    if escalating:
        yield (
            f"allowPrivilegeEscalation != false ({_named('container', escalating)} must set"
            " securityContext.allowPrivilegeEscalation=false)"
        )
    capable = [
        c["name"]
        for c in every
        if "ALL" not in dig(_context(c), "capabilities", "drop", default=[])
        or set(dig(_context(c), "capabilities", "add", default=[])) - {"NET_BIND_SERVICE"}
    ]
    if capable:
        yield (
            f"unrestricted capabilities ({_named('container', capable)} must set"
            ' securityContext.capabilities.drop=["ALL"])'
        )
    odd = [
        volume["name"]
        for volume in spec.get("volumes", [])
        if not set(volume) - {"name"} <= _RESTRICTED_VOLUMES
    ]
    if odd:
        yield f"restricted volume types ({_named('volume', odd)} uses restricted volume type)"
    pod = spec.get("securityContext") or {}
    rooted = [c["name"] for c in every if not _of(c, "runAsNonRoot", pod)]
    if rooted:
        yield (
            f"runAsNonRoot != true (pod or {_named('container', rooted)} must set"
            " securityContext.runAsNonRoot=true)"
        )
    zero = [c["name"] for c in every if _of(c, "runAsUser", pod) == 0]
    if zero:
        yield f"runAsUser=0 (pod or {_named('container', zero)} must not set runAsUser=0)"
    open_calls = [
        c["name"]
        for c in every
        if dig(_of(c, "seccompProfile", pod), "type") not in {"RuntimeDefault", "Localhost"}
    ]
    if open_calls:
        yield (
            f"seccompProfile (pod or {_named('container', open_calls)} must set"
            ' securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")'
        )


def _context(container: Object) -> Object:
    return container.get("securityContext") or {}


def _of(container: Object, key: str, pod: Object | None = None) -> object:
    """A setting of a container's security context, or of the pod's where that has none."""
    value: object = _context(container).get(key)
    return (pod or {}).get(key) if value is None else value


def _named(word: str, names: list[str]) -> str:
    shown_names = ", ".join(f'"{name}"' for name in names)
    return f"{word}{'s' if len(names) > 1 else ''} {shown_names}"
