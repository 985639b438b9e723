"""Statements behind the operation of instances."""

from sqlalchemy import Text, bindparam, cast, func, select

from db.statement import Statement

#: Until the transaction ends, whoever else asks for the same role waits. 41: a number space of its own.
ALONE: Statement[tuple[None]] = Statement(
    select(func.pg_advisory_xact_lock(func.hashtextextended(cast(bindparam("role"), Text), 41)))
)
