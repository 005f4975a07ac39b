"""The way out to addresses that merchants chose: whom we call, and how one request is made.

A merchant may name any URL, so every one is taken for an attempt to reach what only we can reach.
What may not live here: what is sent, the database, a retry.
"""
