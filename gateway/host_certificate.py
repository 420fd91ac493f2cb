"""The host certificate: who trusts the hub's host authority needs to know no host key of ours.

The hub signs it for a month, and is asked for another one every few minutes: it needs no clock of
ours, and a hub whose authority has a new key is soon heard of. While there is none, as before the
hub answers for the first time, the bare key is shown, and who has pinned that comes in.
"""

import asyncio
import logging

import asyncssh

from kworkspace.cli.client import calls
from kworkspace.cli.client import models as m
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.errors import KworkspaceError
from kworkspace.gateway.host_key import public_line
from kworkspace.gateway.hub import backoff

log = logging.getLogger(__name__)

RENEW_SECONDS = 300.0
RETRY_SECONDS = 30.0


async def keep_certified(
    hub: AsyncClient, host_key: asyncssh.SSHKey, acceptor: asyncssh.SSHAcceptor
) -> None:
    """Have new connections see a certificate that is good, for ever.

    Args:
        hub: the REST client.
        host_key: the gateway's own.
        acceptor: listens with it.
    """
    request = m.HostCertificateRequest(public_key=public_line(host_key))
    attempt, certified = 0, False
    while True:
        try:
            answer = await hub.send(calls.host_certificate(request))
            certificate = asyncssh.import_certificate(answer.certificate)
            # asyncssh shows the bare key too, to who has pinned that or trusts another authority.
            acceptor.update(server_host_keys=[(host_key, certificate)])
        except (KworkspaceError, asyncssh.KeyImportError, ValueError) as error:
            if attempt == 0:
                log.warning("No host certificate from the hub, which is asked again: %s", error)
            await asyncio.sleep(backoff(attempt, RETRY_SECONDS))
            attempt += 1
            continue
        if attempt or not certified:
            log.info("The host key is certified by the hub")
        attempt, certified = 0, True
        await asyncio.sleep(RENEW_SECONDS)
