"""`kworkspace whoami`: who the hub takes you for."""

import click

from kworkspace.cli.identity import identity_report
from kworkspace.cli.options import pass_flags, shared_options
from kworkspace.cli.reports import report
from kworkspace.cli.settings import Flags, load
from kworkspace.cli.signin import open_client


@click.command("whoami")
@shared_options
@pass_flags
def command(flags: Flags) -> None:
    """Show who you are at the hub, and with which key."""
    settings = load(flags)
    with open_client(settings) as client:
        result, text = identity_report(client, settings)
    report(flags, result, text)
