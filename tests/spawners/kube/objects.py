"""Small manifests, and what a pod is waited for."""

from typing import Any

NAMESPACE = "workspaces"


def pod(name: str, image: str = "ubuntu:24.04", **labels: str) -> dict[str, Any]:
    """Return a pod of one container; in labels, `__` is a slash and `_` a dot."""
    spelt = {key.replace("__", "/").replace("_", "."): value for key, value in labels.items()}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": spelt},
        "spec": {"containers": [{"name": "workspace", "image": image}]},
    }


def secret(name: str, **values: str) -> dict[str, Any]:
    """Return a Secret; the values are base64."""
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": values}


def is_ready(pod: dict[str, Any] | None) -> bool:
    """Whether a pod's container answers."""
    conditions = (pod or {}).get("status", {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def kubeconfig(url: str, user: str = "token: secret", cluster: str = "") -> str:
    """Return a kubeconfig's text.

    Args:
        url: of the server.
        user: what stands at the user.
        cluster: more that stands at the cluster, with a comma in front.
    """
    return f"""
apiVersion: v1
kind: Config
current-context: test
contexts: [{{name: test, context: {{cluster: test, user: hub}}}}]
clusters: [{{name: test, cluster: {{server: "{url}"{cluster}}}}}]
users: [{{name: hub, user: {{{user}}}}}]
"""
