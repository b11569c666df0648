"""Runs the revisions on the connection that `migrate` hands over; the transaction is whole on both databases."""

from alembic import context

from headrace.core.schema.columns import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
if connection.dialect.name == "sqlite":
    # A batch rebuild with foreign keys on would drop the parent table, and cascades would empty its children.
    connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
else:
    connection.exec_driver_sql("SET LOCAL lock_timeout='5s'")
with context.begin_transaction():
    context.run_migrations()
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise RuntimeError(f"the migration would leave rows without their parents: {broken[:5]}")
connection.commit()
if connection.dialect.name == "sqlite":
    connection.exec_driver_sql("PRAGMA foreign_keys=ON")
