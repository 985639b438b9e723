-- The list a party's prices come from. Programs that do not know the column leave it as it is.
ALTER TABLE parties ADD COLUMN price_list_id uuid;
ALTER TABLE parties ADD CONSTRAINT parties_price_list
    FOREIGN KEY (tenant_id, price_list_id) REFERENCES price_lists (tenant_id, id);
CREATE INDEX parties_by_price_list ON parties (tenant_id, price_list_id, id) WHERE price_list_id IS NOT NULL;
