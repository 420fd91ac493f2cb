"""The hub's options: defaults that work, and values that cannot be."""

import sys
from pathlib import Path
from typing import Any

import pytest
from traitlets import TraitError

from kworkspace.hub.config import HubOptions
from kworkspace.hub.scopes import Role
from kworkspace.hub.session_policy import SessionPolicy


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    options = HubOptions()
    assert options.data_dir == str(tmp_path / "kworkspace")
    assert options.db_url == f"sqlite:///{tmp_path}/kworkspace/hub.sqlite"
    assert options.cookie_secret_file == str(tmp_path / "kworkspace/cookie_secret")
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert HubOptions().data_dir == str(tmp_path / ".local/share/kworkspace")


def test_directories_are_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/alice")
    assert HubOptions(data_dir="data").data_dir == str(tmp_path / "data")
    assert HubOptions(data_dir="~/data").data_dir == "/home/alice/data"


def test_public_urls() -> None:
    local = ["http://127.0.0.1:8000", "http://[::1]:8000", "http://localhost:8000"]
    assert HubOptions().public_urls == local
    assert HubOptions(base_url="kw").public_urls == [f"{url}/kw" for url in local]
    elsewhere = HubOptions(bind_url="http://192.0.2.1:80")
    assert elsewhere.public_urls == ["http://192.0.2.1:80"]
    assert HubOptions(public_urls=["https://Hub.example:443/"]).public_urls == [
        "https://hub.example"
    ]


@pytest.mark.parametrize(
    ("given", "kept"), [("/", "/"), ("", "/"), ("kw", "/kw/"), ("/a/b.c/", "/a/b.c/")]
)
def test_base_url(given: str, kept: str) -> None:
    assert HubOptions(base_url=given).base_url == kept


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("bind_url", "127.0.0.1:8000"),
        ("bind_url", "https://127.0.0.1:8000"),
        ("bind_url", "http://127.0.0.1"),
        ("bind_url", "http://127.0.0.1:99999"),
        ("bind_url", "http://[::1:80"),
        ("bind_url", "http://127.0.0.1:8000/path"),
        ("hub_connect_url", "balancer:80"),
        ("hub_connect_url", "ftp://balancer"),
        ("hub_connect_url", "http://balancer/hub"),
        ("hub_connect_url", "http://balancer:99999"),
        ("ssh_bind_url", "http://127.0.0.1:22"),
        ("base_url", "/a b/"),
        ("base_url", "/../"),
        ("base_url", "/a(b)/"),
        ("public_urls", ["ftp://hub.example"]),
        ("public_urls", ["hub.example"]),
        ("token_expires_in", 59),
        ("concurrent_spawn_limit", -1),
        ("slow_spawn_timeout", -0.1),
        ("services", ["gateway"]),
        ("services", [{"command": ["true"]}]),
        ("services", [{"name": "a/b"}]),
        ("services", [{"name": "a", "url": "x"}]),
        ("services", [{"name": "a", "command": "true"}]),
        ("services", [{"name": "a", "environment": 5}]),
        ("services", [{"name": "a", "environment": {"A": 5}}]),
        ("services", [{"name": "a", "cwd": 5}]),
        ("services", [{"name": "a", "api_token_file": ["/token"]}]),
        ("trusted_downstream_ips", ["proxy.example"]),
        ("gateway_host_names", ["a,b"]),
        ("gateway_host_names", ["*.example"]),
        ("gateway_host_names", [""]),
        ("load_groups", {"a/b": []}),
        ("load_groups", {"ml": "alice"}),
        ("load_groups", {"ml": ["a b"]}),
        ("load_groups", {"ml": [1]}),
        ("load_groups", {"ml": {"user": []}}),
    ],
)
def test_values_that_cannot_be(option: str, value: Any) -> None:
    with pytest.raises(TraitError, match=f"'{option}' trait"):
        HubOptions(**{option: value})


def test_names_of_the_gateway() -> None:
    """What people dial by default; an address that is only listened on is none."""
    urls = ["https://Hub.example/base", "http://[2001:db8::1]:8000"]
    for bind, more in (("ssh://0.0.0.0:22", []), ("ssh://192.0.2.1:22", ["192.0.2.1"])):
        options = HubOptions(public_urls=urls, ssh_bind_url=bind)
        assert options.gateway_host_names == sorted(["hub.example", "2001:db8::1", *more])
    assert HubOptions(gateway_host_names=["SSH.example"]).gateway_host_names == ["ssh.example"]


def test_services() -> None:
    run, roles = HubOptions().managed_services()
    assert [service.name for service in run] == ["gateway"]
    assert run[0].command[:3] == (sys.executable, "-m", "kworkspace.gateway")
    assert run[0].command[3:5] == ("--listen", "127.0.0.1:2222")
    assert roles == {"gateway": Role.GATEWAY}
    options = HubOptions(
        ssh_bind_url="ssh://[::1]:2022",
        services=[
            {"name": "culler", "command": ["cull"], "admin": True, "environment": {"A": "b"}},
            {"name": "plain", "command": []},
        ],
    )
    run, roles = options.managed_services()
    assert [service.name for service in run] == ["gateway", "culler"]
    assert "[::1]:2022" in run[0].command
    assert run[1].environment == {"A": "b"}
    assert (roles["culler"], roles["plain"]) == (Role.ADMIN, Role.SERVICE)


def test_more_arguments_for_the_gateway() -> None:
    """They come last, so that they win: it takes what it is given last."""
    options = HubOptions(gateway_args=["--drain", "3", "--workers", "2"])
    [gateway], _ = options.managed_services()
    assert gateway.command[-6:] == ("--drain", "0", "--drain", "3", "--workers", "2")


def test_options_of_sessions() -> None:
    options = HubOptions(
        start_on_connect="never",
        max_sessions_per_user=2,
        session_idle_timeout=3,
        x11_forwarding=True,
    )
    assert options.session_policy() == SessionPolicy(
        start_on_connect="never", most_of_user=2, idle_seconds=3, x11_forwarding=True
    )
    assert not HubOptions().session_policy().x11_forwarding
    with pytest.raises(TraitError, match="start_on_connect"):
        HubOptions(start_on_connect="sometimes")


def test_the_gateway_can_be_replaced_and_is_no_admin() -> None:
    options = HubOptions(services=[{"name": "gateway", "command": [], "admin": True}])
    assert options.managed_services() == ([], {"gateway": Role.GATEWAY})


def test_a_service_that_somebody_else_runs() -> None:
    """It is one to know, not one to run."""
    options = HubOptions(services=[{"name": "gateway", "api_token_file": "/run/token"}])
    [service], roles = options.managed_services()
    assert (service.command, service.token_file) == ((), Path("/run/token"))
    assert roles == {"gateway": Role.GATEWAY}


def test_groups() -> None:
    """A list of users, or JupyterHub's dictionary of it."""
    options = HubOptions(load_groups={"ML team": ["Alice", "bob"], "ops": {"users": ["bob"]}})
    assert options.load_groups == {"ML team": ["alice", "bob"], "ops": ["bob"]}
    assert options.group_users() == {"alice", "bob"}
    assert HubOptions(load_groups={"empty": {}}).load_groups == {"empty": []}
