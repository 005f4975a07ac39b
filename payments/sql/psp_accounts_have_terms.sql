-- The form of what a PSP account charges, and within which limits. As
-- payments.services.psp_gateway.terms says in Python. Its functions about costs are those of
-- psp_accounts_have_costs.sql.

CREATE FUNCTION payments_are_limits(given jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public AS $$
    SELECT CASE WHEN jsonb_typeof(given) <> 'object' THEN false ELSE NOT EXISTS (
        SELECT FROM jsonb_each(given) AS of_currency(code, bounds)
         WHERE code !~ '^[A-Z][A-Z][A-Z]$'
            OR CASE WHEN jsonb_typeof(bounds) <> 'object' THEN true ELSE
                   bounds - '{min_minor,max_minor}'::text[] <> '{}'
                   OR NOT payments_is_amount(bounds -> 'min_minor')
                   OR NOT payments_is_amount(bounds -> 'max_minor')
                   OR bounds -> 'min_minor' > bounds -> 'max_minor'
               END
    ) END
$$;

CREATE FUNCTION payments_are_names(given text[], form text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT NOT EXISTS (SELECT FROM unnest(given) AS name WHERE name IS NULL OR name !~ form)
$$;

ALTER TABLE payments_psp_account
    ADD CONSTRAINT psp_account_methods CHECK (
        payments_are_names(methods, '^[a-z][a-z0-9_]{0,31}$')),
    ADD CONSTRAINT psp_account_currencies CHECK (
        payments_are_names(currencies, '^[A-Z][A-Z][A-Z]$')),
    ADD CONSTRAINT psp_account_countries CHECK (payments_are_names(countries, '^[A-Z][A-Z]$')),
    ADD CONSTRAINT psp_account_limits CHECK (payments_are_limits(limits)),
    ADD CONSTRAINT psp_account_costs CHECK (payments_are_costs(costs));
