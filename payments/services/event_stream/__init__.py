"""The internal stream: our events for finance, support and fraud, in Redis, backed by PostgreSQL.

`numbering` and `positions` use PostgreSQL only, `redis_stream` uses Redis only; `publisher` joins
them, `consumer` reads. Merchants' webhooks are delivered from the outbox, not from this stream.
"""
