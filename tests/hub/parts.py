"""The hub's parts, wired in the test's process as `hub.run` does it."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
from sqlalchemy import select

from kworkspace.authenticators.ssh_key import SSHKeyAuthenticator
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
from kworkspace.hub.keys import Keys
from kworkspace.hub.leases import Leases
from kworkspace.hub.login import SignIn
from kworkspace.hub.metrics import Metrics
from kworkspace.hub.open_sessions import OpenSessions
from kworkspace.hub.people import People
from kworkspace.hub.ports import Ports
from kworkspace.hub.progress import ProgressBoard
from kworkspace.hub.readmodel import ReadModel, ServerRow
from kworkspace.hub.reconcile import Reconciler
from kworkspace.hub.run import _templates
from kworkspace.hub.scopes import Role
from kworkspace.hub.servers import Servers
from kworkspace.hub.session_policy import SessionPolicy
from kworkspace.hub.sessions import Sessions
from kworkspace.hub.starts import Limits
from kworkspace.hub.steps import Steps
from kworkspace.hub.tokens import Tokens
from kworkspace.hub.tunnel_certificates import TunnelCertificates
from kworkspace.hub.tunnels import Tunnels
from kworkspace.spawners.base import (
    Exit,
    Running,
    Workspace,
)
from tests.hub.clock import DEADLINE, Clock, until
from tests.hub.fake_spawner import FakeSpawner

PUBLIC_URL = "https://hub.example"
SECRET = "0" * 64

# The gateway's host key, as every hub of these tests knows it.
DOOR_KEY = asyncssh.generate_private_key("ssh-ed25519")
DOOR = SSHDoor(
    host="hub.example", port=2222, host_keys=[DOOR_KEY.export_public_key().decode().strip()]
)


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
    open_sessions: OpenSessions
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
        exits.push_async_callback(servers.aclose)
        tokens = Tokens(**common, clock=clock)
        gateways = Gateways(
            bus=bus,
            key=DoorKey(DOOR_KEY),
            authority=host_authority,
            names=["hub.example"],
            seconds=clock.seconds,
        )
        people = People(**common, authenticator=authenticator, clock=clock)
        open_sessions = OpenSessions(
            **common,
            authenticator=authenticator,
            gateways=gateways,
            clock=clock,
            policy=setting.policy,
            seconds=clock.seconds,
        )
        sessions = Sessions(
            **common,
            authenticator=authenticator,
            authority=authority,
            servers=servers,
            open_sessions=open_sessions,
            door_key=DoorKey(DOOR_KEY),
            clock=clock,
            welcome=people.welcome,
            bans=Bans(bus=bus, seconds=clock.seconds),
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
            end_sessions=open_sessions.end_not_good,
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
            open_sessions=open_sessions,
            tunnels=Tunnels(
                **common,
                tokens=tokens,
                admission=admission,
                servers=servers,
                sessions=open_sessions,
                clock=clock,
                base=lambda: setting.tunnel_base,
            ),
            tunnel_certificates=TunnelCertificates(
                store=store,
                audit=audit,
                authenticator=authenticator,
                authority=authority,
                host_authority=host_authority,
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
            open_sessions=open_sessions,
            gateways=gateways,
            bus=bus,
            domain=domain,
            authenticator=authenticator,
            authority=authority,
            clock=clock,
            workspace=workspace,
            consequences=consequences,
        )


OpenParts = Callable[..., Awaitable[Parts]]
