-- What an application has in hand when a request comes, and decides from what it read: goods, amounts, ids.
-- Drawn anew for every fiftieth order, so that drawing does not count. `only` is the one product to order, or nil.
\set n :n + 1
\set key 100000000000 + :n * 64 + :client_id
\if :n % 50 = 1
SELECT set_config('app.tenant_id', :tenant, false);
WITH drawn AS MATERIALIZED (
    SELECT p.id, p.name, u.code AS unit, p.sale_price AS price, p.tax_group_id AS tax_group,
        1 + floor(random() * 3)::integer AS quantity, r.rate, c.value / c.quantity AS cost
    FROM products p
    JOIN units u ON u.tenant_id = p.tenant_id AND u.id = p.unit_id
    JOIN product_costs c ON c.tenant_id = p.tenant_id AND c.product_id = p.id
    JOIN tax_rates r ON r.tenant_id = p.tenant_id AND r.tax_group_id = p.tax_group_id AND r.valid_from <= current_date
        AND coalesce(r.valid_to, current_date) >= current_date
    WHERE p.tenant_id = :tenant::uuid
        AND CASE WHEN :only::uuid = '00000000-0000-0000-0000-000000000000'
            THEN p.id <> all(ARRAY[:hot, :scarce]::uuid[])
            ELSE p.id = :only::uuid END
    ORDER BY random() LIMIT :lines::integer
), line AS (
    SELECT *, row_number() OVER () AS no, round(price * quantity, 2) AS net,
        round(round(price * quantity, 2) * rate / 100, 2) AS tax, round(cost * quantity, 2) AS value
    FROM drawn
)
SELECT
    array_agg(no ORDER BY no)::text AS line_nos, array_agg(id ORDER BY no)::text AS products,
    array_agg('stocked'::text ORDER BY no)::text AS kinds, array_agg(name ORDER BY no)::text AS names,
    array_agg(quantity ORDER BY no)::text AS quantities, array_agg(unit ORDER BY no)::text AS units,
    array_agg(price ORDER BY no)::text AS prices, array_agg(0 ORDER BY no)::text AS zeros,
    array_agg(tax_group ORDER BY no)::text AS tax_groups, array_agg(rate ORDER BY no)::text AS rates,
    array_agg(net ORDER BY no)::text AS nets, array_agg(tax ORDER BY no)::text AS taxes,
    array_agg(net + tax ORDER BY no)::text AS grosses, array_agg(-quantity ORDER BY no)::text AS issued,
    array_agg(-value ORDER BY no)::text AS values, array_agg(cost ORDER BY no)::text AS costs,
    array_agg(value ORDER BY no)::text AS line_costs,
    (array_agg(-value ORDER BY no) || sum(value))::text AS cost_amounts,
    array_agg(:location::uuid)::text AS locations, array_agg(id ORDER BY id)::text AS sorted,
    array_agg(quantity ORDER BY id)::text AS sorted_quantities,
    array_agg(-quantity ORDER BY id)::text AS sorted_issued,
    array_agg(-value ORDER BY id)::text AS sorted_values, array_agg(cost ORDER BY id)::text AS sorted_costs,
    sum(net) AS net, sum(tax) AS tax, sum(net + tax) AS gross, sum(value) AS cost,
    current_date AS today, extract(year FROM current_date) AS year,
    (SELECT id FROM parties WHERE tenant_id = :tenant::uuid AND is_customer ORDER BY random() LIMIT 1) AS party,
    (SELECT id FROM periods WHERE tenant_id = :tenant::uuid
        AND current_date BETWEEN start_date AND end_date) AS period
FROM line \gset
SELECT
    max(account_code) FILTER (WHERE role = 'inventory') AS inventory,
    max(account_code) FILTER (WHERE role = 'cogs') AS cogs,
    max(account_code) FILTER (WHERE role = 'receivables') AS receivables,
    max(account_code) FILTER (WHERE role = 'revenue') AS revenue,
    max(account_code) FILTER (WHERE role = 'output_tax') AS output_tax,
    max(account_code) FILTER (WHERE role = 'bank') AS bank
FROM account_roles WHERE tenant_id = :tenant::uuid \gset
\endif
