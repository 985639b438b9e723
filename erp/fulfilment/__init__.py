"""Fulfilling orders over several steps, some of which others do. Whoever imports it knows its configuration keys."""

from erp.fulfilment.keys import AUTOMATIC_INVOICING as AUTOMATIC_INVOICING
