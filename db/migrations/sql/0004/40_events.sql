-- What verifications found is counted across tenants for the alert, and dropped when it is old.
GRANT SELECT, DELETE ON event_verifications TO erp_platform;
CREATE POLICY platform_crossing ON event_verifications TO erp_platform USING (true) WITH CHECK (true);
CREATE INDEX event_verifications_differing ON event_verifications (kind, tenant_id) WHERE state = 'differs';
CREATE INDEX event_verifications_created ON event_verifications (created_at);
