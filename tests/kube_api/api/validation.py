"""What the API server refuses with 422: names, labels, and what may not change later."""

import base64
import binascii
import difflib
import json
import re
from typing import Any

from tests.kube_api.api.pod_validation import pod_causes
from tests.kube_api.api.statuses import bad_request, cause, invalid
from tests.kube_api.kinds import Resource
from tests.kube_api.objects import Object, clone, containers, dig, quantity

_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_VALUE = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_SECRET_BYTES = 1 << 20
_ANNOTATION_BYTES = 256 << 10

_SUBDOMAIN_WORDS = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or"
    " '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used"
    f" for validation is '{_SUBDOMAIN}')"
)
_LABEL_WORDS = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and"
    " must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex"
    f" used for validation is '{_LABEL}')"
)
_LABEL_1035_WORDS = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an"
    " alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or"
    f" 'abc-123', regex used for validation is '{_LABEL_1035}')"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or"
    " '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or"
    f" 'my_value',  or '12345', regex used for validation is '{_VALUE}')"
)
_QUALIFIED_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end"
    " with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for"
    f" validation is '{_QUALIFIED}')"
)


def bad(field: str, value: Any, why: str) -> Object:
    """Return the cause of a value that is wrong."""
    return cause("FieldValueInvalid", f"Invalid value: {json.dumps(value)}: {why}", field)


def check_name(resource: Resource, name: str) -> None:
    """See that a name is one.

    Raises:
        Refusal: 422.
    """
    if not name:
        why = "Required value: name or generateName is required"
        raise invalid(resource, "", [cause("FieldValueRequired", why, "metadata.name")])
    pattern, words, limit = _SUBDOMAIN, _SUBDOMAIN_WORDS, 253
    if resource.plural == "services":
        pattern, words, limit = _LABEL_1035, _LABEL_1035_WORDS, 63
    elif resource.plural == "namespaces":
        pattern, words, limit = _LABEL, _LABEL_WORDS, 63
    elif resource.group == "rbac.authorization.k8s.io":
        return
    causes = []
    if len(name) > limit:
        why = f"must be no more than {limit} bytes"
        causes.append(bad("metadata.name", name, why))
    if not re.fullmatch(pattern, name):
        causes.append(bad("metadata.name", name, words))
    if causes:
        raise invalid(resource, name, causes)


def check(resource: Resource, thing: Object) -> None:
    """See that an object that is complete may be stored.

    Raises:
        Refusal: 422, or 400 for what the real server's decoder refuses.
    """
    causes = _metadata_causes(thing["metadata"])
    match resource.plural:
        case "pods":
            causes += pod_causes(thing["spec"], "spec")
        case "jobs":
            causes += pod_causes(thing["spec"]["template"]["spec"], "spec.template.spec")
            causes += _job_causes(thing)
        case "secrets":
            causes += _secret_causes(thing)
        case "persistentvolumeclaims":
            causes += _claim_causes(thing["spec"])
        case _:
            pass
    if causes:
        raise invalid(resource, thing["metadata"]["name"], causes)


def _metadata_causes(metadata: Object) -> list[Object]:
    causes = []
    for key, value in (metadata.get("labels") or {}).items():
        causes += _key_causes("metadata.labels", key)
        if len(value) > 63:
            causes.append(bad("metadata.labels", value, "must be no more than 63 bytes"))
        if not re.fullmatch(_VALUE, value):
            causes.append(bad("metadata.labels", value, _VALUE_WORDS))
    size = 0
    for key, value in (metadata.get("annotations") or {}).items():
        causes += _key_causes("metadata.annotations", key.lower())
        size += len(key.encode()) + len(value.encode())
    if size > _ANNOTATION_BYTES:
        why = f"Too long: may not be more than {_ANNOTATION_BYTES} bytes"
        causes.append(cause("FieldValueTooLong", why, "metadata.annotations"))
    return causes


def _key_causes(field: str, key: str) -> list[Object]:
    prefix, slash, name = key.rpartition("/")
    causes = []
    if slash and not re.fullmatch(_SUBDOMAIN, prefix):
        causes.append(bad(field, key, f"prefix part {_SUBDOMAIN_WORDS}"))
    if len(name) > 63:
        causes.append(bad(field, key, "name part must be no more than 63 bytes"))
    if not re.fullmatch(_QUALIFIED, name):
        causes.append(bad(field, key, _QUALIFIED_WORDS))
    return causes


def _secret_causes(thing: Object) -> list[Object]:
    causes, size = [], 0
    for key, text in (thing.get("data") or {}).items():
        if not re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key):
            why = (
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
                " (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is"
                " '[-._a-zA-Z0-9]+')"
            )
            causes.append(bad(f"data[{key}]", key, why))
        try:
            size += len(base64.b64decode(text, validate=True))
        except binascii.Error:
            raise bad_request(
                'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at'
                " input byte 0"
            ) from None
    if size > _SECRET_BYTES:
        why = f"Too long: may not be more than {_SECRET_BYTES} bytes"
        causes.append(cause("FieldValueTooLong", why, "data"))
    return causes


def _claim_causes(spec: Object) -> list[Object]:
    causes = []
    if not spec.get("accessModes"):
        why = "Required value: at least 1 access mode is required"
        causes.append(cause("FieldValueRequired", why, "spec.accessModes"))
    known = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]
    for mode in spec.get("accessModes") or []:
        if mode not in known:
            shown = ", ".join(json.dumps(word) for word in known)
            why = f"Unsupported value: {json.dumps(mode)}: supported values: {shown}"
            causes.append(cause("FieldValueNotSupported", why, "spec.accessModes"))
    field = "spec.resources[storage]"
    wanted = dig(spec, "resources", "requests", "storage")
    if wanted is None:
        causes.append(cause("FieldValueRequired", "Required value", field))
    elif quantity(wanted) <= 0:
        causes.append(bad(field, wanted, "must be greater than zero"))
    return causes


def _job_causes(job: Object) -> list[Object]:
    policy = job["spec"]["template"]["spec"].get("restartPolicy")
    if policy in {"Never", "OnFailure"}:
        return []
    why = (
        f"Required value: valid values: {json.dumps('OnFailure')}, {json.dumps('Never')}"
        if policy is None
        else f"Unsupported value: {json.dumps(policy)}: supported values:"
        f" {json.dumps('OnFailure')}, {json.dumps('Never')}"
    )
    return [cause("FieldValueNotSupported", why, "spec.template.spec.restartPolicy")]


_POD_WORDS = (
    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only"
    " additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set"
    " to 1 if it was previously negative)\n"
)
_CLAIM_WORDS = (
    "Forbidden: spec is immutable after creation except resources.requests and"
    " volumeAttributesClassName for bound claims\n"
)


def check_update(resource: Resource, old: Object, new: Object) -> None:
    """See that an update changes nothing that is immutable.

    Raises:
        Refusal: 422.
    """
    causes: list[Object] = []
    match resource.plural:
        case "pods":
            causes = _frozen(_pod_core(old), _pod_core(new), _POD_WORDS)
        case "persistentvolumeclaims":
            causes = _claim_update(old, new)
        case "secrets" | "configmaps":
            causes = _content_update(old, new)
        case "jobs":
            causes = [
                bad(f"spec.{key}", new["spec"].get(key), "field is immutable")
                for key in ("template", "selector", "completionMode")
                if old["spec"].get(key) != new["spec"].get(key)
            ]
        case "services":
            before, after = dig(old, "spec", "clusterIP"), dig(new, "spec", "clusterIP")
            if before and after != before and dig(new, "spec", "type") != "ExternalName":
                causes = [bad("spec.clusterIPs[0]", after, "may not change once set")]
        case _:
            pass
    if causes:
        raise invalid(resource, old["metadata"]["name"], causes)


def _content_update(old: Object, new: Object) -> list[Object]:
    causes = []
    if old.get("immutable") and old.get("data") != new.get("data"):
        why = "Forbidden: field is immutable when `immutable` is set"
        causes.append(cause("FieldValueForbidden", why, "data"))
    if old.get("type") != new.get("type"):
        causes.append(bad("type", new.get("type"), "field is immutable"))
    return causes


def _pod_core(pod: Object) -> Object:
    """The part of a pod's spec that nobody may change."""
    core = clone(pod)
    for container in (*containers(core), *containers(core, init=True)):
        container.pop("image", None)
    for key in ("activeDeadlineSeconds", "tolerations", "nodeName"):
        core["spec"].pop(key, None)
    spec: Object = core["spec"]
    return spec


def _claim_update(old: Object, new: Object) -> list[Object]:
    before, after = clone(old["spec"]), clone(new["spec"])
    bound = dig(old, "status", "phase") == "Bound"
    had = dig(before, "resources", "requests", "storage", default="0")
    wants = dig(after, "resources", "requests", "storage", default="0")
    if bound:
        before.pop("resources", None)
        after.pop("resources", None)
    causes = _frozen(before, after, _CLAIM_WORDS)
    if not causes and bound and quantity(wants) < quantity(had):
        held = dig(old, "status", "capacity", "storage", default=had)
        if quantity(wants) < quantity(held):
            why = "Forbidden: field can not be less than status.capacity"
            causes.append(cause("FieldValueForbidden", why, "spec.resources.requests.storage"))
    return causes


def _frozen(before: Object, after: Object, words: str) -> list[Object]:
    if before == after:
        return []
    had, wants = (json.dumps(_go_names(value), indent=1).splitlines() for value in (before, after))
    hunks = list(difflib.unified_diff(had, wants, n=3, lineterm=""))[2:]
    return [cause("FieldValueForbidden", words + "\n".join(hunks) + "\n", "spec")]


def _go_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[:1].upper() + key[1:]: _go_names(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_go_names(entry) for entry in value]
    return value
