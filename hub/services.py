"""The hub's managed services: started, kept running, and adopted again by the next hub.

A service has its own process group, log file and token file (0600), and outlives a hub that is
killed. It is found again by a mark in its environment, not by a pid file: there is no moment at
which it runs and is not known. It is one hub's at a time, under a lease; a hub that loses it to
another machine's ends its process. An ordinary end of the last hub of a machine ends its services.
"""

import asyncio
import hashlib
import logging
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.bounded import bound_log
from kworkspace.hub.files import FileUnusable, HubLock, read_secret, write_secret
from kworkspace.hub.leases import Leases, same_machine
from kworkspace.hub.tokens import Tokens, new_secret
from kworkspace.spawners.processes import ProcessId, carrying, identify, open_pidfd, send

log = logging.getLogger(__name__)

MARK = "KWORKSPACE_SERVICE_MARK"
COMMAND_MARK = "KWORKSPACE_SERVICE_COMMAND"
BACKOFF_SECONDS = (1, 2, 5, 15, 60)
BOUND_SECONDS = 60.0
STEADY_SECONDS = 60.0
END_SECONDS = 6.0
CLAIM_SECONDS = 2.0  # between two tries to get a service that another hub has
LEAVE_SECONDS = 2.0
LEASE = "service:"
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class Service:
    """A managed service.

    Attributes:
        name: how tokens, logs and files call it.
        command: the program and its arguments; empty when somebody else runs it.
        environment: added to its environment.
        cwd: its working directory; None is the data directory.
        token_file: has its token; None: the hub makes one.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    token_file: Path | None = None


class _OthersGoOn(Exception):
    """Another hub on this machine looks after the services."""


class Supervisor:
    """Keeps the services running.

    Args:
        services: which; of one without a command only the token is made known.
        directory: where their files are.
        hub_id: marks them as this hub's.
        environment: what every service is told of the hub (`KWORKSPACE_*`, `JUPYTERHUB_*`).
        tokens: makes theirs known.
        leases: this process's leases.
        leave: says that this hub ends; whether another one on this machine goes on.
        check: called before a service of the name is started for the first time; may raise.
    """

    def __init__(
        self,
        *,
        services: tuple[Service, ...],
        directory: Path,
        hub_id: str,
        environment: Mapping[str, str],
        tokens: Tokens,
        leases: Leases,
        leave: Callable[[], Awaitable[bool]],
        check: Mapping[str, Callable[[], None]],
    ) -> None:
        self._services = services
        self._directory = directory
        self._hub_id = hub_id
        self._environment = environment
        self._tokens = tokens
        self._leases = leases
        self._leave = leave
        self._check = check
        self._tasks = Tasks()
        self._running: dict[str, ProcessId] = {}
        self._children: list[subprocess.Popen[bytes]] = []
        self._takers: dict[str, asyncio.Future[str]] = {}
        leases.on_lost(self._lost)

    async def start(self) -> None:
        """Bring the services up, or adopt those that run, if no other hub does.

        Raises:
            KworkspaceError: one cannot run here; one line says why and what to do.
        """
        for service in self._services:
            directory = self._directory / service.name
            if service.command:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = service.token_file
            secret = await asyncio.to_thread(_given if file else _token, file or directory)
            await self._tokens.ensure_service(service.name, secret, alone=file is not None)
            if not service.command:
                continue
            check = self._check.get(service.name)
            if check and await self._leases.claim(_lease(service)) and not self.runs(service):
                check()
            self._tasks.spawn(self._keep(service, directory, secret), f"service {service.name}")
        self._tasks.spawn(self._bound_logs(), "bound the services' logs")

    async def _bound_logs(self) -> None:
        while True:
            await asyncio.sleep(BOUND_SECONDS)
            for name in tuple(self._running):
                await self._bound_log(name)

    async def _bound_log(self, name: str) -> None:
        try:
            await asyncio.to_thread(bound_log, self._directory / name / "log")
        except OSError as error:
            log.error("The log of service %s cannot be set aside: %s", name, error)

    def runs(self, service: Service) -> bool:
        """Whether a service runs, from this hub or from one before it, whatever its command is."""
        return bool(carrying(MARK, self._mark(service)))

    def _mark(self, service: Service) -> str:
        return f"{self._hub_id}/{service.name}"

    async def aclose(self) -> None:
        """Leave the services to another hub on this machine, or end them if there is none."""
        await self._tasks.aclose()
        running = set(self._running.values())
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                running |= await self._leftover()
        except (KworkspaceError, TimeoutError) as error:
            why = str(error) or "the database did not answer in time"
            log.error("Whether other hubs go on is not known: %s", why)
        except _OthersGoOn:
            running.clear()
        await end(running)
        for child in self._children:
            child.returncode = child.poll() or 0  # it may run on: nobody is to warn of that

    async def _leftover(self) -> set[ProcessId]:
        """Return the services that run on this machine, this hub being the last one on it.

        First they are given back, then this hub leaves: so the last one to leave finds them all.

        Raises:
            _OthersGoOn: it is not the last one.
        """
        for service in self._services:
            await self._leases.release(_lease(service))
        if await self._leave():
            raise _OthersGoOn
        return {
            process
            for service in self._services
            if await self._leases.claim(_lease(service))
            for process in carrying(MARK, self._mark(service))
            if leads(process)
        }

    async def _keep(self, service: Service, directory: Path, secret: str) -> None:
        failures = 0
        while True:
            await self._claim(service)
            began = asyncio.get_running_loop().time()
            try:
                if not await self._run_once(service, directory, secret):
                    continue
            except OSError as error:
                log.error("Service %s cannot be started: %s", service.name, error)
            if asyncio.get_running_loop().time() - began > STEADY_SECONDS:
                failures = 0
            wait = BACKOFF_SECONDS[min(failures, len(BACKOFF_SECONDS) - 1)]
            failures += 1
            log.error(
                "Service %s ended; again in %d s. The last line of %s: %s",
                service.name,
                wait,
                directory / "log",
                _last_line(directory / "log"),
            )
            await asyncio.sleep(wait)

    async def _claim(self, service: Service) -> None:
        """Wait until the service is this hub's."""
        while True:
            try:
                if await self._leases.claim(_lease(service)):
                    return
            except KworkspaceError as error:
                log.error("Service %s waits for the database: %s", service.name, error)
            await asyncio.sleep(CLAIM_SECONDS)

    async def _run_once(self, service: Service, directory: Path, secret: str) -> bool:
        """Adopt the service or start it, and return when it has ended; False if it was lost."""
        await self._bound_log(service.name)
        process = _adoptable(service, self._mark(service), self._digest(service))
        if process is not None:
            log.info("Service %s runs already, as process %d", service.name, process.pid)
        else:
            child = self._launch(service, directory, secret)
            self._children.append(child)
            process = identify(child.pid) or ProcessId(child.pid, 0)
            log.info("Service %s started as process %d", service.name, process.pid)
        self._running[service.name] = process
        taker = self._takers[service.name] = asyncio.get_running_loop().create_future()
        over = self._tasks.spawn(ended(process), f"end of service {service.name}")
        try:
            await asyncio.wait({over, taker}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            del self._takers[service.name]
        if taker.done() and not over.done():
            await self._give_up(service, process, taker.result())
        del self._running[service.name]
        self._children = [child for child in self._children if child.poll() is None]
        return not taker.done()

    def _lost(self, lease: str, holder: str) -> None:
        taker = self._takers.get(lease.removeprefix(LEASE))
        if lease.startswith(LEASE) and taker is not None and not taker.done():
            taker.set_result(holder)

    async def _give_up(self, service: Service, process: ProcessId, holder: str) -> None:
        """Another hub has the service: one on this machine has adopted it by its mark."""
        if same_machine(holder, self._leases.holder):
            log.warning("Service %s is another hub's now", service.name)
            return
        log.warning("Service %s runs on another machine now: ending it here", service.name)
        await end({process})

    def _digest(self, service: Service) -> str:
        """Return what a process must have been started with to be adopted."""
        words = (*service.command, self._environment.get("KWORKSPACE_API_URL", ""))
        return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]

    def _launch(self, service: Service, directory: Path, secret: str) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= self._environment
        for prefix in ("KWORKSPACE", "JUPYTERHUB"):
            environment[f"{prefix}_SERVICE_NAME"] = service.name
            environment[f"{prefix}_API_TOKEN"] = secret
        environment["KWORKSPACE_API_TOKEN_FILE"] = str(service.token_file or directory / "token")
        environment |= service.environment
        environment[MARK] = self._mark(service)
        environment[COMMAND_MARK] = self._digest(service)
        with (directory / "log").open("ab") as output:
            return subprocess.Popen(
                service.command,
                env=environment,
                cwd=service.cwd or directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _last_line(file: Path) -> str:
    """Return what a service said last, to spare an admin the way to its log."""
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - 2000))
            lines = stream.read().decode(errors="replace").split("\n")
    except OSError:
        return "(none)"
    return next((line for line in reversed(lines) if line.strip()), "(none)")


def _lease(service: Service) -> str:
    return f"{LEASE}{service.name}"


def _token(directory: Path) -> str:
    """Return a service's token; hubs that share the directory agree on one."""
    lock = HubLock(directory / "token.lock")
    lock.acquire(wait=True)
    try:
        secret = read_secret(directory / "token")
        if secret is None:
            secret = new_secret()
            write_secret(directory / "token", secret)
        return secret
    finally:
        lock.release()


def _given(file: Path) -> str:
    """Return a token that an admin has made.

    Raises:
        FileUnusable: there is none.
    """
    secret = read_secret(file)
    if secret is None:
        raise FileUnusable(
            f"{file} has no token: write one there, or name another file as `api_token_file` in"
            " c.Hub.services"
        )
    return secret


def _adoptable(service: Service, mark: str, digest: str) -> ProcessId | None:
    """Return the service that runs already; end one that was started otherwise."""
    same = set(carrying(COMMAND_MARK, digest))
    adoptable = None
    for process in sorted(carrying(MARK, mark), key=lambda process: process.started):
        if not leads(process):
            continue  # what a service has started bears its mark too
        if process in same and adoptable is None:
            adoptable = process
        elif process not in same:
            log.warning(
                "Service %s has another command or URL now: ending the old one", service.name
            )
            send(process, signal.SIGTERM)
    return adoptable


def leads(process: ProcessId) -> bool:
    """Whether a process is a service itself; what a service has started bears its mark too."""
    try:
        return os.getsid(process.pid) == process.pid
    except ProcessLookupError:
        return False


async def end(processes: Collection[ProcessId]) -> None:
    """End processes: SIGTERM, some seconds, SIGKILL."""
    for process in processes:
        send(process, signal.SIGTERM)
    try:
        async with asyncio.timeout(END_SECONDS):
            for process in processes:
                await ended(process)
    except TimeoutError:
        for process in processes:
            if send(process, signal.SIGKILL):
                log.warning("A service did not end within %d s: killed", END_SECONDS)
                await ended(process)


async def ended(process: ProcessId) -> None:
    """Wait until a process has ended, ours or not, without polling (pidfd_open(2))."""
    descriptor = open_pidfd(process)
    if descriptor is None:
        return
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
