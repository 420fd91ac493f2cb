"""The Service of a workspace."""

from typing import Any

import pytest

from tests.kube_api.objects import Object
from tests.spawners.kube.made import ALICE, configured, job_of, pod_of, service_of


def made(**options: Any) -> Object:
    service = service_of(configured(**options))
    assert service is not None
    return service


def test_none() -> None:
    assert service_of(configured()) is None


@pytest.mark.parametrize(
    ("options", "port"),
    [
        ({"service_type": "NodePort"}, 22),
        ({"service_type": "LoadBalancer"}, 22),
        ({"service_type": "LoadBalancer", "service_port": 2200}, 2200),
        ({"service_type": "ClusterIP"}, 2222),  # the gateway's: the pod's own
        ({"service_type": "ClusterIP", "ssh_port": 2022}, 2022),
        ({"service_type": "ClusterIP", "service_port": 22}, 22),
    ],
)
def test_ports(options: dict[str, Any], port: int) -> None:
    service = made(**options)
    assert service["metadata"]["name"] == "workspace-alice"
    assert service["spec"]["type"] == options["service_type"]
    assert service["spec"]["ports"] == [
        {"name": "ssh", "port": port, "targetPort": "ssh", "protocol": "TCP"}
    ]


def test_it_selects_the_workspaces_pod_alone() -> None:
    spawner = configured(service_type="NodePort")
    selector = made(service_type="NodePort")["spec"]["selector"].items()
    assert selector <= pod_of(spawner)["metadata"]["labels"].items()
    task = job_of(spawner)["spec"]["template"]["metadata"]["labels"]
    assert not selector <= task.items()
    assert ("kworkspace.io/server", ALICE.id) in selector


def test_what_an_admin_adds() -> None:
    service = made(
        service_type="LoadBalancer",
        service_annotations={"dns": "{username}.example.org", "both": "service"},
        extra_annotations={"both": "all", "pods": "too"},
        extra_labels={"team": "blue"},
        extra_service_config={
            "externalTrafficPolicy": "Local",
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
        },
    )
    annotations = service["metadata"]["annotations"]
    assert (annotations["dns"], annotations["both"]) == ("alice.example.org", "service")
    assert annotations["pods"] == "too"
    assert service["metadata"]["labels"]["team"] == "blue"
    assert service["spec"]["externalTrafficPolicy"] == "Local"
    assert service["spec"]["loadBalancerSourceRanges"] == ["10.0.0.0/8"]
