"""Posting: the number, the ledger entry and the open item of an invoice, in one transaction."""
