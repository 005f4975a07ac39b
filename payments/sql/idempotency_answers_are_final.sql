-- Once an idempotency key has its answer, each repeat gets that answer.

CREATE FUNCTION payments_refuse_second_answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'answer_is_final: the answer of an idempotency key may not change'
        USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER idempotency_answer_final BEFORE UPDATE ON payments_idempotency_key
    FOR EACH ROW WHEN (OLD.answer_status IS NOT NULL AND (OLD.answer_status, OLD.answer_body)
                       IS DISTINCT FROM (NEW.answer_status, NEW.answer_body))
    EXECUTE FUNCTION payments_refuse_second_answer();
