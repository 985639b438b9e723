"""Refusals about schedules."""

from db.constraints import on_violation
from db.errors import DomainError, Duplicate


class ScheduleTooFrequent(DomainError):
    """The schedule would run more than twelve times in an hour.

    Fix: name at most twelve minutes, such as `*/5`.
    """

    code = "schedule-too-frequent"
    title = "The schedule runs too often"
    status = 422


class ScheduleOfRecord(DomainError):
    """The schedule belongs to another record, which changes and removes it.

    Fix: change the record that `parameters` names, such as the recurring order.
    """

    code = "schedule-of-record"
    title = "The schedule belongs to another record"


on_violation("schedules_name_key", Duplicate, fields=["name"], pointer="/name")
