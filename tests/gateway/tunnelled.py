"""`kworkspace proxy` before a real gateway, as `ssh-config --tunnel` has it run.

What it needs to know is laid out beforehand; the hub gives it a certificate for ssh.
"""

import getpass
import sys
from pathlib import Path

from kworkspace.cli.client.models import NewToken
from kworkspace.cli.keys import Key
from kworkspace.cli.settings import Settings
from kworkspace.cli.tokens import StoredToken, TokenCache
from kworkspace.cli.tunnel_key import TunnelKey
from kworkspace.cli.tunnel_state import Known, KnownTunnel

TOKEN = "kws_of-alice"


class Tunnelled:
    """alice's way into a workspace by tunnel.

    Args:
        folder: the command's own files are here.
        url: where the tunnel is opened.
        key: the file of her key, with which she has signed in.
        host_key: the workspace's, an OpenSSH line.
        api: the hub's URL.
    """

    def __init__(self, folder: Path, *, url: str, key: Path, host_key: str, api: str) -> None:
        self.settings = Settings(api=api, user="alice", state_dir=folder / "state")
        self.key = key
        self.config = folder / "config.toml"
        self.config.write_text(f'state_dir = "{folder}/state"\n')
        self.known = KnownTunnel(self.settings, "alice", "")
        self.known.keep(Known(url=url, host_key=host_key, account=getpass.getuser()))
        self.login = TunnelKey(self.known.folder)
        self.sign_in(TOKEN)

    def sign_in(self, token: str) -> None:
        """Keep a token."""
        new = NewToken(token=token, id="1", user="alice", expires_in=3600)
        key = Key(self.key, "a key")
        stored = StoredToken.of(new, url=self.settings.api, user="alice", key=key)
        TokenCache(self.settings).save(stored)

    def proxy(self, *more: str) -> list[str]:
        """Return the command line of `kworkspace proxy`."""
        program = str(Path(sys.executable).with_name("kworkspace"))
        where = ("--config", str(self.config), "--api", self.settings.api, "--user", "alice")
        return [program, "proxy", "--certificate", *where, *more]

    def options(self, program: str = "ssh") -> list[str]:
        """Return program and options, without the host, which is `workspace`."""
        return [
            *(program, "-F", "none", "-o", f"UserKnownHostsFile={self.known.known_hosts}"),
            *("-o", "StrictHostKeyChecking=yes"),
            *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            *("-o", f"IdentityFile={self.login.private}", "-o", f"User={getpass.getuser()}"),
            *("-o", f"CertificateFile={self.login.certificate}", "-o", "ProxyUseFdpass=yes"),
            *("-o", f"ProxyCommand={' '.join(self.proxy())}"),
        ]

    def ssh(self, *words: str) -> list[str]:
        """Return a command line of ssh into the workspace."""
        return [*self.options(), "workspace", *words]
