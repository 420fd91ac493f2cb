"""A gateway that the hub does not start, as in a cluster: files that somebody else has made."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.conftest import RealHub, wait_until

MakeHub = Callable[..., RealHub]
OLD, NEW = "kws_the-gateway-token-of-yesterday", "kws_the-gateway-token-of-today"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Token and host key as Helm makes them and a pod gets them: PKCS 8, and not to be written."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    write(folder / "token", OLD)
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write(folder / "host_key", pem.decode())
    folder.chmod(0o500)
    return folder


def write(file: Path, text: str) -> None:
    """Replace a file that is read-only."""
    file.unlink(missing_ok=True)
    file.write_text(text)
    file.chmod(0o400)


@pytest.fixture
def hub(make_hub: MakeHub, files: Path) -> RealHub:
    """A hub, not started, that runs no gateway but knows the token of one."""
    service = {"name": "gateway", "api_token_file": str(files / "token")}
    key = f"c.Hub.gateway_host_key_file = {str(files / 'host_key')!r}"
    hub = make_hub(extra=f"c.Hub.services = [{service!r}]\n{key}")
    hub.gateway = True  # from now on ready is when one has reported itself
    return hub


@pytest.fixture
def gateway(hub: RealHub, files: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """A gateway, started before there is a hub."""
    environment = {
        "PATH": os.environ["PATH"],
        "KWORKSPACE_API_URL": f"{hub.url}/hub/api",
        "KWORKSPACE_API_TOKEN_FILE": str(files / "token"),
        "KWORKSPACE_GATEWAY_HOST_KEY": str(files / "host_key"),
        "KWORKSPACE_GATEWAY_LISTEN": f"127.0.0.1:{hub.ssh_port}",
        "KWORKSPACE_GATEWAY_PUBLIC_HOST": "ssh.hub.example",
        "KWORKSPACE_GATEWAY_PUBLIC_PORT": "22",
    }
    with (hub.directory / "gateway.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "kworkspace.gateway"], env=environment, stdout=log, stderr=log
        )
    yield process
    process.kill()
    process.wait()


def test_ssh_through_it(hub: RealHub, gateway: Any) -> None:
    """People are told the address of its Service; it comes before the hub and stays after it."""
    hub.start()
    door = hub.api("GET", "/")[1]["ssh"]
    assert (door["host"], door["port"]) == ("ssh.hub.example", 22)
    assert hub.run_ssh("echo here") == "here\n"
    assert not (hub.data_dir / "services").exists(), "the hub runs none"
    assert hub.terminate() == 0
    hub.start()
    assert gateway.poll() is None, "an end of the hub does not end it"
    assert hub.run_ssh("echo again") == "again\n"
    gateway.send_signal(signal.SIGTERM)
    assert gateway.wait(20) == 0


def test_another_token(hub: RealHub, gateway: Any, files: Path) -> None:
    """Whoever had the old one is out once the hub has started again; the gateway reads the new."""
    hub.start()
    assert reports_with(hub, OLD) == 404, "the token is good: only the session is not there"
    files.chmod(0o700)
    write(files / "token", NEW)
    assert hub.terminate() == 0
    hub.start()
    assert reports_with(hub, NEW) == 404
    assert reports_with(hub, OLD) == 401
    wait_until(lambda: hub.api("GET", "/")[1]["ssh"], "a report of the gateway")
    assert hub.run_ssh("echo here") == "here\n"


def reports_with(hub: RealHub, token: str) -> int:
    """Return the status of a call that only a gateway may make."""
    url = f"{hub.url}/hub/api/gateway/sessions/{UUID(int=0)}/progress"
    request = urllib.request.Request(url, headers={"Authorization": f"token {token}"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=30)
    with refused.value as answer:
        return answer.code
