"""Which source there is, in order; what each says is in test_credentials.py."""

from pathlib import Path

import pytest

from kworkspace.spawners.kube import sources
from kworkspace.spawners.kube.credentials import Connection, CredentialsError
from kworkspace.spawners.kube.sources import source


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Three kubeconfigs, the last where kubectl looks by itself."""
    found = {
        "option": tmp_path / "option",
        "environment": tmp_path / "environment",
        "home": tmp_path / ".kube" / "config",
    }
    for path in found.values():
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return found


def test_the_first_that_there_is(files: dict[str, Path], tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "KUBECONFIG": str(files["environment"]),
        "KUBERNETES_SERVICE_HOST": "192.0.2.1",
    }
    configured = Connection(kubeconfig=str(files["option"]))
    assert source(configured, environ).place == f"the kubeconfig {files['option']}"
    assert source(Connection(), environ).place == f"the kubeconfig {files['environment']}"
    del environ["KUBECONFIG"]
    assert source(Connection(), environ).place.startswith("the pod's service account")
    del environ["KUBERNETES_SERVICE_HOST"]
    assert source(Connection(), environ).place == f"the kubeconfig {files['home']}"
    files["home"].unlink()
    with pytest.raises(CredentialsError, match="No cluster is configured"):
        source(Connection(), environ)


def test_a_home_is_expanded(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(files["option"].parent))
    assert source(Connection(kubeconfig="~/option"), {}).place.endswith(str(files["option"]))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file or directory", "/a/b"), "/a/b: No such file or dire"),
        (OSError(), "a file: OSError"),
        (KeyError("clusters"), "it is no kubeconfig (KeyError: 'clusters')"),
        (AssertionError(), "it is no kubeconfig (AssertionError)"),
        (ValueError("several\n  lines"), "several lines"),
    ],
)
def test_what_is_wrong_is_one_line(error: Exception, said: str) -> None:
    assert sources._told(error).startswith(said)
