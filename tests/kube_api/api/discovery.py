"""What clients ask before they ask: health, version, groups and their resources."""

from tests.kube_api.kinds import GROUPS, RESOURCES, Resource
from tests.kube_api.objects import Object

VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-04-22T00:00:00Z",
    "goVersion": "go1.26",
    "compiler": "gc",
    "platform": "linux/amd64",
}
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


def answer(path: str) -> Object | None:
    """Return the answer of a path that is none of a resource's, or None."""
    parts = path.strip("/").split("/")
    match parts:
        case ["version"]:
            return dict(VERSION)
        case ["healthz" | "readyz" | "livez", *_]:
            return {"status": "ok"}
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            groups = [_group(name) for name in GROUPS if name]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["api", "v1"]:
            return _resources("")
        case ["apis", group] if group in GROUPS:
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(group)
        case ["apis", group, version] if GROUPS.get(group) == version:
            return _resources(group)
    return None


def _group(name: str) -> Object:
    version = {"groupVersion": f"{name}/{GROUPS[name]}", "version": GROUPS[name]}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resources(group: str) -> Object:
    found = [entry for one in RESOURCES if one.group == group for entry in _entries(one)]
    version = f"{group}/{GROUPS[group]}" if group else GROUPS[group]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": version,
        "resources": found,
    }


def _entries(resource: Resource) -> list[Object]:
    own: Object = {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(_VERBS),
    }
    below = [
        own
        | {
            "name": f"{resource.plural}/{word}",
            "singularName": "",
            "verbs": ["get", "patch", "update"],
        }
        for word in sorted(resource.subresources)
    ]
    return [own, *below]
