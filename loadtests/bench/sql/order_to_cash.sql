-- Order to cash in six requests: create, confirm, deliver, invoice, post, pay; each its own transaction.

-- 1. POST /v1/sales-orders
\startpipeline
BEGIN;
SELECT set_config('app.tenant_id', :tenant, true), set_config('statement_timeout', '5000', true),
    set_config('lock_timeout', '2000', true);
SELECT pg_advisory_xact_lock(:key::bigint);
SELECT idempotency_keys.fingerprint, idempotency_keys.status, idempotency_keys.body, idempotency_keys.headers
FROM idempotency_keys
WHERE idempotency_keys.tenant_id = :tenant::uuid AND idempotency_keys.principal_id = :principal::uuid
    AND idempotency_keys.key = :run || '-create-' || :key;
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
INSERT INTO sales_orders (
    tenant_id, id, number, state, party_id, location_id, date, currency, prices_include_tax, tax_rounding,
    payment_terms_days, net, tax, gross, line_count, reference, text, cancel_reason, direct, external_id,
    confirmed_at, version, created_at)
VALUES (
    :tenant::uuid, (:order || :key)::uuid, 'SB-' || :run || '-' || :key, 'draft', :party::uuid,
    :location::uuid, :today::date, 'GBP', false, 'line', 30, :net::numeric, :tax::numeric, :gross::numeric,
    :lines::integer, '', '', '', false, NULL, NULL, 1, now());
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
INSERT INTO idempotency_keys (tenant_id, principal_id, key, fingerprint, status, body, headers)
VALUES (
    :tenant::uuid, :principal::uuid, :run || '-create-' || :key, sha256(:key::text::bytea), 201,
    :body_1::bytea, :headers_1::jsonb) ON CONFLICT DO NOTHING;
INSERT INTO events (
    tenant_id, event_id, aggregate_type, aggregate_id, version, type, data, principal_id, correlation_id,
    causation_id, traceparent, occurred_at)
SELECT :tenant::uuid, new.*, :principal::uuid, md5(:key::text), NULL, NULL, now()
FROM unnest(
    ARRAY[(:run || '-7102-8000-' || :key)::uuid], ARRAY['sales_order'], ARRAY[(:order || :key)::uuid],
    ARRAY[1], ARRAY['sales_order.created'], ARRAY[:event_sales_order_created::jsonb]) AS new;
INSERT INTO audit_entries (
    tenant_id, id, action, target_type, target_id, before, after, at, principal_id, principal_kind,
    principal_name, address, correlation_id)
SELECT :tenant::uuid, new.*, now(), :principal::uuid, 'api_key', 'Client 0', '127.0.0.1', md5(:key::text)
FROM unnest(
    ARRAY[(:run || '-7103-8000-' || :key)::uuid], ARRAY['sales_order.created'], ARRAY['sales_order'],
    ARRAY[(:order || :key)::uuid], ARRAY[NULL::jsonb], ARRAY[:after_sales_order_created::jsonb]) AS new;
COMMIT;
SELECT pg_current_wal_insert_lsn()::text;
\endpipeline

-- 2. POST /v1/sales-orders/{id}/confirm
\startpipeline
SELECT set_config('app.tenant_id', :tenant, true), set_config('statement_timeout', '5000', true),
    set_config('lock_timeout', '2000', true);
SELECT
    sales_orders.id, sales_orders.number, sales_orders.state, sales_orders.party_id, sales_orders.location_id,
    sales_orders.date, sales_orders.currency, sales_orders.prices_include_tax, sales_orders.tax_rounding,
    sales_orders.payment_terms_days, sales_orders.net, sales_orders.tax, sales_orders.gross,
    sales_orders.line_count, sales_orders.reference, sales_orders.text, sales_orders.cancel_reason,
    sales_orders.direct, sales_orders.external_id, sales_orders.confirmed_at, sales_orders.version,
    sales_orders.created_at
FROM sales_orders
WHERE sales_orders.tenant_id = :tenant::uuid AND sales_orders.id = (:order || :key)::uuid;
SELECT
    sales_order_lines.id, sales_order_lines.line_no, sales_order_lines.product_id, sales_order_lines.kind,
    sales_order_lines.description, sales_order_lines.quantity, sales_order_lines.unit_code,
    sales_order_lines.base_quantity, sales_order_lines.unit_price, sales_order_lines.discount_percent,
    sales_order_lines.tax_group_id, sales_order_lines.tax_rate, sales_order_lines.net, sales_order_lines.tax,
    sales_order_lines.gross, sales_order_lines.cancelled, sales_order_lines.delivered,
    sales_order_lines.returned
FROM sales_order_lines
WHERE sales_order_lines.tenant_id = :tenant::uuid AND sales_order_lines.order_id = (:order || :key)::uuid
ORDER BY sales_order_lines.line_no;
\endpipeline
\startpipeline
BEGIN;
SELECT set_config('app.tenant_id', :tenant, true), set_config('statement_timeout', '5000', true),
    set_config('lock_timeout', '2000', true);
SELECT pg_advisory_xact_lock(:key::bigint);
SELECT idempotency_keys.fingerprint, idempotency_keys.status, idempotency_keys.body, idempotency_keys.headers
FROM idempotency_keys
WHERE idempotency_keys.tenant_id = :tenant::uuid AND idempotency_keys.principal_id = :principal::uuid
    AND idempotency_keys.key = :run || '-confirm-' || :key;
SELECT
    sales_orders.id, sales_orders.number, sales_orders.state, sales_orders.party_id, sales_orders.location_id,
    sales_orders.date, sales_orders.currency, sales_orders.prices_include_tax, sales_orders.tax_rounding,
    sales_orders.payment_terms_days, sales_orders.net, sales_orders.tax, sales_orders.gross,
    sales_orders.line_count, sales_orders.reference, sales_orders.text, sales_orders.cancel_reason,
    sales_orders.direct, sales_orders.external_id, sales_orders.confirmed_at, sales_orders.version,
    sales_orders.created_at
FROM sales_orders
WHERE sales_orders.tenant_id = :tenant::uuid AND sales_orders.id = (:order || :key)::uuid
FOR NO KEY UPDATE;
SELECT
    sales_order_lines.id, sales_order_lines.line_no, sales_order_lines.product_id, sales_order_lines.kind,
    sales_order_lines.description, sales_order_lines.quantity, sales_order_lines.unit_code,
    sales_order_lines.base_quantity, sales_order_lines.unit_price, sales_order_lines.discount_percent,
    sales_order_lines.tax_group_id, sales_order_lines.tax_rate, sales_order_lines.net, sales_order_lines.tax,
    sales_order_lines.gross, sales_order_lines.cancelled, sales_order_lines.delivered,
    sales_order_lines.returned
FROM sales_order_lines
WHERE sales_order_lines.tenant_id = :tenant::uuid AND sales_order_lines.order_id = (:order || :key)::uuid
ORDER BY sales_order_lines.line_no;
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
UPDATE sales_orders
SET state = 'confirmed', cancel_reason = '', confirmed_at = now(), version = sales_orders.version + 1
WHERE sales_orders.tenant_id = :tenant::uuid AND sales_orders.id = (:order || :key)::uuid;
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
    :tenant::uuid, :principal::uuid, :run || '-confirm-' || :key, sha256(:key::text::bytea), 200,
    :body_2::bytea, :headers_2::jsonb) ON CONFLICT DO NOTHING;
INSERT INTO events (
    tenant_id, event_id, aggregate_type, aggregate_id, version, type, data, principal_id, correlation_id,
    causation_id, traceparent, occurred_at)
SELECT :tenant::uuid, new.*, :principal::uuid, md5(:key::text), NULL, NULL, now()
FROM unnest(
    ARRAY[(:run || '-7104-8000-' || :key)::uuid], ARRAY['sales_order'], ARRAY[(:order || :key)::uuid],
    ARRAY[2], ARRAY['sales_order.confirmed'], ARRAY[:event_sales_order_confirmed::jsonb]) AS new;
INSERT INTO audit_entries (
    tenant_id, id, action, target_type, target_id, before, after, at, principal_id, principal_kind,
    principal_name, address, correlation_id)
SELECT :tenant::uuid, new.*, now(), :principal::uuid, 'api_key', 'Client 0', '127.0.0.1', md5(:key::text)
FROM unnest(
    ARRAY[(:run || '-7105-8000-' || :key)::uuid], ARRAY['sales_order.confirmed'], ARRAY['sales_order'],
    ARRAY[(:order || :key)::uuid], ARRAY[:before_sales_order_confirmed::jsonb],
    ARRAY[:after_sales_order_confirmed::jsonb]) AS new;
COMMIT;
SELECT pg_current_wal_insert_lsn()::text;
\endpipeline

-- 3. POST /v1/sales-orders/{id}/deliveries
\startpipeline
SELECT set_config('app.tenant_id', :tenant, true), set_config('statement_timeout', '5000', true),
    set_config('lock_timeout', '2000', true);
SELECT
    sales_orders.id, sales_orders.number, sales_orders.state, sales_orders.party_id, sales_orders.location_id,
    sales_orders.date, sales_orders.currency, sales_orders.prices_include_tax, sales_orders.tax_rounding,
    sales_orders.payment_terms_days, sales_orders.net, sales_orders.tax, sales_orders.gross,
    sales_orders.line_count, sales_orders.reference, sales_orders.text, sales_orders.cancel_reason,
    sales_orders.direct, sales_orders.external_id, sales_orders.confirmed_at, sales_orders.version,
    sales_orders.created_at
FROM sales_orders
WHERE sales_orders.tenant_id = :tenant::uuid AND sales_orders.id = (:order || :key)::uuid;
SELECT
    sales_order_lines.id, sales_order_lines.line_no, sales_order_lines.product_id, sales_order_lines.kind,
    sales_order_lines.description, sales_order_lines.quantity, sales_order_lines.unit_code,
    sales_order_lines.base_quantity, sales_order_lines.unit_price, sales_order_lines.discount_percent,
    sales_order_lines.tax_group_id, sales_order_lines.tax_rate, sales_order_lines.net, sales_order_lines.tax,
    sales_order_lines.gross, sales_order_lines.cancelled, sales_order_lines.delivered,
    sales_order_lines.returned
FROM sales_order_lines
WHERE sales_order_lines.tenant_id = :tenant::uuid AND sales_order_lines.order_id = (:order || :key)::uuid
ORDER BY sales_order_lines.line_no;
\endpipeline
\startpipeline
BEGIN;
SELECT set_config('app.tenant_id', :tenant, true), set_config('statement_timeout', '5000', true),
    set_config('lock_timeout', '2000', true);
SELECT pg_advisory_xact_lock(:key::bigint);
SELECT idempotency_keys.fingerprint, idempotency_keys.status, idempotency_keys.body, idempotency_keys.headers
FROM idempotency_keys
WHERE idempotency_keys.tenant_id = :tenant::uuid AND idempotency_keys.principal_id = :principal::uuid
    AND idempotency_keys.key = :run || '-deliver-' || :key;
SELECT periods.id, periods.start_date, periods.end_date, EXISTS (
    SELECT FROM periods AS holder
    WHERE holder.tenant_id = :tenant::uuid AND holder.start_date <= :today::date AND holder.end_date >= :today::date)
FROM periods
WHERE periods.tenant_id = :tenant::uuid AND periods.end_date >= :today::date AND periods.state = 'open'
ORDER BY periods.start_date LIMIT 1 FOR SHARE OF periods;
SELECT account_roles.role, account_roles.account_code FROM account_roles
WHERE account_roles.tenant_id = :tenant::uuid;
SELECT
    sales_orders.id, sales_orders.number, sales_orders.state, sales_orders.party_id, sales_orders.location_id,
    sales_orders.date, sales_orders.currency, sales_orders.prices_include_tax, sales_orders.tax_rounding,
    sales_orders.payment_terms_days, sales_orders.net, sales_orders.tax, sales_orders.gross,
    sales_orders.line_count, sales_orders.reference, sales_orders.text, sales_orders.cancel_reason,
    sales_orders.direct, sales_orders.external_id, sales_orders.confirmed_at, sales_orders.version,
    sales_orders.created_at
FROM sales_orders
WHERE sales_orders.tenant_id = :tenant::uuid AND sales_orders.id = (:order || :key)::uuid
FOR NO KEY UPDATE;
SELECT
    sales_order_lines.id, sales_order_lines.line_no, sales_order_lines.product_id, sales_order_lines.kind,
    sales_order_lines.description, sales_order_lines.quantity, sales_order_lines.unit_code,
    sales_order_lines.base_quantity, sales_order_lines.unit_price, sales_order_lines.discount_percent,
    sales_order_lines.tax_group_id, sales_order_lines.tax_rate, sales_order_lines.net, sales_order_lines.tax,
    sales_order_lines.gross, sales_order_lines.cancelled, sales_order_lines.delivered,
    sales_order_lines.returned
FROM sales_order_lines
WHERE sales_order_lines.tenant_id = :tenant::uuid AND sales_order_lines.order_id = (:order || :key)::uuid
ORDER BY sales_order_lines.line_no;
SELECT stock_levels.product_id, stock_levels.location_id, stock_levels.id, stock_levels.on_hand,
    stock_levels.reserved, stock_levels.version, products.reorder_point
FROM stock_levels
JOIN products ON products.tenant_id = stock_levels.tenant_id AND products.id = stock_levels.product_id
WHERE stock_levels.tenant_id = :tenant::uuid AND (stock_levels.product_id, stock_levels.location_id) IN (
    SELECT asked.products, asked.locations
    FROM unnest(:sorted::uuid[], :locations::uuid[]) AS asked (products, locations))
ORDER BY stock_levels.product_id, stock_levels.location_id FOR NO KEY UPDATE OF stock_levels;
SELECT product_costs.product_id, product_costs.quantity, product_costs.value, product_costs.last_cost
FROM product_costs
WHERE product_costs.tenant_id = :tenant::uuid AND product_costs.product_id = any(:sorted::uuid[])
ORDER BY product_costs.product_id FOR NO KEY UPDATE;
SELECT
    reservations.id, reservations.product_id, reservations.location_id, reservations.state,
    reservations.quantity, reservations.open_quantity, reservations.expires_at, reservations.source_type,
    reservations.source_id, reservations.source_line_id, reservations.reference, reservations.external_id,
    reservations.closed_at, reservations.version, reservations.created_at
FROM reservations
WHERE reservations.tenant_id = :tenant::uuid AND reservations.source_id = (:order || :key)::uuid
    AND reservations.state = 'active'
ORDER BY reservations.id FOR NO KEY UPDATE;
SELECT daily.product_id, daily.location_id, max(daily.since)
FROM (
    SELECT stock_moves.product_id, stock_moves.location_id, sum(sum(stock_moves.quantity)) OVER (
        PARTITION BY stock_moves.product_id, stock_moves.location_id ORDER BY stock_moves.date DESC) AS since
    FROM stock_moves
    WHERE stock_moves.tenant_id = :tenant::uuid AND stock_moves.date > :today::date
        AND (stock_moves.product_id, stock_moves.location_id) IN (
            SELECT asked.products, asked.locations
            FROM unnest(:sorted::uuid[], :locations::uuid[]) AS asked (products, locations))
    GROUP BY stock_moves.product_id, stock_moves.location_id, stock_moves.date) AS daily
GROUP BY daily.product_id, daily.location_id HAVING max(daily.since) > 0;
-- A request sends these five with the number; what is read by \gset cannot be part of a pipeline.
UPDATE stock_levels
SET on_hand = stock_levels.on_hand + moved.on_hands, reserved = stock_levels.reserved + moved.reserveds,
    version = stock_levels.version + 1
FROM unnest(:sorted::uuid[], :locations::uuid[], :sorted_issued::numeric[], :sorted_issued::numeric[])
    AS moved (products, locations, on_hands, reserveds)
WHERE stock_levels.tenant_id = :tenant::uuid AND stock_levels.product_id = moved.products
    AND stock_levels.location_id = moved.locations;
UPDATE product_costs
SET quantity = product_costs.quantity + moved.quantities, value = product_costs.value + moved.amounts,
    last_cost = moved.lasts, version = product_costs.version + 1
FROM unnest(:sorted::uuid[], :sorted_issued::numeric[], :sorted_values::numeric[], :sorted_costs::numeric[])
    AS moved (products, quantities, amounts, lasts)
WHERE product_costs.tenant_id = :tenant::uuid AND product_costs.product_id = moved.products;
INSERT INTO journal_lines (
    tenant_id, entry_id, date, currency, rate, base_amount, line_no, account_code, amount, party_id,
    product_id, text)
SELECT
    :tenant::uuid, (:entry1 || :key)::uuid, :today::date, 'GBP', 1::numeric, new.amounts, new.line_nos,
    new.accounts, new.amounts, new.parties, new.products, new.texts
FROM unnest(
    ARRAY[1, 2, 3, 4], ARRAY[:inventory, :inventory, :inventory, :cogs], :cost_amounts::numeric[],
    ARRAY[NULL, NULL, NULL, NULL]::uuid[], :products::uuid[] || NULL::uuid, ARRAY['', '', '', ''])
    AS new (line_nos, accounts, amounts, parties, products, texts);
INSERT INTO stock_moves (
    tenant_id, date, kind, source_type, source_id, id, product_id, location_id, quantity, value, unit_cost,
    source_line_id, line_no, entry_id)
SELECT
    :tenant::uuid, :today::date, 'delivery', 'delivery', (:delivery || :key)::uuid, new.*,
    (:entry1 || :key)::uuid
FROM unnest(
    ARRAY[(:move1 || :key)::uuid, (:move2 || :key)::uuid, (:move3 || :key)::uuid], :products::uuid[],
    :locations::uuid[], :issued::numeric[], :values::numeric[], :costs::numeric[],
    ARRAY[(:part1 || :key)::uuid, (:part2 || :key)::uuid, (:part3 || :key)::uuid], ARRAY[1, 2, 3]) AS new;
INSERT INTO delivery_lines (
    tenant_id, delivery_id, id, line_no, order_line_id, product_id, quantity, unit_code, base_quantity,
    unit_cost, cost, returned, returned_cost)
SELECT :tenant::uuid, (:delivery || :key)::uuid, new.*
FROM unnest(
    ARRAY[(:part1 || :key)::uuid, (:part2 || :key)::uuid, (:part3 || :key)::uuid], ARRAY[1, 2, 3],
    ARRAY[(:line1 || :key)::uuid, (:line2 || :key)::uuid, (:line3 || :key)::uuid], :products::uuid[],
    :quantities::numeric[], :units::text[], :quantities::numeric[], :costs::numeric[],
    :line_costs::numeric[], :zeros::numeric[], :zeros::numeric[]) AS new;
\endpipeline
INSERT INTO number_series (tenant_id, series, year, prefix, last_number)
SELECT :tenant::uuid, new.series, :year::integer, new.prefixes, new.counts
FROM (
    SELECT * FROM unnest(ARRAY['delivery'], ARRAY['DN'], ARRAY[1::bigint]) AS asked (series, prefixes, counts)
    ORDER BY asked.series) AS new
WHERE pg_advisory_xact_lock(
    hashtextextended(concat(:tenant::uuid::text, '/', :year::integer, '/', new.series), 126879548401011)) IS NOT NULL
ON CONFLICT (tenant_id, series, year) DO UPDATE SET last_number = number_series.last_number + excluded.last_number
RETURNING prefix || '-' || year || '-' || lpad(last_number::text, 6, '0') AS delivery_number \gset
\startpipeline
INSERT INTO journal_entries (
    tenant_id, id, number, journal, period_id, date, document_date, source_type, source_id, text,
    line_count, reverses_id, external_id, created_by, created_at)
VALUES (
    :tenant::uuid, (:entry1 || :key)::uuid, :delivery_number, 'stock', :period::uuid, :today::date,
    :today::date, 'delivery', (:delivery || :key)::uuid, '', 4, NULL, NULL, :principal::uuid, now());
INSERT INTO deliveries (
    tenant_id, id, number, order_id, party_id, location_id, date, accounting_date, cost, line_count,
    entry_id, text, external_id, version, created_at)
VALUES (
    :tenant::uuid, (:delivery || :key)::uuid, :delivery_number, (:order || :key)::uuid, :party::uuid,
    :location::uuid, :today::date, :today::date, :cost::numeric, 3, (:entry1 || :key)::uuid, '', NULL, 1,
    now());
UPDATE reservations
SET state = CASE WHEN reservations.open_quantity - taken.quantities = 0 THEN 'consumed' ELSE reservations.state END,
    open_quantity = reservations.open_quantity - taken.quantities,
    closed_at = CASE WHEN reservations.open_quantity - taken.quantities = 0 THEN now() END,
    version = reservations.version + 1
FROM unnest(
    ARRAY[(:hold1 || :key)::uuid, (:hold2 || :key)::uuid, (:hold3 || :key)::uuid], :quantities::numeric[])
    AS taken (ids, quantities)
WHERE reservations.tenant_id = :tenant::uuid AND reservations.id = taken.ids;
UPDATE sales_orders
SET state = 'delivered', cancel_reason = '', confirmed_at = now(), version = sales_orders.version + 1
WHERE sales_orders.tenant_id = :tenant::uuid AND sales_orders.id = (:order || :key)::uuid;
UPDATE sales_order_lines
SET cancelled = sales_order_lines.cancelled + moved.cancelleds,
    delivered = sales_order_lines.delivered + moved.delivereds,
    returned = sales_order_lines.returned + moved.returneds
FROM unnest(
    ARRAY[(:line1 || :key)::uuid, (:line2 || :key)::uuid, (:line3 || :key)::uuid], :zeros::numeric[],
    :quantities::numeric[], :zeros::numeric[]) AS moved (ids, cancelleds, delivereds, returneds)
WHERE sales_order_lines.tenant_id = :tenant::uuid AND sales_order_lines.id = moved.ids;
INSERT INTO idempotency_keys (tenant_id, principal_id, key, fingerprint, status, body, headers)
VALUES (
    :tenant::uuid, :principal::uuid, :run || '-deliver-' || :key, sha256(:key::text::bytea), 201,
    :body_3::bytea, :headers_3::jsonb) ON CONFLICT DO NOTHING;
INSERT INTO events (
    tenant_id, event_id, aggregate_type, aggregate_id, version, type, data, principal_id, correlation_id,
    causation_id, traceparent, occurred_at)
SELECT :tenant::uuid, new.*, :principal::uuid, md5(:key::text), NULL, NULL, now()
FROM unnest(
    ARRAY[(:run || '-7106-8000-' || :key)::uuid, (:run || '-7107-8000-' || :key)::uuid],
    ARRAY['delivery', 'sales_order'], ARRAY[(:delivery || :key)::uuid, (:order || :key)::uuid], ARRAY[1, 3],
    ARRAY['delivery.posted', 'sales_order.delivered'],
    ARRAY[:event_delivery_posted::jsonb, :event_sales_order_delivered::jsonb]) AS new;
INSERT INTO audit_entries (
    tenant_id, id, action, target_type, target_id, before, after, at, principal_id, principal_kind,
    principal_name, address, correlation_id)
SELECT :tenant::uuid, new.*, now(), :principal::uuid, 'api_key', 'Client 0', '127.0.0.1', md5(:key::text)
FROM unnest(
    ARRAY[(:run || '-7108-8000-' || :key)::uuid, (:run || '-7109-8000-' || :key)::uuid],
    ARRAY['delivery.post', 'sales_order.delivered'], ARRAY['delivery', 'sales_order'],
    ARRAY[(:delivery || :key)::uuid, (:order || :key)::uuid],
    ARRAY[NULL::jsonb, :before_sales_order_delivered::jsonb],
    ARRAY[:after_delivery_post::jsonb, :after_sales_order_delivered::jsonb]) AS new;
COMMIT;
SELECT pg_current_wal_insert_lsn()::text;
\endpipeline

-- 4. POST /v1/sales-orders/{id}/invoices
\startpipeline
BEGIN;
SELECT set_config('app.tenant_id', :tenant, true), set_config('statement_timeout', '5000', true),
    set_config('lock_timeout', '2000', true);
SELECT pg_advisory_xact_lock(:key::bigint);
SELECT idempotency_keys.fingerprint, idempotency_keys.status, idempotency_keys.body, idempotency_keys.headers
FROM idempotency_keys
WHERE idempotency_keys.tenant_id = :tenant::uuid AND idempotency_keys.principal_id = :principal::uuid
    AND idempotency_keys.key = :run || '-invoice-' || :key;
SELECT
    sales_orders.id, sales_orders.number, sales_orders.state, sales_orders.party_id, sales_orders.location_id,
    sales_orders.date, sales_orders.currency, sales_orders.prices_include_tax, sales_orders.tax_rounding,
    sales_orders.payment_terms_days, sales_orders.net, sales_orders.tax, sales_orders.gross,
    sales_orders.line_count, sales_orders.reference, sales_orders.text, sales_orders.cancel_reason,
    sales_orders.direct, sales_orders.external_id, sales_orders.confirmed_at, sales_orders.version,
    sales_orders.created_at
FROM sales_orders
WHERE sales_orders.tenant_id = :tenant::uuid AND sales_orders.id = (:order || :key)::uuid
FOR NO KEY UPDATE;
SELECT
    sales_order_lines.id, sales_order_lines.line_no, sales_order_lines.product_id, sales_order_lines.kind,
    sales_order_lines.description, sales_order_lines.quantity, sales_order_lines.unit_code,
    sales_order_lines.base_quantity, sales_order_lines.unit_price, sales_order_lines.discount_percent,
    sales_order_lines.tax_group_id, sales_order_lines.tax_rate, sales_order_lines.net, sales_order_lines.tax,
    sales_order_lines.gross, sales_order_lines.cancelled, sales_order_lines.delivered,
    sales_order_lines.returned
FROM sales_order_lines
WHERE sales_order_lines.tenant_id = :tenant::uuid AND sales_order_lines.order_id = (:order || :key)::uuid
ORDER BY sales_order_lines.line_no;
SELECT invoice_lines.source_line_id,
    sum(CASE WHEN invoices.kind = 'invoice' THEN invoice_lines.quantity ELSE -invoice_lines.quantity END)
FROM invoice_lines
JOIN invoices ON invoices.tenant_id = invoice_lines.tenant_id AND invoices.id = invoice_lines.invoice_id
WHERE invoices.tenant_id = :tenant::uuid AND invoices.order_id = (:order || :key)::uuid
    AND invoice_lines.source_line_id IS NOT NULL
    AND (invoices.state = 'posted' OR invoices.state = 'draft' AND invoices.kind = 'invoice')
GROUP BY invoice_lines.source_line_id;
\endpipeline
\startpipeline
INSERT INTO invoices (
    tenant_id, id, kind, state, number, party_id, date, due_date, accounting_date, currency,
    prices_include_tax, tax_rounding, net, tax, gross, line_count, order_id, credits_id, entry_id, text,
    external_id, version, created_at, posted_at)
VALUES (
    :tenant::uuid, (:invoice || :key)::uuid, 'invoice', 'draft', NULL, :party::uuid, :today::date,
    :today::date + 30, NULL, 'GBP', false, 'line', :net::numeric, :tax::numeric, :gross::numeric, 3,
    (:order || :key)::uuid, NULL, NULL, '', NULL, 1, now(), NULL);
INSERT INTO invoice_lines (
    tenant_id, invoice_id, line_no, product_id, description, quantity, unit_code, unit_price,
    discount_percent, tax_group_id, tax_rate, net, tax, gross, account, source_line_id, credits_line_no)
SELECT :tenant::uuid, (:invoice || :key)::uuid, new.*
FROM unnest(
    ARRAY[1, 2, 3], :products::uuid[], :names::text[], :quantities::numeric[], :units::text[],
    :prices::numeric[], :zeros::numeric[], :tax_groups::uuid[], :rates::numeric[], :nets::numeric[],
    :taxes::numeric[], :grosses::numeric[], ARRAY['@revenue', '@revenue', '@revenue'],
    ARRAY[(:line1 || :key)::uuid, (:line2 || :key)::uuid, (:line3 || :key)::uuid],
    ARRAY[NULL, NULL, NULL]::integer[]) AS new;
UPDATE sales_orders
SET state = 'delivered', cancel_reason = '', confirmed_at = now(), version = sales_orders.version + 1
WHERE sales_orders.tenant_id = :tenant::uuid AND sales_orders.id = (:order || :key)::uuid;
INSERT INTO idempotency_keys (tenant_id, principal_id, key, fingerprint, status, body, headers)
VALUES (
    :tenant::uuid, :principal::uuid, :run || '-invoice-' || :key, sha256(:key::text::bytea), 201,
    :body_4::bytea, :headers_4::jsonb) ON CONFLICT DO NOTHING;
INSERT INTO events (
    tenant_id, event_id, aggregate_type, aggregate_id, version, type, data, principal_id, correlation_id,
    causation_id, traceparent, occurred_at)
SELECT :tenant::uuid, new.*, :principal::uuid, md5(:key::text), NULL, NULL, now()
FROM unnest(
    ARRAY[(:run || '-7110-8000-' || :key)::uuid, (:run || '-7111-8000-' || :key)::uuid],
    ARRAY['invoice', 'sales_order'], ARRAY[(:invoice || :key)::uuid, (:order || :key)::uuid], ARRAY[1, 4],
    ARRAY['invoice.created', 'sales_order.invoiced'],
    ARRAY[:event_invoice_created::jsonb, :event_sales_order_invoiced::jsonb]) AS new;
INSERT INTO audit_entries (
    tenant_id, id, action, target_type, target_id, before, after, at, principal_id, principal_kind,
    principal_name, address, correlation_id)
SELECT :tenant::uuid, new.*, now(), :principal::uuid, 'api_key', 'Client 0', '127.0.0.1', md5(:key::text)
FROM unnest(
    ARRAY[(:run || '-7112-8000-' || :key)::uuid, (:run || '-7113-8000-' || :key)::uuid],
    ARRAY['invoice.created', 'sales_order.invoiced'], ARRAY['invoice', 'sales_order'],
    ARRAY[(:invoice || :key)::uuid, (:order || :key)::uuid],
    ARRAY[NULL::jsonb, :before_sales_order_invoiced::jsonb],
    ARRAY[:after_invoice_created::jsonb, :after_sales_order_invoiced::jsonb]) AS new;
COMMIT;
SELECT pg_current_wal_insert_lsn()::text;
\endpipeline

-- 5. POST /v1/invoices/{id}/post
\startpipeline
SELECT set_config('app.tenant_id', :tenant, true), set_config('statement_timeout', '5000', true),
    set_config('lock_timeout', '2000', true);
SELECT
    invoices.id, invoices.kind, invoices.state, invoices.number, invoices.party_id, invoices.date,
    invoices.due_date, invoices.accounting_date, invoices.currency, invoices.prices_include_tax,
    invoices.tax_rounding, invoices.net, invoices.tax, invoices.gross, invoices.line_count, invoices.order_id,
    invoices.credits_id, invoices.entry_id, invoices.text, invoices.external_id, invoices.version,
    invoices.created_at, invoices.posted_at
FROM invoices
WHERE invoices.tenant_id = :tenant::uuid AND invoices.id = (:invoice || :key)::uuid;
\endpipeline
\startpipeline
BEGIN;
SELECT set_config('app.tenant_id', :tenant, true), set_config('statement_timeout', '5000', true),
    set_config('lock_timeout', '2000', true);
SELECT pg_advisory_xact_lock(:key::bigint);
SELECT idempotency_keys.fingerprint, idempotency_keys.status, idempotency_keys.body, idempotency_keys.headers
FROM idempotency_keys
WHERE idempotency_keys.tenant_id = :tenant::uuid AND idempotency_keys.principal_id = :principal::uuid
    AND idempotency_keys.key = :run || '-post-' || :key;
SELECT periods.id, periods.start_date, periods.end_date, EXISTS (
    SELECT FROM periods AS holder
    WHERE holder.tenant_id = :tenant::uuid AND holder.start_date <= :today::date AND holder.end_date >= :today::date)
FROM periods
WHERE periods.tenant_id = :tenant::uuid AND periods.end_date >= :today::date AND periods.state = 'open'
ORDER BY periods.start_date LIMIT 1 FOR SHARE OF periods;
SELECT account_roles.role, account_roles.account_code FROM account_roles
WHERE account_roles.tenant_id = :tenant::uuid;
SELECT
    invoices.id, invoices.kind, invoices.state, invoices.number, invoices.party_id, invoices.date,
    invoices.due_date, invoices.accounting_date, invoices.currency, invoices.prices_include_tax,
    invoices.tax_rounding, invoices.net, invoices.tax, invoices.gross, invoices.line_count, invoices.order_id,
    invoices.credits_id, invoices.entry_id, invoices.text, invoices.external_id, invoices.version,
    invoices.created_at, invoices.posted_at
FROM invoices
WHERE invoices.tenant_id = :tenant::uuid AND invoices.id = (:invoice || :key)::uuid
FOR UPDATE;
SELECT
    invoice_lines.line_no, invoice_lines.product_id, invoice_lines.description, invoice_lines.quantity,
    invoice_lines.unit_code, invoice_lines.unit_price, invoice_lines.discount_percent,
    invoice_lines.tax_group_id, invoice_lines.tax_rate, invoice_lines.net, invoice_lines.tax,
    invoice_lines.gross, invoice_lines.account, invoice_lines.source_line_id, invoice_lines.credits_line_no
FROM invoice_lines
WHERE invoice_lines.tenant_id = :tenant::uuid AND invoice_lines.invoice_id = (:invoice || :key)::uuid
ORDER BY invoice_lines.line_no;
INSERT INTO journal_lines (
    tenant_id, entry_id, date, currency, rate, base_amount, line_no, account_code, amount, party_id,
    product_id, text)
SELECT
    :tenant::uuid, (:entry2 || :key)::uuid, :today::date, 'GBP', 1::numeric, new.amounts, new.line_nos,
    new.accounts, new.amounts, new.parties, new.products, new.texts
FROM unnest(
    ARRAY[1, 2, 3], ARRAY[:receivables, :revenue, :output_tax],
    ARRAY[:gross::numeric, -(:net::numeric), -(:tax::numeric)], ARRAY[:party::uuid, NULL, NULL],
    ARRAY[NULL, NULL, NULL]::uuid[], ARRAY['', '', '20 %'])
    AS new (line_nos, accounts, amounts, parties, products, texts);
\endpipeline
INSERT INTO number_series (tenant_id, series, year, prefix, last_number)
SELECT :tenant::uuid, new.series, :year::integer, new.prefixes, new.counts
FROM (
    SELECT * FROM unnest(ARRAY['invoice'], ARRAY['INV'], ARRAY[1::bigint]) AS asked (series, prefixes, counts)
    ORDER BY asked.series) AS new
WHERE pg_advisory_xact_lock(
    hashtextextended(concat(:tenant::uuid::text, '/', :year::integer, '/', new.series), 126879548401011)) IS NOT NULL
ON CONFLICT (tenant_id, series, year) DO UPDATE SET last_number = number_series.last_number + excluded.last_number
RETURNING prefix || '-' || year || '-' || lpad(last_number::text, 6, '0') AS invoice_number \gset
\startpipeline
INSERT INTO journal_entries (
    tenant_id, id, number, journal, period_id, date, document_date, source_type, source_id, text,
    line_count, reverses_id, external_id, created_by, created_at)
VALUES (
    :tenant::uuid, (:entry2 || :key)::uuid, :invoice_number, 'sales', :period::uuid, :today::date,
    :today::date, 'invoice', (:invoice || :key)::uuid, '', 3, NULL, NULL, :principal::uuid, now());
INSERT INTO open_items (
    tenant_id, id, party_id, side, direction, document_type, document_id, document_number, date, due_date,
    currency, amount, open_amount, created_at)
VALUES (
    :tenant::uuid, (:item || :key)::uuid, :party::uuid, 'receivable', 'debit', 'invoice',
    (:invoice || :key)::uuid, :invoice_number, :today::date, :today::date + 30, 'GBP', :gross::numeric,
    :gross::numeric, now());
UPDATE invoices
SET state = 'posted', number = :invoice_number, accounting_date = :today::date, entry_id = (:entry2 || :key)::uuid,
    version = invoices.version + 1, posted_at = now()
WHERE invoices.tenant_id = :tenant::uuid AND invoices.id = (:invoice || :key)::uuid;
INSERT INTO idempotency_keys (tenant_id, principal_id, key, fingerprint, status, body, headers)
VALUES (
    :tenant::uuid, :principal::uuid, :run || '-post-' || :key, sha256(:key::text::bytea), 200,
    :body_5::bytea, :headers_5::jsonb) ON CONFLICT DO NOTHING;
INSERT INTO events (
    tenant_id, event_id, aggregate_type, aggregate_id, version, type, data, principal_id, correlation_id,
    causation_id, traceparent, occurred_at)
SELECT :tenant::uuid, new.*, :principal::uuid, md5(:key::text), NULL, NULL, now()
FROM unnest(
    ARRAY[(:run || '-7114-8000-' || :key)::uuid], ARRAY['invoice'], ARRAY[(:invoice || :key)::uuid],
    ARRAY[2], ARRAY['invoice.posted'], ARRAY[:event_invoice_posted::jsonb]) AS new;
INSERT INTO audit_entries (
    tenant_id, id, action, target_type, target_id, before, after, at, principal_id, principal_kind,
    principal_name, address, correlation_id)
SELECT :tenant::uuid, new.*, now(), :principal::uuid, 'api_key', 'Client 0', '127.0.0.1', md5(:key::text)
FROM unnest(
    ARRAY[(:run || '-7115-8000-' || :key)::uuid], ARRAY['invoice.posted'], ARRAY['invoice'],
    ARRAY[(:invoice || :key)::uuid], ARRAY[:before_invoice_posted::jsonb],
    ARRAY[:after_invoice_posted::jsonb]) AS new;
COMMIT;
SELECT pg_current_wal_insert_lsn()::text;
\endpipeline

-- 6. POST /v1/payments
\startpipeline
BEGIN;
SELECT set_config('app.tenant_id', :tenant, true), set_config('statement_timeout', '5000', true),
    set_config('lock_timeout', '2000', true);
SELECT pg_advisory_xact_lock(:key::bigint);
SELECT idempotency_keys.fingerprint, idempotency_keys.status, idempotency_keys.body, idempotency_keys.headers
FROM idempotency_keys
WHERE idempotency_keys.tenant_id = :tenant::uuid AND idempotency_keys.principal_id = :principal::uuid
    AND idempotency_keys.key = :run || '-pay-' || :key;
SELECT periods.id, periods.start_date, periods.end_date, EXISTS (
    SELECT FROM periods AS holder
    WHERE holder.tenant_id = :tenant::uuid AND holder.start_date <= :today::date AND holder.end_date >= :today::date)
FROM periods
WHERE periods.tenant_id = :tenant::uuid AND periods.end_date >= :today::date AND periods.state = 'open'
ORDER BY periods.start_date LIMIT 1 FOR SHARE OF periods;
SELECT account_roles.role, account_roles.account_code FROM account_roles
WHERE account_roles.tenant_id = :tenant::uuid;
SELECT parties.id, parties.code, parties.name, parties.is_customer, parties.is_supplier, parties.active,
    parties.payment_terms_days, parties.credit_limit
FROM parties
WHERE parties.tenant_id = :tenant::uuid AND parties.id = :party::uuid;
SELECT accounts.code, accounts.active, (
    SELECT coalesce(array_agg(account_roles.role), '{}'::text[]) FROM account_roles
    WHERE account_roles.tenant_id = accounts.tenant_id AND account_roles.account_code = accounts.code)
FROM accounts
WHERE accounts.tenant_id = :tenant::uuid AND (
    accounts.code = any('{}'::text[]) OR accounts.code IN (
        SELECT named.account_code FROM account_roles AS named
        WHERE named.tenant_id = :tenant::uuid AND named.role = any('{bank}'::text[])));
SELECT open_items.id, open_items.party_id, open_items.side, open_items.direction, open_items.document_type,
    open_items.document_id, open_items.document_number, open_items.date, open_items.due_date, open_items.currency,
    open_items.amount, open_items.open_amount, open_items.version
FROM open_items
WHERE open_items.tenant_id = :tenant::uuid AND (
    open_items.id = any(ARRAY[(:invoice || :key)::uuid])
    OR open_items.document_id = any(ARRAY[(:invoice || :key)::uuid]))
ORDER BY open_items.id FOR UPDATE;
\endpipeline
INSERT INTO number_series (tenant_id, series, year, prefix, last_number)
SELECT :tenant::uuid, new.series, :year::integer, new.prefixes, new.counts
FROM (
    SELECT * FROM unnest(ARRAY['payment'], ARRAY['PAY'], ARRAY[1::bigint]) AS asked (series, prefixes, counts)
    ORDER BY asked.series) AS new
WHERE pg_advisory_xact_lock(
    hashtextextended(concat(:tenant::uuid::text, '/', :year::integer, '/', new.series), 126879548401011)) IS NOT NULL
ON CONFLICT (tenant_id, series, year) DO UPDATE SET last_number = number_series.last_number + excluded.last_number
RETURNING prefix || '-' || year || '-' || lpad(last_number::text, 6, '0') AS payment_number \gset
\startpipeline
INSERT INTO journal_lines (
    tenant_id, entry_id, date, currency, rate, base_amount, line_no, account_code, amount, party_id,
    product_id, text)
SELECT
    :tenant::uuid, (:entry3 || :key)::uuid, :today::date, 'GBP', 1::numeric, new.amounts, new.line_nos,
    new.accounts, new.amounts, new.parties, new.products, new.texts
FROM unnest(
    ARRAY[1, 2], ARRAY[:bank, :receivables], ARRAY[:gross::numeric, -(:gross::numeric)],
    ARRAY[NULL, :party::uuid], ARRAY[NULL, NULL]::uuid[], ARRAY['', ''])
    AS new (line_nos, accounts, amounts, parties, products, texts);
INSERT INTO journal_entries (
    tenant_id, id, number, journal, period_id, date, document_date, source_type, source_id, text,
    line_count, reverses_id, external_id, created_by, created_at)
VALUES (
    :tenant::uuid, (:entry3 || :key)::uuid, :payment_number, 'bank', :period::uuid, :today::date,
    :today::date, 'payment', (:payment || :key)::uuid, :payment_number, 2, NULL, NULL, :principal::uuid,
    now());
INSERT INTO payments (
    tenant_id, id, number, direction, side, state, party_id, date, accounting_date, currency, amount,
    unallocated, method, account_code, reference, entry_id, reversal_entry_id, reversal_reason, external_id,
    version, created_at)
VALUES (
    :tenant::uuid, (:payment || :key)::uuid, :payment_number, 'in', 'receivable', 'posted', :party::uuid,
    :today::date, :today::date, 'GBP', :gross::numeric, 0, 'bank_transfer', :bank, '',
    (:entry3 || :key)::uuid, NULL, '', NULL, 1, now());
INSERT INTO allocations (
    tenant_id, created_at, id, open_item_id, counter_type, counter_id, amount, date, entry_id, pair_id,
    reverses_id)
SELECT :tenant::uuid, now(), new.*
FROM unnest(
    ARRAY[(:allocation || :key)::uuid], ARRAY[(:item || :key)::uuid], ARRAY['payment'],
    ARRAY[(:payment || :key)::uuid], ARRAY[:gross::numeric], ARRAY[:today::date],
    ARRAY[(:entry3 || :key)::uuid], ARRAY[NULL]::uuid[], ARRAY[NULL]::uuid[]) AS new;
UPDATE open_items
SET open_amount = open_items.open_amount - settled.changes,
    last_allocated_on = greatest(open_items.last_allocated_on, settled.dates),
    settled_on = CASE WHEN open_items.open_amount - settled.changes = 0
        THEN greatest(open_items.last_allocated_on, settled.dates) END,
    version = open_items.version + 1
FROM unnest(ARRAY[(:item || :key)::uuid], ARRAY[:gross::numeric], ARRAY[:today::date])
    AS settled (ids, changes, dates)
WHERE open_items.tenant_id = :tenant::uuid AND open_items.id = settled.ids;
INSERT INTO idempotency_keys (tenant_id, principal_id, key, fingerprint, status, body, headers)
VALUES (
    :tenant::uuid, :principal::uuid, :run || '-pay-' || :key, sha256(:key::text::bytea), 201,
    :body_6::bytea, :headers_6::jsonb) ON CONFLICT DO NOTHING;
INSERT INTO events (
    tenant_id, event_id, aggregate_type, aggregate_id, version, type, data, principal_id, correlation_id,
    causation_id, traceparent, occurred_at)
SELECT :tenant::uuid, new.*, :principal::uuid, md5(:key::text), NULL, NULL, now()
FROM unnest(
    ARRAY[(:run || '-7116-8000-' || :key)::uuid, (:run || '-7117-8000-' || :key)::uuid],
    ARRAY['open_item', 'payment'], ARRAY[(:item || :key)::uuid, (:payment || :key)::uuid], ARRAY[2, 1],
    ARRAY['open_item.settled', 'payment.posted'],
    ARRAY[:event_open_item_settled::jsonb, :event_payment_posted::jsonb]) AS new;
INSERT INTO audit_entries (
    tenant_id, id, action, target_type, target_id, before, after, at, principal_id, principal_kind,
    principal_name, address, correlation_id)
SELECT :tenant::uuid, new.*, now(), :principal::uuid, 'api_key', 'Client 0', '127.0.0.1', md5(:key::text)
FROM unnest(
    ARRAY[(:run || '-7118-8000-' || :key)::uuid], ARRAY['payment.posted'], ARRAY['payment'],
    ARRAY[(:payment || :key)::uuid], ARRAY[NULL::jsonb], ARRAY[:after_payment_posted::jsonb]) AS new;
COMMIT;
SELECT pg_current_wal_insert_lsn()::text;
\endpipeline
