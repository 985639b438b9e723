-- POST /v1/sales-orders with `confirm`: what to sell is read, levels are locked, order and reservations are written.
\startpipeline
SELECT set_config('app.tenant_id', :tenant, true), set_config('statement_timeout', '5000', true),
    set_config('lock_timeout', '2000', true);
SELECT locations.id, locations.warehouse_id, locations.code, locations.name, locations.is_default, locations.active
FROM locations
WHERE locations.tenant_id = :tenant::uuid
    AND CASE WHEN NULL::uuid IS NULL THEN locations.is_default ELSE locations.id = NULL::uuid END;
SELECT parties.id, parties.code, parties.name, parties.is_customer, parties.is_supplier, parties.active,
    parties.payment_terms_days, parties.credit_limit
FROM parties
WHERE parties.tenant_id = :tenant::uuid AND parties.id = :party::uuid;
SELECT products.id, products.code, products.name, products.kind, units.code, units.decimals, products.active,
    products.sale_price, products.tax_group_id, (
        SELECT tax_rates.rate FROM tax_rates
        WHERE tax_rates.tenant_id = :tenant::uuid AND tax_rates.valid_from <= :today::date
            AND (tax_rates.valid_to IS NULL OR tax_rates.valid_to >= :today::date)
            AND tax_rates.tax_group_id = products.tax_group_id
        ORDER BY tax_rates.valid_from DESC LIMIT 1)
FROM products JOIN units ON units.tenant_id = products.tenant_id AND units.id = products.unit_id
WHERE products.tenant_id = :tenant::uuid AND products.id = any(:sorted::uuid[]);
SELECT product_units.product_id, units.code, product_units.numerator, product_units.denominator
FROM product_units JOIN units ON units.tenant_id = product_units.tenant_id AND units.id = product_units.unit_id
WHERE product_units.tenant_id = :tenant::uuid AND product_units.product_id = any(:sorted::uuid[])
UNION ALL
SELECT products.id, units.code, 1::bigint, 1::bigint
FROM products JOIN units ON units.tenant_id = products.tenant_id AND units.id = products.unit_id
WHERE products.tenant_id = :tenant::uuid AND products.id = any(:sorted::uuid[]);
SELECT price_list_items.product_id, price_list_items.min_quantity, price_list_items.unit_price,
    price_list_items.valid_from, price_list_items.valid_to, price_lists.id, price_lists.code
FROM parties
JOIN price_lists ON price_lists.tenant_id = parties.tenant_id AND price_lists.id = parties.price_list_id
    AND price_lists.active
JOIN price_list_items ON price_list_items.tenant_id = price_lists.tenant_id
    AND price_list_items.price_list_id = price_lists.id
WHERE parties.tenant_id = :tenant::uuid AND parties.id = :party::uuid
    AND price_list_items.product_id = any(:sorted::uuid[]) AND price_list_items.valid_from <= :today::date
    AND (price_list_items.valid_to IS NULL OR price_list_items.valid_to >= :today::date);
\endpipeline
\startpipeline
BEGIN;
SELECT set_config('app.tenant_id', :tenant, true), set_config('statement_timeout', '5000', true),
    set_config('lock_timeout', '2000', true);
SELECT pg_advisory_xact_lock(:key::bigint);
SELECT idempotency_keys.fingerprint, idempotency_keys.status, idempotency_keys.body, idempotency_keys.headers
FROM idempotency_keys
WHERE idempotency_keys.tenant_id = :tenant::uuid AND idempotency_keys.principal_id = :principal::uuid
    AND idempotency_keys.key = :run || '-create-' || :key;
SELECT stock_levels.product_id, stock_levels.location_id, stock_levels.id, stock_levels.on_hand,
    stock_levels.reserved, stock_levels.version, products.reorder_point
FROM stock_levels
JOIN products ON products.tenant_id = stock_levels.tenant_id AND products.id = stock_levels.product_id
WHERE stock_levels.tenant_id = :tenant::uuid AND (stock_levels.product_id, stock_levels.location_id) IN (
    SELECT asked.products, asked.locations
    FROM unnest(:sorted::uuid[], :locations::uuid[]) AS asked (products, locations))
ORDER BY stock_levels.product_id, stock_levels.location_id FOR NO KEY UPDATE OF stock_levels;
\endpipeline
\startpipeline
INSERT INTO sales_orders (
    tenant_id, id, number, state, party_id, location_id, date, currency, prices_include_tax, tax_rounding,
    payment_terms_days, net, tax, gross, line_count, reference, text, cancel_reason, direct, external_id,
    confirmed_at, version, created_at)
VALUES (
    :tenant::uuid, (:order || :key)::uuid, 'SB-' || :run || '-' || :key, 'confirmed', :party::uuid,
    :location::uuid, :today::date, 'GBP', false, 'line', 30, :net::numeric, :tax::numeric, :gross::numeric,
    :lines::integer, '', '', '', false, NULL, now(), 1, now());
INSERT INTO sales_order_lines (
    tenant_id, order_id, id, line_no, product_id, kind, description, quantity, unit_code, base_quantity,
    unit_price, discount_percent, tax_group_id, tax_rate, net, tax, gross, cancelled, delivered, returned)
SELECT :tenant::uuid, (:order || :key)::uuid, new.*
FROM unnest(
    (ARRAY[(:line1 || :key)::uuid, (:line2 || :key)::uuid, (:line3 || :key)::uuid])[1 : :lines::integer],
    :line_nos::integer[], :products::uuid[], :kinds::text[], :names::text[], :quantities::numeric[],
    :units::text[], :quantities::numeric[], :prices::numeric[], :zeros::numeric[], :tax_groups::uuid[],
    :rates::numeric[], :nets::numeric[], :taxes::numeric[], :grosses::numeric[], :zeros::numeric[],
    :zeros::numeric[], :zeros::numeric[]) AS new;
UPDATE stock_levels
SET on_hand = stock_levels.on_hand + moved.on_hands, reserved = stock_levels.reserved + moved.reserveds,
    version = stock_levels.version + 1
FROM unnest(:sorted::uuid[], :locations::uuid[], :zeros::numeric[], :sorted_quantities::numeric[])
    AS moved (products, locations, on_hands, reserveds)
WHERE stock_levels.tenant_id = :tenant::uuid AND stock_levels.product_id = moved.products
    AND stock_levels.location_id = moved.locations;
INSERT INTO reservations (
    tenant_id, expires_at, source_type, source_id, reference, created_at, id, product_id, location_id,
    quantity, open_quantity, source_line_id, external_id)
SELECT
    :tenant::uuid, now() + interval '3 days', 'sales_order', (:order || :key)::uuid,
    'SB-' || :run || '-' || :key, now(), new.ids, new.products, new.locations, new.quantities,
    new.quantities, new.source_lines, NULL
FROM unnest(
    (ARRAY[(:hold1 || :key)::uuid, (:hold2 || :key)::uuid, (:hold3 || :key)::uuid])[1 : :lines::integer],
    :products::uuid[], :locations::uuid[], :quantities::numeric[],
    (ARRAY[(:line1 || :key)::uuid, (:line2 || :key)::uuid, (:line3 || :key)::uuid])[1 : :lines::integer])
    AS new (ids, products, locations, quantities, source_lines);
INSERT INTO idempotency_keys (tenant_id, principal_id, key, fingerprint, status, body, headers)
VALUES (
    :tenant::uuid, :principal::uuid, :run || '-create-' || :key, sha256(:key::text::bytea), 201,
    :body_1::bytea, :headers_1::jsonb) ON CONFLICT DO NOTHING;
INSERT INTO events (
    tenant_id, event_id, aggregate_type, aggregate_id, version, type, data, principal_id, correlation_id,
    causation_id, traceparent, occurred_at)
SELECT :tenant::uuid, new.*, :principal::uuid, md5(:key::text), NULL, NULL, now()
FROM unnest(
    ARRAY[(:run || '-7100-8000-' || :key)::uuid], ARRAY['sales_order'], ARRAY[(:order || :key)::uuid],
    ARRAY[1], ARRAY['sales_order.confirmed'], ARRAY[:event_sales_order_confirmed::jsonb]) AS new;
INSERT INTO audit_entries (
    tenant_id, id, action, target_type, target_id, before, after, at, principal_id, principal_kind,
    principal_name, address, correlation_id)
SELECT :tenant::uuid, new.*, now(), :principal::uuid, 'api_key', 'Client 0', '127.0.0.1', md5(:key::text)
FROM unnest(
    ARRAY[(:run || '-7101-8000-' || :key)::uuid], ARRAY['sales_order.confirmed'], ARRAY['sales_order'],
    ARRAY[(:order || :key)::uuid], ARRAY[NULL::jsonb], ARRAY[:after_sales_order_confirmed::jsonb]) AS new;
COMMIT;
SELECT pg_current_wal_insert_lsn()::text;
\endpipeline
