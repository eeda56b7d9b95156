"""Alembic's environment: always over a connection given by `alphapanda.ledger.migrate`, inside its transaction."""

from alembic import context

import alphapanda.brokers.paper.tables  # noqa: F401 - registers its tables with Base
from alphapanda.ledger.models import Base

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("run migrations with `alphapanda bootstrap`, which supplies the connection")
context.configure(connection=connection, target_metadata=Base.metadata, compare_type=True, compare_server_default=True)
context.run_migrations()
