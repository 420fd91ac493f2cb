"""A whole Pod or PodSpec: how it is read, what it is merged with, and what it must leave alone."""

from pathlib import Path
from typing import Any

import pytest

from tests.spawners.kube.configured import at, pod, refused, valid
from tests.spawners.kube.made import configured

SPEC = {
    "hostname": "{slug}",
    "containers": [
        {
            "name": "workspace",
            "image": "template:1",
            "env": [{"name": "A", "value": "template"}, {"name": "B", "value": "${B}/{username}"}],
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
            "resources": {"limits": {"cpu": 1, "memory": "1Gi"}},
        },
        {"name": "proxy", "image": "proxy:1"},
    ],
    "volumes": [{"name": "scratch", "emptyDir": {}}],
    "tolerations": [{"key": "template"}],
}
YAML = """
apiVersion: v1
kind: Pod
metadata:
  labels: {team: vision}
spec:
  hostname: "{slug}"
  containers:
  - name: workspace
    resources: {limits: {cpu: 1}}
"""


@pytest.mark.parametrize(
    "template",
    [
        SPEC,
        {"spec": SPEC},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"creationTimestamp": None}, "spec": SPEC},
    ],
)
def test_it_is_kept_as_a_pod_whichever_way_it_is_given(template: dict[str, Any]) -> None:
    kept = configured(pod_template=template).pod_template
    assert kept["spec"]["hostname"] == "{slug}"
    assert kept["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "1", "memory": "1Gi"}
    assert at(valid(pod(pod_template=template)), "spec hostname") == "alice"


@pytest.mark.parametrize("make", [str, Path])
def test_a_file(tmp_path: Path, make: Any) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text(YAML)
    made = valid(pod(pod_template=make(file)))
    assert at(made, "metadata labels team") == "vision"
    assert at(made, "spec hostname") == "alice"
    assert at(made, "main image") == "ubuntu:24.04", "its own default, as the template says none"


def test_what_counts_more() -> None:
    made = valid(
        pod(
            pod_template={"metadata": {"labels": {"a": "t", "b": "t"}}, "spec": SPEC},
            extra_labels={"a": "option"},
            environment={"A": "option"},
            mem_limit="2Gi",
            tolerations=[{"key": "option"}],
            volumes=[{"name": "more", "emptyDir": {}}],
            extra_pod_config={"hostname": "extra"},
        )
    )
    assert at(made, "main image") == "template:1", "more than an option's default"
    assert at(made, "main env A value") == "option"
    assert at(made, "main env B value") == "${B}/alice"
    assert at(made, "main resources limits") == {"cpu": "1", "memory": "2Gi"}
    assert at(made, "spec tolerations") == [{"key": "option"}], "these are not merged"
    assert at(made, "spec hostname") == "extra"
    assert [one["name"] for one in at(made, "spec containers")] == ["workspace", "proxy"]
    volumes = {one["name"] for one in at(made, "spec volumes")}
    assert volumes == {"scratch", "more", "home", "kworkspace-ssh"}
    assert at(made, "main volumeMounts /scratch name") == "scratch"
    assert at(made, "metadata labels a") == "option"
    assert at(made, "metadata labels b") == "t"


def test_what_a_workspace_stands_on_stays() -> None:
    bare, made = pod(), pod(pod_template=SPEC)
    for path in ("main command", "main startupProbe", "main ports", "spec restartPolicy"):
        assert at(made, path) == at(bare, path)
    assert made["metadata"] == bare["metadata"]


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("", ": . cannot be read: Is a directory"),
        (3, ": expected a dictionary or a path, not 3"),
        ([SPEC], ": expected a dictionary or a path, not [{"),
        ({"kind": "Deployment", "spec": {}}, ": expected a Pod of v1, not 'Deployment'"),
        ({"apiVersion": "v2", "spec": {}}, ": expected a Pod of v1, not 'Pod'"),
        ({"hostnme": "a"}, ": hostnme: there is no such key; did you mean 'hostname'?"),
        ({"spec": {"hostnme": "a"}}, ": spec.hostnme: there is no such key; did you mean"),
        ({"spec": {}, "sepc": {}}, ": sepc: there is no such key; did you mean 'spec'?"),
        ({"spec": {}, "status": {}}, ": 'status' is not for a template"),
        ({"metadata": {"name": "a"}}, ": metadata.name cannot be set: there is annotations, f"),
        ({"metadata": {"labels": {"kworkspace.io/hub": "x"}}}, ": 'kworkspace.io/hub' is one of"),
        ({"metadata": {"annotations": {"kworkspace.io/account": "x"}}}, ": 'kworkspace.io/acc"),
        ({"containers": [{"image": "a"}]}, ": containers[0]: 'name' is missing"),
        ({"containers": [{"name": "main", "image": "a"}]}, ": none of its containers is called"),
        ({"containers": [{"name": "workspace", "image": ""}]}, ": the image of the container"),
        ({"containers": [{"name": "workspace", "args": ["a"]}]}, ": 'args' of the container"),
        (
            {"containers": [{"name": "workspace", "ports": [{"name": "ssh", "containerPort": 1}]}]},
            ": the port 'ssh' is kworkspace's own: set c.KubeSpawner.ssh_port",
        ),
        (
            {"containers": [{"name": "workspace", "$patch": "replace"}]},
            ": containers[0].$patch: there is no such key;",
        ),
        (
            {"volumes": [{"name": "kworkspace-ssh", "emptyDir": {}}]},
            ": the volume 'kworkspace-ssh'",
        ),
        ({"hostNetwork": True}, ": 'hostNetwork' cannot be set"),
        ({"nodeName": "a"}, ": 'nodeName' cannot be set here: set c.KubeSpawner.node_selector"),
        ({"hostname": "{ueername}"}, ": '{ueername}' cannot be expanded: there is no field"),
        (
            {"containers": [{"name": "workspace", "resources": {"limits": {"cpu": "lots"}}}]},
            ": containers[0].resources.limits.cpu: 'lots' is not a quantity",
        ),
    ],
)
def test_what_is_refused(template: Any, why: str) -> None:
    assert refused(pod_template=template).startswith(f"pod_template{why}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "pod.yaml cannot be read: No such file or directory"),
        ("a: [", "pod.yaml:1: expected the node content, but found '<stream end>'"),
        ("a: b: c", "pod.yaml:1: mapping values are not allowed here"),
        ("", "pod.yaml has 0 documents, expected one"),
        ("---\na: 1\n---\nb: 2\n", "pod.yaml has 2 documents, expected one"),
        ("!!python/object:os.system {}", "pod.yaml:1: could not determine a constructor"),
        ("\x00", "pod.yaml: it is not YAML"),
    ],
)
def test_a_file_that_cannot_be(tmp_path: Path, text: str | None, why: str) -> None:
    file = tmp_path / "pod.yaml"
    if text is not None:
        file.write_text(text)
    assert f"{file.parent}/{why}" in refused(pod_template=str(file))
