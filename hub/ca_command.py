"""`kworkspace-hub ca`: the certificate authorities, whether a hub runs or not.

    ca show      ca rotate user|host [--overlap 24h]

A rotation is one write of the authority's file, which running hubs look at. No private key is ever
shown: where the file cannot be written, what belongs into it is left in a file beside.
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from traitlets import Unicode

from kworkspace.cli.client.errors import BadRequest, KworkspaceError, NotFound
from kworkspace.hub.admin_commands import say_columns
from kworkspace.hub.app import Hub
from kworkspace.hub.ca import Authority, HostAuthority, UserAuthority
from kworkspace.hub.clock import utc_now
from kworkspace.hub.config_check import ConfigError
from kworkspace.hub.files import make_directory
from kworkspace.hub.invite_command import parse_duration
from kworkspace.hub.key_ring import SETTLE, KeyRing, read_ring, write_ring
from kworkspace.hub.secret_files import locked

LEAST_OVERLAP = 2 * SETTLE
KINDS: dict[str, type[Authority]] = {"user": UserAuthority, "host": HostAuthority}
TITLES = ("AUTHORITY", "FINGERPRINT", "SINCE", "STATE")
_MOMENT = "%Y-%m-%d %H:%M UTC"


class NotRotated(KworkspaceError):
    """The rotation is prepared, and somebody else has to put it into place."""

    code = "not-rotated"


class CaApp(Hub):
    """Shows and rotates the certificate authorities."""

    name = "kworkspace-hub ca"
    description = "The certificate authorities: ca show; ca rotate user|host [--overlap 24h]"
    examples = "\n".join(
        f"kworkspace-hub ca {line}" for line in ("show", "rotate user", "rotate host --overlap 30d")
    )
    subcommands: dict[str, Any] = {}
    flags: dict[str, Any] = {}
    takes_words = True
    aliases = {**Hub.aliases, "overlap": "CaApp.overlap"}

    overlap = Unicode(
        "24h",
        help="How long the keys before are still trusted: a number and s, m, h or d; 0s where one"
        " was stolen.",
    ).tag(config=True)

    def _run(self) -> None:
        match self.extra_args:
            case ["show"]:
                self._show(utc_now())
            case ["rotate", kind] if kind in KINDS:
                self._rotate(kind, utc_now().replace(microsecond=0))
            case _:
                raise ConfigError(
                    "Give it as: kworkspace-hub ca show, or ca rotate user|host [--overlap 24h]"
                )

    def _file(self, kind: str) -> Path:
        return Path({"user": self.user_ca_file, "host": self.host_ca_file}[kind])

    def _ring(self, kind: str) -> KeyRing:
        file = self._file(kind)
        ring = read_ring(file)
        if ring is None:
            raise NotFound(f"There is no {file}: the hub makes it when it first starts")
        return ring

    def _show(self, now: datetime) -> None:
        rings = {kind: self._ring(kind) for kind in KINDS}
        say_columns(TITLES, (row for kind in rings for row in rows_of(kind, rings[kind], now)))
        sys.stdout.write("\nFor known_hosts; with another port than 22, names are [NAME]:PORT:\n")
        for one in rings["host"].trusted(now):
            names = ",".join(self.gateway_host_names) or "*"
            sys.stdout.write(f"@cert-authority {names} {one.line}\n")

    def _rotate(self, kind: str, now: datetime) -> None:
        overlap = timedelta(seconds=parse_duration(self.overlap, "--overlap"))
        if overlap and overlap < LEAST_OVERLAP:
            raise BadRequest(
                f"--overlap {self.overlap}: until a new key is trusted everywhere it takes some"
                " minutes: give 10m or more, or 0s if the old one was stolen"
            )
        file, data_dir = self._file(kind), Path(self.data_dir)
        make_directory(data_dir)
        with locked(data_dir):
            ring = self._ring(kind).rotated(KINDS[kind].comment, now, overlap)
            place = write_ring(file, ring, data_dir / f"{kind}_ca.next")
        if place != file:
            raise NotRotated(
                f"{file} is not ours to write, as with a Secret: nothing is changed yet. What"
                f" belongs into it is in {place}: put it there before {now + overlap:{_MOMENT}},"
                " and delete the copy. docs/trust.md has the commands"
            )
        say_columns(TITLES, rows_of(kind, ring, now))


def rows_of(kind: str, ring: KeyRing, now: datetime) -> Iterator[Sequence[str]]:
    """Yield what is to be known of each key of an authority, the newest first."""
    trusted, signing = ring.trusted(now), ring.signing(now)
    until: datetime | None = None
    for one in reversed(ring.keys):
        since = "" if one.since is None else f"{one.since:{_MOMENT}}"
        if one not in trusted:
            state = "no longer trusted"
        elif one is signing:
            state = "signs"
        elif one.signs is not None and one.signs > now:
            state = f"trusted, signs from {one.signs:{_MOMENT}}"
        else:
            state = "trusted"
        if until is not None and one in trusted:
            state += f", until {until:{_MOMENT}}"
        yield kind, one.fingerprint, since, state
        if one.ends is not None:
            until = one.ends if until is None else min(until, one.ends)
