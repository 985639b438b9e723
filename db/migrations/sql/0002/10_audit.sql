-- The audit trail is read by record, by principal, by action and by kind of record, always in the order of time:
-- each page is a piece of one index.

DROP INDEX audit_entries_by_target;
CREATE INDEX audit_entries_by_target ON audit_entries (tenant_id, target_id, at, id);
CREATE INDEX audit_entries_by_principal ON audit_entries (tenant_id, principal_id, at, id);
CREATE INDEX audit_entries_by_action ON audit_entries (tenant_id, action, at, id);
CREATE INDEX audit_entries_by_target_type ON audit_entries (tenant_id, target_type, at, id);
