"""Alembic's environment: one transaction, one advisory lock, a bounded wait for table locks."""

from alembic import context
from sqlalchemy import create_engine, pool, text

#: "erp migrations" as a number; transaction-level, so that a pooler in between could not leak it.
_LOCK = 4_918_261_337


def _url(dsn: str) -> str:
    return dsn.replace("postgresql://", "postgresql+psycopg://", 1)


def run() -> None:
    engine = create_engine(_url(context.config.attributes["dsn"]), poolclass=pool.NullPool)
    with engine.connect() as connection, connection.begin():
        connection.execute(text("SET LOCAL statement_timeout = '120s'"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        connection.execute(text("SET LOCAL lock_timeout = '2s'"))
        context.configure(connection=connection, transactional_ddl=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
