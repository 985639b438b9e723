"""Before a period is closed: what would hinder it. Importing it declares its keys."""

from erp.closing.keys import MONTHLY as MONTHLY
