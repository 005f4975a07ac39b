-- What searches inside texts look up: each three characters of a text, without case, as a number
-- that differs by merchant and mode. An empty text has one part, which no other text has.
-- The extension pg_trgm indexes the same, but not every server has it.

CREATE FUNCTION payments_text_parts(merchant_id uuid, livemode boolean, value text)
RETURNS bigint[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ARRAY(
    SELECT hashtextextended(substr(whole.text, n, 3), whole.seed)
    FROM (
        SELECT upper(value) AS text,
               hashtextextended(merchant_id::text || livemode::text, 0) AS seed
        OFFSET 0  -- computed once
    ) whole, generate_series(1, greatest(length(whole.text) - 2, 1)) n
);
