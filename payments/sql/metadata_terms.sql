-- What searches by metadata look up: each pair with its merchant and mode, without case. An index
-- on these terms leads to one merchant's rows, however many other merchants use the same pair.
-- PostgreSQL replaces the call by its body, in queries and in the index alike.

CREATE FUNCTION payments_metadata_terms(merchant_id uuid, livemode boolean, metadata jsonb)
RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_set('{}', ARRAY[merchant_id::text || ' ' || livemode::text],
                 lower(metadata::text)::jsonb);
