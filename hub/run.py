"""Builds the hub and runs it until it is told to end: the one place that knows all the parts."""

import asyncio
import gc
import logging
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import jinja2

from kworkspace.cli.client.proxies import trusted_networks
from kworkspace.cli.client.tasks import Tasks
from kworkspace.hub import __version__, lag, secret_files
from kworkspace.hub.admission import Admission, CommittedPeople
from kworkspace.hub.api.domain import Domain
from kworkspace.hub.api.routes import SHARE
from kworkspace.hub.api.streams import Streams
from kworkspace.hub.audit import Audit
from kworkspace.hub.bans import Bans
from kworkspace.hub.clock import utc_now
from kworkspace.hub.config import HubOptions
from kworkspace.hub.consequences import Consequences
from kworkspace.hub.db import meta
from kworkspace.hub.db.store import Store
from kworkspace.hub.driver import Driver
from kworkspace.hub.files import make_directory
from kworkspace.hub.gateways import Gateways
from kworkspace.hub.groups import Groups
from kworkspace.hub.guesses import Guesses
from kworkspace.hub.housekeeping import Housekeeping
from kworkspace.hub.invites import Invites
from kworkspace.hub.keys import Keys
from kworkspace.hub.leases import Leases, new_holder
from kworkspace.hub.listening import (
    bind,
    check_ssh_port,
    close,
    end_requests,
    listen,
    service_environment,
)
from kworkspace.hub.login import SignIn
from kworkspace.hub.metrics import Metrics
from kworkspace.hub.open_sessions import OpenSessions
from kworkspace.hub.people import People
from kworkspace.hub.ports import Ports
from kworkspace.hub.presence import Presence, lock_database
from kworkspace.hub.progress import ProgressBoard
from kworkspace.hub.readmodel import ReadModel, ServerRow
from kworkspace.hub.reconcile import Reconciler
from kworkspace.hub.scopes import Role
from kworkspace.hub.servers import Servers
from kworkspace.hub.services import Supervisor
from kworkspace.hub.sessions import Sessions
from kworkspace.hub.starts import Limits
from kworkspace.hub.steps import Steps
from kworkspace.hub.stop import Stop
from kworkspace.hub.tokens import Tokens
from kworkspace.hub.tunnel_certificates import TunnelCertificates
from kworkspace.hub.tunnels import Tunnels
from kworkspace.spawners.base import Exit, Workspace

log = logging.getLogger(__name__)

GC_THRESHOLD = (5000, 4, 10)

ADMIN_SERVICE = "kworkspace-hub"


async def run(options: HubOptions) -> None:
    """Run the hub until SIGTERM, SIGINT, or SIGHUP, as when its terminal is closed.

    Raises:
        KworkspaceError: it cannot start; one line says why and what to do.
    """
    stop = Stop()
    async with AsyncExitStack() as exits:
        domain = await _build(options, exits)
        await stop.wait()
        log.info("Ending; workspaces keep running")
        domain.ready = False
        domain.servers.end_waiting()


async def _build(  # noqa: PLR0915  # the one place where all parts meet
    options: HubOptions, exits: AsyncExitStack
) -> Domain:
    clock = utc_now
    data_dir = Path(options.data_dir)
    make_directory(data_dir)
    lock = lock_database(options)
    if lock is not None:
        exits.callback(lock.release)
    sockets = bind(options)
    exits.callback(close, sockets)
    secrets = await asyncio.to_thread(secret_files.load, options, clock)

    store = await Store.open(options.db_url)
    exits.push_async_callback(store.aclose)
    base, tasks = Tasks(), Tasks()
    leases = Leases(store=store, clock=clock, holder=new_holder())
    if lock is not None:
        await leases.clear()
    exits.push_async_callback(leases.aclose)
    presence = Presence(
        store=store, leases=leases, clock=clock, shared=secret_files.shared(options, secrets)
    )
    await presence.enter()
    exits.push_async_callback(base.aclose)
    base.spawn(leases.keep(), "renew leases")
    readmodel = ReadModel()
    await readmodel.load(store)
    base.spawn(store.keep(), "stay in step with other hubs")
    audit = Audit(store=store, clock=clock)
    exits.push_async_callback(audit.flush)
    async with store.begin() as session:
        hub_id = await meta.hub_id(session)

    authenticator = options.authenticator_class(parent=options, records=CommittedPeople(readmodel))
    admission = Admission(readmodel=readmodel, authenticator=authenticator)
    people = People(
        store=store, readmodel=readmodel, audit=audit, authenticator=authenticator, clock=clock
    )
    authority = secrets.authority

    def workspace(row: ServerRow) -> Workspace:
        return Workspace(
            id=row.id,
            user=row.user,
            name=row.name,
            slug=row.slug,
            authorized_keys=authenticator.public_keys(row.user),
            user_authorities=authority.public_keys(),
            certify=partial(secrets.host_authority.certify_workspace, row.id),
            certificate_mark=secrets.host_authority.workspace_mark(row.id),
            options=row.options,
            groups=tuple(readmodel.groups_of(row.user)),
        )

    def on_exit(ended: Exit) -> None:
        driver.ended(ended)

    spawner = options.spawner_class(
        parent=options, hub_id=hub_id, data_dir=data_dir, on_exit=on_exit
    )
    board = ProgressBoard(bus=store.bus, readmodel=readmodel)
    metrics = Metrics(readmodel, spawner.watches)
    driver = Driver(
        store=store,
        readmodel=readmodel,
        spawner=spawner,
        leases=leases,
        clock=clock,
        steps=Steps(
            store=store,
            readmodel=readmodel,
            audit=audit,
            board=board,
            spawner=spawner,
            workspace=workspace,
            leases=leases,
            clock=clock,
            measure=metrics.start,
        ),
    )
    await spawner.open()
    exits.push_async_callback(spawner.aclose)
    exits.push_async_callback(driver.aclose)
    servers = Servers(
        store=store,
        readmodel=readmodel,
        audit=audit,
        driver=driver,
        spawner=spawner,
        clock=clock,
        limits=Limits(
            concurrent_spawns=options.concurrent_spawn_limit,
            active_servers=options.active_server_limit,
            allow_named_servers=options.allow_named_servers,
            named_servers_per_user=options.named_server_limit_per_user,
        ),
    )
    exits.push_async_callback(servers.aclose)
    tokens = Tokens(store=store, readmodel=readmodel, audit=audit, clock=clock)
    gateways = Gateways(
        bus=store.bus,
        key=secrets.door_key,
        authority=secrets.host_authority,
        names=options.gateway_host_names,
    )
    open_sessions = OpenSessions(
        store=store,
        readmodel=readmodel,
        audit=audit,
        authenticator=authenticator,
        gateways=gateways,
        clock=clock,
        policy=options.session_policy(),
    )
    sessions = Sessions(
        store=store,
        readmodel=readmodel,
        audit=audit,
        authenticator=authenticator,
        authority=authority,
        servers=servers,
        open_sessions=open_sessions,
        gateway_addresses=options.gateway_addresses,
        door_key=secrets.door_key,
        clock=clock,
        welcome=people.welcome,
        bans=Bans(bus=store.bus),
    )
    keys = Keys(
        store=store, readmodel=readmodel, audit=audit, authenticator=authenticator, clock=clock
    )
    groups = Groups(store=store, readmodel=readmodel, audit=audit)
    consequences = Consequences(
        store=store,
        readmodel=readmodel,
        audit=audit,
        clock=clock,
        authenticator=authenticator,
        admission=admission,
        end_sessions=open_sessions.end_not_good,
        check=driver.check,
    )
    exits.push_async_callback(consequences.aclose)
    await authenticator.open(consequences.changed)
    exits.push_async_callback(authenticator.aclose)
    readmodel.on_change = consequences.changed
    await consequences.begin(also=options.group_users())
    await groups.load(options.load_groups)
    services, roles = options.managed_services()
    streams = Streams()
    domain = Domain(
        readmodel=readmodel,
        servers=servers,
        tokens=tokens,
        sign_in=SignIn(
            store=store,
            authenticator=authenticator,
            tokens=tokens,
            clock=clock,
            secret=secrets.cookie,
            public_urls=options.public_urls,
            token_seconds=options.token_expires_in,
            welcome=people.welcome,
        ),
        admission=admission,
        people=people,
        ports=Ports(readmodel=readmodel, spawner=spawner),
        keys=keys,
        invites=Invites(
            store=store,
            audit=audit,
            authenticator=authenticator,
            keys=keys,
            guesses=Guesses(bus=store.bus),
            door_key=secrets.door_key,
            clock=clock,
        ),
        groups=groups,
        sessions=sessions,
        open_sessions=open_sessions,
        tunnels=Tunnels(
            store=store,
            readmodel=readmodel,
            audit=audit,
            tokens=tokens,
            admission=admission,
            servers=servers,
            sessions=open_sessions,
            clock=clock,
            base=lambda: options.tunnel_base(gateways.tunnel_port()),
        ),
        tunnel_certificates=TunnelCertificates(
            store=store,
            audit=audit,
            authenticator=authenticator,
            authority=authority,
            host_authority=secrets.host_authority,
            gateway_addresses=options.gateway_addresses,
            x11=options.x11_forwarding,
        ),
        gateways=gateways,
        board=board,
        audit=audit,
        streams=streams,
        templates=_templates(options),
        service_roles={**roles, ADMIN_SERVICE: Role.ADMIN},
        api_prefix=f"{options.base_url}hub/api",
        public_url=(options.public_urls or [options.bind_url])[0].rstrip("/"),
        slow_spawn_seconds=options.slow_spawn_timeout,
        fresh=store.fresh,
        in_step=store.in_step,
        metrics=metrics,
        metrics_need_token=options.authenticate_prometheus,
        trusted_proxies=trusted_networks(options.trusted_downstream_ips),
    )
    await tokens.ensure_service(ADMIN_SERVICE, secrets.admin_token)
    server = listen(options, domain, sockets)
    exits.push_async_callback(end_requests, server, domain)
    reconciler = Reconciler(
        store=store,
        readmodel=readmodel,
        audit=audit,
        spawner=spawner,
        driver=driver,
        workspace=workspace,
        leases=leases,
        clock=clock,
    )
    await reconciler.once()
    housekeeping = Housekeeping(
        store=store,
        leases=leases,
        sessions=open_sessions,
        tokens=tokens,
        audit=audit,
        events_days=options.events_retention_days,
    )
    exits.push_async_callback(tasks.aclose)
    tasks.spawn(driver.keep(), "take up what is left over")
    tasks.spawn(audit.keep_writing(), "write refusals")
    tasks.spawn(reconciler.keep(), "compare with what runs")
    tasks.spawn(housekeeping.keep(), "delete what is over")
    tasks.spawn(lag.watch(metrics.lag), "watch the event loop")
    tasks.spawn(authority.keep(driver.check_all), "follow the user authority")
    tasks.spawn(secrets.host_authority.keep(driver.check_all), "follow the host authority")
    supervisor = Supervisor(
        services=tuple(services),
        directory=data_dir / "services",
        hub_id=hub_id,
        environment=service_environment(options),
        tokens=tokens,
        leases=leases,
        leave=presence.leave if lock is None else _alone,
        check={"gateway": partial(check_ssh_port, options)},
    )
    # Pushed last, so that services end first, while they can still tell the hub what they had.
    exits.push_async_callback(supervisor.aclose)
    await supervisor.start()
    # What is there by now stays: modules, classes, the read model. The collector need not go
    # through all of it again and again, each time with the event loop standing still.
    gc.collect()
    gc.freeze()
    exits.callback(gc.unfreeze)
    # What a start makes lives until its pod is ready: looked through more often, it costs a tenth
    # of all that the hub computes for many starts; less often, each look would be felt.
    exits.callback(gc.set_threshold, *gc.get_threshold())
    gc.set_threshold(*GC_THRESHOLD)
    domain.ready = True
    log.info(
        "kworkspace-hub %s listens on %s; its data is in %s, other hubs call it %s",
        __version__,
        options.bind_url,
        options.data_dir,
        leases.holder,
    )
    admits_somebody = authenticator.allow_all or any(
        authenticator.may_enter(row.name) for row in readmodel.users()
    )
    if not admits_somebody:
        log.warning(
            "Nobody can log in: no user is configured (c.SSHKeyAuthenticator.users), and none"
            " was added by `kworkspace-hub user add`"
        )
    return domain


async def _alone() -> bool:
    """Return that no other hub goes on: SQLite's lock keeps them out."""
    return False


def _templates(options: HubOptions) -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SHARE / "templates"), autoescape=True
    )
    templates.globals |= {**options.template_vars, "base_url": options.base_url}
    return templates
