"""Sessions that are tunnels, and which token has opened each.

Revision: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("sessions") as table:
        table.add_column(
            sa.Column("kind", sa.String(length=16), server_default="relay", nullable=False)
        )
        table.add_column(sa.Column("token_id", sa.String(length=36), nullable=True))
        table.create_index(op.f("ix_sessions_token_id"), ["token_id"], unique=False)
