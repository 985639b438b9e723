"""The one collection of table descriptions."""

from sqlalchemy import MetaData

metadata = MetaData()
