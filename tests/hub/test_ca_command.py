"""`kworkspace-hub ca` as it is typed: what it says, and that it never says a private key."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kworkspace.cli.client.errors import BadRequest, NotFound
from kworkspace.hub.ca_command import CaApp, NotRotated
from kworkspace.hub.clock import utc_now
from kworkspace.hub.config import HubOptions
from kworkspace.hub.config_check import ConfigError
from kworkspace.hub.key_ring import KeyRing, read_ring
from kworkspace.hub.secret_files import load
from tests.hub.test_admin_commands import Type, command, own_process

__all__ = ["command", "own_process"]  # fixtures


@pytest.fixture
def ca(command: Type, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs `ca WORDS...`."""
    (tmp_path / "data").mkdir()
    load(HubOptions(data_dir=str(tmp_path / "data")), utc_now)

    def run(*words: str) -> str:
        CaApp.clear_instance()
        shown = command("ca", *words)
        assert "PRIVATE" not in shown
        return shown

    return run


def ring(tmp_path: Path, kind: str = "user") -> KeyRing:
    found = read_ring(tmp_path / "data" / f"{kind}_ca")
    assert found is not None
    return found


def test_show(ca: Callable[..., str], tmp_path: Path) -> None:
    lines = ca("show").splitlines()
    assert lines[0].split() == ["AUTHORITY", "FINGERPRINT", "SINCE", "STATE"]
    for kind, line in zip(("user", "host"), lines[1:3], strict=True):
        words = line.split()
        assert words[:2] == [kind, ring(tmp_path, kind).origin]
        assert words[-1] == "signs"
    key = ring(tmp_path, "host").keys[0].line
    assert lines[-1] == f"@cert-authority 127.0.0.1,::1,localhost {key}"


@pytest.mark.parametrize("kind", ["user", "host"])
def test_rotate(ca: Callable[..., str], tmp_path: Path, kind: str) -> None:
    before = ring(tmp_path, kind)
    said = ca("rotate", kind, "--overlap", "7d").splitlines()[1:]
    new, old = ring(tmp_path, kind).keys[::-1]
    shown = [line for line in ca("show").splitlines() if line.startswith(f"{kind} ")]
    assert shown == said
    assert [line.split()[1] for line in shown] == [new.fingerprint, old.fingerprint]
    assert old == before.keys[0]
    assert f"trusted, signs from {new.signs:%Y-%m-%d %H:%M UTC}" in shown[0]
    assert f"signs, until {new.ends:%Y-%m-%d %H:%M UTC}" in shown[1]
    assert ca("show").count("@cert-authority") == (2 if kind == "host" else 1)


def test_after_a_theft(ca: Callable[..., str]) -> None:
    new, old = ca("rotate", "user", "--overlap", "0s").splitlines()[1:]
    assert new.endswith("signs")
    assert old.endswith("no longer trusted")


def test_a_mounted_secret(
    ca: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is changed, and the admin is told what to do; what to put there is nobody else's."""
    before = (tmp_path / "data" / "user_ca").read_text()
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    (tmp_path / "data" / "user_ca").chmod(0o440)
    (tmp_path / "data" / "admin_token").chmod(0o440)
    with pytest.raises(NotRotated, match=r"nothing is changed yet.*user_ca\.next") as refused:
        ca("rotate", "user")
    monkeypatch.undo()
    assert "PRIVATE" not in str(refused.value)
    assert (tmp_path / "data" / "user_ca").read_text() == before
    prepared = tmp_path / "data" / "user_ca.next"
    assert prepared.stat().st_mode & 0o777 == 0o600
    found = read_ring(prepared)
    assert found is not None
    assert (len(found.keys), found.origin) == (2, KeyRing.parse(before).origin)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ((), ConfigError, "ca show, or ca rotate"),
        (("rotate",), ConfigError, "ca show, or ca rotate"),
        (("rotate", "both"), ConfigError, "ca show, or ca rotate"),
        (("show", "user"), ConfigError, "ca show, or ca rotate"),
        (("rotate", "user", "--overlap", "soon"), BadRequest, "--overlap soon: expected a number"),
        (("rotate", "user", "--overlap", "9m"), BadRequest, "give 10m or more, or 0s"),
    ],
)
def test_what_cannot_be(
    ca: Callable[..., str],
    tmp_path: Path,
    words: tuple[str, ...],
    error: type[Exception],
    said: str,
) -> None:
    before = (tmp_path / "data" / "user_ca").read_text()
    with pytest.raises(error, match=said):
        ca(*words)
    assert (tmp_path / "data" / "user_ca").read_text() == before


def test_before_the_first_start(command: Type) -> None:
    CaApp.clear_instance()
    with pytest.raises(NotFound, match="the hub makes it when it first starts"):
        command("ca", "show")
    CaApp.clear_instance()
