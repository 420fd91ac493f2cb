"""JupyterHub 6 beside ours: a venv of its own in .bench/, its hub alone, without the Node proxy.

The API is asked at the hub's own port, so that the proxy would not be in the way anyway.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.hubs import SECONDS
from tests.ports import free_port

VENV = Path(__file__).parent.parent / ".bench" / "jupyterhub"
REQUIREMENTS = {"jupyterhub": "jupyterhub>=6,<7", "kubespawner": "jupyterhub-kubespawner>=7,<8"}
TOKEN = "0123456789abcdef0123456789abcdef"

CONFIG = """
from jupyterhub.proxy import Proxy

class NoProxy(Proxy):
    should_start = False
    routes = {{}}

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {{"routespec": routespec, "target": target, "data": data}}

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        return self.routes

c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.log_level = "WARN"
c.DummyAuthenticator.password = "x" * 32
c.Authenticator.allowed_users = {users!r}
c.JupyterHub.services = [{{"name": "bench", "api_token": "{token}"}}]
c.JupyterHub.load_roles = [
    {{"name": "bench", "services": ["bench"], "scopes": ["read:users", "servers"]}}
]
{lines}
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """JupyterHub that runs: the hub's port, and its process."""

    port: int
    pid: int


def install(module: str = "jupyterhub") -> str:
    """Have a module in the venv, which is made if need be, and return its version.

    Raises:
        subprocess.CalledProcessError: it cannot be had.
    """
    python = VENV / "bin/python"
    if not (VENV / "bin/pip").exists():
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    ask = (str(python), "-c", f"import {module}; print({module}.__version__)")
    if subprocess.run(ask, capture_output=True, check=False).returncode:
        wanted = REQUIREMENTS[module]
        print(f"Installing {wanted} into {VENV}", file=sys.stderr)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", wanted], check=True)
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def jupyterhub(users: list[str], *, lines: str = "", **environ: str) -> Iterator[Peer]:
    """Run JupyterHub with these users in its database.

    Args:
        users: their names.
        lines: more lines for its configuration.
        **environ: more variables for it.
    """
    port = free_port()
    with TemporaryDirectory(prefix="jupyterhub-bench-") as folder:
        config = Path(folder) / "jupyterhub_config.py"
        text = CONFIG.format(
            public=free_port(), port=port, users=set(users), token=TOKEN, lines=lines
        )
        config.write_text(text)
        command = [str(VENV / "bin/python"), "-m", "jupyterhub", "-f", str(config)]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | environ,
            )
        try:
            _wait(port, process, Path(folder) / "log")
            yield Peer(port, process.pid)
        finally:
            process.terminate()
            process.wait(30)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/hub/api/", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(log.read_text())
