"""docs/helm.md says what is so."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts.helm import CHART, render

TEXT = (CHART.parents[1] / "docs/helm.md").read_text()
BLOCKS: list[dict[str, Any]] = [
    yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
]


@pytest.mark.parametrize("values", BLOCKS)
def test_values_are_taken(values: dict[str, Any]) -> None:
    assert values
    assert render(values).has("Deployment", "kworkspace-gateway")


def test_values_that_are_named_are_there() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    named = set(re.findall(r"`((?:hub|gateway|workspaces)(?:\.[a-zA-Z]+)+)`", TEXT))
    assert len(named) > 10
    for path in named:
        found = defaults
        for key in path.split("."):
            assert key in found, path
            found = found[key]


def test_secrets_have_the_keys() -> None:
    for secret in render().of("Secret"):
        [line] = re.findall(rf"^\| `{secret['metadata']['name']}` \|(.*)$", TEXT, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", line)) == set(secret["data"])


def test_files_are_there() -> None:
    root = CHART.parents[1]
    named = re.findall(r"images/\w+(?:/Dockerfile)?|charts/\w+", TEXT)
    links = [f"docs/{link}" for link in re.findall(r"\]\(([\w.-]+\.md)\)", TEXT)]
    assert named
    assert links
    assert [name for name in named + links if not Path(root, name).exists()] == []
