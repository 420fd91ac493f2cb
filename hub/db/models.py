"""The tables. A change here needs a migration in `migrations/versions`; a test compares both."""

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy import DateTime as SQLDateTime
from sqlalchemy import Enum as SQLEnum
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from kworkspace.cli.client.models import ServerState


class UTCDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes on every database; SQLite itself keeps no time zone."""

    impl = SQLDateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive values, write UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime must not reach the database")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return aware values."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


def _new_id() -> str:
    return str(uuid.uuid4())


class Base(DeclarativeBase):
    """Names every constraint, so that a migration can drop it on any database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # SQLAlchemy reads it from the class
        datetime: UTCDateTime,
        dict[str, Any]: JSON,
        ServerState: SQLEnum(
            ServerState,
            native_enum=False,
            length=16,
            values_callable=lambda states: [state.value for state in states],
        ),
    }


class Meta(Base):
    """What the database says of itself: the hub's id."""

    __tablename__ = "meta"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


group_members = Table(
    "group_members",
    Base.metadata,
    Column("group_id", ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
)


class User(Base):
    """A person.

    `enrolled` says that an admin added them here; others are here because the configuration names
    them. `admin` is what an admin has set here; the configuration's `admin_users` are not written
    down. `removing`: they are to go, when their workspaces are gone. `version` counts the changes
    of the row: a change of what somebody else has changed meanwhile is refused.
    """

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    admin: Mapped[bool] = mapped_column(default=False)
    enrolled: Mapped[bool] = mapped_column(default=False, server_default=false())
    removing: Mapped[bool] = mapped_column(default=False, server_default=false())
    created: Mapped[datetime]
    last_activity: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")

    __mapper_args__ = {"version_id_col": version}


class SSHKey(Base):
    """A public key of a user that the database keeps; the configuration may list others.

    `line` is as in an authorized_keys file: options, if any, then type and base64.
    """

    __tablename__ = "ssh_keys"
    __table_args__ = (UniqueConstraint("user_id", "fingerprint"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=_new_id)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    fingerprint: Mapped[str] = mapped_column(String(64))
    line: Mapped[str] = mapped_column(Text)
    comment: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[datetime]

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)

    # Of two who delete it at once both have what they want.
    __mapper_args__ = {"confirm_deleted_rows": False}


class Invite(Base):
    """An invitation that is open, as the SHA-256 of its code; used up, its row is gone."""

    __tablename__ = "invites"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=_new_id)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    by: Mapped[str] = mapped_column(String(255))
    created: Mapped[datetime]
    expires: Mapped[datetime] = mapped_column(index=True)

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Group(Base):
    """A named set of users."""

    __tablename__ = "groups"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)

    users: Mapped[list[User]] = relationship(secondary=group_members, lazy="selectin")

    # Of two who delete it at once both have what they want.
    __mapper_args__ = {"confirm_deleted_rows": False}


class Server(Base):
    """A workspace: what is wanted (`desired_running`), what is (`state`), and where it runs.

    `generation` counts the requests; with `object_uid`, which names one incarnation at the
    spawner, it keeps a late actor from changing what a newer request has decided. `deleting`: it
    is to go, home and all, once it is stopped.
    """

    __tablename__ = "servers"
    __table_args__ = (UniqueConstraint("user_id", "name"), Index(None, "state"))

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=_new_id)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(63))
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    state: Mapped[ServerState] = mapped_column(default=ServerState.STOPPED)
    desired_running: Mapped[bool] = mapped_column(default=False)
    deleting: Mapped[bool] = mapped_column(default=False, server_default=false())
    generation: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(Text, default="")
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    object_uid: Mapped[str | None] = mapped_column(String(255))
    host: Mapped[str | None] = mapped_column(String(255))
    port: Mapped[int | None]
    host_key: Mapped[str | None] = mapped_column(Text)
    account: Mapped[str | None] = mapped_column(String(255))
    created: Mapped[datetime]
    started: Mapped[datetime | None]
    last_activity: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")

    user: Mapped[User] = relationship(lazy="joined", innerjoin=True)

    __mapper_args__ = {"version_id_col": version}


class APIToken(Base):
    """A token, as the SHA-256 of it, for a user or for a service."""

    __tablename__ = "api_tokens"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=_new_id)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    service: Mapped[str | None] = mapped_column(String(255))
    note: Mapped[str] = mapped_column(Text, default="")
    key_fingerprint: Mapped[str | None] = mapped_column(String(64))
    created: Mapped[datetime]
    expires: Mapped[datetime | None]

    user: Mapped[User | None] = relationship(lazy="joined")

    # Of two who delete it at once both have what they want.
    __mapper_args__ = {"confirm_deleted_rows": False}


class UsedChallenge(Base):
    """A nonce that was signed and accepted: it is not accepted again before it expires."""

    __tablename__ = "challenges"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires: Mapped[datetime] = mapped_column(index=True)


class Session(Base):
    """One SSH connection through the gateway. `proof` is unique: a signature opens one session.

    `kind` is `relay` or `tunnel`; a tunnel has been opened by `token_id`, which may be gone, at the
    gateway whose IP address is `gateway_address`, as the hub saw it.

    Rows outlive their server, so that a proof stays used. `end_message` is set when the hub wants
    it ended, and is what its terminal is to show.
    """

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=_new_id)
    server_id: Mapped[str | None] = mapped_column(
        ForeignKey("servers.id", ondelete="SET NULL"), index=True
    )
    actor: Mapped[str] = mapped_column(String(255))
    gateway: Mapped[str] = mapped_column(String(64))
    gateway_address: Mapped[str] = mapped_column(String(64), default="", server_default=text("''"))
    address: Mapped[str] = mapped_column(String(64))
    client_version: Mapped[str] = mapped_column(String(255))
    key_fingerprint: Mapped[str] = mapped_column(String(64))
    proof: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(16), default="relay", server_default="relay")
    token_id: Mapped[str | None] = mapped_column(String(36), index=True)
    started: Mapped[datetime]
    last_report: Mapped[datetime]
    last_activity: Mapped[datetime]
    ended: Mapped[datetime | None] = mapped_column(index=True)
    end_reason: Mapped[str] = mapped_column(Text, default="")
    end_message: Mapped[str | None] = mapped_column(Text)

    server: Mapped[Server | None] = relationship(lazy="joined")


class Event(Base):
    """The audit log: every change and every refusal."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    action: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str] = mapped_column(String(255))
    user: Mapped[str | None] = mapped_column(String(255))
    server: Mapped[str | None] = mapped_column(String(63))
    address: Mapped[str] = mapped_column(String(64), default="")
    request_id: Mapped[str] = mapped_column(String(64), default="")
    message: Mapped[str] = mapped_column(Text, default="")


class Lease(Base):
    """Which hub process does a piece of work, until when."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64), index=True)
    expires: Mapped[datetime]


class Change(Base):
    """The journal: which row a transaction changed, for the other hubs on the same database.

    `xid` is the transaction's own id, by which a reader finds what was committed since it last
    looked, whatever the order in which transactions began. Only Postgres has rows here.
    """

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    xid: Mapped[int] = mapped_column(BigInteger, index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    entity: Mapped[str] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(64))
