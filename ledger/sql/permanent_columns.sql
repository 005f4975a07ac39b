-- A template for one table of any app. These columns stay as they were when the row was written.
-- They are compared only by statements that set one of them: notifications carry long bodies.

CREATE OR REPLACE FUNCTION refuse_permanent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'permanent_column: % of a row of % may not change', TG_ARGV[0], TG_TABLE_NAME
        USING ERRCODE = 'check_violation';
END $$;

CREATE OR REPLACE TRIGGER permanent_columns BEFORE UPDATE OF {columns}
    ON {table} FOR EACH ROW
    WHEN (ROW({old})
          IS DISTINCT FROM ROW({new}))
    EXECUTE FUNCTION refuse_permanent('{columns}');
