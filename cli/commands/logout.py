"""`kworkspace logout`: ends this computer's token, at the hub and here."""

import click

from kworkspace.cli.client import calls
from kworkspace.cli.client.errors import HubUnreachable, Unauthorized
from kworkspace.cli.client.reports import LogoutReport
from kworkspace.cli.client.sync import Client
from kworkspace.cli.options import pass_flags, shared_options
from kworkspace.cli.reports import report
from kworkspace.cli.settings import Flags, Settings, load
from kworkspace.cli.tokens import TokenCache


@click.command("logout")
@shared_options
@pass_flags
def command(flags: Flags) -> None:
    """End this computer's token, at the hub and here."""
    settings = load(flags)
    cache = TokenCache(settings)
    stored = cache.load()
    cache.delete()
    if stored is not None:
        _revoke(settings, stored.token)
    changed = stored is not None
    text = f"Signed out of {settings.api}." if changed else "You were not signed in."
    report(flags, LogoutReport(user=settings.user, hub=settings.api, changed=changed), text)


def _revoke(settings: Settings, token: str) -> None:
    with Client(settings.api, ca_file=settings.ca_file, token=token) as client:
        try:
            client.send(calls.revoke_token())
        except Unauthorized:
            pass  # the hub does not know it any more
        except HubUnreachable as error:
            raise HubUnreachable(
                f"the token is deleted here, but not ended at the hub: {error.message}"
            ) from error
