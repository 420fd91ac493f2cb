"""What is refused before anything is sent to a cluster: each with a line that names the value."""

import re
from typing import Any

import helm_python
import pytest
import yaml

from tests.charts.helm import CHART, NAMESPACE, chart, render

DB = "postgresql://kworkspace@db.example/kworkspace"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"gatway": {}}, "additional properties 'gatway' not allowed"),
        ({"hub": {"extraconfig": {}}}, "additional properties 'extraconfig' not allowed"),
        ({"hub": {"extraConfig": "c.Hub.x = 1"}}, "/hub/extraConfig': got string, want object"),
        ({"hub": {"extraConfig": {"a": 1}}}, "/hub/extraConfig/a': got number, want string"),
        ({"hub": {"config": {"hub": {}}}}, "/hub/config': additional properties 'hub' not"),
        ({"hub": {"publicUrls": ["hub.example"]}}, "/hub/publicUrls/0'"),
        ({"hub": {"db": {"url": "mysql://db"}}}, "/hub/db/url'"),
        ({"hub": {"persistence": {"size": "much"}}}, "/hub/persistence/size'"),
        ({"gateway": {"replicas": "2"}}, "/gateway/replicas': got string, want integer"),
        ({"gateway": {"service": {"type": "Loadbalancer"}}}, "/gateway/service/type'"),
        ({"gateway": {"service": {"port": 0}}}, "/gateway/service/port'"),
        ({"workspaces": {"namespace": "A"}}, "/workspaces/namespace'"),
        ({"workspaces": {"namespace": ""}}, "/workspaces/namespace'"),
        ({"workspaces": {"podSecurity": "strict"}}, "/workspaces/podSecurity'"),
        ({"workspaces": {"networkPolicy": {"blocked": ["10.0.0.1"]}}}, "/blocked/0'"),
        ({"ingress": {"host": "https://hub.example"}}, "/ingress/host'"),
    ],
)
def test_schema(values: dict[str, Any], said: str) -> None:
    with pytest.raises(helm_python.HelmValuesError, match=re.escape(said)):
        render(values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"workspaces": {"namespace": NAMESPACE}}, "workspaces.namespace: 'hub' is the release's"),
        (
            {"hub": {"db": {"url": "postgresql://kworkspace:secret@db.example/kworkspace"}}},
            "hub.db.url: it has a password",
        ),
        ({"hub": {"db": {"url": DB, "existingSecret": "db"}}}, "hub.db.url: "),
        ({"hub": {"persistence": {"enabled": False}}}, "hub.persistence.enabled: without a volume"),
        ({"ingress": {"enabled": True}}, "ingress.host: an Ingress needs"),
    ],
)
def test_what_does_not_fit_together(values: dict[str, Any], said: str) -> None:
    with pytest.raises(helm_python.HelmRenderError, match=re.escape(said)):
        render(values)


def keys(values: object, at: str = "") -> set[str]:
    """Every value's path; what is a dictionary of an admin's own is one value."""
    if not isinstance(values, dict) or not values or at.endswith(".resources"):
        return {at}
    return {key for name, value in values.items() for key in keys(value, f"{at}.{name}")}


def test_schema_knows_every_value() -> None:
    """And no others, so that values.yaml tells of all that can be set."""

    def properties(schema: dict[str, Any], at: str = "") -> set[str]:
        if "properties" not in schema:
            return {at}
        assert schema["additionalProperties"] is False
        inner = schema["properties"].items()
        return {key for name, each in inner for key in properties(each, f"{at}.{name}")}

    schema = chart().schema
    assert schema is not None
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert properties(schema) - {".global"} == keys(defaults)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("kworkspace", {}, "kworkspace-hub"),
        ("ml", {}, "ml-kworkspace-hub"),
        ("ml", {"fullnameOverride": "team"}, "team-hub"),
        ("x" * 53, {}, "x" * 50 + "-hub"),
    ],
)
def test_names(name: str, values: dict[str, Any], expected: str) -> None:
    assert render(values, name=name).has("Deployment", expected)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, ["port-forward service/kworkspace-hub 8000:80", "--api http://127.0.0.1:8000 --user"]),
        ({}, ["kworkspace-hub user add NAME", "port-forward service/kworkspace-gateway 2222:22"]),
        (
            {"ingress": {"enabled": True, "host": "hub.example", "tlsSecret": "tls"}},
            ["--api https://hub.example --user"],
        ),
        ({"gateway": {"service": {"type": "LoadBalancer"}}}, ["to be named as gateway.publicHost"]),
        ({"gateway": {"service": {"type": "NodePort"}}}, ["{.spec.ports[0].nodePort}"]),
    ],
)
def test_what_to_do_next(values: dict[str, Any], told: list[str]) -> None:
    notes = render(values).notes
    assert [line for line in told if line not in notes] == []
