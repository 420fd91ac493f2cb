"""The environment and the identity of a container's processes."""

import re
from pathlib import Path

from tests.kube_api.node.images import Image
from tests.kube_api.node.volumes import contents
from tests.kube_api.objects import Object, dig
from tests.kube_api.store import Store

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_.-][\w.-]*)\)")
_DEFAULT_CAPABILITIES = (
    "chown",
    "dac_override",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "net_bind_service",
    "net_raw",
    "sys_chroot",
    "mknod",
    "audit_write",
    "setfcap",
)


def environment(
    pod: Object, container: Object, store: Store, *, ip: str, passwd: Path | None, uid: int
) -> dict[str, str]:
    """Return what a container's processes find in their environment.

    Args:
        ip: the pod's address; the bootstrap hears of it, as pods share this machine's network.
        passwd: what is mounted over /etc/passwd, if anything is.
    """
    home = "/root" if uid == 0 else "/"
    for line in (passwd or Path("/etc/passwd")).read_text().splitlines():
        fields = line.split(":")
        if len(fields) > 5 and fields[2] == str(uid):
            home = fields[5]
            break
    found = {"PATH": _PATH, "HOME": home, "HOSTNAME": pod["metadata"]["name"]}
    namespace = pod["metadata"]["namespace"]
    for entry in container.get("envFrom", []):
        for kind, plural in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
            if reference := entry.get(kind):
                thing = store.get(plural, namespace, reference["name"])
                pairs = contents(thing, secret=kind == "secretRef").items()
                prefix = entry.get("prefix", "")
                found |= {prefix + key: text.decode() for key, text in pairs}
    for entry in container.get("env", []):
        value = entry.get("value")
        if value is None:
            value = _from(entry.get("valueFrom") or {}, pod, container, store, ip)
        found[entry["name"]] = expand(value, found)
    return found | {"KWORKSPACE_BOOT_LISTEN": ip}


def expand(text: str, known: dict[str, str]) -> str:
    """Replace $(NAME) by what is known of it; what is not known stays, and $$ is $."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return known.get(match[1], match[0])

    return _REFERENCE.sub(value, text)


def _from(source: Object, pod: Object, container: Object, store: Store, ip: str) -> str:
    namespace = pod["metadata"]["namespace"]
    for kind, plural in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
        if reference := source.get(kind):
            thing = store.get(plural, namespace, reference["name"])
            return (
                contents(thing, secret=kind == "secretKeyRef").get(reference["key"], b"").decode()
            )
    if reference := source.get("resourceFieldRef"):
        kind, _, name = reference["resource"].partition(".")
        return str(dig(container, "resources", kind, name, default=0))
    return _field(dig(source, "fieldRef", "fieldPath", default=""), pod, ip)


def _field(path: str, pod: Object, ip: str) -> str:
    if path in {"status.podIP", "status.podIPs"}:
        return ip
    if path == "status.hostIP":
        return "10.88.0.1"
    if found := re.fullmatch(r"(metadata\.(?:labels|annotations))\['(.+)'\]", path):
        return str(dig(pod, *found[1].split("."), found[2], default=""))
    return str(dig(pod, *path.split("."), default=""))


def user_of(pod: Object, container: Object, image: Image) -> int:
    """Return the uid that a container runs as."""
    return int(_setting(pod, container, "runAsUser", image.user))


def _setting(pod: Object, container: Object, key: str, default: int) -> int:
    shared = dig(pod, "spec", "securityContext", key, default=default)
    return int(dig(container, "securityContext", key, default=shared))


def setpriv(pod: Object, container: Object, image: Image) -> list[str]:
    """Return the command that gives up what the container must not have, then runs another."""
    uid = user_of(pod, container, image)
    gid = _setting(pod, container, "runAsGroup", uid if uid == image.user else 0)
    groups = [str(gid)] if uid == 0 else []
    if (group := dig(pod, "spec", "securityContext", "fsGroup")) is not None:
        groups.append(str(group))
    groups += map(str, dig(pod, "spec", "securityContext", "supplementalGroups", default=[]))
    command = ["setpriv", "--reuid", str(uid), "--regid", str(gid), "--inh-caps=-all"]
    command += [f"--groups={','.join(groups)}"] if groups else ["--clear-groups"]
    changes = dig(container, "securityContext", "capabilities", default={})
    kept = [] if "ALL" in (changes.get("drop") or []) else list(_DEFAULT_CAPABILITIES)
    kept = [name for name in kept if name.upper() not in (changes.get("drop") or [])]
    kept += [name.lower() for name in changes.get("add") or []]
    if not dig(container, "securityContext", "privileged"):
        command.append("--bounding-set=-all" + "".join(f",+{name}" for name in kept))
    if dig(container, "securityContext", "allowPrivilegeEscalation") is False:
        command.append("--no-new-privs")
    return command
