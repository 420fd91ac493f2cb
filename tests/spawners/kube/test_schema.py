"""What Kubernetes' own models say of a part of a pod, and how what they refuse is told."""

from typing import Any

import pytest

from kworkspace.spawners.kube.schema import SchemaError, conform, keys

CONTAINER = {"name": "a", "image": "b"}


@pytest.mark.parametrize(
    ("value", "kind", "kept"),
    [
        ({"env_from": []}, "V1Container", {"envFrom": []}),
        ({"envFrom": []}, "V1Container", {"envFrom": []}),
        ({"hostPID": True}, "V1PodSpec", {"hostPID": True}),
        ({"host_pid": True}, "V1PodSpec", {"hostPID": True}),
        ({"tty": None}, "V1Container", {"tty": None}),
        (
            {"resources": {"limits": {"cpu": 2, "memory": "1Gi"}}},
            "V1Container",
            {"resources": {"limits": {"cpu": "2", "memory": "1Gi"}}},
        ),
        (
            {"volumes": [{"name": "v", "empty_dir": {"size_limit": 1024}}]},
            "V1PodSpec",
            {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1024"}}]},
        ),
        ({"nodeSelector": {"a": "b"}}, "V1PodSpec", {"nodeSelector": {"a": "b"}}),
        ({"ports": [{"containerPort": 1}]}, "V1Container", {"ports": [{"containerPort": 1}]}),
        (
            {"livenessProbe": {"tcpSocket": {"port": "ssh"}}},
            "V1Container",
            {"livenessProbe": {"tcpSocket": {"port": "ssh"}}},
        ),
        (
            {"livenessProbe": {"tcpSocket": {"port": 22}}},
            "V1Container",
            {"livenessProbe": {"tcpSocket": {"port": 22}}},
        ),
    ],
)
def test_what_conforms_has_kubernetes_own_keys(
    value: dict[str, Any], kind: str, kept: dict[str, Any]
) -> None:
    assert conform(value, kind, partial=True) == kept


@pytest.mark.parametrize(
    ("value", "kind", "why"),
    [
        ({"tyy": True}, "V1Container", "tyy: there is no such key; did you mean 'tty'?"),
        (
            {"containers": [{**CONTAINER, "resource": {}}]},
            "V1PodSpec",
            "containers[0].resource: there is no such key; did you mean 'resources'?",
        ),
        ({"qqq": 1}, "V1KeyToPath", "qqq: there is no such key; there are key, mode, path"),
        ({"envFrom": [], "env_from": []}, "V1Container", "env_from: 'envFrom' is there twice"),
        ({"tty": "yes"}, "V1Container", "tty: expected True or False, not 'yes'"),
        ({"tty": 1}, "V1Container", "tty: expected True or False, not 1"),
        ({"priority": True}, "V1PodSpec", "priority: expected a whole number, not True"),
        ({"priority": "1"}, "V1PodSpec", "priority: expected a whole number, not '1'"),
        ({"hostname": 1}, "V1PodSpec", "hostname: expected a text, not 1"),
        ({"command": "bash"}, "V1Container", "command: expected a list, not 'bash'"),
        ({"command": ["a", None]}, "V1Container", "command[1]: expected a text, not None"),
        ({"volumes": {"a": 1}}, "V1PodSpec", "volumes: expected a list, not a dictionary"),
        ({"volumes": [[]]}, "V1PodSpec", "volumes[0]: expected a dictionary, not a list"),
        ({"nodeSelector": []}, "V1PodSpec", "nodeSelector: expected a dictionary, not a list"),
        ({"nodeSelector": {"a": 1}}, "V1PodSpec", "nodeSelector.a: expected a text, not 1"),
        ({"nodeSelector": {1: "a"}}, "V1PodSpec", "nodeSelector: expected a text as key, not 1"),
        ({"volumes": [{"emptyDir": {}}]}, "V1PodSpec", "volumes[0]: 'name' is missing"),
        ({"volumes": [{"name": None}]}, "V1PodSpec", "volumes[0]: 'name' is missing"),
        (
            {"resources": {"limits": {"memory": "10 Gi"}}},
            "V1Container",
            "resources.limits.memory: '10 Gi' is not a quantity;",
        ),
        (
            {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "much"}}]},
            "V1PodSpec",
            "volumes[0].emptyDir.sizeLimit: 'much' is not a quantity;",
        ),
        (
            {"imagePullPolicy": "always"},
            "V1Container",
            "imagePullPolicy: expected one of Always, IfNotPresent, Never, not 'always'",
        ),
        (
            {"tolerations": [{"operator": "In"}]},
            "V1PodSpec",
            "tolerations[0].operator: expected one of Exists, Equal, Lt, Gt, not 'In'",
        ),
        ({"containers": "x" * 99}, "V1PodSpec", f"containers: expected a list, not '{'x' * 36}..."),
    ],
)
def test_what_is_wrong_is_named_with_its_place(value: dict[str, Any], kind: str, why: str) -> None:
    with pytest.raises(SchemaError) as caught:
        conform(value, kind, partial=True)
    assert str(caught.value).startswith(why)


def test_what_is_required() -> None:
    with pytest.raises(SchemaError, match=r"^'containers' is missing$"):
        conform({}, "V1PodSpec")
    assert conform({}, "V1PodSpec", partial=True) == {}
    pod = {"spec": {"hostname": "a"}}
    with pytest.raises(SchemaError, match=r"^spec: 'containers' is missing$"):
        conform(pod, "V1Pod", partial=True)
    assert conform(pod, "V1Pod", partial=True, within=("spec",)) == pod


def test_where_it_stands_is_said() -> None:
    with pytest.raises(SchemaError, match=r"^\['b'\]\.nmae: there is no such key"):
        conform({"nmae": "v"}, "V1Volume", "['b']")


def test_the_keys_of_an_object() -> None:
    assert keys("V1KeyToPath") == ["key", "mode", "path"]
