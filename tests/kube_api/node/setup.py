"""What keeps a container from being created: volumes, references, names of images."""

from tests.kube_api.node.images import Image, is_reference
from tests.kube_api.objects import Object, dig
from tests.kube_api.store import Store


def missing_volume(pod: Object, store: Store) -> str | None:
    """Return the kubelet's words for a volume that cannot be set up, or None."""
    namespace = pod["metadata"]["namespace"]
    for volume in dig(pod, "spec", "volumes", default=[]):
        for kind, plural, key in (
            ("secret", "secrets", "secretName"),
            ("configMap", "configmaps", "name"),
        ):
            source = volume.get(kind)
            if source is None or source.get("optional"):
                continue
            found = store.get(plural, namespace, source[key])
            word = kind.lower()
            if found is None:
                return (
                    f'MountVolume.SetUp failed for volume "{volume["name"]}" : {word}'
                    f' "{source[key]}" not found'
                )
            for item in source.get("items") or []:
                if item["key"] not in (found.get("data") or {}):
                    return (
                        f'MountVolume.SetUp failed for volume "{volume["name"]}" : references'
                        f" non-existent {word} key: {item['key']}"
                    )
    return None


def config_problem(pod: Object, container: Object, image: Image, store: Store) -> str:
    """Return why a container's configuration cannot be made, or ""."""
    namespace = pod["metadata"]["namespace"]
    for entry in container.get("env", []):
        for kind, plural in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
            reference = dig(entry, "valueFrom", kind)
            if reference is None or reference.get("optional"):
                continue
            word = plural.removesuffix("s").replace("configmap", "configmap")
            found = store.get(plural, namespace, reference["name"])
            if found is None:
                return f'{word} "{reference["name"]}" not found'
            if reference["key"] not in (found.get("data") or {}):
                return (
                    f"couldn't find key {reference['key']} in {word.capitalize()}"
                    f" {namespace}/{reference['name']}"
                )
    for entry in container.get("envFrom", []):
        for kind, plural in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
            reference = entry.get(kind)
            if reference is None or reference.get("optional"):
                continue
            if store.get(plural, namespace, reference["name"]) is None:
                return f'{plural.removesuffix("s")} "{reference["name"]}" not found'
    return _root_problem(pod, container, image)


def _root_problem(pod: Object, container: Object, image: Image) -> str:
    own, shared = container.get("securityContext") or {}, pod["spec"].get("securityContext") or {}
    must_not = own.get("runAsNonRoot", shared.get("runAsNonRoot"))
    user = own.get("runAsUser", shared.get("runAsUser", image.user))
    if not must_not or user != 0:
        return ""
    who = f"{pod['metadata']['name']}_{pod['metadata']['namespace']}({pod['metadata']['uid']})"
    words = f'(pod: "{who}", container: {container["name"]})'
    if "runAsUser" in own or "runAsUser" in shared:
        return f"container's runAsUser breaks non-root policy {words}"
    return f"container has runAsNonRoot and image will run as root {words}"


def pull_words(container: Object) -> tuple[str, str] | None:
    """Return reason and message for an image whose name is none, or None."""
    name = container["image"]
    if is_reference(name):
        return None
    why = "invalid reference format"
    if name != name.lower():
        why += f": repository name ({name.partition(':')[0]}) must be lowercase"
    words = f'Failed to apply default image tag "{name}": couldn\'t parse image name "{name}"'
    return "InvalidImageName", f"{words}: {why}"
