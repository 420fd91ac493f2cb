"""A stand-in for the hub: it answers the gateway's routes over real HTTP.

It verifies the user's proof and the gateway's door signature on its own, and signs certificates
with an authority that a real sshd, the workspace, trusts. It runs in a thread, so that the tests
themselves can be plain and wait for processes.
"""

import asyncio
import getpass
import socket
import threading
import uuid
from base64 import b64decode
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncssh
import msgspec
from aiohttp import web
from asyncssh.packet import SSHPacket

from kworkspace.cli.client import models as m
from kworkspace.cli.client.challenge import door_text
from kworkspace.cli.client.errors import InvalidName
from kworkspace.cli.client.names import Login, parse_login
from tests.gateway.openssh import SECONDS, SSHD, public_line
from tests.ports import free_port

T = TypeVar("T")
TOKEN = "token-of-the-gateway"


class Refused(Exception):
    """The stand-in's answer is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class ServerOf:
    """A user's workspace as the stand-in sees it; a test sets the state that it needs."""

    sshd: SSHD
    state: m.ServerState = m.ServerState.READY
    script: list[m.Progress] = field(default_factory=list)
    host_key: asyncssh.SSHKey | None = None
    host: str = "127.0.0.1"


class StandInHub:
    """The gateway's side of a hub.

    Attributes:
        token: the gateway's token.
        keys: the lines of each user's public keys and certificates.
        servers: the workspace of each user.
        tokens: whose each token is.
        calls: what was called, in order: method and path.
        reports: the reports of all gateways.
        doors: the doors that they reported, by port.
        host_keys: the host keys that they reported, by instance.
        sessions: the open sessions, by id.
        ended: the reasons of the ended ones, by id.
        proofs: every session request whose proof was good.
        failures: the failed logins that it was told of.
        full: why it opens no more sessions, if it does not.
        host_authority: signs the gateways' host keys.
        host_certificate: what a test wants otherwise in that.
        start_on_connect: what it says of that.
        x11_forwarding: what it says of that.
    """

    def __init__(self, authority: asyncssh.SSHKey) -> None:
        self.authority = authority
        self.port = free_port()
        self.token = TOKEN
        self.keys: dict[str, list[str]] = {}
        self.servers: dict[str, ServerOf] = {}
        self.tokens: dict[str, str] = {}
        self.calls: list[str] = []
        self.reports: list[m.GatewayReport] = []
        self.doors: dict[int, m.SSHDoor] = {}
        self.host_keys: dict[str, list[str]] = {}
        self.sessions: dict[str, str] = {}
        self.ended: dict[str, str] = {}
        self.proofs: list[m.SessionRequest] = []
        self.failures: list[m.FailedLogin] = []
        self.full = ""
        self.host_authority = asyncssh.generate_private_key("ssh-ed25519")
        self.host_certificate: dict[str, Any] = {}
        self.start_on_connect: m.StartOnConnect = "always"
        self.x11_forwarding = False
        self.go_on = threading.Event()
        self._gateways: dict[str, str] = {}
        self._streams: dict[
            str, tuple[asyncio.Queue[m.Command | None], asyncio.Transport | None]
        ] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stand-in hub")
        self._thread.start()
        self._runner: web.AppRunner | None = None
        self._listener: socket.socket | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(SECONDS)

    def start(self) -> None:
        """Answer from now on."""
        self._do(self._start())

    async def _start(self) -> None:
        app = web.Application(middlewares=[self._middleware])
        base = "/hub/api/gateway"
        app.router.add_post(f"{base}/authorize", self._authorize)
        app.router.add_post(f"{base}/failures", self._count)
        app.router.add_post(f"{base}/sessions", self._open)
        app.router.add_post(f"{base}/tunnels", self._open_tunnel)
        app.router.add_get(f"{base}/sessions/{{id}}/address", self._address)
        app.router.add_post(f"{base}/sessions/{{id}}/server", self._start_server)
        app.router.add_get(f"{base}/sessions/{{id}}/progress", self._progress)
        app.router.add_post(f"{base}/sessions/{{id}}/certificate", self._certificate)
        app.router.add_delete(f"{base}/sessions/{{id}}", self._close)
        app.router.add_put(f"{base}/instances/{{id}}", self._report)
        app.router.add_post(f"{base}/host-certificate", self._certify)
        app.router.add_get(f"{base}/commands", self._commands)
        app.router.add_post("/hub/api/users/{user}/server/certificate", self._certify_person)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        await web.SockSite(self._runner, self._listener).start()

    def stop(self) -> None:
        """Be away, as a hub that was killed; what it knows stays, as in its database."""
        if self._runner is not None:
            self._do(self._stop(self._runner))
            self._runner = None

    async def _stop(self, runner: web.AppRunner) -> None:
        """Lose no connection: asyncio leaks what it accepts while its server closes."""
        assert self._listener is not None
        self._loop.remove_reader(self._listener)
        for queue, _ in self._streams.values():
            queue.put_nowait(None)
        await asyncio.sleep(0)  # what is accepted becomes a connection (python/cpython#109564)
        await runner.cleanup()

    def close(self) -> None:
        """End the thread."""
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._loop.close()

    def command(self, command: m.Command) -> None:
        """Send a command to the gateways of its sessions, each as soon as it listens."""

        async def send() -> None:
            for instance in {self._gateways[session] for session in command.sessions}:
                queue = await self._listening(instance)
                queue.put_nowait(command)

        self._do(send())

    async def _listening(self, instance: str) -> asyncio.Queue[m.Command | None]:
        """Wait until a gateway listens: what is written to a stream that is over is lost."""
        async with asyncio.timeout(SECONDS):
            while True:
                queue, transport = self._streams.get(instance, (None, None))
                if queue is not None and transport is not None and not transport.is_closing():
                    return queue
                await asyncio.sleep(0.02)

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.path}")
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        whose = request.match_info.get("user")
        if self.tokens.get(token) != whose if whose else token != self.token:
            return _error(401, "No such token.")
        try:
            answer: web.StreamResponse = await handler(request)
        except Refused as error:
            return _error(error.status, error.message)
        return answer

    def _user_of(self, login: str, key: str) -> Login:
        try:
            parsed = parse_login(login)
        except InvalidName:
            raise Refused(403, "This key opens nothing.") from None
        if key not in self.keys.get(parsed.actor, ()) or parsed.user not in self.servers:
            raise Refused(403, "This key opens nothing.")
        return parsed

    async def _count(self, request: web.Request) -> web.StreamResponse:
        self.failures.append(msgspec.json.decode(await request.read(), type=m.FailedLogin))
        return web.Response(status=204)

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read(), type=m.AuthorizeRequest)
        self._user_of(asked.login, asked.public_key)
        return web.Response(status=204)

    async def _open(self, request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read(), type=m.SessionRequest)
        login = self._user_of(asked.login, asked.public_key)
        key, blob = _key_and_blob(asked.public_key)
        signed = b64decode(asked.signed, validate=True)
        if not key.verify(signed, b64decode(asked.signature, validate=True)):
            raise Refused(403, "The proof is false.")
        packet = SSHPacket(signed)
        self._check_door(asked, packet.get_string())
        fields = (packet.get_byte(), packet.get_string(), packet.get_string(), packet.get_string())
        if fields != (50, asked.login.encode(), b"ssh-connection", b"publickey"):
            raise Refused(403, "The proof is for something else.")
        packet.get_boolean()
        packet.get_string()
        if packet.get_string() != blob:
            raise Refused(403, "The proof is another key's.")
        if self.full:
            raise Refused(429, self.full)
        id = str(uuid.uuid4())
        self.sessions[id] = login.user
        self._gateways[id] = asked.gateway
        self.proofs.append(asked)
        server = self._server(login.user)
        session = m.Session(
            id=id,
            user=login.user,
            server=server,
            start_on_connect=self.start_on_connect,
            x11_forwarding=self.x11_forwarding,
        )
        return _json(session, 201)

    async def _open_tunnel(self, request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read(), type=m.TunnelRequest)
        user = self.tokens.get(asked.token)
        if user is None:
            raise Refused(409, "The token is unknown")
        if user != asked.user:
            raise Refused(403, "Not yours")
        id = str(uuid.uuid4())
        self.sessions[id] = user
        self._gateways[id] = asked.gateway
        ready = self.servers[user].state is m.ServerState.READY
        tunnel = m.Tunnel(
            id=id,
            actor=user,
            start_on_connect=self.start_on_connect,
            address=_address_of(self.servers[user]) if ready else None,
        )
        return _json(tunnel, 201)

    async def _address(self, request: web.Request) -> web.StreamResponse:
        return _json(_address_of(self._of(request)), 200)

    def _check_door(self, asked: m.SessionRequest, session_id: bytes) -> None:
        """The login was made at the door of the very gateway that asks."""
        signature = b64decode(asked.door_signature, validate=True)
        for line in self.host_keys.get(asked.gateway, ()):
            if asyncssh.import_public_key(line).verify(door_text(session_id), signature):
                return
        raise Refused(403, "The login was made at another door.")

    def _server(self, user: str) -> m.Server:
        state = self.servers[user].state
        return m.Server(
            name="",
            full_name=f"{user}/",
            ready=state is m.ServerState.READY,
            stopped=state is m.ServerState.STOPPED,
            pending="spawn" if state is m.ServerState.STARTING else None,
            started=None,
            last_activity=None,
            url="",
            progress_url="",
            user_options={},
            id=self.servers[user].sshd.principal,
            status=state,
        )

    def _of(self, request: web.Request) -> ServerOf:
        try:
            return self.servers[self.sessions[request.match_info["id"]]]
        except KeyError:
            raise Refused(404, "No such session.") from None

    async def _start_server(self, request: web.Request) -> web.StreamResponse:
        server = self._of(request)
        if server.state is m.ServerState.READY:
            return web.Response(status=201)
        server.state = m.ServerState.STARTING
        return web.Response(status=202)

    async def _progress(self, request: web.Request) -> web.StreamResponse:
        server = self._of(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        if server.state is m.ServerState.READY:
            await _event(response, m.Progress(progress=100, message="Ready", ready=True))
            return response
        if server.state is m.ServerState.STOPPED:
            await _event(response, m.Progress(progress=100, message="it is stopped", failed=True))
            return response
        for event in server.script:
            if event.ready or event.failed:
                while not self.go_on.is_set():
                    await response.write(b": still here\n\n")
                    await asyncio.sleep(0.02)
                server.state = m.ServerState.READY if event.ready else m.ServerState.STOPPED
            await _event(response, event)
        return response

    async def _certificate(self, request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read(), type=m.CertificateRequest)
        server = self._of(request)
        if server.state is not m.ServerState.READY:
            raise Refused(409, "The workspace is not running.")
        ticket = m.Certificate(
            certificate=self._certificate_for(asked.public_key, server),
            host=server.host,
            port=server.sshd.port,
            account=getpass.getuser(),
            host_key=public_line(server.host_key or server.sshd.host_key),
        )
        return _json(ticket, 201)

    def _certificate_for(self, public_key: str, server: ServerOf) -> str:
        certificate = self.authority.generate_user_certificate(
            asyncssh.import_public_key(public_key),
            "session",
            principals=[server.sshd.principal],
            valid_before="+5m",
        )
        return certificate.export_certificate().decode()

    async def _certify_person(self, request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read(), type=m.CertificateRequest)
        user = request.match_info["user"]
        if user not in self.sessions.values():
            raise Refused(409, "There is no open tunnel")
        server = self.servers[user]
        certificate = m.TunnelCertificate(
            certificate=self._certificate_for(asked.public_key, server),
            id=server.sshd.principal,
            account=getpass.getuser(),
            host_key=public_line(server.host_key or server.sshd.host_key),
            host_authorities=[public_line(self.host_authority)],
        )
        return _json(certificate, 201)

    async def _close(self, request: web.Request) -> web.StreamResponse:
        end = msgspec.json.decode(await request.read(), type=m.SessionEnd)
        id = request.match_info["id"]
        if self.sessions.pop(id, None) is None:
            raise Refused(404, "No such session.")
        self.ended[id] = end.reason
        return web.Response(status=204)

    async def _report(self, request: web.Request) -> web.StreamResponse:
        report = msgspec.json.decode(await request.read(), type=m.GatewayReport)
        self.doors[report.door.port] = report.door
        self.host_keys[request.match_info["id"]] = report.door.host_keys
        self.reports.append(report)
        return web.Response(status=204)

    async def _certify(self, request: web.Request) -> web.StreamResponse:
        asked = msgspec.json.decode(await request.read(), type=m.HostCertificateRequest)
        wanted = {"principals": ["127.0.0.1"], "valid_before": "+30d"} | self.host_certificate
        key = asyncssh.import_public_key(asked.public_key)
        certificate = self.host_authority.generate_host_certificate(key, "gateway", **wanted)
        line = certificate.export_certificate().decode()
        return _json(m.HostCertificate(certificate=line), 201)

    async def _commands(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[m.Command | None] = asyncio.Queue()  # None is its end
        instance = request.query["instance"]
        if instance in self._streams:
            self._streams[instance][0].put_nowait(None)  # the gateway has lost that one
        self._streams[instance] = stream = queue, request.transport
        try:
            while command := await queue.get():
                await _event(response, command)
        finally:
            if self._streams.get(instance) is stream:
                del self._streams[instance]
        return response


def _key_and_blob(line: str) -> tuple[asyncssh.SSHKey, bytes]:
    """Return the key of a line, or of the certificate in it, and what it is on the wire."""
    if "-cert-" in line.partition(" ")[0]:
        certificate = asyncssh.import_certificate(line)
        return certificate.key, certificate.public_data
    key = asyncssh.import_public_key(line)
    return key, key.public_data


def _address_of(server: ServerOf) -> m.WorkspaceAddress:
    key = public_line(server.host_key or server.sshd.host_key)
    return m.WorkspaceAddress(host="127.0.0.1", port=server.sshd.port, host_key=key)


def _error(status: int, message: str) -> web.Response:
    return _json(m.ErrorReply(status=status, message=message), status)


def _json(model: msgspec.Struct, status: int) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(model), status=status, content_type="application/json"
    )


async def _event(response: web.StreamResponse, model: msgspec.Struct) -> None:
    await response.write(b"data: " + msgspec.json.encode(model) + b"\n\n")
