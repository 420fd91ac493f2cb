"""What the commands print: JSON for programs (stable, see docs/cli.md) and text for people.

The values and the sentences, for the command and for the gateway, which answers the same ones;
`kworkspace.cli.reports` prints them.
"""

import json
from datetime import UTC, datetime
from typing import Literal

import msgspec

from kworkspace.cli.client.models import Profile, Server, ServerState
from kworkspace.cli.client.words import seconds
from kworkspace.cli.client.workspaces import label


class WorkspaceReport(msgspec.Struct, frozen=True, kw_only=True):
    """`start`, `stop`, `status`; `changed` is not in `status`.

    Attributes:
        user: whose it is.
        workspace: which; "" is the default one.
        status: stopped, starting, ready or stopping.
        started: when it was started.
        last_activity: when something was done in it.
        error: why its last start failed or it ended by itself, or "".
        changed: whether this command started or stopped it.
    """

    user: str
    workspace: str
    status: ServerState
    started: datetime | None
    last_activity: datetime | None
    error: str
    changed: bool | msgspec.UnsetType = msgspec.UNSET


class WorkspacesReport(msgspec.Struct, frozen=True, kw_only=True):
    """`list`: the default workspace first, also when it was never started."""

    user: str
    workspaces: list[WorkspaceReport]


class ProfilesReport(msgspec.Struct, frozen=True, kw_only=True):
    """`start --profile ?`: what can be asked for."""

    profiles: list[Profile]


class DeletionReport(msgspec.Struct, frozen=True, kw_only=True):
    """`delete`; `changed` is true: what is not there is an error."""

    user: str
    workspace: str
    changed: bool


class KeyReport(msgspec.Struct, frozen=True, kw_only=True):
    """One of `keys list`, and what `keys add` and `keys remove` were about.

    Attributes:
        fingerprint: `SHA256:...`, as ssh-keygen -l shows it.
        type: as in an OpenSSH public key line.
        comment: the line's.
        source: database, configuration or directory.
        options: of its authorized_keys line.
        created: when it was added; None if the hub does not know.
        expires: when it ends; None for never.
        removable: whether `keys remove` can remove it.
        current: whether this computer's token was got with it.
    """

    fingerprint: str
    type: str
    comment: str
    source: str
    options: str
    created: datetime | None
    expires: datetime | None
    removable: bool
    current: bool


class KeysReport(msgspec.Struct, frozen=True, kw_only=True):
    """`keys list`."""

    user: str
    keys: list[KeyReport]


class KeyChangeReport(msgspec.Struct, frozen=True, kw_only=True):
    """`keys add` and `keys remove`; `changed` is false for a key that was there already."""

    user: str
    key: KeyReport
    changed: bool


class PortReport(msgspec.Struct, frozen=True, kw_only=True):
    """One of `ports`.

    Attributes:
        port: the TCP port.
        address: the IP address on which it is listened.
        process: the program that listens; "" if it cannot be had.
        forward: the ssh command that carries the port to one's own computer.
    """

    port: int
    address: str
    process: str
    forward: str


class PortsReport(msgspec.Struct, frozen=True, kw_only=True):
    """`ports`."""

    user: str
    workspace: str
    ports: list[PortReport]


class OpenReport(msgspec.Struct, frozen=True, kw_only=True):
    """`open`; `opened` tells whether a browser took the URL."""

    url: str
    opened: bool


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One of `config`; a `value` of None is not set, and has no default that is a value."""

    key: str
    value: str | None
    source: str


class ConfigReport(msgspec.Struct, frozen=True, kw_only=True):
    """`config`."""

    file: str
    exists: bool
    settings: list[Setting]


class SettingReport(msgspec.Struct, frozen=True, kw_only=True):
    """`config set`; `changed` tells whether the file had to be written."""

    key: str
    value: str | None
    file: str
    changed: bool


class SSHConfigReport(msgspec.Struct, frozen=True, kw_only=True):
    """`ssh-config`; `hosts` is what ssh can be called with, none after `--remove`."""

    file: str
    hosts: list[str]
    changed: bool


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """One of `doctor`.

    Attributes:
        name: what was looked at.
        state: ok, warning, failed, or skipped because of another failure.
        text: what was found.
        fix: what to do; "" when nothing is to be done.
    """

    name: str
    state: Literal["ok", "warning", "failed", "skipped"]
    text: str
    fix: str = ""


class DoctorReport(msgspec.Struct, frozen=True, kw_only=True):
    """`doctor`; `ok` is false when a check failed."""

    ok: bool
    checks: list[CheckReport]


class IdentityReport(msgspec.Struct, frozen=True, kw_only=True):
    """`whoami` and `login`; `expires_in` is seconds, None for ever."""

    user: str
    hub: str
    admin: bool
    roles: list[str]
    groups: list[str]
    key: str
    expires_in: int | None


class LogoutReport(msgspec.Struct, frozen=True, kw_only=True):
    """`logout`; `changed` tells whether there was a token."""

    user: str
    hub: str
    changed: bool


def to_json(result: msgspec.Struct) -> str:
    """Return one line of printable ASCII: what a hub says may hold any control character."""
    text = json.dumps(msgspec.to_builtins(result), separators=(",", ":"))
    return text.replace("\x7f", "\\u007f")


def workspace_report(
    user: str, name: str, server: Server | None, changed: bool | None = None
) -> WorkspaceReport:
    """Return what the hub says about a workspace; None was never started."""
    return WorkspaceReport(
        user=user,
        workspace=name,
        status=ServerState.STOPPED if server is None else server.status,
        started=None if server is None else server.started,
        last_activity=None if server is None else server.last_activity,
        error="" if server is None else server.error,
        changed=msgspec.UNSET if changed is None else changed,
    )


def status_text(result: WorkspaceReport) -> str:
    """Return the sentence of `status`."""
    text = f"{label(result.workspace).capitalize()} is {result.status}"
    notes = []
    if result.status is not ServerState.STOPPED and result.started is not None:
        notes.append(f"started {ago(result.started)}")
    if result.status is ServerState.READY and result.last_activity is not None:
        notes.append(f"last active {ago(result.last_activity)}")
    if notes:
        text += f" ({', '.join(notes)})"
    if result.error:
        text += f": {result.error}"
    return text if text.endswith(".") else f"{text}."


def ago(moment: datetime) -> str:
    """Return how long ago it was, as people say it."""
    return f"{seconds(-until(moment))} ago"


def until(moment: datetime) -> float:
    """Return the seconds from now to a moment; one without a zone is UTC."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()
