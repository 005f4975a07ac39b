-- The form of a PSP account's settlement calendar. As psp_adapters.contract.settlement_calendar says
-- in Python, which also knows the countries and the time zones that there are.

CREATE FUNCTION payments_is_settlement_calendar(given jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE WHEN jsonb_typeof(given) <> 'object' THEN false ELSE NOT EXISTS (
        SELECT FROM jsonb_each(given) AS part(name, value)
         WHERE NOT CASE name
               WHEN 'country' THEN
                   jsonb_typeof(value) = 'string' AND value #>> '{}' ~ '^([A-Z]{2,4})?$'
               WHEN 'time_zone' THEN
                   jsonb_typeof(value) = 'string' AND length(value #>> '{}') BETWEEN 1 AND 64
               WHEN 'cutoff' THEN
                   jsonb_typeof(value) = 'string'
                   AND value #>> '{}' ~ '^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'
               WHEN 'business_days' THEN
                   jsonb_typeof(value) = 'number' AND value::text ~ '^([0-9]|[1-5][0-9]|60)$'
               WHEN 'watched' THEN jsonb_typeof(value) = 'boolean'
               ELSE false END
    ) END
$$;

ALTER TABLE payments_psp_account ADD CONSTRAINT psp_account_settlement_calendar
    CHECK (payments_is_settlement_calendar(settlement_calendar));
