"""Refusals about reorder rules."""

from db.constraints import on_violation
from db.errors import Duplicate

on_violation("reorder_rules_product_key", Duplicate, fields=["product_id", "location_id"], pointer="/product_id")
