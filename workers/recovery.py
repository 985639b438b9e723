"""In-doubt distributed transactions: found by the leader, resolved from the decision log, told to the metrics."""

from db.two_phase import TwoPhase
from db.two_phase_recovery import Findings, Recovery
from fleet.logging import get_logger
from fleet.metrics import (
    two_phase_oldest_seconds,
    two_phase_prepared,
    two_phase_recovered_total,
    two_phase_unreachable,
)

log = get_logger("workers.recovery")


class InDoubt:
    """One pass resolves and measures. Any number may run; only the leader does."""

    def __init__(self, two_phase: TwoPhase, *, grace: float) -> None:
        self._recovery = Recovery(two_phase, grace=grace)
        self._databases = tuple(two_phase.direct)

    async def resolve(self) -> bool:
        """Whether something was resolved, so that another pass may find more.

        Errors: those of the log's database; what the others have prepared is told all the same.
        """
        findings = await self._recovery.run(self._tell)
        two_phase_recovered_total.at("committed").inc(findings.committed)
        two_phase_recovered_total.at("aborted").inc(findings.aborted)
        if findings.acted:
            log.warning("in-doubt transactions resolved", committed=findings.committed, aborted=findings.aborted)
        return findings.acted

    def forget(self) -> None:
        """Old news is none."""
        for name in self._databases:
            for gauge in (two_phase_prepared, two_phase_oldest_seconds, two_phase_unreachable):
                gauge.forget(name)

    @staticmethod
    def _tell(findings: Findings) -> None:
        for name, prepared in findings.prepared.items():
            two_phase_prepared.at(name).set(len(prepared))
            two_phase_oldest_seconds.at(name).set(max((one.age for one in prepared), default=0.0))
            two_phase_unreachable.at(name).set(0)
        for name in findings.absent:
            two_phase_unreachable.at(name).set(1)
