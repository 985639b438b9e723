"""Schema migrations: `migrate(dsn)` brings a database to this build's schema, from any number of callers."""

from pathlib import Path

from alembic import command
from alembic.config import Config

HERE = Path(__file__).parent


def alembic_config(dsn: str = "") -> Config:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.attributes["dsn"] = dsn
    return config


def migrate(dsn: str) -> None:
    """Upgrade to the newest revision over a direct (unpooled) connection as the schema's owner.

    Several instances may call this at once: one works, the others wait for it (an advisory lock of the
    transaction). Each statement waits at most `lock_timeout` for a table lock, so that a migration never
    queues the live traffic behind itself; on expiry it fails whole and may be run again.
    """
    command.upgrade(alembic_config(dsn), "head")
