"""The state directory: everything a local fleet keeps, outside the repository."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from deploy.local.accounts import Account
from deploy.local.errors import LocalFleetError

ROOT_STATE = Path("/var/lib/erp-local")  # root's own home is closed to the account the servers run as
MARKER = "erp-local-state"


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below one state directory."""

    root: Path

    @property
    def credentials(self) -> Path:
        return self.root / "credentials.json"

    @property
    def status(self) -> Path:
        return self.root / "status.json"

    @property
    def lock(self) -> Path:
        return self.root / "supervisor.lock"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def copies(self) -> Path:
        return self.root / "binaries"

    @property
    def certificate(self) -> Path:
        """What a client trusts to talk to the local load balancer."""
        return self.root / "local-ca.pem"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def create(self, account: Account | None) -> None:
        """Make the directory. Raises LocalFleetError where the servers' account could not reach it."""
        self.root.mkdir(parents=True, exist_ok=True)
        self.root.chmod(0o711 if account is not None else 0o700)
        if account is not None and not all(account.can_pass(one) for one in self.root.resolve().parents):
            raise LocalFleetError(
                f"{self.root} lies in a folder that the account {account.name!r} cannot enter, and "
                "PostgreSQL does not run as root. "
                f"Set ERP_STATE_DIR to a place everyone may pass through, like {ROOT_STATE}."
            )
        (self.root / MARKER).touch()
        for folder, mode in ((self.logs, 0o711), (self.copies, 0o755)):
            folder.mkdir(exist_ok=True)
            folder.chmod(mode)

    def folder(self, name: str, account: Account | None) -> Path:
        """A private folder of one server."""
        folder = self.root / name
        folder.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            account.owns(folder)
        return folder

    def doors(self, account: Account | None) -> Path:
        """Where servers put Unix sockets for the processes of other accounts; each asks for a password."""
        folder = self.folder("doors", account)
        folder.chmod(0o711)
        return folder

    def delete(self) -> None:
        """Remove everything; refuses a directory this module did not create."""
        if not self.root.exists():
            return
        if not (self.root / MARKER).exists():
            raise LocalFleetError(f"{self.root} is not a state directory of the local fleet; nothing was deleted.")
        for entry in self.root.iterdir():
            if entry.name == MARKER:
                continue  # last, so that a deletion which was interrupted can be repeated
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        shutil.rmtree(self.root)


def state_layout() -> Layout:
    """ERP_STATE_DIR, else /var/lib/erp-local for root, else ~/.local/state/erp."""
    named = os.environ.get("ERP_STATE_DIR")
    if named:
        return Layout(Path(named).expanduser().absolute())
    if os.geteuid() == 0:
        return Layout(ROOT_STATE)
    base = os.environ.get("XDG_STATE_HOME")
    return Layout((Path(base) if base else Path.home() / ".local" / "state") / "erp")
