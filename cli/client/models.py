"""The wire models: what goes over REST, typed, for both sides.

msgspec carries them: it validates while it decodes, names the field that is wrong, imports in a
fraction of pydantic's time (the command has a budget) and encodes a user in microseconds. Routes
that JupyterHub has ignore unknown fields, as JupyterHub does; models of our own refuse them.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec

# Good in a header (RFC 6750, section 2.1): a client that decodes another one has a broken hub.
Token = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.~-]{1,512}\Z")]


class ServerState(StrEnum):
    """The one state of a server: stopped -> starting -> ready -> stopping -> stopped."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """A model of a route that JupyterHub has too: unknown fields are ignored."""


class OwnStruct(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model of a route of our own: unknown fields are refused."""


class ErrorReply(Struct, frozen=True, kw_only=True):
    """The one shape of an error."""

    status: int
    message: str


class Server(Struct, frozen=True, kw_only=True):
    """A workspace, as JupyterHub shows a server; what follows `user_options` is ours.

    Where there are tunnels, `tunnel_url` is where one is opened, absolute or a path of the hub's
    own host; and of a workspace that runs, `host_key` is its SSH server's, an OpenSSH line, and
    `account` whom to log in as.
    """

    name: str
    full_name: str
    ready: bool
    stopped: bool
    pending: Literal["spawn", "stop"] | None
    started: datetime | None
    last_activity: datetime | None
    url: str
    progress_url: str
    user_options: dict[str, Any]
    id: str
    status: ServerState
    error: str = ""
    tunnel_url: str | msgspec.UnsetType = msgspec.UNSET
    host_key: str | msgspec.UnsetType = msgspec.UNSET
    account: str | msgspec.UnsetType = msgspec.UNSET


class User(Struct, frozen=True, kw_only=True):
    """A user, as JupyterHub shows one."""

    name: str
    admin: bool
    kind: Literal["user", "service"] = "user"
    roles: list[str] = []
    groups: list[str] = []
    scopes: list[str] | None = None
    server: str | None = None
    pending: Literal["spawn", "stop"] | None = None
    created: datetime | None = None
    last_activity: datetime | None = None
    servers: dict[str, Server] = {}


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of a start or stop; `ready` and `failed` end the stream.

    `progress` is a percentage, 0 to 100, as in JupyterHub's progress stream. The message of a
    failure is the reason alone.
    """

    progress: int = 0
    message: str = ""
    ready: bool = False
    failed: bool = False
    url: str = ""


class ProfileOption(OwnStruct, frozen=True, kw_only=True):
    """A choice within a profile: `user_options` then has {name: choice}.

    Attributes:
        default: what counts if none is made; "" if one has to be.
        unlisted: what may be given beside the choices, for people; "" if nothing.
    """

    name: str
    choices: list[str] = []
    default: str = ""
    unlisted: str = ""


class Profile(OwnStruct, frozen=True, kw_only=True):
    """What can be asked for when a workspace starts: `user_options` is then {"profile": slug}.

    Named as in KubeSpawner's `profile_list`.
    """

    slug: str
    display_name: str
    description: str = ""
    default: bool = False
    options: list[ProfileOption] = []


class SSHDoor(Struct, frozen=True, kw_only=True):
    """How to reach the gateway: address, and the host keys to pin (OpenSSH public key lines).

    `host_authorities`: the keys of the authorities that sign its host keys, so that another one is
    no surprise (sshd(8), `@cert-authority`); a gateway that reports itself says nothing of it.
    """

    host: str
    port: int
    host_keys: list[str]
    host_authorities: list[str] = []


class HubRoot(Struct, frozen=True, kw_only=True):
    """`GET /hub/api/`. `ssh` is None until a gateway has reported itself."""

    version: str
    ssh: SSHDoor | None = None


class Health(Struct, frozen=True, kw_only=True):
    """`GET /health`: it answers, so the process lives; `ready`, as the status of
    `/health/ready`, tells whether to send requests."""

    ready: bool
    version: str


class Challenge(OwnStruct, frozen=True, kw_only=True):
    """`POST /auth/challenge`: a nonce to sign, good for `expires_in` seconds and once."""

    nonce: str
    expires_in: int


class ChallengeRequest(OwnStruct, frozen=True, kw_only=True):
    """`POST /auth/challenge`: nothing is asked of who wants a nonce."""


class TokenRequest(OwnStruct, frozen=True, kw_only=True):
    """`POST /auth/token`: the fields of the signed text, and the armored SSH signature."""

    user: str
    url: str
    nonce: str
    signature: str
    note: str = ""


class NewToken(Struct, frozen=True, kw_only=True):
    """A token, shown once. `expires_in` is seconds, None for one that does not expire."""

    token: Token
    id: str
    user: str
    expires_in: int | None
    note: str = ""


class UserTokenRequest(Struct, frozen=True, kw_only=True):
    """`POST /users/N/tokens`, as in JupyterHub. `expires_in` is seconds; None never expires."""

    note: str = ""
    expires_in: int | None = None


class UserChange(Struct, frozen=True, kw_only=True):
    """`PATCH /users/N`, as in JupyterHub: what is given is changed."""

    name: str | None = None
    admin: bool | None = None


class NewUsers(Struct, frozen=True, kw_only=True):
    """`POST /users`, as in JupyterHub."""

    usernames: list[str]
    admin: bool = False


class Group(Struct, frozen=True, kw_only=True):
    """A group, as JupyterHub shows one."""

    name: str
    users: list[str] = []
    kind: Literal["group"] = "group"


class GroupUsers(Struct, frozen=True, kw_only=True):
    """`POST` and `DELETE /groups/N/users`, as in JupyterHub."""

    users: list[str]


class Key(OwnStruct, frozen=True, kw_only=True):
    """A public key of a user.

    `id` names one that the database keeps, in `/users/N/keys/ID`; None is one of another source,
    which is changed there. `options` are those of its authorized_keys line.
    """

    id: str | None
    fingerprint: str
    type: str
    comment: str
    source: Literal["database", "configuration", "directory"]
    options: str = ""
    created: datetime | None = None
    expires: datetime | None = None


class NewKey(OwnStruct, frozen=True, kw_only=True):
    """`POST /users/N/keys`: a line as in an authorized_keys file."""

    key: str


class InviteRequest(OwnStruct, frozen=True, kw_only=True):
    """`POST /users/N/invites`; `expires_in` is seconds."""

    expires_in: int = 86400


class Invite(OwnStruct, frozen=True, kw_only=True):
    """An invitation that is open: whoever has its code adds one key to the user's, once."""

    id: str
    user: str
    created: datetime
    expires: datetime
    by: str


class NewInvite(OwnStruct, frozen=True, kw_only=True):
    """An invitation with its code, which is shown once."""

    id: str
    user: str
    code: str
    expires: datetime


class InviteClaim(OwnStruct, frozen=True, kw_only=True):
    """`POST /gateway/invites`: somebody logged in as `invite` and gives a code.

    The proof is as in `SessionRequest`, for the login `invite`. Without `confirm` the hub only
    says whose code it is; with it, the key that signed is added and the code is used up.
    """

    code: str
    confirm: bool
    public_key: str
    signed: str
    signature: str
    door_signature: str
    address: str


class InviteOffer(OwnStruct, frozen=True, kw_only=True):
    """What a code is for: whose account, and the key that signed, which is or will be added."""

    user: str
    fingerprint: str
    type: str


class Page(OwnStruct, frozen=True, kw_only=True):
    """`GET /gateway/sessions/S/page`: the URL of the hub's page, for people."""

    url: str


class Port(OwnStruct, frozen=True, kw_only=True):
    """`GET /users/N/server/ports`: what listens in a workspace; `process` is "" if unknown."""

    port: int
    address: str
    process: str = ""


class StopRequest(Struct, frozen=True, kw_only=True):
    """`DELETE /users/N/servers/S`, as in JupyterHub: `remove` deletes it, files and all."""

    remove: bool = False


class AuthorizeRequest(OwnStruct, frozen=True, kw_only=True):
    """`POST /gateway/authorize`: may this key, offered and not yet proven, be this login's?"""

    login: str
    public_key: str
    address: str


class FailedLogin(OwnStruct, frozen=True, kw_only=True):
    """`POST /gateway/failures`: a connection has ended whose keys were all refused."""

    login: str
    address: str


class SessionRequest(OwnStruct, frozen=True, kw_only=True):
    """`POST /gateway/sessions`: a login that completed, with the user's own proof.

    `signed` is the data that the user's key signed: session identifier and authentication request
    (RFC 4252, section 7), base64; `signature` the signature over it, base64; `door_signature`,
    base64, an SSH signature by the gateway's host key over `challenge.door_text` of that session
    identifier. The hub verifies both, so that a gateway's token alone opens nothing, not even
    with a login that somebody made at another SSH server.
    """

    gateway: str
    login: str
    public_key: str
    signed: str
    signature: str
    door_signature: str
    address: str
    client_version: str = ""


StartOnConnect = Literal["never", "interactive", "always"]


class Session(OwnStruct, frozen=True, kw_only=True):
    """One SSH connection through the gateway, as the hub keeps it.

    `start_on_connect` says which channels start the workspace: none, those with a terminal, all;
    `x11_forwarding` whether they may have its windows on their screen.
    """

    id: str
    user: str
    server: Server
    start_on_connect: StartOnConnect = "always"
    x11_forwarding: bool = False


class CertificateRequest(OwnStruct, frozen=True, kw_only=True):
    """`POST /gateway/sessions/S/certificate`: the public half of a key for one session."""

    public_key: str


class Certificate(OwnStruct, frozen=True, kw_only=True):
    """How to open the session's workspace: where, as whom, with what, and whom to expect there."""

    certificate: str
    host: str
    port: int
    account: str
    host_key: str


class TunnelRequest(OwnStruct, frozen=True, kw_only=True):
    """`POST /gateway/tunnels`: somebody wants a tunnel into a workspace, and this is their token.

    `server` is "" for the default one. The hub decides by the token alone who they are.
    """

    gateway: str
    token: str
    user: str
    server: str
    address: str
    client_version: str = ""


class WorkspaceAddress(OwnStruct, frozen=True, kw_only=True):
    """`GET /gateway/sessions/S/address`: where the SSH server of a session's workspace is."""

    host: str
    port: int
    host_key: str


class Tunnel(OwnStruct, frozen=True, kw_only=True):
    """A session that is a tunnel; `address` is None while the workspace does not run."""

    id: str
    actor: str
    start_on_connect: StartOnConnect
    address: WorkspaceAddress | None


class TunnelCertificate(OwnStruct, frozen=True, kw_only=True):
    """`POST /users/N/server/certificate`: what opens a workspace, by a tunnel that is open.

    The request is `CertificateRequest`, with an ed25519 key of the person's. `id` is the server's,
    the only name in its host certificate; `host_key` and `host_authorities` say whom to expect.
    """

    certificate: str
    id: str
    account: str
    host_key: str
    host_authorities: list[str]


class HostCertificateRequest(OwnStruct, frozen=True, kw_only=True):
    """`POST /gateway/host-certificate`: the public half of the door's host key."""

    public_key: str


class HostCertificate(OwnStruct, frozen=True, kw_only=True):
    """What shows that the host authority knows the door, for thirty days."""

    certificate: str


class SessionActivity(OwnStruct, frozen=True, kw_only=True):
    """What one session did; `idle` is seconds since its last input or output."""

    id: str
    idle: float


class GatewayReport(OwnStruct, frozen=True, kw_only=True):
    """`PUT /gateway/instances/I`: here I am, here my door is, and these sessions are open.

    `tunnel_port` is where it listens for tunnels, None where it does not.
    """

    door: SSHDoor
    sessions: list[SessionActivity]
    tunnel_port: int | None = None


class SessionEnd(OwnStruct, frozen=True, kw_only=True):
    """`DELETE /gateway/sessions/S`: why it ended."""

    reason: str


class Command(OwnStruct, frozen=True, kw_only=True):
    """What the hub tells gateways on `GET /gateway/commands`.

    `end` closes the sessions after showing `message` in their terminals; `message` only shows it.
    """

    kind: Literal["end", "message"]
    sessions: list[str]
    message: str
