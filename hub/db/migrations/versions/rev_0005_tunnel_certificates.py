"""From where the gateway of a tunnel came: what a certificate for it is good from.

Revision: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("sessions") as table:
        table.add_column(
            sa.Column("gateway_address", sa.String(length=64), server_default="", nullable=False)
        )
