-- Ids of listed rows rise in the order in which readers see them. A transaction announces, by an
-- advisory lock whose key is the present millisecond, that it makes ids from now on; it makes no
-- smaller one. So every id below all announcements is of a transaction that has ended.

-- Announces ids; returns the millisecond from which on they are. The clock is read again under the
-- lock: a reader that did not see the lock has read the clock before.
CREATE OR REPLACE FUNCTION ledger_announce_ids() RETURNS bigint LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(
        7263002, (floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint & 2147483647)::int);
    RETURN floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;
END $$;

-- The millisecond below which no id can appear any more. A key holds 31 bits of a millisecond: one
-- that seems to be of the future was announced after the clock was read here.
CREATE OR REPLACE FUNCTION ledger_ids_complete_before() RETURNS bigint LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    now_ms bigint := floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint;
BEGIN
    RETURN (SELECT least(now_ms, min(now_ms - age)) FROM (
        SELECT (now_ms - l.objid::bigint) & 2147483647 AS age FROM pg_locks l
         WHERE l.locktype = 'advisory' AND l.classid = 7263002 AND l.objsubid = 2
           AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
        ) AS announced WHERE age < 1073741824);
END $$;
