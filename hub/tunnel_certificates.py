"""Certificates with which people enter a workspace by tunnel, for a key that they name.

The trust boundary: one is made for a token that the person's own key has signed for, from where
that key may be used, while a tunnel which this very token has opened into this very workspace is
open; and it is good from that tunnel's gateway alone. So who may have one, and what ends that, is
as with any session (`tunnels`, `sessions`): without a tunnel a certificate opens nothing, and a
tunnel ends with its token.
"""

from collections.abc import Sequence

from kworkspace.authenticators.base import Authenticator
from kworkspace.cli.client.errors import Conflict, Forbidden
from kworkspace.cli.client.models import TunnelCertificate
from kworkspace.hub.audit import Audit
from kworkspace.hub.ca import HostAuthority, UserAuthority, session_key
from kworkspace.hub.db import models as db
from kworkspace.hub.db import sessions as queries
from kworkspace.hub.db.store import Store, retried
from kworkspace.hub.gateway_addresses import seen_addresses
from kworkspace.hub.reach import reach
from kworkspace.hub.readmodel import ServerRow, TokenRow

NO_KEY = "A certificate needs a token that a key of yours has signed for: kworkspace login"
NO_TUNNEL = "There is no open tunnel into this workspace by this token: open one first"


class TunnelCertificates:
    """Makes them.

    Args:
        store: the database.
        audit: the audit log.
        authenticator: whose keys are good, and from where.
        authority: signs people's keys.
        host_authority: signs the workspaces'.
        gateway_addresses: from where workspaces see gateways, if that is not as it looks here.
        x11: whether X11 may be forwarded.
    """

    def __init__(
        self,
        *,
        store: Store,
        audit: Audit,
        authenticator: Authenticator,
        authority: UserAuthority,
        host_authority: HostAuthority,
        gateway_addresses: Sequence[str] = (),
        x11: bool = False,
    ) -> None:
        self._store = store
        self._audit = audit
        self._authenticator = authenticator
        self._authority = authority
        self._host_authority = host_authority
        self._gateway_addresses = gateway_addresses
        self._x11 = x11

    async def issue(
        self, token: TokenRow, server: ServerRow, public_key: str, address: str
    ) -> TunnelCertificate:
        """Return what opens a workspace, and whom to expect there.

        Args:
            token: of whoever asks, which counts; that they may enter the server is known.
            server: which.
            public_key: an ed25519 key, an OpenSSH line.
            address: the IP address that the request came from.

        Raises:
            BadRequest: the public key is none.
            Forbidden: no key has signed for the token, or one that may not be used from there.
            Conflict: the workspace does not run, or there is no tunnel.
        """
        if token.user is None or token.key_fingerprint is None:
            raise Forbidden(NO_KEY)
        if not self._authenticator.is_good(token.user, token.key_fingerprint, address=address):
            raise Forbidden(f"The key that you signed in with may not be used from {address}")
        there = reach(server)
        fingerprint = session_key(public_key).get_fingerprint()
        tunnels = await self._tunnels(token, server, fingerprint)
        seen = {
            place
            for source in {row.gateway_address for row in tunnels}
            for place in await seen_addresses(
                source, there.host, there.port, configured=self._gateway_addresses
            )
        }
        certificate = self._authority.issue(
            public_key=public_key,
            principal=server.id,
            key_id=f"tunnel {tunnels[-1].id} of {token.user}",
            sources=sorted(seen),
            not_after=token.expires,
            x11=self._x11,
        )
        return TunnelCertificate(
            certificate=certificate,
            id=server.id,
            account=there.account,
            host_key=there.host_key,
            host_authorities=list(self._host_authority.public_keys()),
        )

    @retried
    async def _tunnels(
        self, token: TokenRow, server: ServerRow, fingerprint: str
    ) -> Sequence[db.Session]:
        """Return the tunnels, one at least, that a certificate is for; it is in the audit log."""
        async with self._store.begin() as session:
            rows = [
                row
                for row in await queries.open_of_token(session, token.id)
                if row.server_id == server.id and row.end_message is None and row.gateway_address
            ]
            if not rows:
                raise Conflict(NO_TUNNEL)
            self._audit.record(
                session,
                "certificate.new",
                user=server.user,
                server=server.name,
                message=f"{token.user}'s key {fingerprint}, for tunnel {rows[-1].id}",
            )
        return rows
