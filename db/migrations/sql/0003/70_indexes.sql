-- Hardly any document has an external id: those without one need no entry. Each costs 70 to 80 bytes of WAL and its
-- replay on every standby, with each update that changes another index too. The names stay: refusals are known by them.
ALTER TABLE sales_orders DROP CONSTRAINT sales_orders_external_id_key;
CREATE UNIQUE INDEX sales_orders_external_id_key ON sales_orders (tenant_id, external_id) WHERE external_id IS NOT NULL;
ALTER TABLE deliveries DROP CONSTRAINT deliveries_external_id_key;
CREATE UNIQUE INDEX deliveries_external_id_key ON deliveries (tenant_id, external_id) WHERE external_id IS NOT NULL;
ALTER TABLE invoices DROP CONSTRAINT invoices_external_id_key;
CREATE UNIQUE INDEX invoices_external_id_key ON invoices (tenant_id, external_id) WHERE external_id IS NOT NULL;
ALTER TABLE payments DROP CONSTRAINT payments_external_id_key;
CREATE UNIQUE INDEX payments_external_id_key ON payments (tenant_id, external_id) WHERE external_id IS NOT NULL;
ALTER TABLE reservations DROP CONSTRAINT reservations_external_id_key;
CREATE UNIQUE INDEX reservations_external_id_key ON reservations (tenant_id, external_id) WHERE external_id IS NOT NULL;
ALTER TABLE journal_entries DROP CONSTRAINT journal_entries_external_id_key;
CREATE UNIQUE INDEX journal_entries_external_id_key ON journal_entries (tenant_id, external_id) WHERE external_id IS NOT NULL;
