"""When to buy what: rules per product and warehouse, and what they propose. Importing it declares its keys."""

from erp.reordering.keys import NIGHTLY as NIGHTLY
