-- Tables that can be partitioned by month, by their UUIDv7 ids: each row is in the month in which its
-- id was made. None is until its owner runs payments_partition. Rows of no month are in the partition
-- "rest", so that a missing month refuses no row.

CREATE OR REPLACE FUNCTION payments_first_id(moment timestamptz) RETURNS uuid LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
RETURN (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- The months of a table, oldest first. A month begins at NULL if it holds whatever came before it.
CREATE OR REPLACE FUNCTION payments_months(parent text)
    RETURNS TABLE (month text, begins timestamptz, ends timestamptz) LANGUAGE sql STABLE
SET search_path = pg_catalog, public, pg_temp
BEGIN ATOMIC
    SELECT c.relname::text,
           to_timestamp(('x' || left(replace(b[1], '-', ''), 12))::bit(48)::bigint / 1000.0),
           to_timestamp(('x' || left(replace(b[2], '-', ''), 12))::bit(48)::bigint / 1000.0)
      FROM pg_inherits i
      JOIN pg_class c ON c.oid = i.inhrelid
     CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid),
                                     $re$FROM \((?:'([0-9a-f-]+)'|MINVALUE)\) TO \('([0-9a-f-]+)'\)$re$) AS b
     WHERE i.inhparent = to_regclass(parent) AND b IS NOT NULL
     ORDER BY 3;
END;

-- Makes the months of a partitioned table up to so many after the present one; returns how many it
-- made. Rows of a new month are moved there from the rest. It waits half a second for its locks.
CREATE OR REPLACE FUNCTION payments_make_months(parent text, ahead int) RETURNS int LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' SET lock_timeout = '500ms' AS $$
DECLARE
    rest text := parent || '_rest';
    month text;
    begins timestamptz := (SELECT max(m.ends) FROM payments_months(parent) m);
    ends timestamptz;
    beyond timestamptz := date_trunc('month', now())
                          + make_interval(months => least(greatest(ahead, 0), 12) + 1);
    made int := 0;
    definition text;
BEGIN
    -- Only what payments_partition has made.
    IF begins IS NULL OR to_regclass(rest) IS NULL THEN
        RETURN 0;
    END IF;
    WHILE begins < beyond LOOP
        ends := begins + interval '1 month';
        month := parent || to_char(begins, '_YYYY_MM');
        EXECUTE format('CREATE TABLE public.%I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
                       'INCLUDING STORAGE INCLUDING COMPRESSION)', month, parent);
        EXECUTE coalesce((SELECT format('ALTER TABLE %I SET (%s)', month,
                                        array_to_string(c.reloptions, ', '))
                            FROM pg_class c WHERE c.oid = to_regclass(rest)
                             AND c.reloptions IS NOT NULL), 'SELECT 1');
        -- Unique keys without the id hold within a month.
        FOR definition IN
            SELECT pg_get_indexdef(i.indexrelid) FROM pg_index i
             WHERE i.indrelid = to_regclass(rest) AND i.indisunique AND NOT i.indisprimary
        LOOP
            EXECUTE regexp_replace(definition, '^CREATE UNIQUE INDEX \S+ ON \S+',
                                   format('CREATE UNIQUE INDEX ON %I', month));
        END LOOP;
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', rest);
        EXECUTE format('ALTER TABLE %I DISABLE TRIGGER USER', rest);
        EXECUTE format('WITH moved AS (DELETE FROM %I WHERE id >= %L AND id < %L RETURNING *) '
                       'INSERT INTO %I SELECT * FROM moved', rest,
                       payments_first_id(begins), payments_first_id(ends), month);
        EXECUTE format('ALTER TABLE %I ENABLE TRIGGER USER', rest);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       parent, month, payments_first_id(begins), payments_first_id(ends));
        begins := ends;
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- Partitions a table; what it holds becomes its first month, and nothing is copied. Rights, indexes
-- and triggers stay. For the owner alone, while no process runs.
CREATE OR REPLACE FUNCTION payments_partition(parent text, ahead int) RETURNS int LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    first text := parent || '_first';
    rest text := parent || '_rest';
    ends timestamptz := date_trunc('month', now()) + interval '1 month';
    indexes text[];
    triggers text[];
    each record;
    definition text;
BEGIN
    IF parent NOT IN ('payments_event', 'payments_psp_notification', 'payments_delivery',
                      'payments_delivery_attempt') THEN
        RAISE EXCEPTION '% is not partitioned by month: see docs/operations.md', parent;
    ELSIF EXISTS (SELECT FROM pg_class WHERE oid = parent::regclass AND relkind = 'p') THEN
        RETURN 0;
    END IF;
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent);
    indexes := ARRAY(SELECT pg_get_indexdef(indexrelid) FROM pg_index
                      WHERE indrelid = parent::regclass AND NOT indisunique);
    triggers := ARRAY(SELECT pg_get_triggerdef(oid) FROM pg_trigger
                       WHERE tgrelid = parent::regclass AND NOT tgisinternal);
    FOR each IN SELECT tgname FROM pg_trigger
                 WHERE tgrelid = parent::regclass AND NOT tgisinternal LOOP
        EXECUTE format('DROP TRIGGER %I ON %I', each.tgname, parent);
    END LOOP;
    FOR each IN SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                 WHERE i.indrelid = parent::regclass LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', each.relname, each.relname || '_first');
    END LOOP;
    EXECUTE format('ALTER TABLE %I RENAME TO %I', parent, first);
    EXECUTE format('CREATE TABLE public.%I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
                   'INCLUDING STORAGE INCLUDING COMPRESSION) PARTITION BY RANGE (id)', parent, first);
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I PRIMARY KEY (id)', parent, parent || '_pkey');
    FOREACH definition IN ARRAY indexes || triggers LOOP
        EXECUTE definition;
    END LOOP;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)',
                   parent, first, payments_first_id(ends));
    EXECUTE format('CREATE TABLE public.%I PARTITION OF %I DEFAULT', rest, parent);
    EXECUTE coalesce((SELECT format('ALTER TABLE %I SET (%s)', rest, array_to_string(reloptions, ', '))
                        FROM pg_class WHERE oid = first::regclass AND reloptions IS NOT NULL),
                     'SELECT 1');
    FOR definition IN
        SELECT pg_get_indexdef(indexrelid) FROM pg_index
         WHERE indrelid = first::regclass AND indisunique AND NOT indisprimary
    LOOP
        EXECUTE regexp_replace(definition, '^CREATE UNIQUE INDEX \S+ ON \S+',
                               format('CREATE UNIQUE INDEX ON %I', rest));
    END LOOP;
    -- Rights on the table are rights on all its months; nothing else may reach a month.
    FOR each IN
        SELECT a.grantee::regrole AS role, a.privilege_type AS verb, '' AS columns
          FROM pg_class c, aclexplode(c.relacl) a
         WHERE c.oid = first::regclass AND a.grantee NOT IN (0, c.relowner)
         UNION ALL
        SELECT a.grantee::regrole, a.privilege_type, format('(%I)', t.attname)
          FROM pg_attribute t, aclexplode(t.attacl) a
         WHERE t.attrelid = first::regclass
    LOOP
        EXECUTE format('GRANT %s %s ON %I TO %s', each.verb, each.columns, parent, each.role);
        EXECUTE format('REVOKE ALL ON %I FROM %s', first, each.role);
    END LOOP;
    -- Views over the table, such as those for warehouses, show all its months.
    FOR each IN
        SELECT DISTINCT v.oid::regclass AS view, pg_get_viewdef(v.oid) AS said
          FROM pg_depend d
          JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
          JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
         WHERE d.refobjid = first::regclass
    LOOP
        EXECUTE format('CREATE OR REPLACE VIEW %s AS %s', each.view,
                       regexp_replace(each.said, format('\m%s\M', first), parent, 'g'));
    END LOOP;
    RETURN payments_make_months(parent, ahead);
END $$;

-- Drops the months of deliveries that ended so long ago, four days at least, and have none pending;
-- then those of attempts that no delivery can have. Returns their names. A month that is in use
-- for half a second is left for the next call.
CREATE OR REPLACE FUNCTION payments_drop_months(kept interval) RETURNS text[] LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' SET lock_timeout = '500ms' AS $$
DECLARE
    before timestamptz := now() - greatest(kept, interval '4 days');
    dropped text[] := '{}';
    each record;
    is_pending bool;
BEGIN
    FOR each IN SELECT * FROM payments_months('payments_delivery') WHERE ends <= before LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE status = ''pending'')', each.month)
           INTO is_pending;
        CONTINUE WHEN is_pending;
        EXECUTE format('ALTER TABLE payments_delivery DETACH PARTITION %I', each.month);
        -- One may have been requeued before the lock.
        EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE status = ''pending'')', each.month)
           INTO is_pending;
        IF is_pending THEN
            RAISE EXCEPTION 'a delivery of % is pending again', each.month
                USING ERRCODE = 'lock_not_available';
        END IF;
        EXECUTE format('DROP TABLE %I', each.month);
        dropped := dropped || each.month;
    END LOOP;
    FOR each IN
        SELECT a.* FROM payments_months('payments_delivery_attempt') a
         WHERE a.ends <= before AND NOT EXISTS (
               SELECT FROM payments_months('payments_delivery') d
                WHERE d.begins IS NULL OR d.begins < a.ends)
    LOOP
        EXECUTE format('ALTER TABLE payments_delivery_attempt DETACH PARTITION %I', each.month);
        EXECUTE format('DROP TABLE %I', each.month);
        dropped := dropped || each.month;
    END LOOP;
    IF to_regclass('payments_delivery_rest') IS NOT NULL
       AND to_regclass('payments_delivery_attempt_rest') IS NOT NULL THEN
        DELETE FROM payments_delivery_rest
         WHERE id < payments_first_id(before) AND status <> 'pending';
        DELETE FROM payments_delivery_attempt_rest WHERE id < payments_first_id(before);
    END IF;
    RETURN dropped;
END $$;

REVOKE ALL ON FUNCTION payments_make_months(text, int), payments_partition(text, int),
    payments_drop_months(interval) FROM PUBLIC;
