"""What Kubernetes takes: its strict schemas, and what an API server looks at beyond them."""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from unittest import mock

import kubernetes_validate
import yaml
from kubernetes_validate import utils

from tests.kube_api.api.asking import Ask
from tests.kube_api.api.verbs import Verbs
from tests.kube_api.kinds import BY_KIND, NAMESPACES
from tests.kube_api.objects import Object
from tests.kube_api.store import Store

_CHART = Path(__file__).parents[3] / "charts/kworkspace/Chart.yaml"

# The oldest is the chart's; 1.30 is the oldest that upstream still kept up in 2025.
OLDEST = re.sub(r"[^0-9.]", "", yaml.safe_load(_CHART.read_text())["kubeVersion"].partition("-")[0])
NEWEST = kubernetes_validate.latest_version()
VERSIONS = (OLDEST, NEWEST)

_LEVEL = "pod-security.kubernetes.io/enforce"
_read = cache(utils.schema_contents)  # a megabyte each


def check_schema(things: Iterable[Object]) -> None:
    """See that objects are valid for the oldest and the newest Kubernetes.

    Raises:
        AssertionError: one is not; it says where.
    """
    with mock.patch.object(utils, "schema_contents", _read):
        for thing in things:
            for version in VERSIONS:
                try:
                    kubernetes_validate.validate(thing, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    where = ".".join(map(str, error.path))
                    raise AssertionError(
                        f"{thing['kind']} of {version}: {where}: {error.message}"
                    ) from None


def check_taken(things: Iterable[Object], level: str = "privileged") -> None:
    """See that the API server of the tests makes objects, and the pods of Jobs.

    Args:
        things: a namespace before what is in it.
        level: what the namespaces enforce of PodSecurity.

    Raises:
        Refusal: it does not.
    """
    verbs = Verbs(Store())
    for given in things:
        thing, resource = given, BY_KIND[given["apiVersion"], given["kind"]]
        if resource is NAMESPACES:
            thing = {**thing, "metadata": {**thing["metadata"], "labels": {_LEVEL: level}}}
        namespace = thing["metadata"].get("namespace", "")
        strict = {"fieldValidation": "Strict"}
        verbs.create(Ask("create", resource, namespace, query=strict), thing)
        if thing["kind"] == "Job":
            pod = {**thing["spec"]["template"], "apiVersion": "v1", "kind": "Pod"}
            pod["metadata"] = {**pod["metadata"], "name": thing["metadata"]["name"]}
            pods = BY_KIND["v1", "Pod"]
            verbs.create(Ask("create", pods, namespace, query=strict), pod)
