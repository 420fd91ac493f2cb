"""docs/kubernetes.md names every option, and what it shows is taken as it stands there."""

import re
from pathlib import Path

import pytest
import yaml
from traitlets.config import Config

from kworkspace.spawners.kube.access import RIGHTS, rules
from kworkspace.spawners.kube.spawner import KubeSpawner
from tests.spawners.kube.made import configured, pod_of

TEXT = (Path(__file__).parents[3] / "docs/kubernetes.md").read_text()
BLOCKS = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", TEXT, re.MULTILINE)
WORDS = set(re.findall(r"\w+", " ".join([*BLOCKS, *re.findall(r"`[^`\n]+`", TEXT)])))


def blocks(sign: str) -> list[str]:
    """Return the blocks of the document that have a sign, without their indent."""
    found = [re.sub("^ {4}", "", block, flags=re.MULTILINE) for block in BLOCKS if sign in block]
    assert found, sign
    return found


@pytest.mark.parametrize("name", sorted(KubeSpawner.class_trait_names(config=True)))
def test_every_option_is_mentioned(name: str) -> None:
    assert name in WORDS


@pytest.mark.parametrize("text", blocks("\n    c.KubeSpawner."))
def test_every_configuration_is_taken(text: str, tmp_path: Path) -> None:
    c = Config()
    exec(text, {"c": c})  # of our own document
    spawner = KubeSpawner(hub_id="hub", data_dir=tmp_path, on_exit=lambda _: None, config=c)
    assert any(spawner.is_set(name) for name in c.KubeSpawner)


def test_the_template_is_taken(tmp_path: Path) -> None:
    (text,) = blocks("priorityClassName")
    file = tmp_path / "pod.yaml"
    file.write_text(text)
    c = Config({"KubeSpawner": {"pod_template": str(file)}})
    spawner = KubeSpawner(hub_id="hub", data_dir=tmp_path, on_exit=lambda _: None, config=c)
    assert pod_of(spawner)["spec"]["priorityClassName"] == "research"


def test_the_role_is_the_least_that_is_needed() -> None:
    (text,) = blocks("kind: Role")
    assert yaml.safe_load(text)["rules"] == rules(
        right for right in RIGHTS if right.needed(configured())
    )


def test_links_within_the_document_lead_somewhere() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    }
    links = set(re.findall(r"\]\(#([^)]+)\)", TEXT))
    assert links
    assert links <= anchors
