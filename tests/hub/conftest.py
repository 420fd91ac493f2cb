"""The hub's parts wired in the test's process: a real database, a spawner of this folder's own."""

import asyncio
import shutil
import subprocess
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from sqlalchemy import select

from kworkspace.authenticators.ssh_key import SSHKeyAuthenticator
from kworkspace.cli.client.errors import StartFailed
from kworkspace.cli.client.models import ServerState, SSHDoor
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub.admission import Admission, CommittedPeople
from kworkspace.hub.api.domain import Domain
from kworkspace.hub.api.streams import Streams
from kworkspace.hub.audit import Audit
from kworkspace.hub.bans import Bans
from kworkspace.hub.bus import Bus, LocalBus
from kworkspace.hub.ca import DoorKey, HostAuthority, UserAuthority
from kworkspace.hub.config import HubOptions
from kworkspace.hub.consequences import Consequences
from kworkspace.hub.db import models as db
from kworkspace.hub.db.moment import is_shared
from kworkspace.hub.db.store import Store
from kworkspace.hub.driver import Driver
from kworkspace.hub.gateways import Gateways
from kworkspace.hub.groups import Groups
from kworkspace.hub.guesses import Guesses
from kworkspace.hub.invites import Invites
from kworkspace.hub.key_ring import KeyRing
from kworkspace.hub.keys import MOST_KEYS, Keys
from kworkspace.hub.leases import Leases
from kworkspace.hub.login import SignIn
from kworkspace.hub.metrics import Metrics
from kworkspace.hub.people import People
from kworkspace.hub.ports import Ports
from kworkspace.hub.progress import ProgressBoard
from kworkspace.hub.readmodel import ReadModel, ServerRow
from kworkspace.hub.reconcile import Reconciler
from kworkspace.hub.run import _templates
from kworkspace.hub.scopes import Role
from kworkspace.hub.servers import Limits, Servers
from kworkspace.hub.session_policy import SessionPolicy
from kworkspace.hub.sessions import Sessions
from kworkspace.hub.steps import Steps
from kworkspace.hub.tokens import Tokens
from kworkspace.hub.tunnels import Tunnels
from kworkspace.spawners.base import (
    Exit,
    Home,
    Profile,
    ProgressSink,
    Running,
    Spawner,
    Workspace,
)
from tests.postgres import Server

DEADLINE = 10.0
PUBLIC_URL = "https://hub.example"
SECRET = "0" * 64

# The gateway's host key, as every hub of these tests knows it.
DOOR_KEY = asyncssh.generate_private_key("ssh-ed25519")
DOOR = SSHDoor(
    host="hub.example", port=2222, host_keys=[DOOR_KEY.export_public_key().decode().strip()]
)


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
        self._elapsed = 0.0

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        """Return what a clock shows that only goes forward."""
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Go on."""
        self._elapsed += seconds
        self.now += timedelta(seconds=seconds)

    def jump(self, seconds: float) -> None:
        """Be set: no time has passed."""
        self.now += timedelta(seconds=seconds)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is true for which there is no event.

    Raises:
        TimeoutError: it did not become true in time.
    """
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110  # the code under test tells nobody
            await asyncio.sleep(0.005)


def held_by(event: asyncio.Event) -> Callable[[object], Awaitable[None]]:
    """Return a behaviour that waits for an event."""

    async def hold(_: object) -> None:
        await event.wait()

    return hold


async def forever() -> None:
    """Never return."""
    await asyncio.Event().wait()


class FakeSpawner(Spawner):
    """Workspaces that are entries in a dictionary; it keeps the same contract as the real ones.

    Attributes:
        world: what runs, by the server's id; another spawner may be given the same one, as after
            a hub's restart.
        behaviour: awaited within each start, to hold it or to let it fail.
        calls: every call, in order.
        homes: the slugs whose files exist.
        kept: what there is of homes to look after.
        offered: what a user may ask for.
    """

    def __init__(self, *, world: dict[str, Running] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.world: dict[str, Running] = {} if world is None else world
        self.behaviour: Callable[[Workspace], Awaitable[None]] | None = None
        self.stop_behaviour: Callable[[str], Awaitable[None]] | None = None
        self.calls: list[tuple[str, str]] = []
        self.homes: set[str] = set()
        self.kept: list[Home] = []
        self.offered: list[Profile] = []
        self.starting = asyncio.Event()
        self._stops: Counter[str] = Counter()
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def start(self, workspace: Workspace, progress: ProgressSink) -> Running:
        self.calls.append(("start", workspace.slug))
        stops = self._stops[workspace.id]
        self.starting.set()
        async with self._locks[workspace.id]:
            if (running := self.world.get(workspace.id)) is not None:
                return running
            progress(10, "Making it")
            if self.behaviour is not None:
                await self.behaviour(workspace)
            if self._stops[workspace.id] != stops:
                raise StartFailed("it was stopped")
            progress(90, "It answers")
            return self.put(workspace.id, workspace.slug)

    def put(self, id: str, slug: str) -> Running:
        """Have a workspace run."""
        uid = uuid.uuid4().hex
        self.homes.add(slug)
        self.world[id] = Running(id, slug, uid, "127.0.0.1", 2222, "ssh-ed25519 AAAA", "someone")
        return self.world[id]

    async def stop(self, id: str, slug: str, object_uid: str | None = None) -> None:
        self.calls.append(("stop", slug))
        if self.stop_behaviour is not None:
            await self.stop_behaviour(slug)
        if object_uid is None:
            self._stops[id] += 1
        running = self.world.get(id)
        if running is not None and object_uid in {None, running.object_uid}:
            del self.world[id]

    async def delete(self, id: str, slug: str, *, user: str = "", name: str = "") -> None:
        self.calls.append(("delete", slug))
        await self.stop(id, slug)
        self.homes.discard(slug)

    async def find(self, id: str, slug: str, *, user: str = "", name: str = "") -> Running | None:
        return self.world.get(id)

    async def running(self) -> Sequence[Running]:
        return list(self.world.values())

    async def refresh(self, workspace: Workspace) -> None:
        self.calls.append(("refresh", workspace.slug))

    async def kept_homes(self) -> Sequence[Home]:
        return self.kept

    def profiles(self) -> Sequence[Profile]:
        return self.offered

    def crash(self, running: Running) -> None:
        """Have a workspace end by itself."""
        del self.world[running.id]
        self.on_exit(Exit(running.id, running.object_uid, "it crashed"))


@dataclass(slots=True)
class Parts:
    """A hub in parts."""

    store: Store
    readmodel: ReadModel
    audit: Audit
    leases: Leases
    board: ProgressBoard
    spawner: FakeSpawner
    driver: Driver
    steps: Steps
    servers: Servers
    reconciler: Reconciler
    tokens: Tokens
    sign_in: SignIn
    sessions: Sessions
    gateways: Gateways
    bus: Bus
    domain: Domain
    authenticator: SSHKeyAuthenticator
    authority: UserAuthority
    clock: Clock
    workspace: Callable[[ServerRow], Workspace]
    consequences: Consequences

    @property
    def people(self) -> People:
        """Adds and removes users."""
        return self.domain.people

    @property
    def keys(self) -> Keys:
        """Adds and removes keys."""
        return self.domain.keys

    @property
    def groups(self) -> Groups:
        """Makes groups."""
        return self.domain.groups

    async def token(self, user: str, expires_in: int | None = None) -> str:
        """Return a new token of a user."""
        made = await self.tokens.issue_for_user(user, note="test", expires_in=expires_in)
        return made.token

    async def service_token(self, service: str) -> str:
        """Return a token of a service."""
        secret = f"secret-of-{service}-{uuid.uuid4().hex}"
        await self.tokens.ensure_service(service, secret)
        return secret

    async def events(self) -> list[tuple[str, str, str, str | None]]:
        """Return the audit log: action, outcome, actor, user."""
        await self.audit.flush()
        async with self.store.begin() as session:
            rows = (await session.scalars(select(db.Event).order_by(db.Event.id))).all()
        return [(row.action, row.outcome, row.actor, row.user) for row in rows]

    async def pass_time(self, seconds: float) -> None:
        """Have time go by, by the database's clock too: what it compares was longer ago."""
        self.clock.advance(seconds)
        age = timedelta(seconds=seconds)
        async with self.store.begin() as session:
            if is_shared(session):
                for lease in await session.scalars(select(db.Lease)):
                    lease.expires -= age
                for row in await session.scalars(select(db.Session)):
                    row.started, row.last_report = row.started - age, row.last_report - age

    async def settled(self, user: str = "alice", name: str = "") -> ServerRow:
        """Return a server once it neither starts nor stops."""
        row = self.readmodel.server_of(user, name)
        assert row is not None
        row = await self.servers.settle(row.id, DEADLINE)
        assert row.state in {ServerState.READY, ServerState.STOPPED}
        await self.idle(row.id)
        return row

    async def idle(self, id: str) -> None:
        """Wait until the driver has nothing to do for a server."""
        await until(lambda: id not in self.driver._active)

    async def ready(self, user: str = "alice") -> ServerRow:
        """Start a server and return it."""
        await self.servers.start(user, "")
        row = await self.settled(user)
        assert row.state is ServerState.READY, row.error
        return row


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a test wants otherwise."""

    users: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {"alice": [], "bob": [], "ada": []}
    )
    limits: Limits = field(default_factory=Limits)
    policy: SessionPolicy = field(default_factory=SessionPolicy)
    tunnel_base: str | None = "/gateway/tunnel"
    world: dict[str, Running] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)
    authenticator: Mapping[str, Any] = field(default_factory=dict)
    base_url: str = "/"
    holder: str = "this-hub"
    bus: Bus | None = None


@asynccontextmanager
async def open_parts(url: str, data_dir: Path, setting: Setting) -> AsyncIterator[Parts]:
    """Wire the parts as `hub.run` does, and end them."""
    clock = setting.clock
    async with AsyncExitStack() as exits:
        store = await Store.open(url)
        exits.push_async_callback(store.aclose)
        readmodel = ReadModel()
        await readmodel.load(store)
        tasks = Tasks()
        exits.push_async_callback(tasks.aclose)
        tasks.spawn(store.keep(), "stay in step with other hubs")
        audit = Audit(store=store, clock=clock)
        authenticator = SSHKeyAuthenticator(
            records=CommittedPeople(readmodel),
            users={name: list(keys) for name, keys in setting.users.items()},
            admin_users={"ada"},
            **setting.authenticator,
        )
        admission = Admission(readmodel=readmodel, authenticator=authenticator)
        authority = UserAuthority(ring=KeyRing.new("users", clock()), clock=clock)
        host_authority = HostAuthority(ring=KeyRing.new("hosts", clock()), clock=clock)

        def workspace(row: ServerRow) -> Workspace:
            return Workspace(
                id=row.id,
                user=row.user,
                name=row.name,
                slug=row.slug,
                authorized_keys=authenticator.public_keys(row.user),
                options=row.options,
                groups=tuple(readmodel.groups_of(row.user)),
            )

        def on_exit(ended: Exit) -> None:
            driver.ended(ended)

        spawner = FakeSpawner(
            world=setting.world,
            hub_id="hub",
            data_dir=data_dir,
            on_exit=on_exit,
        )
        leases = Leases(store=store, clock=clock, holder=setting.holder)
        bus = LocalBus() if setting.bus is None else setting.bus
        board = ProgressBoard(bus=bus, readmodel=readmodel)
        metrics = Metrics(readmodel, spawner.watches)
        common: dict[str, Any] = {"store": store, "readmodel": readmodel, "audit": audit}
        steps = Steps(
            **common,
            board=board,
            spawner=spawner,
            workspace=workspace,
            leases=leases,
            clock=clock,
            measure=metrics.start,
        )
        driver: Driver = Driver(
            store=store,
            readmodel=readmodel,
            spawner=spawner,
            leases=leases,
            steps=steps,
            clock=clock,
        )
        exits.push_async_callback(driver.aclose)
        servers = Servers(
            **common, driver=driver, spawner=spawner, clock=clock, limits=setting.limits
        )
        tokens = Tokens(**common, clock=clock)
        gateways = Gateways(
            bus=bus,
            key=DoorKey(DOOR_KEY),
            authority=host_authority,
            names=["hub.example"],
            seconds=clock.seconds,
        )
        people = People(**common, authenticator=authenticator, clock=clock)
        sessions = Sessions(
            **common,
            authenticator=authenticator,
            authority=authority,
            servers=servers,
            gateways=gateways,
            door_key=DoorKey(DOOR_KEY),
            clock=clock,
            welcome=people.welcome,
            policy=setting.policy,
            bans=Bans(bus=bus, seconds=clock.seconds),
            seconds=clock.seconds,
        )
        sign_in = SignIn(
            store=store,
            authenticator=authenticator,
            tokens=tokens,
            clock=clock,
            secret=SECRET,
            public_urls=[PUBLIC_URL],
            token_seconds=3600,
            welcome=people.welcome,
        )
        reconciler = Reconciler(
            **common,
            spawner=spawner,
            driver=driver,
            workspace=workspace,
            leases=leases,
            clock=clock,
            seconds=3600,
        )
        consequences = Consequences(
            **common,
            clock=clock,
            authenticator=authenticator,
            admission=admission,
            end_sessions=sessions.end_not_good,
            check=driver.check,
        )
        exits.push_async_callback(consequences.aclose)
        await consequences.begin()
        readmodel.on_change = consequences.changed
        keys = Keys(**common, authenticator=authenticator, clock=clock)
        domain = Domain(
            readmodel=readmodel,
            admission=admission,
            people=people,
            ports=Ports(readmodel=readmodel, spawner=spawner),
            keys=keys,
            invites=Invites(
                store=store,
                audit=audit,
                authenticator=authenticator,
                keys=keys,
                guesses=Guesses(bus=bus, seconds=clock.seconds),
                door_key=DoorKey(DOOR_KEY),
                clock=clock,
            ),
            groups=Groups(**common),
            servers=servers,
            tokens=tokens,
            sign_in=sign_in,
            sessions=sessions,
            tunnels=Tunnels(
                **common,
                tokens=tokens,
                admission=admission,
                servers=servers,
                sessions=sessions,
                clock=clock,
                base=lambda: setting.tunnel_base,
            ),
            gateways=gateways,
            board=board,
            audit=audit,
            streams=Streams(),
            metrics=metrics,
            templates=_templates(HubOptions(base_url=setting.base_url)),
            service_roles={"gateway": Role.GATEWAY, "culler": Role.ADMIN, "plain": Role.SERVICE},
            api_prefix=f"{setting.base_url}hub/api",
            public_url=PUBLIC_URL,
            slow_spawn_seconds=DEADLINE,
            fresh=store.fresh,
            in_step=store.in_step,
            ready=True,
        )
        yield Parts(
            **common,
            leases=leases,
            board=board,
            spawner=spawner,
            driver=driver,
            steps=steps,
            servers=servers,
            reconciler=reconciler,
            tokens=tokens,
            sign_in=sign_in,
            sessions=sessions,
            gateways=gateways,
            bus=bus,
            domain=domain,
            authenticator=authenticator,
            authority=authority,
            clock=clock,
            workspace=workspace,
            consequences=consequences,
        )


# For a test whose subject is one of them alone.
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("database", ["postgres"], indirect=True)


async def make_tables(url: str) -> None:
    """Make the tables of an empty database."""
    await (await Store.open(url)).aclose()


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with its tables, to copy: making them takes longer than most tests."""
    file = tmp_path_factory.mktemp("database") / "hub.sqlite"
    asyncio.run(make_tables(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def empty_postgres(postgres: Server) -> str:
    """The name of a database with its tables, to copy."""
    name = "empty"
    postgres.create(name)
    asyncio.run(make_tables(postgres.url(name)))
    return name


# Far quicker than to copy a database for each test: end who still uses it, and empty it.
EMPTY = "; ".join(
    [
        """SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()""",
        *(f"DELETE FROM {table.name}" for table in reversed(db.Base.metadata.sorted_tables)),
        "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'",
    ]
)


@pytest.fixture(scope="session")
def clean_databases() -> list[str]:
    """The names of databases with empty tables, that no test uses."""
    return []


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of the test's own, with nothing in its tables; on both."""
    if request.param == "sqlite":
        empty_file: Path = request.getfixturevalue("empty_sqlite")
        yield f"sqlite:///{shutil.copy(empty_file, tmp_path / 'hub.sqlite')}"
        return
    server: Server = request.getfixturevalue("postgres")
    alters = request.node.get_closest_marker("alters_database") is not None
    clean: list[str] = request.getfixturevalue("clean_databases")
    if alters or not clean:
        name = f"test_{uuid.uuid4().hex}"
        server.create(name, template=request.getfixturevalue("empty_postgres"))
    else:
        name = clean.pop()
    yield server.url(name)
    if alters:
        server.drop(name)
    else:
        server.sql(EMPTY, database=name)
        clean.append(name)


OpenParts = Callable[..., Awaitable[Parts]]


@pytest.fixture
async def open_hub(database: str, tmp_path: Path) -> AsyncIterator[OpenParts]:
    """Return a function that wires a hub on the test's database, otherwise where it is told."""
    async with AsyncExitStack() as exits:

        async def open_(**otherwise: Any) -> Parts:
            setting = Setting(**otherwise)
            return await exits.enter_async_context(open_parts(database, tmp_path, setting))

        yield open_


@pytest.fixture
async def parts(open_hub: OpenParts) -> Parts:
    """A hub with the users alice, bob and ada, who is an admin."""
    return await open_hub()


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    """A database alone."""
    store = await Store.open(database)
    yield store
    await store.aclose()


@pytest.fixture
def clock() -> Clock:
    """A clock to set."""
    return Clock()


@dataclass(frozen=True)
class KeyFile:
    """A private key's file."""

    path: Path

    @property
    def line(self) -> str:
        """Its public key's line."""
        return self.path.with_suffix(".pub").read_text().strip()

    def sign(self, text: bytes, namespace: str = "kworkspace") -> str:
        """Sign as a person does, with the real ssh-keygen."""
        command = ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(self.path)]
        return subprocess.run(command, input=text, capture_output=True, check=True).stdout.decode()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, KeyFile]:
    """One key of each type that is a file, and another ed25519 one."""
    folder = tmp_path_factory.mktemp("keys")
    kinds = {"ed25519": [], "rsa": ["-b", "2048"], "ecdsa": ["-b", "256"], "other": []}
    for name, size in kinds.items():
        kind = "ed25519" if name == "other" else name
        command = ["ssh-keygen", "-q", "-N", "", "-t", kind, *size, "-f", str(folder / name)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return {name: KeyFile(folder / name) for name in kinds}


@pytest.fixture(scope="session")
def many_keys() -> list[str]:
    """Lines of more public keys than a person may have."""
    keys = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(MOST_KEYS + 1))
    return [key.export_public_key().decode().strip() for key in keys]
