"""A small hub that is faithful to REST, for the command's tests: a real HTTP server in a thread.

It verifies signatures with `ssh-keygen -Y verify`, issues tokens that expire, keeps public keys,
and plays the life of workspaces as a test lays it down.
"""

import json
import os
import secrets
import subprocess
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kworkspace.cli.client.challenge import challenge_text

WAIT_SECONDS = 20.0


@dataclass
class Workspace:
    """A workspace of the stand-in; `script` is what the next start or stop streams."""

    status: str = "stopped"
    error: str = ""
    removing: bool = False
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Hub:
    """What a test may lay down and look at; the server's threads work on it."""

    url: str = ""
    users: dict[str, list[str]] = field(default_factory=dict)
    door: dict[str, Any] | None = None
    clock_offset: float = 0.0
    tells_time: bool = True
    token_seconds: int | None = 3600
    workspaces: dict[str, Workspace] = field(default_factory=dict)
    start_events: list[dict[str, Any]] = field(default_factory=list)
    start_fails: str = ""
    profiles: list[dict[str, Any]] = field(default_factory=list)
    start_settles: bool = False
    break_streams: int = 0
    go_on: threading.Event = field(default_factory=threading.Event)
    following: threading.Event = field(default_factory=threading.Event)
    stays: bool = False
    tokens: dict[str, str] = field(default_factory=dict)
    nonces: set[str] = field(default_factory=set)
    added: list[str] = field(default_factory=list)
    key_views: list[dict[str, Any]] = field(default_factory=list)
    version: str = "0.1.0"
    requests: list[str] = field(default_factory=list)
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)

    def asked(self, request: str) -> int:
        """How often a request (`METHOD /path`) came."""
        return self.requests.count(request)

    def workspace(self, name: str) -> Workspace:
        """A workspace, made if it is new."""
        return self.workspaces.setdefault(name, Workspace())

    def sign_ins(self) -> int:
        """How often somebody asked for a token."""
        return self.asked("POST /hub/api/auth/token")


class Answer(Exception):
    """Ends a request with a status and a body."""

    def __init__(self, status: int, body: object = None) -> None:
        self.status, self.body = status, body


def refusal(status: int, message: str) -> Answer:
    """The one shape of an error."""
    return Answer(status, {"status": status, "message": message})


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The hub's time, as wrong as the test wants it."""
        if not self.hub.tells_time:
            return "soon"
        return formatdate((timestamp or time.time()) + self.hub.clock_offset, usegmt=True)

    def handle_any(self) -> None:
        """Answer whatever the method is."""
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"null")
        request = f"{self.command} {self.path}"
        self.hub.requests.append(request)
        try:
            if request in self.hub.answers:
                status, headers, content = self.hub.answers[request]
                self.reply(status, headers, content)
                return
            self.route(body)
        except Answer as answer:
            if answer.body is None:
                self.reply(answer.status, {}, b"")
            else:
                content = json.dumps(answer.body).encode()
                self.reply(answer.status, {"Content-Type": "application/json"}, content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
        """Send a whole answer."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def route(self, body: dict[str, Any]) -> None:
        """Find what was asked."""
        method, path = self.command, self.path.removeprefix("/hub/api")
        match (method, path.strip("/").split("/")):
            case ("GET" | "HEAD", [""]):
                raise Answer(200, {"version": self.hub.version, "ssh": self.hub.door})
            case ("POST", ["auth", "challenge"]):
                nonce = secrets.token_urlsafe(12)
                self.hub.nonces.add(nonce)
                raise Answer(201, {"nonce": nonce, "expires_in": 60})
            case ("POST", ["auth", "token"]):
                self.token(body)
            case ("DELETE", ["auth", "token"]):
                self.user()
                del self.hub.tokens[self.headers["Authorization"].split()[1]]
                raise Answer(204)
            case ("GET", ["profiles"]):
                self.user()
                raise Answer(200, self.hub.profiles)
            case ("GET", ["user"]):
                raise Answer(200, self.view(self.user()))
            case (_, ["users", name, *rest]):
                if self.user() != name:
                    raise refusal(403, "You may not look at other users")
                self.users(name, rest, body)
            case _:
                raise refusal(404, f"There is no {path} here")

    def user(self) -> str:
        """Who the token stands for."""
        token = (self.headers.get("Authorization") or " ").split(" ")[1]
        if token not in self.hub.tokens:
            raise refusal(401, "The token is not known here or has expired")
        return self.hub.tokens[token]

    def token(self, body: dict[str, Any]) -> None:
        """Verify a signature as OpenSSH does it."""
        fresh = body["nonce"] in self.hub.nonces
        self.hub.nonces.discard(body["nonce"])
        text = challenge_text(url=body["url"], user=body["user"], nonce=body["nonce"])
        known = body["url"] == self.hub.url
        signers = "".join(f"x {line}\n" for line in self.hub.users.get(body["user"], []))
        if not (fresh and known and verified(text, body["signature"], signers)):
            raise refusal(403, "Sign-in refused")
        token = secrets.token_urlsafe(24)
        self.hub.tokens[token] = body["user"]
        seconds = self.hub.token_seconds
        new = {"token": token, "id": "t1", "user": body["user"], "expires_in": seconds}
        raise Answer(201, new)

    def view(self, name: str) -> dict[str, Any]:
        """The user's model."""
        moment = "2026-01-01T12:00:00Z"
        servers: dict[str, Any] = {
            key: {
                "name": key,
                "full_name": f"{name}/{key}",
                "ready": workspace.status == "ready",
                "stopped": workspace.status == "stopped",
                "pending": None,
                "started": moment if workspace.status == "ready" else None,
                "last_activity": moment,
                "url": "/",
                "progress_url": "/",
                "user_options": workspace.options,
                "id": "s1",
                "status": workspace.status,
                "error": workspace.error,
            }
            for key, workspace in self.hub.workspaces.items()
        }
        return {"name": name, "admin": name == "root", "roles": ["user"], "servers": servers}

    def users(self, name: str, rest: list[str], body: Any) -> None:
        """A user and their workspaces."""
        if not rest:
            raise Answer(200, self.view(name))
        if rest[0] == "keys":
            self.keys(rest[1:], body)
        key = rest[1] if rest[0] == "servers" else ""
        if rest[-1] == "progress":
            if key and key not in self.hub.workspaces:
                raise refusal(404, f"{name} has no such workspace")
            self.progress(self.hub.workspace(key))
            return
        self.play(name, key, body)

    def play(self, name: str, key: str, body: Any) -> None:
        """A workspace is made, started, stopped or deleted."""
        workspace = self.hub.workspace(key)
        if self.command == "PUT":
            raise Answer(201, self.view(name)["servers"][key])
        if self.command == "POST":
            if workspace.status == "ready":
                raise refusal(400, f"{name}'s workspace is already running")
            asked = (body or {}).get("profile")
            if asked is not None and asked not in [one["slug"] for one in self.hub.profiles]:
                raise refusal(400, f"profile: there is no '{asked}'")
            workspace.options = workspace.options if body is None else body
            workspace.status, workspace.error = "starting", ""
            if self.hub.start_settles:
                self.advance(workspace)
            raise Answer(202 if workspace.status == "starting" else 201)
        if body is not None and body.get("remove"):
            workspace.removing = True
            workspace.status = "stopping"
            if self.hub.start_settles:
                self.advance(workspace)
            raise Answer(202 if key in self.hub.workspaces else 204)
        workspace.status = "stopping" if workspace.status == "ready" else workspace.status
        raise Answer(202)

    def keys(self, rest: list[str], body: Any) -> None:
        """A user's public keys."""
        if self.command == "POST":
            if body["key"] in self.hub.added:
                raise refusal(409, "The key is there already")
            self.hub.added.append(body["key"])
            self.hub.key_views.append(key_view(body["key"], str(len(self.hub.key_views))))
            raise Answer(201, self.hub.key_views[-1])
        if self.command == "DELETE":
            views = [view for view in self.hub.key_views if view["id"] != rest[0]]
            if len(views) == len(self.hub.key_views):
                raise refusal(404, "There is no such key")
            self.hub.key_views[:] = views
            raise Answer(204)
        raise Answer(200, self.hub.key_views)

    def progress(self, workspace: Workspace) -> None:
        """Stream what the test laid down, and move the workspace on."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.chunk(b": alive\n\n")
        events = self.hub.start_events if workspace.status == "starting" else []
        for event in events:
            self.chunk(f"data: {json.dumps(event)}\n\n".encode())
        if self.hub.break_streams > 0:
            self.hub.break_streams -= 1
            self.close_connection = True
            return
        self.hub.following.set()
        self.hub.go_on.wait(WAIT_SECONDS)
        last = self.advance(workspace)
        self.chunk(f"data: {json.dumps(last)}\n\n".encode())
        self.wfile.write(b"0\r\n\r\n")

    def chunk(self, content: bytes) -> None:
        """Send a piece of a stream."""
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def advance(self, workspace: Workspace) -> dict[str, Any]:
        """End a start or a stop and return its last event."""
        if self.hub.stays:
            return {"message": "Still at it"}
        if workspace.status == "starting" and self.hub.start_fails:
            workspace.status, workspace.error = "stopped", self.hub.start_fails
            return {"progress": 100, "failed": True, "message": self.hub.start_fails}
        if workspace.status in {"starting", "ready"}:
            workspace.status = "ready"
            return {"progress": 100, "ready": True, "message": "Your workspace is ready"}
        was, workspace.status = workspace.status, "stopped"
        if workspace.removing:
            found = self.hub.workspaces.items()
            self.hub.workspaces = {name: item for name, item in found if item is not workspace}
        if was == "stopped":
            message = workspace.error or "it is stopped"
            return {"progress": 100, "failed": True, "message": message}
        return {"progress": 100, "message": "Stopped"}


for _method in ("GET", "POST", "PUT", "DELETE", "HEAD"):
    setattr(Handler, f"do_{_method}", Handler.handle_any)


def key_view(line: str, id: str | None, source: str = "database") -> dict[str, Any]:
    """What the hub tells of a public key, with the real fingerprint."""
    done = subprocess.run(
        ["ssh-keygen", "-lf", "-"], input=line, capture_output=True, text=True, check=True
    )
    kind, _, comment = line.split(" ", 2)
    return {
        "id": id,
        "fingerprint": done.stdout.split()[1],
        "type": kind,
        "comment": comment,
        "source": source,
        "options": "",
        "created": "2026-01-01T12:00:00Z" if id else None,
        "expires": None,
    }


def verified(text: bytes, signature: str, signers: str) -> bool:
    """Whether one of the keys signed the text."""
    folder = Path(os.environ["HOME"]) / f"verify-{secrets.token_hex(4)}"
    folder.mkdir()
    (folder / "signers").write_text(signers)
    (folder / "signature").write_text(signature)
    command = ["ssh-keygen", "-Y", "verify", "-I", "x", "-n", "kworkspace"]
    files = ["-f", str(folder / "signers"), "-s", str(folder / "signature")]
    done = subprocess.run(command + files, input=text, capture_output=True, check=False)
    return done.returncode == 0


class QuietServer(ThreadingHTTPServer):
    """A server whose failed handshakes are not printed."""

    daemon_threads = False
    block_on_close = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what many tests want."""
