"""Import of the UCI "Online Retail" format: a wholesaler's sales as one line per document line."""
