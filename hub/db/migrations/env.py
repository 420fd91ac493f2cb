"""What Alembic runs: always within a connection that `hub.db.migrate` or a test hands over."""

from alembic import context

from kworkspace.hub.db.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
