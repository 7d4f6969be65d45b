"""What Alembic runs for each command: the migrations, on the connection it was given."""

from __future__ import annotations

from alembic import context

from healtharchive.model.tables_operation import metadata

# `schema.upgrade` and `schema.downgrade` own the connection and its transaction.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    compare_type=True,
    compare_server_default=True,
    transactional_ddl=False,  # Alembic must not begin one of its own
)
context.run_migrations()
