-- GET /v1/sales-orders/{id}: one snapshot of the order, its lines, reservations, invoices and what is open of them.
\set n :n + 1
\if :n % 50 = 1
SELECT set_config('app.tenant_id', :tenant, false);
SELECT id AS wanted FROM sales_orders WHERE tenant_id = :tenant::uuid AND line_count = 3
ORDER BY id OFFSET floor(random() * 500) LIMIT 1 \gset
\endif
\startpipeline
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
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
WHERE sales_orders.tenant_id = :tenant::uuid AND sales_orders.id = :wanted::uuid;
SELECT
    sales_order_lines.id, sales_order_lines.line_no, sales_order_lines.product_id, sales_order_lines.kind,
    sales_order_lines.description, sales_order_lines.quantity, sales_order_lines.unit_code,
    sales_order_lines.base_quantity, sales_order_lines.unit_price, sales_order_lines.discount_percent,
    sales_order_lines.tax_group_id, sales_order_lines.tax_rate, sales_order_lines.net, sales_order_lines.tax,
    sales_order_lines.gross, sales_order_lines.cancelled, sales_order_lines.delivered,
    sales_order_lines.returned
FROM sales_order_lines
WHERE sales_order_lines.tenant_id = :tenant::uuid AND sales_order_lines.order_id = :wanted::uuid
ORDER BY sales_order_lines.line_no;
SELECT
    reservations.id, reservations.product_id, reservations.location_id, reservations.state,
    reservations.quantity, reservations.open_quantity, reservations.expires_at, reservations.source_type,
    reservations.source_id, reservations.source_line_id, reservations.reference, reservations.external_id,
    reservations.closed_at, reservations.version, reservations.created_at
FROM reservations
WHERE reservations.tenant_id = :tenant::uuid AND reservations.source_id = :wanted::uuid
    AND reservations.state = 'active';
SELECT invoice_lines.source_line_id,
    sum(CASE WHEN invoices.kind = 'invoice' THEN invoice_lines.quantity ELSE -invoice_lines.quantity END)
FROM invoice_lines
JOIN invoices ON invoices.tenant_id = invoice_lines.tenant_id AND invoices.id = invoice_lines.invoice_id
WHERE invoices.tenant_id = :tenant::uuid AND invoices.order_id = :wanted::uuid
    AND invoice_lines.source_line_id IS NOT NULL
    AND (invoices.state = 'posted' OR invoices.state = 'draft' AND invoices.kind = 'invoice')
GROUP BY invoice_lines.source_line_id;
SELECT coalesce(sum(CASE WHEN invoices.kind = 'invoice' THEN invoices.gross ELSE -invoices.gross END), 0::numeric),
    coalesce(sum(CASE WHEN invoices.kind = 'invoice' THEN coalesce((
            SELECT open_items.open_amount FROM open_items
            WHERE open_items.tenant_id = :tenant::uuid AND open_items.document_id = invoices.id), 0::numeric)
        ELSE -coalesce((
            SELECT open_items.open_amount FROM open_items
            WHERE open_items.tenant_id = :tenant::uuid AND open_items.document_id = invoices.id), 0::numeric)
        END), 0::numeric)
FROM invoices
WHERE invoices.tenant_id = :tenant::uuid AND invoices.order_id = :wanted::uuid AND invoices.state = 'posted';
COMMIT;
\endpipeline
