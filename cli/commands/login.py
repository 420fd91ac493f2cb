"""`kworkspace login`: signs in, also when there is a token already."""

import click

from kworkspace.cli.client.sync import Client
from kworkspace.cli.identity import identity_report
from kworkspace.cli.options import pass_flags, shared_options
from kworkspace.cli.reports import report
from kworkspace.cli.settings import Flags, load
from kworkspace.cli.signin import sign_in


@click.command("login")
@shared_options
@pass_flags
def command(flags: Flags) -> None:
    """Sign in, also when you are signed in already.

    The other commands sign in by themselves; this one gets a new token and shows what is wrong
    when that fails.
    """
    settings = load(flags)
    with Client(settings.api, ca_file=settings.ca_file) as client:
        client.token = sign_in(client, settings).token
        result, text = identity_report(client, settings)
    report(flags, result, text)
