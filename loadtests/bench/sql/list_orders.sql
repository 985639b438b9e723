-- GET /v1/sales-orders: the newest fifty, and one more to know whether there are more.
\set n :n + 1
\if :n = 1
SELECT set_config('app.tenant_id', :tenant, false);
\endif
\startpipeline
SELECT set_config('app.tenant_id', :tenant, true), set_config('statement_timeout', '5000', true),
    set_config('lock_timeout', '2000', true);
SELECT
    sales_orders.id, sales_orders.number, sales_orders.state, sales_orders.party_id, sales_orders.location_id,
    sales_orders.date, sales_orders.currency, sales_orders.prices_include_tax, sales_orders.tax_rounding,
    sales_orders.payment_terms_days, sales_orders.net, sales_orders.tax, sales_orders.gross,
    sales_orders.line_count, sales_orders.reference, sales_orders.text, sales_orders.cancel_reason,
    sales_orders.direct, sales_orders.external_id, sales_orders.confirmed_at, sales_orders.version,
    sales_orders.created_at, sales_orders.created_at AS sort_value, sales_orders.id AS sort_key
FROM sales_orders
WHERE sales_orders.tenant_id = :tenant::uuid
ORDER BY sales_orders.created_at DESC, sales_orders.id DESC LIMIT 51;
\endpipeline
