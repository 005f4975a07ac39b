"""Idempotency keys: claim, replay, resume, and how long they are kept."""
