"""`c.KubeSpawner.pod_template`: reads it, checks it, and refuses what the hub must decide itself.

A template is kept as a Pod with Kubernetes' own keys, whichever way it was given. What a workspace
stands on (its container's name, command and port, the volumes of kworkspace, labels by which it is
found) cannot be changed by it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from kworkspace.spawners.kube import schema, templates
from kworkspace.spawners.kube.own import CONTAINER, OWN_PREFIX, check_label, check_spec
from kworkspace.spawners.kube.traits import SAMPLE, Kube


class PodTemplate(Kube):
    """A Pod or PodSpec: a dictionary, or the path of a YAML file; kept as a Pod."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(None, **kwargs)

    def check(self, value: Any) -> Any:
        """Return it as a Pod.

        Raises:
            SchemaError: it cannot be read, is none, or decides what the hub decides.
        """
        if isinstance(value, str | Path):
            value = _read(Path(value))
        if not isinstance(value, Mapping):
            raise schema.SchemaError(f"expected a dictionary or a path, not {value!r}")
        pod = _pod(value)
        _refuse_metadata(pod["metadata"])
        check_spec(pod["spec"])
        containers = pod["spec"].get("containers") or []
        if containers and not any(one["name"] == CONTAINER for one in containers):
            raise schema.SchemaError(
                f"none of its containers is called '{CONTAINER}', as the workspace's own is; for"
                " containers beside it there is c.KubeSpawner.extra_containers"
            )
        templates.expand_all(pod, SAMPLE, lenient=True)
        return pod


def _pod(value: Mapping[str, Any]) -> dict[str, Any]:
    if {"spec", "metadata", "kind", "apiVersion"} & value.keys():
        kind = value.get("kind", "Pod")
        if kind != "Pod" or value.get("apiVersion", "v1") not in {"v1", "core/v1"}:
            raise schema.SchemaError(f"expected a Pod of v1, not {kind!r}")
        rest = {key: item for key, item in value.items() if key not in {"kind", "apiVersion"}}
        pod = schema.conform({"spec": {}, **rest}, "V1Pod", partial=True, within=("spec",))
        if pod.get("status") is not None:
            raise schema.SchemaError("'status' is not for a template")
    else:
        pod = {"spec": schema.conform(value, "V1PodSpec", partial=True)}
    return {"metadata": pod.get("metadata") or {}, "spec": pod.get("spec") or {}}


def _refuse_metadata(metadata: Mapping[str, Any]) -> None:
    allowed = {"labels", "annotations", "finalizers"}
    given = {
        key for key, item in metadata.items() if item is not None and key != "creationTimestamp"
    }
    if other := sorted(given - allowed):
        raise schema.SchemaError(
            f"metadata.{other[0]} cannot be set: there is {', '.join(sorted(allowed))}"
        )
    for key in metadata.get("labels") or {}:
        check_label(key)
    for key in metadata.get("annotations") or {}:
        if key.startswith(OWN_PREFIX):
            raise schema.SchemaError(f"'{key}' is one of kworkspace's own annotations")


def _read(path: Path) -> Any:
    try:
        documents = [one for one in yaml.safe_load_all(path.read_bytes()) if one is not None]
    except OSError as error:
        raise schema.SchemaError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        line = f":{where.line + 1}" if where is not None else ""
        what = getattr(error, "problem", None) or "it is not YAML"
        raise schema.SchemaError(f"{path}{line}: {what}") from None
    if len(documents) != 1:
        raise schema.SchemaError(f"{path} has {len(documents)} documents, expected one")
    return documents[0]
