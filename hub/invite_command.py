"""`kworkspace-hub invite`: a code with which a person adds their own key, with plain ssh.

    invite NAME [--expires 24h]      invite list NAME      invite revoke NAME ID

The code alone is on standard output, so that a script can send it; it is shown this once.
"""

import re
import sys
from typing import Any

from traitlets import Unicode

from kworkspace.cli.client.errors import BadRequest
from kworkspace.cli.client.names import parse_user_name
from kworkspace.hub.admin_commands import AdminApp, Verb
from kworkspace.hub.administration import Administration
from kworkspace.hub.config_check import ConfigError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
_MOMENT = "%Y-%m-%d %H:%M UTC"


class InviteApp(AdminApp):
    """Makes, lists and withdraws invitations."""

    name = "kworkspace-hub invite"
    description = (
        "Print a code, good once, with which a user adds their key themselves by"
        " `ssh invite@HUB`: invite NAME [--expires 24h]; invite list NAME; invite revoke NAME ID"
    )
    examples = "\n".join(
        f"kworkspace-hub invite {line}"
        for line in ("NAME", "NAME --expires 30m", "list NAME", "revoke NAME ID")
    )
    aliases = {**AdminApp.aliases, "expires": "InviteApp.expires"}

    expires = Unicode("24h", help="How long the code is good: a number and s, m, h or d.").tag(
        config=True
    )

    def _verb(self) -> Verb:
        match self.extra_args:
            case [name]:
                return self._invite(parse_user_name(name))
            case ["list", name]:
                return self._list(parse_user_name(name))
            case ["revoke", name, id]:
                return self._revoke(parse_user_name(name), id)
        raise ConfigError(
            "Give a user: kworkspace-hub invite NAME [--expires 24h]; or: invite list NAME;"
            " or: invite revoke NAME ID"
        )

    def _invite(self, user: str) -> Verb:
        seconds = parse_duration(self.expires)

        async def invite(admin: Administration) -> None:
            made = await admin.invite(user, seconds)
            sys.stderr.write(
                f"For {user}, once, until {made.expires:{_MOMENT}}. They run"
                " `ssh invite@HUB`, with the gateway's address and any key, and give this code:\n"
            )
            sys.stdout.write(f"{made.code}\n")

        return invite

    def _list(self, user: str) -> Verb:
        async def show(admin: Administration) -> None:
            for one in await admin.invites(user):
                sys.stdout.write(f"{one.id}  until {one.expires:{_MOMENT}}  by {one.by}\n")

        return show

    def _revoke(self, user: str, id: str) -> Verb:
        async def revoke(admin: Administration) -> None:
            await admin.revoke_invite(user, id)
            sys.stdout.write(f"Withdrawn {id}\n")

        return revoke


def parse_duration(text: str, option: str = "--expires") -> int:
    """Return the seconds of `30m`, `24h` or `7d`.

    Args:
        text: as it was typed.
        option: where it was, for the error.

    Raises:
        BadRequest: it is none of these.
    """
    found: Any = _DURATION.fullmatch(text.strip())
    if found is None:
        raise BadRequest(f"{option} {text}: expected a number and s, m, h or d, as 24h")
    return int(found[1]) * _SECONDS[found[2]]
