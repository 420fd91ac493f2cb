"""The shape of the repository, where no other tool looks: links, markers, sizes, test files."""

import ast
import configparser
from collections.abc import Iterator
from pathlib import Path

import pytest

import kworkspace.cli
import kworkspace.hub

ROOT = Path(__file__).parent.parent
MAX_LINES = 500

# What asyncssh has beside key and signature types: connections (style.md, the seams).
CONNECTIONS = frozenset(
    {
        "connect",
        "connect_reverse",
        "create_connection",
        "create_server",
        "listen",
        "listen_reverse",
        "SSHClient",
        "SSHServer",
        "SSHClientConnection",
        "SSHServerConnection",
        "run_client",
        "run_server",
    }
)
# Modules without a test file of their own, by the test that drives them as their users do: whole
# commands in a terminal, whole sessions of the real ssh, whole hubs that are killed.
TESTED_AS_A_WHOLE = {
    "cli/commands/test_connect.py": "cli/door.py",
    "cli/commands/test_create.py": """
        cli/asking.py cli/commands/delete.py cli/commands/list.py""",
    "cli/commands/test_doctor.py": "cli/checks/computer.py cli/checks/ssh_file.py",
    "cli/test_main.py": "cli/help_text.py",
    "cli/test_signin.py": """
        cli/commands/login.py cli/commands/logout.py cli/commands/whoami.py
        cli/identity.py cli/keys.py cli/programs.py cli/tokens.py""",
    "cli/test_terminal.py": "cli/live_line.py",
    "cli/commands/test_keys.py": "cli/client/listed_keys.py",
    "cli/test_tables.py": "cli/client/layout.py",
    "cli/test_workspaces.py": """
        cli/client/profile_table.py cli/client/workspaces.py
        cli/commands/start.py cli/commands/status.py cli/commands/stop.py
        cli/options.py cli/waiting.py""",
    "gateway/test_answers.py": "cli/commands/ports.py",
    "gateway/test_relay.py": """
        gateway/endings.py gateway/flow.py gateway/workspace.py""",
    "gateway/test_session.py": "gateway/starting.py",
    "gateway/test_tunnel.py": "gateway/tunnel_port.py gateway/wire.py",
    "cli/commands/test_proxy_certificate.py": "cli/tunnel_hub.py cli/tunnel_pass.py",
    "hub/api/test_routes.py": "hub/api/domain.py",
    "hub/api/test_addresses.py": "cli/client/proxies.py",
    "hub/api/test_tunnel_certificates.py": "hub/tunnel_certificates.py",
    "hub/api/test_tunnels.py": "hub/tunnels.py",
    "hub/db/test_store.py": "hub/db/database.py hub/db/postgres.py",
    "hub/test_config_check.py": "hub/config.py hub/gateway_options.py hub/place_options.py",
    "hub/test_failpoints.py": """
        hub/clock.py hub/db/leases.py hub/db/meta.py hub/db/migrations/env.py hub/db/servers.py
        hub/run.py""",
    "spawners/kube/test_spawner.py": "spawners/kube/removal.py",
    "spawners/kube/test_starts.py": """
        spawners/kube/found.py spawners/kube/making.py spawners/kube/view.py
        spawners/kube/waiting.py""",
    "spawners/local/server/test_login.py": "ssh/close.py",
    "spawners/local/server/test_session.py": """
        spawners/local/server/children.py spawners/local/server/controlling_terminal.py
        spawners/local/server/program.py""",
    "spawners/local/test_spawner.py": """
        spawners/local/begin.py spawners/local/host_key.py spawners/local/ready.py
        spawners/local/server/host_certificate.py spawners/local/server/place.py
        spawners/local/watch.py""",
    "spawners/local/test_system_users.py": "spawners/local/monitor.py spawners/local/sealed.py",
    "test_end_to_end.py": """
        hub/api/gateway.py hub/db/sessions.py hub/db/tokens.py hub/db/users.py hub/gateways.py
        hub/services.py hub/sessions.py""",
}
NOT_PACKAGES = {"charts", "typed"}  # folders with a `kworkspace/` that Python never sees
ENGINES = frozenset({"create_engine", "create_async_engine", "async_engine_from_config"})


def packages() -> dict[str, str]:
    """Folder to package, from both distributions' setup.cfg."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["package_dir"].strip().splitlines()
    pairs = (line.split("=") for line in lines)
    return {folder.strip(): package.strip() for package, folder in pairs} | {
        "cli": "kworkspace.cli"
    }


def modules() -> Iterator[Path]:
    """All Python files of the packages, relative to the root."""
    for folder in packages():
        for file in sorted((ROOT / folder).rglob("*.py")):
            if "build" not in file.parts:
                yield file.relative_to(ROOT)


def test_links_for_the_type_checker_are_complete() -> None:
    links = {link.name: link.readlink() for link in (ROOT / "typed/kworkspace").iterdir()}
    assert links == {folder: Path("../..", folder) for folder in packages()}


def test_layers_leave_no_package_out() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    assert set(config["importlinter"]["root_packages"].split()) == set(packages().values())


def test_both_distributions_have_one_version() -> None:
    hub, cli = configparser.ConfigParser(), configparser.ConfigParser()
    hub.read(ROOT / "setup.cfg")
    cli.read(ROOT / "cli/setup.cfg")
    version = hub["metadata"]["version"]
    assert cli["metadata"]["version"] == version
    assert f"kworkspace[async]=={version}" in hub["options"]["install_requires"].split()
    assert (kworkspace.cli.__version__, kworkspace.hub.__version__) == (version, version)


@pytest.mark.parametrize("folder", packages())
def test_package_says_that_it_is_typed(folder: str) -> None:
    assert (ROOT / folder / "py.typed").is_file()
    assert (ROOT / folder / "__init__.py").is_file()


def test_namespace_is_nobodys() -> None:
    """A `kworkspace/__init__.py` anywhere would hide one distribution from the other."""
    found = [path for path in ROOT.glob("*/kworkspace") if path.parent.name not in NOT_PACKAGES]
    assert not (ROOT / "kworkspace").exists()
    assert not (ROOT / "typed/kworkspace/__init__.py").exists()
    assert found == []


def test_folders_of_modules_are_packages() -> None:
    without = {
        file.parent for file in modules() if not (ROOT / file.parent / "__init__.py").exists()
    }
    assert without == set()


def test_no_module_is_too_large_to_know() -> None:
    files = list(modules())
    sizes = {str(file): len((ROOT / file).read_text().splitlines()) for file in files}
    assert {file: size for file, size in sizes.items() if size > MAX_LINES} == {}


def untested() -> set[str]:
    """The modules without a test file of their own that no test file imports by name either."""
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    return {
        str(file)
        for file in modules()
        if not file.name.startswith("__")
        and file.name != "setup.py"
        and "versions" not in file.parts
        and not (ROOT / "tests" / file.with_name(f"test_{file.name}")).exists()
        and f"kworkspace.{'.'.join(file.with_suffix('').parts)} import" not in tests
    }


def test_every_module_has_its_test() -> None:
    """tests/hub/test_servers.py tests hub/servers.py; the exceptions say what drives them."""
    excused = {name for names in TESTED_AS_A_WHOLE.values() for name in names.split()}
    assert untested() - excused == set()


@pytest.mark.parametrize("whole", TESTED_AS_A_WHOLE)
def test_exceptions_are_still_there(whole: str) -> None:
    assert (ROOT / "tests" / whole).is_file()
    assert [name for name in TESTED_AS_A_WHOLE[whole].split() if not (ROOT / name).is_file()] == []


def names(file: Path) -> set[str]:
    """Every name that a module imports from somewhere, or reads as an attribute."""
    tree = ast.parse((ROOT / file).read_bytes())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in LIBRARIES
        for alias in node.names
    }
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in LIBRARIES
    }
    return imported | read


LIBRARIES = frozenset({"asyncssh", "sqlalchemy"})


def test_only_the_database_package_makes_engines() -> None:
    users = {str(file) for file in modules() if names(file) & ENGINES}
    assert {file for file in users if not file.startswith("hub/db/")} == set()
    assert users, "the check finds nothing at all"


def test_no_cancellation_is_swallowed() -> None:
    """`asyncio.wait_for` of Python 3.11 can do that; `asyncio.timeout` does not."""
    users = [str(file) for file in modules() if "asyncio.wait_for" in (ROOT / file).read_text()]
    assert users == []


def test_keys_and_signatures_are_all_that_others_take_of_asyncssh() -> None:
    users = {str(file) for file in modules() if names(file) & CONNECTIONS}
    allowed = ("gateway/", "spawners/local/", "ssh/")
    assert {file for file in users if not file.startswith(allowed)} == set()
    assert users, "the check finds nothing at all"
