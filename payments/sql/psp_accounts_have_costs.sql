-- The form of what a PSP account has agreed that charges cost. As payments.services.psp_gateway.terms
-- says in Python.

CREATE OR REPLACE FUNCTION payments_is_amount(given jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT given IS NULL OR jsonb_typeof(given) = 'number' AND given::text ~ '^[0-9]{1,18}$'
$$;

CREATE OR REPLACE FUNCTION payments_are_costs(given jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public AS $$
    SELECT CASE WHEN jsonb_typeof(given) <> 'array' THEN false ELSE NOT EXISTS (
        SELECT FROM jsonb_array_elements(given) AS cost
         WHERE CASE WHEN jsonb_typeof(cost) <> 'object' THEN true ELSE
                   cost - '{currency,method,brand,component,fixed_minor,basis_points}'::text[] <> '{}'
                   OR NOT payments_is_amount(cost -> 'fixed_minor')
                   OR NOT payments_is_amount(cost -> 'basis_points')
                   OR cost -> 'basis_points' > '10000'
                   OR coalesce(cost -> 'currency' IS NOT NULL AND (
                      jsonb_typeof(cost -> 'currency') <> 'string'
                      OR cost ->> 'currency' !~ '^[A-Z][A-Z][A-Z]$'), false)
                   OR coalesce(cost -> 'method' IS NOT NULL AND (
                      jsonb_typeof(cost -> 'method') <> 'string'
                      OR cost ->> 'method' !~ '^[a-z][a-z0-9_]{0,31}$'), false)
                   OR coalesce(cost -> 'brand' IS NOT NULL AND (
                      jsonb_typeof(cost -> 'brand') <> 'string'
                      OR cost ->> 'brand' !~ '^[a-z][a-z0-9_]{0,31}$'), false)
                   OR coalesce(cost -> 'component' IS NOT NULL AND (
                      jsonb_typeof(cost -> 'component') <> 'string'
                      OR cost ->> 'component' NOT IN ('markup', 'interchange', 'scheme_fee')), false)
                   OR cost -> 'fixed_minor' > '0' AND cost -> 'currency' IS NULL
               END
    ) AND (
        SELECT count(*) = count(DISTINCT (
               coalesce(cost ->> 'currency', ''), coalesce(cost ->> 'method', ''),
               coalesce(cost ->> 'brand', ''), coalesce(cost ->> 'component', '')))
          FROM jsonb_array_elements(given) AS cost
    ) END
$$;
