"""`c.KubeSpawner.*` as a whole: names, namespaces, and what a hub_config.py is refused for."""

from pathlib import Path
from typing import Any

import pytest
from traitlets import TraitError
from traitlets.config import Config

from kworkspace.spawners.base import Workspace
from kworkspace.spawners.kube import config
from kworkspace.spawners.kube.names import connect_host, names
from kworkspace.spawners.kube.spawner import KubeSpawner
from tests.spawners.kube.configured import at, objects
from tests.spawners.kube.made import ALICE, configured

LAB = Workspace(id="1f", user="alice", name="lab", slug="alice--lab")
PROFILE = {"slug": "a"}

# Of those that this class itself has: what each is refused for.
REFUSED: list[tuple[str, Any, str]] = [
    ("kubeconfig", 1, ""),
    ("kube_context", None, ""),
    ("k8s_api_host", 1, ""),
    ("k8s_api_ssl_ca_cert", 1, ""),
    ("k8s_api_verify_ssl", "no", ""),
    ("k8s_api_request_timeout", 0, ""),
    ("k8s_api_request_retry_timeout", "soon", ""),
    ("namespace", "", ": it is empty"),
    ("namespace", "Work_Spaces", ": 'Work_Spaces' is not a namespace's name"),
    ("namespace", "work.spaces", ": 'work.spaces' is not a namespace's name"),
    ("namespace", "n" * 64, f": '{'n' * 64}' is not a namespace's name"),
    ("enable_user_namespaces", "yes", ""),
    ("user_namespace_template", "{user}", ": '{user}' cannot be expanded: there is no field"),
    ("user_namespace_labels", {"a": "b c"}, "['a']: 'b c' is not a label's value"),
    ("user_namespace_annotations", {"a b": "c"}, ": 'a b' is not a name that Kubernetes allows"),
    ("pod_name_template", "", ": it is empty"),
    ("pod_name_template", "workspace", ": 'workspace' gives a's default workspace and b's default"),
    (
        "pod_name_template",
        "w-{username}",
        ": 'w-{username}' gives a's default workspace and a's workspace 'b' the same name; {slug}",
    ),
    ("pod_name_template", "w-{username}-{servername}", ": 'w-{username}-{servername}' gives a's"),
    ("pvc_name_template", "home", ": 'home' gives a's default workspace and b's default workspace"),
    ("pvc_name_template", "{pvcname}", ": '{pvcname}' cannot be expanded: there is no field"),
    ("dns_name_template", "{username}", ": '{username}' cannot be expanded: there is no field"),
    ("pod_connect_ip", "{ip}", ": '{ip}' cannot be expanded: there is no field {ip}"),
    ("wait_for_capacity", 5, ""),
    ("profile_list", [PROFILE, PROFILE], ": there are two profiles 'a'"),
]  # fmt: skip


def own_options() -> set[str]:
    """Return the options of the class itself."""
    return {
        name
        for name in config.KubeSpawnerOptions.class_own_traits(config=True)
        if name in vars(config.KubeSpawnerOptions)
    }


def test_every_option_is_here() -> None:
    assert {name for name, *_ in REFUSED} == own_options()


@pytest.mark.parametrize(("name", "value", "why"), REFUSED)
def test_what_is_refused(name: str, value: Any, why: str) -> None:
    with pytest.raises(TraitError, match=name) as caught:
        configured(**{name: value})
    if why:  # traitlets' own say it in their own way
        assert str(caught.value).startswith(f"c.KubeSpawner.{name}{why}")


def test_a_configuration_file_is_checked_in_the_same_way() -> None:
    given = Config({"KubeSpawner": {"cpu_limit": 1, "image": "python:3.13"}})
    place = {"hub_id": "hub", "data_dir": Path("/nowhere"), "on_exit": lambda _: None}
    spawner = KubeSpawner(**place, config=given)
    assert (spawner.cpu_limit, spawner.image) == ("1", "python:3.13")
    with pytest.raises(TraitError, match=r"^c\.KubeSpawner\.mem_limit: '1 Gi' is not a quantity"):
        KubeSpawner(**place, config=Config({"KubeSpawner": {"mem_limit": "1 Gi"}}))


@pytest.mark.parametrize(
    ("text", "namespace"), [("hubs\n", "hubs"), ("", "default"), (None, "default")]
)
def test_workspaces_are_where_the_hub_is_if_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, namespace: str
) -> None:
    file = tmp_path / "namespace"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(config, "_NAMESPACE_FILE", file)
    spawner = KubeSpawner(hub_id="hub", data_dir=tmp_path, on_exit=lambda _: None)
    assert (spawner.hub_namespace, spawner.namespace) == (namespace, namespace)


@pytest.mark.parametrize(
    ("options", "pod", "claim", "namespace"),
    [
        ({}, "workspace-alice--lab", "workspace-alice--lab", "workspaces"),
        (
            {"pod_name_template": "w-{user_server}", "pvc_name_template": "home-{username}"},
            "w-alice--lab",
            "home-alice",
            "workspaces",
        ),
        (
            # In a namespace of their own it need not say whose.
            {"enable_user_namespaces": True, "pod_name_template": "w-{servername}"},
            "w-lab",
            "workspace-alice--lab",
            "user-alice",
        ),
        (
            {"enable_user_namespaces": True, "user_namespace_template": "u-{username}"},
            "workspace-alice--lab",
            "workspace-alice--lab",
            "u-alice",
        ),
    ],
)
def test_names(options: dict[str, Any], pod: str, claim: str, namespace: str) -> None:
    made = names(configured(**options), LAB)
    assert (made.pod, made.claim, made.namespace) == (pod, claim, namespace)


def test_users_have_namespaces_of_their_own() -> None:
    made = objects(
        enable_user_namespaces=True,
        user_namespace_labels={"of": "{username}"},
        user_namespace_annotations={"who": "the {unescaped_username}"},
    )
    assert at(made, "Namespace metadata name") == "user-alice"
    assert at(made, "Namespace metadata labels of") == "alice"
    assert at(made, "Namespace metadata annotations who") == "the alice"
    assert at(made, "Pod metadata namespace") == "user-alice"


@pytest.mark.parametrize(
    ("options", "host"),
    [
        ({}, "10.0.0.7"),
        ({"service_type": "LoadBalancer"}, "10.0.0.7"),
        ({"service_type": "ClusterIP"}, "workspace-alice.workspaces.svc.cluster.local"),
        ({"service_type": "ClusterIP", "dns_name_template": "{name}.x"}, "workspace-alice.x"),
        ({"service_type": "ClusterIP", "service_port": 22}, "10.0.0.7"),
        ({"pod_connect_ip": "{username}.ssh.example"}, "alice.ssh.example"),
        ({"pod_connect_ip": "{username}-{servername}.x"}, "alice.x"),
    ],
)
def test_where_the_gateway_goes(options: dict[str, Any], host: str) -> None:
    spawner = configured(**options)
    assert connect_host(spawner, ALICE, names(spawner, ALICE), "10.0.0.7") == host


def test_whether_an_option_is_set() -> None:
    spawner = configured(image="python:3.13", shell="/bin/bash")
    assert spawner.is_set("image")
    assert not spawner.is_set("shell"), "it says what its default does"
