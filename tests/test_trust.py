"""What is trusted may change while people work: real hub, real gateway, the real OpenSSH client."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import wait_until

MakeHub = Callable[..., Any]
HERE = "127.0.0.1"


@pytest.fixture
def hub(make_hub: MakeHub) -> Any:
    """A hub that runs, with its gateway."""
    hub = make_hub(gateway=True)
    hub.start()
    return hub


def authorities(hub: Any) -> list[str]:
    """Return the host authorities of which the hub tells everybody."""
    found: list[str] = hub.api("GET", "/")[1]["ssh"]["host_authorities"]
    return found


def trust(hub: Any, *keys: str) -> None:
    """Have ssh know of these authorities, and of no host key."""
    lines = (f"@cert-authority [{HERE}]:{hub.ssh_port} {key}\n" for key in keys)
    (hub.directory / "known_hosts").write_text("".join(lines))


def await_certificate(hub: Any) -> None:
    """Wait until the gateway shows a certificate that is trusted."""
    command = hub.ssh("true")
    wait_until(
        lambda: subprocess.run(command, capture_output=True, check=False).returncode == 0,
        "a host certificate",
    )


def rotate(hub: Any, kind: str, overlap: str) -> None:
    """Rotate an authority, as an admin does beside the hub."""
    config = hub.directory / "hub_config.py"
    words = ("ca", "rotate", kind, "--overlap", overlap, "-f", str(config))
    done = subprocess.run(
        [sys.executable, "-m", "kworkspace.hub", *words], capture_output=True, text=True, check=True
    )
    assert "PRIVATE" not in done.stdout + done.stderr


def test_another_host_key_is_no_surprise(hub: Any) -> None:
    """Who trusts the hub's authority is asked nothing, and knows no key of before."""
    trust(hub, *authorities(hub))
    await_certificate(hub)
    key = hub.data_dir / "gateway_host_key"
    before = key.read_text()
    hub.terminate()
    key.unlink()
    hub.start()
    await_certificate(hub)
    assert hub.run_ssh("echo in") == "in\n"
    assert key.read_text() != before


def test_rotation_of_the_host_authority(hub: Any) -> None:
    """People are told of both at once; what the one before has signed is good until the end."""
    [old] = authorities(hub)
    trust(hub, old)
    await_certificate(hub)
    rotate(hub, "host", "24h")
    wait_until(lambda: len(authorities(hub)) == 2, "the hub to tell of the new authority")
    assert authorities(hub)[0] == old
    assert hub.run_ssh("echo in") == "in\n"
    rotate(hub, "host", "0s")
    wait_until(lambda: len(authorities(hub)) == 1, "the end of the others")
    assert old not in authorities(hub)


def test_rotation_of_the_user_authority(hub: Any) -> None:
    """Running workspaces hear of it, sessions live on, and people come in at each moment."""
    session = subprocess.Popen(
        hub.ssh("echo here; cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert session.stdout is not None
    assert session.stdout.readline() == "here\n"
    [file] = hub.data_dir.rglob("authorized_keys")

    def trusted() -> list[str]:
        return [line for line in file.read_text().splitlines() if "cert-authority" in line]

    [old] = trusted()
    rotate(hub, "user", "24h")
    wait_until(lambda: len(trusted()) == 2, "a workspace that trusts both")
    assert old in trusted()
    assert hub.run_ssh("echo in") == "in\n"
    rotate(hub, "user", "0s")
    wait_until(lambda: len(trusted()) == 1, "a workspace that trusts the newest alone")
    assert old not in trusted()
    assert hub.run_ssh("echo in") == "in\n"
    out, _ = session.communicate("still here\n", timeout=30)
    assert (out, session.returncode) == ("still here\n", 0)
