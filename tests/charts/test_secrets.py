"""The secrets that Helm makes: good for the hub and the gateway, and the same after an upgrade."""

import asyncio
from base64 import b64decode
from pathlib import Path

import asyncssh
import helm_python
import pytest

from kworkspace.gateway.host_key import load_or_make
from kworkspace.hub.clock import utc_now
from kworkspace.hub.config import HubOptions
from kworkspace.hub.secret_files import load
from tests.charts.helm import NAMESPACE, RELEASE, Object, Rendered, chart, parsed, render
from tests.kube_api.cluster import Cluster


def texts(secret: Object) -> dict[str, str]:
    """Return what a Secret holds."""
    return {key: b64decode(text).decode() for key, text in secret["data"].items()}


def test_hub_and_gateway_can_use_them(tmp_path: Path) -> None:
    """As files that nobody can write, which is how pods get them."""
    made = render()
    files = texts(made.one("Secret", "kworkspace-hub")) | texts(
        made.one("Secret", "kworkspace-gateway")
    )
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o400)
    (tmp_path / "data").mkdir()
    options = HubOptions(
        data_dir=str(tmp_path / "data"),
        cookie_secret_file=str(tmp_path / "cookie_secret"),
        user_ca_file=str(tmp_path / "user_ca"),
        host_ca_file=str(tmp_path / "host_ca"),
        gateway_host_key_file=str(tmp_path / "host_key"),
    )
    secrets = load(options, utc_now)
    assert secrets.cookie == files["cookie_secret"]
    for name, public in (
        ("host_key", secrets.door_key.public_key),
        ("user_ca", *secrets.authority.public_keys()),
        ("host_ca", *secrets.host_authority.public_keys()),
    ):
        key = asyncssh.import_private_key(files[name])
        assert key.get_algorithm() == "ssh-ed25519"
        assert public.split()[:2] == key.export_public_key().decode().split()[:2]
    assert (
        load_or_make(tmp_path / "host_key").get_fingerprint()
        == asyncssh.import_public_key(secrets.door_key.public_key).get_fingerprint()
    )
    assert files["token"].startswith("kws_")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "admin_token",
        "secrets.lock",
    ]


def test_each_installation_has_its_own() -> None:
    one, other = render().of("Secret"), render().of("Secret")
    for ours, theirs in zip(one, other, strict=True):
        assert not set(ours["data"].values()) & set(theirs["data"].values())


async def rendered_for(cluster: Cluster) -> Rendered:
    """Render it as `helm upgrade` does, which can look into the cluster."""

    def render_() -> dict[str, str]:
        config = helm_python.Config(kubeconfig_path=cluster.kubeconfig, namespace=NAMESPACE)
        with config:
            return config.render(chart(), {}, name=RELEASE, namespace=NAMESPACE, is_upgrade=True)

    return parsed(await asyncio.to_thread(render_))


@pytest.mark.parametrize("missing", ["", "token", "host_ca"])
async def test_upgrade_keeps_them(cluster: Cluster, missing: str) -> None:
    """What is there; a key that an older chart did not have is added."""
    before = (await rendered_for(cluster)).of("Secret")
    for secret in before:
        secret["data"].pop(missing, None)
        cluster.add(secret)
    after = (await rendered_for(cluster)).of("Secret")
    assert len(after) == len(before) == 2
    for old, new in zip(before, after, strict=True):
        assert {key: new["data"][key] for key in old["data"]} == old["data"]
    assert [len(secret["data"]) for secret in after] == [3, 2]
