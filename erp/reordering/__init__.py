"""When to buy what: rules per product and warehouse, and the purchases they propose."""
