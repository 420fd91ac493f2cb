"""hub_config.py as the chart writes it, read by the hub itself."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kworkspace.hub.app import Hub
from kworkspace.hub.config_check import ConfigError
from kworkspace.spawners.kube import KubeSpawner
from tests.charts.helm import TABLE, render

Load = Callable[[dict[str, Any]], Hub]


def text_of(values: dict[str, Any]) -> str:
    """Return the file."""
    text: str = render(values).one("ConfigMap", "kworkspace-hub")["data"]["hub_config.py"]
    return text


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that has the hub read its file."""

    def load_(values: dict[str, Any]) -> Hub:
        file = tmp_path / "hub_config.py"
        text = text_of(values).replace('"/run/kworkspace/db"', repr(str(tmp_path)))
        (tmp_path / "uri").write_text("postgresql://kworkspace:secret@db.example/kworkspace\n")
        file.write_text(text)
        hub = Hub()
        hub.initialize(["-f", str(file)])
        return hub

    return load_


def spawner_of(hub: Hub, tmp_path: Path) -> KubeSpawner:
    """Return the spawner as it is configured; its own options are checked here."""
    made: KubeSpawner = hub.spawner_class(
        parent=hub, hub_id="this-hub", data_dir=tmp_path, on_exit=lambda _exit: None
    )
    return made


@pytest.mark.parametrize("values", TABLE.values(), ids=TABLE)
def test_hub_takes_it(values: dict[str, Any], load: Load, tmp_path: Path) -> None:
    """Every option there is one, and has a value that it can have."""
    ast.parse(text_of(values))
    hub = load(values)
    assert hub.spawner_class is KubeSpawner
    assert spawner_of(hub, tmp_path).namespace in {"workspaces", "people"}
    [service], _ = hub.managed_services()
    assert (service.name, service.command) == ("gateway", ())


def test_where_things_are(load: Load) -> None:
    """All files that are named are in a volume of the pod."""
    hub = load({})
    [service], _ = hub.managed_services()
    spec = render().one("Deployment", "kworkspace-hub")["spec"]["template"]["spec"]
    paths = {mount["mountPath"]: mount["name"] for mount in spec["containers"][0]["volumeMounts"]}
    secrets = {
        volume["name"]: volume["secret"]["secretName"]
        for volume in spec["volumes"]
        if "secret" in volume
    }
    for file in (
        Path(hub.cookie_secret_file),
        Path(hub.user_ca_file),
        Path(hub.host_ca_file),
        Path(hub.gateway_host_key_file),
        service.token_file,
    ):
        assert file is not None
        secret = render().one("Secret", secrets[paths[str(file.parent)]])
        assert file.name in secret["data"]
    assert paths[hub.data_dir] == "data"
    assert hub.bind_parts("bind_url").port == spec["containers"][0]["ports"][0]["containerPort"]


def test_values_arrive(load: Load, tmp_path: Path) -> None:
    hub = load(TABLE["restricted"])
    spawner = spawner_of(hub, tmp_path)
    assert (spawner.image, spawner.storage_capacity) == ("team/workspace:1", "20Gi")
    assert (spawner.storage_class, spawner.uid) == ("fast", 1000)
    hub = load(TABLE["ingress"])
    assert hub.public_urls == ["https://hub.example/kworkspace"]
    assert hub.trusted_downstream_ips == ["10.0.0.0/8"]
    assert load(TABLE["postgres-url"]).db_url == "postgresql://kworkspace@db.example/kworkspace"
    assert "secret" in load(TABLE["postgres-secret"]).db_url
    assert "http://127.0.0.1:8000" in load({}).public_urls
    named = load({"gateway": {"publicHost": "ssh.hub.example"}})
    assert named.gateway_host_names == ["ssh.hub.example"]
    assert load({}).db_url == "sqlite:////var/lib/kworkspace/hub.sqlite"


def test_configuration_of_an_admin(load: Load, tmp_path: Path) -> None:
    """hub.config adds to what the chart sets; hub.extraConfig comes last, in order of names."""
    hub = load(TABLE["configuration"])
    spawner = spawner_of(hub, tmp_path)
    assert hub.allow_named_servers
    assert hub.template_vars == {"commands": ["a <b> & 'c'"]}
    assert (spawner.namespace, spawner.mem_limit) == ("workspaces", "8Gi")
    assert (spawner.cpu_guarantee, spawner.sudo) == ("0.5", True)


def test_where_tunnels_are(load: Load) -> None:
    """Below the hub's own URL where there is an Ingress, and else nowhere."""
    ingress = load(TABLE["ingress"])
    assert ingress.tunnel_base(8080) == "/kworkspace/gateway/tunnel"
    assert load({}).tunnel_base(None) is None


def test_more_services(load: Load) -> None:
    """As docs/helm.md says: the gateway stays."""
    more = "c.Hub.services += [{'name': 'culler', 'command': ['cull']}]"
    services, _ = load({"hub": {"extraConfig": {"culler": more}}}).managed_services()
    assert [(one.name, one.command) for one in services] == [("gateway", ()), ("culler", ("cull",))]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"config": {"Hub": {"bind": "x"}}}, "c.Hub.bind: no such option"),
        ({"config": {"KubeSpawner": {"mem_limits": "1Gi"}}}, "did you mean mem_limit"),
        ({"extraConfig": {"a": "c.KubSpawner.image = 'x'"}}, "did you mean c.KubeSpawner"),
        ({"extraConfig": {"a": "c.Hub.x ="}}, "invalid syntax"),
    ],
)
def test_slips_are_named(values: dict[str, Any], said: str, load: Load) -> None:
    with pytest.raises(ConfigError) as refused:
        load({"hub": values})
    assert said in str(refused.value)
