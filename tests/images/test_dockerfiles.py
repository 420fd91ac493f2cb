"""The Dockerfiles, as far as they can be held against the rest without building them."""

import configparser
import json
import re
from pathlib import Path

import pytest

from tests.charts.helm import pod, render

ROOT = Path(__file__).parents[2]
HUB, WORKSPACE = ROOT / "images/hub/Dockerfile", ROOT / "images/workspace/Dockerfile"


def last(file: Path, word: str) -> str:
    """Return what an instruction's last line says."""
    *_, text = re.finditer(rf"^{word} (.*)$", file.read_text(), re.MULTILINE)
    return text[1]


def test_everything_that_is_packaged_is_sent_to_the_builder() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    pairs = config["options"]["package_dir"].strip().splitlines()
    folders = {pair.partition("=")[2].strip() for pair in pairs} | {"cli"}
    files = {"LICENSE", "README.md", "pyproject.toml", "setup.cfg", "setup.py"}
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == folders | files
    assert all((ROOT / name).exists() for name in folders | files)


def test_the_hubs_image_is_what_the_chart_runs() -> None:
    hub, gateway = (
        pod(render().one("Deployment", f"kworkspace-{name}"))["spec"] for name in ("hub", "gateway")
    )
    [container], [door] = hub["containers"], gateway["containers"]
    context = hub["securityContext"]
    assert last(HUB, "USER") == f"{context['runAsUser']}:{context['runAsGroup']}"
    assert last(HUB, "WORKDIR") == container["workingDir"]
    command = [*container["command"][:-1], f"{container['workingDir']}/{container['command'][-1]}"]
    assert json.loads(last(HUB, "CMD")) == command
    ports = [str(one["ports"][0]["containerPort"]) for one in (container, door)]
    assert last(HUB, "EXPOSE").split() == ports


def test_no_workspace_has_anothers_host_key() -> None:
    [installing] = re.findall(r"^RUN (.*?[^\\])$", WORKSPACE.read_text(), re.MULTILINE | re.DOTALL)
    assert "openssh-server" in installing
    assert installing.rstrip().endswith("/etc/ssh/ssh_host_*"), "in the layer that makes them"


@pytest.mark.parametrize("file", [HUB, WORKSPACE], ids=["hub", "workspace"])
def test_nothing_is_loaded_but_packages(file: Path) -> None:
    """Of the distribution, and of PyPI."""
    text = file.read_text()
    assert re.findall(r"https?://\S+|--index-url|^ADD ", text, re.MULTILINE) == []
    assert all(source == "${BASE}" for source in re.findall(r"^FROM (\S+)", text, re.MULTILINE))
