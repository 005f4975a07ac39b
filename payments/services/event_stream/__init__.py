"""The internal stream: our events for finance, support and fraud, in Redis, held by PostgreSQL.

`numbering` and `positions` speak to PostgreSQL only, `redis_stream` to Redis only; `publisher`
joins them, `consumer` is the other end. What may not live here: merchants' webhooks.
"""
