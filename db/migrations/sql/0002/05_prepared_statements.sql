-- What a pooler that cannot track prepared statements (PgBouncer < 1.21) prepares on each server connection:
-- its connect_query calls prepare_statements(). Filled by `python -m workers.statements`.

CREATE TABLE prepared_statements (
    name text NOT NULL,
    sql text NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT prepared_statements_pkey PRIMARY KEY (name)
);

GRANT SELECT ON prepared_statements TO erp_app, erp_platform;

CREATE FUNCTION prepare_statements() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    one record;
    prepared integer := 0;
BEGIN
    IF NOT pg_is_in_recovery() THEN
        -- Commands look rows up by key: planning each time again would find the same plan.
        PERFORM set_config('plan_cache_mode', 'force_generic_plan', false);
    END IF;
    FOR one IN SELECT name, sql FROM prepared_statements LOOP
        BEGIN
            EXECUTE format('PREPARE %I AS %s', one.name, one.sql);
            prepared := prepared + 1;
        EXCEPTION WHEN OTHERS THEN
            -- A text of another release may not fit this schema; who asks for it by name is told it is missing.
            RAISE LOG 'statement % is not prepared: %', one.name, SQLERRM;
        END;
    END LOOP;
    RETURN prepared;
END $$;
