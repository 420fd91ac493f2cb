"""What the API server refuses in the spec of a pod, or of a template of pods."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.kube_api.api.statuses import bad_request, cause
from tests.kube_api.objects import Object, dig, quantity

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and"
    " must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex"
    f" used for validation is '{_LABEL}')"
)
_ENUMS = {
    "restartPolicy": ("Always", "OnFailure", "Never"),
    "dnsPolicy": ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
}
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_QUANTITY_WORDS = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)


def _bad(field: str, value: Any, why: str) -> Object:
    return cause("FieldValueInvalid", f"Invalid value: {json.dumps(value)}: {why}", field)


def _required(field: str, why: str = "") -> Object:
    return cause("FieldValueRequired", f"Required value{why and f': {why}'}", field)


def _duplicate(field: str, value: Any) -> Object:
    return cause("FieldValueDuplicate", f"Duplicate value: {json.dumps(value)}", field)


def _unsupported(field: str, value: Any, known: tuple[str, ...]) -> Object:
    shown = ", ".join(json.dumps(word) for word in known)
    why = f"Unsupported value: {json.dumps(value)}: supported values: {shown}"
    return cause("FieldValueNotSupported", why, field)


def pod_causes(spec: Object, at: str) -> list[Object]:
    """Return all that is wrong with a spec.

    Args:
        at: the spec's own path in the object.

    Raises:
        Refusal: 400, a quantity does not parse.
    """
    return list(_pod_causes(spec, at))


def _pod_causes(spec: Object, at: str) -> Iterator[Object]:
    volumes = spec.get("volumes", [])
    names = [volume.get("name", "") for volume in volumes]
    for index, volume in enumerate(volumes):
        yield from _volume_causes(volume, names[:index], f"{at}.volumes[{index}]")
    if not spec.get("containers"):
        yield _required(f"{at}.containers")
    seen: list[str] = []
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(kind, [])):
            yield from _container_causes(container, seen, names, f"{at}.{kind}[{index}]")
            seen.append(container.get("name", ""))
    for key, known in _ENUMS.items():
        if spec.get(key) not in (*known, None):
            yield _unsupported(f"{at}.{key}", spec[key], known)
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        why = "must be greater than or equal to 0"
        yield _bad(
            f"{at}.terminationGracePeriodSeconds", spec["terminationGracePeriodSeconds"], why
        )
    yield from _identity_causes(spec.get("securityContext") or {}, f"{at}.securityContext")


def _identity_causes(context: Object, at: str) -> Iterator[Object]:
    for key in ("runAsUser", "runAsGroup", "fsGroup"):
        value = context.get(key)
        if value is not None and not 0 <= value < 2**31:
            yield _bad(f"{at}.{key}", value, "must be between 0 and 2147483647, inclusive")


def _volume_causes(volume: Object, before: list[str], at: str) -> Iterator[Object]:
    name = volume.get("name", "")
    if not name:
        yield _required(f"{at}.name")
    elif not re.fullmatch(_LABEL, name):
        yield _bad(f"{at}.name", name, _LABEL_WORDS)
    elif len(name) > 63:
        yield _bad(f"{at}.name", name, "must be no more than 63 bytes")
    if name in before:
        yield _duplicate(f"{at}.name", name)
    kinds = sorted(set(volume) - {"name"})
    for kind in kinds[1:]:
        why = "Forbidden: may not specify more than 1 volume type"
        yield cause("FieldValueForbidden", why, f"{at}.{kind}")
    if "secret" in volume and not volume["secret"].get("secretName"):
        yield _required(f"{at}.secret.secretName")
    claim = volume.get("persistentVolumeClaim")
    if claim is not None and not claim.get("claimName"):
        yield _required(f"{at}.persistentVolumeClaim.claimName")


def _container_causes(
    container: Object, before: list[str], volumes: list[str], at: str
) -> Iterator[Object]:
    name = container.get("name", "")
    if not name:
        yield _required(f"{at}.name")
    elif not re.fullmatch(_LABEL, name) or len(name) > 63:
        yield _bad(f"{at}.name", name, _LABEL_WORDS)
    if name in before:
        yield _duplicate(f"{at}.name", name)
    image = container.get("image", "")
    if not image:
        yield _required(f"{at}.image")
    elif image != image.strip():
        yield _bad(f"{at}.image", image, "must not have leading or trailing whitespace")
    if container.get("imagePullPolicy") not in (*_PULL_POLICIES, None):
        yield _unsupported(f"{at}.imagePullPolicy", container["imagePullPolicy"], _PULL_POLICIES)
    yield from _port_causes(container.get("ports", []), at)
    yield from _env_causes(container.get("env", []), at)
    yield from _mount_causes(container.get("volumeMounts", []), volumes, at)
    yield from _resource_causes(container.get("resources", {}), f"{at}.resources")
    yield from _identity_causes(container.get("securityContext") or {}, f"{at}.securityContext")


def _port_causes(ports: list[Object], at: str) -> Iterator[Object]:
    names: list[str] = []
    for index, port in enumerate(ports):
        here = f"{at}.ports[{index}]"
        number, name = port.get("containerPort"), port.get("name", "")
        if number is None:
            yield _required(f"{here}.containerPort")
        elif not 1 <= number <= 65535:
            yield _bad(f"{here}.containerPort", number, "must be between 1 and 65535, inclusive")
        if port.get("protocol") not in (*_PROTOCOLS, None):
            yield _unsupported(f"{here}.protocol", port["protocol"], _PROTOCOLS)
        if name and len(name) > 15:
            yield _bad(f"{here}.name", name, "must be no more than 15 characters")
        elif name and not re.fullmatch(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*", name):
            why = "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
            yield _bad(f"{here}.name", name, why)
        if name and name in names:
            yield _duplicate(f"{here}.name", name)
        names.append(name)


def _env_causes(entries: list[Object], at: str) -> Iterator[Object]:
    for index, entry in enumerate(entries):
        here = f"{at}.env[{index}]"
        name = entry.get("name", "")
        if not name:
            yield _required(f"{here}.name")
        elif "=" in name or not name.isprintable() or not name.isascii():
            why = (
                "a valid environment variable name must consist only of printable ASCII"
                " characters other than '='"
            )
            yield _bad(f"{here}.name", name, why)
        if entry.get("value") and entry.get("valueFrom"):
            why = "may not be specified when `value` is not empty"
            yield _bad(f"{here}.valueFrom", "", why)


def _mount_causes(mounts: list[Object], volumes: list[str], at: str) -> Iterator[Object]:
    paths: list[str] = []
    for index, mount in enumerate(mounts):
        here = f"{at}.volumeMounts[{index}]"
        name, path = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield _required(f"{here}.name")
        elif name not in volumes:
            yield cause("FieldValueNotFound", f"Not found: {json.dumps(name)}", f"{here}.name")
        if not path:
            yield _required(f"{here}.mountPath")
        elif path in paths:
            yield _bad(f"{here}.mountPath", path, "must be unique")
        if mount.get("subPath", "").startswith("/"):
            yield _bad(f"{here}.subPath", mount["subPath"], "must be a relative path")
        paths.append(path)


def _resource_causes(resources: Object, at: str) -> Iterator[Object]:
    for kind in ("limits", "requests"):
        for name, value in (resources.get(kind) or {}).items():
            try:
                amount = quantity(value)
            except ValueError:
                raise bad_request(
                    'Pod in version "v1" cannot be handled as a Pod: ' + _QUANTITY_WORDS
                ) from None
            if amount < 0:
                yield _bad(f"{at}.{kind}[{name}]", str(value), "must be greater than or equal to 0")
    for name, value in (resources.get("requests") or {}).items():
        limit = dig(resources, "limits", name)
        extended = "/" in name
        if extended and limit is None:
            yield _required(f"{at}.limits", "Limit must be set for non overcommitable resources")
        elif limit is not None and quantity(value) > quantity(limit):
            why = f"must be less than or equal to {name} limit of {limit}"
            yield _bad(f"{at}.requests", str(value), why)
        elif extended and limit is not None and quantity(value) != quantity(limit):
            why = f"must be equal to {name} limit of {limit}"
            yield _bad(f"{at}.requests", str(value), why)
