"""Rows to the merchant's objects: pure functions, a dictionary each, in the Stripe API's shape.

Called several times per payment inside its transaction: plain literals, no queries, no relation
that could load one (`customer_id`, never `customer`). What may not live here: HTTP, decisions.
"""
