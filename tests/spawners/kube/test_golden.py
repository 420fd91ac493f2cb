"""What is made for a workspace, as files that a person can read: one for each profile of a hub.

    UPDATE_GOLDEN=1 .venv/bin/pytest tests/spawners/kube/test_golden.py

writes them anew; what has changed is then to be looked at like code. In them, a Secret's content is
text, and placeholders stand for the private key and for the scripts.
"""

import base64
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kworkspace.spawners.kube.profiles import apply_profile, resolve
from tests.kube_api.objects import Object
from tests.spawners.kube.golden_hub import BACKUP, HUB, TEMPLATE
from tests.spawners.kube.made import ALICE, configured, everything, job_of
from tests.spawners.kube.taken import check_schema, check_taken

FOLDER = Path(__file__).parent / "golden"
LAB = replace(ALICE, name="lab", slug="alice--lab")


async def options(profile: str, **more: Any) -> Any:
    """Return what a workspace of a profile is started with."""
    alice = replace(ALICE, options={"profile": profile})
    return await resolve(apply_profile(configured(**HUB, **more), alice), alice)


async def of_profile(profile: str) -> list[Object]:
    made = everything(await options(profile))
    return [made["PersistentVolumeClaim"], made["Pod"]]


async def service(**more: Any) -> list[Object]:
    return [everything(await options("cpu", **more))["Service"]]


async def node_port() -> list[Object]:
    return await service(service_type="NodePort")


async def load_balancer() -> list[Object]:
    return await service(
        service_type="LoadBalancer",
        service_annotations={
            "external-dns.alpha.kubernetes.io/hostname": "{user_server}.dev.example.org"
        },
        extra_service_config={
            "externalTrafficPolicy": "Local",
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
        },
    )


async def job() -> list[Object]:
    return [job_of(await options("gpu"), BACKUP, node="node-3")]


async def secret() -> list[Object]:
    made = everything(await options("restricted"))["Secret"]
    content = {
        key: base64.b64decode(text).decode() for key, text in sorted(made.pop("data").items())
    }
    for key in content:
        if key.endswith(".sh"):
            content[key] = f"# (spawners/kube/{key})\n"
    return [{**made, "stringData": content}]


CASES: dict[str, Callable[[], Any]] = {
    "cpu": lambda: of_profile("cpu"),
    "restricted": lambda: of_profile("restricted"),
    "gpu": lambda: of_profile("gpu"),
    "template": lambda: of_profile("template"),
    "service-node-port": node_port,
    "service-load-balancer": load_balancer,
    "job": job,
    "secret": secret,
}


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def written(things: Sequence[Object]) -> str:
    return yaml.dump_all(things, Dumper=_Dumper, sort_keys=False, width=100, explicit_start=True)


@pytest.mark.parametrize("name", CASES)
async def test_golden(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda count: "0" * 2 * count)
    things = await CASES[name]()
    file = FOLDER / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(written(things))
    assert written(things) == file.read_text()


@pytest.mark.parametrize("name", CASES)
def test_kubernetes_takes_it(name: str) -> None:
    things = list(yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text()))
    check_schema(things)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "workspaces"}}
    level = "restricted" if name == "restricted" else "baseline"
    check_taken([namespace, *things], level)


def test_no_file_is_of_nothing() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == set(CASES) | {TEMPLATE.stem}


def test_every_profile_is_there() -> None:
    profiles = {one.get("slug", one["display_name"].lower()) for one in HUB["profile_list"]}
    assert profiles <= set(CASES)
