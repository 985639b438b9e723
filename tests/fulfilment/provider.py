"""The sandbox provider as a process of its own, and what tests tell and ask it."""

import sys
import time
from pathlib import Path
from typing import Any

import httpx

from deploy.local.ports import free_port
from deploy.local.processes import Program, Running, await_ready, start

ROOT = Path(__file__).parents[2]


class Provider:
    """One sandbox on one ledger file; it can be killed and started again on it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.control = httpx.Client(base_url=self.url, timeout=10, trust_env=False)
        environment = {"ERP_SANDBOX_PORT": str(self.port), "ERP_SANDBOX_LEDGER": str(folder / "payments.sqlite3")}
        command = (sys.executable, "-m", "erp.sandbox.payments")
        self._program = Program("sandbox", command, folder / "sandbox.log", ROOT, environment)
        self.running: Running = self.start()

    def start(self) -> Running:
        self.running = start(self._program)
        await_ready(self.running, self._ready, 20.0)
        return self.running

    def end(self) -> None:
        self.running.sweep()
        self.control.close()

    def tell(self, mode: str, **fault: Any) -> None:
        assert self.control.post("/v1/faults", json={"mode": mode, **fault}).status_code == 201

    def behave(self) -> None:
        assert self.control.delete("/v1/faults").is_success

    def operations(self, account: str, payment: str = "") -> list[dict[str, Any]]:
        found = self.control.get("/v1/operations", params={"account": account}).json()
        return [one for one in found if payment in ("", one["payment"])]

    def until_repeated(self, account: str, payment: str, operation: str) -> None:
        """Until the operation has been asked for a second time."""
        deadline = time.monotonic() + 20
        while not any(
            one["operation"] == operation and one["asked"] > 1 for one in self.operations(account, payment)
        ):
            assert time.monotonic() < deadline, f"{operation} was asked for once only"

    def _ready(self) -> bool:
        try:
            return self.control.get("/health/ready").is_success
        except httpx.HTTPError:
            return False
