-- The alternatives of a payment method are tokens by the code of a PSP account, and none of them
-- looks like a card number, as the method's own token does not.

ALTER TABLE payments_payment_method
    ADD CONSTRAINT payment_method_alternatives CHECK (
        jsonb_typeof(alternatives) = 'object' AND NOT alternatives @?
        '$.* ? (@.type() <> "string" || !(@ like_regex "^[!-~]{1,255}$")
                || @ like_regex "^[0-9 -]{12,23}$")'::jsonpath);
