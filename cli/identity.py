"""What `login` and `whoami` tell of the person and their token."""

from kworkspace.cli.client import calls
from kworkspace.cli.client.reports import IdentityReport
from kworkspace.cli.client.sync import Client
from kworkspace.cli.client.words import seconds
from kworkspace.cli.settings import Settings
from kworkspace.cli.tokens import TokenCache


def identity_report(client: Client, settings: Settings) -> tuple[IdentityReport, str]:
    """Ask the hub who the token stands for; return it for programs and as a sentence.

    Args:
        client: signed in, with a token that is kept.
        settings: of this run.
    """
    user = client.send(calls.whoami())
    stored = TokenCache(settings).load()
    remaining = None if stored is None else stored.remaining
    text = "" if stored is None else f", signed in with {stored.key_label}"
    if remaining is not None:
        text += f" (token good for {seconds(remaining)})"
    report = IdentityReport(
        user=user.name,
        hub=settings.api,
        admin=user.admin,
        roles=user.roles,
        groups=user.groups,
        key="" if stored is None else stored.key,
        expires_in=None if remaining is None else int(remaining),
    )
    role = " (admin)" if user.admin else ""
    return report, f"{user.name}{role} at {settings.api}{text}."
