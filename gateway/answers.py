"""`ssh NAME@HUB kworkspace COMMAND`: what the gateway answers, in the words of the command itself.

It acts as the person who logged in, over the routes of their session, which allow what they may do
by themselves. Texts, JSON and exit codes are those of `kworkspace COMMAND` on a laptop, from the
same code. Nothing of the line reaches a shell, and no workspace is started but by `start`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import asyncssh
import msgspec

from kworkspace.cli.client import calls
from kworkspace.cli.client import models as m
from kworkspace.cli.client import reports as r
from kworkspace.cli.client.aio import AsyncClient
from kworkspace.cli.client.calls import Call, OfSession
from kworkspace.cli.client.commands import AT_THE_GATEWAY, COMMANDS
from kworkspace.cli.client.errors import (
    Conflict,
    Forbidden,
    HubUnreachable,
    KworkspaceError,
    TooMany,
)
from kworkspace.cli.client.exits import Exit, UsageFault, exit_code
from kworkspace.cli.client.key_cards import key_cards
from kworkspace.cli.client.listed_keys import find_key, key_name, key_report
from kworkspace.cli.client.names import Login, parse_workspace_name
from kworkspace.cli.client.ports import (
    ANY_ADDRESS,
    SSH_PORT,
    port_reports,
    ports_picture,
    ssh_words,
)
from kworkspace.cli.client.profile_table import profiles_picture
from kworkspace.cli.client.profiles import LIST, asked_for
from kworkspace.cli.client.public_key import check_public_key
from kworkspace.cli.client.words import one_line
from kworkspace.cli.client.workspaces import Workspace, label, started_text, stopped_text
from kworkspace.gateway.desk import Desk
from kworkspace.gateway.hub import patient
from kworkspace.gateway.request_line import Request, WrongUsage, parse
from kworkspace.gateway.texts import RESTARTING

T = TypeVar("T")

NOT_HERE = "is not answered at the gateway: install the command, or see kworkspace help"


class _Patient:
    """Carries calls, and waits a little for a hub that restarts."""

    def __init__(self, hub: AsyncClient) -> None:
        self._hub = hub

    async def send(self, call: Call[T]) -> T:
        """Make one call."""
        return await patient(self._hub, call)

    def stream(self, call: Call[T]) -> AsyncGenerator[T, None]:
        """Yield the events of a stream."""
        return self._hub.stream(call)


class Answers:
    """Answers the commands of one session.

    Args:
        hub: the REST client.
        session: its id.
        login: the login name: its workspace is the one that is meant where none is named.
        key: the OpenSSH line of the key or certificate that logged in.
    """

    def __init__(self, *, hub: AsyncClient, session: str, login: Login, key: str) -> None:
        self._hub = _Patient(hub)
        self._session = session
        self._owner = OfSession(session)
        self._login = login
        self._key = key
        self._commands: dict[str, Callable[[Desk, Request], Awaitable[int]]] = {
            "open": self._open,
            "start": self._start,
            "stop": self._stop,
            "status": self._status,
            "keys": self._keys,
            "ports": self._ports,
        }

    async def run(self, desk: Desk, command: bytes) -> int:
        """Answer one line; errors are one line on stderr.

        Returns:
            The exit code.
        """
        try:
            return await self._run(desk, parse(command))
        except HubUnreachable as error:
            return _fail(desk, RESTARTING, exit_code(error))
        except WrongUsage as error:
            return _fail(desk, f"{error.message}; see kworkspace help", Exit.USAGE)
        except TooMany as error:
            message = f"{error.message} (try again in {error.retry_after} s)"
            return _fail(desk, message, exit_code(error))
        except KworkspaceError as error:
            return _fail(desk, error.message, exit_code(error))

    async def _run(self, desk: Desk, request: Request) -> int:
        name = request.words.pop(0) if request.words else ""
        if request.help or name == "help":
            for line in help_lines(self._login):
                desk.out(line)
            return Exit.OK
        if name in self._commands:
            return await self._commands[name](desk, request)
        if name in COMMANDS:
            _fail(desk, f"'{name}' {NOT_HERE}", Exit.USAGE)
        elif name:
            _fail(desk, f"No such command '{name}'.", Exit.USAGE)
        for line in help_lines(self._login):
            desk.err(line)
        return Exit.USAGE

    def _report(self, desk: Desk, request: Request, result: msgspec.Struct, text: str) -> int:
        desk.out(r.to_json(result) if request.json else one_line(text))
        return Exit.OK

    # The workspaces of the login's user.

    def _workspace(self, request: Request) -> tuple[str, Workspace]:
        if len(request.words) > 1:
            raise WrongUsage(f"Got unexpected extra argument ({request.words[1]})")
        name = parse_workspace_name(request.words[0] if request.words else "", "NAME")
        name = name or self._login.server
        workspace = Workspace(
            self._hub, self._login.user, name, owner=self._owner, pause=asyncio.sleep
        )
        return name, workspace

    async def _open(self, desk: Desk, request: Request) -> int:
        url = (await self._hub.send(calls.page(self._session))).url
        return self._report(desk, request, r.OpenReport(url=url, opened=False), url)

    async def _status(self, desk: Desk, request: Request) -> int:
        name, workspace = self._workspace(request)
        result = r.workspace_report(self._login.user, name, await workspace.find())
        return self._report(desk, request, result, r.status_text(result))

    async def _start(self, desk: Desk, request: Request) -> int:
        name, workspace = self._workspace(request)
        asked = asked_for(request.profile, request.options)
        if request.profile == LIST:
            return await self._profiles(desk, request)
        began = time.monotonic()
        show = _Progress(desk, f"Starting {label(name)}").show
        changed = await _goes_on(desk, workspace.start(show, asked), "start")
        text = started_text(name, time.monotonic() - began, changed=changed)
        return await self._changed(desk, request, workspace, name, text, changed=changed)

    async def _profiles(self, desk: Desk, request: Request) -> int:
        profiles = await self._hub.send(calls.profiles())
        if request.json:
            desk.out(r.to_json(r.ProfilesReport(profiles=profiles)))
        else:
            for line in profiles_picture(profiles):
                desk.out(line)
        return Exit.OK

    async def _stop(self, desk: Desk, request: Request) -> int:
        name, workspace = self._workspace(request)
        began = time.monotonic()
        show = _Progress(desk, f"Stopping {label(name)}").show
        changed = await _goes_on(desk, workspace.stop(show), "stop")
        text = stopped_text(name, time.monotonic() - began, changed=changed)
        return await self._changed(desk, request, workspace, name, text, changed=changed)

    async def _changed(
        self,
        desk: Desk,
        request: Request,
        workspace: Workspace,
        name: str,
        text: str,
        *,
        changed: bool,
    ) -> int:
        server = await workspace.look() if request.json else None
        result = r.workspace_report(self._login.user, name, server, changed)
        return self._report(desk, request, result, text)

    async def _ports(self, desk: Desk, request: Request) -> int:
        name, workspace = self._workspace(request)
        await workspace.find()
        found = await self._hub.send(calls.ports(self._owner, name))
        door = (await self._hub.send(calls.root())).ssh
        login = replace(self._login, server=name)
        host = "HUB" if door is None or door.host in ANY_ADDRESS else door.host
        ports = port_reports(found, ssh_words(login, host, SSH_PORT if door is None else door.port))
        if request.json:
            result = r.PortsReport(user=self._login.user, workspace=name, ports=ports)
            desk.out(r.to_json(result))
        else:
            for line in ports_picture(name, ports):
                desk.out(line)
        return Exit.OK

    # The keys of who logged in.

    async def _keys(self, desk: Desk, request: Request) -> int:
        match request.words:
            case [] | ["list"]:
                return await self._list_keys(desk, request)
            case ["add", *words] if words:
                return await self._add_key(desk, request, words)
            case ["remove", key]:
                return await self._remove_key(desk, request, key)
        raise WrongUsage("Give it as: keys list, keys add - (or the line itself), keys remove KEY")

    def _current(self) -> str:
        try:
            return asyncssh.import_public_key(self._key).get_fingerprint()
        except asyncssh.KeyImportError:
            return ""  # a certificate, which is in no list

    async def _list_keys(self, desk: Desk, request: Request) -> int:
        found = await self._hub.send(calls.keys(self._owner))
        keys = [key_report(key, self._current()) for key in found]
        if request.json:
            desk.out(r.to_json(r.KeysReport(user=self._login.actor, keys=keys)))
        else:
            for line in key_cards(keys, current="opened this session"):
                desk.out(line)
        return Exit.OK

    async def _add_key(self, desk: Desk, request: Request, words: list[str]) -> int:
        if words == ["-"] and desk.has_pty:
            desk.err("Paste the public key, then Enter and Ctrl-D.")
        text = await desk.read_all() if words == ["-"] else " ".join(words).encode()
        line = check_public_key(text, "what came on stdin" if words == ["-"] else "this")
        try:
            key, changed = (
                await self._hub.send(calls.add_key(self._owner, m.NewKey(key=line))),
                True,
            )
        except Conflict:
            known = await self._hub.send(calls.keys(self._owner))
            mine = [key for key in known if key.fingerprint == _fingerprint(line)]
            if not mine:
                raise
            key, changed = mine[0], False
        text_of = f"Added {key_name(key)}." if changed else f"{key_name(key)} is there already."
        return self._key_changed(desk, request, key, text_of, changed=changed)

    async def _remove_key(self, desk: Desk, request: Request, wanted: str) -> int:
        found = find_key(await self._hub.send(calls.keys(self._owner)), wanted)
        if found.id is None:
            raise Forbidden(
                f"{key_name(found)} is of the hub's {found.source}: its admin removes it there"
            )
        if found.fingerprint == self._current() and not request.yes:
            if not desk.has_pty:
                raise UsageFault("there is no terminal to ask on: give --yes if you mean it")
            desk.err(f"{key_name(found)} opened this session, which ends with it.")
            if (await desk.ask("Go on? [y/N]: ")).lower() not in {"y", "yes"}:
                raise KworkspaceError("nothing is removed")
        await self._hub.send(calls.remove_key(self._owner, found.id))
        return self._key_changed(desk, request, found, f"Removed {key_name(found)}.", changed=True)

    def _key_changed(
        self, desk: Desk, request: Request, key: m.Key, text: str, *, changed: bool
    ) -> int:
        shown = key_report(key, self._current())
        result = r.KeyChangeReport(user=self._login.actor, key=shown, changed=changed)
        return self._report(desk, request, result, text)


class _Progress:
    """Shows each new message on stderr, as the command does where there is no live line."""

    def __init__(self, desk: Desk, title: str) -> None:
        self._desk = desk
        self._title = title
        self._last = ""

    def show(self, message: str) -> None:
        """Show the newest message; without one, the title."""
        text = one_line(message) or self._title
        if text != self._last:
            self._last = text
            self._desk.err(text)


async def _goes_on(desk: Desk, work: Awaitable[T], what: str) -> T:
    try:
        return await work
    except asyncio.CancelledError:
        if desk.interrupted:
            desk.err("")
            text = f"interrupted; the {what} goes on without you (see kworkspace status)"
            _fail(desk, text, Exit.INTERRUPTED)
        raise


def _fail(desk: Desk, message: str, code: Exit) -> int:
    desk.err(f"kworkspace: {one_line(message)}")
    return code


def _fingerprint(line: str) -> str:
    try:
        return asyncssh.import_public_key(line).get_fingerprint()
    except asyncssh.KeyImportError:
        return ""


def help_lines(login: Login) -> list[str]:
    """Return the help."""
    texts = {"help": "Show this."} | AT_THE_GATEWAY
    return [
        f"Usage: ssh {login}@HUB kworkspace [-o json] COMMAND [NAME]",
        "",
        "Answered by the gateway, also while your workspace is stopped.",
        "",
        *(f"  {name:<8}{text}" for name, text in texts.items()),
        "",
        "start takes --profile NAME (or ?, for a list) and --option NAME=VALUE.",
    ]
