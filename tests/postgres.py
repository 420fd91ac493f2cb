"""A private Postgres server for one test session, from Debian's programs.

They refuse to run as root: then they run as the account that their package made, else as nobody.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

PROGRAMS = "usr/lib/postgresql/*/bin/postgres"
PASSWORD_ROLE, PASSWORD = "with_password", "s3cret+of/the:role"
SETTINGS = """
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
max_connections = 60
shared_buffers = 16MB
autovacuum = off
log_line_prefix = '%m [%p] %d '
"""
# The last line that fits counts for nothing: the first one does.
ACCESS = f"""
host all {PASSWORD_ROLE} 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
local all all trust
"""


def programs() -> Path | None:
    """Return the folder of the newest server's programs, None if there are none."""
    found = sorted(Path("/").glob(PROGRAMS), key=lambda file: float(file.parts[-3]))
    if found:
        return found[-1].parent
    here = shutil.which("postgres")
    return None if here is None else Path(here).resolve().parent


@dataclass
class Server:
    """The server.

    Attributes:
        bin: where its programs are.
        directory: everything that it writes.
        port: of 127.0.0.1, and of the socket in `directory`.
    """

    bin: Path
    directory: Path
    port: int

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.directory / "data"

    def url(self, database: str, *, role: str = "kworkspace") -> str:
        """Return the URL of a database."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/{database}"

    def run(self, program: str, *arguments: str) -> str:
        """Run one of the programs as the server's account and return its output."""
        return _output([*as_account(), str(self.bin / program), *arguments])

    def sql(self, *statements: str, database: str = "postgres") -> str:
        """Run statements as the superuser, each by itself, and return what they print."""
        place = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database]
        words = [word for statement in statements for word in ("-c", statement)]
        command = [str(self.bin / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", *place, *words]
        return _output(command)

    def create(self, name: str, *, template: str = "template0") -> None:
        """Make a database for the hub's role."""
        self.sql(f"CREATE DATABASE {name} OWNER kworkspace ENCODING 'UTF8' TEMPLATE {template}")

    def drop(self, name: str) -> None:
        """Drop a database, whoever still uses it."""
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = str(self.directory / "log")
        self.run("pg_ctl", "-D", str(self.data), "-l", log, "-w", "-t", "60", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it and wait until it is gone."""
        self.run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "-t", "60", "stop")

    def restart(self) -> None:
        """Stop it as a power cut would, and start it again."""
        self.stop()
        self.start()


def _output(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", timeout=120
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def as_account() -> list[str]:
    """Return what goes before a command for it to run as another account than root."""
    if os.geteuid() != 0:
        return []
    return ["runuser", "-u", _account(), "--"]


def _account() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def serve(bin: Path, port: int) -> Iterator[Server]:
    """Run a server until the block ends; all its files go with it."""
    with TemporaryDirectory(prefix="kws-pg-") as folder:
        directory = Path(folder)
        if os.geteuid() == 0:
            shutil.chown(directory, _account())
        server = Server(bin, directory, port)
        initdb = ["-D", str(server.data), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
        server.run("initdb", *initdb, "--locale=C", "--no-sync", "--no-instructions")
        settings = f"{SETTINGS}port = {server.port}\nunix_socket_directories = '{directory}'\n"
        with (server.data / "postgresql.conf").open("a") as file:
            file.write(settings)
        (server.data / "pg_hba.conf").write_text(ACCESS)
        server.start()
        try:
            server.sql(
                "CREATE ROLE kworkspace LOGIN CREATEDB",
                f"CREATE ROLE {PASSWORD_ROLE} LOGIN PASSWORD '{PASSWORD}'",
            )
            yield server
        finally:
            if (server.data / "postmaster.pid").exists():
                server.stop()
