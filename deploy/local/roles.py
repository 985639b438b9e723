"""The login roles of the database: who owns the schema, who serves requests, who serves the platform."""

from typing import Any

import psycopg
from psycopg import sql

from deploy.local.credentials import Credentials
from deploy.local.postgres import REPLICATION_ROLE, PostgresServer

DATABASE = "erp"
#: For tenants placed beside the first database. Here in the same cluster; to the application it is another server.
SECOND = "erp_second"
PLAIN = "LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE"


def create_roles(primary: PostgresServer, credentials: Credentials) -> None:
    """The roles and the database, once; at later starts only the passwords are set to the kept ones.

    erp_owner owns the database and runs migrations. erp_app is what requests run as: it owns nothing, so row
    security binds it. erp_platform serves the coordinator and operator routes; row security binds it too.
    """
    passwords = {
        REPLICATION_ROLE: credentials.replication,
        "erp_owner": credentials.erp_owner,
        "erp_app": credentials.erp_app,
        "erp_platform": credentials.erp_platform,
    }
    with primary.connect(credentials.superuser) as session:
        session.execute("SET synchronous_commit = local")  # no standby may be there yet to confirm
        known = {name for (name,) in session.execute("SELECT rolname FROM pg_roles").fetchall()}
        for role, password in passwords.items():
            if role not in known:
                session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
            _settle(session, role, password)
        for database in (DATABASE, SECOND):
            _create_database(session, database)


def _settle(session: "psycopg.Connection[tuple[Any, ...]]", role: str, password: str) -> None:
    kind = "REPLICATION" if role == REPLICATION_ROLE else "NOREPLICATION"
    session.execute(
        sql.SQL("ALTER ROLE {} {} {} PASSWORD {}").format(
            sql.Identifier(role), sql.SQL(PLAIN), sql.SQL(kind), sql.Literal(password)
        )
    )


def _create_database(session: "psycopg.Connection[tuple[Any, ...]]", database: str) -> None:
    if session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchall():
        return
    name = sql.Identifier(database)
    session.execute(sql.SQL("CREATE DATABASE {} OWNER erp_owner TEMPLATE template0").format(name))
    session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    session.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO erp_app, erp_platform").format(name))
