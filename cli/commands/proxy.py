"""`kworkspace proxy`: a tunnel into a workspace, as a ProxyCommand of ssh.

Where it leads is known from the last time; a certificate for ssh is the hub's, and new each time.
"""

from collections.abc import Callable
from socket import socket

import click

from kworkspace.cli.client.calls import tunnel_certificate
from kworkspace.cli.client.errors import (
    HubUnreachable,
    KworkspaceError,
    NotFound,
    Unauthorized,
)
from kworkspace.cli.client.models import CertificateRequest
from kworkspace.cli.client.names import parse_user_name, parse_workspace_name
from kworkspace.cli.client.tunnel import ERROR, MESSAGE, PROGRESS, READY
from kworkspace.cli.options import pass_flags, shared_options
from kworkspace.cli.quick_call import send
from kworkspace.cli.settings import Flags, Settings, load
from kworkspace.cli.terminal import say
from kworkspace.cli.tokens import TokenCache
from kworkspace.cli.tunnel_copy import Copying
from kworkspace.cli.tunnel_dial import NoTunnel, check, dial
from kworkspace.cli.tunnel_key import TunnelKey
from kworkspace.cli.tunnel_pass import Pipes, connect
from kworkspace.cli.tunnel_state import Known, KnownTunnel
from kworkspace.cli.waiting import waiting

Show = Callable[[str], None]


class TunnelRefused(KworkspaceError):
    """The gateway has opened no tunnel; the message is its reason."""

    code = "tunnel-refused"


@click.command("proxy")
@click.argument("workspace", default="", metavar="[[USER/]NAME]")
@click.option(
    "--certificate",
    is_flag=True,
    help="Fetch a certificate for ssh to log in with, and then pass ssh the connection.",
)
@shared_options
@pass_flags
def command(flags: Flags, *, workspace: str, certificate: bool) -> None:
    """Carry ssh's connection into a workspace, encrypted all the way.

    It is for ssh to run, as in ssh -o ProxyCommand='kworkspace proxy gpu': where only HTTPS gets
    through, and where nobody in between is to see what is typed. kworkspace ssh-config --tunnel
    writes all that ssh needs for it. Without NAME it is your default workspace; an admin enters
    another person's with USER/NAME, or USER/ for their default one.

    --certificate goes with ssh's ProxyUseFdpass, IdentityFile and CertificateFile; without it, ssh
    logs in with a key of yours that has no conditions.
    """
    ssh = connect(passing=certificate)
    settings = load(flags)
    user, slash, name = workspace.rpartition("/")
    user = parse_user_name(user, "USER") if slash else settings.user
    parse_workspace_name(name, "NAME")
    with waiting("Opening the tunnel", "the start goes on without you") as show:
        tunnel = _Tunnel(settings, user, name, show, ssh, certificate=certificate)
        sock, left = tunnel.open()
        copying = Copying(sock, left, tunnel.hear, ssh.stdin, ssh.stdout)
        with sock:
            copying.run()


class _Tunnel:
    def __init__(
        self,
        settings: Settings,
        user: str,
        name: str,
        show: Show,
        ssh: Pipes,
        *,
        certificate: bool,
    ) -> None:
        self._settings = settings
        self._user, self._name = user, name
        self._show = show
        self._ssh = ssh
        self._certificate = certificate
        self._url = self._token = ""
        self._files = KnownTunnel(settings, user, name)
        self._known = self._files.load()

    def open(self) -> tuple[socket, bytes]:
        """Connect by what is known; when that is not so any more, ask the hub."""
        stored = TokenCache(self._settings).fresh()
        if self._known is not None and stored is not None:
            try:
                return self._dial(self._known.url, stored.token)
            except (HubUnreachable, NoTunnel, NotFound, Unauthorized):
                pass
        return self._dial(*self._ask())

    def _dial(self, url: str, token: str) -> tuple[socket, bytes]:
        check(self._settings.api, url)
        self._url, self._token = url, token
        return dial(url, token, self._settings.ca_file)

    def _ask(self) -> tuple[str, str]:
        """Return where the tunnel is by the hub, and a token; keep what it says."""
        from kworkspace.cli import tunnel_hub  # noqa: PLC0415 - it takes as long as the rest

        self._known, token = tunnel_hub.ask(self._settings, self._user, self._name)
        return self._known.url, token

    def _certify(self) -> None:
        """Have ssh's files written: what it logs in with, and whom it is to expect."""
        key = TunnelKey(self._files.folder)
        call = tunnel_certificate(
            self._user, self._name, CertificateRequest(public_key=key.public())
        )
        made = send(self._settings.api, call, self._token, self._settings.ca_file)
        key.keep(made.certificate)
        self._known = self._files.keep(
            Known(
                url=self._url,
                id=made.id,
                host_key=made.host_key,
                host_authorities=tuple(made.host_authorities),
                account=made.account,
            )
        )

    def _pins(self, host_key: str) -> bool:
        known = self._known is not None and self._known.host_key == host_key
        return known and self._files.known_hosts.exists()

    def hear(self, word: str, text: str) -> None:
        """Do what the gateway says beside the bytes."""
        if word == PROGRESS:
            self._show(text)
        elif word == MESSAGE:
            say(text)
        elif word == ERROR:
            raise TunnelRefused(text)
        elif word == READY:
            # The gateway's word counts for nothing but that it is time to ask the hub.
            if self._certificate:
                self._certify()
            elif not self._pins(text):
                self._ask()
            self._ssh.ready()
