"""Two Redis (or Valkey) servers: `core` must not forget (queue, locks, sessions), `cache` may."""

from dataclasses import dataclass
from pathlib import Path

import redis

from deploy.local.accounts import Account
from deploy.local.credentials import write_private
from deploy.local.processes import Program

QUEUE, CACHE, LOCKS, SESSIONS = 0, 1, 2, 3

# The eviction policy is one per server, hence two servers: a full cache drops entries, a full queue refuses.
CORE = """\
maxmemory 256mb
maxmemory-policy noeviction
appendonly yes
appendfsync everysec
save ""
"""
CACHE_ONLY = """\
maxmemory 128mb
maxmemory-policy allkeys-lru
appendonly no
save ""
"""


@dataclass(frozen=True, slots=True)
class RedisServer:
    """One server with its own folder and port."""

    name: str
    folder: Path
    port: int
    log: Path
    binary: Path
    account: Account | None
    password: str
    durable: bool
    #: A Unix socket beside the port: some 10 us less of each side's time for a round trip.
    socket: Path | None = None

    def url(self, database: int) -> str:
        if self.socket is not None:
            return f"unix://:{self.password}@{self.socket}?db={database}"
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def configure(self) -> None:
        """Write the configuration; the password is in the file, not on a command line others can list."""
        text = (
            f"bind 127.0.0.1\nport {self.port}\nprotected-mode yes\ndaemonize no\ndatabases 16\n"
            f'dir "{self.folder}"\nrequirepass {self.password}\ntcp-keepalive 60\n'
            + ("" if self.socket is None else f'unixsocket "{self.socket}"\nunixsocketperm 777\n')
            + (CORE if self.durable else CACHE_ONLY)
        )
        write_private(self._configuration, text)
        if self.account is not None:
            self.account.owns(self._configuration)

    def program(self) -> Program:
        return Program(
            name=self.name,
            command=(str(self.binary), str(self._configuration)),
            log=self.log,
            folder=self.folder,
            account=self.account,
        )

    def accepts(self) -> bool:
        """True when the server answers PING (it refuses while it still loads its file)."""
        client = redis.Redis.from_url(self.url(0), socket_timeout=1.0, socket_connect_timeout=1.0)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    @property
    def _configuration(self) -> Path:
        return self.folder / "redis.conf"
