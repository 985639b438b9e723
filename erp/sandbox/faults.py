"""What the sandbox provider is told to do wrong, and how often."""

from typing import Literal

from msgspec import Struct

#: fail: 500 without doing it. fail_after: does it, answers 500. decline: refuses it for good. hang: neither does
#: it nor answers. late: does it, answers after `seconds`. late_effect: does it only then. twice: does it and answers
#: twice. drop: does it, then breaks the connection.
Mode = Literal["fail", "fail_after", "decline", "hang", "late", "late_effect", "twice", "drop"]


class Fault(Struct, forbid_unknown_fields=True):
    """Applies to the next `times` matching requests; operation and payment match anything when empty."""

    mode: Mode
    operation: str = ""
    payment: str = ""
    seconds: float = 60.0
    times: int = 1
    #: Whether looking keys up goes wrong instead of doing.
    looking: bool = False


class Faults:
    def __init__(self) -> None:
        self._told: list[Fault] = []

    def tell(self, fault: Fault) -> None:
        self._told.append(fault)

    def clear(self) -> None:
        self._told.clear()

    def take(self, operation: str, payment: str, *, looking: bool = False) -> Fault | None:
        for fault in self._told:
            if fault.looking == looking and fault.operation in ("", operation) and fault.payment in ("", payment):
                fault.times -= 1
                if fault.times <= 0:
                    self._told.remove(fault)
                return fault
        return None
