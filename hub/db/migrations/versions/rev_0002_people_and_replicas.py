"""Keys, groups and removal of users; versions and a journal for several hubs on one database.

Revision: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add them; `hub.db.models` says what each is for."""
    _more_columns()
    _sessions_that_outlive_their_server()
    op.create_table(
        "ssh_keys",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_ssh_keys_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ssh_keys")),
        sa.UniqueConstraint("user_id", "fingerprint", name=op.f("uq_ssh_keys_user_id_fingerprint")),
    )
    op.create_table(
        "groups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_groups")),
        sa.UniqueConstraint("name", name=op.f("uq_groups_name")),
    )
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["groups.id"],
            name=op.f("fk_group_members_group_id_groups"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_group_members_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("pk_group_members")),
    )
    op.create_index(op.f("ix_group_members_user_id"), "group_members", ["user_id"], unique=False)
    op.create_table(
        "changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("xid", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("entity", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_changes")),
    )
    op.create_index(op.f("ix_changes_at"), "changes", ["at"], unique=False)
    op.create_index(op.f("ix_changes_xid"), "changes", ["xid"], unique=False)


def _more_columns() -> None:
    """Added in place: to copy a table that others refer to would empty those (SQLite cascades)."""
    no, one = sa.false(), sa.text("1")
    op.add_column("users", sa.Column("enrolled", sa.Boolean(), nullable=False, server_default=no))
    op.add_column("users", sa.Column("removing", sa.Boolean(), nullable=False, server_default=no))
    op.add_column("users", sa.Column("version", sa.Integer(), nullable=False, server_default=one))
    op.add_column("servers", sa.Column("deleting", sa.Boolean(), nullable=False, server_default=no))
    op.add_column("servers", sa.Column("version", sa.Integer(), nullable=False, server_default=one))
    # Who is an admin by the configuration is not written down any more.
    op.execute(sa.update(sa.table("users", sa.column("admin"))).values(admin=sa.false()))


def _sessions_that_outlive_their_server() -> None:
    old = op.f("fk_sessions_server_id_servers")
    with op.batch_alter_table("sessions") as sessions:
        sessions.add_column(sa.Column("end_message", sa.Text(), nullable=True))
        sessions.alter_column("server_id", existing_type=sa.String(length=36), nullable=True)
        sessions.drop_constraint(old, type_="foreignkey")
        sessions.create_foreign_key(old, "servers", ["server_id"], ["id"], ondelete="SET NULL")
