"""What the chart makes: valid for each Kubernetes that it says it is for, no secret in sight."""

import configparser
import json
import re
from base64 import b64decode
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml

from kworkspace.gateway.config import parse
from kworkspace.gateway.house import DRAIN_SECONDS
from kworkspace.spawners.kube import own
from tests.charts.helm import CHART, NAMESPACE, TABLE, Object, Rendered, pod, render
from tests.kube_api.cluster import Cluster

ABOUT = yaml.safe_load((CHART / "Chart.yaml").read_text())
OLDEST = re.sub(r"[^0-9.]", "", ABOUT["kubeVersion"].partition("-")[0])
NEWEST = kubernetes_validate.latest_version()


@pytest.fixture(params=TABLE, scope="module")
def rendered(request: pytest.FixtureRequest) -> Rendered:
    """Each of the table."""
    return render(TABLE[request.param])


def test_version_is_the_projects() -> None:
    config = configparser.ConfigParser()
    config.read(CHART.parents[1] / "setup.cfg")
    version = config["metadata"]["version"]
    assert (ABOUT["version"], ABOUT["appVersion"]) == (version, version)


@pytest.mark.parametrize("values", TABLE.values(), ids=TABLE)
def test_lint(values: dict[str, Any]) -> None:
    found = helm_python.lint(CHART, values, strict=True, namespace=NAMESPACE)
    assert found["errors"] == []
    assert {message["error"] for message in found["messages"]} <= {"icon is recommended"}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_objects_are_valid(version: str) -> None:
    objects = [each for values in TABLE.values() for each in render(values).objects]
    different = {json.dumps(each, sort_keys=True): each for each in objects}
    for each in different.values():
        kubernetes_validate.validate(each, version, strict=True)


def test_range_of_versions_is_known() -> None:
    assert (OLDEST, NEWEST >= "1.36.0") == ("1.30.0", True)


def test_names_and_namespaces(rendered: Rendered) -> None:
    """Each object says where it belongs; two of a kind are never the same."""
    places = [
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        for each in rendered.objects
    ]
    assert len(set(places)) == len(places)
    assert all(where for kind, where, _ in places if kind != "Namespace")
    assert not {kind for kind, _, _ in places if kind.startswith("Cluster")}


@pytest.mark.parametrize("values", TABLE.values(), ids=TABLE)
async def test_a_restricted_cluster_takes_it(values: dict[str, Any], cluster: Cluster) -> None:
    """And its pods, which a Deployment's own admission does not look at."""
    rendered = render(
        values | {"workspaces": {"namespace": "people"} | values.get("workspaces", {})}
    )
    if not rendered.of("Namespace"):
        cluster.add_namespace("people")
    for each in sorted(rendered.objects, key=lambda each: str(each["kind"]) != "Namespace"):
        cluster.add(each)
    for deployment in rendered.of("Deployment"):
        cluster.add(pod(deployment))


def test_pods(rendered: Rendered) -> None:
    for deployment in rendered.of("Deployment"):
        spec = pod(deployment)["spec"]
        [container] = spec["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["livenessProbe"]
        assert container["readinessProbe"]
        assert spec["enableServiceLinks"] is False, "KWORKSPACE_GATEWAY_PORT would be a setting"
    gateway = pod(rendered.one("Deployment", "kworkspace-gateway"))["spec"]
    assert gateway["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in gateway


def test_services_lead_to_pods(rendered: Rendered) -> None:
    """By labels and names of ports; so do the network policies."""
    for name, port in (("kworkspace-hub", "http"), ("kworkspace-gateway", "ssh")):
        deployment = rendered.one("Deployment", name)
        made = pod(deployment)
        service = rendered.one("Service", name)["spec"]
        selected = deployment["spec"]["selector"]["matchLabels"]
        assert service["selector"] == selected
        assert selected.items() <= made["metadata"]["labels"].items()
        listening = made["spec"]["containers"][0]["ports"][0]
        assert listening["name"] == port == service["ports"][0]["targetPort"]


def test_tunnels_are_behind_the_ingress_alone(rendered: Rendered) -> None:
    """It speaks TLS: the gateway listens for them where there is one, and not on the balancer."""
    container = pod(rendered.one("Deployment", "kworkspace-gateway"))["spec"]["containers"][0]
    listens = [each["value"] for each in container["env"] if "TUNNEL_LISTEN" in each["name"]]
    there = rendered.has("Ingress", "kworkspace-hub")
    assert bool(listens) == there == rendered.has("Service", "kworkspace-gateway-tunnel")
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ("tunnel" in ports) == there
    if there:
        assert listens[0].endswith(f":{ports['tunnel']}")
        [rule] = rendered.one("Ingress", "kworkspace-hub")["spec"]["rules"]
        _, path = rule["http"]["paths"]
        assert path["path"].endswith("/gateway/")
        assert path["backend"]["service"]["name"] == "kworkspace-gateway-tunnel"
    public = rendered.one("Service", "kworkspace-gateway")["spec"]["ports"]
    assert [port["name"] for port in public] == ["ssh"]


def test_mounts_have_volumes(rendered: Rendered) -> None:
    for deployment in rendered.of("Deployment"):
        spec = pod(deployment)["spec"]
        mounted = {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}


def test_secrets_are_nowhere_else(rendered: Rendered) -> None:
    """Not in the ConfigMap, in a command, or in the environment: they are mounted as files."""
    secrets = [
        b64decode(text).decode() for each in rendered.of("Secret") for text in each["data"].values()
    ]
    others = [each for each in rendered.objects if each["kind"] != "Secret"]
    shown = yaml.safe_dump_all(others) + rendered.notes
    assert [secret for secret in secrets if secret in shown] == []
    assert "PRIVATE KEY" not in shown
    assert "secretKeyRef" not in shown


def test_homes_and_keys_outlive_the_release(rendered: Rendered) -> None:
    """What cannot be had again is not deleted by `helm uninstall`, nor by a change of values."""
    kept = {"Namespace", "PersistentVolumeClaim", "Secret"}
    for each in rendered.objects:
        policy = each["metadata"].get("annotations", {}).get("helm.sh/resource-policy")
        assert (policy == "keep") is (each["kind"] in kept)


def test_what_exists_is_not_made() -> None:
    rendered = render(TABLE["existing-secrets"])
    for kind in ("Secret", "PersistentVolumeClaim", "ServiceAccount", "Role", "RoleBinding"):
        assert rendered.of(kind) == []
    hub = rendered.one("Deployment", "kworkspace-hub")["spec"]["template"]["spec"]
    assert hub["serviceAccountName"] == "our-hub"
    assert hub["imagePullSecrets"] == [{"name": "registry"}]
    volumes = {volume["name"]: volume for volume in hub["volumes"]}
    assert volumes["hub-secret"]["secret"]["secretName"] == "our-hub"
    assert volumes["gateway-secret"]["secret"]["secretName"] == "our-gateway"
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "our-claim"


def test_hub_starts_again_when_its_configuration_changes() -> None:
    def checksum(values: dict[str, Any]) -> str:
        hub = render(values).one("Deployment", "kworkspace-hub")
        found: str = hub["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
        return found

    changed = {"hub": {"extraConfig": {"a": "c.Hub.allow_named_servers = True"}}}
    assert checksum({}) == checksum({})
    assert checksum({}) != checksum(changed)


@pytest.mark.parametrize(
    ("values", "options"), [("default", None), ("upgrade", []), ("postgres-secret", ["--no-copy"])]
)
def test_database_is_upgraded_before_the_hub_starts(values: str, options: list[str] | None) -> None:
    spec = pod(render(TABLE[values]).one("Deployment", "kworkspace-hub"))["spec"]
    [hub], before = spec["containers"], spec.get("initContainers", [])
    commands = [each["command"] for each in before]
    command = ["kworkspace-hub", "upgrade-db", *(options or []), "-f", "hub_config.py"]
    assert commands == ([] if options is None else [command])
    assert all(each["volumeMounts"] == hub["volumeMounts"] for each in before)


FOUR = [
    f"{net}/32"
    for net in ("169.254.169.254", "169.254.169.252", "100.100.100.200", "168.63.129.16")
]
SIX = ["fd00:ec2::254/128", "fd20:ce::254/128", "fd00:c1::a9fe:a9fe/128"]


def policy(values: dict[str, Any], name: str = "kworkspace-workspaces") -> Object:
    spec: Object = render(values).one("NetworkPolicy", name)["spec"]
    return spec


def test_workspaces_are_reached_by_the_gateway_alone() -> None:
    spec = policy({})
    gateway = pod(render().one("Deployment", "kworkspace-gateway"))
    [rule] = spec["ingress"]
    [peer] = rule["from"]
    assert rule["ports"] == [{"port": own.SSH_PORT, "protocol": "TCP"}]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": NAMESPACE}
    selected = peer["podSelector"]["matchLabels"].items()
    assert selected <= gateway["metadata"]["labels"].items()
    assert len(policy(TABLE["network-policy"])["ingress"]) == 2


@pytest.mark.parametrize(
    ("values", "blocked"),
    [
        ("default", [*FOUR, *SIX]),
        ("network-policy", [*FOUR, "10.0.0.1/32", *SIX]),
    ],
)
def test_workspaces_reach_everything_but_the_metadata(values: str, blocked: list[str]) -> None:
    [rule] = policy(TABLE[values])["egress"]
    blocks = [peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer]
    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", "::/0"]
    assert [net for block in blocks for net in block["except"]] == blocked
    assert {"namespaceSelector": {}} in rule["to"]
    assert policy(TABLE["egress"])["egress"] == [{"ports": [{"port": 443}]}]


@pytest.mark.parametrize(("made", "kind"), [("cpu", "Pod"), ("job", "Job")])
def test_the_policy_holds_for_workspaces_and_for_work_beside_them(made: str, kind: str) -> None:
    golden = CHART.parents[1] / f"tests/spawners/kube/golden/{made}.yaml"
    documents: list[Object] = list(yaml.safe_load_all(golden.read_text()))
    found = next(one for one in documents if one["kind"] == kind)
    labels = found["spec"].get("template", found)["metadata"]["labels"]
    selector = policy({})["podSelector"]
    assert selector["matchLabels"].items() <= labels.items()
    [expression] = selector["matchExpressions"]
    assert expression["operator"] == "In"
    assert labels[expression["key"]] in expression["values"]


def test_gateways_policy() -> None:
    spec = policy(TABLE["load-balancer"], "kworkspace-gateway")
    assert spec["ingress"] == [{"ports": [{"port": "ssh", "protocol": "TCP"}]}]
    hub = pod(render().one("Deployment", "kworkspace-hub"))
    selected = spec["egress"][1]["to"][0]["podSelector"]["matchLabels"].items()
    assert selected <= hub["metadata"]["labels"].items()
    assert not render().has("NetworkPolicy", "kworkspace-gateway")


@pytest.mark.parametrize(
    ("values", "port"),
    [("default", 22), ("load-balancer", 22), ("node-port", 32022), ("ipv6", 22)],
)
def test_settings_of_the_gateway(values: str, port: int) -> None:
    container = pod(render(TABLE[values]).one("Deployment", "kworkspace-gateway"))
    env = {each["name"]: each["value"] for each in container["spec"]["containers"][0]["env"]}
    settings = parse([], env)
    assert settings.api_url == "http://kworkspace-hub.hub.svc:80"
    assert (settings.listen_port, settings.public_port) == (2222, port)
    assert settings.listen_host == ("::" if values == "ipv6" else "0.0.0.0")


def test_a_pod_of_the_gateway_has_time_to_drain() -> None:
    more = [{"name": "KWORKSPACE_GATEWAY_LOGIN_GRACE", "value": "7"}]
    values = {"gateway": {"drainSeconds": 600, "workers": 3, "extraEnv": more}}
    spec = pod(render(values).one("Deployment", "kworkspace-gateway"))["spec"]
    [container] = spec["containers"]
    settings = parse([], {each["name"]: each["value"] for each in container["env"]})
    assert (settings.workers, settings.limits.drain, settings.limits.login_grace) == (3, 600, 7)
    waited = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    end = waited + settings.limits.drain + 2 * DRAIN_SECONDS
    assert end < spec["terminationGracePeriodSeconds"] < end + 10
