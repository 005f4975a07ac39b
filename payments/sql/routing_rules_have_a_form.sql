-- The form of a routing rule's conditions and targets, and that its accounts exist in its mode. As
-- payments.services.routing.forms says in Python.

CREATE FUNCTION payments_are_some_names(given jsonb, form text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE WHEN jsonb_typeof(given) <> 'array' THEN false ELSE
        jsonb_array_length(given) > 0 AND NOT EXISTS (
            SELECT FROM jsonb_array_elements(given) AS name
             WHERE jsonb_typeof(name) <> 'string' OR name #>> '{}' !~ form)
    END
$$;

CREATE FUNCTION payments_is_amount_range(given jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public AS $$
    SELECT CASE WHEN jsonb_typeof(given) <> 'object' THEN false ELSE
        given - '{currency,min_minor,max_minor}'::text[] = '{}'
        AND given ?| '{min_minor,max_minor}'::text[]
        AND coalesce(jsonb_typeof(given -> 'currency') = 'string'
                     AND given ->> 'currency' ~ '^[A-Z][A-Z][A-Z]$', false)
        AND payments_is_amount(given -> 'min_minor')
        AND payments_is_amount(given -> 'max_minor')
        AND coalesce(given -> 'min_minor' <= given -> 'max_minor', true)
    END
$$;

CREATE FUNCTION payments_are_metadata_pairs(given jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE WHEN jsonb_typeof(given) <> 'object' THEN false ELSE
        given <> '{}' AND NOT EXISTS (
            SELECT FROM jsonb_each(given) AS pair(name, value)
             WHERE char_length(name) NOT BETWEEN 1 AND 40
                OR jsonb_typeof(value) <> 'string'
                OR char_length(value #>> '{}') NOT BETWEEN 1 AND 500)
    END
$$;

CREATE FUNCTION payments_are_routing_conditions(given jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public AS $$
    SELECT CASE WHEN jsonb_typeof(given) <> 'object' THEN false ELSE NOT EXISTS (
        SELECT FROM jsonb_each(given) AS condition(name, value)
         WHERE NOT CASE name
               WHEN 'amount' THEN payments_is_amount_range(value)
               WHEN 'currencies' THEN payments_are_some_names(value, '^[A-Z][A-Z][A-Z]$')
               WHEN 'methods' THEN payments_are_some_names(value, '^[a-z][a-z0-9_]{0,31}$')
               WHEN 'brands' THEN payments_are_some_names(value, '^[a-z][a-z0-9_]{0,31}$')
               WHEN 'countries' THEN payments_are_some_names(value, '^[A-Z][A-Z]$')
               WHEN 'metadata' THEN payments_are_metadata_pairs(value)
               ELSE false
               END
    ) END
$$;

CREATE FUNCTION payments_are_shares(given jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE WHEN jsonb_typeof(given) <> 'array' THEN false
                WHEN jsonb_array_length(given) NOT BETWEEN 1 AND 10 THEN false
                WHEN EXISTS (
                    SELECT FROM jsonb_array_elements(given) AS target
                     WHERE CASE WHEN jsonb_typeof(target) <> 'object' THEN true ELSE NOT (
                               target ?& '{account,share}'::text[]
                               AND target - '{account,share}'::text[] = '{}'
                               AND jsonb_typeof(target -> 'account') = 'string'
                               AND target ->> 'account' ~ '^[-a-zA-Z0-9_]{1,64}$'
                               AND jsonb_typeof(target -> 'share') = 'number'
                               AND target ->> 'share' ~ '^[1-9][0-9]{0,2}$') END
                ) THEN false
                ELSE (SELECT sum((target ->> 'share')::integer) = 100
                             AND count(*) = count(DISTINCT target ->> 'account')
                        FROM jsonb_array_elements(given) AS target)
           END
$$;

CREATE FUNCTION payments_are_routing_targets(given jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public AS $$
    SELECT CASE WHEN jsonb_typeof(given) <> 'object' THEN false
                WHEN given - '{split,fallback}'::text[] <> '{}' THEN false
                WHEN NOT coalesce(payments_are_shares(given -> 'split'), false) THEN false
                WHEN given -> 'fallback' IS NULL THEN true
                WHEN jsonb_typeof(given -> 'fallback') <> 'array' THEN false
                WHEN given -> 'fallback' = '[]' THEN true
                ELSE jsonb_array_length(given -> 'fallback') <= 10
                     AND payments_are_some_names(given -> 'fallback', '^[-a-zA-Z0-9_]{1,64}$')
                     AND (SELECT count(*) = count(DISTINCT code)
                            FROM jsonb_array_elements_text(given -> 'fallback') AS code)
           END
$$;

ALTER TABLE payments_routing_rule
    ADD CONSTRAINT routing_rule_conditions CHECK (payments_are_routing_conditions(conditions)),
    ADD CONSTRAINT routing_rule_targets CHECK (payments_are_routing_targets(targets));

-- Accounts are never deleted, and keep their code and mode: so it is enough to look here.
CREATE FUNCTION payments_refuse_unknown_targets() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    wrong text;
BEGIN
    SELECT string_agg(code, ', ') INTO wrong FROM (
        SELECT target ->> 'account' FROM jsonb_array_elements(NEW.targets -> 'split') AS target
        UNION
        SELECT jsonb_array_elements_text(coalesce(NEW.targets -> 'fallback', '[]'))
    ) AS named(code)
     WHERE NOT EXISTS (
        SELECT FROM payments_psp_account a WHERE a.code = named.code AND a.livemode = NEW.livemode);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'routing_rule_of_unknown_account: % names %', NEW.name, wrong
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER routing_rule_names_accounts AFTER INSERT OR UPDATE OF targets, livemode
    ON payments_routing_rule
    FOR EACH ROW EXECUTE FUNCTION payments_refuse_unknown_targets();
