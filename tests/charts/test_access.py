"""The hub's Role gives what the spawner's table lists, and the hub can do what it needs with it."""

from dataclasses import dataclass

from kworkspace.spawners.kube.access import RIGHTS, check, rules
from kworkspace.spawners.kube.client import KubeClient
from kworkspace.spawners.kube.credentials import Connection
from tests.charts.helm import NAMESPACE, render
from tests.kube_api.cluster import Cluster

WORKSPACES = "people"


@dataclass(frozen=True)
class Options:
    """What is configured."""

    namespace: str = WORKSPACES
    enable_user_namespaces: bool = False


def test_role_is_the_table() -> None:
    """No more and no less: what holds in the whole cluster is not for a chart to give."""
    [role] = render().of("Role")
    assert role["rules"] == rules(right for right in RIGHTS if right.needed(Options()))
    assert role["metadata"]["namespace"] == "workspaces"


async def test_the_hub_has_its_rights(cluster: Cluster) -> None:
    """Its service account, in the workspaces' namespace and in no other."""
    rendered = render({"workspaces": {"namespace": WORKSPACES}})
    for kind in ("Namespace", "ServiceAccount", "Role", "RoleBinding"):
        for each in rendered.of(kind):
            cluster.add(each)
    hub = rendered.one("Deployment", "kworkspace-hub")["spec"]["template"]["spec"]
    account = cluster.account(NAMESPACE, hub["serviceAccountName"])
    async with await KubeClient.open(Connection(kubeconfig=str(account))) as client:
        found = await check(client, Options())
        elsewhere = await check(client, Options(namespace=NAMESPACE))
    assert [each.what for each in found if not each.ok] == []
    assert [each.what for each in elsewhere if each.ok] == []
